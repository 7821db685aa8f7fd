//! The device code grant (RFC 8628): a program without a browser shows a short code, which somebody types into a page.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kogge_meta::{Commit, Grant, GrantKind};
use kogge_types::digest::{hex, unhex};
use kogge_types::{Entropy, clock, limits};
use serde::{Deserialize, Serialize};

use crate::auth::throttle::site;
use crate::core::Core;
use crate::error::Error;
use crate::identity::Desk;
use crate::identity::audience::Wanted;
use crate::identity::jwt::sha256;
use crate::identity::person::Person;
use crate::identity::refusal::{Granted, Refusal, Word, refuse};
use crate::identity::token::TokenSet;

/// Letters of user codes: no vowels, so that no words come out (RFC 8628, 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LETTERS_PER_CODE: usize = 8;

/// What a program is given to begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceStart {
    /// What the program polls with.
    pub device_code: String,
    /// What a person types: `BCDF-GHJK`.
    pub user_code: String,
    pub life: Duration,
    pub interval: Duration,
}

/// A device code, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    client: String,
    audience: String,
    openid: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    Pending,
    Denied,
    /// By the grant's principal, in this epoch of his.
    Approved {
        epoch: i64,
    },
}

/// The device codes of the last while: they are begun by anybody, so that they are counted.
#[derive(Debug)]
pub(crate) struct UnderWay(pub(super) VecDeque<Started>);

#[derive(Debug)]
pub(crate) struct Started {
    hash: [u8; 32],
    address: IpAddr,
    at_us: i64,
    polled_at_us: Option<i64>,
}

impl UnderWay {
    /// Makes room for one more, or says that there is none.
    fn admit(&mut self, hash: [u8; 32], address: IpAddr, now_us: i64) -> bool {
        let begun_after_us = now_us.saturating_sub(clock::micros(limits::DEVICE_CODE_LIFE));
        while self.0.front().is_some_and(|oldest| oldest.at_us <= begun_after_us) {
            self.0.pop_front();
        }
        let here = self.0.iter().filter(|started| started.address == address).count();
        let room = self.0.len() < limits::DEVICE_CODES_MAX && here < limits::DEVICE_CODES_PER_ADDRESS_MAX;
        if room {
            self.0.push_back(Started { hash, address, at_us: now_us, polled_at_us: None });
        }
        room
    }

    /// Notes that the client asks, and says whether it asks too often.
    fn is_hasty(&mut self, hash: &[u8; 32], now_us: i64) -> bool {
        // A timer that fires a little early is no haste.
        let tolerance = Duration::from_secs(1);
        let interval_us = clock::micros(limits::DEVICE_POLL_INTERVAL.saturating_sub(tolerance));
        let Some(started) = self.0.iter_mut().find(|started| started.hash == *hash) else { return false };
        let before = started.polled_at_us.replace(now_us);
        before.is_some_and(|before_us| now_us - before_us < interval_us)
    }

    fn forget(&mut self, hash: &[u8; 32]) {
        self.0.retain(|started| started.hash != *hash);
    }
}

fn device_hash(code: &str) -> [u8; 32] {
    sha256(format!("device {code}").as_bytes())
}

/// The hash of a user code as somebody typed it: case, blanks and hyphens do not count.
fn user_hash(code: &str) -> [u8; 32] {
    let letters: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    sha256(format!("user {}", letters.to_ascii_uppercase()).as_bytes())
}

fn user_code(entropy: &dyn Entropy) -> String {
    let mut code = String::with_capacity(LETTERS_PER_CODE + 1);
    while code.len() < LETTERS_PER_CODE {
        // Bytes over the last multiple of 20 would make some letters likelier.
        let [byte] = clock::random::<1>(entropy);
        if byte < 240 {
            code.push(char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
        }
    }
    code.insert(LETTERS_PER_CODE / 2, '-');
    code
}

impl Core {
    /// Begins a login on another device.
    pub async fn start_device(&self, desk: &Desk<'_>, client: &str, wanted: &Wanted) -> Granted<DeviceStart> {
        self.require_client(client)?;
        let audiences = self.identity_settings().audiences();
        let audience = wanted.resolve(&audiences)?.to_owned();
        let device_code = BASE64_URL_SAFE_NO_PAD.encode(clock::random::<32>(self.entropy.as_ref()));
        let user_code = user_code(self.entropy.as_ref());
        let (hash, now_us) = (device_hash(&device_code), self.now_us());
        if !self.identity.devices().admit(hash, site(desk.client), now_us) {
            return Err(Refusal {
                retry_after: Some(limits::DEVICE_CODE_LIFE),
                ..Refusal::new(Word::TemporarilyUnavailable, "too many logins are under way; wait and try again")
            }
            .into());
        }
        let kept = Kept { client: client.to_owned(), audience, openid: wanted.openid, state: State::Pending };
        let device = Grant {
            hash,
            kind: GrantKind::Device,
            principal: None,
            payload: serde_json::to_string(&kept).map_err(Error::internal)?,
            created_at_us: now_us,
            expires_at_us: now_us.saturating_add(clock::micros(limits::DEVICE_CODE_LIFE)),
        };
        let user = Grant { hash: user_hash(&user_code), kind: GrantKind::User, payload: hex(&hash), ..device.clone() };
        self.meta
            .write(move |tx| {
                tx.put_grant(&device)?;
                tx.put_grant(&user)?;
                Ok::<_, Error>(Commit::quiet(()))
            })
            .await?;
        let (life, interval) = (limits::DEVICE_CODE_LIFE, limits::DEVICE_POLL_INTERVAL);
        Ok(DeviceStart { device_code, user_code, life, interval })
    }

    /// Says yes or no to the login that shows `user_code`, in the name of `person`. Answers what the client is called.
    /// A code is answered once; wrong ones are held back like wrong passwords.
    pub async fn answer_device(
        &self,
        desk: &Desk<'_>,
        user_code: &str,
        person: &Person,
        approve: bool,
    ) -> Granted<String> {
        const ACCOUNT: &str = "device code";
        let throttle = self.logins.throttle();
        let _admission = throttle.admit(ACCOUNT, desk.client).map_err(Refusal::throttled)?;
        let (hash, now_us) = (user_hash(user_code), self.now_us());
        let (principal, epoch) = (person.0.id, person.0.epoch);
        let client = self
            .meta
            .write(move |tx| {
                let alive = |grant: &Grant, kind| grant.kind == kind && now_us < grant.expires_at_us;
                let user = tx.take_grant(&hash)?.filter(|grant| alive(grant, GrantKind::User));
                let device = user.and_then(|user| unhex(&user.payload)?.try_into().ok());
                let Some(device) = device else { return Ok(Commit::quiet(None)) };
                let Some(grant) = tx.grant(&device)?.filter(|grant| alive(grant, GrantKind::Device)) else {
                    return Ok(Commit::quiet(None));
                };
                let mut kept: Kept = serde_json::from_str(&grant.payload).map_err(Error::internal)?;
                kept.state = if approve { State::Approved { epoch } } else { State::Denied };
                let payload = serde_json::to_string(&kept).map_err(Error::internal)?;
                tx.put_grant(&Grant { principal: Some(principal), payload, ..grant })?;
                Ok::<_, Error>(Commit::quiet(Some(kept.client)))
            })
            .await?;
        let Some(client) = client else {
            throttle.note_failure(ACCOUNT, desk.client);
            return refuse(Word::InvalidGrant, "this code is not known, or has ended; is it typed as it is shown?");
        };
        Ok(self.identity_settings().client(&client).map_or(client, |client| client.name.clone()))
    }

    /// Tokens for a device code that somebody approved.
    pub async fn redeem_device(&self, desk: &Desk<'_>, client: &str, device_code: &str) -> Granted<TokenSet> {
        self.require_client(client)?;
        let (hash, now_us) = (device_hash(device_code), self.now_us());
        let found = self.meta.read(move |snapshot| snapshot.grant(&hash)).await?;
        let Some(grant) = found.filter(|grant| grant.kind == GrantKind::Device) else {
            return refuse(Word::InvalidGrant, "the device code is unknown or was used");
        };
        let kept: Kept = serde_json::from_str(&grant.payload).map_err(Error::internal)?;
        if !kept.client.eq_ignore_ascii_case(client) {
            return refuse(Word::InvalidGrant, "the device code is another client's");
        }
        if now_us >= grant.expires_at_us {
            return refuse(Word::ExpiredToken, "nobody approved the login in time; begin again");
        }
        let hasty = self.identity.devices().is_hasty(&hash, now_us);
        let epoch = match kept.state {
            State::Pending if hasty => return refuse(Word::SlowDown, "asked too often"),
            State::Pending => return refuse(Word::AuthorizationPending, "nobody has approved the login yet"),
            State::Denied => return refuse(Word::AccessDenied, "the login was declined"),
            State::Approved { epoch } => epoch,
        };
        // Of several who come at once, one gets it.
        let taken = self.meta.write(move |tx| tx.take_grant(&hash).map(Commit::quiet)).await?;
        self.identity.devices().forget(&hash);
        let member = taken.and_then(|grant| self.member_of(grant.principal, epoch));
        let Some(member) = member else {
            return refuse(Word::InvalidGrant, "the device code is unknown or was used");
        };
        self.greet(desk, &member, client, &kept.audience, kept.openid, None).await
    }
}
