//! Where images are copied from.

use std::sync::Arc;

use kogge_types::{Descriptor, Digest, ManifestKind, Reference, RepositoryName};

use crate::blob_source::BlobSource;
use crate::client::Client;
use crate::client::manifests::ManifestContent;
use crate::error::{Error, Result};
use crate::layout::reader::LayoutReader;
use crate::platform::Platform;
use crate::transfer::parse;

/// A repository on a registry, or a layout.
pub(crate) enum Source {
    Registry { client: Arc<Client>, repository: RepositoryName },
    Layout(LayoutReader),
}

impl Source {
    /// The manifest that a reference names; in a layout it may go without.
    pub(crate) async fn resolve(&self, reference: Option<&Reference>) -> Result<ManifestContent> {
        match (self, reference) {
            (Self::Registry { client, repository }, Some(reference)) => client.manifest(repository, reference).await,
            (Self::Registry { client, repository }, None) => {
                Err(Error::usage(format!("say which image of {}/{repository} is meant", client.host())))
            }
            (Self::Layout(layout), reference) => layout.manifest(&layout.find(reference)?).await,
        }
    }

    /// The image of an index for a platform. An image alone is taken as it is.
    pub(crate) async fn choose(&self, root: ManifestContent, platform: &Platform) -> Result<ManifestContent> {
        let manifest = parse(&root)?;
        match manifest.kind {
            ManifestKind::Image => Ok(root),
            ManifestKind::Index => self.manifest(platform.choose(&manifest.children)?).await,
        }
    }

    pub(crate) async fn manifest(&self, descriptor: &Descriptor) -> Result<ManifestContent> {
        match self {
            Self::Registry { client, repository } => {
                client.manifest(repository, &Reference::Digest(descriptor.digest)).await
            }
            Self::Layout(layout) => layout.manifest(descriptor).await,
        }
    }

    pub(crate) async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        match self {
            Self::Registry { client, repository } => client.referrers(repository, subject).await,
            Self::Layout(layout) => layout.referrers(subject).await,
        }
    }

    pub(crate) fn blob(&self, descriptor: &Descriptor) -> Result<BlobSource> {
        match self {
            Self::Registry { client, repository } => Ok(BlobSource::Registry {
                client: Arc::clone(client),
                repository: repository.clone(),
                digest: descriptor.digest,
                size: descriptor.size,
            }),
            Self::Layout(layout) => layout.blob(descriptor),
        }
    }
}
