//! Copying images: manifests byte for byte, children and blobs first, then the manifest, then its referrers.

pub(crate) mod source;
pub(crate) mod target;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use kogge_types::{Descriptor, Digest, Manifest, ManifestKind, RepositoryName, Tag};
use tokio::sync::{OnceCell, Semaphore};

use self::source::Source;
use self::target::Target;
use crate::client::manifests::ManifestContent;
use crate::client::uploads::Arrival;
use crate::error::{Error, Kind, Result};
use crate::progress::Progress;

/// How deep indexes in indexes and referrers of referrers are followed.
const DEPTH_MAX: usize = 32;
/// Characters of a digest in a progress bar.
const LABEL_CHARS: usize = 19;

/// What a copy did.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) manifests: AtomicU64,
    /// Tags that were set, because they were not there or named something else.
    pub(crate) tags: AtomicU64,
    pub(crate) blobs_sent: AtomicU64,
    pub(crate) blobs_present: AtomicU64,
    pub(crate) blobs_mounted: AtomicU64,
    /// Bytes of the blobs that were sent.
    pub(crate) bytes_sent: AtomicU64,
    /// Children of indexes that the source does not have.
    pub(crate) children_missing: AtomicU64,
}

/// Runs each piece of work once, however many ask for it at the same time.
struct Once<K>(Mutex<HashMap<K, Arc<OnceCell<()>>>>);

impl<K: Hash + Eq> Once<K> {
    fn new() -> Self {
        Self(Mutex::default())
    }

    async fn run(&self, key: K, work: impl Future<Output = Result<()>>) -> Result<()> {
        let cell = Arc::clone(self.0.lock().expect("nobody panics while holding it").entry(key).or_default());
        cell.get_or_try_init(|| work).await.map(|_| ())
    }
}

/// A part of a copy.
type Work<'a> = BoxFuture<'a, Result<()>>;

/// The manifests that a copy came by and whose referrers have not been looked for.
#[derive(Default)]
struct Trail(Mutex<Vec<Digest>>);

impl Trail {
    fn add(&self, digest: Digest) {
        self.0.lock().expect("nobody panics while holding it").push(digest);
    }

    fn take(&self) -> Vec<Digest> {
        std::mem::take(&mut self.0.lock().expect("nobody panics while holding it"))
    }
}

/// A copy under way, of any number of images from one place to another.
pub(crate) struct Transfer {
    source: Source,
    target: Target,
    /// Whether referrers are copied along.
    referrers: bool,
    progress: Progress,
    /// Blobs that may be on their way at once; shared by all transfers of a command.
    lanes: Arc<Semaphore>,
    parallel: usize,
    counts: Arc<Counts>,
    blobs: Once<Digest>,
    manifests: Once<Digest>,
}

impl Transfer {
    pub(crate) fn new(source: Source, target: Target, referrers: bool, progress: Progress, parallel: usize) -> Self {
        Self {
            source,
            target,
            referrers,
            progress,
            lanes: Arc::new(Semaphore::new(parallel)),
            parallel,
            counts: Arc::default(),
            blobs: Once::new(),
            manifests: Once::new(),
        }
    }

    /// Shares lanes and counts with the other transfers of a command.
    pub(crate) fn sharing(mut self, lanes: &Arc<Semaphore>, counts: &Arc<Counts>) -> Self {
        (self.lanes, self.counts) = (Arc::clone(lanes), Arc::clone(counts));
        self
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Copies an image of the source with all that it names, and lets `tags` name it at the target.
    pub(crate) async fn copy(&self, root: ManifestContent, tags: &[Tag]) -> Result<()> {
        let descriptor = describe(&root);
        let trail = Trail::default();
        self.copy_manifest(root, tags, &trail, 0).await?;
        if self.referrers {
            self.copy_referrers(&trail).await?;
        }
        self.target.name(&descriptor, tags);
        Ok(())
    }

    /// Closes the target: a layout gets its index now.
    pub(crate) async fn finish(self) -> Result<Arc<Counts>> {
        self.target.finish().await?;
        Ok(self.counts)
    }

    /// Copies a manifest with all that it names. Boxed, since indexes name manifests.
    fn copy_manifest<'a>(
        &'a self,
        content: ManifestContent,
        tags: &'a [Tag],
        trail: &'a Trail,
        depth: usize,
    ) -> Work<'a> {
        Box::pin(async move {
            if depth > DEPTH_MAX {
                return Err(Error::general(format!("the image is nested more than {DEPTH_MAX} levels deep")));
            }
            let manifest = parse(&content)?;
            let present = self.target.has_manifest(&content.digest).await?;
            match manifest.kind {
                // Also when the manifest is there: a blob that was lost since is healed by this.
                ManifestKind::Image => self.copy_blobs(&manifest).await?,
                ManifestKind::Index => self.copy_children(&manifest, trail, depth).await?,
            }
            let tags_set = self.target.put_manifest(&content, &manifest, tags, present).await?;
            self.counts.tags.fetch_add(tags_set, Ordering::Relaxed);
            if !present {
                self.counts.manifests.fetch_add(1, Ordering::Relaxed);
            }
            trail.add(content.digest);
            Ok(())
        })
    }

    async fn copy_children(&self, index: &Manifest, trail: &Trail, depth: usize) -> Result<()> {
        let mut copies: Vec<Work<'_>> = Vec::with_capacity(index.children.len());
        for child in &index.children {
            if ManifestKind::of(&child.media_type).is_none() {
                let message = format!("an index names {} of the type {:?}", child.digest, child.media_type);
                return Err(Error::general(message).hint("only OCI and Docker manifests can be copied"));
            }
            copies.push(Box::pin(self.manifests.run(child.digest, self.copy_child(child, trail, depth))));
        }
        self.together(copies).await
    }

    /// A child that the source does not have is left out: the index is sparse, and stays as it is.
    async fn copy_child(&self, child: &Descriptor, trail: &Trail, depth: usize) -> Result<()> {
        match self.source.manifest(child).await {
            Ok(content) => self.copy_manifest(content, &[], trail, depth + 1).await,
            Err(error) if error.kind == Kind::NotFound => {
                self.counts.children_missing.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Copies what refers to the manifests of the trail, then what refers to that, until nothing new is found.
    async fn copy_referrers(&self, trail: &Trail) -> Result<()> {
        for _ in 0..DEPTH_MAX {
            let subjects = trail.take();
            if subjects.is_empty() {
                return Ok(());
            }
            let copies = subjects.iter().map(|subject| Box::pin(self.copy_referrers_of(subject, trail)) as Work<'_>);
            self.together(copies.collect()).await?;
        }
        Err(Error::general(format!("referrers of referrers go more than {DEPTH_MAX} levels deep")))
    }

    async fn copy_referrers_of(&self, subject: &Digest, trail: &Trail) -> Result<()> {
        for referrer in self.source.referrers(subject).await? {
            let copy = async {
                let content = self.source.manifest(&referrer).await?;
                self.copy_manifest(content, &[], trail, 0).await
            };
            self.manifests.run(referrer.digest, copy).await?;
            self.target.note_referrer(subject, &referrer).await?;
        }
        Ok(())
    }

    async fn copy_blobs(&self, image: &Manifest) -> Result<()> {
        let mut copies: Vec<Work<'_>> = Vec::with_capacity(image.blobs.len());
        for blob in &image.blobs {
            copies.push(Box::pin(self.blobs.run(blob.digest, self.copy_blob(blob))));
        }
        self.together(copies).await
    }

    async fn together(&self, work: Vec<Work<'_>>) -> Result<()> {
        iter(work).buffer_unordered(self.parallel).try_collect().await
    }

    async fn copy_blob(&self, blob: &Descriptor) -> Result<()> {
        let _lane = self.lanes.acquire().await.expect("it is never closed");
        if self.target.has_blob(blob).await? {
            self.counts.blobs_present.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let source = self.source.blob(blob)?;
        let label: String = blob.digest.to_string().chars().take(LABEL_CHARS).collect();
        let meter = self.progress.bytes(&label, blob.size);
        let arrival = self.target.put_blob(blob, &source, self.mount_from(), &meter).await;
        meter.finish();
        match arrival? {
            Arrival::Mounted => self.counts.blobs_mounted.fetch_add(1, Ordering::Relaxed),
            Arrival::Sent => {
                self.counts.bytes_sent.fetch_add(blob.size, Ordering::Relaxed);
                self.counts.blobs_sent.fetch_add(1, Ordering::Relaxed)
            }
        };
        Ok(())
    }

    /// The repository that blobs can be mounted from: the source's, when it is on the target's registry.
    fn mount_from(&self) -> Option<&RepositoryName> {
        match (&self.source, &self.target) {
            (Source::Registry { client, repository }, Target::Registry(target))
                if client.host() == target.client.host() && *repository != target.repository =>
            {
                Some(repository)
            }
            _ => None,
        }
    }
}

pub(crate) fn parse(content: &ManifestContent) -> Result<Manifest> {
    Manifest::parse(&content.media_type, &content.bytes)
        .map_err(|error| Error::general(format!("the manifest {} cannot be copied", content.digest)).because(error))
}

/// The descriptor of a manifest's bytes.
fn describe(content: &ManifestContent) -> Descriptor {
    Descriptor {
        media_type: content.media_type.clone(),
        digest: content.digest,
        size: content.bytes.len() as u64,
        artifact_type: None,
        annotations: None,
        platform: None,
    }
}

#[cfg(test)]
mod tests;
