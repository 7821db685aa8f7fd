//! Blobs: pull and delete (distribution specification, end-2, end-10).

use std::ops::Range;

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_RANGE, RANGE};
use http::{HeaderValue, Method, Response, StatusCode};
use kogge_core::OpenBlob;
use kogge_types::{Code, Digest, RepositoryName, media_type};

use crate::app::Admitted;
use crate::body::{Body, Piece};
use crate::error::Refusal;
use crate::oci::{empty, put_digest, put_header, unless_modified};
use crate::range::{Ranges, parse_ranges};

/// Separates the parts of a multipart answer. Stored bytes may hold it: each part says its length by its range.
const BOUNDARY: &str = "kogge-part-boundary-7d1c9b52";

pub(super) async fn get(
    request: &Admitted<'_>,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Response<Body>, Refusal> {
    let target = request.target(name);
    if let Some(response) = unless_modified(request, digest)? {
        request.app.core.stat_blob(&target, digest).await?;
        return Ok(response);
    }
    if request.parts.method == Method::HEAD {
        let size = request.app.core.stat_blob(&target, digest).await?;
        return Ok(whole(Body::Empty, size, digest));
    }
    let blob = request.app.core.open_blob(&target, digest).await?;
    let response = match asked_ranges(request, &blob, digest) {
        Ranges::Unsatisfiable => unsatisfiable(blob.size),
        Ranges::Whole => whole(Body::pieces([stored(&blob, 0..blob.size)]), blob.size, digest),
        Ranges::Parts(parts) => match parts.as_slice() {
            [part] => one_part(&blob, part.clone(), digest),
            parts => many_parts(&blob, parts, digest),
        },
    };
    request.app.metrics.registry_work.blob_pulls.inc();
    Ok(response)
}

/// What `Range` asks for, unless `If-Range` names another content.
fn asked_ranges(request: &Admitted<'_>, blob: &OpenBlob, digest: &Digest) -> Ranges {
    let same = request.header(&IF_RANGE).is_none_or(|tag| tag.trim_matches('"') == digest.to_string());
    match request.header(&RANGE).filter(|_| same) {
        Some(header) => parse_ranges(header, blob.size),
        None => Ranges::Whole,
    }
}

fn stored(blob: &OpenBlob, range: Range<u64>) -> Piece {
    let bytes = range.end - range.start;
    Piece::Stored(blob.reader.stream(range), bytes)
}

/// An answer of `bytes` stored bytes of `digest`.
fn answer(body: Body, status: StatusCode, bytes: u64, digest: &Digest) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type::OCTET_STREAM));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    put_digest(headers, digest);
    response
}

fn whole(body: Body, size: u64, digest: &Digest) -> Response<Body> {
    answer(body, StatusCode::OK, size, digest)
}

fn content_range(part: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", part.start, part.end - 1)
}

fn one_part(blob: &OpenBlob, part: Range<u64>, digest: &Digest) -> Response<Body> {
    let range = content_range(&part, blob.size);
    let bytes = part.end - part.start;
    let mut response = answer(Body::pieces([stored(blob, part)]), StatusCode::PARTIAL_CONTENT, bytes, digest);
    put_header(response.headers_mut(), CONTENT_RANGE, &range);
    response
}

fn many_parts(blob: &OpenBlob, parts: &[Range<u64>], digest: &Digest) -> Response<Body> {
    let mut pieces = Vec::with_capacity(parts.len() * 2 + 1);
    let mut bytes = 0;
    for part in parts {
        let head = format!(
            "\r\n--{BOUNDARY}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n",
            media_type::OCTET_STREAM,
            content_range(part, blob.size)
        );
        bytes += head.len() as u64 + part.end - part.start;
        pieces.push(Piece::Text(Bytes::from(head)));
        pieces.push(stored(blob, part.clone()));
    }
    let end = format!("\r\n--{BOUNDARY}--\r\n");
    bytes += end.len() as u64;
    pieces.push(Piece::Text(Bytes::from(end)));
    let mut response = answer(Body::pieces(pieces), StatusCode::PARTIAL_CONTENT, bytes, digest);
    let content_type = format!("multipart/byteranges; boundary={BOUNDARY}");
    response.headers_mut().remove(CONTENT_TYPE);
    put_header(response.headers_mut(), CONTENT_TYPE, &content_type);
    response
}

fn unsatisfiable(size: u64) -> Response<Body> {
    let mut response = Refusal::new(Code::RangeInvalid, "the range lies outside the blob").respond(None);
    put_header(response.headers_mut(), CONTENT_RANGE, &format!("bytes */{size}"));
    response
}

pub(super) async fn delete(
    request: &Admitted<'_>,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Response<Body>, Refusal> {
    request.app.core.delete_blob(&request.target(name), digest).await?;
    Ok(empty(StatusCode::ACCEPTED))
}
