//! The distribution API: handlers take a request apart, call one verb of the rules, and put the answer together.

mod blobs;
pub(crate) mod listings;
mod manifests;
mod uploads;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LINK};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use kogge_types::{Code, Digest};

use crate::app::Admitted;
use crate::body::{Body, Upload};
use crate::error::Refusal;
use crate::route::{Operation, Route};

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Answers a request of the distribution API that was let in.
pub(crate) async fn respond(
    request: &Admitted<'_>,
    route: &Route,
    operation: Operation,
    upload: &mut Upload,
) -> Result<Response<Body>, Refusal> {
    match (route, operation) {
        (Route::Base, _) => Ok(json("{}".to_owned())),
        (Route::Catalog, _) => listings::catalog(request).await,
        (Route::Tags(name), _) => listings::tags(request, name).await,
        (Route::Referrers(name, subject), _) => listings::referrers(request, name, subject).await,
        (Route::Manifest(name, reference), Operation::PutManifest) => {
            manifests::put(request, name, reference, upload).await
        }
        (Route::Manifest(name, reference), Operation::DeleteManifest) => {
            manifests::delete(request, name, reference).await
        }
        (Route::Manifest(name, reference), _) => manifests::get(request, name, reference).await,
        (Route::Blob(name, digest), Operation::DeleteBlob) => blobs::delete(request, name, digest).await,
        (Route::Blob(name, digest), _) => blobs::get(request, name, digest).await,
        (Route::Uploads(name), _) => uploads::start(request, name, upload).await,
        (Route::Upload(name, id), Operation::PatchUpload) => uploads::patch(request, name, *id, upload).await,
        (Route::Upload(name, id), Operation::PutUpload) => uploads::put(request, name, *id, upload).await,
        (Route::Upload(name, id), Operation::DeleteUpload) => uploads::delete(request, name, *id).await,
        (Route::Upload(name, id), _) => uploads::get(request, name, *id).await,
        (
            Route::Health
            | Route::Ready
            | Route::Metrics
            | Route::Token
            | Route::Exchange
            | Route::AcrRepository(_)
            | Route::AcrTags(_)
            | Route::AcrTag(..)
            | Route::AcrManifests(_)
            | Route::AcrManifest(..)
            | Route::Management
            | Route::Authority(_),
            _,
        ) => Err(Refusal::of(Code::NotFound)),
    }
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

/// 200 with a JSON body.
pub(crate) fn json(content: String) -> Response<Body> {
    typed(content, HeaderValue::from_static("application/json"))
}

fn typed(content: String, content_type: HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::Full(content.into()));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// Adds a header whose value the registry made itself.
pub(crate) fn put_header(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.append(name, value);
    }
}

/// Says which content an answer is about.
fn put_digest(headers: &mut HeaderMap, digest: &Digest) {
    let text = digest.to_string();
    put_header(headers, ETAG, &format!("\"{text}\""));
    put_header(headers, CONTENT_DIGEST, &text);
}

/// `Link: <…>; rel="next"`, the path with `last` and, when the caller gave it, `n`.
pub(crate) fn put_next(headers: &mut HeaderMap, path: &str, n: Option<usize>, last: &str, more: &[(&str, &str)]) {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("last", last);
    if let Some(n) = n {
        query.append_pair("n", &n.to_string());
    }
    for (key, value) in more {
        query.append_pair(key, value);
    }
    put_header(headers, LINK, &format!("<{path}?{}>; rel=\"next\"", query.finish()));
}

/// The digests that a conditional header names; `None` for `*`.
enum Validators {
    Any,
    These(Vec<Digest>),
}

fn validators(request: &Admitted<'_>, name: &HeaderName) -> Option<Validators> {
    // A value that cannot be read names nothing; it must not make the request unconditional.
    let values: Vec<&str> =
        request.parts.headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect();
    if values.is_empty() {
        return None;
    }
    let mut digests = Vec::new();
    for tag in values.iter().flat_map(|value| value.split(',')).map(str::trim) {
        if tag == "*" {
            return Some(Validators::Any);
        }
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        digests.extend(tag.trim_matches('"').parse::<Digest>());
    }
    Some(Validators::These(digests))
}

/// How a conditional GET or HEAD of `digest` is answered instead, if so.
fn unless_modified(request: &Admitted<'_>, digest: &Digest) -> Result<Option<Response<Body>>, Refusal> {
    let names = |validators: &Validators| match validators {
        Validators::Any => true,
        Validators::These(digests) => digests.contains(digest),
    };
    if validators(request, &IF_MATCH).is_some_and(|validators| !names(&validators)) {
        return Err(Refusal::of(Code::PreconditionFailed));
    }
    if validators(request, &IF_NONE_MATCH).is_some_and(|validators| names(&validators)) {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        put_digest(response.headers_mut(), digest);
        return Ok(Some(response));
    }
    Ok(None)
}
