//! The management API over HTTP: who asks, the body, the answer. What is asked and whether he may is kogge-arm's.

mod directory;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use kogge_arm::{ArmError, Reply, Request};
use kogge_core::audit::DenialReason;
use kogge_core::auth::Caller;
use kogge_core::identity::Purpose;
use kogge_types::{Code, limits};

use crate::app::{App, Arrival};
use crate::body::{Body, Upload};
use crate::error::Refusal;
use crate::served::Answered;

/// Answers a request of the management API. Its own errors are answers too, in its own form.
pub(crate) async fn respond(
    app: &App,
    arrival: Arrival<'_>,
    upload: &mut Upload,
    answered: &mut Answered,
) -> Response<Body> {
    let base_url = arrival.origin.base_url();
    let purpose = if directory::is_asked(arrival.parts) { Purpose::Directory } else { Purpose::Management };
    let reply = match admit(app, arrival.parts, purpose).await {
        Ok(caller) => {
            let reply = match purpose {
                Purpose::Directory => directory::respond(app, arrival.parts, &caller, upload, answered).await,
                _ => manage(app, arrival, &caller, upload, &base_url).await,
            };
            answered.caller = Some(caller);
            reply
        }
        Err(error) => {
            answered.refused = Some((DenialReason::Authentication, "the access token is not good"));
            Reply::from(error)
        }
    };
    if let Some(failure) = &reply.failure {
        app.note(&Refusal::Error(failure.clone()), arrival.correlation);
    }
    answer(reply, &base_url)
}

async fn manage(app: &App, arrival: Arrival<'_>, caller: &Caller, upload: &mut Upload, base_url: &str) -> Reply {
    let Arrival { parts, origin, correlation } = arrival;
    let body = match upload.collect(limits::MANAGEMENT_BODY_BYTES_MAX, Code::FormTooLarge).await {
        Ok(body) => body,
        Err(error) => return Reply::from(ArmError::from(error)),
    };
    let request = Request {
        method: &parts.method,
        path: parts.uri.path(),
        query: parts.uri.query(),
        headers: &parts.headers,
        body: &body,
        caller,
        client: origin.client,
        base_url,
        correlation_id: correlation,
    };
    kogge_arm::respond(&app.core, &app.deployment, request).await
}

/// Who asks. A token that is shown must be good; without one the caller is anonymous, which few operations answer.
async fn admit(app: &App, parts: &Parts, purpose: Purpose) -> Result<Caller, ArmError> {
    let Some(token) = bearer(&parts.headers)? else { return Ok(Caller::anonymous()) };
    app.core.verify_token_for(purpose, token).await.map_err(|refused| {
        let message = format!("The access token is invalid: {refused}.");
        ArmError::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message)
    })
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ArmError> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    token.map(Some).ok_or_else(|| {
        let message = "The 'Authorization' header is provided in an invalid format: it is 'Bearer <token>'.";
        ArmError::new(StatusCode::UNAUTHORIZED, "AuthenticationFailed", message)
    })
}

fn answer(reply: Reply, base_url: &str) -> Response<Body> {
    let body = reply.body.map_or(Body::Empty, |body| Body::Full(Bytes::from(body.to_string())));
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if reply.status == StatusCode::UNAUTHORIZED
        && let Ok(value) = HeaderValue::from_str(&format!("Bearer authorization_uri=\"{base_url}/adfs\""))
    {
        headers.insert(WWW_AUTHENTICATE, value);
    }
    response
}
