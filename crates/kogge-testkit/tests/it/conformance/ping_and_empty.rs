//! The base of the API, and a registry that holds nothing.

use http::Method;
use kogge_testkit::challenge::Challenge;
use kogge_testkit::content::{ImageBuilder, Seed};
use kogge_testkit::http::Client;
use kogge_types::Digest;
use kogge_types::media_type::OCI_INDEX;
use serde_json::json;

use super::new_repository;

#[tokio::test]
async fn the_base_asks_who_is_there_and_then_answers() {
    let (registry, repository) = new_repository("team/app").await;
    let anonymous = Client::new(registry.addr());
    let reply = anonymous.get("/v2/").send().await.expect_error(401, "UNAUTHORIZED");
    let Some(Challenge::Bearer { service, scopes, .. }) = reply.challenge() else { panic!("{:?}", reply.headers) };
    assert!(!service.is_empty() && scopes.is_empty());
    repository.client().get("/v2/").send().await.expect_status(200);
    let wrong = anonymous.with_basic("admin", "not the password");
    assert!(wrong.get("/v2/").try_send().await.is_err_and(|error| error.to_string().contains("401")));
}

#[tokio::test]
async fn a_challenge_names_the_scope_that_the_request_needs() {
    let (registry, _repository) = new_repository("team/app").await;
    let anonymous = Client::new(registry.addr());
    let digest = Digest::sha256(b"some content");
    for (method, path, action) in [
        (Method::GET, "tags/list".to_owned(), "pull"),
        (Method::HEAD, format!("blobs/{digest}"), "pull"),
        (Method::GET, "manifests/latest".to_owned(), "pull"),
        (Method::GET, format!("referrers/{digest}"), "pull"),
        (Method::POST, "blobs/uploads/".to_owned(), "push"),
        (Method::PUT, "manifests/latest".to_owned(), "push"),
        (Method::DELETE, "manifests/latest".to_owned(), "delete"),
        (Method::DELETE, format!("blobs/{digest}"), "delete"),
    ] {
        let reply = anonymous.request(method.clone(), format!("/v2/team/app/{path}")).send().await.expect_status(401);
        let Some(Challenge::Bearer { scopes, .. }) = reply.challenge() else { panic!("{method} {path}") };
        let actions = scopes.iter().find_map(|scope| scope.strip_prefix("repository:team/app:"));
        assert!(actions.is_some_and(|a| a.split(',').any(|a| a == action)), "{method} {path}: {scopes:?}");
    }
}

/// Clients find the scheme by its name, wherever in the header it stands last, and read quoted values only.
#[tokio::test]
async fn a_challenge_can_be_read_by_the_simplest_parsers() {
    let (registry, _repository) = new_repository("team/app").await;
    let anonymous = Client::new(registry.addr());
    let token = registry.client().token(&["repository:team/app:pull"]).await.expect("a token");
    let narrow = anonymous.with_bearer(&token);
    for request in
        [anonymous.get("/v2/"), anonymous.get("/v2/team/app/tags/list"), narrow.post("/v2/team/app/blobs/uploads/")]
    {
        let header = request.send().await.expect_status(401).header("www-authenticate").expect("a challenge");
        let lower = header.to_ascii_lowercase();
        assert_eq!((lower.matches("bearer").count(), lower.matches("basic").count()), (1, 0), "{header}");
        assert!(lower.starts_with("bearer realm=\"") && !lower.contains("\", "), "{header}");
    }
}

/// A token that says too little is worth a challenge, never a refusal: the client comes back with one that says more.
#[tokio::test]
async fn a_token_of_too_small_a_scope_is_challenged() {
    let (registry, repository) = new_repository("team/app").await;
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    repository.push_tagged(&image, "latest").await;
    let blob = image.blobs[0].digest;
    for (scope, method, path, status, wanted) in [
        ("pull", Method::GET, "manifests/latest".to_owned(), 200, ""),
        ("pull", Method::POST, "blobs/uploads/".to_owned(), 401, "push"),
        ("pull", Method::PUT, "manifests/latest".to_owned(), 401, "push"),
        ("pull,push", Method::DELETE, "manifests/latest".to_owned(), 401, "delete"),
        ("pull,push", Method::DELETE, format!("blobs/{blob}"), 401, "delete"),
        ("delete", Method::GET, "manifests/latest".to_owned(), 401, "pull"),
    ] {
        let token = registry.client().token(&[&format!("repository:team/app:{scope}")]).await.expect("a token");
        let client = Client::new(registry.addr()).with_bearer(&token);
        let reply = client.request(method.clone(), repository.path(&path)).send().await.expect_status(status);
        if status == 401 {
            let Some(Challenge::Bearer { scopes, .. }) = reply.challenge() else { panic!("{method} {path}") };
            let actions =
                scopes.iter().find_map(|scope| scope.strip_prefix("repository:team/app:")).unwrap_or_default();
            assert!(actions.split(',').any(|action| action == wanted), "{method} {path}: {scopes:?}");
        }
    }
    let elsewhere = registry.client().token(&["repository:team/other:pull,push,delete"]).await.expect("a token");
    let client = Client::new(registry.addr()).with_bearer(&elsewhere);
    client.get(repository.manifest_path("latest")).send().await.expect_error(401, "UNAUTHORIZED");
    client.with_bearer("no.token.atall").get("/v2/").send().await.expect_error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn an_unknown_repository_holds_nothing() {
    let (_registry, repository) = new_repository("team/app").await;
    let digest = Digest::sha256(b"never pushed");
    repository.get_blob(&digest).await.expect_status(404);
    repository.head_blob(&digest).await.expect_status(404);
    repository.get_manifest(digest).await.expect_status(404);
    repository.head_manifest("latest").await.expect_status(404);
    repository.delete_manifest(digest).await.expect_status(404);
    repository.tags("").await.expect_error(404, "NAME_UNKNOWN");
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []});
    let reply = repository.referrers(digest, "").await.expect_status(200).expect_header("content-type", OCI_INDEX);
    assert_eq!(reply.json(), index);
}
