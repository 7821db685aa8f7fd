use bytes::Bytes;
use kogge_types::{Descriptor, Digest, Reference, RepositoryName, Tag};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::authorizer::Scopes;
use super::blobs::download;
use super::fake::{Fake, Step};
use super::uploads::{Arrival, Upload};
use super::*;
use crate::blob_source::BlobSource;
use crate::error::Kind;
use crate::progress::Meter;

const MANIFEST: &[u8] = br#"{"schemaVersion":2}"#;
const MANIFEST_HEAD: &str = "200 OK\r\nContent-Type: application/vnd.oci.image.manifest.v1+json";
const CHALLENGE: &str = "401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"http://{addr}/token\",service=\"s\"";

fn repository() -> RepositoryName {
    "team/app".parse().expect("a name")
}

fn tag() -> Reference {
    Reference::Tag("v1".parse().expect("a tag"))
}

fn login() -> Credential {
    Credential::new("me".to_owned(), "secret".to_owned())
}

fn descriptor(content: &[u8]) -> Descriptor {
    Descriptor {
        media_type: "application/x".to_owned(),
        digest: Digest::sha256(content),
        size: content.len() as u64,
        artifact_type: None,
        annotations: None,
        platform: None,
    }
}

fn lines(seen: &[fake::Seen]) -> Vec<&str> {
    seen.iter().map(|request| request.line.as_str()).collect()
}

#[tokio::test]
async fn a_bearer_challenge_is_met_once_and_the_token_is_kept() {
    let fake = Fake::start(vec![
        Step::answer(CHALLENGE, b""),
        Step::answer("200 OK", br#"{"access_token":"abc","expires_in":300}"#),
        Step::answer(MANIFEST_HEAD, MANIFEST),
        Step::answer(MANIFEST_HEAD, MANIFEST),
    ])
    .await;
    let client = fake.client(Some(login())).await;
    for _ in 0..2 {
        let content = client.manifest(&repository(), &tag()).await.expect("there");
        assert_eq!(content.bytes, Bytes::from_static(MANIFEST));
    }
    let seen = fake.seen().await;
    let token = "GET /token?service=s&scope=repository%3Ateam%2Fapp%3Apull&client_id=kogge";
    let manifest = "GET /v2/team/app/manifests/v1";
    assert_eq!(lines(&seen), [manifest, token, manifest, manifest]);
    assert_eq!(seen[1].header("authorization"), Some("Basic bWU6c2VjcmV0"));
    let sent: Vec<_> = [0, 2, 3].iter().map(|i| seen[*i].header("authorization")).collect();
    assert_eq!(sent, [None, Some("Bearer abc"), Some("Bearer abc")]);
}

#[tokio::test]
async fn a_token_that_is_not_enough_is_fetched_again_with_the_scope_asked_for() {
    let wider = format!("{CHALLENGE},scope=\"repository:team/app:delete\",error=\"insufficient_scope\"");
    let fake = Fake::start(vec![
        Step::answer(CHALLENGE, b""),
        Step::answer("200 OK", br#"{"token":"first"}"#),
        Step::answer("200 OK", b""),
        Step::answer(&wider, b""),
        Step::answer("200 OK", br#"{"token":"second"}"#),
        Step::answer(MANIFEST_HEAD, MANIFEST),
    ])
    .await;
    let client = fake.client(None).await;
    assert!(client.has_blob(&repository(), &Digest::sha256(b""), Scopes::pull(&repository())).await.expect("answered"));
    client.manifest(&repository(), &tag()).await.expect("there");
    let seen = fake.seen().await;
    assert!(seen[4].line.contains("scope=repository%3Ateam%2Fapp%3Adelete&scope=repository%3Ateam%2Fapp%3Apull"));
    assert_eq!(seen[5].header("authorization"), Some("Bearer second"));
}

#[tokio::test]
async fn a_refused_login_says_who_was_refused() {
    let error_body = br#"{"errors":[{"code":"DENIED","message":"not \u001b[2J yours"}]}"#;
    let fake = Fake::start(vec![
        Step::answer(CHALLENGE, b""),
        Step::answer("200 OK", br#"{"token":"abc"}"#),
        Step::answer("401 Unauthorized\r\nX-Ms-Correlation-Request-Id: id-7", error_body),
    ])
    .await;
    let client = fake.client(Some(login())).await;
    let error = client.manifest(&repository(), &tag()).await.expect_err("refused");
    assert_eq!((error.kind, error.has_code("DENIED")), (Kind::Denied, true));
    let shown = error.chain();
    assert!(shown.contains("DENIED: not  [2J yours (correlation id id-7)"), "{shown}");
    assert!(error.hints()[0].contains("`me` is logged in"), "{:?}", error.hints());
    assert!(!shown.contains("secret") && !shown.contains("abc"), "{shown}");
    fake.seen().await;
}

#[tokio::test]
async fn a_refresh_token_goes_by_oauth2_and_basic_goes_without_tokens() {
    let fake = Fake::start(vec![
        Step::answer(CHALLENGE, b""),
        Step::answer("200 OK", br#"{"access_token":"abc"}"#),
        Step::answer(MANIFEST_HEAD, MANIFEST),
    ])
    .await;
    let client = fake.client(Some(Credential::RefreshToken { token: "r".to_owned() })).await;
    client.manifest(&repository(), &tag()).await.expect("there");
    let seen = fake.seen().await;
    assert_eq!(seen[1].line, "POST /token");

    let fake = Fake::start(vec![
        Step::answer("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"", b""),
        Step::answer(MANIFEST_HEAD, MANIFEST),
    ])
    .await;
    let client = fake.client(Some(login())).await;
    client.manifest(&repository(), &tag()).await.expect("there");
    assert_eq!(fake.seen().await[1].header("authorization"), Some("Basic bWU6c2VjcmV0"));
}

#[tokio::test]
async fn a_busy_registry_is_asked_again() {
    let fake = Fake::start(vec![
        Step::answer("429 Too Many Requests\r\nRetry-After: 0", b""),
        Step::answer("503 Service Unavailable\r\nRetry-After: 0", b""),
        Step::answer(MANIFEST_HEAD, MANIFEST),
    ])
    .await;
    let client = fake.client(None).await;
    client.manifest(&repository(), &tag()).await.expect("there in the end");
    let fake_asks_too_much = Fake::start(vec![Step::answer("429 Too Many Requests\r\nRetry-After: 86400", b"")]).await;
    let error = fake_asks_too_much.client(None).await.manifest(&repository(), &tag()).await.expect_err("too long");
    assert_eq!(error.status(), Some(429));
}

#[tokio::test]
async fn a_listing_follows_its_links_on_the_same_registry_only() {
    let link = "200 OK\r\nLink: </v2/_catalog?n=500&last=b>; rel=\"next\"";
    let fake = Fake::start(vec![
        Step::answer(link, br#"{"repositories":["a","b"]}"#),
        Step::answer("200 OK", br#"{"repositories":["c"]}"#),
    ])
    .await;
    let client = fake.client(None).await;
    assert_eq!(client.catalog().all_names().await.expect("two pages"), ["a", "b", "c"]);
    assert_eq!(lines(&fake.seen().await), ["GET /v2/_catalog?n=500", "GET /v2/_catalog?n=500&last=b"]);
    let away = "200 OK\r\nLink: <http://127.0.0.1:1/v2/_catalog>; rel=\"next\"";
    let fake = Fake::start(vec![Step::answer(away, br#"{"repositories":["a"]}"#)]).await;
    let client = fake.client(None).await;
    assert!(client.catalog().all_names().await.is_err());
}

#[tokio::test]
async fn a_broken_download_goes_on_by_range() {
    let content = b"0123456789";
    let fake = Fake::start(vec![
        Step::truncated("200 OK", content, 4),
        Step::answer("206 Partial Content\r\nContent-Range: bytes 4-9/10", &content[4..]),
    ])
    .await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let partial = folder.path().join("partial");
    let client = std::sync::Arc::new(fake.client(None).await);
    let source = BlobSource::Registry { client, repository: repository(), digest: Digest::sha256(content), size: 10 };
    download(&source, &descriptor(content), &partial, &Meter::hidden()).await.expect("complete");
    assert_eq!(std::fs::read(&partial).expect("written"), content);
    assert_eq!(fake.seen().await[1].header("range"), Some("bytes=4-"));
}

#[tokio::test]
async fn a_registry_without_ranges_sends_all_and_the_beginning_is_skipped() {
    let content = b"0123456789";
    let fake = Fake::start(vec![Step::truncated("200 OK", content, 4), Step::answer("200 OK", content)]).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let partial = folder.path().join("partial");
    let client = std::sync::Arc::new(fake.client(None).await);
    let source = BlobSource::Registry { client, repository: repository(), digest: Digest::sha256(content), size: 10 };
    download(&source, &descriptor(content), &partial, &Meter::hidden()).await.expect("complete");
    assert_eq!(std::fs::read(&partial).expect("written"), content);
}

async fn upload(fake: &Fake, content: &[u8], mount_from: Option<&str>) -> Result<Arrival> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("blob");
    std::fs::write(&path, content).expect("written");
    let source = BlobSource::File { path, start: 0, size: content.len() as u64 };
    let (descriptor, repository) = (descriptor(content), repository());
    let mount_from: Option<RepositoryName> = mount_from.map(|name| name.parse().expect("a name"));
    let client = fake.client(None).await;
    let (descriptor, repository, mount_from) = (&descriptor, &repository, mount_from.as_ref());
    let meter = &Meter::hidden();
    Upload { client: &client, repository, descriptor, source: &source, mount_from, meter }.run().await
}

#[tokio::test]
async fn a_broken_upload_goes_on_from_what_the_registry_has() {
    let content = vec![7; 17 * 1024 * 1024];
    let fake = Fake::start(vec![
        Step::answer("202 Accepted\r\nLocation: /up/1?state=a", b""),
        Step::broken(5_000_000),
        Step::answer("404 Not Found", b""),
        Step::answer("204 No Content\r\nRange: 0-4194303\r\nLocation: /up/1?state=b", b""),
        Step::answer("202 Accepted\r\nLocation: /up/1?state=c\r\nRange: 0-17825791", b""),
        Step::answer("201 Created", b""),
    ])
    .await;
    assert_eq!(upload(&fake, &content, None).await.expect("sent"), Arrival::Sent);
    let seen = fake.seen().await;
    let digest = Digest::sha256(&content).to_string();
    assert_eq!(
        lines(&seen),
        [
            "POST /v2/team/app/blobs/uploads/",
            "PATCH /up/1?state=a",
            &format!("HEAD /v2/team/app/blobs/{digest}"),
            "GET /up/1?state=a",
            "PATCH /up/1?state=b",
            &format!("PUT /up/1?state=c&digest={}", digest.replace(':', "%3A")),
        ]
    );
    assert_eq!(seen[4].header("content-range"), Some("4194304-17825791"));
    assert_eq!(seen[4].body_bytes, content.len() - 4_194_304);
}

#[tokio::test]
async fn a_small_blob_is_sent_at_once_or_mounted() {
    let fake =
        Fake::start(vec![Step::answer("202 Accepted\r\nLocation: /up/1", b""), Step::answer("201 Created", b"")]).await;
    assert_eq!(upload(&fake, b"small", None).await.expect("sent"), Arrival::Sent);
    assert_eq!(fake.seen().await[1].body_bytes, 5);

    let fake = Fake::start(vec![Step::answer("201 Created", b"")]).await;
    assert_eq!(upload(&fake, b"small", Some("other/app")).await.expect("mounted"), Arrival::Mounted);
    assert!(fake.seen().await[0].line.contains("from=other%2Fapp"));
}

#[tokio::test]
async fn a_refused_blob_is_not_sent_again() {
    let body = br#"{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}"#;
    let fake =
        Fake::start(vec![Step::answer("202 Accepted\r\nLocation: /up/1", b""), Step::answer("400 Bad Request", body)])
            .await;
    let error = upload(&fake, b"small", None).await.expect_err("refused");
    assert!(error.has_code("DIGEST_INVALID"), "{}", error.chain());
    fake.seen().await;
}

#[tokio::test]
async fn several_tags_are_told_in_one_request() {
    let fake = Fake::start(vec![Step::answer("201 Created\r\nOCI-Tag: a, b\r\nOCI-Subject: x", b"")]).await;
    let client = fake.client(None).await;
    let bytes = Bytes::from_static(MANIFEST);
    let digest = Digest::sha256(&bytes);
    let content = manifests::ManifestContent::verified(digest, None, bytes, "x").expect("its digest");
    let tags: Vec<Tag> = ["a", "b"].map(|tag| tag.parse().expect("a tag")).into();
    let reference = Reference::Digest(digest);
    let put = client.put_manifest(&repository(), &reference, &content, &tags).await.expect("put");
    assert_eq!((put.tags, put.subject_noted), (vec!["a".to_owned(), "b".to_owned()], true));
    assert_eq!(lines(&fake.seen().await), [format!("PUT /v2/team/app/manifests/{digest}?tag=a&tag=b")]);
}

#[tokio::test]
async fn a_registry_without_the_acr_routes_is_told_from_one_without_the_repository() {
    let fake =
        Fake::start(vec![Step::answer("404 Not Found\r\nContent-Type: text/plain", b"404 page not found")]).await;
    let error = fake.client(None).await.repository_attributes(&repository()).await.expect_err("not offered");
    assert!(error.to_string().contains("does not offer"), "{error}");
    let body = br#"{"errors":[{"code":"NAME_UNKNOWN","message":"unknown"}]}"#;
    let fake = Fake::start(vec![Step::answer("404 Not Found\r\nContent-Type: application/json", body)]).await;
    let error = fake.client(None).await.repository_attributes(&repository()).await.expect_err("not there");
    assert_eq!(error.kind, Kind::NotFound);
}

/// Connects to an address of this machine, where one connection is answered with `answer` and closed.
async fn connect_to(answer: &'static [u8]) -> Result<Client> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let host = listener.local_addr().expect("it is bound").to_string().parse().expect("an address is a host");
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.expect("a connection");
        let mut hello = vec![0; 64 * 1024];
        assert!(connection.read(&mut hello).await.expect("readable") > 0);
        connection.write_all(answer).await.expect("writable");
    });
    let client = Client::connect(host, &Transport::default(), Some(login())).await;
    server.await.expect("the server does not fail");
    client
}

#[tokio::test]
async fn this_machine_is_asked_in_clear_only_when_it_shows_that_it_has_no_tls() {
    let client = connect_to(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await.expect("no TLS there");
    assert_eq!(client.origin().scheme(), "http");
    // A fatal alert: TLS is spoken there, but not with this client.
    let error = connect_to(&[21, 3, 3, 0, 2, 2, 40]).await.err().expect("TLS is spoken");
    assert_eq!(error.kind, Kind::Network, "{}", error.chain());
    let error = connect_to(b"").await.err().expect("a broken connection says nothing");
    assert!(error.hints().iter().any(|hint| hint.contains("--plain-http")), "{:?}", error.hints());
}

#[tokio::test]
async fn nobody_there_is_no_tls_and_silence_is_an_error() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let host: RegistryHost = listener.local_addr().expect("bound").to_string().parse().expect("an address is a host");
    let http = Transport::default().http_client(&host).expect("made");
    let origin = origin_of(&host, "https").expect("a host");
    let error = speaks_tls(&http, &host, &origin, Duration::from_millis(50)).await.expect_err("nothing is answered");
    assert_eq!(error.kind, Kind::Network);
    drop(listener);
    assert!(!speaks_tls(&http, &host, &origin, PROBE_PATIENCE).await.expect("nobody listens"));
}

#[tokio::test]
async fn bytes_go_to_the_registry_itself_or_by_tls() {
    let check = async |host: &str, plain_http: bool, location: &str, expected: Option<&str>| {
        let transport = Transport { plain_http, ..Transport::default() };
        let client = Client::connect(host.parse().expect("a host"), &transport, None).await.expect("nothing is asked");
        let asked = client.url("/v2/a/blobs/uploads/");
        let given = client.destination(&asked, location, "push");
        assert_eq!(given.as_ref().map(Url::as_str).ok(), expected, "{host} {plain_http} {location}");
    };
    check("reg.io", false, "/up/1", Some("https://reg.io/up/1")).await;
    check("reg.io", false, "https://reg.io:443/up/1", Some("https://reg.io/up/1")).await;
    check("reg.io", false, "//bytes.io/up/1", Some("https://bytes.io/up/1")).await;
    check("reg.io", false, "http://reg.io/up/1", None).await;
    check("reg.io", false, "http://10.0.0.1/up/1", None).await;
    check("reg.io", false, "file:///up/1", None).await;
    check("reg.io", false, "https://", None).await;
    check("reg.io:80", true, "/up/1", Some("http://reg.io/up/1")).await;
    check("reg.io", true, "https://bytes.io/up/1", Some("https://bytes.io/up/1")).await;
    check("reg.io", true, "//bytes.io/up/1", None).await;
    check("reg.io", true, "http://reg.io:8080/up/1", None).await;
}

#[tokio::test]
async fn an_upload_is_not_sent_to_another_host_in_clear() {
    let away = "202 Accepted\r\nLocation: http://127.0.0.1:1/up/1?state=secret";
    let fake = Fake::start(vec![Step::answer(away, b"")]).await;
    let error = upload(&fake, b"small", None).await.expect_err("the session leads away");
    assert_eq!((error.kind, error.chain().contains("secret")), (Kind::Denied, false), "{}", error.chain());
    assert_eq!(fake.seen().await.len(), 1);

    let fake = Fake::start(vec![
        Step::answer("202 Accepted\r\nLocation: /up/1", b""),
        Step::broken(1_000_000),
        Step::answer("404 Not Found", b""),
        Step::answer(&format!("{away}\r\nRange: 0-999999"), b""),
    ])
    .await;
    let error = upload(&fake, &vec![7; 17 * 1024 * 1024], None).await.expect_err("the session leads away later");
    assert_eq!(error.kind, Kind::Denied, "{}", error.chain());
    fake.seen().await;
}
