//! `/oauth2/token`: ACR's and Docker's token end point in one.
//!
//! GET takes Basic and query parameters (Docker); POST takes a form with `grant_type` `password` or `refresh_token`
//! (ACR, and Docker's OAuth2 form). Without a name and a password the token is an anonymous one.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Response};
use kogge_core::auth::{Caller, Credential, LoginError};
use kogge_meta::Registry;
use kogge_types::{Code, Scope, limits};
use serde_json::json;

use crate::app::App;
use crate::body::{Body, Upload};
use crate::credential::Presented;
use crate::error::Refusal;
use crate::forwarded::Origin;
use crate::served::Answered;

/// What a token request asks for.
#[derive(Debug, Default)]
struct Asked {
    grant_type: Option<String>,
    service: Option<String>,
    scopes: Vec<String>,
    username: Option<String>,
    password: Option<String>,
    refresh_token: Option<String>,
    access_token: Option<String>,
    /// Whether a refresh token is wanted too (`access_type=offline`, or Docker's `offline_token`).
    offline: bool,
}

impl Asked {
    fn parse(form: &[u8]) -> Self {
        let mut asked = Self::default();
        for (key, value) in form_urlencoded::parse(form) {
            let value = value.into_owned();
            match key.as_ref() {
                "grant_type" => asked.grant_type = Some(value),
                "service" => asked.service = Some(value),
                "scope" => asked.scopes.push(value),
                "username" => asked.username = Some(value),
                "password" => asked.password = Some(value),
                "refresh_token" => asked.refresh_token = Some(value),
                "access_token" => asked.access_token = Some(value),
                "access_type" => asked.offline |= value == "offline",
                "offline_token" => asked.offline |= value == "true",
                _ => {}
            }
        }
        asked
    }

    /// Whom the token is for: the service that the request names, or the host that it came to.
    fn audience<'a>(&'a self, origin: &'a Origin) -> Result<&'a str, Refusal> {
        match self.service.as_deref() {
            None => Ok(&origin.host),
            Some(service) if service.len() <= limits::TOKEN_SERVICE_CHARS_MAX => Ok(service),
            Some(_) => Err(Refusal::new(Code::FormInvalid, "the service is too long")),
        }
    }
}

pub(crate) async fn get(
    app: &App,
    parts: &Parts,
    origin: &Origin,
    registry: &Registry,
    answered: &mut Answered,
) -> Result<Response<Body>, Refusal> {
    let mut asked = Asked::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let presented = Presented::read(&parts.headers);
    asked.username = Some(presented.account().to_owned());
    let caller = match &presented {
        Presented::Bearer(token) => app.core.verify_refresh_token(registry, token),
        presented => {
            let credential = presented.credential().ok_or(Refusal::Login(MALFORMED))?;
            app.core.authenticate(registry, credential, origin.client).await?
        }
    };
    issue(app, origin, registry, &asked, caller, answered)
}

pub(crate) async fn post(
    app: &App,
    parts: &Parts,
    origin: &Origin,
    registry: &Registry,
    upload: &mut Upload,
    answered: &mut Answered,
) -> Result<Response<Body>, Refusal> {
    let form = upload.collect(limits::FORM_BYTES_MAX, Code::FormTooLarge).await?;
    let mut asked = Asked::parse(&form);
    let query = Asked::parse(parts.uri.query().unwrap_or_default().as_bytes());
    asked.scopes.extend(query.scopes);
    asked.service = asked.service.or(query.service);
    let caller = match asked.grant_type.as_deref() {
        Some("refresh_token") => {
            let token = asked.refresh_token.as_deref().ok_or(Refusal::Login("the form has no refresh_token"))?;
            app.core.verify_refresh_token(registry, token)
        }
        Some("password") => match (&asked.username, &asked.password) {
            (Some(name), Some(password)) => {
                app.core.authenticate(registry, Credential::Basic { name, password }, origin.client).await?
            }
            (None, None) => Ok(Caller::anonymous()),
            _ => return Err(Refusal::Login("the form needs both username and password")),
        },
        _ => return Err(Refusal::new(Code::FormInvalid, "grant_type must be password or refresh_token")),
    };
    issue(app, origin, registry, &asked, caller, answered)
}

/// `/oauth2/exchange`: a refresh token of this registry for a token of the authority, of an outside issuer that is
/// trusted, or for a refresh token that is still good. An access token of the registry, which is bounded, never becomes
/// an unbounded one.
pub(crate) async fn exchange(
    app: &App,
    origin: &Origin,
    registry: &Registry,
    upload: &mut Upload,
    answered: &mut Answered,
) -> Result<Response<Body>, Refusal> {
    let form = upload.collect(limits::FORM_BYTES_MAX, Code::FormTooLarge).await?;
    let asked = Asked::parse(&form);
    let token = match asked.grant_type.as_deref() {
        Some("refresh_token" | "access_token_refresh_token") => asked.refresh_token.as_deref(),
        Some("access_token") => asked.access_token.as_deref(),
        _ => return Err(Refusal::new(Code::FormInvalid, "grant_type must be access_token or refresh_token")),
    };
    let token = token.ok_or(Refusal::Login("the form has no token to exchange"))?;
    let caller = match app.core.verify_refresh_token(registry, token) {
        Ok(caller) => Ok(caller),
        Err(_) => app.core.verify_exchange_token(registry, token).await,
    };
    let caller = match caller {
        Ok(caller) if !caller.is_anonymous() && !caller.is_bounded() => caller,
        Ok(_) | Err(_) => {
            app.count_refusal(LoginError::Token, origin, "");
            return Err(Refusal::Login("the token is not an identity that this registry trusts; log in again"));
        }
    };
    let audience = asked.audience(origin)?;
    let token = app.core.issue_refresh_token(&caller, registry, audience)?;
    token.id.clone_into(&mut answered.jwt_id);
    answered.caller = Some(caller);
    Ok(answer(&json!({ "refresh_token": token.token })))
}

fn answer(content: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::Full(Bytes::from(content.to_string())));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const MALFORMED: &str = "the Authorization header is malformed";

fn issue(
    app: &App,
    origin: &Origin,
    registry: &Registry,
    asked: &Asked,
    caller: Result<Caller, LoginError>,
    answered: &mut Answered,
) -> Result<Response<Body>, Refusal> {
    let caller = caller.map_err(|refused| {
        let account = asked.username.as_deref().unwrap_or_default();
        app.count_refusal(refused, origin, account);
        // What is nobody's name may be somebody's password.
        if app.core.has_user(account) {
            account.clone_into(&mut answered.account);
        }
        match refused {
            LoginError::Throttled { retry_after } => Refusal::Throttled(retry_after),
            LoginError::Password => Refusal::Login("the user name or the password is wrong"),
            LoginError::Token => Refusal::Login("the token is not valid here; log in again"),
        }
    })?;
    answered.caller = Some(caller.clone());
    let audience = asked.audience(origin)?;
    let scopes = Scope::parse_all(asked.scopes.iter().map(String::as_str));
    let token = app.core.issue_access_token(&caller, registry, audience, &scopes)?;
    token.id.clone_into(&mut answered.jwt_id);
    let issued_at = jiff::Timestamp::from_microsecond(token.issued_at_us).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let mut content = json!({
        "access_token": token.token,
        "token": token.token,
        "expires_in": token.life.as_secs(),
        "issued_at": issued_at.round(jiff::Unit::Second).unwrap_or(issued_at).to_string(),
    });
    if asked.offline && !caller.is_anonymous() && !caller.is_bounded() {
        content["refresh_token"] = app.core.issue_refresh_token(&caller, registry, audience)?.token.into();
    }
    Ok(answer(&content))
}
