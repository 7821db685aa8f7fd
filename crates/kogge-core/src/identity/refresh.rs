//! Refresh tokens (RFC 6749, 6; RFC 9700, 4.14): each is used once and gives the next. When one comes that was used
//! before, it or the next one has been stolen: then the whole family ends.
//!
//! A family is one grant. Its token is the family's id and a secret; the grant lies under the hash of the id and holds
//! the hash of the newest secret. So a used token is known by what it is not, and nothing is kept of it.

use aws_lc_rs::constant_time;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kogge_meta::{Commit, Grant, GrantKind};
use kogge_types::digest::hex;
use kogge_types::{Entropy, clock, limits};
use serde::{Deserialize, Serialize};

use crate::auth::policy::member::Member;
use crate::core::Core;
use crate::error::Error;
use crate::identity::Desk;
use crate::identity::audience::Wanted;
use crate::identity::jwt::sha256;
use crate::identity::refusal::{Granted, Word, refuse};
use crate::identity::token::{Bearer, TokenSet};

const ID_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;

/// What the tokens of one login have in common.
#[derive(Clone, Copy)]
pub(crate) struct FamilyId([u8; ID_BYTES]);

impl FamilyId {
    pub(crate) fn random(entropy: &dyn Entropy) -> Self {
        Self(clock::random(entropy))
    }

    /// The family that the authorization code `code` begins: whoever shows the code again ends it.
    pub(crate) fn of_code(code: &str) -> Self {
        let hash = sha256(format!("family of {code}").as_bytes());
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&hash[..ID_BYTES]);
        Self(id)
    }

    /// Where the family's grant lies.
    pub(crate) fn hash(&self) -> [u8; 32] {
        sha256(&[b"refresh".as_slice(), &self.0].concat())
    }

    fn token(&self, secret: &[u8; SECRET_BYTES]) -> String {
        BASE64_URL_SAFE_NO_PAD.encode([self.0.as_slice(), secret].concat())
    }
}

/// A family, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Family {
    client: String,
    /// For whom access tokens are made when the client does not say.
    audience: String,
    /// The principal's epoch at the login.
    epoch: i64,
    /// The hash of the newest token's secret.
    newest: String,
    /// The hash of the one before.
    before: Option<String>,
    rotated_at_us: i64,
    begun_at_us: i64,
}

/// A family that begins: its first token, and what is to be kept.
pub(crate) struct Begun {
    pub(crate) token: String,
    pub(crate) grant: Grant,
}

/// What is found of a token that is shown.
enum Shown {
    Unknown,
    /// It was used before, and its family has been ended.
    Reused,
    Newest {
        family: Family,
        principal: Option<[u8; 16]>,
    },
    /// Another process of the same client was a moment faster.
    Overtaken {
        family: Family,
        principal: Option<[u8; 16]>,
    },
}

impl Begun {
    pub(crate) fn new(core: &Core, id: FamilyId, member: &Member, client: &str, audience: &str) -> Self {
        Self::at(core.entropy.as_ref(), core.now_us(), id, (member.id, member.epoch), client, audience)
    }

    pub(crate) fn at(
        entropy: &dyn Entropy,
        now_us: i64,
        id: FamilyId,
        (principal, epoch): ([u8; 16], i64),
        client: &str,
        audience: &str,
    ) -> Self {
        let secret = clock::random::<SECRET_BYTES>(entropy);
        let family = Family {
            client: client.to_owned(),
            audience: audience.to_owned(),
            epoch,
            newest: hex(&sha256(&secret)),
            before: None,
            rotated_at_us: now_us,
            begun_at_us: now_us,
        };
        Self { token: id.token(&secret), grant: family.grant(&id, Some(principal), now_us) }
    }
}

impl Family {
    fn grant(&self, id: &FamilyId, principal: Option<[u8; 16]>, now_us: i64) -> Grant {
        let idle_us = now_us.saturating_add(clock::micros(limits::REFRESH_GRANT_IDLE));
        let end_us = self.begun_at_us.saturating_add(clock::micros(limits::REFRESH_GRANT_LIFE));
        Grant {
            hash: id.hash(),
            kind: GrantKind::Refresh,
            principal,
            payload: serde_json::to_string(self).expect("a plain structure is always JSON"),
            created_at_us: self.begun_at_us,
            expires_at_us: idle_us.min(end_us),
        }
    }

    fn is(&self, kept: Option<&String>, secret_hash: &str) -> bool {
        kept.is_some_and(|kept| constant_time::verify_slices_are_equal(kept.as_bytes(), secret_hash.as_bytes()).is_ok())
    }
}

fn take_apart(token: &str) -> Option<(FamilyId, [u8; SECRET_BYTES])> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
    let (id, secret) = bytes.split_first_chunk::<ID_BYTES>()?;
    Some((FamilyId(*id), secret.try_into().ok()?))
}

impl Core {
    /// Fresh tokens for a refresh token, which is used up.
    pub async fn refresh(&self, desk: &Desk<'_>, client: &str, token: &str, wanted: &Wanted) -> Granted<TokenSet> {
        const UNKNOWN: &str = "the refresh token is unknown, ended or used before; log in again";
        self.require_client(client)?;
        let Some((id, secret)) = take_apart(token) else { return refuse(Word::InvalidGrant, UNKNOWN) };
        let audiences = self.identity_settings().audiences();
        if wanted.audience.is_some() {
            // A refusal for its scope must not use the token up.
            wanted.resolve(&audiences)?;
        }
        let next = clock::random::<SECRET_BYTES>(self.entropy.as_ref());
        let shown = self.show(id, client, hex(&sha256(&secret)), hex(&sha256(&next))).await?;
        let (family, principal, refresh_token) = match shown {
            Shown::Unknown => return refuse(Word::InvalidGrant, UNKNOWN),
            Shown::Reused => {
                tracing::warn!(client = %desk.client, "a refresh token came twice: its login has been ended");
                return refuse(Word::InvalidGrant, UNKNOWN);
            }
            Shown::Newest { family, principal } => (family, principal, Some(id.token(&next))),
            Shown::Overtaken { family, principal } => (family, principal, None),
        };
        let Some(member) = self.member_of(principal, family.epoch) else {
            self.end_family(&id).await?;
            return refuse(Word::InvalidGrant, UNKNOWN);
        };
        let wanted = Wanted { audience: wanted.audience.clone().or(Some(family.audience)), ..*wanted };
        let audience = wanted.resolve(&audiences)?;
        let bearer = Bearer { member: &member, client, audience, nonce: None, openid: wanted.openid };
        Ok(TokenSet { refresh_token, ..self.issue_tokens(desk, &bearer)? })
    }

    /// Looks a token up and puts the next one in its place, in one transaction.
    async fn show(&self, id: FamilyId, client: &str, secret: String, next: String) -> Granted<Shown> {
        let (now_us, client) = (self.now_us(), client.to_owned());
        let shown = self
            .meta
            .write(move |tx| {
                let found = tx.grant(&id.hash())?.filter(|grant| grant.kind == GrantKind::Refresh);
                let Some(grant) = found.filter(|grant| now_us < grant.expires_at_us) else {
                    return Ok(Commit::quiet(Shown::Unknown));
                };
                let mut family: Family = serde_json::from_str(&grant.payload).map_err(Error::internal)?;
                let principal = grant.principal;
                if !family.client.eq_ignore_ascii_case(&client) {
                    return Ok(Commit::quiet(Shown::Unknown));
                }
                if family.is(Some(&family.newest), &secret) {
                    family.before = Some(std::mem::replace(&mut family.newest, next));
                    family.rotated_at_us = now_us;
                    tx.put_grant(&family.grant(&id, principal, now_us))?;
                    return Ok(Commit::quiet(Shown::Newest { family, principal }));
                }
                let overlap_us = clock::micros(limits::REFRESH_OVERLAP);
                if family.is(family.before.as_ref(), &secret) && now_us - family.rotated_at_us < overlap_us {
                    return Ok(Commit::quiet(Shown::Overtaken { family, principal }));
                }
                tx.take_grant(&id.hash())?;
                Ok::<_, Error>(Commit::quiet(Shown::Reused))
            })
            .await?;
        Ok(shown)
    }

    async fn end_family(&self, id: &FamilyId) -> Granted<()> {
        let hash = id.hash();
        let ended = self.meta.write(move |tx| {
            tx.take_grant(&hash)?;
            Ok::<_, Error>(Commit::quiet(()))
        });
        Ok(ended.await?)
    }
}
