//! Issuers outside: their keys, found by discovery (OpenID Connect Discovery 1.0, 4), kept, and asked for again when a
//! token names one that is not known.

use std::collections::HashMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use kogge_types::{Clock, clock, limits};
use serde::Deserialize;

use crate::identity::jwk::{self, IssuerKey};
use crate::identity::jwt::{Claims, Unverified};

/// A document that could not be had.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(pub String);

/// What a fetch comes to.
pub type Fetched<'a> = Pin<Box<dyn Future<Output = Result<Bytes, FetchError>> + Send + 'a>>;

/// The way to the documents of outside issuers. Whoever implements it follows no redirects and bounds size
/// ([`limits::ISSUER_DOCUMENT_BYTES_MAX`]) and time ([`limits::ISSUER_PATIENCE`]).
pub trait Fetch: Debug + Send + Sync {
    /// The document at `url`.
    fn fetch<'a>(&'a self, url: &'a str) -> Fetched<'a>;
}

/// What is known of the issuers that were met.
#[derive(Debug)]
pub(crate) struct Issuers {
    clock: Arc<dyn Clock>,
    fetch: OnceLock<Arc<dyn Fetch>>,
    known: Mutex<HashMap<String, Arc<Known>>>,
}

/// One issuer. Who asks it holds the lock, so that everybody else who needs the answer waits for that one; who comes with
/// a key that is known waits for nobody.
#[derive(Debug, Default)]
struct Known {
    keys: Mutex<Keys>,
    asking: Arc<tokio::sync::Mutex<()>>,
}

/// One issuer's keys.
#[derive(Debug, Default)]
struct Keys {
    keys: Vec<IssuerKey>,
    fetched_at_us: Option<i64>,
    asked_at_us: Option<i64>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Keys {
    /// The key that `id` names; without a name the only one there is.
    fn find(&self, id: Option<&str>) -> Option<IssuerKey> {
        match id {
            Some(id) => self.keys.iter().find(|key| key.id.as_deref() == Some(id)).cloned(),
            None => self.keys.first().filter(|_| self.keys.len() == 1).cloned(),
        }
    }

    /// What is known of the key, when nobody needs to be asked for it, or nobody may be asked yet.
    fn settled(&self, id: Option<&str>, now_us: i64) -> Option<Option<IssuerKey>> {
        let within = |at_us: Option<i64>, life| at_us.is_some_and(|at_us| now_us - at_us < clock::micros(life));
        let found = self.find(id);
        let fresh = found.is_some() && within(self.fetched_at_us, limits::ISSUER_KEYS_LIFE);
        (fresh || within(self.asked_at_us, limits::ISSUER_REFRESH_MIN)).then_some(found)
    }
}

impl Known {
    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up what the issuer answered.
    fn learn(&self, issuer: &str, answer: Result<Vec<IssuerKey>, FetchError>, now_us: i64) {
        match answer {
            Ok(found) => {
                let mut keys = self.keys();
                keys.keys = found;
                keys.fetched_at_us = Some(now_us);
            }
            // The keys that are known stay good: the issuer may be out for a while.
            Err(error) => tracing::warn!(issuer, %error, "cannot get the keys of an outside issuer"),
        }
    }
}

impl Issuers {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, fetch: OnceLock::new(), known: Mutex::default() }
    }

    pub(super) fn reach_by(&self, fetch: Arc<dyn Fetch>) {
        // The first way is kept: there is one network.
        let _ = self.fetch.set(fetch);
    }

    /// The claims of `token`, when `issuer` has signed it. Whether the issuer is trusted, and the claims, are for the
    /// caller to judge.
    pub(crate) async fn verify(&self, issuer: &str, token: &Unverified<'_>, loopback: bool) -> Option<Claims> {
        let key = self.key(issuer, token.header.kid.as_deref(), loopback).await?;
        token.verify(&key.key).filter(|claims| claims.text("iss") == Some(issuer))
    }

    async fn key(&self, issuer: &str, id: Option<&str>, loopback: bool) -> Option<IssuerKey> {
        let known = {
            let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(issuer.to_owned()).or_default())
        };
        let now_us = self.clock.now_us();
        let settled = known.keys().settled(id, now_us);
        if let Some(found) = settled {
            // An answer that is under way may hold it.
            if found.is_some() || known.asking.try_lock().is_ok() {
                return found;
            }
        }
        let turn = Arc::clone(&known.asking).lock_owned().await;
        let settled = known.keys().settled(id, now_us);
        if let Some(found) = settled {
            return found;
        }
        known.keys().asked_at_us = Some(now_us);
        // The answer is waited for even when whoever made us ask goes away: others need it, and nobody asks again soon.
        let (learner, fetch, issuer) = (Arc::clone(&known), self.fetch.get().cloned(), issuer.to_owned());
        let asked = tokio::spawn(async move {
            let _turn = turn;
            let answer = ask(fetch, &issuer, loopback).await;
            learner.learn(&issuer, answer, now_us);
        });
        let _ = asked.await;
        let keys = known.keys();
        keys.find(id)
    }
}

/// The keys that `issuer` publishes now.
async fn ask(fetch: Option<Arc<dyn Fetch>>, issuer: &str, loopback: bool) -> Result<Vec<IssuerKey>, FetchError> {
    let fetch = fetch.ok_or_else(|| FetchError("there is no way to reach it".to_owned()))?;
    let get = async |url: &str| {
        if !may_fetch(url, loopback) {
            return Err(FetchError(format!("{url} is not https://")));
        }
        let fetched = tokio::time::timeout(limits::ISSUER_PATIENCE, fetch.fetch(url)).await;
        let document = fetched.map_err(|_| FetchError(format!("{url} took too long")))??;
        let fits = document.len() <= limits::ISSUER_DOCUMENT_BYTES_MAX;
        fits.then_some(document).ok_or_else(|| FetchError(format!("{url} is too long")))
    };
    let url = format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
    let discovery = get(&url).await?;
    let discovery: Discovery =
        serde_json::from_slice(&discovery).map_err(|error| FetchError(format!("{url}: {error}")))?;
    if discovery.issuer != issuer {
        return Err(FetchError(format!("{url} is of another issuer: {:?}", discovery.issuer)));
    }
    let keys = get(&discovery.jwks_uri).await?;
    jwk::read(&keys).ok_or_else(|| FetchError(format!("{} holds no keys", discovery.jwks_uri)))
}

/// Whether an issuer may be asked at `url`: over TLS, or without it on this machine itself when that is allowed.
pub fn may_fetch(url: &str, loopback: bool) -> bool {
    let plain = |url: &str| -> Option<bool> {
        let rest = url.strip_prefix("http://")?;
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        };
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        Some(host == "localhost" || address.is_ok_and(|address| address.is_loopback()))
    };
    url.starts_with("https://") || (loopback && plain(url) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_asked_over_tls_only_but_for_this_machine() {
        assert!(may_fetch("https://login.example.com/x", false));
        for local in ["http://127.0.0.1:5000/adfs", "http://localhost/adfs", "http://[::1]:5/adfs"] {
            assert!(may_fetch(local, true), "{local}");
            assert!(!may_fetch(local, false), "{local}");
        }
        for bad in ["http://login.example.com", "http://127.0.0.1@evil.com/", "http://localhost.evil.com", "file:///x"]
        {
            assert!(!may_fetch(bad, true), "{bad}");
        }
    }
}
