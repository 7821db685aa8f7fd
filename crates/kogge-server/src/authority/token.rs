//! The token end point (RFC 6749, 3.2): every grant of the authority.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kogge_core::identity::refusal::{GrantError, Refusal, Word};
use kogge_core::identity::{ClientProof, TokenSet};
use serde_json::{Value, json};

use super::Request;
use super::form::Form;
use crate::credential::Presented;
use crate::served::Answered;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client as it names itself, in the form or in the header.
struct Client {
    id: String,
    secret: Option<String>,
}

pub(super) async fn respond(request: &Request<'_>, body: &[u8], answered: &mut Answered) -> Result<Value, GrantError> {
    let form = Form::parse(body)?;
    let client = client_of(request, &form)?;
    let outcome = grant(request, &form, &client).await;
    if let Err(GrantError::Refused(refusal)) = &outcome
        && matches!(refusal.word, Word::InvalidClient | Word::InvalidGrant | Word::TemporarilyUnavailable)
    {
        request.note_failure(answered, form.get("username").unwrap_or(&client.id), refusal);
    }
    let tokens = outcome?;
    answered.login = true;
    answered.account = tokens.name.to_string();
    tokens.id.clone_into(&mut answered.jwt_id);
    Ok(answer(&tokens, form.get("client_info") == Some("1")))
}

async fn grant(request: &Request<'_>, form: &Form, client: &Client) -> Result<TokenSet, GrantError> {
    let (core, desk, id) = (&request.app.core, request.desk(), client.id.as_str());
    match form.require("grant_type")? {
        "client_credentials" => {
            let proof = proof(form, client)?;
            if let ClientProof::Assertion(assertion) = proof
                && !request.arrival.origin.own
                && is_signed_by(assertion, id)
            {
                // Its audience is compared with the host, which here is anything that somebody wrote.
                let message = "a signed assertion is taken at the authority's own name or address only; is the server's \
                               external-url set?";
                return Err(Refusal::new(Word::InvalidClient, message).into());
            }
            core.client_credentials(&desk, id, proof, &request.wanted(form)?).await
        }
        "authorization_code" => {
            let (code, uri) = (form.require("code")?, form.require("redirect_uri")?);
            core.redeem_code(&desk, id, code, uri, form.get("code_verifier").unwrap_or_default()).await
        }
        "refresh_token" => core.refresh(&desk, id, form.require("refresh_token")?, &request.wanted(form)?).await,
        "password" => {
            let (name, password) = (form.require("username")?, form.require("password")?);
            core.password_grant(&desk, id, name, password, &request.wanted(form)?).await
        }
        "urn:ietf:params:oauth:grant-type:device_code" | "device_code" => {
            let code = form.get("device_code").or(form.get("code"));
            let code =
                code.ok_or_else(|| Refusal::new(Word::InvalidRequest, "the parameter device_code is missing"))?;
            core.redeem_device(&desk, id, code).await
        }
        _ => Err(Refusal::new(Word::UnsupportedGrantType, "this authority does not know the grant_type").into()),
    }
}

/// Whether an assertion says that the client itself has signed it.
fn is_signed_by(assertion: &str, client: &str) -> bool {
    let claims = assertion.split('.').nth(1).and_then(|claims| BASE64_URL_SAFE_NO_PAD.decode(claims).ok());
    let claims = claims.and_then(|claims| serde_json::from_slice::<Value>(&claims).ok());
    claims.is_some_and(|claims| claims["iss"].as_str().is_some_and(|issuer| issuer.eq_ignore_ascii_case(client)))
}

/// Who asks, by the form or by HTTP Basic (RFC 6749, 2.3.1), but not by both.
fn client_of(request: &Request<'_>, form: &Form) -> Result<Client, Refusal> {
    let malformed = || Refusal::new(Word::InvalidRequest, "the Authorization header is malformed");
    let (named, secret) = (form.get("client_id"), form.get("client_secret"));
    match Presented::read(&request.arrival.parts.headers) {
        Presented::None => {
            let id = form.require("client_id")?.to_owned();
            Ok(Client { id, secret: secret.map(str::to_owned) })
        }
        Presented::Basic { name, password } => {
            let decoded = |text: &str| {
                let text = text.replace('+', " ");
                percent_encoding::percent_decode_str(&text).decode_utf8().map(|text| text.into_owned())
            };
            let id = decoded(&name).map_err(|_| malformed())?;
            if secret.is_some() || named.is_some_and(|named| !named.eq_ignore_ascii_case(&id)) {
                return Err(Refusal::new(Word::InvalidRequest, "the client names itself in two ways"));
            }
            Ok(Client { id, secret: Some(decoded(&password).map_err(|_| malformed())?) })
        }
        Presented::Bearer(_) | Presented::Malformed => Err(malformed()),
    }
}

fn proof<'a>(form: &'a Form, client: &'a Client) -> Result<ClientProof<'a>, Refusal> {
    match (&client.secret, form.get("client_assertion")) {
        (Some(secret), None) => Ok(ClientProof::Secret(secret)),
        (None, Some(assertion)) if form.get("client_assertion_type") == Some(ASSERTION_TYPE) => {
            Ok(ClientProof::Assertion(assertion))
        }
        (None, Some(_)) => {
            Err(Refusal::new(Word::InvalidRequest, format!("client_assertion_type is {ASSERTION_TYPE}")))
        }
        (None, None) => Err(Refusal::new(Word::InvalidClient, "the client proves itself with nothing")),
        (Some(_), Some(_)) => Err(Refusal::new(Word::InvalidRequest, "the client proves itself in two ways")),
    }
}

/// The answer as OAuth has it, and what Azure's clients look for beside that.
fn answer(tokens: &TokenSet, client_info: bool) -> Value {
    let life = tokens.life.as_secs();
    let mut answer = json!({
        "token_type": "Bearer",
        "expires_in": life,
        "ext_expires_in": life,
        "access_token": tokens.access_token,
        "resource": tokens.audience,
        "scope": format!("{}/.default", tokens.audience),
    });
    if let Some(token) = &tokens.refresh_token {
        answer["refresh_token"] = json!(token);
    }
    if let Some(token) = &tokens.id_token {
        answer["id_token"] = json!(token);
    }
    // Only people have accounts in the clients' books.
    if client_info && tokens.id_token.is_some() {
        let info = json!({ "uid": tokens.principal, "utid": tokens.tenant }).to_string();
        answer["client_info"] = json!(BASE64_URL_SAFE_NO_PAD.encode(info));
    }
    answer
}
