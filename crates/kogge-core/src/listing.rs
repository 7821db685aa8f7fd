//! Listings: tags, repositories, referrers, and ACR's view of repositories and manifests.

use kogge_meta::{Commit, ManifestDetail, ReferrerPage, RepositoryDetail, RepositoryKey, Snapshot, TakenRepository};
use kogge_types::{Code, Digest, RepositoryPattern, limits};

use crate::auth::Caller;
use crate::core::{Core, Target};
use crate::error::{Error, Result};
use crate::lock;

/// One page of names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamePage {
    pub names: Vec<String>,
    /// Whether there are names after the last of these.
    pub more: bool,
}

impl NamePage {
    /// A page of at most `limit` out of `names`, which holds one more when there is more.
    fn cut(mut names: Vec<String>, limit: usize) -> Self {
        let more = limit > 0 && names.len() > limit;
        names.truncate(limit);
        Self { names, more }
    }
}

/// A repository, as ACR describes it.
pub type RepositoryListing = RepositoryDetail;

/// One page of manifests, by digest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ManifestListing {
    pub manifests: Vec<ManifestDetail>,
    pub more: bool,
}

impl Core {
    /// At most `limit` tags of a repository after `after`, in byte order.
    pub async fn list_tags(&self, target: &Target, after: &str, limit: usize) -> Result<NamePage> {
        let (target, after) = (target.clone(), after.to_owned());
        let limit = limit.min(limits::PAGE_NAMES_MAX);
        let names = self
            .meta
            .read(move |snapshot| {
                let repository = known_repository(snapshot, &target)?;
                lock::require_read(snapshot.repository_attributes(repository)?)?;
                Ok::<_, Error>(snapshot.tag_names(repository, &after, limit + 1)?)
            })
            .await?;
        Ok(NamePage::cut(names, limit))
    }

    /// At most `limit` repositories after `after` that `caller` may list.
    pub async fn list_repositories(
        &self,
        registry: &kogge_meta::Registry,
        caller: &Caller,
        after: &str,
        limit: usize,
    ) -> Result<NamePage> {
        let patterns: Vec<RepositoryPattern> = caller.listable(&self.policy.load(), registry);
        let (key, after) = (registry.key, after.to_owned());
        let limit = limit.min(limits::PAGE_NAMES_MAX);
        let names =
            self.meta.read(move |snapshot| snapshot.repository_names(key, &patterns, &after, limit + 1)).await?;
        Ok(NamePage::cut(names, limit))
    }

    /// At most a page of the manifests that refer to `subject`. None at all when the repository is unknown.
    pub async fn list_referrers(
        &self,
        target: &Target,
        subject: &Digest,
        artifact_type: Option<&str>,
        after: Option<Digest>,
        limit: usize,
    ) -> Result<ReferrerPage> {
        let (target, subject, artifact_type) = (target.clone(), *subject, artifact_type.map(ToOwned::to_owned));
        let limit = limit.clamp(1, limits::PAGE_REFERRERS_MAX);
        self.meta
            .read(move |snapshot| {
                let Some(repository) = snapshot.repository(target.registry.key, &target.repository)? else {
                    return Ok(ReferrerPage::default());
                };
                lock::require_read(snapshot.repository_attributes(repository)?)?;
                Ok(snapshot.referrers(repository, &subject, artifact_type.as_deref(), after.as_ref(), limit)?)
            })
            .await
    }

    /// A repository as ACR describes it.
    pub async fn describe_repository(&self, target: &Target) -> Result<RepositoryListing> {
        let target = target.clone();
        let found =
            self.meta.read(move |snapshot| snapshot.repository_detail(target.registry.key, &target.repository)).await?;
        found.ok_or_else(|| Error::of(Code::NameUnknown))
    }

    /// At most `limit` manifests of a repository after `after`, by digest.
    pub async fn list_manifests(
        &self,
        target: &Target,
        after: Option<Digest>,
        limit: usize,
    ) -> Result<ManifestListing> {
        let target = target.clone();
        let limit = limit.clamp(1, limits::PAGE_NAMES_MAX);
        let mut manifests = self
            .meta
            .read(move |snapshot| {
                let repository = known_repository(snapshot, &target)?;
                Ok::<_, Error>(snapshot.manifests(repository, after.as_ref(), limit + 1)?)
            })
            .await?;
        let more = manifests.len() > limit;
        manifests.truncate(limit);
        Ok(ManifestListing { manifests, more })
    }

    /// Deletes a repository with all it holds, or nothing when something in it is locked.
    pub async fn delete_repository(&self, target: &Target) -> Result<TakenRepository> {
        let target = target.clone();
        self.meta
            .write(move |tx| {
                let repository = known_repository(tx, &target)?;
                lock::require_delete(tx.repository_attributes(repository)?)?;
                if tx.holds_locked(repository)? {
                    return Err(Error::of(Code::Disallowed));
                }
                let (taken, change) = tx.delete_repository(&target.registry, repository, &target.repository)?;
                Ok(Commit::new(taken, vec![change]))
            })
            .await
    }
}

/// The repository, when it holds manifests: one that only has uploads is not there yet.
fn known_repository(snapshot: &Snapshot<'_>, target: &Target) -> Result<RepositoryKey> {
    let found = snapshot.listed_repository(target.registry.key, &target.repository)?;
    found.ok_or_else(|| Error::of(Code::NameUnknown))
}
