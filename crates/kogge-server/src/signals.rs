//! Health, readiness and metrics.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Response};
use kogge_core::DEFAULT_REGISTRY;
use kogge_types::Code;

use crate::app::App;
use crate::body::Body;
use crate::error::Refusal;
use crate::forwarded::Origin;
use crate::metrics::CONTENT_TYPE as METRICS_TYPE;

fn text(content: impl Into<Bytes>, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::Full(content.into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The process answers.
pub(crate) fn health() -> Response<Body> {
    text("ok\n", "text/plain; charset=utf-8")
}

/// Metadata and blob store take writes.
pub(crate) async fn ready(app: &App) -> Result<Response<Body>, Refusal> {
    match app.core.probe().await {
        Ok(()) => Ok(text("ready\n", "text/plain; charset=utf-8")),
        Err(error) => Err(Refusal::Error(kogge_core::Error { code: Code::Unavailable, ..error })),
    }
}

/// The metrics: for clients on this machine, and for whoever runs the deployment. A request that was forwarded by a proxy
/// that nobody vouches for comes from anywhere.
pub(crate) async fn metrics(app: &App, parts: &Parts, origin: &Origin) -> Result<Response<Body>, Refusal> {
    let forwarded = ["forwarded", "x-forwarded-for"].iter().any(|name| parts.headers.contains_key(*name));
    if !origin.client.is_loopback() || (forwarded && !origin.vouched) {
        let name = DEFAULT_REGISTRY.parse().map_err(|_| Refusal::of(Code::Internal))?;
        let registry = app.core.registry(&name).ok_or_else(|| Refusal::of(Code::HostUnknown))?;
        let caller = app.authenticate(parts, origin, &registry, || Refusal::Password).await?;
        if !app.core.operates(&caller) {
            return Err(Refusal::Password);
        }
    }
    app.metrics.registry_work.observe(&app.core).await;
    Ok(text(app.metrics.render(), METRICS_TYPE))
}
