//! A request of the management API and its answer, in no HTTP library's form.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{ALLOW, ETAG, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use kogge_core::Core;
use kogge_core::auth::Caller;
use serde_json::{Map, Value};

use crate::deployment::Deployment;
use crate::error::{ArmError, Result};
use crate::operation::{Does, Route};
use crate::query::Query;
use crate::value;

/// What was asked, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a Method,
    /// As it came, still encoded.
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    /// All of the body. Whoever reads it keeps to [`kogge_types::limits::MANAGEMENT_BODY_BYTES_MAX`].
    pub body: &'a [u8],
    pub caller: &'a Caller,
    pub client: IpAddr,
    /// How the client reached the server: `https://example.com:8443`, without a slash.
    pub base_url: &'a str,
    pub correlation_id: &'a str,
}

/// What is answered.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Option<Value>,
    /// What only the log may say, of a failure.
    pub failure: Option<kogge_core::Error>,
    /// The operation's name, for metrics, logs and the audit.
    pub operation: &'static str,
}

/// A request that its right has been decided for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) core: &'a Arc<Core>,
    pub(crate) deployment: &'a Arc<Deployment>,
    pub(crate) request: &'a Request<'a>,
    pub(crate) query: &'a Query,
    pub(crate) route: &'a Route,
}

impl Reply {
    pub fn new(status: StatusCode, body: Value) -> Self {
        Self { body: Some(body), ..Self::empty(status) }
    }

    pub fn ok(body: Value) -> Self {
        Self::new(StatusCode::OK, body)
    }

    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: None, failure: None, operation: "" }
    }

    /// This answer with a header whose value is ASCII.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    #[must_use]
    pub fn tagged(self, entity_tag: &str) -> Self {
        self.with(ETAG, entity_tag)
    }
}

impl From<ArmError> for Reply {
    fn from(error: ArmError) -> Self {
        let reply = Self { failure: error.source.as_deref().cloned(), ..Self::new(error.status, error.to_json()) };
        match error.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => reply.with(RETRY_AFTER, "1"),
            StatusCode::METHOD_NOT_ALLOWED => reply.with(ALLOW, error.target.as_deref().unwrap_or_default()),
            _ => reply,
        }
    }
}

impl Call<'_> {
    /// The body as JSON.
    ///
    /// # Errors
    /// `InvalidRequestContent` when it is none.
    pub(crate) fn body(&self) -> Result<Value> {
        serde_json::from_slice(self.request.body).map_err(|error| {
            ArmError::content(format!("The request content was invalid and could not be deserialized: '{error}'."))
        })
    }

    /// The body of an action or a function, checked against what its declaration says of requests.
    ///
    /// # Errors
    /// As [`value::admit`], about the first value that is wrong.
    pub(crate) fn input(&self) -> Result<Map<String, Value>> {
        let properties = match self.route.operation.does {
            Does::Action(action) => action.request,
            Does::Function(function) => function.request,
            Does::Verb(..) | Does::ListNone | Does::Refuse(_) => &[],
        };
        let body = if self.request.body.is_empty() { Value::Object(Map::new()) } else { self.body()? };
        value::object(properties, &body, "")
    }
}
