//! Changes that no request told of: the journal's consumer.
//!
//! It stays behind the journal by [`LAG`], so that the request that made a change has told of it. What is left was made
//! by background work or by the server's own machine, or is a change whose request's event a crash took along. Each
//! such event names its sequence in the journal: after a crash the files say how far they go, so that nothing is told
//! twice, and the cursor moves only over what lies on the disk.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kogge_meta::{Commit, Entry, Event as Change, Item};
use kogge_types::{RegistryId, RepositoryName, clock, limits};
use tokio::sync::watch;

use super::coverage::{MARGIN, Touched};
use super::event::{Event, Kind, ManagementEvent, Outcome, RepositoryEvent, RepositoryOperation, Request};
use super::query::{self, AuditQuery, Order};
use super::{AuditError, Recorder, Shared};
use crate::core::Core;
use crate::error::{Error, Result};

/// The name under which the journal knows this consumer.
pub(super) const CONSUMER: &str = "audit";
/// How old a change is before it is told: by then its request has an answer.
pub(super) const LAG: Duration = Duration::from_secs(30);
/// How often the journal is looked at.
const POLL: Duration = Duration::from_secs(5);
/// How often the cursor is written when there were changes.
const CURSOR_INTERVAL: Duration = Duration::from_secs(60);

/// Follows the journal until `stop` changes.
pub(crate) async fn follow(core: Arc<Core>, mut stop: watch::Receiver<bool>) {
    let mut follower = None;
    let mut cursor_written = tokio::time::Instant::now();
    loop {
        if let Err(error) = advance(&core, &mut follower).await {
            tracing::error!(error = %crate::jobs::report(&error), "the audit cannot follow the journal");
        }
        let stopping = tokio::select! {
            _ = stop.changed() => true,
            () = tokio::time::sleep(POLL) => false,
        };
        if let Some(follower) = &mut follower
            && (stopping || cursor_written.elapsed() >= CURSOR_INTERVAL)
        {
            if let Err(error) = follower.write_cursor(&core).await {
                tracing::error!(error = %crate::jobs::report(&error), "the audit's place in the journal is not kept");
            }
            cursor_written = tokio::time::Instant::now();
        }
        if stopping {
            return;
        }
    }
}

async fn advance(core: &Core, follower: &mut Option<Follower>) -> Result<()> {
    if follower.is_none() {
        *follower = Follower::open(core).await?;
    }
    match follower {
        Some(follower) => follower.advance(core).await,
        None => Ok(()),
    }
}

/// A place in the journal.
#[derive(Debug)]
pub(super) struct Follower {
    /// The last sequence that was dealt with.
    position: i64,
    /// The last one that the database knows of.
    stored: i64,
}

impl Follower {
    /// Goes on where the last process stopped. The first time it begins at the end of the journal. Nobody follows when
    /// there is no audit and never was one.
    pub(super) async fn open(core: &Core) -> Result<Option<Self>> {
        if core.is_shared() {
            // Each node tells of its own changes, from its start: only it knows which of them its requests made.
            let head = core.meta.read(|snapshot| snapshot.journal_head()).await?.seq;
            return Ok(core.audit().is_on().then_some(Self { position: head, stored: head }));
        }
        let (stored, head, next) = core
            .meta
            .read(|snapshot| {
                let stored = snapshot.cursor(CONSUMER)?;
                Ok::<_, Error>((stored, snapshot.journal_head()?.seq, snapshot.journal_after(stored, 1)?))
            })
            .await?;
        if stored == 0 {
            if !core.audit().is_on() {
                return Ok(None);
            }
            core.meta.write(move |tx| tx.set_cursor(CONSUMER, head).map(Commit::quiet)).await?;
            return Ok(Some(Self { position: head, stored: head }));
        }
        let told = match next.first() {
            Some(entry) => core.audit().recall(entry.at_us).await.map_err(Error::internal)?,
            None => 0,
        };
        Ok(Some(Self { position: stored.max(told), stored }))
    }

    /// Tells of every change that is old enough and that no request told of.
    pub(super) async fn advance(&mut self, core: &Core) -> Result<()> {
        let before_us = core.now_us().saturating_sub(clock::micros(LAG));
        loop {
            let after = self.position;
            let mut entries =
                core.meta.read(move |snapshot| snapshot.journal_after(after, limits::WORK_BATCH_ROWS)).await?;
            entries.retain(|entry| entry.at_us <= before_us);
            let Some(last) = entries.last() else { break };
            let (position, at_us) = (last.seq, last.at_us);
            if let Some(shared) = &core.audit().0 {
                let registries = core.registries();
                let names: HashMap<_, _> =
                    registries.iter().map(|rules| (rules.registry.id, rules.registry.name.as_str())).collect();
                entries.iter().filter(|entry| core.meta.wrote(entry.seq)).for_each(|entry| shared.tell(entry, &names));
                shared.coverage().forget(at_us.saturating_sub(2 * clock::micros(MARGIN)));
            }
            self.position = position;
        }
        Ok(())
    }

    /// Keeps the place, once everything up to it lies on the disk.
    pub(super) async fn write_cursor(&mut self, core: &Core) -> Result<()> {
        let position = self.position;
        if core.is_shared() || position == self.stored || !core.audit().flush().await {
            return Ok(());
        }
        core.meta.write(move |tx| tx.set_cursor(CONSUMER, position).map(Commit::quiet)).await?;
        self.stored = position;
        Ok(())
    }
}

impl Recorder {
    /// Reads what was told since `from_us`, so that it is not told again. Says which change of the journal was told last.
    async fn recall(&self, from_us: i64) -> Result<i64, AuditError> {
        let Some((shared, catalog)) = self.0.as_ref().and_then(|shared| Some((shared, shared.catalog.clone()?))) else {
            return Ok(0);
        };
        let shared = Arc::clone(shared);
        let recalled = tokio::task::spawn_blocking(move || {
            let told = catalog.segments().iter().map(|(_, index)| index.journal_sequence).max().unwrap_or(0);
            let mut query = AuditQuery {
                // A request may have begun long before the change that it made.
                from_us: Some(from_us.saturating_sub(clock::micros(LAG))),
                kinds: vec![Kind::Repository, Kind::Management],
                order: Order::OldestFirst,
                limit: limits::AUDIT_PAGE_EVENTS_MAX,
                ..AuditQuery::default()
            };
            loop {
                let page = query::answer(&catalog, &query)?;
                let mut coverage = shared.coverage();
                page.records.iter().for_each(|record| coverage.note_columns(&record.columns));
                if !page.more {
                    return Ok(told);
                }
                query.after = page.position;
            }
        });
        recalled.await.map_err(std::io::Error::other)?
    }
}

/// A change of a repository, in the audit's words.
struct RepositoryChange<'a> {
    operation: RepositoryOperation,
    registry: RegistryId,
    repository: &'a RepositoryName,
    tag: &'a str,
    digest: String,
}

impl Shared {
    /// Tells of a change, unless a request has.
    fn tell(&self, entry: &Entry, names: &HashMap<RegistryId, &str>) {
        let request = Request { time_us: entry.at_us, status: 200, ..Request::default() };
        if let Some(change) = repository_change(&entry.event) {
            let registry = name_of(change.registry, names);
            let event = RepositoryEvent {
                request: Request { registry: &registry, ..request },
                operation: change.operation,
                repository: change.repository.as_str(),
                tag: change.tag,
                digest: &change.digest,
                media_type: "",
                artifact_type: "",
                size: 0,
            };
            self.tell_once(&Event::Repository(event), entry);
        } else if let Some((action, resource)) = management(&entry.event) {
            let (action, resource) = (action.as_str(), resource.as_str());
            let event = ManagementEvent { request, action, resource, outcome: Outcome::Succeeded };
            self.tell_once(&Event::Management(event), entry);
        }
    }

    fn tell_once(&self, event: &Event<'_>, entry: &Entry) {
        let touched = Touched::by_event(event);
        if touched.is_some_and(|touched| !self.coverage().covers(&touched, entry.at_us)) {
            self.put(event, Some(entry.seq));
        }
    }
}

fn repository_change(change: &Change) -> Option<RepositoryChange<'_>> {
    let (operation, registry, repository, tag, digest) = match change {
        Change::ManifestPut { registry, repository, digest } => {
            (RepositoryOperation::Push, registry, repository, "", digest.to_string())
        }
        Change::TagSet { registry, repository, tag, digest } => {
            (RepositoryOperation::Push, registry, repository, tag.as_str(), digest.to_string())
        }
        Change::ManifestDeleted { registry, repository, digest }
        | Change::BlobUnlinked { registry, repository, digest } => {
            (RepositoryOperation::Delete, registry, repository, "", digest.to_string())
        }
        Change::TagDeleted { registry, repository, tag } => {
            (RepositoryOperation::Untag, registry, repository, tag.as_str(), String::new())
        }
        Change::RepositoryDeleted { registry, repository } => {
            (RepositoryOperation::Delete, registry, repository, "", String::new())
        }
        Change::AttributesSet { registry, repository, item, .. } => {
            let (tag, digest) = match item {
                Item::Repository => ("", String::new()),
                Item::Tag(tag) => (tag.as_str(), String::new()),
                Item::Manifest(digest) => ("", digest.to_string()),
            };
            (RepositoryOperation::Update, registry, repository, tag, digest)
        }
        Change::RegistryPut { .. }
        | Change::RegistryDeleted { .. }
        | Change::PrincipalPut { .. }
        | Change::PrincipalDeleted { .. }
        | Change::EpochRaised { .. }
        | Change::GroupMemberSet { .. }
        | Change::ResourcePut { .. }
        | Change::ResourceDeleted { .. }
        | Change::CredentialPut { .. }
        | Change::CredentialDeleted { .. } => return None,
    };
    Some(RepositoryChange { operation, registry: *registry, repository, tag, digest })
}

/// The name of a registry; its id when it is gone.
fn name_of(registry: RegistryId, names: &HashMap<RegistryId, &str>) -> String {
    names.get(&registry).map_or_else(|| registry.to_string(), |name| (*name).to_owned())
}

/// The action and the resource's path of a change to what is managed.
fn management(change: &Change) -> Option<(String, String)> {
    let told = match change {
        Change::ResourcePut { kind, path, .. } => (format!("{kind}/write"), path.clone()),
        Change::ResourceDeleted { kind, path, .. } => (format!("{kind}/delete"), path.clone()),
        Change::PrincipalPut { name } => ("Kogge.Directory/principals/write".to_owned(), format!("/principals/{name}")),
        Change::PrincipalDeleted { name } => {
            ("Kogge.Directory/principals/delete".to_owned(), format!("/principals/{name}"))
        }
        Change::EpochRaised { principal } => {
            ("Kogge.Directory/principals/revokeTokens/action".to_owned(), format!("/principals/{principal}"))
        }
        Change::GroupMemberSet { group, member, present } => {
            let verb = if *present { "write" } else { "delete" };
            (format!("Kogge.Directory/groups/members/{verb}"), format!("/groups/{group}/members/{member}"))
        }
        Change::CredentialPut { owner } => {
            ("Kogge.Directory/credentials/write".to_owned(), format!("/credentials/{owner}"))
        }
        Change::CredentialDeleted { owner } => {
            ("Kogge.Directory/credentials/delete".to_owned(), format!("/credentials/{owner}"))
        }
        // The registry's resource tells of it.
        Change::RegistryPut { .. } | Change::RegistryDeleted { .. } => return None,
        Change::ManifestPut { .. }
        | Change::ManifestDeleted { .. }
        | Change::TagSet { .. }
        | Change::TagDeleted { .. }
        | Change::BlobUnlinked { .. }
        | Change::AttributesSet { .. }
        | Change::RepositoryDeleted { .. } => return None,
    };
    Some(told)
}
