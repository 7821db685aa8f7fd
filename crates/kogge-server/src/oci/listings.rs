//! Listings: tags, repositories, referrers (distribution specification, end-8, end-12; Docker's catalog).

use http::{HeaderName, HeaderValue, Response};
use kogge_types::{Code, Digest, RepositoryName, limits, media_type};

use crate::app::Admitted;
use crate::body::Body;
use crate::error::Refusal;
use crate::oci::{json, put_next, typed};
use crate::route;

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// The page that a listing is asked for.
pub(crate) struct Page {
    /// What the caller asked for, to be repeated in the link.
    pub(crate) asked: Option<usize>,
    pub(crate) last: String,
}

impl Page {
    pub(crate) fn of(request: &Admitted<'_>) -> Result<Self, Refusal> {
        let asked = match request.parameter("n") {
            None => None,
            Some(n) => Some(n.parse().map_err(|_| Refusal::of(Code::PaginationInvalid))?),
        };
        Ok(Self { asked, last: request.parameter("last").unwrap_or_default().into_owned() })
    }

    pub(crate) fn size(&self) -> usize {
        self.asked.unwrap_or(limits::PAGE_NAMES_DEFAULT)
    }
}

pub(super) async fn catalog(request: &Admitted<'_>) -> Result<Response<Body>, Refusal> {
    let page = Page::of(request)?;
    let core = &request.app.core;
    let found = core.list_repositories(&request.registry, &request.caller, &page.last, page.size()).await?;
    let mut response = json(serde_json::json!({ "repositories": found.names }).to_string());
    if let Some(last) = found.names.last().filter(|_| found.more) {
        let path = request.parts.uri.path();
        // ACR's own end points repeat the order, of which there is only one here.
        let more: &[_] = if route::is_distribution(path) { &[] } else { &[("orderby", "")] };
        put_next(response.headers_mut(), path, page.asked, last, more);
    }
    Ok(response)
}

pub(super) async fn tags(request: &Admitted<'_>, name: &RepositoryName) -> Result<Response<Body>, Refusal> {
    let page = Page::of(request)?;
    let found = request.app.core.list_tags(&request.target(name), &page.last, page.size()).await?;
    let mut response = json(serde_json::json!({ "name": name, "tags": found.names }).to_string());
    if let Some(last) = found.names.last().filter(|_| found.more) {
        put_next(response.headers_mut(), request.parts.uri.path(), page.asked, last, &[]);
    }
    Ok(response)
}

pub(super) async fn referrers(
    request: &Admitted<'_>,
    name: &RepositoryName,
    subject: &Digest,
) -> Result<Response<Body>, Refusal> {
    let page = Page::of(request)?;
    let artifact_type = request.parameter("artifactType").filter(|filter| !filter.is_empty());
    let after = match page.last.as_str() {
        "" => None,
        last => Some(last.parse().map_err(|_| Refusal::of(Code::PaginationInvalid))?),
    };
    let (core, size) = (&request.app.core, page.asked.unwrap_or(limits::PAGE_REFERRERS_MAX));
    let found = core.list_referrers(&request.target(name), subject, artifact_type.as_deref(), after, size).await?;
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#,
        media_type::OCI_INDEX,
        found.descriptors.join(",")
    );
    let mut response = typed(index, HeaderValue::from_static(media_type::OCI_INDEX));
    let headers = response.headers_mut();
    let mut more = Vec::new();
    if let Some(filter) = &artifact_type {
        headers.insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
        more.push(("artifactType", filter.as_ref()));
    }
    if let Some(next) = found.next {
        put_next(headers, request.parts.uri.path(), page.asked, &next.to_string(), &more);
    }
    Ok(response)
}
