//! Listings: tags, repositories, referrers, and ACR's view of repositories and manifests.

use std::sync::Arc;

use kogge_meta::{
    Attributes, Commit, Cursor, ListedTag, ManifestDetail, ManifestPage, Order, ReferrerPage, RepositoryDetail,
    RepositoryKey, Snapshot, TagDetail, TakenRepository,
};
use kogge_types::{Code, Digest, Reference, RepositoryName, RepositoryPattern, Tag, limits};

use crate::auth::Caller;
use crate::core::{Core, Target};
use crate::error::{Error, Result};
use crate::lock;
use crate::manifest;

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

/// Which tags are asked for, and in which order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagQuery {
    /// Those that name this manifest; otherwise all.
    pub digest: Option<Digest>,
    pub order: Order,
    /// The name behind which the page begins; empty for the first one.
    pub last: String,
}

/// One page of tags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagPage {
    pub tags: Vec<ListedTag>,
    /// Whether there are tags behind the last of these.
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
                let (repository, attributes) = listed_repository(snapshot, &target)?;
                lock::require_read(attributes)?;
                if !attributes.list_enabled {
                    return Ok(Vec::new());
                }
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
        let policy = Arc::clone(&self.policy.load());
        let patterns: Vec<RepositoryPattern> = caller.listable(&policy, registry);
        let (key, mut after) = (registry.key, after.to_owned());
        let limit = limit.min(limits::PAGE_NAMES_MAX);
        let mut listed = Vec::new();
        // The patterns hold all that may be shown, and with odd conditions more than that.
        loop {
            let (patterns, from) = (patterns.clone(), after);
            let names =
                self.meta.read(move |snapshot| snapshot.repository_names(key, &patterns, &from, limit + 1)).await?;
            let last = names.len() <= limit;
            after = names.last().cloned().unwrap_or_default();
            listed.extend(names.into_iter().filter(|name| caller.may_list(&policy, registry, name)));
            if last || listed.len() > limit {
                return Ok(NamePage::cut(listed, limit));
            }
        }
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
    pub async fn describe_repository(&self, target: &Target) -> Result<RepositoryDetail> {
        let target = target.clone();
        self.meta.read(move |snapshot| known_repository(snapshot, &target)).await
    }

    /// A tag as ACR describes it.
    pub async fn describe_tag(&self, target: &Target, tag: &Tag) -> Result<TagDetail> {
        let (target, tag) = (target.clone(), tag.clone());
        self.meta.read(move |snapshot| Ok(known_tag(snapshot, &target, &tag)?.1)).await
    }

    /// A manifest as ACR describes it.
    pub async fn describe_manifest(&self, target: &Target, digest: &Digest) -> Result<ManifestDetail> {
        let (target, digest) = (target.clone(), *digest);
        self.meta.read(move |snapshot| Ok(known_manifest(snapshot, &target, &digest)?.1)).await
    }

    /// At most `limit` tags of a repository, with what there is to say of them. Of a hidden repository there are none.
    pub async fn describe_tags(&self, target: &Target, query: TagQuery, limit: usize) -> Result<TagPage> {
        let target = target.clone();
        let limit = limit.min(limits::PAGE_NAMES_MAX);
        self.meta
            .read(move |snapshot| {
                let (repository, attributes) = listed_repository(snapshot, &target)?;
                if !attributes.list_enabled || limit == 0 {
                    return Ok(TagPage::default());
                }
                let after = behind_tag(snapshot, &target, repository, query.order, &query.last)?;
                let digest = query.digest.as_ref();
                let mut tags = snapshot.tags(repository, digest, query.order, after.as_ref(), limit + 1)?;
                let more = tags.len() > limit;
                tags.truncate(limit);
                Ok(TagPage { tags, more })
            })
            .await
    }

    /// At most `limit` manifests of a repository behind `last`. Of a hidden repository there are none.
    pub async fn describe_manifests(
        &self,
        target: &Target,
        order: Order,
        last: Option<Digest>,
        limit: usize,
    ) -> Result<ManifestPage> {
        let target = target.clone();
        let limit = limit.min(limits::PAGE_NAMES_MAX);
        self.meta
            .read(move |snapshot| {
                let (repository, attributes) = listed_repository(snapshot, &target)?;
                if !attributes.list_enabled || limit == 0 {
                    return Ok(ManifestPage::default());
                }
                let after = match last {
                    None => None,
                    Some(last) => Some(behind_manifest(snapshot, &target, repository, order, last)?),
                };
                Ok(snapshot.manifests(repository, order, after.as_ref(), limit)?)
            })
            .await
    }

    /// Whether a repository holds a manifest that refers to another one.
    pub async fn is_referrer(
        &self,
        registry: &kogge_meta::Registry,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool> {
        let (key, repository, digest) = (registry.key, repository.clone(), *digest);
        Ok(self.meta.read(move |snapshot| snapshot.is_referrer(key, &repository, &digest)).await?)
    }

    /// Takes a tag away; the manifest stays.
    pub async fn untag(&self, target: &Target, tag: &Tag) -> Result<()> {
        let (target, tag) = (target.clone(), tag.clone());
        self.meta
            .write(move |tx| {
                let (repository, present) = known_tag(tx, &target, &tag)?;
                lock::require_delete(tx.repository_attributes(repository)?.and(present.attributes))?;
                let change = tx.delete_tag(&target.registry, repository, &target.repository, &tag)?;
                Ok(Commit::new((), change.into_iter().collect()))
            })
            .await
    }

    /// Deletes a repository with all it holds, or nothing when something in it is locked.
    pub async fn delete_repository(&self, target: &Target) -> Result<TakenRepository> {
        let target = target.clone();
        self.meta
            .write(move |tx| {
                let (repository, attributes) = listed_repository(tx, &target)?;
                lock::require_delete(attributes)?;
                if tx.holds_locked(repository)? {
                    return Err(Error::of(Code::Disallowed));
                }
                let (taken, change) = tx.delete_repository(&target.registry, repository, &target.repository)?;
                Ok(Commit::new(taken, vec![change]))
            })
            .await
    }
}

/// The repository and its attributes, when it holds manifests: one that only has uploads is not there yet.
fn listed_repository(snapshot: &Snapshot<'_>, target: &Target) -> Result<(RepositoryKey, Attributes)> {
    let found = snapshot.listed_repository(target.registry.key, &target.repository)?;
    let repository = found.ok_or_else(|| Error::of(Code::NameUnknown))?;
    Ok((repository, snapshot.repository_attributes(repository)?))
}

pub(crate) fn known_repository(snapshot: &Snapshot<'_>, target: &Target) -> Result<RepositoryDetail> {
    let found = snapshot.repository_detail(target.registry.key, &target.repository)?;
    found.ok_or_else(|| Error::of(Code::NameUnknown))
}

pub(crate) fn known_tag(snapshot: &Snapshot<'_>, target: &Target, tag: &Tag) -> Result<(RepositoryKey, TagDetail)> {
    let (repository, _) = listed_repository(snapshot, target)?;
    let found = snapshot.tag(repository, tag)?;
    let unknown = || Error::of(Code::TagUnknown).with_detail(serde_json::json!({ "name": tag }));
    Ok((repository, found.ok_or_else(unknown)?))
}

pub(crate) fn known_manifest(
    snapshot: &Snapshot<'_>,
    target: &Target,
    digest: &Digest,
) -> Result<(RepositoryKey, ManifestDetail)> {
    let (repository, _) = listed_repository(snapshot, target)?;
    let found = snapshot.manifest_detail(repository, digest)?;
    Ok((repository, found.ok_or_else(|| manifest::unknown(&Reference::Digest(*digest)))?))
}

/// The place behind the tag `last`, which is empty for the first page. In an order of time it must be a tag that is
/// there, or was lately: no other has a time.
fn behind_tag(
    snapshot: &Snapshot<'_>,
    target: &Target,
    repository: RepositoryKey,
    order: Order,
    last: &str,
) -> Result<Option<Cursor<String>>> {
    let updated_at_us = match (order, last) {
        (_, "") => return Ok(None),
        (Order::Name, _) => 0,
        (Order::Newest | Order::Oldest, last) => {
            let tag: Tag = last.parse().map_err(|_| without_time())?;
            let found = snapshot.tag_updated_at(target.registry.key, repository, &target.repository, &tag)?;
            found.ok_or_else(without_time)?
        }
    };
    Ok(Some(Cursor { item: last.to_owned(), updated_at_us }))
}

/// As [`behind_tag`], of a manifest.
fn behind_manifest(
    snapshot: &Snapshot<'_>,
    target: &Target,
    repository: RepositoryKey,
    order: Order,
    last: Digest,
) -> Result<Cursor<Digest>> {
    let updated_at_us = match order {
        Order::Name => 0,
        Order::Newest | Order::Oldest => {
            let found = snapshot.manifest_updated_at(target.registry.key, repository, &target.repository, &last)?;
            found.ok_or_else(without_time)?
        }
    };
    Ok(Cursor { item: last, updated_at_us })
}

fn without_time() -> Error {
    let message = "last names nothing that is in the repository, or lately was; begin the listing by time again";
    Error::new(Code::PaginationInvalid, message)
}

#[cfg(test)]
mod tests;
