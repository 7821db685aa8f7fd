//! An installation for tests: the rules over SQLite and a local disk in a folder of their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use kogge_meta::{Environment, Meta, Registry};
use kogge_store::{BlobStore, DiskStore, FaultyStore, StoredCopy};
use kogge_types::{Clock, Code, Digest, ManualClock, Reference, RepositoryName, media_type};

use crate::core::{Core, DEFAULT_REGISTRY, Settings, SystemEntropy, Target};
use crate::error::{Error, Result};
use crate::manifest::{PutManifest, PutOutcome, TagCondition};
use crate::seal::KeyEncryptionKey;
use crate::upload::BodyError;

/// The grace of the fixture.
pub(crate) const GRACE: Duration = Duration::from_secs(60);

/// Where the manual clock begins: now, as files carry the machine's time.
fn start_us() -> i64 {
    kogge_types::SystemClock.now_us()
}

pub(crate) struct Bench {
    pub(crate) core: Arc<Core>,
    pub(crate) meta: Arc<Meta>,
    pub(crate) store: FaultyStore,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) root: Arc<tempfile::TempDir>,
}

pub(crate) fn settings() -> Settings {
    Settings { gc_grace: GRACE, upload_life: GRACE, ..Settings::default() }
}

/// An installation whose clock stands still until it is moved.
pub(crate) async fn bench() -> Bench {
    bench_with(settings()).await
}

pub(crate) async fn bench_with(settings: Settings) -> Bench {
    let root = Arc::new(tempfile::tempdir().unwrap());
    let clock = Arc::new(ManualClock::at(start_us()));
    open(root, clock, "a boot", settings).await
}

/// Opens the installation in `root` as after a start in the named boot of the machine.
pub(crate) async fn open(
    root: Arc<tempfile::TempDir>,
    clock: Arc<ManualClock>,
    boot: &str,
    settings: Settings,
) -> Bench {
    let (core, meta, store) = open_with(root.path(), Arc::clone(&clock) as _, boot, settings).await;
    Bench { core, meta, store, clock, root }
}

pub(crate) async fn open_with(
    root: &Path,
    clock: Arc<dyn Clock>,
    boot: &str,
    settings: Settings,
) -> (Arc<Core>, Arc<Meta>, FaultyStore) {
    let environment =
        Environment { clock: Arc::clone(&clock), entropy: Arc::new(SystemEntropy), boot: boot.to_owned() };
    let meta = Arc::new(Meta::open(root, &environment).unwrap());
    let store = FaultyStore::new(Arc::new(DiskStore::open(&root.join("store")).unwrap()));
    let kek = Arc::new(KeyEncryptionKey::new(&[7; 32]));
    let core =
        Core::open(Arc::clone(&meta), Arc::new(store.clone()), clock, Arc::new(SystemEntropy), kek, Some(settings));
    (core.await.unwrap(), meta, store)
}

impl Bench {
    /// Starts again over the same folder.
    pub(crate) async fn restart(self, boot: &str) -> Self {
        let Self { core, meta, store, clock, root } = self;
        let settings = core.settings().clone();
        drop((core, meta, store));
        open(root, clock, boot, settings).await
    }

    pub(crate) fn registry(&self) -> Arc<Registry> {
        self.core.registry(&DEFAULT_REGISTRY.parse().unwrap()).unwrap()
    }

    pub(crate) fn target(&self, repository: &str) -> Target {
        Target { registry: self.registry(), repository: name(repository) }
    }

    pub(crate) async fn push_blob(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::sha256(content);
        self.core.put_blob(&self.target(repository), &digest, body(content, 64 * 1024)).await.unwrap();
        digest
    }

    /// Pushes blobs and the image of them, under a tag.
    pub(crate) async fn push(&self, repository: &str, tag: &str, blobs: &[&[u8]]) -> Digest {
        for blob in blobs {
            self.push_blob(repository, blob).await;
        }
        self.put(repository, tag, image(blobs)).await.unwrap().digest
    }

    pub(crate) async fn put(&self, repository: &str, reference: &str, body: Bytes) -> Result<PutOutcome> {
        self.core.put_manifest(&self.target(repository), put(reference, body)).await
    }

    pub(crate) async fn resolve(&self, repository: &str, reference: &str) -> Option<Digest> {
        match self.core.get_manifest(&self.target(repository), &reference.parse().unwrap()).await {
            Ok(manifest) => Some(manifest.digest),
            Err(error) => {
                assert_eq!(error.code, Code::ManifestUnknown);
                None
            }
        }
    }

    /// The bytes of a blob as a repository serves them; `None` when it does not.
    pub(crate) async fn read(&self, repository: &str, digest: &Digest) -> Option<Vec<u8>> {
        read(&self.core, &self.target(repository), digest).await
    }

    /// Every committed copy in the store.
    pub(crate) async fn copies(&self) -> Vec<StoredCopy> {
        copies(&self.store).await
    }

    /// How many uploads have bytes in the store.
    pub(crate) async fn uploads(&self) -> usize {
        self.store.uploads(None).await.unwrap().len()
    }

    /// The file of a stored blob: the only one whose name holds its hash.
    pub(crate) fn file_of(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let mut found = files(&self.root.path().join("store"));
        found.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(&hex)));
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }
}

pub(crate) async fn read(core: &Core, target: &Target, digest: &Digest) -> Option<Vec<u8>> {
    let open = match core.open_blob(target, digest).await {
        Ok(open) => open,
        Err(error) => {
            assert_eq!(error.code, Code::BlobUnknown);
            return None;
        }
    };
    let mut bytes = Vec::new();
    let mut chunks = open.reader.stream(0..open.size);
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    Some(bytes)
}

pub(crate) async fn copies(store: &FaultyStore) -> Vec<StoredCopy> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.copies(after).await.unwrap();
        let Some(last) = page.last() else { return all };
        after = Some((last.digest, last.copy));
        all.extend(page);
    }
}

/// Every file below `folder`.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

pub(crate) fn name(repository: &str) -> RepositoryName {
    repository.parse().unwrap()
}

/// A request's body that comes in chunks of `size` bytes.
pub(crate) fn body(content: &[u8], size: usize) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + Unpin + use<> {
    let chunks: Vec<_> = content.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    stream::iter(chunks)
}

/// As [`body`], of a client that goes away after `content`.
pub(crate) fn cut_body(content: &[u8]) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + Unpin + use<> {
    stream::iter([Ok(Bytes::copy_from_slice(content)), Err(BodyError::Disconnected)])
}

/// What a put under a tag or a digest looks like.
pub(crate) fn put(reference: &str, body: Bytes) -> PutManifest {
    let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
    PutManifest {
        reference: reference.parse::<Reference>().unwrap(),
        tags: vec![],
        content_type: document["mediaType"].as_str().unwrap().to_owned(),
        body,
        condition: TagCondition::None,
    }
}

/// An image whose config is the first blob and whose layers are the others.
pub(crate) fn image(blobs: &[&[u8]]) -> Bytes {
    image_of(blobs, None, 0)
}

/// As [`image`], referring to `subject`, and differing by `salt`.
pub(crate) fn image_of(blobs: &[&[u8]], subject: Option<&Digest>, salt: usize) -> Bytes {
    let describe = |blob: &[u8], kind: &str| serde_json::json!({ "mediaType": kind, "digest": Digest::sha256(blob), "size": blob.len() });
    let layers: Vec<_> = blobs[1..].iter().map(|blob| describe(blob, media_type::OCI_LAYER_GZIP)).collect();
    let mut document = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": describe(blobs[0], media_type::OCI_CONFIG), "layers": layers,
        "annotations": { "salt": salt.to_string() },
    });
    if let Some(subject) = subject {
        document["subject"] =
            serde_json::json!({ "mediaType": media_type::OCI_MANIFEST, "digest": subject, "size": 7 });
    }
    document.to_string().into()
}

/// An index of manifests that need not be there.
pub(crate) fn index(children: &[Digest]) -> Bytes {
    let children: Vec<_> = children
        .iter()
        .map(|digest| serde_json::json!({ "mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 7 }))
        .collect();
    let document = serde_json::json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children });
    document.to_string().into()
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T>) -> Code {
    let error: Error = result.unwrap_err();
    error.code
}
