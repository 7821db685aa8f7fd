//! Names, digests, references and pages with tricks in them.

use std::collections::BTreeSet;
use std::path::Path;

use http::Method;
use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, Seed};
use kogge_testkit::http::encode;
use kogge_testkit::repository::Repository;
use kogge_types::limits::{PAGE_NAMES_MAX, REPOSITORY_NAME_CHARS_MAX, TAG_CHARS_MAX};
use kogge_types::media_type::OCI_MANIFEST;
use kogge_types::{Digest, limits};
use serde_json::Value;

/// Every path below `folder`.
fn tree(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(tree(&path));
        }
        found.insert(path.display().to_string());
    }
    found
}

/// Names that no repository has, as a path carries them.
fn bad_names() -> Vec<String> {
    let mut names: Vec<_> = [
        "..",
        ".",
        "a/..",
        "../a",
        "a/../b",
        "a/./b",
        "%2e%2e",
        "%2e%2e%2fa",
        "a%2f..%2fb",
        "..%5ca",
        "a%5cb",
        "a%00",
        "%00",
        "a%0a",
        "a%0d%0aX:%20y",
        "a%20b",
        "%20a",
        "a+b",
        "a:b",
        "a@b",
        "a~",
        "a%25b",
        "a%252fb",
        "A",
        "aB",
        "-a",
        "a-",
        "_a",
        "a_",
        ".a",
        "a.",
        "a..b",
        "a___b",
        "a._b",
        "a.-b",
        "a//b",
        "a/",
        "%C3%A4",
        "%EF%BD%81",
        "%D0%B0",
        "a%CC%81",
        "%E2%80%AEa",
        "%E2%80%8Ba",
        "a%EF%BB%BF",
        "_catalog",
        "_uploads",
        "a%3fn=1",
        "a%23",
        "a;b",
        "a'--",
        "a%22",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("a".repeat(REPOSITORY_NAME_CHARS_MAX + 1));
    names.push(format!("{}a", "a/".repeat(REPOSITORY_NAME_CHARS_MAX / 2 + 1)));
    names.push("a".repeat(20_000));
    names
}

#[tokio::test]
async fn names_with_tricks_are_invalid_and_touch_nothing() {
    let registry = TestRegistry::start().await;
    let client = registry.client();
    client.get("/v2/a/tags/list").send().await.expect_status(404);
    let store = registry.data_dir().join("store");
    let before = tree(&store);
    let digest = Digest::sha256(b"x");
    for name in bad_names() {
        for (method, rest) in [
            (Method::GET, "tags/list".to_owned()),
            (Method::HEAD, format!("blobs/{digest}")),
            (Method::POST, "blobs/uploads/".to_owned()),
            (Method::PUT, "manifests/latest".to_owned()),
        ] {
            let path = format!("/v2/{name}/{rest}");
            let reply = client.request(method.clone(), &path).send().await;
            assert_eq!(reply.status, 400, "{method} {path:.90}: {}", reply.text());
            assert!(method == Method::HEAD || reply.code() == "NAME_INVALID", "{path:.90}: {}", reply.text());
        }
        for rest in ["_manifests", "_tags", "_tags/v1", &format!("_manifests/{digest}")] {
            client.get(format!("/acr/v1/{name}/{rest}")).send().await.expect_error(400, "NAME_INVALID");
        }
        let from = format!("/v2/a/blobs/uploads/?mount={digest}&from={name}");
        if !matches!(name.as_str(), "%23" | "a%23") {
            client.post(from).send().await.expect_error(400, "NAME_INVALID");
        }
    }
    for path in
        ["/v2/%ff/tags/list", "/v2/a/%c0%af/tags/list", "/v2/../../etc/passwd", "/v2/a/tags/list/", "/v2/a/", "/%2fv2/"]
    {
        client.get(path).send().await.expect_error(404, "NOT_FOUND");
    }
    assert_eq!(tree(&store).difference(&before).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test]
async fn names_up_to_the_limit_and_of_confusing_words_are_served() {
    let registry = TestRegistry::start().await;
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    let deep = format!("{}a", "a/".repeat(REPOSITORY_NAME_CHARS_MAX / 2));
    for name in [
        "a".repeat(REPOSITORY_NAME_CHARS_MAX).as_str(),
        deep.as_str(),
        "tags/list",
        "manifests/latest",
        "blobs/uploads",
        "referrers",
        "v2",
        "v2/v2",
        "a/blobs/uploads",
        "a/manifests",
        "0",
        "a.b_c__d-e---f",
    ] {
        let repository = Repository::new(&registry.client(), name);
        repository.push_tagged(&image, "latest").await;
        repository.get_manifest("latest").await.expect_status(200).expect_body(&image.root().bytes);
        let tags = repository.tags("").await.expect_status(200).json();
        assert_eq!((&tags["name"], &tags["tags"]), (&Value::from(name), &serde_json::json!(["latest"])));
        let described = registry.client().get(format!("/acr/v1/{name}")).send().await.expect_status(200);
        assert_eq!(described.json()["imageName"], name);
    }
    // A slash is a slash, written plainly or not; a colon too.
    let reply = registry.client().get("/v2/v2%2Fv2/manifests/latest").send().await.expect_status(200);
    reply.expect_body(&image.root().bytes);
    let digest = image.root().digest.to_string().replace(':', "%3a");
    registry.client().get(format!("/v2/v2/manifests/{digest}")).send().await.expect_status(200);
}

#[tokio::test]
async fn digests_with_tricks_are_invalid_wherever_they_stand() {
    let registry = TestRegistry::start().await;
    let client = registry.client();
    let repository = Repository::new(&client, "a");
    let good = Digest::sha256(b"x").to_string();
    let hex = good.strip_prefix("sha256:").expect("sha256");
    let store = registry.data_dir().join("store");
    let before = tree(&store);
    for digest in [
        "sha256:".to_owned(),
        "sha256".to_owned(),
        ":".to_owned(),
        format!(":{hex}"),
        format!("sha256:{}", &hex[1..]),
        format!("{good}0"),
        format!("sha256:{}", hex.to_uppercase()),
        format!("SHA256:{hex}"),
        format!("sha512:{hex}"),
        format!("md5:{}", &hex[..32]),
        format!("sha384:{}", "0".repeat(96)),
        format!("{good}%00"),
        format!("{good}%20"),
        format!("%20{good}"),
        format!("sha256::{hex}"),
        format!("sha256:{}g", &hex[1..]),
        format!("sha256:..%5c{}", &hex[4..]),
        format!("sha256+b64:{hex}"),
        format!("{good}%0a"),
        format!("sha256:{}", "%EF%BC%90".repeat(64)),
        "0".repeat(8000),
    ] {
        let path = |rest: String| repository.path(rest);
        for (method, path) in [
            (Method::GET, path(format!("blobs/{digest}"))),
            (Method::DELETE, path(format!("blobs/{digest}"))),
            (Method::GET, path(format!("referrers/{digest}"))),
            (Method::POST, path(format!("blobs/uploads/?digest={digest}"))),
            (Method::POST, path(format!("blobs/uploads/?mount={digest}&from=b"))),
        ] {
            client.request(method, &path).body("x").send().await.expect_error(400, "DIGEST_INVALID");
        }
    }
    for algorithm in ["md5", "sha384", "", "SHA256", "sha256%00"] {
        let path = repository.path(format_args!("blobs/uploads/?digest-algorithm={algorithm}"));
        client.post(path).send().await.expect_error(400, "DIGEST_INVALID");
    }
    assert_eq!(tree(&store).difference(&before).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test]
async fn references_with_tricks_are_invalid() {
    let registry = TestRegistry::start().await;
    let client = registry.client();
    let repository = Repository::new(&client, "a");
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    repository.push(&image).await;
    let long = "t".repeat(TAG_CHARS_MAX + 1);
    for reference in [
        ".",
        "..",
        ".a",
        "-a",
        "%00",
        "a%00",
        "a%20",
        "a+b",
        "a%25",
        "%C3%A4",
        "sha256:",
        "sha256:00",
        "a:b",
        "a@b",
        "~",
        "a%0d%0ab",
        "*",
        &long,
    ] {
        let path = repository.manifest_path(reference);
        for method in [Method::GET, Method::DELETE] {
            client.request(method, &path).send().await.expect_error(400, "MANIFEST_INVALID");
        }
        let put = client.put(&path).header("content-type", OCI_MANIFEST).body(image.root().bytes.clone());
        put.send().await.expect_error(400, "MANIFEST_INVALID");
        let with_tag = format!("{}?tag={reference}", repository.manifest_path(image.root().digest));
        let put = client.put(with_tag).header("content-type", OCI_MANIFEST).body(image.root().bytes.clone());
        put.send().await.expect_error(400, "TAG_INVALID");
    }
    let tags: Vec<_> = (0..=limits::TAGS_PER_PUT_MAX).map(|number| format!("tag=t{number}")).collect();
    let put = |tags: &[String]| {
        let path = format!("{}?{}", repository.manifest_path(image.root().digest), tags.join("&"));
        client.put(path).header("content-type", OCI_MANIFEST).body(image.root().bytes.clone()).send()
    };
    put(&tags).await.expect_error(414, "TOO_MANY_TAGS");
    assert_eq!(repository.tags("").await.json()["tags"], serde_json::json!([]));
    put(&tags[1..]).await.expect_status(201);
    assert_eq!(repository.tags("").await.json()["tags"].as_array().map(Vec::len), Some(limits::TAGS_PER_PUT_MAX));
}

#[tokio::test]
async fn pages_with_tricks_are_refused_or_bounded() {
    let registry = TestRegistry::start().await;
    let client = registry.client();
    let repository = Repository::new(&client, "a");
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    repository.push(&image).await;
    for tag in ["a", "b", "c"] {
        repository.put_manifest(tag, image.root()).await.expect_status(201);
    }
    let subject = image.root().digest;
    let lists = [
        "/v2/_catalog".to_owned(),
        "/acr/v1/_catalog".to_owned(),
        repository.path("tags/list"),
        repository.path(format_args!("referrers/{subject}")),
        "/acr/v1/a/_manifests".to_owned(),
    ];
    for list in &lists {
        for n in [
            "-1",
            "",
            "x",
            "1.5",
            "1e3",
            "0x10",
            "18446744073709551616",
            "9999999999999999999999999",
            "%201",
            "1%20",
            "%00",
            "%D9%A1",
            "1,2",
        ] {
            client.get(format!("{list}?n={n}")).send().await.expect_error(400, "PAGINATION_NUMBER_INVALID");
        }
        for n in ["0", "1", "18446744073709551615", "0001"] {
            client.get(format!("{list}?n={n}")).send().await.expect_status(200);
        }
        client.get(format!("{list}?n=1&n=x&m=%ff&&=&last")).send().await.expect_status(200);
    }
    for last in ["", "%00", "%ff", "../../..", "%27%20OR%201=1--", "zzz", "%F0%9F%90%B3", &"z".repeat(30_000)] {
        for list in &lists[..3] {
            client.get(format!("{list}?last={last}")).send().await.expect_status(200);
        }
    }
    for last in ["x", "sha256:", "%00", "../.."] {
        for list in &lists[3..] {
            client.get(format!("{list}?last={last}")).send().await.expect_error(400, "PAGINATION_NUMBER_INVALID");
        }
    }
    let reply = client.get("/acr/v1/a/_manifests?orderby=sideways").send().await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    // An empty page leads nowhere: it must not say that there is more.
    let reply = repository.tags("?n=0").await.expect_status(200);
    assert_eq!((reply.json()["tags"].clone(), reply.header("link")), (serde_json::json!([]), None));
}

#[tokio::test]
async fn a_page_is_bounded_and_its_link_is_exact() {
    let registry = TestRegistry::start().await;
    let client = registry.client();
    let repository = Repository::new(&client, "team/app");
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    repository.push(&image).await;
    let total = PAGE_NAMES_MAX + 5;
    let names: Vec<_> = (0..total).map(|number| format!("tag={number:05}")).collect();
    for names in names.chunks(limits::TAGS_PER_PUT_MAX) {
        let path = format!("{}?{}", repository.manifest_path(image.root().digest), names.join("&"));
        let put = client.put(path).header("content-type", OCI_MANIFEST).body(image.root().bytes.clone());
        put.send().await.expect_status(201);
    }
    for (query, n) in [("", ""), ("?n=1000000", "&n=1000000")] {
        let reply = repository.tags(query).await.expect_status(200);
        assert_eq!(reply.json()["tags"].as_array().map(Vec::len), Some(PAGE_NAMES_MAX));
        let next = format!("/v2/team/app/tags/list?last={:05}{n}", PAGE_NAMES_MAX - 1);
        let reply = reply.expect_header("link", format!("<{next}>; rel=\"next\""));
        let rest = client.get(next).send().await.expect_status(200);
        assert_eq!((rest.json()["tags"].as_array().map(Vec::len), rest.header("link")), (Some(5), None));
        drop(reply);
    }
    // What a client put into the address comes back encoded, never as a header of its own.
    let filter = encode("application/x\"\r\nX-Evil: y>");
    let reply = client.get(repository.path(format_args!("referrers/{}?artifactType={filter}", image.root().digest)));
    let reply = reply.send().await.expect_status(200).expect_header("oci-filters-applied", "artifactType");
    assert_eq!(reply.header("x-evil"), None);
}
