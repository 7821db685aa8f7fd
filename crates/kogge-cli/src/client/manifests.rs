//! Manifests over the distribution API, byte for byte.

use bytes::Bytes;
use kogge_types::{Action, Digest, Reference, RepositoryName, Tag, limits, media_type};
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use super::authorizer::Scopes;
use super::{Client, Request, read_bounded};
use crate::error::{Error, Result};

/// Every manifest type that is understood.
pub(crate) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json, */*;q=0.1";

/// A manifest's exact bytes and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManifestContent {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
}

impl ManifestContent {
    /// Takes bytes whose digest is known; they must match it. Without a media type from outside, the body's counts.
    pub(crate) fn verified(digest: Digest, media_type: Option<&str>, bytes: Bytes, what: &str) -> Result<Self> {
        let actual = Digest::of(digest.algorithm(), &bytes);
        if actual != digest {
            return Err(Error::general(format!("{what} is corrupt: its digest is {actual}, not {digest}")));
        }
        let media_type = media_type
            .map(media_type::essence)
            .filter(|given| !matches!(*given, "" | media_type::JSON | media_type::OCTET_STREAM | "text/plain"))
            .map_or_else(|| media_type_of_body(&bytes), ToOwned::to_owned);
        Ok(Self { digest, media_type, bytes })
    }
}

/// The type that a manifest says it has, or that its fields show.
pub(crate) fn media_type_of_body(body: &[u8]) -> String {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    match parsed.get("mediaType").and_then(Value::as_str) {
        Some(own) => own.to_owned(),
        None if parsed.get("manifests").is_some() => media_type::OCI_INDEX.to_owned(),
        None if parsed.get("schemaVersion").and_then(Value::as_u64) == Some(1) => {
            media_type::DOCKER_SCHEMA_1.to_owned()
        }
        None => media_type::OCI_MANIFEST.to_owned(),
    }
}

/// What a HEAD tells of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManifestHead {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    /// Bytes.
    pub(crate) size: u64,
}

/// What a manifest's PUT told.
#[derive(Debug, Default)]
pub(crate) struct ManifestPut {
    /// Whether the registry took note of the manifest's subject itself.
    pub(crate) subject_noted: bool,
    /// The tags that the registry set beside the reference.
    pub(crate) tags: Vec<String>,
}

impl Client {
    pub(crate) async fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<ManifestContent> {
        let what = self.shown(repository, reference);
        let action = format!("get the manifest {what}");
        let request = self.manifest_request(Method::GET, repository, reference, Scopes::pull(repository));
        let response = self.expect(self.execute(&request, &action).await?, &[StatusCode::OK], &action).await?;
        let announced = announced_digest(response.headers());
        let content_type = text_header(response.headers(), CONTENT_TYPE.as_str());
        let bytes = read_bounded(response, limits::MANIFEST_BYTES_MAX, &action, self.host()).await?;
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(_) => announced.unwrap_or_else(|| Digest::sha256(&bytes)),
        };
        ManifestContent::verified(digest, content_type.as_deref(), bytes, &format!("the manifest {what}"))
    }

    /// What is known of a manifest without reading it; `None` when there is none.
    pub(crate) async fn manifest_head(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        scopes: Scopes,
    ) -> Result<Option<ManifestHead>> {
        let action = format!("look for the manifest {}", self.shown(repository, reference));
        let request = self.manifest_request(Method::HEAD, repository, reference, scopes);
        let response = self.execute(&request, &action).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = self.expect(response, &[StatusCode::OK], &action).await?;
        let digest = match (announced_digest(response.headers()), reference) {
            (Some(digest), _) => digest,
            (None, Reference::Digest(digest)) => *digest,
            (None, Reference::Tag(_)) => return self.manifest_head_by_get(repository, reference).await.map(Some),
        };
        let content_type = text_header(response.headers(), CONTENT_TYPE.as_str()).unwrap_or_default();
        let size = text_header(response.headers(), CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok());
        let media_type = media_type::essence(&content_type).to_owned();
        Ok(Some(ManifestHead { digest, media_type, size: size.unwrap_or_default() }))
    }

    /// Old registries give no digest with a HEAD.
    async fn manifest_head_by_get(&self, repository: &RepositoryName, reference: &Reference) -> Result<ManifestHead> {
        let content = self.manifest(repository, reference).await?;
        Ok(ManifestHead { digest: content.digest, media_type: content.media_type, size: content.bytes.len() as u64 })
    }

    /// Puts a manifest; `tags` are set in the same request where the registry knows how.
    pub(crate) async fn put_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        content: &ManifestContent,
        tags: &[Tag],
    ) -> Result<ManifestPut> {
        let action = format!("put the manifest {}", self.shown(repository, reference));
        let mut request = self.manifest_request(Method::PUT, repository, reference, Scopes::push(repository));
        for tag in tags {
            request.url.query_pairs_mut().append_pair("tag", tag.as_str());
        }
        let content_type = HeaderValue::try_from(&content.media_type).map_err(|error| {
            Error::general(format!("cannot {action}: its media type cannot be sent")).because(error)
        })?;
        request.headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type)]);
        request.body = content.bytes.clone();
        let response = self.execute(&request, &action).await?;
        let response = self.expect(response, &[StatusCode::CREATED, StatusCode::OK], &action).await?;
        let set = response.headers().get_all("oci-tag").iter().filter_map(|value| value.to_str().ok());
        Ok(ManifestPut {
            subject_noted: response.headers().contains_key("oci-subject"),
            tags: set.flat_map(|value| value.split(',')).map(|tag| tag.trim().to_owned()).collect(),
        })
    }

    /// Deletes a manifest by digest, or a tag alone.
    pub(crate) async fn delete_manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<()> {
        let action = match reference {
            Reference::Tag(_) => format!("delete the tag {}", self.shown(repository, reference)),
            Reference::Digest(_) => format!("delete the manifest {}", self.shown(repository, reference)),
        };
        let scopes = Scopes::repository(repository, &[Action::Pull, Action::Delete]);
        let request = self.manifest_request(Method::DELETE, repository, reference, scopes);
        let response = self.execute(&request, &action).await?;
        let done: [StatusCode; 3] = [StatusCode::ACCEPTED, StatusCode::OK, StatusCode::NO_CONTENT];
        let response: Result<Response> = self.expect(response, &done, &action).await;
        response.map(drop)
    }

    fn manifest_request(
        &self,
        method: Method,
        repository: &RepositoryName,
        reference: &Reference,
        scopes: Scopes,
    ) -> Request {
        let mut request =
            Request::new(method, self.repository_url(repository, &format!("manifests/{reference}")), scopes);
        request.headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        request
    }

    fn shown(&self, repository: &RepositoryName, reference: &Reference) -> String {
        match reference {
            Reference::Tag(tag) => format!("{}/{repository}:{tag}", self.host()),
            Reference::Digest(digest) => format!("{}/{repository}@{digest}", self.host()),
        }
    }
}

fn announced_digest(headers: &HeaderMap) -> Option<Digest> {
    text_header(headers, "docker-content-digest")?.parse().ok()
}

pub(crate) fn text_header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_checked_against_its_digest() {
        let bytes = Bytes::from_static(b"{}");
        let digest = Digest::sha256(&bytes);
        assert!(ManifestContent::verified(digest, None, bytes.clone(), "x").is_ok());
        let error = ManifestContent::verified(Digest::sha256(b"other"), None, bytes, "x").expect_err("another digest");
        assert!(error.to_string().contains("corrupt"), "{error}");
    }

    #[test]
    fn the_media_type_comes_from_the_header_or_else_from_the_body() {
        let check = |header: Option<&str>, body: &'static str, expected: &str| {
            let bytes = Bytes::from_static(body.as_bytes());
            let content = ManifestContent::verified(Digest::sha256(&bytes), header, bytes, "x").expect("its digest");
            assert_eq!(content.media_type, expected, "{header:?} {body}");
        };
        check(Some("application/vnd.oci.image.index.v1+json; charset=utf-8"), "{}", media_type::OCI_INDEX);
        check(Some("text/plain"), r#"{"mediaType":"x/y"}"#, "x/y");
        check(None, r#"{"manifests":[]}"#, media_type::OCI_INDEX);
        check(None, r#"{"schemaVersion":1}"#, media_type::DOCKER_SCHEMA_1);
        check(None, "not JSON", media_type::OCI_MANIFEST);
    }
}
