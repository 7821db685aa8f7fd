//! Passwords: checked slowly on purpose, remembered briefly, failures held back.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, Params};
use aws_lc_rs::hmac;
use kogge_meta::Registry;
use kogge_types::{Clock, Code, Entropy, clock, limits};
use tokio::sync::Semaphore;

use crate::auth::policy::member::{Member, Secret};
use crate::auth::subject::PrincipalId;
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

    /// Where failed logins are counted.
    pub(crate) fn throttle(&self) -> &Throttle {
        &self.throttle
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
        if let Some(caller) = self.check_generated(registry, name, password) {
            return Ok(Ok(caller));
        }
        self.check_person(name, password, client).await
    }

    /// Who shows a secret that was generated: the registry's admin user, one of its tokens, a service principal. Such
    /// secrets are too long to be guessed, so that a good one is never held back.
    fn check_generated(&self, registry: &Registry, name: &str, password: &str) -> Option<Caller> {
        let (policy, now_us) = (self.policy.load(), self.now_us());
        // What is made from a secret ends with it.
        let caller = |id: PrincipalId, name: &Arc<str>, secret: &Secret| {
            let caller = Caller::new(id, Arc::clone(name), None);
            match secret.expires_at_us {
                Some(expires_at_us) => caller.until(expires_at_us),
                None => caller,
            }
        };
        let is_admin = name.eq_ignore_ascii_case(registry.name.as_str());
        if let Some(secrets) = policy.admin_user(registry.id).filter(|_| is_admin)
            && let Some(secret) = secrets.find(password, now_us)
        {
            return Some(caller(PrincipalId::AdminUser(registry.id), &registry.name.as_str().into(), secret));
        }
        if let Some(token) = policy.token_named(registry.id, name)
            && token.enabled
            && let Some(secret) = token.secrets.find(password, now_us)
        {
            return Some(caller(PrincipalId::Token(token.id), &token.name, secret));
        }
        let member = policy.member_named(name).filter(|member| member.enabled)?;
        let secret = member.secrets.find(password, now_us)?;
        Some(caller(PrincipalId::Directory(member.id), &member.name, secret))
    }

    /// Who of the deployment logs in with a name and a password, or with an application id and a secret.
    pub async fn check_directory_login(
        &self,
        name: &str,
        password: &str,
        client: IpAddr,
    ) -> Result<Result<Caller, LoginError>> {
        let member = self.policy.load().member_named(name).filter(|member| member.enabled).cloned();
        match member.filter(|member| member.secrets.find(password, self.now_us()).is_some()) {
            Some(member) => Ok(Ok(Caller::new(PrincipalId::Directory(member.id), Arc::clone(&member.name), None))),
            None => self.check_person(name, password, client).await,
        }
    }

    /// A person's password: checked slowly, remembered briefly, failures held back.
    async fn check_person(&self, name: &str, password: &str, client: IpAddr) -> Result<Result<Caller, LoginError>> {
        if name.len() > limits::USER_NAME_CHARS_MAX {
            // No user has such a name, and nothing is kept of it.
            return Ok(Err(LoginError::Password));
        }
        let person = |member: &&Arc<Member>| member.enabled && !member.password.is_empty();
        let member = self.policy.load().member_named(name).filter(person).cloned();
        let caller = |member: &Member| Caller::new(PrincipalId::Directory(member.id), Arc::clone(&member.name), None);
        if let Some(member) = &member {
            let fingerprint = self.logins.fingerprint(&member.password, password);
            if self.logins.remembers(&fingerprint) {
                return Ok(Ok(caller(member)));
            }
        }
        let _admission = match self.logins.throttle.admit(name, client) {
            Ok(admission) => admission,
            Err(retry_after) => return Ok(Err(LoginError::Throttled { retry_after })),
        };
        // An unknown name costs what a known one does.
        let secret = member.as_ref().map_or_else(|| Arc::from(NOBODY), |member| Arc::clone(&member.password));
        let matches = self.logins.matches(secret, password).await?;
        match member.filter(|_| matches) {
            Some(member) => {
                self.logins.remember(self.logins.fingerprint(&member.password, password));
                self.logins.throttle.note_success(name, client);
                Ok(Ok(caller(&member)))
            }
            None => {
                self.logins.throttle.note_failure(name, client);
                Ok(Err(LoginError::Password))
            }
        }
    }

    /// The form in which a person's password is kept: the PHC form of argon2id.
    pub(crate) async fn hash_password(&self, password: &str) -> Result<String> {
        hash_password(self.entropy.as_ref(), password).await
    }

    /// Whether there is a user of this name, or a service principal of this application id.
    pub fn has_user(&self, name: &str) -> bool {
        self.policy.load().member_named(name).is_some()
    }

    /// Whether `name` would log in with `password` now.
    pub async fn password_fits(&self, name: &str, password: &str) -> Result<bool> {
        let Some(member) = self.policy.load().member_named(name).cloned() else { return Ok(false) };
        self.logins.matches(Arc::clone(&member.password), password).await
    }
}

/// A hash that no password fits.
const NOBODY: &str = "$argon2id$v=19$m=7168,t=5,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
