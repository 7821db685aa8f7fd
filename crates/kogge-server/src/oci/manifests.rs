//! Manifests: pull, push, delete (distribution specification, end-3, end-7, end-9).

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, LOCATION};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use kogge_core::{PutManifest, TagCondition};
use kogge_types::{Code, Reference, RepositoryName, Tag, limits};

use crate::app::Admitted;
use crate::body::{Body, Upload};
use crate::error::Refusal;
use crate::oci::{Validators, empty, put_digest, put_header, unless_modified, validators};

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const TAG: HeaderName = HeaderName::from_static("oci-tag");

pub(super) async fn get(
    request: &Admitted<'_>,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<Response<Body>, Refusal> {
    let manifest = request.app.core.get_manifest(&request.target(name), reference).await?;
    if let Some(response) = unless_modified(request, &manifest.digest)? {
        return Ok(response);
    }
    let head = request.parts.method == Method::HEAD;
    let mut response = Response::new(if head { Body::Empty } else { Body::Full(manifest.body.clone()) });
    let headers = response.headers_mut();
    put_header(headers, CONTENT_TYPE, &manifest.media_type);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(manifest.body.len()));
    put_digest(headers, &manifest.digest);
    if !head {
        request.app.metrics.registry_work.manifest_pulls.inc();
    }
    Ok(response)
}

pub(super) async fn put(
    request: &Admitted<'_>,
    name: &RepositoryName,
    reference: &Reference,
    upload: &mut Upload,
) -> Result<Response<Body>, Refusal> {
    let tags = tag_parameters(request, reference)?;
    let content_type = request.header(&CONTENT_TYPE).unwrap_or_default().to_owned();
    let body = upload.collect(limits::MANIFEST_BYTES_MAX, Code::ManifestTooLarge).await?;
    let put = PutManifest { reference: reference.clone(), tags, content_type, body, condition: condition(request) };
    let tags = put.tags.clone();
    let outcome = request.app.core.put_manifest(&request.target(name), put).await?;
    let mut response = empty(StatusCode::CREATED);
    let headers = response.headers_mut();
    put_header(headers, LOCATION, &format!("/v2/{name}/manifests/{}", outcome.digest));
    put_digest(headers, &outcome.digest);
    if let Some(subject) = outcome.subject {
        put_header(headers, SUBJECT, &subject.to_string());
    }
    for tag in &tags {
        put_header(headers, TAG, tag.as_str());
    }
    request.app.metrics.registry_work.manifest_pushes.inc();
    Ok(response)
}

/// The tags to be set beside a digest (distribution specification, end-7b).
fn tag_parameters(request: &Admitted<'_>, reference: &Reference) -> Result<Vec<Tag>, Refusal> {
    let mut tags: Vec<Tag> = Vec::new();
    for (_, value) in request.query().filter(|(key, _)| key == "tag") {
        let tag: Tag = value.parse().map_err(|error| Refusal::new(Code::TagInvalid, format!("{error}")))?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    if tags.len() > limits::TAGS_PER_PUT_MAX {
        return Err(Refusal::of(Code::TooManyTags));
    }
    match reference {
        Reference::Tag(_) if !tags.is_empty() => {
            Err(Refusal::new(Code::TagInvalid, "tag parameters go with a digest, not with a tag"))
        }
        _ => Ok(tags),
    }
}

fn condition(request: &Admitted<'_>) -> TagCondition {
    match (validators(request, &IF_MATCH), validators(request, &IF_NONE_MATCH)) {
        (Some(Validators::Any), _) => TagCondition::Exists,
        (Some(Validators::These(digests)), _) => TagCondition::Is(digests),
        (None, Some(Validators::Any)) => TagCondition::Missing,
        (None, Some(Validators::These(digests))) => TagCondition::IsNot(digests),
        (None, None) => TagCondition::None,
    }
}

pub(super) async fn delete(
    request: &Admitted<'_>,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<Response<Body>, Refusal> {
    let target = request.target(name);
    match reference {
        Reference::Tag(tag) => request.app.core.delete_tag(&target, tag).await?,
        Reference::Digest(digest) => request.app.core.delete_manifest(&target, digest).await?,
    }
    Ok(empty(StatusCode::ACCEPTED))
}
