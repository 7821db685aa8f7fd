//! The server over real sockets, with limits short enough to be met.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{Handler, ListenConfig, Peer, Report, RequestBody, RequestBodyError, Server};
use crate::config::Limits;
use crate::metrics::ConnectionMetrics;

/// Longer than any limit of these tests: what takes this long hangs.
const HANGS: Duration = Duration::from_secs(30);
/// A limit that these tests wait for.
const SHORT: Duration = Duration::from_millis(200);

/// Says what it got; `/wait` answers when told to, `/endless` answers for ever.
#[derive(Clone, Default)]
pub(crate) struct Echo {
    arrived: Arc<Notify>,
    go_on: Arc<Notify>,
}

type EchoBody = BoxBody<Bytes, Infallible>;

impl Handler for Echo {
    type Body = EchoBody;

    async fn call(&self, peer: Peer, request: Request<RequestBody>) -> Response<EchoBody> {
        match request.uri().path() {
            "/wait" => {
                self.arrived.notify_one();
                self.go_on.notified().await;
            }
            "/endless" => return Response::new(endless()),
            _ => {}
        }
        let version = request.version();
        let (status, text) = match request.into_body().collect().await {
            Ok(body) => (StatusCode::OK, format!("{version:?} tls={} bytes={}", peer.tls, body.to_bytes().len())),
            Err(RequestBodyError::Stalled(_)) => (StatusCode::REQUEST_TIMEOUT, "stalled".to_owned()),
            Err(RequestBodyError::TooSlow(_)) => (StatusCode::REQUEST_TIMEOUT, "too slow".to_owned()),
            Err(RequestBodyError::Broken(_)) => (StatusCode::BAD_REQUEST, "broken".to_owned()),
        };
        let mut response = Response::new(Full::new(Bytes::from(text)).boxed());
        *response.status_mut() = status;
        response
    }
}

fn endless() -> EchoBody {
    let frame = || Ok::<_, Infallible>(Frame::data(Bytes::from(vec![0; 64 * 1024])));
    StreamBody::new(futures_util::stream::repeat_with(frame)).boxed()
}

pub(crate) fn local(limits: Limits) -> ListenConfig {
    ListenConfig { addresses: vec![SocketAddr::from(([127, 0, 0, 1], 0))], limits, exempt: Vec::new() }
}

struct Running {
    address: SocketAddr,
    handler: Echo,
    metrics: ConnectionMetrics,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Report>,
}

fn start(limits: Limits) -> Running {
    let (metrics, handler) = (ConnectionMetrics::default(), Echo::default());
    let server = Server::bind(&local(limits), None).expect("a free port").with_metrics(metrics.clone());
    let address = server.local_addrs()[0];
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move { drop(stopped.await) };
    let task = tokio::spawn(server.run(handler.clone(), shutdown));
    Running { address, handler, metrics, stop, task }
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("connected")
}

/// Everything until the server hangs up.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A connection that is cut may end in a reset.
    let _ = timeout(HANGS, stream.read_to_end(&mut text)).await.expect("the server hangs up");
    String::from_utf8_lossy(&text).into_owned()
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address).await;
    stream.write_all(request.as_bytes()).await.expect("sent");
    rest(&mut stream).await
}

/// Lets everything else run until `condition` holds.
async fn wait_for(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < HANGS, "it never happens");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn requests_are_answered_and_connections_are_kept() {
    let server = start(Limits::default());
    let first = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let last = "GET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answers = ask(server.address, &format!("{first}{last}")).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    assert!(answers.contains("HTTP/1.1 tls=false bytes=3"), "{answers}");
    assert_eq!(server.metrics.accepted.get(), 1);
}

#[tokio::test]
async fn http2_is_spoken_without_tls_by_those_who_begin_with_it() {
    let server = start(Limits::default());
    let stream = TokioIo::new(connect(server.address).await);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    let body = Full::new(Bytes::from(vec![7; 8 * 1024 * 1024]));
    let request = Request::post(format!("http://{}/", server.address)).body(body).expect("a request");
    let answer = client.send_request(request).await.expect("an answer").collect().await.expect("a body").to_bytes();
    assert_eq!(answer, "HTTP/2.0 tls=false bytes=8388608");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_cut() {
    let server = start(Limits { handshake_timeout: SHORT, ..Limits::default() });
    assert_eq!(ask(server.address, "").await, "");
    assert_eq!(server.metrics.cut_handshake.get(), 1);
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut() {
    let server = start(Limits { header_timeout: SHORT, ..Limits::default() });
    assert_eq!(ask(server.address, "GET / HTTP/1.1\r\nHost: a\r\nX-Drip: ").await, "");
    assert_eq!(server.metrics.cut_head.get(), 1);
}

#[tokio::test]
async fn a_second_head_that_does_not_end_is_cut() {
    let server = start(Limits { header_timeout: SHORT, ..Limits::default() });
    let mut stream = connect(server.address).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    let mut first = [0; 15];
    stream.read_exact(&mut first).await.expect("answered");
    stream.write_all(b"GET /").await.expect("sent");
    assert!(rest(&mut stream).await.contains("bytes=0"));
    assert_eq!(server.metrics.cut_head.get(), 1);
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_harm() {
    let server = start(Limits { idle_timeout: SHORT, ..Limits::default() });
    let answer = ask(server.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(server.metrics.cut_head.get() + server.metrics.cut_handshake.get(), 0);
}

#[tokio::test]
async fn a_body_that_stands_still_is_an_error_to_the_handler() {
    let server = start(Limits { body_stall_timeout: SHORT, ..Limits::default() });
    let answer = ask(server.address, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc").await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.ends_with("stalled"), "{answer}");
}

#[tokio::test]
async fn an_answer_that_is_not_taken_is_cut() {
    let server = start(Limits { write_stall_timeout: SHORT, ..Limits::default() });
    let mut stream = connect(server.address).await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    wait_for(|| server.metrics.cut_answer.get() == 1).await;
}

#[tokio::test]
async fn an_http2_window_that_stays_shut_is_cut() {
    let server = start(Limits { write_stall_timeout: SHORT, ..Limits::default() });
    let stream = TokioIo::new(connect(server.address).await);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), stream).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let request = Request::get(format!("http://{}/endless", server.address)).body(Full::default()).expect("a request");
    // The body is not read, so its window is never opened again.
    let unread = client.send_request(request).await.expect("an answer");
    let _ = timeout(HANGS, connection).await.expect("cut");
    drop(unread);
    assert_eq!(server.metrics.cut_answer.get(), 1);
}

#[tokio::test]
async fn further_connections_of_one_address_are_closed() {
    let server = start(Limits { connections_per_address: 2, ..Limits::default() });
    let request = "GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut kept = [connect(server.address).await, connect(server.address).await];
    for stream in &mut kept {
        stream.write_all(request.as_bytes()).await.expect("sent");
        server.handler.arrived.notified().await;
    }
    assert_eq!(ask(server.address, "").await, "");
    assert_eq!(server.metrics.rejected.get(), 1);
    for stream in &mut kept {
        server.handler.go_on.notify_one();
        assert!(rest(stream).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn when_all_connections_are_taken_the_next_waits_for_one_to_end() {
    let server = start(Limits { max_connections: 1, ..Limits::default() });
    let mut first = connect(server.address).await;
    first.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("sent");
    server.handler.arrived.notified().await;
    let address = server.address;
    let second = tokio::spawn(ask(address, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    wait_for(|| server.metrics.full.get() == 1).await;
    assert_eq!(server.metrics.open.get(), 1);
    server.handler.go_on.notify_one();
    assert!(rest(&mut first).await.starts_with("HTTP/1.1 200"));
    assert!(second.await.expect("asked").starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn stopping_finishes_what_runs_and_refuses_what_is_new() {
    let server = start(Limits::default());
    let mut idle = connect(server.address).await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    idle.read_exact(&mut [0; 15]).await.expect("answered");
    let mut busy = connect(server.address).await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    server.handler.arrived.notified().await;
    server.stop.send(()).expect("running");
    rest(&mut idle).await;
    assert!(TcpStream::connect(server.address).await.is_err());
    server.handler.go_on.notify_one();
    let answer = rest(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.to_lowercase().contains("connection: close"), "{answer}");
    let report = timeout(HANGS, server.task).await.expect("in time").expect("no panic");
    assert_eq!(report, Report { accepted: 2, cut: 0 });
    assert_eq!(server.metrics.open.get(), 0);
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut() {
    let server = start(Limits { stop_timeout: SHORT, ..Limits::default() });
    let mut busy = connect(server.address).await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    server.handler.arrived.notified().await;
    server.stop.send(()).expect("running");
    let report = timeout(HANGS, server.task).await.expect("in time").expect("no panic");
    assert_eq!(report, Report { accepted: 1, cut: 1 });
    assert_eq!(rest(&mut busy).await, "");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let server = start(Limits::default());
    let config = ListenConfig { addresses: vec![server.address], ..local(Limits::default()) };
    let error = Server::bind(&config, None).expect_err("in use").to_string();
    assert!(error.starts_with(&format!("cannot listen on {}", server.address)), "{error}");
}

#[tokio::test]
async fn heads_are_bounded() {
    let server = start(Limits::default());
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(1024 * 1024));
    let (mut from, mut to) = connect(server.address).await.into_split();
    let sending = tokio::spawn(async move { to.write_all(head.as_bytes()).await });
    let mut answer = [0; 12];
    timeout(HANGS, from.read_exact(&mut answer)).await.expect("in time").expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 431");
    let _ = sending.await;
}
