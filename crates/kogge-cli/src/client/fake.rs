//! A registry that follows a script: one answer for each connection, and connections that break where it says so.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{Client, Transport};
use crate::credentials::Credential;

/// What is done with one connection.
pub(crate) struct Step {
    /// Bytes of the request's body after which the connection breaks, without an answer.
    break_after: Option<usize>,
    /// The answer's status line and headers, without those that frame the body.
    head: String,
    body: Vec<u8>,
    /// Bytes of the body that are sent before the connection breaks.
    sent: usize,
}

impl Step {
    /// Answers with a head such as `404 Not Found\r\nX: y`, and a body. `{addr}` stands for the fake's address.
    pub(crate) fn answer(head: &str, body: &[u8]) -> Self {
        Self { break_after: None, head: head.to_owned(), body: body.to_vec(), sent: body.len() }
    }

    /// Answers with only the first `sent` bytes of the body that the head promises.
    pub(crate) fn truncated(head: &str, body: &[u8], sent: usize) -> Self {
        Self { sent, ..Self::answer(head, body) }
    }

    /// Breaks the connection after so many bytes of the request's body.
    pub(crate) fn broken(break_after: usize) -> Self {
        Self { break_after: Some(break_after), ..Self::answer("", b"") }
    }
}

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The method and the target: `GET /v2/`.
    pub(crate) line: String,
    head: String,
    pub(crate) body_bytes: usize,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// The fake at work.
pub(crate) struct Fake {
    address: SocketAddr,
    seen: JoinHandle<Vec<Seen>>,
}

impl Fake {
    pub(crate) async fn start(script: Vec<Step>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let seen = tokio::spawn(async move {
            let mut seen = Vec::new();
            for step in script {
                let (connection, _) = listener.accept().await.expect("a connection");
                seen.push(follow(connection, step, address).await);
            }
            seen
        });
        Self { address, seen }
    }

    pub(crate) async fn client(&self, credential: Option<Credential>) -> Client {
        let transport = Transport { plain_http: true, ..Transport::default() };
        let host = self.address.to_string().parse().expect("an address is a host");
        Client::connect(host, &transport, credential).await.expect("nothing is asked yet")
    }

    /// The requests that came, once the script is through.
    pub(crate) async fn seen(self) -> Vec<Seen> {
        self.seen.await.expect("the script does not fail")
    }
}

async fn follow(mut connection: TcpStream, step: Step, address: SocketAddr) -> Seen {
    let mut read = Vec::new();
    let head_bytes = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        assert!(connection.read_buf(&mut read).await.expect("readable") > 0, "the head is cut off");
    };
    let head = String::from_utf8(read[..head_bytes].to_vec()).expect("text");
    let line = head.lines().next().expect("a line").trim_end_matches(" HTTP/1.1").to_owned();
    let mut seen = Seen { line, head, body_bytes: read.len() - head_bytes };
    let length: usize = seen.header("content-length").map_or(0, |length| length.parse().expect("a number"));
    let wanted = step.break_after.unwrap_or(length).min(length);
    let mut piece = vec![0; 64 * 1024];
    while seen.body_bytes < wanted {
        let room = piece.len().min(wanted - seen.body_bytes);
        let count = connection.read(&mut piece[..room]).await.expect("readable");
        assert!(count > 0, "the body is cut off");
        seen.body_bytes += count;
    }
    if step.break_after.is_none() {
        let head = step.head.replace("{addr}", &address.to_string());
        let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", step.body.len());
        connection.write_all(head.as_bytes()).await.expect("writable");
        if !seen.line.starts_with("HEAD") {
            connection.write_all(&step.body[..step.sent]).await.expect("writable");
        }
    }
    seen
}
