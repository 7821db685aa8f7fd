//! TLS on the listeners: certificates from files that are read again when they change, or from a local authority.

pub(crate) mod authority;
mod files;
mod issue;
#[cfg(test)]
mod tests;
mod validity;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kogge_types::Clock;
use rustls::ServerConfig;
use rustls::server::ResolvesServerCert;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::{Server, TlsMode};
use files::Files;
use issue::{Issuer, Names};

/// How often certificate files are looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// The folder of the local authority, in the data directory.
pub(crate) const FOLDER: &str = "tls";

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} holds no {what} in PEM form", path.display())]
    Pem { path: PathBuf, what: &'static str },
    #[error("the certificate and the key cannot be used together: {0}")]
    Pair(rustls::Error),
    #[error("cannot issue a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    #[error(
        "{} has no key beside it: put ca-key.pem back, or remove ca.pem to make a new authority, which every client \
         must then trust", .0.display()
    )]
    KeyMissing(PathBuf),
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// TLS for the listeners. Clones share certificates.
#[derive(Debug, Clone)]
pub struct Tls {
    source: Source,
    /// Everything but the certificates.
    base: Arc<ServerConfig>,
}

#[derive(Debug, Clone)]
enum Source {
    Files(Arc<Files>),
    Authority(Arc<Issuer>),
}

impl Tls {
    /// TLS as configured; `None` when it is off. With `auto` this makes the local authority if there is none yet.
    ///
    /// # Errors
    /// Files that are missing, unreadable or do not fit each other.
    pub fn open(server: &Server, clock: Arc<dyn Clock>) -> Result<Option<Self>, TlsError> {
        let source = match &server.tls {
            TlsMode::Off => return Ok(None),
            TlsMode::Files { certificate, key } => {
                Source::Files(Arc::new(Files::open(certificate.clone(), key.clone())?))
            }
            TlsMode::Auto => {
                let authority = authority::Authority::open(&server.data_dir.join(FOLDER), &*clock)?;
                Source::Authority(Arc::new(Issuer::new(authority, Names::of(server), clock)))
            }
        };
        let resolver: Arc<dyn ResolvesServerCert> = match &source {
            Source::Files(files) => files.clone(),
            Source::Authority(issuer) => Arc::new(issuer.for_address(None)),
        };
        Ok(Some(Self { source, base: Arc::new(settings(resolver)?) }))
    }

    /// Does the handshake. `local` is this end's address, for clients that name no host.
    ///
    /// # Errors
    /// A handshake that fails.
    pub(crate) async fn accept(&self, stream: TcpStream, local: IpAddr) -> io::Result<TlsStream<TcpStream>> {
        let config = match &self.source {
            Source::Files(_) => self.base.clone(),
            Source::Authority(issuer) => {
                let mut config = ServerConfig::clone(&self.base);
                config.cert_resolver = Arc::new(issuer.for_address(Some(local)));
                Arc::new(config)
            }
        };
        TlsAcceptor::from(config).accept(stream).await
    }

    /// Reads certificate files again when they change, and on SIGHUP. A new pair that is broken is reported, and the
    /// old one stays. Never ends; there is nothing to watch for a local authority.
    pub async fn watch(&self) {
        let Source::Files(files) = &self.source else { return std::future::pending().await };
        files.watch(WATCH_INTERVAL).await;
    }

    /// How a client learns to trust the local authority; `None` with certificates of the operator's own.
    pub fn trust_hint(&self) -> Option<String> {
        let Source::Authority(issuer) = &self.source else { return None };
        Some(trust_hint(issuer.authority_path()))
    }
}

fn trust_hint(path: &Path) -> String {
    let path = path.display();
    format!(
        "certificates come from a local authority; each client must trust {path} once:\n  \
         docker:         copy it to /etc/docker/certs.d/<host:port>/ca.crt\n  \
         podman, skopeo: copy it to /etc/containers/certs.d/<host:port>/ca.crt\n  \
         Debian, Ubuntu: copy it to /usr/local/share/ca-certificates/kogge.crt and run update-ca-certificates\n  \
         Fedora, RHEL:   copy it to /etc/pki/ca-trust/source/anchors/ and run update-ca-trust\n  \
         one program:    SSL_CERT_FILE={path}, or curl --cacert {path}"
    )
}

/// TLS 1.2 and 1.3, HTTP/2 preferred, sessions resumed by tickets that this process alone can read.
fn settings(resolver: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder.map_err(TlsError::Setup)?.with_no_client_auth().with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(TlsError::Setup)?;
    Ok(config)
}
