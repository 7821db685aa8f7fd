//! The host picks the registry, and nothing leaks from one to another.

use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, IndexBuilder, Seed};
use kogge_testkit::http::Client;
use kogge_testkit::repository::Repository;
use serde_json::json;

/// A registry `myreg` beside the default one, and clients of both.
async fn two_registries(settings: &str) -> (TestRegistry, Client, Client) {
    let registry = TestRegistry::start_with(settings).await;
    registry.core().put_registry(&"myreg".parse().expect("a name"), false).await.expect("a registry");
    let (default, mine) = (registry.client(), registry.client().with_host("myreg.localhost"));
    (registry, default, mine)
}

#[tokio::test]
async fn the_host_picks_the_registry() {
    let (registry, default, mine) = two_registries("").await;
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    Repository::new(&default, "of/default").push_tagged(&image, "latest").await;
    Repository::new(&mine, "of/mine").push_tagged(&image, "latest").await;
    let listing =
        async |host: &str| registry.client().with_host(host).get("/v2/_catalog").send().await.expect_status(200).json();
    let port = registry.addr().port();
    for host in [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "localhost:1",
        "127.0.0.1",
        "10.1.2.3",
        "[::1]:5000",
        &format!("127.0.0.1:{port}"),
    ] {
        assert_eq!(listing(host).await, json!({"repositories": ["of/default"]}), "{host}");
    }
    for host in ["myreg.localhost", "MyReg.Localhost:77", "myreg.localhost.", &format!("myreg.localhost:{port}")] {
        assert_eq!(listing(host).await, json!({"repositories": ["of/mine"]}), "{host}");
    }
}

#[tokio::test]
async fn a_host_of_no_registry_is_unknown_to_everybody() {
    let (registry, ..) = two_registries("[server]\ndomain = 'example.com'\ndefault-hosts = ['registry']").await;
    for client in [registry.anonymous(), registry.client()] {
        for host in [
            "nobody.example.com",
            "a.myreg.example.com",
            "myregexample.com",
            "xexample.com",
            "other.org",
            "myreg.localhost",
            "com",
            "my-reg.example.com",
            "m.example.com",
            ".",
            "myreg",
        ] {
            let reply = client.with_host(host).get("/v2/").send().await;
            if host == "." {
                reply.expect_error(400, "NAME_INVALID");
                continue;
            }
            assert_eq!(reply.header("www-authenticate"), None, "{host}");
            reply.expect_error(404, "NAME_UNKNOWN");
            for path in ["/oauth2/token?service=x", "/v2/a/tags/list", "/acr/v1/_catalog"] {
                client.with_host(host).get(path).send().await.expect_error(404, "NAME_UNKNOWN");
            }
            client.with_host(host).get("/healthz").send().await.expect_status(200);
        }
        for host in ["example.com", "example.com:5000", "registry", "localhost", "127.0.0.1", "myreg.example.com"] {
            let status = client.with_host(host).get("/v2/").send().await.status.as_u16();
            assert!(matches!(status, 200 | 401), "{host}: {status}");
        }
    }
}

#[tokio::test]
async fn content_of_one_registry_is_nowhere_in_another() {
    let (_registry, default, mine) = two_registries("").await;
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    let here = Repository::new(&default, "team/app");
    here.push_tagged(&image, "latest").await;
    let there = Repository::new(&mine, "team/app");
    let (layer, manifest) = (image.blobs[1].clone(), image.root().clone());
    there.head_blob(&layer.digest).await.expect_status(404);
    there.get_manifest("latest").await.expect_status(404);
    there.get_manifest(manifest.digest).await.expect_status(404);
    there.tags("").await.expect_error(404, "NAME_UNKNOWN");
    there.client().get("/acr/v1/team/app").send().await.expect_error(404, "NAME_UNKNOWN");
    there.delete_blob(&layer.digest).await.expect_status(404);
    there.delete_manifest("latest").await.expect_status(404);
    // To know a digest is no right to it: the manifest cannot be had for its name.
    there.put_manifest("latest", &manifest).await.expect_error(404, "MANIFEST_BLOB_UNKNOWN");
    for from in ["&from=team/app", ""] {
        let mount = there.path(format_args!("blobs/uploads/?mount={}{from}", layer.digest));
        there.client().post(mount).send().await.expect_status(202);
    }
    there.head_blob(&layer.digest).await.expect_status(404);
    // Sessions too.
    let location = here.start_upload().await;
    there.client().get(&location).send().await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    there.patch(&location, 0, layer.bytes.clone()).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    there.client().delete(&location).send().await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    here.client().get(&location).send().await.expect_status(204);
    // The same name there is another thing, and its deletion is nothing here.
    there.push_tagged(&image, "latest").await;
    there.client().delete("/acr/v1/team/app").send().await.expect_status(202);
    here.get_manifest("latest").await.expect_status(200).expect_body(&manifest.bytes);
    here.get_blob(&layer.digest).await.expect_status(200).expect_body(&layer.bytes);
}

#[tokio::test]
async fn what_refers_to_a_manifest_does_so_in_its_registry() {
    let (_registry, default, mine) = two_registries("").await;
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    let note = IndexBuilder::new().subject(image.root()).artifact_type("application/x-note").build();
    for client in [&default, &mine] {
        Repository::new(client, "team/app").push(&image).await;
    }
    Repository::new(&default, "team/app").push(&note).await;
    let count = async |client: &Client| {
        let reply = Repository::new(client, "team/app").referrers(image.root().digest, "").await.expect_status(200);
        reply.json()["manifests"].as_array().map(Vec::len)
    };
    assert_eq!((count(&default).await, count(&mine).await), (Some(1), Some(0)));
}

#[tokio::test]
async fn a_token_is_for_one_registry_by_whichever_of_its_names() {
    let (registry, default, mine) = two_registries("").await;
    let scope = "repository:team/app:pull";
    let token = default.with_host("localhost").token(&[scope]).await.expect("a token");
    for alias in ["127.0.0.1:1", "localhost:5000", "[::1]"] {
        let client = registry.anonymous().with_host(alias).with_bearer(&token);
        client.get("/v2/team/app/tags/list").send().await.expect_error(404, "NAME_UNKNOWN");
    }
    let client = registry.anonymous().with_host("myreg.localhost").with_bearer(&token);
    client.get("/v2/team/app/tags/list").send().await.expect_error(401, "UNAUTHORIZED");
    client.get("/v2/").send().await.expect_error(401, "UNAUTHORIZED");
    let token = mine.token(&[scope]).await.expect("a token");
    let client = registry.anonymous().with_bearer(&token);
    client.get("/v2/").send().await.expect_error(401, "UNAUTHORIZED");
    client.with_host("myreg.localhost:9").get("/v2/").send().await.expect_error(200, "");
    // The service that is asked for is only the token's label: the host decides.
    let path = "/oauth2/token?service=myreg.localhost&scope=repository:team/app:pull";
    let login = kogge_testkit::http::basic("admin", registry.admin_password());
    let reply = registry.anonymous().get(path).header("authorization", login).send().await.expect_status(200);
    let labelled = reply.json()["access_token"].as_str().expect("a token").to_owned();
    let client = registry.anonymous().with_bearer(&labelled);
    client.with_host("myreg.localhost").get("/v2/").send().await.expect_error(401, "UNAUTHORIZED");
    client.get("/v2/").send().await.expect_status(200);
}
