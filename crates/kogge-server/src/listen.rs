//! The listeners: connections are accepted, bounded, encrypted, spoken to in HTTP/1.1 or HTTP/2, and cut when they are
//! too slow.
//!
//! # How slow clients are cut
//! A connection is judged by what the *client* owes, never by how long the registry takes:
//! - A new connection must send its first byte, and finish its TLS handshake, within `handshake_timeout`.
//! - From the first byte of a request's head to its last, `header_timeout`; with no request at all, `idle_timeout`.
//!   One timer per connection looks at counters that the byte stream ([`stream`]) and the service keep ([`pace`]), so
//!   that a request costs no timer of its own; a limit is therefore enforced up to a quarter late.
//! - A request body is guarded where it is read ([`body`]), because only there is it known that the handler waits for
//!   the client: a stall or a rate below the minimum is an error to the handler, which can answer 408 and clean up. One
//!   stalled HTTP/2 stream does not hurt its neighbours.
//! - An answer that is ready but that the client does not take is cut by the connection's timer: on the byte stream
//!   (the socket takes no byte), and for each HTTP/2 stream (its window stays shut while others move).
//!
//! # Bounds
//! Connections in all: when there are as many as allowed, nothing is accepted until one ends, and the kernel's queue
//! holds the rest. Connections of one address: further ones are closed at once; trusted proxies are exempt. Accept
//! errors such as "too many open files" back off instead of spinning.

mod accept;
mod body;
mod connection;
mod descriptors;
mod gate;
mod pace;
mod plain;
mod server;
mod settings;
mod stream;
#[cfg(test)]
pub(crate) mod tests;

use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;

pub use body::{Guarded, RequestBody, RequestBodyError};
pub use server::{Report, Server};
pub use settings::ListenConfig;

/// Any error, for bodies.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The other end's address: the client's, or a proxy's. An IPv4 address is never in IPv6 form.
    pub addr: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// This end's address.
    pub local: SocketAddr,
}

/// What answers requests.
pub trait Handler: Clone + Send + Sync + 'static {
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    /// Answers one request. The future is dropped when the client goes away.
    fn call(
        &self,
        peer: Peer,
        request: http::Request<RequestBody>,
    ) -> impl Future<Output = http::Response<Self::Body>> + Send;
}
