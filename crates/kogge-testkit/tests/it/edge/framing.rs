//! Requests that are framed wrongly, or so that two readers could disagree about where they end.

use std::time::Duration;

use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, Seed};
use kogge_testkit::http::basic;
use kogge_testkit::repository::Repository;
use kogge_types::Digest;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::{HANGS, bearer, raw, read_head, read_to_end, statuses, uploads_left};

/// The smuggled request: an answer to it is a second answer.
const SMUGGLED: &str = "GET /v2/smuggled/tags/list HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_request_of_two_lengths_is_never_two_requests() {
    let registry = TestRegistry::start().await;
    let post = |headers: &str, body: &str| {
        format!("POST /oauth2/token HTTP/1.1\r\nHost: {}\r\n{headers}\r\n{body}", registry.addr())
    };
    // Two requests that are framed well are two answers.
    assert_eq!(statuses(&raw(&registry, post("Content-Length: 0\r\n", SMUGGLED)).await).len(), 2);
    let chunked = format!("0\r\n\r\n{SMUGGLED}");
    assert_eq!(statuses(&raw(&registry, post("Transfer-Encoding: chunked\r\n", &chunked)).await).len(), 2);
    let length = chunked.len();
    let cases = [
        // Where a proxy believes the length and the server the chunks, the rest is a request of nobody.
        post(&format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"), &chunked),
        post(&format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"), &chunked),
        post(&format!("Content-Length: {length}\r\nContent-Length: 0\r\n"), SMUGGLED),
        post(&format!("Content-Length: 0\r\nContent-Length: {length}\r\n"), SMUGGLED),
        post(&format!("Content-Length: 0, {length}\r\n"), SMUGGLED),
        post("Content-Length: +0\r\n", SMUGGLED),
        post("Content-Length: -1\r\n", SMUGGLED),
        post("Content-Length: 0x0\r\n", SMUGGLED),
        post("Content-Length: 18446744073709551616\r\n", SMUGGLED),
        post("Content-Length:\r\n", SMUGGLED),
        post("Content-Length : 0\r\n", SMUGGLED),
        post("Transfer-Encoding: identity\r\n", &chunked),
        post("Transfer-Encoding: chunked, identity\r\n", &chunked),
        post("Transfer-Encoding: xchunked\r\n", &chunked),
        post("Transfer-Encoding : chunked\r\n", &chunked),
        post("Transfer-Encoding:\u{b}chunked\r\n", &chunked),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", &chunked),
        post(" Transfer-Encoding: chunked\r\n", &chunked),
        post("X-Folded: a\r\n b\r\nContent-Length: 0\r\n", SMUGGLED),
        post("Content-Length: 0\rX: y\r\n", SMUGGLED),
        post("Content-Length: 0\r\nX: a\0b\r\n", SMUGGLED),
        post("Transfer-Encoding: chunked\r\n", &format!("0x0\r\n\r\n{SMUGGLED}")),
        post("Transfer-Encoding: chunked\r\n", &format!("-1\r\n\r\n{SMUGGLED}")),
        post("Transfer-Encoding: chunked\r\n", &format!("10000000000000000\r\n\r\n{SMUGGLED}")),
        post("Transfer-Encoding: chunked\r\n", &format!("1\r\nab\r\n0\r\n\r\n{SMUGGLED}")),
        post("Transfer-Encoding: chunked\r\n", &format!("\r\n\r\n{SMUGGLED}")),
    ];
    for case in cases {
        let answer = raw(&registry, &case).await;
        let found = statuses(&answer);
        assert!(found.len() == 1 && (400..500).contains(&found[0]), "{case:?}\n{answer}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let registry = TestRegistry::start().await;
    let long = format!("GET /v2/{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(70_000));
    for nonsense in [
        "GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / v2/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "G\0T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nHost\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\n: a\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n",
        long.as_str(),
    ] {
        let answer = raw(&registry, nonsense).await;
        assert!(statuses(&answer).iter().all(|status| (400..500).contains(status)), "{nonsense:.80}: {answer}");
        assert!(statuses(&answer).len() <= 1, "{nonsense:.80}: {answer}");
    }
    // And nothing of it hurt.
    registry.client().get("/v2/").send().await.expect_status(200);
}

#[tokio::test]
async fn hosts_that_are_wrong_are_refused() {
    let registry = TestRegistry::start().await;
    for host in [
        "Host: a b",
        "Host: a/b",
        "Host: user@localhost",
        "Host: localhost:99999",
        "Host: ",
        "Host: a\r\nHost: b",
        "Host: localhost\r\nHost: localhost",
        "Host: [::1",
        "Host: ..",
        "Host: lo%63alhost",
    ] {
        let answer = raw(&registry, format!("GET /v2/ HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(statuses(&answer), [400], "{host}: {answer}");
    }
}

#[tokio::test]
async fn http_1_0_is_answered_and_ends_the_connection() {
    let registry = TestRegistry::start().await;
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    Repository::new(&registry.client(), "team/app").push_tagged(&image, "latest").await;
    let login = basic("admin", registry.admin_password());
    let blob = &image.blobs[0];
    let path = format!("/v2/team/app/blobs/{}", blob.digest);
    for host in ["", "Host: localhost\r\n"] {
        let answer = raw(&registry, format!("GET {path} HTTP/1.0\r\n{host}Authorization: {login}\r\n\r\n")).await;
        assert_eq!(statuses(&answer), [200], "{answer}");
        assert!(answer.ends_with(std::str::from_utf8(&blob.bytes).expect("a JSON config")), "{answer}");
        assert!(!answer.to_ascii_lowercase().contains("transfer-encoding"), "{answer}");
    }
    // Chunks are of HTTP/1.1.
    let chunked = "POST /oauth2/token HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(statuses(&raw(&registry, chunked).await), [400]);
}

#[tokio::test]
async fn absolute_targets_name_the_host() {
    let registry = TestRegistry::start().await;
    registry.core().put_registry(&"myreg".parse().expect("a name"), true).await.expect("a registry");
    let ask = async |target: &str, host: &str| {
        let answer =
            raw(&registry, format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        (statuses(&answer)[0], answer)
    };
    // The open registry answers 404 for what it has not, the closed one 401.
    assert_eq!(ask("http://myreg.localhost/v2/a/tags/list", "localhost").await.0, 404);
    assert_eq!(ask("http://localhost/v2/a/tags/list", "myreg.localhost").await.0, 401);
    let (status, answer) = ask("http://nobody.localhost/v2/", "localhost").await;
    assert!(status == 404 && answer.contains("NAME_UNKNOWN"), "{answer}");
    assert_eq!(ask("http://user:pass@localhost/v2/", "localhost").await.0, 400);
    assert_eq!(ask("http://localhost/v2/", "localhost").await.0, 401);
    // A target that is none of ours.
    for target in ["*", "/%76%32/", "//v2/", "/v2/../v2/", "/v2/#x"] {
        let (status, answer) = ask(target, "localhost").await;
        assert!(matches!(status, 400 | 401 | 404), "{target}: {answer}");
    }
}

/// A client that asks first wants to hear a refusal before it sends.
#[tokio::test]
async fn who_expects_100_is_refused_before_the_body_and_asked_for_it_otherwise() {
    let registry = TestRegistry::start().await;
    let head = |login: &str, target: &str| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: {}\r\n{login}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
            registry.addr()
        )
    };
    let target = format!("/v2/team/app/blobs/uploads/?digest={}", Digest::sha256(b"12345"));
    let mut stream = TcpStream::connect(registry.addr()).await.expect("connect");
    stream.write_all(head("", &target).as_bytes()).await.expect("send");
    let answer = read_head(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");

    let login = format!("Authorization: {}\r\n", basic("admin", registry.admin_password()));
    let mut stream = TcpStream::connect(registry.addr()).await.expect("connect");
    stream.write_all(head(&login, &target).as_bytes()).await.expect("send");
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 100"));
    stream.write_all(b"12345").await.expect("send");
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 201"));
}

/// Sends a PATCH that never ends as it says, and returns the offset that the session then has.
async fn broken_patch(registry: &TestRegistry, location: &str, framing: &str, sent: &[u8]) -> String {
    let login = bearer(registry, &["repository:team/app:push"]).await;
    let mut stream = TcpStream::connect(registry.addr()).await.expect("connect");
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nHost: {}\r\nAuthorization: {login}\r\nContent-Type: application/octet-stream\r\n\
         {framing}\r\nConnection: close\r\n\r\n",
        registry.addr()
    );
    stream.write_all(head.as_bytes()).await.expect("send");
    stream.write_all(sent).await.expect("send");
    stream.shutdown().await.expect("half closed");
    let answer = read_to_end(&mut stream).await;
    assert!(statuses(&answer).iter().all(|status| (400..500).contains(status)), "{answer}");
    // The answer, if there is one, comes after the session was settled; without one the server is still at it.
    let begun = Instant::now();
    loop {
        let reply = registry.client().get(location).send().await.expect_status(204);
        let range = reply.header("range").unwrap_or_default();
        if range != "0-0" || !statuses(&answer).is_empty() || begun.elapsed() > Duration::from_secs(10) {
            return range;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_upload_that_breaks_goes_on_from_what_arrived() {
    let registry = TestRegistry::start().await;
    let repository = Repository::new(&registry.client(), "team/app");
    let content = Seed::new(1).bytes(1000);
    let digest = Digest::sha256(&content);
    let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let cut = content[..600].to_vec();
    let chunks = chunk(&cut);
    let bad_size = [chunks.as_slice(), b"zz\r\n"].concat();
    let no_end = [chunks.as_slice(), b"10\r\nshort"].concat();
    let cases: [(&str, Vec<u8>, std::ops::Range<usize>); 5] = [
        ("Content-Length: 1000", cut, 600..601),
        ("Content-Length: 1000\r\nContent-Range: 0-999", content[..600].to_vec(), 600..601),
        ("Transfer-Encoding: chunked", chunks, 600..601),
        ("Transfer-Encoding: chunked", bad_size, 600..601),
        ("Transfer-Encoding: chunked", no_end, 600..606),
    ];
    for (framing, sent, expected) in cases {
        let location = repository.start_upload().await;
        let range = broken_patch(&registry, &location, framing, &sent).await;
        let last: usize = range.strip_prefix("0-").and_then(|last| last.parse().ok()).expect("a range");
        let offset = last + 1;
        assert!(expected.contains(&offset), "{framing}: {range}");
        if offset != 600 {
            registry.client().delete(&location).send().await.expect_status(204);
            continue;
        }
        repository.patch(&location, 600, content.slice(600..)).await.expect_status(202);
        repository.close_upload(&location, &digest).await.expect_status(201);
        repository.get_blob(&digest).await.expect_status(200).expect_body(&content);
    }
    assert_eq!(uploads_left(&registry), 0);
}

/// A blob in one request has no session to go on with.
#[tokio::test]
async fn a_single_post_that_breaks_leaves_nothing() {
    let registry = TestRegistry::start().await;
    let login = bearer(&registry, &["repository:team/app:push"]).await;
    let digest = Digest::sha256(b"whole");
    let head = format!(
        "POST /v2/team/app/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: {}\r\nAuthorization: {login}\r\n\
         Content-Length: 1000\r\nConnection: close\r\n\r\nhalf",
        registry.addr()
    );
    let mut stream = TcpStream::connect(registry.addr()).await.expect("connect");
    stream.write_all(head.as_bytes()).await.expect("send");
    stream.shutdown().await.expect("half closed");
    let answer = read_to_end(&mut stream).await;
    assert!(statuses(&answer).iter().all(|status| *status == 400), "{answer}");
    let gone = async {
        while uploads_left(&registry) > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(HANGS, gone).await.expect("nothing is left");
    Repository::new(&registry.client(), "team/app").head_blob(&digest).await.expect_status(404);
}
