//! One process for each data directory, and how it stops.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use kogge_testkit::content::{ImageBuilder, Seed};
use kogge_testkit::http::basic;
use kogge_testkit::process::{PASSWORD, Process, Site};
use kogge_testkit::repository::Repository;

const CHUNK_BYTES: usize = 2 * 1024 * 1024;
/// Longer than any of these servers may need to stop.
const STOP_MAX: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_is_refused_and_told_of_the_first() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::new(folder.path().join("data"));
    let mut first = site.serve();
    let pid = format!("process {}", first.pid());
    let second = site.try_serve().expect_err("the data directory is in use");
    second.expect_failure(&["in use", &pid, &site.data_dir().display().to_string()]);
    let other = tempfile::tempdir().expect("a temporary folder");
    let backup = other.path().display().to_string();
    site.run(&["restore", &backup]).expect_failure(&["in use", &pid]);
    assert!(first.is_alive());
    first.client().get("/readyz").send().await.expect_status(200);
    first.kill();
    // The lock goes with the process, not with the file that a crash leaves.
    site.serve().stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_what_runs_and_refuses_what_is_new() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::new(folder.path().join("data"));
    let process = site.serve();
    let (location, content, mut chunk) = half_a_chunk(&process).await;
    process.terminate();
    wait_until_refused(process.addr());
    chunk.write_all(&content[CHUNK_BYTES / 2..]).expect("a running upload goes on");
    let mut answer = String::new();
    chunk.read_to_string(&mut answer).expect("a running upload is answered");
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    let status = process.wait();
    assert!(status.success(), "{status}");

    let process = site.serve();
    let status = process.client().get(&location).send().await.expect_status(204);
    status.expect_header("range", format_args!("0-{}", CHUNK_BYTES - 1));
    process.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_ever() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::new(folder.path().join("data")).with("KOGGE_LIMITS_STOP_TIMEOUT", "1s");
    let process = site.serve();
    let repository = Repository::new(&process.client(), "stop/kept");
    let image = ImageBuilder::new(&mut Seed::new(3)).build();
    repository.push_tagged(&image, "kept").await;
    let (_, _, _chunk) = half_a_chunk(&process).await;
    let begun = Instant::now();
    process.terminate();
    let status = process.wait();
    assert!(status.success(), "{status}");
    assert!(begun.elapsed() < STOP_MAX, "the stop took {:?}", begun.elapsed());

    let process = site.serve();
    let repository = Repository::new(&process.client(), "stop/kept");
    repository.get_manifest("kept").await.expect_status(200).expect_body(&image.root().bytes);
    process.stop();
}

/// Begins an upload, sends the first half of a chunk, and returns once the server has some of it: the upload's
/// location, the chunk, and the connection.
async fn half_a_chunk(process: &Process) -> (String, Vec<u8>, TcpStream) {
    let location = Repository::new(&process.client(), "stop/app").start_upload().await;
    let content = Seed::new(1).bytes(CHUNK_BYTES).to_vec();
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nContent-Length: {CHUNK_BYTES}\r\n\
         Expect: 100-continue\r\nConnection: close\r\n\r\n",
        process.addr(),
        basic("admin", PASSWORD),
    );
    let mut stream = TcpStream::connect(process.addr()).expect("the server listens");
    stream.write_all(head.as_bytes()).expect("the server reads");
    // The interim answer comes when the server begins to read the body: from then on the request runs.
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).expect("the server asks for the body");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&content[..CHUNK_BYTES / 2]).expect("the server reads");
    (location, content, stream)
}

/// Waits until nobody takes new connections at `addr`.
fn wait_until_refused(addr: SocketAddr) {
    let begun = Instant::now();
    while TcpStream::connect(addr).is_ok() {
        assert!(begun.elapsed() < STOP_MAX, "a stopping server takes new connections");
        std::thread::yield_now();
    }
}
