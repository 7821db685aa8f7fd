//! Uploads: begin, mount, chunks, end (distribution specification, end-4 to end-6, end-11, end-13, end-14).

use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use http::{HeaderName, Response, StatusCode};
use kogge_core::{Progress, UploadStart, Window};
use kogge_types::{Algorithm, Code, Digest, RepositoryName, UploadId};

use crate::app::Admitted;
use crate::body::{Body, Upload};
use crate::error::Refusal;
use crate::oci::{empty, put_digest, put_header};
use crate::range::parse_window;

const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

pub(super) async fn start(
    request: &Admitted<'_>,
    name: &RepositoryName,
    upload: &mut Upload,
) -> Result<Response<Body>, Refusal> {
    let target = request.target(name);
    if let Some(mount) = request.parameter("mount") {
        let digest = parse_digest(&mount)?;
        if mount_blob(request, name, &digest).await? {
            return Ok(created(name, &digest));
        }
    } else if let Some(digest) = request.parameter("digest") {
        let digest = parse_digest(&digest)?;
        request.app.core.put_blob(&target, &digest, &mut *upload).await?;
        request.app.metrics.registry_work.blob_pushes.inc();
        return Ok(created(name, &digest));
    }
    let algorithm = match request.parameter("digest-algorithm") {
        None => Algorithm::Sha256,
        Some(text) => text.parse().map_err(|error| Refusal::new(Code::DigestInvalid, format!("{error}")))?,
    };
    let progress = request.app.core.start_upload(&target, UploadStart { algorithm }).await?;
    Ok(under_way(StatusCode::ACCEPTED, name, &progress))
}

/// Mounts from the repository that the request names, or from any that the caller may pull from.
async fn mount_blob(request: &Admitted<'_>, name: &RepositoryName, digest: &Digest) -> Result<bool, Refusal> {
    let (core, target) = (&request.app.core, request.target(name));
    let source = match request.parameter("from") {
        Some(from) => {
            let source: RepositoryName =
                from.parse().map_err(|error| Refusal::new(Code::NameInvalid, format!("{error}")))?;
            request.may_mount(&source, name)?.then_some(source)
        }
        None => core.mountable_from(&target, &request.caller, digest).await?,
    };
    match source {
        Some(source) => Ok(core.mount_blob(&target, &source, digest).await?),
        None => Ok(false),
    }
}

pub(super) async fn get(
    request: &Admitted<'_>,
    name: &RepositoryName,
    id: UploadId,
) -> Result<Response<Body>, Refusal> {
    let progress = request.app.core.upload_progress(&request.target(name), id).await?;
    let mut response = under_way(StatusCode::NO_CONTENT, name, &progress);
    response.headers_mut().remove(http::header::CONTENT_LENGTH);
    Ok(response)
}

pub(super) async fn patch(
    request: &Admitted<'_>,
    name: &RepositoryName,
    id: UploadId,
    upload: &mut Upload,
) -> Result<Response<Body>, Refusal> {
    let target = request.target(name);
    match request.app.core.write_chunk(&target, id, window(request)?, &mut *upload).await {
        Ok(progress) => Ok(under_way(StatusCode::ACCEPTED, name, &progress)),
        Err(error) => refused(request, name, id, error.into(), upload).await,
    }
}

pub(super) async fn put(
    request: &Admitted<'_>,
    name: &RepositoryName,
    id: UploadId,
    upload: &mut Upload,
) -> Result<Response<Body>, Refusal> {
    let digest = request
        .parameter("digest")
        .ok_or_else(|| Refusal::new(Code::DigestInvalid, "the digest parameter is missing"))?;
    let digest = parse_digest(&digest)?;
    let target = request.target(name);
    match request.app.core.finish_upload(&target, id, &digest, window(request)?, &mut *upload).await {
        Ok(()) => {
            request.app.metrics.registry_work.blob_pushes.inc();
            Ok(created(name, &digest))
        }
        Err(error) => refused(request, name, id, error.into(), upload).await,
    }
}

pub(super) async fn delete(
    request: &Admitted<'_>,
    name: &RepositoryName,
    id: UploadId,
) -> Result<Response<Body>, Refusal> {
    request.app.core.cancel_upload(&request.target(name), id).await?;
    let mut response = empty(StatusCode::NO_CONTENT);
    response.headers_mut().remove(http::header::CONTENT_LENGTH);
    Ok(response)
}

/// A chunk that does not continue the upload is told where it stands.
async fn refused(
    request: &Admitted<'_>,
    name: &RepositoryName,
    id: UploadId,
    refusal: Refusal,
    upload: &mut Upload,
) -> Result<Response<Body>, Refusal> {
    if refusal.code() != Code::RangeInvalid {
        return Err(refusal);
    }
    upload.drain().await;
    let progress = request.app.core.upload_progress(&request.target(name), id).await?;
    let mut response = refusal.respond(None);
    put_progress(&mut response, name, &progress);
    Ok(response)
}

fn parse_digest(text: &str) -> Result<Digest, Refusal> {
    text.parse().map_err(|error| Refusal::new(Code::DigestInvalid, format!("{error}")))
}

fn window(request: &Admitted<'_>) -> Result<Option<Window>, Refusal> {
    let mut values = request.parts.headers.get_all(CONTENT_RANGE).iter();
    let window = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().ok().and_then(parse_window),
        (Some(_), Some(_)) => None,
    };
    window
        .map(Some)
        .ok_or_else(|| Refusal::new(Code::BlobUploadInvalid, "Content-Range is written first-last, in bytes"))
}

fn created(name: &RepositoryName, digest: &Digest) -> Response<Body> {
    let mut response = empty(StatusCode::CREATED);
    put_header(response.headers_mut(), LOCATION, &format!("/v2/{name}/blobs/{digest}"));
    put_digest(response.headers_mut(), digest);
    response
}

fn under_way(status: StatusCode, name: &RepositoryName, progress: &Progress) -> Response<Body> {
    let mut response = empty(status);
    put_progress(&mut response, name, progress);
    response
}

fn put_progress(response: &mut Response<Body>, name: &RepositoryName, progress: &Progress) {
    let headers = response.headers_mut();
    put_header(headers, LOCATION, &format!("/v2/{name}/blobs/uploads/{}", progress.id));
    put_header(headers, RANGE, &format!("0-{}", progress.bytes.saturating_sub(1)));
    put_header(headers, UPLOAD_UUID, &progress.id.to_string());
}
