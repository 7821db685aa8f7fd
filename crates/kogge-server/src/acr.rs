//! ACR's metadata API, as far as it is offered: a repository, its manifests, its deletion.

use http::{Response, StatusCode};
use kogge_meta::{Attributes, ManifestDetail};
use kogge_types::{Code, Digest, RepositoryName};
use serde_json::{Value, json};

use crate::app::Admitted;
use crate::body::Body;
use crate::error::Refusal;
use crate::oci;
use crate::oci::listings::Page;
use crate::route::Operation;

pub(crate) async fn repository(
    request: &Admitted<'_>,
    operation: Operation,
    name: &RepositoryName,
) -> Result<Response<Body>, Refusal> {
    let (core, target) = (&request.app.core, request.target(name));
    if operation == Operation::DeleteAcrRepository {
        let taken = core.delete_repository(&target).await?;
        let content = json!({ "manifestsDeleted": taken.manifests, "tagsDeleted": taken.tags });
        let mut response = oci::json(content.to_string());
        *response.status_mut() = StatusCode::ACCEPTED;
        return Ok(response);
    }
    let found = core.describe_repository(&target).await?;
    let content = json!({
        "registry": request.origin.asked_host(),
        "imageName": found.name,
        "createdTime": time(found.created_at_us),
        "lastUpdateTime": time(found.updated_at_us),
        "manifestCount": found.manifests,
        "tagCount": found.tags,
        "changeableAttributes": attributes(found.attributes),
    });
    Ok(oci::json(content.to_string()))
}

pub(crate) async fn manifests(request: &Admitted<'_>, name: &RepositoryName) -> Result<Response<Body>, Refusal> {
    let page = Page::of(request)?;
    if request.parameter("orderby").is_some_and(|order| !matches!(order.as_ref(), "" | "none")) {
        return Err(Refusal::new(
            Code::FormInvalid,
            "orderby is not supported yet; manifests come in the order of their digests",
        ));
    }
    let after = match page.last.as_str() {
        "" => None,
        last => Some(last.parse::<Digest>().map_err(|_| Refusal::of(Code::PaginationInvalid))?),
    };
    let found = request.app.core.list_manifests(&request.target(name), after, page.size()).await?;
    let content = json!({
        "registry": request.origin.asked_host(),
        "imageName": name,
        "manifests": found.manifests.iter().map(describe).collect::<Vec<_>>(),
    });
    let mut response = oci::json(content.to_string());
    if let Some(last) = found.manifests.last().filter(|_| found.more) {
        let last = last.digest.to_string();
        oci::put_next(response.headers_mut(), request.parts.uri.path(), page.asked, &last, &[]);
    }
    Ok(response)
}

fn describe(manifest: &ManifestDetail) -> Value {
    json!({
        "digest": manifest.digest,
        "imageSize": manifest.size,
        "createdTime": time(manifest.created_at_us),
        "lastUpdateTime": time(manifest.updated_at_us),
        "mediaType": manifest.media_type,
        "artifactType": manifest.artifact_type,
        "configMediaType": manifest.config_media_type,
        "tags": manifest.tags,
        "changeableAttributes": attributes(manifest.attributes),
    })
}

fn attributes(attributes: Attributes) -> Value {
    json!({
        "deleteEnabled": attributes.delete_enabled,
        "writeEnabled": attributes.write_enabled,
        "readEnabled": attributes.read_enabled,
        "listEnabled": attributes.list_enabled,
    })
}

fn time(at_us: i64) -> String {
    jiff::Timestamp::from_microsecond(at_us).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}
