//! The way to the keys of outside issuers.

use std::path::PathBuf;
use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use kogge_core::identity::issuer::{Fetch, FetchError, Fetched};
use kogge_types::limits;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};

use crate::config::Identity;

/// Fetches over the network: no redirects, bounded in time and size.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// PEM file of certificates that are believed beside the system's.
    authorities: Option<PathBuf>,
    clients: OnceLock<Clients>,
}

#[derive(Debug)]
struct Clients {
    /// Over TLS, by way of the proxies that the environment names.
    secure: Client,
    /// In clear, to this machine itself.
    local: Client,
}

/// A client that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    #[error("read the certificates in {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("{path} holds no usable PEM certificate")]
    Certificates { path: String },
    #[error("set up the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("kogge/", env!("CARGO_PKG_VERSION")))
        .timeout(limits::ISSUER_PATIENCE)
        .redirect(Policy::none())
}

impl Outbound {
    /// The way that `config` sets up: at once where issuers are trusted, so that a mistake is seen at the start; else
    /// when it is first used, as a machine may have no certificates that it trusts.
    pub(crate) fn new(config: &Identity) -> Result<Self, OutboundError> {
        let outbound = Self { authorities: config.ca_file.clone(), clients: OnceLock::new() };
        if config.ca_file.is_some() || !config.issuer.is_empty() {
            outbound.clients()?;
        }
        Ok(outbound)
    }

    fn clients(&self) -> Result<&Clients, OutboundError> {
        if let Some(clients) = self.clients.get() {
            return Ok(clients);
        }
        let mut secure = builder().https_only(true);
        if let Some(path) = &self.authorities {
            let name = path.display().to_string();
            let text = std::fs::read(path).map_err(|source| OutboundError::Read { path: name.clone(), source })?;
            let certificates = Certificate::from_pem_bundle(&text).ok().filter(|found| !found.is_empty());
            let certificates = certificates.ok_or(OutboundError::Certificates { path: name })?;
            secure = secure.tls_certs_merge(certificates);
        }
        let clients = Clients { secure: secure.build()?, local: builder().no_proxy().build()? };
        Ok(self.clients.get_or_init(|| clients))
    }

    async fn get(&self, url: &str) -> Result<Bytes, FetchError> {
        let clients = self.clients().map_err(|error| FetchError(error.to_string()))?;
        let client = if url.starts_with("https://") { &clients.secure } else { &clients.local };
        let failed = |error: reqwest::Error| FetchError(format!("{url}: {}", error.without_url()));
        let mut response = client.get(url).send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(FetchError(format!("{url} answers {}", response.status())));
        }
        let mut document = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            document.extend_from_slice(&chunk);
            if document.len() > limits::ISSUER_DOCUMENT_BYTES_MAX {
                return Err(FetchError(format!("{url} is too long")));
            }
        }
        Ok(document.freeze())
    }
}

impl Fetch for Outbound {
    fn fetch<'a>(&'a self, url: &'a str) -> Fetched<'a> {
        Box::pin(self.get(url))
    }
}
