//! ACR's metadata API, `/acr/v1`: repositories, tags and manifests with their times, sizes and attributes
//! (azure-rest-api-specs, data plane 2021-07-01).

mod manifests;
mod repositories;
mod tags;

use http::{HeaderMap, Response};
use kogge_core::AttributesPatch;
use kogge_meta::{Attributes, Order};
use kogge_types::{Code, RepositoryName, limits};
use serde_json::{Value, json};

use crate::app::Admitted;
use crate::body::{Body, Upload};
use crate::error::Refusal;
use crate::oci;
use crate::oci::listings::Page;
use crate::route::{Operation, Route};

/// Answers a request of the metadata API that was let in.
pub(crate) async fn respond(
    request: &Admitted<'_>,
    route: &Route,
    operation: Operation,
    upload: &mut Upload,
) -> Result<Response<Body>, Refusal> {
    match (route, operation) {
        (Route::AcrRepository(name), Operation::PatchAcrRepository) => repositories::patch(request, name, upload).await,
        (Route::AcrRepository(name), Operation::DeleteAcrRepository) => repositories::delete(request, name).await,
        (Route::AcrRepository(name), _) => repositories::get(request, name).await,
        (Route::AcrTags(name), _) => tags::list(request, name).await,
        (Route::AcrTag(name, tag), Operation::PatchAcrTag) => tags::patch(request, name, tag, upload).await,
        (Route::AcrTag(name, tag), Operation::DeleteAcrTag) => tags::delete(request, name, tag).await,
        (Route::AcrTag(name, tag), _) => tags::get(request, name, tag).await,
        (Route::AcrManifests(name), _) => manifests::list(request, name).await,
        (Route::AcrManifest(name, digest), Operation::PatchAcrManifest) => {
            manifests::patch(request, name, digest, upload).await
        }
        (Route::AcrManifest(name, digest), _) => manifests::get(request, name, digest).await,
        _ => Err(Refusal::of(Code::NotFound)),
    }
}

/// An answer about something in a repository, under the name `kind`.
fn about(request: &Admitted<'_>, name: &RepositoryName, kind: &str, content: Value) -> Response<Body> {
    oci::json(json!({ "registry": request.origin.asked_host(), "imageName": name, kind: content }).to_string())
}

/// The attributes that a request sets.
async fn attributes_patch(upload: &mut Upload) -> Result<AttributesPatch, Refusal> {
    let body = upload.collect(limits::FORM_BYTES_MAX, Code::FormTooLarge).await?;
    Ok(AttributesPatch::from_json(&body)?)
}

/// The order that a listing is asked for.
fn order(request: &Admitted<'_>) -> Result<Order, Refusal> {
    match request.parameter("orderby").unwrap_or_default().as_ref() {
        "" | "none" => Ok(Order::Name),
        "timedesc" => Ok(Order::Newest),
        "timeasc" => Ok(Order::Oldest),
        _ => Err(Refusal::new(Code::FormInvalid, "orderby is timedesc, timeasc or none")),
    }
}

/// Leads to the page behind `last`, in the same order and with the same filter.
fn put_next(headers: &mut HeaderMap, request: &Admitted<'_>, page: &Page, last: &str, filter: Option<(&str, &str)>) {
    let order = request.parameter("orderby").unwrap_or_default();
    let more: Vec<_> = std::iter::once(("orderby", order.as_ref())).chain(filter).collect();
    oci::put_next(headers, request.parts.uri.path(), page.asked, last, &more);
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
