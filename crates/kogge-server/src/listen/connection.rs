//! One connection from its first byte to its last.

use std::pin::pin;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use kogge_types::limits::REQUEST_HEAD_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::body::{Active, Answer, Guarded};
use super::pace::{Judge, Pace, Slow, Verdict};
use super::stream::Paced;
use super::{Handler, Peer, plain, settings};
use crate::config::Limits;
use crate::metrics::ConnectionMetrics;
use crate::tls::Tls;

/// How far the server is with stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop {
    No,
    /// Finish what runs.
    Drain,
    /// End now.
    Cut,
}

/// What every connection of a server shares.
pub(super) struct Shared<H> {
    pub(super) handler: H,
    pub(super) tls: Option<Tls>,
    pub(super) limits: Limits,
    pub(super) builders: Builders,
    pub(super) metrics: ConnectionMetrics,
}

/// The protocol settings, made once: what ALPN picked, or what the first bytes show.
pub(super) struct Builders {
    detect: Builder<TokioExecutor>,
    http1: Builder<TokioExecutor>,
    http2: Builder<TokioExecutor>,
}

impl Builders {
    pub(super) fn new(limits: &Limits) -> Self {
        let detect = builder(limits);
        Self { http1: detect.clone().http1_only(), http2: detect.clone().http2_only(), detect }
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let head_bytes_max = u32::try_from(REQUEST_HEAD_BYTES_MAX).unwrap_or(u32::MAX);
    let ping = (limits.idle_timeout / 2).max(std::time::Duration::from_secs(1));
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The connection's own judge does this without a timer per request.
        .header_read_timeout(None)
        .max_buf_size(settings::H1_BUFFER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(settings::H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(settings::H2_CONNECTION_WINDOW_BYTES)
        .max_frame_size(settings::H2_FRAME_BYTES_MAX)
        .max_concurrent_streams(settings::H2_STREAMS_MAX)
        .max_send_buf_size(settings::H2_SEND_BUFFER_BYTES_MAX)
        .max_header_list_size(head_bytes_max)
        .keep_alive_interval(ping)
        .keep_alive_timeout(limits.handshake_timeout);
    builder
}

/// Serves one accepted connection until it ends.
pub(super) async fn serve<H: Handler>(
    shared: &Shared<H>,
    stream: TcpStream,
    peer: Peer,
    mut stop: watch::Receiver<Stop>,
) {
    let Some(tls) = &shared.tls else {
        return converse(shared, &shared.builders.detect, stream, peer, stop).await;
    };
    let handshake = async {
        if plain::is_plain_http(&stream).await? {
            plain::say_so(stream).await;
            return Ok(None);
        }
        tls.accept(stream, peer.local.ip()).await.map(Some)
    };
    let handshake = timeout(shared.limits.handshake_timeout, handshake);
    let encrypted = tokio::select! {
        done = handshake => done,
        _ = stop.wait_for(|stop| *stop > Stop::No) => return,
    };
    match encrypted {
        Err(_) => count(&shared.metrics, Slow::Handshake),
        Ok(Err(error)) => {
            shared.metrics.tls_failures.inc();
            tracing::debug!(peer = %peer.addr, %error, "TLS handshake failed");
        }
        Ok(Ok(None)) => {}
        Ok(Ok(Some(stream))) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let builder = if http2 { &shared.builders.http2 } else { &shared.builders.http1 };
            converse(shared, builder, stream, peer, stop).await;
        }
    }
}

async fn converse<H: Handler, S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    shared: &Shared<H>,
    builder: &Builder<TokioExecutor>,
    stream: S,
    peer: Peer,
    mut stop: watch::Receiver<Stop>,
) {
    let pace = Arc::new(Pace::default());
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let active = Active::begin(pace.clone(), request.version() == http::Version::HTTP_2);
        let handler = shared.handler.clone();
        let request = request.map(|body| Guarded::new(body, &shared.limits));
        async move {
            let response = handler.call(peer, request).await;
            Ok::<_, std::convert::Infallible>(response.map(|body| Answer::new(body, active)))
        }
    });
    let io = TokioIo::new(Paced::new(stream, pace.clone()));
    let mut connection = pin!(builder.serve_connection(io, service));
    let interval = Judge::interval(&shared.limits);
    let mut judge = Judge::new(&shared.limits, Instant::now());
    let mut look = pin!(sleep_until(Instant::now() + interval));
    let mut farewell: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(peer = %peer.addr, error = &*error, "connection ended early");
                }
                return;
            }
            () = look.as_mut() => {
                let now = Instant::now();
                match judge.look(&pace, now) {
                    Verdict::Fine => {}
                    Verdict::Cut(slow) => return count(&shared.metrics, slow),
                    Verdict::Idle => {
                        let since = *farewell.get_or_insert(now);
                        if now - since >= shared.limits.handshake_timeout {
                            return;
                        }
                        connection.as_mut().graceful_shutdown();
                    }
                }
                look.as_mut().reset(now + interval);
            }
            changed = stop.changed() => {
                // A server that is gone has stopped.
                let stop = if changed.is_ok() { *stop.borrow() } else { Stop::Cut };
                match stop {
                    Stop::No => {}
                    Stop::Drain => connection.as_mut().graceful_shutdown(),
                    Stop::Cut => return,
                }
            }
        }
    }
}

fn count(metrics: &ConnectionMetrics, slow: Slow) {
    match slow {
        Slow::Handshake => metrics.cut_handshake.inc(),
        Slow::Head => metrics.cut_head.inc(),
        Slow::Answer => metrics.cut_answer.inc(),
    };
}
