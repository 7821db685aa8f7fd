//! The authorization code grant (RFC 6749, 4.1), with proof of the client that began it (RFC 7636).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kogge_meta::{Commit, Grant, GrantKind};
use kogge_types::{clock, limits};
use serde::{Deserialize, Serialize};

use crate::core::Core;
use crate::error::Error;
use crate::identity::Desk;
use crate::identity::audience::Wanted;
use crate::identity::jwt::sha256;
use crate::identity::person::Person;
use crate::identity::pkce;
use crate::identity::refresh::{Begun, FamilyId};
use crate::identity::refusal::{Granted, Refusal, Word, refuse};
use crate::identity::settings::PublicClient;
use crate::identity::token::{Bearer, TokenSet};

/// What a browser brings from a client that wants somebody to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeRequest {
    pub client: String,
    pub redirect_uri: String,
    /// The challenge of RFC 7636, made with SHA-256.
    pub challenge: String,
    pub nonce: Option<String>,
    pub wanted: Wanted,
}

/// A code, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    client: String,
    redirect_uri: String,
    challenge: String,
    nonce: Option<String>,
    audience: String,
    openid: bool,
    epoch: i64,
}

enum Redeemed {
    /// The code is unknown; if it was redeemed before, what came of it has been ended.
    Unknown {
        ended: bool,
    },
    Wrong,
    Good {
        kept: Kept,
        principal: Option<[u8; 16]>,
        refresh_token: String,
    },
}

fn hash_of(code: &str) -> [u8; 32] {
    sha256(format!("code {code}").as_bytes())
}

impl Core {
    /// The client of this id, when the browser may be sent back to `redirect_uri`. Nothing else of a request is looked
    /// at before: a browser is never sent to where nobody registered.
    pub fn client_of(&self, client: &str, redirect_uri: &str) -> Granted<PublicClient> {
        let Some(known) = self.identity_settings().client(client).cloned() else {
            return refuse(Word::UnauthorizedClient, "this client is not known here");
        };
        if !known.may_return_to(redirect_uri) {
            return refuse(Word::InvalidRequest, "the redirect_uri is not one of the client's");
        }
        Ok(known)
    }

    /// Checks the rest of a request, so that nobody logs in for one that must fail.
    pub fn check_code_request(&self, request: &CodeRequest) -> Result<(), Refusal> {
        if !pkce::is_challenge(&request.challenge) {
            return Err(Refusal::new(
                Word::InvalidRequest,
                "a code_challenge with code_challenge_method=S256 is required",
            ));
        }
        request.wanted.resolve(&self.identity_settings().audiences()).map(drop)
    }

    /// A code for `person`, to be redeemed once by the client that asked.
    pub async fn issue_code(&self, request: &CodeRequest, person: &Person) -> Granted<String> {
        self.client_of(&request.client, &request.redirect_uri)?;
        self.check_code_request(request)?;
        let audiences = self.identity_settings().audiences();
        let kept = Kept {
            client: request.client.clone(),
            redirect_uri: request.redirect_uri.clone(),
            challenge: request.challenge.clone(),
            nonce: request.nonce.clone(),
            audience: request.wanted.resolve(&audiences)?.to_owned(),
            openid: request.wanted.openid,
            epoch: person.0.epoch,
        };
        let code = BASE64_URL_SAFE_NO_PAD.encode(clock::random::<32>(self.entropy.as_ref()));
        let now_us = self.now_us();
        let grant = Grant {
            hash: hash_of(&code),
            kind: GrantKind::Code,
            principal: Some(person.0.id),
            payload: serde_json::to_string(&kept).map_err(Error::internal)?,
            created_at_us: now_us,
            expires_at_us: now_us.saturating_add(clock::micros(limits::AUTHORIZATION_CODE_LIFE)),
        };
        self.meta
            .write(move |tx| {
                tx.put_grant(&grant)?;
                Ok::<_, Error>(Commit::quiet(()))
            })
            .await?;
        Ok(code)
    }

    /// Tokens for a code. Any attempt uses it up, whatever comes of it; a second one ends what the first gave.
    pub async fn redeem_code(
        &self,
        desk: &Desk<'_>,
        client: &str,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
    ) -> Granted<TokenSet> {
        const UNKNOWN: &str = "the code is unknown, ended or used before, or not of this client; log in again";
        self.require_client(client)?;
        let (kept, principal, refresh_token) = match self.take_code(client, code, redirect_uri, verifier).await? {
            Redeemed::Good { kept, principal, refresh_token } => (kept, principal, refresh_token),
            Redeemed::Unknown { ended } => {
                if ended {
                    tracing::warn!(client = %desk.client, "an authorization code came twice: its login has been ended");
                }
                return refuse(Word::InvalidGrant, UNKNOWN);
            }
            Redeemed::Wrong => return refuse(Word::InvalidGrant, UNKNOWN),
        };
        let Some(member) = self.member_of(principal, kept.epoch) else {
            return refuse(Word::InvalidGrant, UNKNOWN);
        };
        let bearer = Bearer {
            member: &member,
            client,
            audience: &kept.audience,
            nonce: kept.nonce.as_deref(),
            openid: kept.openid,
        };
        Ok(TokenSet { refresh_token: Some(refresh_token), ..self.issue_tokens(desk, &bearer)? })
    }

    /// Uses a code up and begins the family of its refresh tokens, in one transaction.
    async fn take_code(&self, client: &str, code: &str, redirect_uri: &str, verifier: &str) -> Granted<Redeemed> {
        let (hash, family, now_us) = (hash_of(code), FamilyId::of_code(code), self.now_us());
        let [client, redirect_uri, verifier] = [client, redirect_uri, verifier].map(str::to_owned);
        let entropy = std::sync::Arc::clone(&self.entropy);
        let redeemed = self
            .meta
            .write(move |tx| {
                let found = tx.take_grant(&hash)?.filter(|grant| grant.kind == GrantKind::Code);
                let Some(grant) = found.filter(|grant| now_us < grant.expires_at_us) else {
                    let ended = tx.take_grant(&family.hash())?.is_some();
                    return Ok(Commit::quiet(Redeemed::Unknown { ended }));
                };
                let kept: Kept = serde_json::from_str(&grant.payload).map_err(Error::internal)?;
                let fits = kept.client.eq_ignore_ascii_case(&client)
                    && kept.redirect_uri == redirect_uri
                    && pkce::fits(&verifier, &kept.challenge);
                let Some(principal) = grant.principal.filter(|_| fits) else {
                    return Ok(Commit::quiet(Redeemed::Wrong));
                };
                let holder = (principal, kept.epoch);
                let begun = Begun::at(entropy.as_ref(), now_us, family, holder, &kept.client, &kept.audience);
                tx.put_grant(&begun.grant)?;
                let refresh_token = begun.token;
                Ok::<_, Error>(Commit::quiet(Redeemed::Good { kept, principal: grant.principal, refresh_token }))
            })
            .await?;
        Ok(redeemed)
    }
}
