//! What a test does to one repository through the distribution API.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use kogge_types::Digest;
use kogge_types::media_type::{OCI_INDEX, OCI_MANIFEST, OCTET_STREAM};

use crate::content::{Item, Tree};
use crate::http::{Client, Reply, Request, encode};

/// A repository as one client sees it.
#[derive(Debug, Clone)]
pub struct Repository {
    client: Client,
    name: String,
}

impl Repository {
    pub fn new(client: &Client, name: &str) -> Self {
        Self { client: client.clone(), name: name.to_owned() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// `/v2/<name>/<rest>`
    pub fn path(&self, rest: impl std::fmt::Display) -> String {
        format!("/v2/{}/{rest}", self.name)
    }

    pub fn blob_path(&self, digest: &Digest) -> String {
        self.path(format_args!("blobs/{digest}"))
    }

    pub fn manifest_path(&self, reference: impl std::fmt::Display) -> String {
        self.path(format_args!("manifests/{reference}"))
    }

    pub async fn get_blob(&self, digest: &Digest) -> Reply {
        self.client.get(self.blob_path(digest)).send().await
    }

    pub async fn head_blob(&self, digest: &Digest) -> Reply {
        self.client.head(self.blob_path(digest)).send().await
    }

    pub async fn delete_blob(&self, digest: &Digest) -> Reply {
        self.client.delete(self.blob_path(digest)).send().await
    }

    pub async fn get_manifest(&self, reference: impl std::fmt::Display) -> Reply {
        accepting(self.client.get(self.manifest_path(reference))).send().await
    }

    pub async fn head_manifest(&self, reference: impl std::fmt::Display) -> Reply {
        accepting(self.client.head(self.manifest_path(reference))).send().await
    }

    pub async fn delete_manifest(&self, reference: impl std::fmt::Display) -> Reply {
        self.client.delete(self.manifest_path(reference)).send().await
    }

    /// Sends `manifest` as `reference`, its length not announced, as the conformance program does.
    pub async fn put_manifest(&self, reference: impl std::fmt::Display, manifest: &Item) -> Reply {
        let request =
            self.client.put(self.manifest_path(reference)).header(CONTENT_TYPE.as_str(), &manifest.media_type);
        request.chunked([manifest.bytes.clone()]).send().await
    }

    pub async fn tags(&self, query: &str) -> Reply {
        self.client.get(self.path(format_args!("tags/list{query}"))).send().await
    }

    /// Lists referrers; an empty filter asks for none.
    pub async fn referrers(&self, subject: impl std::fmt::Display, artifact_type: &str) -> Reply {
        let mut path = self.path(format_args!("referrers/{subject}"));
        if !artifact_type.is_empty() {
            path = format!("{path}?artifactType={}", encode(artifact_type));
        }
        self.client.get(path).send().await
    }

    /// Opens an upload and returns its location.
    pub async fn start_upload(&self) -> String {
        self.client.post(self.path("blobs/uploads/")).send().await.expect_status(202).location()
    }

    /// Sends one chunk whose first byte is at `start`.
    pub async fn patch(&self, location: &str, start: usize, chunk: Bytes) -> Reply {
        chunk_request(self.client.patch(location), start, chunk).send().await
    }

    /// Closes an upload that has all its bytes.
    pub async fn close_upload(&self, location: &str, digest: &Digest) -> Reply {
        self.client.put(with_digest(location, digest)).send().await
    }

    /// Pushes a blob by POST and PUT.
    pub async fn push_blob(&self, blob: &Item) {
        let location = self.start_upload().await;
        let put = self.client.put(with_digest(&location, &blob.digest)).header(CONTENT_TYPE.as_str(), OCTET_STREAM);
        put.body(blob.bytes.clone()).send().await.expect_status(201);
    }

    /// Pushes all of `tree`, its manifests by digest.
    pub async fn push(&self, tree: &Tree) {
        for blob in &tree.blobs {
            self.push_blob(blob).await;
        }
        for manifest in &tree.manifests {
            self.put_manifest(manifest.digest, manifest).await.expect_status(201);
        }
    }

    /// Pushes all of `tree` and tags its root.
    pub async fn push_tagged(&self, tree: &Tree, tag: &str) {
        self.push(tree).await;
        self.put_manifest(tag, tree.root()).await.expect_status(201);
    }
}

/// Adds what a chunk's request carries.
pub fn chunk_request(request: Request<'_>, start: usize, chunk: Bytes) -> Request<'_> {
    let end = (start + chunk.len()).saturating_sub(1);
    let request = request.header(CONTENT_TYPE.as_str(), OCTET_STREAM);
    request.header("content-range", format_args!("{start}-{end}")).body(chunk)
}

/// `location` with the digest that closes the upload.
pub fn with_digest(location: &str, digest: &Digest) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}digest={digest}")
}

fn accepting(request: Request<'_>) -> Request<'_> {
    request.header("accept", OCI_INDEX).header("accept", OCI_MANIFEST)
}
