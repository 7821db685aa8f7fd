//! The authority over HTTP: an OAuth 2.0 and OpenID Connect issuer under `/adfs`, where Azure's clients look for no
//! other. It answers on the deployment's own names only, never on login servers.

mod cookie;
mod device;
mod discovery;
mod form;
pub(crate) mod outbound;
mod page;
mod sign_in;
mod token;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Response, StatusCode};
use kogge_core::audit::DenialReason;
use kogge_core::identity::Desk;
use kogge_core::identity::audience::Wanted;
use kogge_core::identity::refusal::{GrantError, Refusal as OAuthRefusal, Word};
use kogge_types::{Code, limits};
use serde_json::{Value, json};

use self::form::Form;
use crate::app::{App, Arrival};
use crate::body::{Body, Upload};
use crate::credential::Presented;
use crate::error::Refusal;
use crate::served::Answered;

/// Where the authority lies on its host.
pub(crate) const PATH: &str = "/adfs";

/// What the authority offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    Discovery,
    Keys,
    Token,
    DeviceCode,
    UserInfo,
    Authorize,
    DevicePage,
    Logout,
}

impl Endpoint {
    /// All of them. One that is not here has no path.
    pub const ALL: [Self; 8] = [
        Self::Discovery,
        Self::Keys,
        Self::Token,
        Self::DeviceCode,
        Self::UserInfo,
        Self::Authorize,
        Self::DevicePage,
        Self::Logout,
    ];

    /// The end point at `path`.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }

    /// Where it lies on its host, beneath [`PATH`].
    pub fn path(self) -> &'static str {
        match self {
            Self::Discovery => "/adfs/.well-known/openid-configuration",
            Self::Keys => "/adfs/discovery/keys",
            Self::Token => "/adfs/oauth2/token",
            Self::DeviceCode => "/adfs/oauth2/devicecode",
            Self::UserInfo => "/adfs/userinfo",
            Self::Authorize => "/adfs/oauth2/authorize",
            Self::DevicePage => "/adfs/oauth2/deviceauth",
            Self::Logout => "/adfs/oauth2/logout",
        }
    }

    /// Whether `method` is one of the end point's, and which they are.
    pub(crate) fn allows(self, method: &Method) -> (bool, &'static str) {
        let read = matches!(*method, Method::GET | Method::HEAD);
        let post = *method == Method::POST;
        match self {
            Self::Discovery | Self::Keys => (read, "GET, HEAD"),
            Self::Token | Self::DeviceCode => (post, "POST"),
            Self::UserInfo | Self::Authorize | Self::DevicePage | Self::Logout => (read || post, "GET, HEAD, POST"),
        }
    }
}

/// A request at the authority.
pub(crate) struct Request<'a> {
    pub(crate) app: &'a App,
    pub(crate) arrival: Arrival<'a>,
    /// The authority's name as the client wrote it.
    pub(crate) issuer: String,
}

impl Request<'_> {
    fn desk(&self) -> Desk<'_> {
        Desk { issuer: &self.issuer, client: self.arrival.origin.client }
    }

    /// What `form` wants a token for. Clients that were told of this address as the directory's ask for that.
    fn wanted(&self, form: &Form) -> Result<Wanted, OAuthRefusal> {
        let (mut wanted, settings) = (form.wanted()?, self.app.core.identity_settings());
        let own = self.issuer.strip_suffix(PATH);
        if wanted.audience.as_deref() == own && !settings.audiences().iter().any(|known| Some(known.as_str()) == own) {
            wanted.audience = settings.directory_audiences.first().cloned();
        }
        Ok(wanted)
    }

    /// Counts and logs a login that was refused. What is nobody's name may be somebody's password, typed into the wrong
    /// field.
    fn note_failure(&self, answered: &mut Answered, account: &str, refusal: &OAuthRefusal) {
        self.app.metrics.registry_work.login_failures.inc();
        let account = if self.app.core.has_user(account) { account } else { "" };
        account.clone_into(&mut answered.account);
        answered.login = true;
        answered.error = Some(refusal.word.as_str());
        answered.refused = Some(match refusal.retry_after {
            Some(_) => (DenialReason::RateLimit, "too many failed logins"),
            None => (DenialReason::Authentication, refusal.word.as_str()),
        });
        tracing::info!(
            client = %self.arrival.origin.client,
            account,
            error = refusal.word.as_str(),
            reason = %refusal,
            "a login was refused"
        );
    }

    /// The refusal in `error`. A failure of ours is logged, and told without its cause.
    fn refusal(&self, error: GrantError) -> OAuthRefusal {
        match error {
            GrantError::Refused(refusal) => refusal,
            GrantError::Failed(error) => {
                let message = error.message.clone();
                self.app.note(&Refusal::Error(error), self.arrival.correlation);
                OAuthRefusal::new(Word::ServerError, message)
            }
        }
    }
}

/// Answers a request at the authority.
pub(crate) async fn respond(
    app: &App,
    arrival: Arrival<'_>,
    endpoint: Endpoint,
    upload: &mut Upload,
    answered: &mut Answered,
) -> Result<Response<Body>, Refusal> {
    let request = Request { app, arrival, issuer: format!("{}{PATH}", arrival.origin.base_url()) };
    let form = upload.collect(limits::FORM_BYTES_MAX, Code::FormTooLarge).await?;
    Ok(match endpoint {
        Endpoint::Discovery => json_answer(StatusCode::OK, &discovery::document(&request.issuer)),
        Endpoint::Keys => json_answer(StatusCode::OK, &app.core.published_keys()),
        Endpoint::UserInfo => user_info(&request).await,
        Endpoint::Token => settle(&request, token::respond(&request, &form, answered).await),
        Endpoint::DeviceCode => settle(&request, device::start(&request, &form).await),
        Endpoint::DevicePage => device::page(&request, &form, answered).await,
        Endpoint::Authorize => sign_in::respond(&request, &form, answered).await,
        Endpoint::Logout => page::signed_out(arrival.origin.scheme),
    })
}

/// The answer to a program: what it asked for, or OAuth's error (RFC 6749, 5.2).
fn settle(request: &Request<'_>, outcome: Result<Value, GrantError>) -> Response<Body> {
    match outcome {
        Ok(content) => json_answer(StatusCode::OK, &content),
        Err(error) => refuse(request, &request.refusal(error)),
    }
}

fn refuse(request: &Request<'_>, refusal: &OAuthRefusal) -> Response<Body> {
    let status = match refusal.word {
        Word::InvalidClient => StatusCode::UNAUTHORIZED,
        Word::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        _ if refusal.retry_after.is_some() => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_REQUEST,
    };
    let mut response = json_answer(
        status,
        &json!({
            "error": refusal.word.as_str(),
            "error_description": refusal.message,
            "correlation_id": request.arrival.correlation,
        }),
    );
    let headers = response.headers_mut();
    if let Some(wait) = refusal.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Kogge\""));
    }
    response
}

fn json_answer(status: StatusCode, content: &Value) -> Response<Body> {
    let mut response = Response::new(Body::Full(Bytes::from(content.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// Who an access token stands for (OpenID Connect Core 1.0, 5.3).
async fn user_info(request: &Request<'_>) -> Response<Body> {
    let caller = match Presented::read(&request.arrival.parts.headers) {
        Presented::Bearer(token) => request.app.core.verify_management_token(token).await.ok(),
        Presented::None | Presented::Basic { .. } | Presented::Malformed => None,
    };
    let Some(caller) = caller else {
        let mut response = json_answer(StatusCode::UNAUTHORIZED, &json!({ "error": "invalid_token" }));
        let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        return response;
    };
    let name = caller.name();
    json_answer(StatusCode::OK, &json!({ "sub": caller.object_id(), "name": name, "preferred_username": name }))
}
