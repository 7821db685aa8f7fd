//! What the listeners need to know.

use std::net::SocketAddr;

use ipnet::IpNet;
use kogge_types::limits;

use crate::config::{Config, Limits};

/// What the listeners need to know.
#[derive(Debug, Clone)]
pub struct ListenConfig {
    /// Addresses to bind; port 0 picks a free one.
    pub addresses: Vec<SocketAddr>,
    pub limits: Limits,
    /// Networks that the bound per address does not hold for.
    pub exempt: Vec<IpNet>,
}

impl From<&Config> for ListenConfig {
    fn from(config: &Config) -> Self {
        Self {
            addresses: config.server.listen.clone(),
            limits: config.limits.clone(),
            exempt: config.server.trusted_proxies.clone(),
        }
    }
}

/// Connections that wait in the kernel until they are accepted.
pub(super) const BACKLOG: u32 = 4096;
/// Bytes that an HTTP/1 connection reads ahead or gathers before a write; a head must fit in.
pub(super) const H1_BUFFER_BYTES_MAX: usize = limits::REQUEST_HEAD_BYTES_MAX;
/// Bytes that a client may send on one HTTP/2 stream before the handler takes them.
pub(super) const H2_STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// The same for all streams of a connection together.
pub(super) const H2_CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// Bytes of one HTTP/2 frame.
pub(super) const H2_FRAME_BYTES_MAX: u32 = 256 * 1024;
/// Requests at once on one HTTP/2 connection.
pub(super) const H2_STREAMS_MAX: u32 = 128;
/// Bytes that one HTTP/2 stream holds for a client whose window is shut.
pub(super) const H2_SEND_BUFFER_BYTES_MAX: usize = 512 * 1024;
