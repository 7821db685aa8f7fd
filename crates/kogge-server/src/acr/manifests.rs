//! Manifests: listed, described, locked.

use http::Response;
use kogge_meta::ManifestDetail;
use kogge_types::manifest::Platform;
use kogge_types::{Code, Digest, RepositoryName};
use serde_json::{Map, Value, json};

use crate::acr::{about, attributes, attributes_patch, order, put_next, time};
use crate::app::Admitted;
use crate::body::{Body, Upload};
use crate::error::Refusal;
use crate::oci::listings::Page;

pub(super) async fn list(request: &Admitted<'_>, name: &RepositoryName) -> Result<Response<Body>, Refusal> {
    let page = Page::of(request)?;
    let last = match page.last.as_str() {
        "" => None,
        last => Some(last.parse().map_err(|_| Refusal::of(Code::PaginationInvalid))?),
    };
    let (core, order) = (&request.app.core, order(request)?);
    let found = core.describe_manifests(&request.target(name), order, last, page.size()).await?;
    let mut response = about(request, name, "manifests", found.manifests.iter().map(describe).collect());
    if let Some(last) = found.manifests.last().filter(|_| found.more) {
        put_next(response.headers_mut(), request, &page, &last.digest.to_string(), None);
    }
    Ok(response)
}

pub(super) async fn get(
    request: &Admitted<'_>,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Response<Body>, Refusal> {
    let found = request.app.core.describe_manifest(&request.target(name), digest).await?;
    Ok(about(request, name, "manifest", describe(&found)))
}

pub(super) async fn patch(
    request: &Admitted<'_>,
    name: &RepositoryName,
    digest: &Digest,
    upload: &mut Upload,
) -> Result<Response<Body>, Refusal> {
    let patch = attributes_patch(upload).await?;
    let found = request.app.core.set_manifest_attributes(&request.target(name), digest, patch).await?;
    Ok(about(request, name, "manifest", describe(&found)))
}

/// What is not known or does not apply is left out.
fn describe(manifest: &ManifestDetail) -> Value {
    let mut said = Map::new();
    let mut say = |key: &str, value: Value| said.insert(key.to_owned(), value);
    say("digest", json!(manifest.digest));
    say("imageSize", json!(manifest.size));
    say("createdTime", json!(time(manifest.created_at_us)));
    say("lastUpdateTime", json!(time(manifest.updated_at_us)));
    if let Some(platform) = &manifest.platform {
        say("architecture", json!(platform.architecture));
        say("os", json!(platform.os));
    }
    say("mediaType", json!(manifest.media_type));
    if let Some(kind) = &manifest.config_media_type {
        say("configMediaType", json!(kind));
    }
    if let Some(kind) = &manifest.artifact_type {
        say("artifactType", json!(kind));
    }
    say("tags", json!(manifest.tags));
    if !manifest.children.is_empty() {
        let references = manifest.children.iter().map(|child| reference(&child.digest, child.platform.as_ref()));
        say("references", references.collect());
    }
    say("changeableAttributes", attributes(manifest.attributes));
    Value::Object(said)
}

fn reference(digest: &Digest, platform: Option<&Platform>) -> Value {
    match platform {
        Some(platform) => json!({ "digest": digest, "architecture": platform.architecture, "os": platform.os }),
        None => json!({ "digest": digest }),
    }
}
