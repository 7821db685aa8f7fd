//! The server: its listeners, and how it stops.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::accept::Door;
use super::connection::{Builders, Shared, Stop};
use super::gate::Gate;
use super::settings::BACKLOG;
use super::{Handler, ListenConfig, descriptors};
use crate::metrics::ConnectionMetrics;
use crate::tls::Tls;

/// Listeners that are bound but do not serve yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
    config: ListenConfig,
    tls: Option<Tls>,
    metrics: ConnectionMetrics,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Connections ever served.
    pub accepted: u64,
    /// Connections that were still busy when the time to stop was over.
    pub cut: u32,
}

impl Server {
    /// Binds every address, within a runtime. Also raises the process's limit of open files to what it may have.
    ///
    /// # Errors
    /// An address that cannot be bound; the message names it.
    pub fn bind(config: &ListenConfig, tls: Option<Tls>) -> io::Result<Self> {
        if let Some(files) = descriptors::raise_limit()
            && files < u64::from(config.limits.max_connections) * 2
        {
            tracing::warn!(files, max_connections = config.limits.max_connections, "few open files are allowed");
        }
        let listeners = config.addresses.iter().map(|address| bind(*address)).collect::<io::Result<_>>()?;
        Ok(Self { listeners, config: config.clone(), tls, metrics: ConnectionMetrics::default() })
    }

    /// Counts with these metrics.
    #[must_use]
    pub fn with_metrics(self, metrics: ConnectionMetrics) -> Self {
        Self { metrics, ..self }
    }

    /// The addresses that are bound, in the order of the configuration, with the ports that were picked.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Serves until `shutdown` is done. Then no connection is accepted, idle ones are closed, running requests may
    /// finish within the limit, and the rest is cut.
    pub async fn run<H: Handler>(self, handler: H, shutdown: impl Future<Output = ()>) -> Report {
        let limits = self.config.limits;
        let (stop, stopped) = watch::channel(Stop::No);
        let room = Arc::new(Semaphore::new(limits.max_connections as usize));
        let builders = Builders::new(&limits);
        let metrics = self.metrics;
        let shared = Shared { handler, tls: self.tls, limits: limits.clone(), builders, metrics: metrics.clone() };
        let gate = Gate::new(limits.connections_per_address, &self.config.exempt);
        let door = Door { shared: Arc::new(shared), gate, room: room.clone(), stop: stopped };
        let loops: Vec<_> =
            self.listeners.into_iter().map(|listener| tokio::spawn(door.clone().accept_until_stop(listener))).collect();
        drop(door);
        shutdown.await;

        stop.send_replace(Stop::Drain);
        for accepting in loops {
            // An accept loop neither panics nor is aborted; if it did, there is nothing left to wait for.
            let _ = accepting.await;
        }
        let all = room.acquire_many(limits.max_connections);
        let cut = match timeout(limits.stop_timeout, all).await {
            Ok(_) => 0,
            Err(_) => {
                let busy = limits.max_connections.saturating_sub(u32::try_from(room.available_permits()).unwrap_or(0));
                stop.send_replace(Stop::Cut);
                let _ = timeout(limits.stop_timeout, room.acquire_many(limits.max_connections)).await;
                busy
            }
        };
        Report { accepted: metrics.accepted.get(), cut }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart must not wait for the connections of the last run to be forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bound().map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}
