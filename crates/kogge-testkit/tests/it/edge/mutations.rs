//! Fuzz targets behind the front door: tokens, forms, manifests and whole requests that were changed at random. The
//! server answers each with what a client did wrong, never with an error of its own.
//!
//! A fixed seed by default; `KOGGE_TEST_LONG=1` runs many more cases.

use http::StatusCode;
use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, Seed};
use kogge_testkit::http::{Reply, basic};
use kogge_testkit::repository::Repository;
use kogge_testkit::tier;
use kogge_types::media_type::OCI_MANIFEST;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{read_to_end, statuses};

const CASES: usize = 150;
const CASES_LONG: usize = 20_000;

fn cases() -> usize {
    if tier::is_long() { CASES_LONG } else { CASES }
}

fn below(seed: &mut Seed, bound: usize) -> usize {
    usize::try_from(seed.word() % bound.max(1) as u64).expect("below a usize")
}

/// `bytes` with one to four changes: a byte put, taken or flipped, a piece put in, a piece repeated, an end cut off.
fn mutate(seed: &mut Seed, bytes: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=below(seed, 4) {
        let at = below(seed, bytes.len() + 1);
        let end = bytes.len().min(at + 1 + below(seed, 20));
        match below(seed, 7) {
            0 => bytes.insert(at, u8::try_from(seed.word() % 256).expect("a byte")),
            1 => drop(bytes.drain(at..end)),
            2 | 3 => drop(bytes.splice(at..at, pieces[below(seed, pieces.len())].iter().copied())),
            4 => {
                let piece = bytes[at..end].repeat(1 + below(seed, 30));
                drop(bytes.splice(at..at, piece));
            }
            5 if at < bytes.len() => bytes[at] ^= 1 << below(seed, 8),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

fn check_blame(reply: &Reply, what: &[u8]) {
    assert!(!reply.status.is_server_error(), "{}: {}", String::from_utf8_lossy(what), reply.text());
}

#[tokio::test]
async fn a_token_that_was_changed_anywhere_opens_nothing() {
    let registry = TestRegistry::start().await;
    let token = registry.client().token(&["repository:a:pull"]).await.expect("a token");
    let seed = &mut Seed::new(1);
    for _ in 0..cases() {
        let pieces: [&[u8]; 7] = [b".", b"..", b"=", b"A", b"eyJhbGciOiJub25lIn0", b"-", b"_"];
        let changed = mutate(seed, token.as_bytes(), &pieces);
        let Ok(changed) = String::from_utf8(changed) else { continue };
        if changed.trim() == token || changed.bytes().any(|b| b.is_ascii_control()) {
            continue;
        }
        let client = registry.anonymous();
        let request = client.get("/v2/").header("authorization", format!("Bearer {changed}"));
        assert_eq!(request.send().await.status, StatusCode::UNAUTHORIZED, "{changed}");
    }
}

#[tokio::test]
async fn any_form_is_answered_and_gives_nobody_a_right() {
    let registry = TestRegistry::start().await;
    let seed = &mut Seed::new(2);
    let forms = [
        "grant_type=refresh_token&service=s&scope=repository:a:pull&refresh_token=a.b.c",
        "grant_type=access_token&service=s&tenant=t&access_token=a.b.c",
        "grant_type=password&service=s&scope=repository:a:pull+registry:catalog:*",
        "service=s&scope=repository:a:*&offline_token=true",
    ];
    let pieces: [&[u8]; 14] = [
        b"&",
        b"=",
        b"%",
        b"%00",
        b"%ff",
        b"+",
        b"scope=repository:a:pull",
        b"grant_type=password",
        b"refresh_token=",
        b"[]",
        b"\0",
        b"\xff",
        b"&&&&",
        b"access_type=offline",
    ];
    for number in 0..cases() {
        let form = mutate(seed, forms[number % forms.len()].as_bytes(), &pieces);
        let path = if number % 2 == 0 { "/oauth2/token" } else { "/oauth2/exchange" };
        let reply = registry.anonymous().post(path).body(form.clone()).send().await;
        check_blame(&reply, &form);
        if reply.status == StatusCode::OK {
            let token = reply.json()["access_token"].as_str().expect("an access token").to_owned();
            let client = registry.anonymous().with_bearer(&token);
            client.get("/v2/a/tags/list").send().await.expect_error(401, "UNAUTHORIZED");
            assert_eq!(reply.json().get("refresh_token"), None);
        }
    }
}

#[tokio::test]
async fn any_body_is_a_manifest_or_the_client_s_mistake() {
    let registry = TestRegistry::start().await;
    let repository = Repository::new(&registry.client(), "team/app");
    let image = ImageBuilder::new(&mut Seed::new(1)).annotation("a", "b").build();
    repository.push(&image).await;
    let subject = image.root().descriptor().to_string();
    let member = format!("\"subject\":{subject},");
    let pieces: [&[u8]; 14] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\\u0000",
        b"\\ud83d",
        b"\xff",
        b"1e999",
        b"18446744073709551615",
        b"null",
        member.as_bytes(),
    ];
    let seed = &mut Seed::new(3);
    let digest = image.root().digest;
    for _ in 0..cases() {
        let body = mutate(seed, &image.root().bytes, &pieces);
        let put = repository.client().put(repository.manifest_path("latest")).header("content-type", OCI_MANIFEST);
        let reply = put.body(body.clone()).send().await;
        check_blame(&reply, &body);
        if reply.status == StatusCode::CREATED {
            repository.get_manifest("latest").await.expect_status(200).expect_body(&body);
            let list = repository.referrers(digest, "").await.expect_status(200);
            assert!(list.json()["manifests"].is_array());
        }
    }
    registry.client().get("/acr/v1/team/app/_manifests").send().await.expect_status(200);
}

#[tokio::test]
async fn any_request_is_answered_or_cut_and_the_next_one_is_served() {
    let registry = TestRegistry::start().await;
    let host = registry.addr();
    let login = basic("admin", registry.admin_password());
    let digest = kogge_types::Digest::sha256(b"12345");
    let requests = [
        format!(
            "GET /v2/a/tags/list?n=5&last=b HTTP/1.1\r\nHost: {host}\r\nAuthorization: {login}\r\nRange: bytes=0-1\r\n\r\n"
        ),
        format!(
            "POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {login}\r\nContent-Length: 5\r\n\r\n12345"
        ),
        format!(
            "GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {login}\r\nRange: bytes=0-1,3-\r\nIf-Range: x\r\n\r\n"
        ),
        format!(
            "PUT /v2/a/manifests/b HTTP/1.1\r\nHost: {host}\r\nAuthorization: {login}\r\nTransfer-Encoding: chunked\r\nContent-Type: {OCI_MANIFEST}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
        ),
        "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 19\r\n\r\ngrant_type=password".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x10\0\0\x01\x01\x05\0\0\0\x01\x02"
            .to_owned(),
    ];
    let pieces: [&[u8]; 18] = [
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b"\0",
        b"\xff",
        b"/",
        b"%",
        b"HTTP/1.0",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Expect: 100-continue\r\n",
        b"X: y\r\n",
        b"Range: bytes=0-\r\n",
        b"traceparent: 00-0-0-0\r\n",
    ];
    let seed = &mut Seed::new(4);
    for number in 0..cases() {
        let request = mutate(seed, requests[number % requests.len()].as_bytes(), &pieces);
        let mut stream = TcpStream::connect(host).await.expect("connect");
        // The server may have hung up before it has all of it.
        let sent = stream.write_all(&request).await;
        if sent.is_ok() {
            let _ = stream.shutdown().await;
        }
        let answer = read_to_end(&mut stream).await;
        let found = statuses(&answer);
        assert!(found.iter().all(|status| *status < 500), "{}\n{answer}", String::from_utf8_lossy(&request));
    }
    registry.client().get("/v2/").send().await.expect_status(200);
}
