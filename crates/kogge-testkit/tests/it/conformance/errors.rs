//! Requests that are wrong: the code that says so, in the form that clients read.

use http::Method;
use kogge_testkit::content::{ImageBuilder, Item, Seed};
use kogge_testkit::http::Client;
use kogge_types::limits::MANIFEST_BYTES_MAX;
use kogge_types::media_type::{DOCKER_LIST, DOCKER_SCHEMA_1_SIGNED, OCI_INDEX, OCI_MANIFEST};
use kogge_types::{Algorithm, Digest};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::new_repository;

#[tokio::test]
async fn errors_are_a_list_of_codes_with_messages() {
    let (registry, repository) = new_repository("team/app").await;
    repository.push_tagged(&ImageBuilder::new(&mut Seed::new(1)).build(), "latest").await;
    let anonymous = Client::new(registry.addr());
    let digest = Digest::sha256(b"never pushed");
    for (reply, status, code) in [
        (anonymous.get("/v2/").send().await, 401, "UNAUTHORIZED"),
        (anonymous.get("/v2/team/app/tags/list").send().await, 401, "UNAUTHORIZED"),
        (repository.get_manifest("missing").await, 404, "MANIFEST_UNKNOWN"),
        (repository.get_manifest(digest).await, 404, "MANIFEST_UNKNOWN"),
        (repository.get_blob(&digest).await, 404, "BLOB_UNKNOWN"),
        (repository.client().get(repository.path("blobs/sha256:short")).send().await, 400, "DIGEST_INVALID"),
        (repository.client().get("/v2/UPPER/tags/list").send().await, 400, "NAME_INVALID"),
    ] {
        let reply = reply.expect_error(status, code);
        assert!(reply.header("content-type").is_some_and(|t| t.starts_with("application/json")), "{:?}", reply.headers);
        let body = reply.json();
        assert!(body["errors"][0]["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
        let code = body["errors"][0]["code"].as_str().unwrap_or_default();
        assert!(code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{code}");
    }
}

#[tokio::test]
async fn the_answer_to_head_has_no_body_even_when_it_fails() {
    let (_registry, repository) = new_repository("team/app").await;
    let digest = Digest::sha256(b"never pushed");
    for path in [repository.manifest_path("missing"), repository.blob_path(&digest), repository.path("blobs/nonsense")]
    {
        let reply = repository.client().head(path).send().await;
        assert!(reply.status.is_client_error());
        reply.expect_body(b"");
    }
}

#[tokio::test]
async fn bodies_that_are_no_manifest_are_refused() {
    let (_registry, repository) = new_repository("team/app").await;
    let index = |media_type: &str| json!({"schemaVersion": 2, "mediaType": media_type, "manifests": []}).to_string();
    for (content_type, body, status) in [
        (OCI_MANIFEST, String::new(), 400),
        (OCI_MANIFEST, "{".to_owned(), 400),
        (OCI_MANIFEST, "[]".to_owned(), 400),
        (OCI_MANIFEST, json!({"schemaVersion": 2}).to_string(), 400),
        (OCI_INDEX, index(DOCKER_LIST), 400),
        (OCI_MANIFEST, index(OCI_INDEX), 400),
        (DOCKER_SCHEMA_1_SIGNED, json!({"schemaVersion": 1}).to_string(), 415),
    ] {
        let manifest = Item::new(Algorithm::Sha256, content_type, body.clone());
        repository.put_manifest("latest", &manifest).await.expect_error(status, "MANIFEST_INVALID");
        repository.head_manifest("latest").await.expect_status(404);
    }
}

#[tokio::test]
async fn a_manifest_that_names_a_blob_of_no_push_is_refused_with_its_digest() {
    let (_registry, repository) = new_repository("team/app").await;
    let image = ImageBuilder::new(&mut Seed::new(2)).build();
    let [config, layer] = image.blobs.as_slice() else { panic!("an image of one layer") };
    repository.push_blob(config).await;
    let reply = repository.put_manifest("latest", image.root()).await;
    assert_eq!(reply.code(), "MANIFEST_BLOB_UNKNOWN", "{}", reply.text());
    assert!(reply.text().contains(&layer.digest.to_string()), "{}", reply.text());
    repository.head_manifest("latest").await.expect_status(404);
}

#[tokio::test]
async fn a_tag_must_have_the_form_of_one() {
    let (_registry, repository) = new_repository("team/app").await;
    let image = ImageBuilder::new(&mut Seed::new(3)).build();
    repository.push(&image).await;
    for tag in ["-a", ".a", "a%20b", "a%2Bb", &"t".repeat(129)] {
        repository.put_manifest(tag, image.root()).await.expect_status(400);
    }
    for tag in ["_", "A", "0", &"t".repeat(128)] {
        repository.put_manifest(tag, image.root()).await.expect_status(201);
    }
}

#[tokio::test]
async fn a_method_that_an_end_point_does_not_have_is_refused() {
    let (_registry, repository) = new_repository("team/app").await;
    for (method, path) in [
        (Method::POST, "/v2/".to_owned()),
        (Method::DELETE, repository.path("tags/list")),
        (Method::PUT, repository.path("blobs/uploads/")),
        (Method::PATCH, repository.manifest_path("latest")),
        (Method::PUT, repository.blob_path(&Digest::sha256(b"x"))),
    ] {
        let reply = repository.client().request(method.clone(), &path).send().await;
        assert_eq!(reply.status, 405, "{method} {path}: {}", reply.text());
        assert_eq!(reply.code(), "UNSUPPORTED");
    }
}

/// A client that sends to the end before it looks at the answer finds it, and not a broken connection.
#[tokio::test]
async fn a_refused_body_is_read_so_that_the_answer_arrives() {
    let (registry, _) = new_repository("team/app").await;
    let body = vec![b'x'; MANIFEST_BYTES_MAX];
    for _ in 0..8 {
        let mut stream = TcpStream::connect(registry.addr()).await.expect("connect");
        let head = format!(
            "PUT /v2/team/app/manifests/latest HTTP/1.1\r\nHost: {}\r\nContent-Type: {OCI_MANIFEST}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            registry.addr(),
            body.len()
        );
        stream.write_all(head.as_bytes()).await.expect("send the head");
        stream.write_all(&body).await.expect("send the body");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read the answer");
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
}
