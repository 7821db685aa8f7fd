//! A certificate and its key in PEM files, read again when they change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::signal::unix::{SignalKind, signal};

use super::{TlsError, validity};

/// A pair of files and what they last held.
#[derive(Debug)]
pub(super) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
}

/// What shows that a file changed: modification time and size, `None` when it is not there.
type Look = [Option<(SystemTime, u64)>; 2];

impl Files {
    pub(super) fn open(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(load(&certificate, &key)?);
        Ok(Self { certificate, key, current })
    }

    /// Reads the files again; what they hold is served from the next handshake on.
    pub(super) fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(load(&self.certificate, &self.key)?));
        Ok(())
    }

    pub(super) async fn watch(&self, interval: Duration) {
        let mut seen = self.look();
        let mut hangup = signal(SignalKind::hangup()).ok();
        loop {
            let asked = match &mut hangup {
                Some(hangup) => tokio::time::timeout(interval, hangup.recv()).await.is_ok(),
                None => {
                    tokio::time::sleep(interval).await;
                    false
                }
            };
            let now = self.look();
            if !asked && now == seen {
                continue;
            }
            seen = now;
            match self.reload() {
                Ok(()) => tracing::info!(certificate = %self.certificate.display(), "certificate read again"),
                Err(error) => tracing::error!(%error, "the new certificate cannot be used; the old one stays"),
            }
        }
    }

    fn look(&self) -> Look {
        [&self.certificate, &self.key].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }
}

impl ResolvesServerCert for Files {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let pem = read(certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| TlsError::Pem { path: certificate.to_owned(), what: "certificate" })?;
    let private = PrivateKeyDer::from_pem_slice(&read(key)?);
    let private = private.map_err(|_| TlsError::Pem { path: key.to_owned(), what: "private key" })?;
    if let Some(end) = chain.first().and_then(|leaf| validity::not_after(leaf)) {
        tracing::info!(certificate = %certificate.display(), expires = %end, "certificate read");
    }
    CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()).map_err(TlsError::Pair)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}
