//! Passwords: checked slowly on purpose, remembered briefly, failures held back.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, Params};
use aws_lc_rs::hmac;
use kogge_meta::{Assignment, Commit, Registry};
use kogge_types::{Clock, Code, Entropy, clock, limits};
use tokio::sync::Semaphore;

use crate::auth::policy::{Grant, PrincipalId};
use crate::auth::throttle::Throttle;
use crate::auth::{Caller, LoginError};
use crate::core::Core;
use crate::error::{Error, Result};

/// ACR's name for "the password is a token".
const TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";
#[derive(Debug)]
pub(crate) struct Logins {
    clock: Arc<dyn Clock>,
    /// Keys the memory of good passwords, so that a dump of it shows none.
    memory_key: hmac::Key,
    remembered: Mutex<HashMap<[u8; 32], i64>>,
    checks: Arc<Semaphore>,
    throttle: Throttle,
}

impl Logins {
    pub(crate) fn new(clock: Arc<dyn Clock>, entropy: &dyn Entropy) -> Self {
        Self {
            throttle: Throttle::new(Arc::clone(&clock)),
            clock,
            memory_key: hmac::Key::new(hmac::HMAC_SHA256, &clock::random::<32>(entropy)),
            remembered: Mutex::default(),
            checks: Arc::new(Semaphore::new(limits::PASSWORD_CHECKS_MAX)),
        }
    }

    fn fingerprint(&self, secret: &str, password: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.memory_key);
        context.update(secret.as_bytes());
        context.update(&[0]);
        context.update(password.as_bytes());
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.sign().as_ref());
        fingerprint
    }

    fn remembers(&self, fingerprint: &[u8; 32]) -> bool {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let now_us = self.clock.now_us();
        if remembered.len() > limits::TOKEN_CACHE_ENTRIES_MAX {
            remembered.retain(|_, until_us| *until_us > now_us);
        }
        remembered.get(fingerprint).is_some_and(|until_us| *until_us > now_us)
    }

    fn remember(&self, fingerprint: [u8; 32]) {
        let until_us = self.clock.now_us().saturating_add(clock::micros(limits::PASSWORD_MEMORY));
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).insert(fingerprint, until_us);
    }

    /// Whether `password` is the one that `secret` was made of. One check at a time: each takes memory and time.
    async fn matches(&self, secret: Arc<str>, password: &str) -> Result<bool> {
        let permit = Arc::clone(&self.checks).acquire_owned().await.map_err(Error::internal)?;
        let password = password.to_owned();
        let checked = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let hash = PasswordHash::new(&secret).ok()?;
            // With the parameters that the hash itself names.
            Some(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        });
        let checked = checked.await.map_err(Error::internal)?;
        Ok(checked.unwrap_or(false))
    }
}

/// Argon2's memory in KiB, and its passes: as strong as the usual 19 MiB and two, at a third of the memory.
const ARGON2_KIB: u32 = 7_168;
const ARGON2_PASSES: u32 = 5;

fn hasher() -> Argon2<'static> {
    let params = Params::new(ARGON2_KIB, ARGON2_PASSES, 1, None).expect("the parameters are within argon2's bounds");
    Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
}

/// The PHC form of argon2id over `password`.
async fn hash_password(entropy: &dyn Entropy, password: &str) -> Result<String> {
    let (salt, password) = (clock::random::<16>(entropy), password.to_owned());
    let hashed = tokio::task::spawn_blocking(move || {
        hasher().hash_password_with_salt(password.as_bytes(), &salt).map(|hash| hash.to_string())
    });
    hashed
        .await
        .map_err(Error::internal)?
        .map_err(|error| Error::new(Code::Internal, format!("hash the password: {error}")))
}

impl Core {
    pub(crate) async fn check_password(
        &self,
        registry: &Registry,
        name: &str,
        password: &str,
        client: IpAddr,
    ) -> Result<Result<Caller, LoginError>> {
        if name == TOKEN_USER {
            return Ok(self.verify_refresh_token(registry, password));
        }
        if name.len() > limits::USER_NAME_CHARS_MAX {
            // No user has such a name, and nothing is kept of it.
            return Ok(Err(LoginError::Password));
        }
        let member = self.policy.load().member_named(name).cloned();
        if let Some(member) = &member {
            let fingerprint = self.logins.fingerprint(&member.secret, password);
            if self.logins.remembers(&fingerprint) {
                let principal = PrincipalId::User(member.id);
                return Ok(Ok(Caller::new(principal, Arc::clone(&member.name), None)));
            }
        }
        let _admission = match self.logins.throttle.admit(name, client) {
            Ok(admission) => admission,
            Err(retry_after) => return Ok(Err(LoginError::Throttled { retry_after })),
        };
        // An unknown name costs what a known one does.
        let secret = member.as_ref().map_or_else(|| Arc::from(NOBODY), |member| Arc::clone(&member.secret));
        let matches = self.logins.matches(secret, password).await?;
        match member.filter(|_| matches) {
            Some(member) => {
                self.logins.remember(self.logins.fingerprint(&member.secret, password));
                self.logins.throttle.note_success(name, client);
                Ok(Ok(Caller::new(PrincipalId::User(member.id), Arc::clone(&member.name), None)))
            }
            None => {
                self.logins.throttle.note_failure(name, client);
                Ok(Err(LoginError::Password))
            }
        }
    }

    /// Makes a user with a password and roles, or gives the one of that name new ones; its tokens are void then.
    pub async fn put_user(&self, name: &str, password: &str, grants: &[Grant]) -> Result<()> {
        if name.is_empty()
            || name.len() > limits::USER_NAME_CHARS_MAX
            || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@".contains(&b))
        {
            return Err(Error::new(
                Code::NameInvalid,
                "a user name is at most 64 letters, digits, '-', '_', '.' and '@'",
            ));
        }
        let secret = hash_password(self.entropy.as_ref(), password).await?;
        let id = clock::random(self.entropy.as_ref());
        let name = name.to_owned();
        let assignments: Vec<_> = grants
            .iter()
            .map(|grant| Assignment {
                role: grant.role.as_str().to_owned(),
                registry: grant.registry,
                repositories: grant.repositories.clone(),
            })
            .collect();
        self.meta
            .write(move |tx| {
                let change = tx.put_principal(&id, &name, &secret, &assignments)?;
                Ok::<_, Error>(Commit::new((), vec![change]))
            })
            .await?;
        self.reload_policy().await
    }

    /// Removes a user; its tokens are void at once. False when there is none of that name.
    pub async fn delete_user(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        let deleted = self
            .meta
            .write(move |tx| {
                let change = tx.delete_principal(&name)?;
                Ok::<_, Error>(Commit::new(change.is_some(), change.into_iter().collect()))
            })
            .await?;
        self.reload_policy().await?;
        Ok(deleted)
    }

    /// Whether there is a user of this name.
    pub fn has_user(&self, name: &str) -> bool {
        self.policy.load().member_named(name).is_some()
    }

    /// Whether `name` would log in with `password` now.
    pub async fn password_fits(&self, name: &str, password: &str) -> Result<bool> {
        let Some(member) = self.policy.load().member_named(name).cloned() else { return Ok(false) };
        self.logins.matches(Arc::clone(&member.secret), password).await
    }
}

/// A hash that no password fits.
const NOBODY: &str = "$argon2id$v=19$m=7168,t=5,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
