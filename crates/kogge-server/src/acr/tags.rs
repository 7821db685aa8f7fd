//! Tags: listed, described, locked, taken away.

use http::{Response, StatusCode};
use kogge_core::TagQuery;
use kogge_meta::TagDetail;
use kogge_types::{Code, Digest, RepositoryName, Tag};
use serde_json::{Value, json};

use crate::acr::{about, attributes, attributes_patch, order, put_next, time};
use crate::app::Admitted;
use crate::body::{Body, Upload};
use crate::error::Refusal;
use crate::oci;
use crate::oci::listings::Page;

pub(super) async fn list(request: &Admitted<'_>, name: &RepositoryName) -> Result<Response<Body>, Refusal> {
    let page = Page::of(request)?;
    let filter = request.parameter("digest").filter(|digest| !digest.is_empty());
    let digest: Option<Digest> = match &filter {
        None => None,
        Some(digest) => Some(digest.parse().map_err(|error| Refusal::new(Code::DigestInvalid, format!("{error}")))?),
    };
    let query = TagQuery { digest, order: order(request)?, last: page.last.clone() };
    let found = request.app.core.describe_tags(&request.target(name), query, page.size()).await?;
    let tags = found.tags.iter().map(|tag| describe(&tag.name, &tag.detail)).collect();
    let mut response = about(request, name, "tags", tags);
    if let Some(last) = found.tags.last().filter(|_| found.more) {
        let filter = filter.as_deref().map(|digest| ("digest", digest));
        put_next(response.headers_mut(), request, &page, last.name.as_str(), filter);
    }
    Ok(response)
}

pub(super) async fn get(request: &Admitted<'_>, name: &RepositoryName, tag: &Tag) -> Result<Response<Body>, Refusal> {
    let found = request.app.core.describe_tag(&request.target(name), tag).await?;
    Ok(about(request, name, "tag", describe(tag, &found)))
}

pub(super) async fn patch(
    request: &Admitted<'_>,
    name: &RepositoryName,
    tag: &Tag,
    upload: &mut Upload,
) -> Result<Response<Body>, Refusal> {
    let patch = attributes_patch(upload).await?;
    let found = request.app.core.set_tag_attributes(&request.target(name), tag, patch).await?;
    Ok(about(request, name, "tag", describe(tag, &found)))
}

/// Untags: the manifest stays.
pub(super) async fn delete(
    request: &Admitted<'_>,
    name: &RepositoryName,
    tag: &Tag,
) -> Result<Response<Body>, Refusal> {
    request.app.core.untag(&request.target(name), tag).await?;
    Ok(oci::empty(StatusCode::ACCEPTED))
}

/// `signed` is of Docker Content Trust, which has no signatures here.
fn describe(name: &Tag, tag: &TagDetail) -> Value {
    json!({
        "name": name,
        "digest": tag.digest,
        "createdTime": time(tag.created_at_us),
        "lastUpdateTime": time(tag.updated_at_us),
        "signed": false,
        "changeableAttributes": attributes(tag.attributes),
    })
}
