//! The principals that the policy knows, with what proves who they are.

use std::sync::Arc;

use aws_lc_rs::constant_time;
use aws_lc_rs::digest::{SHA256, digest};
use kogge_meta::{Credential, CredentialKind, PrincipalKind};
use kogge_types::{RegistryId, ResourceId};

use crate::auth::scope_map::ScopeMap;

/// The hash of a generated secret, and when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Secret {
    hash: [u8; 32],
    /// From when it is void, in microseconds since the Unix epoch; `None` is never.
    pub(crate) expires_at_us: Option<i64>,
}

impl Secret {
    pub(crate) fn of(text: &[u8], expires_at_us: Option<i64>) -> Self {
        Self { hash: secret_hash(text), expires_at_us }
    }

    fn read(credential: &Credential) -> Option<Self> {
        let hash = credential.value.as_slice().try_into().ok()?;
        Some(Self { hash, expires_at_us: credential.expires_at_us })
    }

    fn fits(&self, hash: &[u8; 32], now_us: i64) -> bool {
        let alive = self.expires_at_us.is_none_or(|expires_at_us| now_us < expires_at_us);
        constant_time::verify_slices_are_equal(&self.hash, hash).is_ok() && alive
    }
}

/// The form in which a generated secret is kept: it is too long to be guessed, so that a plain hash is enough.
pub(crate) fn secret_hash(secret: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, secret).as_ref());
    hash
}

/// The generated secrets of one principal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Secrets(pub(crate) Vec<Secret>);

impl Secrets {
    /// Those of `credentials` that are secrets.
    pub(crate) fn read(credentials: &[Credential]) -> Self {
        let secrets = credentials.iter().filter(|credential| credential.kind == CredentialKind::Secret);
        Self(secrets.filter_map(Secret::read).collect())
    }

    /// The secret that `password` is.
    pub(crate) fn find(&self, password: &str, now_us: i64) -> Option<&Secret> {
        let hash = secret_hash(password.as_bytes());
        // Every one is compared, so that the time tells nothing.
        self.0.iter().fold(None, |found, secret| if secret.fits(&hash, now_us) { Some(secret) } else { found })
    }

    /// A number that changes with the secrets: what was issued for earlier ones is void.
    pub(crate) fn epoch(&self) -> i64 {
        let mut every: Vec<u8> = Vec::with_capacity(self.0.len() * 32);
        every.extend(self.0.iter().flat_map(|secret| secret.hash));
        let hash = secret_hash(&every);
        i64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
    }
}

/// A user, a service principal, a managed identity or a group of the deployment.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: [u8; 16],
    pub(crate) kind: PrincipalKind,
    pub(crate) name: Arc<str>,
    /// A human password's hash in PHC form; empty without one.
    pub(crate) password: Arc<str>,
    pub(crate) secrets: Secrets,
    pub(crate) epoch: i64,
    pub(crate) enabled: bool,
    /// The groups that it belongs to.
    pub(crate) groups: Vec<[u8; 16]>,
}

/// A repository-scoped token of a registry.
#[derive(Debug, Clone)]
pub(crate) struct RepositoryToken {
    pub(crate) id: ResourceId,
    pub(crate) name: Arc<str>,
    pub(crate) registry: RegistryId,
    pub(crate) enabled: bool,
    pub(crate) rights: Arc<ScopeMap>,
    pub(crate) secrets: Secrets,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_fits_until_it_expires() {
        let secrets = Secrets(vec![Secret::of(b"one", None), Secret::of(b"two", Some(10))]);
        assert!(secrets.find("one", i64::MAX).is_some());
        assert!(secrets.find("two", 9).is_some());
        assert!(secrets.find("two", 10).is_none());
        assert!(secrets.find("three", 0).is_none());
        assert!(secrets.find("", 0).is_none());
        assert!(Secrets::default().find("", 0).is_none());
    }

    #[test]
    fn the_epoch_changes_with_the_secrets() {
        let one = Secrets(vec![Secret::of(b"one", None)]);
        let both = Secrets(vec![Secret::of(b"one", None), Secret::of(b"two", None)]);
        assert_eq!(one.epoch(), one.clone().epoch());
        assert_ne!(one.epoch(), both.epoch());
        assert_ne!(one.epoch(), Secrets::default().epoch());
    }
}
