//! Manifests: a view of the bytes that a client sent. The bytes themselves are never written anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::limits;
use crate::media_type;

/// A content descriptor (OCI image specification, "Content Descriptors"), with the fields that the registry reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    /// Bytes of the content.
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// The platform that an entry of an index is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// The two shapes of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestKind {
    /// Names a config and layers.
    Image,
    /// Names other manifests.
    Index,
}

impl ManifestKind {
    /// The kind that a media type stands for. `None` for every type that is not a manifest's.
    pub fn of(media_type: &str) -> Option<Self> {
        match media_type {
            media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST => Some(Self::Image),
            media_type::OCI_INDEX | media_type::DOCKER_LIST => Some(Self::Index),
            _ => None,
        }
    }
}

/// What the registry needs to know of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub kind: ManifestKind,
    pub media_type: String,
    /// `artifactType`, or for an image without one its config's media type.
    pub artifact_type: Option<String>,
    pub config_media_type: Option<String>,
    /// The blobs that must be stored in the repository: config and distributable layers, without repetition.
    pub blobs: Vec<Descriptor>,
    /// Layers that may live elsewhere.
    pub nondistributable: Vec<Descriptor>,
    /// The manifests that an index names. They need not be stored: an index may be sparse.
    pub children: Vec<Descriptor>,
    pub subject: Option<Descriptor>,
    pub annotations: Option<BTreeMap<String, String>>,
}

/// Why a body is not a manifest that the registry stores.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("the manifest is empty")]
    Empty,
    #[error("Content-Type {0:?} is not a manifest's; use an OCI or Docker schema 2 manifest or index")]
    ContentType(String),
    #[error("Docker schema 1 manifests are not supported; push with a client of Docker 1.10 or later")]
    Schema1,
    #[error("the body's mediaType {body:?} differs from Content-Type {header:?}")]
    MediaTypeMismatch { header: String, body: String },
    #[error("the manifest is not valid JSON of its type: {0}")]
    Json(String),
    #[error("schemaVersion must be 2")]
    SchemaVersion,
    #[error("a manifest must not have both layers and manifests")]
    Ambiguous,
    #[error("a manifest names at most {} blobs or manifests", limits::MANIFEST_DESCRIPTORS_MAX)]
    TooMany,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u64,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

impl Manifest {
    /// Reads and validates `body`, which came with `content_type`.
    pub fn parse(content_type: &str, body: &[u8]) -> Result<Self, ManifestError> {
        let media_type = media_type::essence(content_type);
        if matches!(media_type, media_type::DOCKER_SCHEMA_1 | media_type::DOCKER_SCHEMA_1_SIGNED) {
            return Err(ManifestError::Schema1);
        }
        let kind = ManifestKind::of(media_type).ok_or_else(|| ManifestError::ContentType(media_type.to_owned()))?;
        if body.is_empty() {
            return Err(ManifestError::Empty);
        }
        // The parser does not look into what it skips: that must be text all the same (RFC 8259, 8.1).
        let text = std::str::from_utf8(body).map_err(|error| ManifestError::Json(error.to_string()))?;
        let raw: Raw = serde_json::from_str(text).map_err(|error| ManifestError::Json(error.to_string()))?;
        if raw.schema_version != 2 {
            return Err(ManifestError::SchemaVersion);
        }
        if let Some(body) = raw.media_type.as_deref().filter(|body| *body != media_type) {
            return Err(ManifestError::MediaTypeMismatch { header: media_type.to_owned(), body: body.to_owned() });
        }
        if raw.manifests.is_some() && (raw.layers.is_some() || raw.config.is_some()) {
            return Err(ManifestError::Ambiguous);
        }
        let named = raw.layers.as_ref().map_or(0, Vec::len) + raw.manifests.as_ref().map_or(0, Vec::len);
        if named > limits::MANIFEST_DESCRIPTORS_MAX {
            return Err(ManifestError::TooMany);
        }
        match kind {
            ManifestKind::Image => Self::image(media_type, raw),
            ManifestKind::Index => Self::index(media_type, raw),
        }
    }

    fn image(media_type: &str, raw: Raw) -> Result<Self, ManifestError> {
        let config = raw.config.ok_or_else(|| ManifestError::Json("missing field `config`".to_owned()))?;
        let layers = raw.layers.ok_or_else(|| ManifestError::Json("missing field `layers`".to_owned()))?;
        let config_media_type = config.media_type.clone();
        let (nondistributable, mut blobs): (Vec<_>, Vec<_>) =
            layers.into_iter().partition(|layer| media_type::is_nondistributable(&layer.media_type));
        blobs.push(config);
        Ok(Self {
            kind: ManifestKind::Image,
            media_type: media_type.to_owned(),
            artifact_type: raw.artifact_type.filter(|t| !t.is_empty()).or_else(|| Some(config_media_type.clone())),
            config_media_type: Some(config_media_type),
            blobs: without_repetition(blobs),
            nondistributable: without_repetition(nondistributable),
            children: Vec::new(),
            subject: raw.subject,
            annotations: raw.annotations,
        })
    }

    fn index(media_type: &str, raw: Raw) -> Result<Self, ManifestError> {
        let children = raw.manifests.ok_or_else(|| ManifestError::Json("missing field `manifests`".to_owned()))?;
        Ok(Self {
            kind: ManifestKind::Index,
            media_type: media_type.to_owned(),
            artifact_type: raw.artifact_type.filter(|t| !t.is_empty()),
            config_media_type: None,
            blobs: Vec::new(),
            nondistributable: Vec::new(),
            children: without_repetition(children),
            subject: raw.subject,
            annotations: raw.annotations,
        })
    }

    /// Bytes of the distributable content that this manifest itself names.
    pub fn content_bytes(&self) -> u64 {
        self.blobs.iter().fold(0, |sum, blob| sum.saturating_add(blob.size))
    }
}

fn without_repetition(mut descriptors: Vec<Descriptor>) -> Vec<Descriptor> {
    let mut seen = std::collections::HashSet::with_capacity(descriptors.len());
    descriptors.retain(|descriptor| seen.insert(descriptor.digest));
    descriptors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media_type::{DOCKER_LIST, DOCKER_SCHEMA_1_SIGNED, OCI_INDEX, OCI_MANIFEST};

    fn blob(content: &str, media_type: &str) -> String {
        let digest = Digest::sha256(content.as_bytes());
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}}}"#, content.len())
    }

    #[test]
    fn an_image_names_its_config_and_each_layer_once() {
        let (config, layer) = (blob("{}", "application/x.config"), blob("layer", "application/x.layer"));
        let foreign = blob("far", media_type::DOCKER_FOREIGN_LAYER);
        let body = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer},{layer},{foreign}]}}"#);
        let manifest = Manifest::parse(OCI_MANIFEST, body.as_bytes()).expect("valid");
        assert_eq!(manifest.blobs.len(), 2);
        assert_eq!(manifest.nondistributable.len(), 1);
        assert_eq!(manifest.artifact_type.as_deref(), Some("application/x.config"));
        assert_eq!(manifest.content_bytes(), 7);
    }

    #[test]
    fn an_index_may_be_empty_and_has_no_artifact_type_of_its_own() {
        let body = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[]}}"#);
        let index = Manifest::parse(&format!("{OCI_INDEX}; charset=utf-8"), body.as_bytes()).expect("valid");
        assert_eq!((index.kind, index.artifact_type), (ManifestKind::Index, None));
    }

    #[test]
    fn bodies_that_are_no_manifest_are_refused_with_the_reason() {
        let check = |content_type: &str, body: &str, expected: &str| {
            let error = Manifest::parse(content_type, body.as_bytes()).expect_err(body).to_string();
            assert!(error.contains(expected), "{body}: {error}");
        };
        let config = blob("{}", "application/x");
        check(OCI_MANIFEST, "", "empty");
        check(OCI_MANIFEST, "{", "not valid JSON");
        check(OCI_MANIFEST, "[]", "not valid JSON");
        check(OCI_MANIFEST, r#"{"schemaVersion":1}"#, "schemaVersion");
        check(OCI_MANIFEST, r#"{"schemaVersion":2}"#, "config");
        check(OCI_MANIFEST, &format!(r#"{{"schemaVersion":2,"config":{config}}}"#), "layers");
        check(OCI_INDEX, r#"{"schemaVersion":2}"#, "manifests");
        check(OCI_INDEX, r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#, "both layers and manifests");
        check(DOCKER_LIST, &format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[]}}"#), "differs");
        check(DOCKER_SCHEMA_1_SIGNED, "{}", "schema 1");
        check("application/json", "{}", "not a manifest");
        check("", "{}", "not a manifest");
        let negative = config.replace(r#""size":2"#, r#""size":-2"#);
        check(OCI_MANIFEST, &format!(r#"{{"schemaVersion":2,"config":{negative},"layers":[]}}"#), "not valid JSON");
        let unknown = config.replace("sha256:", "md5:");
        check(OCI_MANIFEST, &format!(r#"{{"schemaVersion":2,"config":{unknown},"layers":[]}}"#), "not supported");
    }
}
