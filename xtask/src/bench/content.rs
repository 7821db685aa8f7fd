//! What is pushed and pulled: blobs of given sizes that no compressor and no cache can shorten, and small images.

use std::sync::Arc;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::http::{Answer, Connection, Request};

/// Bytes that are drawn once; larger blobs repeat them.
const BLOCK_BYTES: usize = 8 * 1024 * 1024;
/// Bytes that one write of a large body hands over.
const WRITE_BYTES: usize = 1024 * 1024;

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Random-looking bytes that blobs are cut from.
#[derive(Clone)]
pub(super) struct Source(Arc<[u8]>);

impl Source {
    pub(super) fn new() -> Self {
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        while block.len() < BLOCK_BYTES {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            block.extend_from_slice(&state.to_le_bytes());
        }
        Self(block.into())
    }

    /// A blob of `bytes` that differs for each `seed`.
    pub(super) fn blob(&self, seed: u64, bytes: u64) -> Blob {
        let mut blob = Blob { source: self.clone(), head: format!("{seed:016x}"), bytes, digest: String::new() };
        let mut hasher = Sha256::new();
        for part in blob.parts(0..bytes) {
            hasher.update(part);
        }
        blob.digest = digest_text(&hasher.finalize());
        blob
    }
}

/// A blob: a head of its own, then the source's bytes over and over.
#[derive(Clone)]
pub(super) struct Blob {
    source: Source,
    head: String,
    pub(super) bytes: u64,
    /// `sha256:` and the hexadecimal digest.
    pub(super) digest: String,
}

impl Blob {
    /// The bytes of `range`, in parts.
    pub(super) fn parts(&self, range: std::ops::Range<u64>) -> impl Iterator<Item = &[u8]> {
        let head_bytes = self.head.len() as u64;
        let mut at = range.start;
        std::iter::from_fn(move || {
            if at >= range.end {
                return None;
            }
            let rest: &[u8] = if at < head_bytes {
                &self.head.as_bytes()[place(at)..]
            } else {
                let from = place((at - head_bytes) % BLOCK_BYTES as u64);
                &self.source.0[from..BLOCK_BYTES.min(from + WRITE_BYTES)]
            };
            let part = &rest[..rest.len().min(place(range.end - at))];
            at += part.len() as u64;
            Some(part)
        })
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(place(self.bytes));
        self.parts(0..self.bytes).for_each(|part| bytes.extend_from_slice(part));
        bytes
    }

    fn descriptor(&self, media_type: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"{}","size":{}}}"#, self.digest, self.bytes)
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// `sha256:` and the digest of `bytes`.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    digest_text(&Sha256::digest(bytes))
}

fn digest_text(digest: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for nibble in digest.iter().flat_map(|byte| [byte >> 4, byte & 0xf]) {
        text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
    }
    text
}

/// The manifest of an image of one config and one layer, filled up to at least `bytes`.
pub(super) fn manifest(config: &Blob, layer: &Blob, bytes: usize) -> Vec<u8> {
    let text = |filling: &str| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{},"layers":[{}],"annotations":{{"f":"{filling}"}}}}"#,
            config.descriptor("application/vnd.oci.image.config.v1+json"),
            layer.descriptor("application/vnd.oci.image.layer.v1.tar+gzip"),
        )
    };
    let missing = bytes.saturating_sub(text("").len());
    text(&"x".repeat(missing)).into_bytes()
}

/// Pushes a blob by POST and PUT.
pub(super) fn push_blob(connection: &mut Connection, repository: &str, blob: &Blob) -> Result<()> {
    let target = finish_target(&begin_upload(connection, repository)?, &blob.digest)?;
    let request = Request { body_bytes: blob.bytes, ..Request::new("PUT", &target) };
    if blob.bytes <= WRITE_BYTES as u64 {
        connection.send(&request, &blob.to_vec())?;
    } else {
        connection.send(&request, &[])?;
        for part in blob.parts(0..blob.bytes) {
            connection.send_body(part)?;
        }
    }
    connection.expect(&request, 201).map(drop)
}

/// Begins an upload.
pub(super) fn begin_upload(connection: &mut Connection, repository: &str) -> Result<Answer> {
    let target = format!("/v2/{repository}/blobs/uploads/");
    connection.exchange(&Request::new("POST", &target), &[], 202)
}

/// Where the upload that `begun` tells of ends as `digest`.
pub(super) fn finish_target(begun: &Answer, digest: &str) -> Result<String> {
    let location = begun.location.as_deref().context("an upload without Location")?;
    let path = match location.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => location,
    };
    let separator = if path.contains('?') { '&' } else { '?' };
    Ok(format!("{path}{separator}digest={digest}"))
}

/// Pushes a manifest under `reference`, which may carry a query.
pub(super) fn put_manifest(
    connection: &mut Connection,
    repository: &str,
    reference: &str,
    media_type: &str,
    body: &[u8],
) -> Result<()> {
    let target = format!("/v2/{repository}/manifests/{reference}");
    let request = Request { content_type: media_type, ..Request::new("PUT", &target) };
    connection.exchange(&request, body, 201).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_blob_wherever_they_begin() {
        let blob = Source::new().blob(7, 3 * BLOCK_BYTES as u64 + 5);
        let whole = blob.to_vec();
        assert_eq!(whole.len() as u64, blob.bytes);
        assert_eq!(digest_of(&whole), blob.digest);
        let middle: Vec<u8> = blob.parts(10..BLOCK_BYTES as u64 + 99).flatten().copied().collect();
        assert_eq!(middle, whole[10..BLOCK_BYTES + 99]);
    }

    #[test]
    fn a_manifest_has_the_size_that_was_asked_for() {
        let source = Source::new();
        assert_eq!(manifest(&source.blob(1, 100), &source.blob(2, 4096), 1024).len(), 1024);
    }
}
