//! Where images are copied to.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use kogge_types::limits::TAGS_PER_PUT_MAX;
use kogge_types::{Algorithm, Descriptor, Digest, Manifest, Reference, RepositoryName, Tag};

use crate::blob_source::BlobSource;
use crate::client::Client;
use crate::client::authorizer::Scopes;
use crate::client::manifests::{ManifestContent, ManifestPut};
use crate::client::uploads::{Arrival, Upload};
use crate::error::Result;
use crate::layout::writer::LayoutWriter;
use crate::progress::Meter;

/// A repository on a registry, or a layout.
pub(crate) enum Target {
    Registry(RegistryTarget),
    Layout(LayoutWriter),
}

/// A repository that is copied to.
pub(crate) struct RegistryTarget {
    pub(crate) client: Arc<Client>,
    pub(crate) repository: RepositoryName,
    /// Manifests with a subject that the registry did not take note of.
    unnoted: Mutex<HashSet<Digest>>,
    /// Lets one referrer at a time change a fallback tag's index.
    noting: tokio::sync::Mutex<()>,
}

impl RegistryTarget {
    pub(crate) fn new(client: Arc<Client>, repository: RepositoryName) -> Self {
        Self { client, repository, unnoted: Mutex::default(), noting: tokio::sync::Mutex::default() }
    }

    async fn put_manifest(
        &self,
        content: &ManifestContent,
        manifest: &Manifest,
        tags: &[Tag],
        present: bool,
    ) -> Result<u64> {
        let mut wanted = Vec::with_capacity(tags.len());
        for tag in tags {
            if !(present && self.has_tag(tag, &content.digest).await?) {
                wanted.push(tag.clone());
            }
        }
        if present && wanted.is_empty() {
            return Ok(0);
        }
        // A PUT by tag alone lets the registry choose the algorithm of the digest.
        let done = match wanted.as_slice() {
            [only] if content.digest.algorithm() == Algorithm::Sha256 => {
                self.put(&Reference::Tag(only.clone()), content, &[]).await?
            }
            several => self.put_by_digest(content, several).await?,
        };
        if manifest.subject.is_some() && !done.subject_noted {
            self.unnoted.lock().expect("nobody panics while holding it").insert(content.digest);
        }
        Ok(wanted.len() as u64)
    }

    /// Puts by digest, the tags in the same request; registries that do not know that get each tag by itself.
    async fn put_by_digest(&self, content: &ManifestContent, tags: &[Tag]) -> Result<ManifestPut> {
        let by_digest = Reference::Digest(content.digest);
        let mut parts = tags.chunks(TAGS_PER_PUT_MAX);
        let mut done = self.put(&by_digest, content, parts.next().unwrap_or_default()).await?;
        for part in parts {
            done.tags.extend(self.put(&by_digest, content, part).await?.tags);
        }
        for tag in tags.iter().filter(|tag| !done.tags.iter().any(|set| set == tag.as_str())) {
            self.put(&Reference::Tag(tag.clone()), content, &[]).await?;
        }
        Ok(done)
    }

    async fn put(&self, reference: &Reference, content: &ManifestContent, tags: &[Tag]) -> Result<ManifestPut> {
        self.client.put_manifest(&self.repository, reference, content, tags).await
    }

    async fn has_tag(&self, tag: &Tag, digest: &Digest) -> Result<bool> {
        let scopes = Scopes::push(&self.repository);
        let head = self.client.manifest_head(&self.repository, &Reference::Tag(tag.clone()), scopes).await?;
        Ok(head.is_some_and(|head| head.digest == *digest))
    }

    async fn note_referrer(&self, subject: &Digest, referrer: &Descriptor) -> Result<()> {
        let unnoted = self.unnoted.lock().expect("nobody panics while holding it").remove(&referrer.digest);
        if !unnoted {
            return Ok(());
        }
        let _one_at_a_time = self.noting.lock().await;
        self.client.note_referrer(&self.repository, subject, referrer).await
    }
}

impl Target {
    /// Whether the manifest is there with its blobs. In a layout each blob is looked at instead: it costs nothing.
    pub(crate) async fn has_manifest(&self, digest: &Digest) -> Result<bool> {
        match self {
            Self::Registry(target) => {
                let (repository, reference) = (&target.repository, Reference::Digest(*digest));
                let head = target.client.manifest_head(repository, &reference, Scopes::push(repository)).await?;
                Ok(head.is_some())
            }
            Self::Layout(_) => Ok(false),
        }
    }

    pub(crate) async fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        match self {
            Self::Registry(target) => {
                let repository = &target.repository;
                target.client.has_blob(repository, &blob.digest, Scopes::push(repository)).await
            }
            Self::Layout(layout) => Ok(layout.has_blob(blob)),
        }
    }

    pub(crate) async fn put_blob(
        &self,
        blob: &Descriptor,
        source: &BlobSource,
        mount_from: Option<&RepositoryName>,
        meter: &Meter,
    ) -> Result<Arrival> {
        match self {
            Self::Registry(RegistryTarget { client, repository, .. }) => {
                Upload { client, repository, descriptor: blob, source, mount_from, meter }.run().await
            }
            Self::Layout(layout) => layout.put_blob(blob, source, meter).await.map(|()| Arrival::Sent),
        }
    }

    /// Puts a manifest whose parts are there. `present` says that the target has it, so that only tags are set. Gives
    /// the number of tags that were set.
    pub(crate) async fn put_manifest(
        &self,
        content: &ManifestContent,
        manifest: &Manifest,
        tags: &[Tag],
        present: bool,
    ) -> Result<u64> {
        match self {
            Self::Registry(target) => target.put_manifest(content, manifest, tags, present).await,
            Self::Layout(layout) => layout.put_manifest(content).await.map(|()| tags.len() as u64),
        }
    }

    /// Makes a referrer findable by its subject where the target does not do so itself.
    pub(crate) async fn note_referrer(&self, subject: &Digest, referrer: &Descriptor) -> Result<()> {
        match self {
            Self::Registry(target) => target.note_referrer(subject, referrer).await,
            Self::Layout(layout) => {
                layout.name(referrer.clone(), None);
                Ok(())
            }
        }
    }

    /// Names an image in a layout's index. On a registry its PUT did that.
    pub(crate) fn name(&self, image: &Descriptor, tags: &[Tag]) {
        let Self::Layout(layout) = self else { return };
        if tags.is_empty() {
            layout.name(image.clone(), None);
        }
        for tag in tags {
            layout.name(image.clone(), Some(tag.clone()));
        }
    }

    pub(crate) async fn finish(self) -> Result<()> {
        match self {
            Self::Registry(_) => Ok(()),
            Self::Layout(layout) => layout.finish().await,
        }
    }
}
