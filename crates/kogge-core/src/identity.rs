//! The authority: who is known here, how each proves who he is, and the tokens that he is given for it.
//!
//! [`audience`] and [`refusal`] are OAuth's vocabulary. One file a way to log in: `client` (a service principal's
//! secret, certificate or outside token), `code`, `device`, `person` (a password), `refresh`. `token` signs and
//! verifies, `issuer` trusts others, `user`, `group` and `service_principal` keep the directory.

mod assertion;
pub mod audience;
pub mod certificate;
mod client;
pub mod code;
pub mod device;
pub mod federation;
pub mod group;
pub mod issuer;
mod jwk;
mod jwt;
pub mod person;
mod pkce;
pub mod principal;
mod refresh;
pub mod refusal;
pub mod service_principal;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod token;
pub mod user;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use kogge_types::Clock;

use crate::core::Core;
use crate::identity::issuer::{Fetch, Issuers};
use crate::identity::settings::IdentitySettings;

pub use client::ClientProof;
pub use service_principal::NewCredential;
pub use token::{Purpose, TokenSet};

/// What the authority keeps in memory.
#[derive(Debug)]
pub(crate) struct Identity {
    settings: ArcSwap<IdentitySettings>,
    pub(crate) issuers: Issuers,
    pub(crate) devices: Mutex<device::UnderWay>,
}

impl Identity {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            settings: ArcSwap::default(),
            issuers: Issuers::new(clock),
            devices: Mutex::new(device::UnderWay(VecDeque::new())),
        }
    }

    pub(crate) fn settings(&self) -> Arc<IdentitySettings> {
        self.settings.load_full()
    }

    fn devices(&self) -> std::sync::MutexGuard<'_, device::UnderWay> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a request for a token reached the authority.
#[derive(Debug, Clone, Copy)]
pub struct Desk<'a> {
    /// The authority's name as the client wrote it: `https://host[:port]/adfs`.
    pub issuer: &'a str,
    /// Where the client is.
    pub client: IpAddr,
}

impl Core {
    /// Sets whom the authority serves and trusts, and how it reaches outside issuers.
    pub fn set_identity(&self, settings: IdentitySettings, fetch: Arc<dyn Fetch>) {
        self.identity.settings.store(Arc::new(settings));
        self.identity.issuers.reach_by(fetch);
    }

    /// Whom the authority serves and trusts.
    pub fn identity_settings(&self) -> Arc<IdentitySettings> {
        self.identity.settings()
    }
}
