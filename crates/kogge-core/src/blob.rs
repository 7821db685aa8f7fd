//! Blobs on their way out, and the links that let a repository serve them.

use std::sync::Arc;

use kogge_meta::{Commit, LinkedBlob};
use kogge_store::{BlobReader, StoreError};
use kogge_types::{Action, Code, Digest, RepositoryName, clock, limits};

use crate::auth::Caller;
use crate::core::{Core, Target};
use crate::error::{Error, Result};
use crate::gc::Counters;
use crate::lock;

/// A blob that is open for reading.
#[derive(Debug)]
pub struct OpenBlob {
    /// Bytes.
    pub size: u64,
    pub reader: BlobReader,
}

impl Core {
    /// The size in bytes of a blob that the repository may serve. Who asks may rely on the answer: the blob stays
    /// for half of the grace at least.
    pub async fn stat_blob(&self, target: &Target, digest: &Digest) -> Result<u64> {
        Ok(self.linked_blob(target, digest).await?.size)
    }

    /// Opens a blob that the repository may serve.
    pub async fn open_blob(&self, target: &Target, digest: &Digest) -> Result<OpenBlob> {
        let link = self.linked_blob(target, digest).await?;
        match self.store.open(digest, link.copy).await {
            Ok(reader) => Ok(OpenBlob { size: link.size, reader }),
            Err(StoreError::NotFound) => {
                self.lose_blob(digest, &link).await?;
                Err(Error::of(Code::BlobUnknown))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// After a recorded copy was not there: it was collected between the look and the opening, or it is lost. A lost one
    /// goes out of service, so that the next push of the blob is not told that it is there.
    async fn lose_blob(&self, digest: &Digest, link: &LinkedBlob) -> Result<()> {
        let (digest, copy, size) = (*digest, link.copy, link.size);
        let _fence = self.removal.read().await;
        if self.meta.write(move |tx| tx.quarantine_blob(&digest, &copy, size).map(Commit::quiet)).await? {
            Counters::add(&self.counters.blobs_corrupt, 1);
            tracing::error!(%digest, %copy, "the bytes of a stored blob are gone: push it again");
        }
        Ok(())
    }

    async fn linked_blob(&self, target: &Target, digest: &Digest) -> Result<Arc<LinkedBlob>> {
        let link = self.meta.link(target.registry.key, &target.repository, digest).await?;
        let link = link.ok_or_else(|| Error::of(Code::BlobUnknown))?;
        lock::require_read(link.attributes)?;
        let half_grace = clock::micros(self.settings.gc_grace / 2);
        let promised = link.expires_at_us.is_none_or(|end| end > self.now_us().saturating_add(half_grace));
        if !promised {
            let (target, digest, end) = (target.clone(), *digest, self.grace_end_us());
            let link = self
                .meta
                .write(move |tx| {
                    tx.extend_link(target.registry.key, &target.repository, &digest, end)?;
                    Ok::<_, Error>(Commit::quiet(tx.link(target.registry.key, &target.repository, &digest)?))
                })
                .await?;
            return link.map(Arc::new).ok_or_else(|| Error::of(Code::BlobUnknown));
        }
        Ok(link)
    }

    /// Deletes the repository's right to a blob. The bytes go when nobody else has one.
    pub async fn delete_blob(&self, target: &Target, digest: &Digest) -> Result<()> {
        let (target, digest) = (target.clone(), *digest);
        self.meta
            .write(move |tx| {
                let repository = tx
                    .repository(target.registry.key, &target.repository)?
                    .ok_or_else(|| Error::of(Code::BlobUnknown))?;
                if !tx.is_linked(repository, &digest)? {
                    return Err(Error::of(Code::BlobUnknown));
                }
                lock::require_delete(tx.repository_attributes(repository)?)?;
                if tx.is_named(repository, &digest)? {
                    let message = "a manifest of the repository names this blob; delete the manifest instead";
                    return Err(Error::new(Code::Unsupported, message));
                }
                let change = tx.unlink_blob(&target.registry, repository, &target.repository, &digest)?;
                Ok(Commit::new((), change.into_iter().collect()))
            })
            .await
    }

    /// Gives `target` the right to a blob that `source` has (a cross-repository mount). False when `source` has it
    /// not.
    pub async fn mount_blob(&self, target: &Target, source: &RepositoryName, digest: &Digest) -> Result<bool> {
        let Some(link) = self.meta.link(target.registry.key, source, digest).await? else { return Ok(false) };
        let charge = self.charge_blob(target, digest, link.size).await?;
        let (target, source, digest, end) = (target.clone(), source.clone(), *digest, self.grace_end_us());
        let mounted = self
            .meta
            .write(move |tx| {
                let registry = target.registry.key;
                let Some(link) = tx.link(registry, &source, &digest)? else { return Ok(Commit::quiet(false)) };
                lock::require_read(link.attributes)?;
                let repository = tx.take_repository(registry, &target.repository)?;
                lock::require_write(tx.repository_attributes(repository)?)?;
                tx.link_blob(registry, repository, &target.repository, &digest, end)?;
                Ok::<_, Error>(Commit::quiet(true))
            })
            .await?;
        if mounted {
            charge.settle();
        }
        Ok(mounted)
    }

    /// A repository that `caller` may pull from and that has the blob: where an anonymous mount may take it.
    pub async fn mountable_from(
        &self,
        target: &Target,
        caller: &Caller,
        digest: &Digest,
    ) -> Result<Option<RepositoryName>> {
        let registry = Arc::clone(&target.registry);
        let digest = *digest;
        let bounded = caller.bounded_repositories();
        let names = self
            .meta
            .read(move |snapshot| match bounded {
                Some(names) => {
                    let linked = |name: &RepositoryName| Ok(snapshot.link(registry.key, name, &digest)?.is_some());
                    names
                        .into_iter()
                        .filter_map(|name| linked(&name).map(|linked| linked.then_some(name)).transpose())
                        .collect::<kogge_meta::Result<Vec<_>>>()
                }
                None => snapshot.linking_repositories(registry.key, &digest, limits::WORK_BATCH_ROWS),
            })
            .await?;
        let policy = self.policy.load();
        Ok(names.into_iter().find(|name| caller.allows(&policy, &target.registry, Action::Pull, Some(name))))
    }
}

#[cfg(test)]
mod tests;
