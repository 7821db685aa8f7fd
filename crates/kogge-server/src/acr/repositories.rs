//! A repository as a whole: described, locked, deleted.

use http::{Response, StatusCode};
use kogge_meta::RepositoryDetail;
use kogge_types::RepositoryName;
use serde_json::json;

use crate::acr::{attributes, attributes_patch, time};
use crate::app::Admitted;
use crate::body::{Body, Upload};
use crate::error::Refusal;
use crate::oci;

pub(super) async fn get(request: &Admitted<'_>, name: &RepositoryName) -> Result<Response<Body>, Refusal> {
    let found = request.app.core.describe_repository(&request.target(name)).await?;
    Ok(describe(request, &found))
}

pub(super) async fn patch(
    request: &Admitted<'_>,
    name: &RepositoryName,
    upload: &mut Upload,
) -> Result<Response<Body>, Refusal> {
    let patch = attributes_patch(upload).await?;
    let found = request.app.core.set_repository_attributes(&request.target(name), patch).await?;
    Ok(describe(request, &found))
}

pub(super) async fn delete(request: &Admitted<'_>, name: &RepositoryName) -> Result<Response<Body>, Refusal> {
    let taken = request.app.core.delete_repository(&request.target(name)).await?;
    let content = json!({ "manifestsDeleted": taken.manifests, "tagsDeleted": taken.tags });
    let mut response = oci::json(content.to_string());
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

fn describe(request: &Admitted<'_>, found: &RepositoryDetail) -> Response<Body> {
    let content = json!({
        "registry": request.origin.asked_host(),
        "imageName": found.name,
        "createdTime": time(found.created_at_us),
        "lastUpdateTime": time(found.updated_at_us),
        "manifestCount": found.manifests,
        "tagCount": found.tags,
        "changeableAttributes": attributes(found.attributes),
    });
    oci::json(content.to_string())
}
