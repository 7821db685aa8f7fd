//! Builders of images, indexes and artifacts: everything that a push needs, digests included.
//!
//! Content comes from a seed, so that a failing test fails the same way again.

use bytes::Bytes;
use kogge_types::media_type::{OCI_CONFIG, OCI_EMPTY, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST};
use kogge_types::{Algorithm, Digest};
use serde_json::{Map, Value, json};

/// A source of content that looks random and is the same for the same seed.
#[derive(Debug, Clone)]
pub struct Seed(u64);

impl Seed {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits (SplitMix64).
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// `length` bytes that do not compress.
    pub fn bytes(&mut self, length: usize) -> Bytes {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.word().to_le_bytes());
        }
        bytes.truncate(length);
        bytes.into()
    }
}

/// A blob or a manifest: bytes, what they are, and their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub media_type: String,
    pub digest: Digest,
    pub bytes: Bytes,
}

impl Item {
    pub fn new(algorithm: Algorithm, media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { media_type: media_type.to_owned(), digest: Digest::of(algorithm, &bytes), bytes }
    }

    /// A manifest with this JSON as its bytes.
    pub fn manifest(algorithm: Algorithm, media_type: &str, body: &Value) -> Self {
        Self::new(algorithm, media_type, body.to_string())
    }

    /// The descriptor that names this content.
    pub fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

/// Content that belongs together: blobs, and manifests in an order in which they can be pushed.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    pub blobs: Vec<Item>,
    /// Children before parents; the last one is the root.
    pub manifests: Vec<Item>,
}

impl Tree {
    pub fn root(&self) -> &Item {
        self.manifests.last().expect("a built tree has a manifest")
    }
}

/// Fields that images and indexes share.
#[derive(Debug, Clone, Default)]
struct Fields {
    artifact_type: Option<String>,
    subject: Option<Value>,
    annotations: Map<String, Value>,
    extra: Map<String, Value>,
}

impl Fields {
    fn build(self, algorithm: Algorithm, media_type: &str, mut body: Map<String, Value>) -> Item {
        body.insert("schemaVersion".to_owned(), json!(2));
        body.insert("mediaType".to_owned(), json!(media_type));
        if let Some(artifact_type) = self.artifact_type {
            body.insert("artifactType".to_owned(), json!(artifact_type));
        }
        if let Some(subject) = self.subject {
            body.insert("subject".to_owned(), subject);
        }
        if !self.annotations.is_empty() {
            body.insert("annotations".to_owned(), Value::Object(self.annotations));
        }
        body.extend(self.extra);
        Item::manifest(algorithm, media_type, &Value::Object(body))
    }
}

macro_rules! shared_fields {
    () => {
        #[must_use]
        pub fn artifact_type(mut self, artifact_type: &str) -> Self {
            self.fields.artifact_type = Some(artifact_type.to_owned());
            self
        }

        #[must_use]
        pub fn subject(mut self, subject: &Item) -> Self {
            self.fields.subject = Some(subject.descriptor());
            self
        }

        #[must_use]
        pub fn annotation(mut self, name: &str, value: &str) -> Self {
            self.fields.annotations.insert(name.to_owned(), json!(value));
            self
        }

        /// A top-level field that no specification knows.
        #[must_use]
        pub fn extra_field(mut self, name: &str, value: Value) -> Self {
            self.fields.extra.insert(name.to_owned(), value);
            self
        }

        #[must_use]
        pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
            self.algorithm = algorithm;
            self
        }

        #[must_use]
        pub fn media_type(mut self, media_type: &str) -> Self {
            self.media_type = media_type.to_owned();
            self
        }
    };
}

/// Builds an image manifest, or an artifact in the form of one.
#[derive(Debug, Clone)]
pub struct ImageBuilder {
    algorithm: Algorithm,
    media_type: String,
    fields: Fields,
    config: (String, Bytes),
    layers: Vec<(String, Bytes)>,
    foreign: Vec<Value>,
    embed: bool,
}

impl ImageBuilder {
    /// An image of one small layer; seeds that differ make images that share nothing.
    pub fn new(seed: &mut Seed) -> Self {
        let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
            "author": format!("kogge-testkit {:016x}", seed.word())});
        Self {
            algorithm: Algorithm::Sha256,
            media_type: OCI_MANIFEST.to_owned(),
            fields: Fields::default(),
            config: (OCI_CONFIG.to_owned(), config.to_string().into()),
            layers: vec![(OCI_LAYER_GZIP.to_owned(), seed.bytes(512))],
            foreign: Vec::new(),
            embed: false,
        }
    }

    shared_fields!();

    #[must_use]
    pub fn config(mut self, media_type: &str, bytes: impl Into<Bytes>) -> Self {
        self.config = (media_type.to_owned(), bytes.into());
        self
    }

    /// The empty config of an artifact.
    #[must_use]
    pub fn empty_config(self) -> Self {
        self.config(OCI_EMPTY, "{}")
    }

    #[must_use]
    pub fn no_layers(mut self) -> Self {
        self.layers.clear();
        self
    }

    /// One more layer.
    #[must_use]
    pub fn layer(mut self, media_type: &str, bytes: impl Into<Bytes>) -> Self {
        self.layers.push((media_type.to_owned(), bytes.into()));
        self
    }

    /// A layer that the manifest names with a URL and that is not part of the tree.
    #[must_use]
    pub fn foreign_layer(mut self, media_type: &str, content: &[u8]) -> Self {
        let mut descriptor = Item::new(self.algorithm, media_type, content.to_vec()).descriptor();
        descriptor["urls"] = json!(["https://layers.example.com/far-away"]);
        self.foreign.push(descriptor);
        self
    }

    /// Descriptors carry their content in `data`.
    #[must_use]
    pub fn embed_data(mut self) -> Self {
        self.embed = true;
        self
    }

    pub fn build(self) -> Tree {
        let config = Item::new(self.algorithm, &self.config.0, self.config.1.clone());
        let layers: Vec<_> = self.layers.iter().map(|(t, bytes)| Item::new(self.algorithm, t, bytes.clone())).collect();
        let describe = |item: &Item| {
            let mut descriptor = item.descriptor();
            if self.embed {
                descriptor["data"] = json!(crate::http::base64(&item.bytes));
            }
            descriptor
        };
        let mut body = Map::new();
        body.insert("config".to_owned(), describe(&config));
        body.insert("layers".to_owned(), layers.iter().map(describe).chain(self.foreign.iter().cloned()).collect());
        let manifest = self.fields.build(self.algorithm, &self.media_type, body);
        let blobs = std::iter::once(config).chain(layers).collect();
        Tree { blobs, manifests: vec![manifest] }
    }
}

/// Builds an index of images or of other indexes.
#[derive(Debug, Clone)]
pub struct IndexBuilder {
    algorithm: Algorithm,
    media_type: String,
    fields: Fields,
    children: Vec<Value>,
    tree: Tree,
}

impl Default for IndexBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl IndexBuilder {
    /// An index of nothing.
    pub fn new() -> Self {
        Self {
            algorithm: Algorithm::Sha256,
            media_type: OCI_INDEX.to_owned(),
            fields: Fields::default(),
            children: Vec::new(),
            tree: Tree::default(),
        }
    }

    shared_fields!();

    /// Names the root of `tree` and takes its content along.
    #[must_use]
    pub fn child(mut self, tree: Tree, architecture: &str) -> Self {
        self.children.push(child(tree.root(), architecture));
        self.tree.blobs.extend(tree.blobs);
        self.tree.manifests.extend(tree.manifests);
        self
    }

    /// Names a manifest that is not part of the tree: the index is sparse.
    #[must_use]
    pub fn absent_child(mut self, manifest: &Item, architecture: &str) -> Self {
        self.children.push(child(manifest, architecture));
        self
    }

    pub fn build(self) -> Tree {
        let mut body = Map::new();
        body.insert("manifests".to_owned(), Value::Array(self.children));
        let manifest = self.fields.build(self.algorithm, &self.media_type, body);
        let mut tree = self.tree;
        tree.manifests.push(manifest);
        tree
    }
}

fn child(manifest: &Item, architecture: &str) -> Value {
    let mut descriptor = manifest.descriptor();
    descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
    descriptor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_an_image_names_its_blobs() {
        let build = || ImageBuilder::new(&mut Seed::new(7)).layer("application/x", "more").build();
        let (first, second) = (build(), build());
        assert_eq!(first.root(), second.root());
        let body: Value = serde_json::from_slice(&first.root().bytes).expect("JSON");
        assert_eq!(body["config"], first.blobs[0].descriptor());
        assert_eq!(body["layers"].as_array().map(Vec::len), Some(2));
        assert_eq!(body["layers"][1]["digest"], json!(first.blobs[2].digest));
    }

    #[test]
    fn an_index_takes_its_children_along_but_not_the_absent_ones() {
        let seed = &mut Seed::new(1);
        let absent = ImageBuilder::new(seed).build();
        let index =
            IndexBuilder::new().child(ImageBuilder::new(seed).build(), "amd64").absent_child(absent.root(), "arm64");
        let tree = index.build();
        assert_eq!(tree.manifests.len(), 2);
        let body: Value = serde_json::from_slice(&tree.root().bytes).expect("JSON");
        assert_eq!(body["manifests"].as_array().map(Vec::len), Some(2));
        assert_eq!(body["manifests"][1]["digest"], json!(absent.root().digest));
    }
}
