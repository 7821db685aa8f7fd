//! The accept loop of one listener.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

use super::connection::{self, Shared, Stop};
use super::gate::Gate;
use super::{Handler, Peer};

/// The first wait after an accept failed for want of something.
const BACKOFF_MIN: Duration = Duration::from_millis(10);
/// The longest such wait.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// What every accept loop of a server shares.
pub(super) struct Door<H> {
    pub(super) shared: Arc<Shared<H>>,
    pub(super) gate: Gate,
    /// One permit per connection.
    pub(super) room: Arc<Semaphore>,
    pub(super) stop: watch::Receiver<Stop>,
}

impl<H> Clone for Door<H> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), gate: self.gate.clone(), room: self.room.clone(), stop: self.stop.clone() }
    }
}

impl<H: Handler> Door<H> {
    /// Accepts until the server stops.
    pub(super) async fn accept_until_stop(mut self, listener: TcpListener) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = self.accept(&listener) => {}
            _ = stop.wait_for(|stop| *stop > Stop::No) => {}
        }
    }

    async fn accept(&mut self, listener: &TcpListener) {
        let mut backoff = BACKOFF_MIN;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    backoff = BACKOFF_MIN;
                    self.admit(stream).await;
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections; trying again");
                    self.shared.metrics.accept_failures.inc();
                    sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    async fn admit(&mut self, stream: TcpStream) {
        let metrics = &self.shared.metrics;
        // A connection that is gone again has no addresses.
        let Ok(peer) = peer(&stream, self.shared.tls.is_some()) else { return };
        let Some(admission) = self.gate.admit(peer.addr.ip()) else {
            metrics.rejected.inc();
            return;
        };
        let permit = match self.room.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                metrics.full.inc();
                match self.room.clone().acquire_owned().await {
                    Ok(permit) => permit,
                    Err(_) => return,
                }
            }
        };
        metrics.accepted.inc();
        metrics.open.inc();
        let (shared, stop) = (self.shared.clone(), self.stop.clone());
        tokio::spawn(async move {
            let _ended = Ended { open: shared.metrics.open.clone() };
            connection::serve(&shared, stream, peer, stop).await;
            drop((admission, permit));
        });
    }
}

/// Counts a connection as ended, even when its handler panicked.
struct Ended {
    open: prometheus_client::metrics::gauge::Gauge,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.open.dec();
    }
}

fn peer(stream: &TcpStream, tls: bool) -> io::Result<Peer> {
    // Without this, small answers wait for the client's delayed acknowledgement.
    stream.set_nodelay(true)?;
    let canonical = |address: std::net::SocketAddr| (address.ip().to_canonical(), address.port()).into();
    Ok(Peer { addr: canonical(stream.peer_addr()?), tls, local: canonical(stream.local_addr()?) })
}

/// Whether the error is about the connection that was to be accepted, so that the next one may go well (`accept(2)`).
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
