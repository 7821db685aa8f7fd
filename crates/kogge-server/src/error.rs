//! The one place where errors become answers.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use kogge_core::Error;
use kogge_types::{Code, Scope};
use serde_json::json;

use crate::body::Body;
use crate::config::Scheme;
use crate::forwarded::Origin;
use crate::rate_limit::TooMany;
use crate::route::RouteError;

/// How a caller is told to log in (Docker token authentication; ACR: "Calling POST /oauth2/token").
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub scopes: Vec<Scope>,
    /// The credential was good, but not for this.
    pub insufficient: bool,
}

/// Whatever keeps a request from being answered as it wished.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    Error(Error),
    Route(RouteError),
    /// The caller must log in, or log in as somebody who may.
    Challenge(Challenge),
    /// The caller must show a password that allows it.
    Password,
    /// A login that failed at the token end point.
    Login(&'static str),
    /// Too many failed logins: to be tried again after this long.
    Throttled(Duration),
    /// More requests than the registry or the caller may make: to be tried again then.
    Limited(TooMany),
}

impl From<TooMany> for Refusal {
    fn from(refused: TooMany) -> Self {
        Self::Limited(refused)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<RouteError> for Refusal {
    fn from(error: RouteError) -> Self {
        Self::Route(error)
    }
}

impl From<kogge_store::StoreError> for Refusal {
    fn from(error: kogge_store::StoreError) -> Self {
        Self::Error(error.into())
    }
}

impl Refusal {
    /// A refusal with the message of its code.
    pub(crate) fn of(code: Code) -> Self {
        Self::Error(Error::of(code))
    }

    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self::Error(Error::new(code, message))
    }

    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Error(error) => error.code,
            Self::Route(error) => error.code,
            Self::Challenge(_) | Self::Password | Self::Login(_) => Code::Unauthorized,
            Self::Throttled(_) | Self::Limited(_) => Code::TooManyRequests,
        }
    }

    /// The answer. `origin` is how the client reached the registry.
    pub(crate) fn respond(&self, origin: Option<&Origin>) -> Response<Body> {
        let info = self.code().info();
        let (message, detail) = match self {
            Self::Error(error) => (error.message.as_str(), error.detail.clone()),
            Self::Route(error) => (error.message.as_str(), None),
            Self::Challenge(challenge) => (info.message, Some(scopes_detail(&challenge.scopes))),
            Self::Password | Self::Limited(_) => (info.message, None),
            Self::Login(message) => (*message, None),
            Self::Throttled(_) => ("too many failed logins; wait and try again", None),
        };
        let text = json!({ "errors": [{ "code": info.word, "message": message, "detail": detail }] }).to_string();
        let mut response = Response::new(Body::Full(Bytes::from(text)));
        *response.status_mut() = StatusCode::from_u16(info.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        if info.retryable {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        match self {
            Self::Route(RouteError { allow: Some(allow), .. }) => {
                headers.insert(ALLOW, HeaderValue::from_static(allow));
            }
            Self::Challenge(challenge) => {
                if let Some(value) = origin.and_then(|origin| challenge.header(origin)) {
                    headers.insert(WWW_AUTHENTICATE, value);
                }
            }
            Self::Password => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Kogge\""));
            }
            Self::Throttled(wait) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            }
            Self::Limited(refused) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(refused.retry_after_seconds));
            }
            Self::Error(_) | Self::Route(_) | Self::Login(_) => {}
        }
        response
    }
}

impl Challenge {
    /// No space follows the commas: the Azure CLI splits at them.
    fn header(&self, origin: &Origin) -> Option<HeaderValue> {
        let scheme = match origin.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let host = &origin.host;
        let mut value = format!("Bearer realm=\"{scheme}://{host}/oauth2/token\",service=\"{host}\"");
        if !self.scopes.is_empty() {
            let scopes: Vec<String> = self.scopes.iter().map(ToString::to_string).collect();
            value.push_str(&format!(",scope=\"{}\"", scopes.join(" ")));
        }
        if self.insufficient {
            value.push_str(",error=\"insufficient_scope\"");
        }
        HeaderValue::from_str(&value).ok()
    }
}

/// What ACR's answer says of the missing right.
fn scopes_detail(scopes: &[Scope]) -> serde_json::Value {
    let entries = scopes.iter().map(|scope| {
        let entry = kogge_types::access::AccessEntry::from(scope);
        json!({ "Type": entry.kind, "Name": entry.name, "Action": entry.actions.join(",") })
    });
    serde_json::Value::Array(entries.collect())
}
