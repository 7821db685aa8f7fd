//! Measuring what is held, and asking for room.

use std::collections::HashMap;
use std::time::Duration;

use kogge_meta::{Registry, RegistryKey};
use kogge_types::{Code, Digest, RegistryId, RepositoryName, RepositoryPattern, clock, limits};
use serde_json::json;
use tokio::time::Instant;

use super::book::{Charge, Content, Full, Page, PageEnd, Scope};
use super::{Quota, Quotas};
use crate::audit::DenialReason;
use crate::core::{Core, Target};
use crate::error::{Error, Result};

/// How long a push waits for somebody else's measurement before it is let through unmeasured.
const MEASUREMENT_WAIT_MAX: Duration = Duration::from_secs(10);

/// What a registry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryUsage {
    /// Bytes of its blobs, each counted once, and of its manifests.
    pub bytes: u64,
    /// What it may hold; `None` when nothing bounds it.
    pub limit_bytes: Option<u64>,
    /// When this was measured, in microseconds since the Unix epoch.
    pub measured_at_us: i64,
    pub quotas: Vec<QuotaUsage>,
}

/// What the repositories under a quota hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaUsage {
    pub repositories: RepositoryPattern,
    pub bytes: u64,
    pub limit_bytes: u64,
}

/// The smallest quota of a repository, if it has any. What is larger finds no room, unless it is there already; it is
/// refused while it comes in, so that an upload that is never closed does not fill the disk.
#[derive(Debug)]
pub(crate) struct Ceiling(Option<Full>);

impl Ceiling {
    /// # Errors
    /// A blob of so many bytes is larger than a quota.
    pub(crate) fn check(&self, bytes: u64) -> Result<()> {
        match &self.0 {
            Some(full) if bytes > full.limit.max(full.used) => Err(refusal(full, bytes)),
            Some(_) | None => Ok(()),
        }
    }
}

/// The scopes of one registry, and what was counted in them.
struct Tally {
    registry: RegistryId,
    scopes: Vec<Counted>,
}

struct Counted {
    pattern: RepositoryPattern,
    bytes: u64,
    /// The last blob that was counted: its links come one after the other.
    last: Option<Digest>,
}

impl Tally {
    fn add(&mut self, repository: &RepositoryName, blob: Option<Digest>, bytes: u64) {
        for scope in self.scopes.iter_mut().filter(|scope| scope.pattern.matches(repository)) {
            if blob.is_none() || scope.last != blob {
                scope.bytes = scope.bytes.saturating_add(bytes);
                scope.last = blob.or(scope.last);
            }
        }
    }
}

impl Core {
    fn quotas(&self, registry: RegistryId) -> Quotas {
        let own = self.policy.load().rules(registry).map(|rules| rules.quotas.clone());
        own.unwrap_or_default().with_default(self.settings.registry_bytes)
    }

    /// What bounds a repository. Beside its quotas all that is in the book without one, so that the book stays true for
    /// a quota that comes back.
    fn bounds(&self, target: &Target) -> Vec<Quota> {
        let mut quotas = self.quotas(target.registry.id).covering(&target.repository);
        for repositories in self.usage.patterns(target.registry.id) {
            let bound = quotas.iter().any(|quota| quota.repositories == repositories);
            if !bound && repositories.matches(&target.repository) {
                quotas.push(Quota { repositories, bytes: u64::MAX });
            }
        }
        quotas
    }

    /// What a registry holds, measured now or not long ago: how long grows with what measuring costs.
    pub async fn registry_usage(&self, registry: &Registry) -> Result<RegistryUsage> {
        let whole = (registry.id, RepositoryPattern::All);
        let quotas = self.quotas(registry.id);
        let fresh = || {
            let since_us = self.now_us().saturating_sub(clock::micros(self.usage.interval()));
            let (_, measured_at_us) = self.usage.used(&whole)?;
            (measured_at_us > since_us && quotas.iter().all(|quota| self.usage.knows(&scope(registry, quota))))
                .then_some(())
        };
        if fresh().is_none() {
            let _turn = self.usage.measuring.lock().await;
            if fresh().is_none() {
                self.measure().await?;
            }
        }
        let (bytes, measured_at_us) = self.usage.used(&whole).unwrap_or_default();
        let used = |quota: &Quota| QuotaUsage {
            repositories: quota.repositories.clone(),
            bytes: self.usage.used(&scope(registry, quota)).unwrap_or_default().0,
            limit_bytes: quota.bytes,
        };
        Ok(RegistryUsage {
            bytes,
            limit_bytes: quotas.limit(&RepositoryPattern::All),
            measured_at_us,
            quotas: quotas.iter().map(used).collect(),
        })
    }

    /// Measures what is held, when there is a quota to be kept.
    pub async fn measure_usage(&self) -> Result<()> {
        let quotas = self.registries().iter().any(|rules| self.quotas(rules.registry.id).iter().next().is_some());
        if quotas {
            let _turn = self.usage.measuring.lock().await;
            self.measure().await?;
        }
        Ok(())
    }

    /// What a blob of a repository can have at most, as far as what is held was measured.
    pub(crate) fn ceiling(&self, target: &Target) -> Ceiling {
        let quotas = self.quotas(target.registry.id).covering(&target.repository).into_iter();
        let measured = quotas.filter_map(|quota| {
            let scope = scope(&target.registry, &quota);
            let (used, _) = self.usage.used(&scope)?;
            Some(Full { scope, used, limit: quota.bytes })
        });
        Ceiling(measured.min_by_key(|full| full.limit.max(full.used)))
    }

    /// Asks for room for a blob that a repository is about to get. What it has already, or another repository of the
    /// same quota, needs none.
    pub(crate) async fn charge_blob(&self, target: &Target, digest: &Digest, bytes: u64) -> Result<Charge<'_>> {
        let quotas = self.bounds(target);
        if quotas.is_empty() {
            return Ok(Charge::none());
        }
        let (registry, blob, asked) = (target.registry.key, *digest, quotas.clone());
        let held = self.meta.read(move |snapshot| {
            let within = |quota: &Quota| snapshot.is_held_within(registry, &quota.repositories, &blob);
            asked.iter().map(within).collect::<kogge_meta::Result<Vec<bool>>>()
        });
        let held = held.await?;
        let quotas = quotas.into_iter().zip(held).filter(|(_, held)| !held).map(|(quota, _)| quota).collect();
        self.charge(target, quotas, Content::Blob(*digest), bytes).await
    }

    /// Asks for room for a manifest that a repository is about to get, unless it has it already.
    pub(crate) async fn charge_manifest(&self, target: &Target, digest: &Digest, bytes: u64) -> Result<Charge<'_>> {
        let quotas = self.bounds(target);
        if quotas.is_empty() {
            return Ok(Charge::none());
        }
        let (asked, digest) = (target.clone(), *digest);
        let held =
            self.meta.read(move |snapshot| match snapshot.repository(asked.registry.key, &asked.repository)? {
                Some(repository) => Ok::<_, Error>(snapshot.manifest_attributes(repository, &digest)?.is_some()),
                None => Ok(false),
            });
        if held.await? {
            return Ok(Charge::none());
        }
        self.charge(target, quotas, Content::Manifest, bytes).await
    }

    async fn charge(&self, target: &Target, quotas: Vec<Quota>, content: Content, bytes: u64) -> Result<Charge<'_>> {
        let registry = &target.registry;
        let known = || quotas.iter().all(|quota| self.usage.knows(&scope(registry, quota)));
        if !known() {
            // Whoever comes first after a start or a new quota measures.
            match tokio::time::timeout(MEASUREMENT_WAIT_MAX, self.usage.measuring.lock()).await {
                Ok(_turn) if !known() => self.measure().await?,
                Ok(_) | Err(_) => {}
            }
        }
        let wanted = quotas.iter().map(|quota| (scope(registry, quota), bytes, quota.bytes)).collect();
        self.usage.charge(content, wanted).map_err(|full| refusal(&full, bytes))
    }

    /// Measures everything, a page at a time. The caller holds the turn.
    async fn measure(&self) -> Result<()> {
        let begun = Instant::now();
        let mut tallies: HashMap<RegistryKey, Tally> = HashMap::new();
        for rules in self.registries() {
            let registry = &rules.registry;
            let mut patterns: Vec<_> =
                self.quotas(registry.id).iter().map(|quota| quota.repositories.clone()).collect();
            if !patterns.contains(&RepositoryPattern::All) {
                patterns.push(RepositoryPattern::All);
            }
            let scopes = patterns.into_iter().map(|pattern| Counted { pattern, bytes: 0, last: None }).collect();
            tallies.insert(registry.key, Tally { registry: registry.id, scopes });
        }
        self.usage.begin();
        self.measure_blobs(&mut tallies).await?;
        self.measure_manifests(&mut tallies).await?;
        let measured = tallies.into_values().flat_map(|tally| {
            let registry = tally.registry;
            tally.scopes.into_iter().map(move |scope| ((registry, scope.pattern), scope.bytes))
        });
        self.usage.finish(measured.collect(), self.now_us(), begun.elapsed());
        Ok(())
    }

    async fn measure_blobs(&self, tallies: &mut HashMap<RegistryKey, Tally>) -> Result<()> {
        let mut after = None;
        loop {
            self.usage.turn(Page::Blobs { after: after.map(|(digest, _)| digest) });
            let page = self.meta.read(move |snapshot| {
                let after = after.as_ref().map(|(digest, repository)| (digest, *repository));
                snapshot.held_blobs(after, limits::WORK_BATCH_ROWS)
            });
            let page = page.await?;
            let Some(last) = page.last().map(|held| (held.digest, held.repository)) else {
                self.usage.end_page(PageEnd::Last);
                return Ok(());
            };
            self.usage.end_page(PageEnd::Blob(last.0));
            for held in page.iter().filter(|held| !held.dead) {
                if let Some(tally) = tallies.get_mut(&held.registry) {
                    tally.add(&held.name, Some(held.digest), held.size);
                }
            }
            after = Some(last);
            tokio::task::yield_now().await;
        }
    }

    async fn measure_manifests(&self, tallies: &mut HashMap<RegistryKey, Tally>) -> Result<()> {
        let mut after = 0;
        self.usage.turn(Page::Manifests);
        loop {
            let page = self.meta.read(move |snapshot| snapshot.held_manifests(after, limits::WORK_BATCH_ROWS)).await?;
            let Some(last) = page.last().map(|held| held.row) else {
                self.usage.end_page(PageEnd::Last);
                return Ok(());
            };
            self.usage.end_page(PageEnd::More);
            for held in page.iter().filter(|held| !held.dead) {
                if let Some(tally) = tallies.get_mut(&held.registry) {
                    tally.add(&held.name, None, held.size);
                }
            }
            after = last;
            tokio::task::yield_now().await;
        }
    }
}

fn scope(registry: &Registry, quota: &Quota) -> Scope {
    (registry.id, quota.repositories.clone())
}

fn refusal(full: &Full, bytes: u64) -> Error {
    let Full { scope: (_, repositories), used, limit } = full;
    let message = format!(
        "the quota of '{repositories}' is {limit} bytes, of which {used} are used: {bytes} more do not fit. \
         Delete what is not needed, or ask the registry's owner for a larger quota"
    );
    let detail = json!({ "repositories": repositories, "limitBytes": limit, "usedBytes": used, "neededBytes": bytes });
    Error::new(Code::Denied, message).with_detail(detail).because(DenialReason::Quota)
}
