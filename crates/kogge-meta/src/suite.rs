//! What every metadata engine must do. Each engine runs [`conform`] in its tests; a failure panics with what was
//! expected.

mod blobs;
mod garbage;
mod journal;
mod manifests;
pub mod newer;
mod principals;
mod records;
mod registries;
mod repositories;
mod resources;
mod tags;
mod usage;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kogge_types::{
    Clock, CopyId, Digest, Entropy, Manifest, ManualClock, Reference, RegistryId, RepositoryName, Tag, UploadId, clock,
    media_type,
};

use crate::change::Commit;
use crate::error::{MetaError, Result};
use crate::manifest::NewManifest;
use crate::meta::{Environment, Meta};
use crate::repository::{Registry, RepositoryKey};
use crate::sql::Tx;

/// Runs all cases, each on an empty installation that `fresh` makes. Must be called within a tokio runtime.
pub async fn conform(fresh: &dyn Fn(&Environment) -> Meta) {
    registries::conform(fresh).await;
    repositories::conform(fresh).await;
    tags::conform(fresh).await;
    manifests::conform(fresh).await;
    blobs::conform(fresh).await;
    garbage::conform(fresh).await;
    journal::conform(fresh).await;
    records::conform(fresh).await;
    usage::conform(fresh).await;
    principals::conform(fresh).await;
    resources::conform(fresh).await;
}

/// Runs the named cases one after the other, each on an installation of its own.
macro_rules! cases {
    ($($case:ident)*) => {
        pub(super) async fn conform(fresh: &dyn Fn(&$crate::Environment) -> $crate::Meta) {
            $($case(&super::Bench::new(fresh).await).await;)*
        }
    };
}
pub(crate) use cases;

/// Where the clock of every case begins, in microseconds.
pub(crate) const START_US: i64 = 1_700_000_000_000_000;
/// The grace that the cases work with.
pub(crate) const GRACE: Duration = Duration::from_secs(60);
/// What a page is bounded to where the bound is not what is tested.
pub(crate) const MANY: usize = 100_000;

/// Bytes that differ with every call: nothing here needs them to be secret.
#[derive(Debug)]
pub(crate) struct Counting;

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let seed = NEXT.fetch_add(1, Ordering::Relaxed);
        let hash = Digest::sha256(&seed.to_be_bytes());
        for (byte, drawn) in bytes.iter_mut().zip(hash.hash().iter().cycle()) {
            *byte = *drawn;
        }
    }
}

/// An installation with one registry and a clock that stands still until it is moved.
pub(crate) struct Bench {
    pub(crate) meta: Meta,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) registry: Registry,
}

impl Bench {
    pub(crate) async fn new(fresh: &dyn Fn(&Environment) -> Meta) -> Self {
        let clock = Arc::new(ManualClock::at(START_US));
        let meta = fresh(&environment(Arc::clone(&clock) as _));
        let registry = put_registry(&meta, "default").await;
        Self { meta, clock, registry }
    }

    /// Runs a write that must not be refused.
    pub(crate) async fn write<T, F>(&self, write: F) -> T
    where
        F: FnOnce(&mut Tx<'_>, &Registry) -> Result<Commit<T>> + Send + 'static,
        T: Send + 'static,
    {
        let registry = self.registry.clone();
        self.meta.write(move |tx| write(tx, &registry)).await.expect("the write is taken")
    }

    pub(crate) fn grace_end_us(&self) -> i64 {
        self.clock.now_us() + clock::micros(GRACE)
    }

    /// Stores a blob of this content and links it to a repository.
    pub(crate) async fn push_blob(&self, repository: &RepositoryName, content: &str) -> Digest {
        let (name, digest, size, end) =
            (repository.clone(), Digest::sha256(content.as_bytes()), content.len() as u64, self.grace_end_us());
        let copy = copy_id();
        self.write(move |tx, registry| {
            let key = tx.take_repository(registry.key, &name)?;
            tx.put_blob(&digest, size, copy, end)?;
            tx.link_blob(registry.key, key, &name, &digest, end)?;
            Ok(Commit::quiet(digest))
        })
        .await
    }

    /// Stores a manifest and points a tag at it, if one is given.
    pub(crate) async fn put(&self, repository: &RepositoryName, new: NewManifest, tag: Option<&str>) -> Digest {
        let (name, tag) = (repository.clone(), tag.map(self::tag));
        self.write(move |tx, registry| {
            let key = tx.take_repository(registry.key, &name)?;
            let mut changes = vec![tx.put_manifest(registry, key, &name, &new)?];
            if let Some(tag) = tag {
                changes.push(tx.set_tag(registry, key, &name, &tag, &new.digest)?);
            }
            Ok(Commit::new(new.digest, changes))
        })
        .await
    }

    /// Pushes an image of the given blobs.
    pub(crate) async fn push(&self, repository: &RepositoryName, blobs: &[&str], tag: Option<&str>) -> Digest {
        for blob in blobs {
            self.push_blob(repository, blob).await;
        }
        self.put(repository, image(blobs), tag).await
    }

    pub(crate) async fn delete_manifest(&self, repository: &RepositoryName, digest: Digest) {
        let name = repository.clone();
        self.write(move |tx, registry| {
            let key = tx.take_repository(registry.key, &name)?;
            Ok(Commit::new((), tx.delete_manifest(registry, key, &name, &digest)?))
        })
        .await;
    }

    pub(crate) async fn delete_repository(&self, repository: &RepositoryName) {
        let (name, key) = (repository.clone(), self.key(repository).await);
        self.write(move |tx, registry| {
            let (_, change) = tx.delete_repository(registry, key, &name)?;
            Ok(Commit::new((), vec![change]))
        })
        .await;
    }

    /// The local row of a repository that is there.
    pub(crate) async fn key(&self, repository: &RepositoryName) -> RepositoryKey {
        let (registry, name) = (self.registry.key, repository.clone());
        let found = self.meta.read(move |snapshot| snapshot.repository(registry, &name)).await;
        found.expect("the repository is read").expect("the repository is there")
    }

    /// The digest of the manifest that a reference names, by the cache and without it, which must agree.
    pub(crate) async fn resolve(&self, repository: &RepositoryName, reference: &str) -> Option<Digest> {
        let reference: Reference = reference.parse().expect("a reference");
        let cached = self.meta.manifest(self.registry.key, repository, &reference).await.expect("the manifest is read");
        let (registry, name) = (self.registry.key, repository.clone());
        let read = self.meta.read(move |snapshot| snapshot.manifest(registry, &name, &reference)).await;
        assert_eq!(cached.as_deref(), read.expect("the manifest is read").as_ref());
        cached.map(|manifest| manifest.digest)
    }

    /// Whether a repository may serve a blob, by the cache and without it, which must agree.
    pub(crate) async fn links(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        let cached = self.meta.link(self.registry.key, repository, digest).await.expect("the link is read");
        let (registry, name, digest) = (self.registry.key, repository.clone(), *digest);
        let read = self.meta.read(move |snapshot| snapshot.link(registry, &name, &digest)).await;
        assert_eq!(cached.as_deref(), read.expect("the link is read").as_ref());
        cached.is_some()
    }
}

pub(crate) fn environment(clock: Arc<dyn Clock>) -> Environment {
    Environment { clock, entropy: Arc::new(Counting), boot: "a boot".to_owned() }
}

pub(crate) async fn put_registry(meta: &Meta, name: &str) -> Registry {
    let (id, name) = (RegistryId::from_bytes(clock::random(&Counting)), name.parse().expect("a name"));
    let made = meta.write(move |tx| {
        let (registry, change) = tx.put_registry(id, &name)?;
        Ok::<_, MetaError>(Commit::new(registry, vec![change]))
    });
    made.await.expect("the registry is made")
}

pub(crate) fn repository(name: &str) -> RepositoryName {
    name.parse().expect("a repository name")
}

pub(crate) fn tag(name: &str) -> Tag {
    name.parse().expect("a tag")
}

pub(crate) fn copy_id() -> CopyId {
    CopyId::from_bytes(clock::random(&Counting))
}

pub(crate) fn upload_id() -> UploadId {
    UploadId::from_bytes(clock::random(&Counting))
}

/// An image whose config is the first of `blobs` and whose layers are the others.
pub(crate) fn image(blobs: &[&str]) -> NewManifest {
    let layers: Vec<_> = blobs[1..].iter().map(|blob| descriptor(blob, media_type::OCI_LAYER_GZIP)).collect();
    manifest(&serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": descriptor(blobs[0], media_type::OCI_CONFIG), "layers": layers,
    }))
}

/// A manifest of type `artifact_type` that refers to `subject` and differs by `salt`.
pub(crate) fn referrer(subject: &Digest, artifact_type: &str, salt: usize) -> NewManifest {
    manifest(&serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": artifact_type,
        "config": descriptor("{}", media_type::OCI_EMPTY), "layers": [],
        "subject": { "mediaType": media_type::OCI_MANIFEST, "digest": subject, "size": 7 },
        "annotations": { "salt": salt.to_string() },
    }))
}

pub(crate) fn descriptor(content: &str, media_type: &str) -> serde_json::Value {
    let digest = Digest::sha256(content.as_bytes());
    serde_json::json!({ "mediaType": media_type, "digest": digest, "size": content.len() })
}

pub(crate) fn manifest(document: &serde_json::Value) -> NewManifest {
    let body = Bytes::from(document.to_string());
    let media_type = document["mediaType"].as_str().expect("a manifest says its type");
    let manifest = Manifest::parse(media_type, &body).expect("a valid manifest");
    let digest = Digest::sha256(&body);
    let referrer = manifest.subject.as_ref().map(|_| format!("{{\"digest\":\"{digest}\"}}"));
    NewManifest { digest, manifest, body, referrer, platform: None }
}
