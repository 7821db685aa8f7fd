//! Referrers: by the API, and by the tag that stands in for it on registries without one (distribution
//! specification, "Referrers Tag Schema").

use kogge_types::{Descriptor, Digest, Manifest, Reference, RepositoryName, Tag, media_type};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::authorizer::Scopes;
use super::listing::Listing;
use super::manifests::{ManifestContent, text_header};
use super::{Client, Request};
use crate::error::{Error, Kind, Result};

impl Client {
    /// The manifests that have `subject` as their subject.
    pub(crate) async fn referrers(&self, repository: &RepositoryName, subject: &Digest) -> Result<Vec<Descriptor>> {
        let action = format!("list the referrers of {}/{repository}@{subject}", self.host());
        let url = self.repository_url(repository, &format!("referrers/{subject}"));
        let request = Request::new(Method::GET, url.clone(), Scopes::pull(repository));
        let first = self.execute(&request, &action).await?;
        if is_index(&first) {
            let listing = Listing::new(self, url, Scopes::pull(repository), "manifests", action);
            return all_descriptors(listing.answered(first)).await;
        }
        let without_api =
            [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST, StatusCode::METHOD_NOT_ALLOWED];
        self.expect(first, &without_api, &action).await?;
        match self.manifest(repository, &Reference::Tag(fallback_tag(subject))).await {
            Ok(content) => {
                Manifest::parse(&content.media_type, &content.bytes).map(|index| index.children).map_err(|error| {
                    Error::general(format!("the referrers tag of {subject} is not an index")).because(error)
                })
            }
            Err(error) if error.kind == Kind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Adds a referrer to the index that the fallback tag names. Not atomic on the registry's side: the caller lets
    /// no two of them run at once for one subject.
    pub(crate) async fn note_referrer(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        referrer: &Descriptor,
    ) -> Result<()> {
        let tag = Reference::Tag(fallback_tag(subject));
        let mut index = match self.manifest(repository, &tag).await {
            Ok(content) => serde_json::from_slice(&content.bytes).map_err(|error| {
                Error::general(format!("the referrers tag of {subject} is not an index")).because(error)
            })?,
            Err(error) if error.kind == Kind::NotFound => {
                json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [] })
            }
            Err(error) => return Err(error),
        };
        let Some(manifests) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
            return Err(Error::general(format!("the referrers tag of {subject} is not an index")));
        };
        let own = Value::String(referrer.digest.to_string());
        if manifests.iter().any(|entry| entry.get("digest") == Some(&own)) {
            return Ok(());
        }
        manifests.push(serde_json::to_value(referrer).expect("descriptors can be written"));
        let bytes = bytes::Bytes::from(serde_json::to_vec(&index).expect("JSON values can be written"));
        let content =
            ManifestContent::verified(Digest::sha256(&bytes), Some(media_type::OCI_INDEX), bytes, "the index")?;
        self.put_manifest(repository, &tag, &content, &[]).await.map(drop)
    }
}

/// Whether an answer is a list of referrers: a registry without the API may answer with anything else.
fn is_index(response: &Response) -> bool {
    let content_type = text_header(response.headers(), CONTENT_TYPE.as_str()).unwrap_or_default();
    response.status() == StatusCode::OK && media_type::essence(&content_type) == media_type::OCI_INDEX
}

async fn all_descriptors(mut listing: Listing<'_>) -> Result<Vec<Descriptor>> {
    let mut found = Vec::new();
    while let Some(page) = listing.next_page().await? {
        for entry in page {
            found.push(descriptor(entry)?);
        }
    }
    Ok(found)
}

fn descriptor(entry: Value) -> Result<Descriptor> {
    serde_json::from_value(entry).map_err(|error| Error::general("a referrer's descriptor is not valid").because(error))
}

/// The tag that names a subject's referrers: `sha256-<hex>`, cut to what a tag may hold.
pub(crate) fn fallback_tag(subject: &Digest) -> Tag {
    let mut text = format!("{}-{}", subject.algorithm(), subject.hex());
    text.truncate(subject.algorithm().as_str().len() + 1 + 64);
    text.parse().expect("an algorithm's name, a hyphen and hexadecimal are a tag")
}

#[cfg(test)]
mod tests {
    use kogge_types::Algorithm;

    use super::*;

    #[test]
    fn the_fallback_tag_is_the_digest_with_a_hyphen_cut_at_64() {
        let sha256 = Digest::sha256(b"");
        assert_eq!(fallback_tag(&sha256).as_str(), format!("sha256-{}", sha256.hex()));
        let sha512 = Digest::of(Algorithm::Sha512, b"");
        assert_eq!(fallback_tag(&sha512).as_str(), format!("sha512-{}", &sha512.hex()[..64]));
    }
}
