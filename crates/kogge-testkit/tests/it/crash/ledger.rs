//! What a client was told, and whether a registry still holds to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use kogge_testkit::content::Tree;
use kogge_testkit::http::Client;
use kogge_testkit::repository::{Repository, chunk_request, with_digest};
use kogge_types::Digest;

/// Whether a manifest is in its repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// Its push was acknowledged.
    Present,
    /// It was never pushed, or its delete was acknowledged.
    Absent,
    /// The request that would settle it was never answered.
    Unsure,
}

#[derive(Debug, Clone)]
struct Image {
    tree: Arc<Tree>,
    presence: Presence,
}

/// An upload that was begun.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) repository: String,
    pub(super) location: String,
    pub(super) content: Bytes,
    /// Bytes that were acknowledged.
    pub(super) acknowledged: usize,
    /// Bytes that were sent, acknowledged or not.
    pub(super) sent: usize,
    /// The request that ends it was sent.
    pub(super) closing: bool,
}

/// What one client knows of the repositories that only it writes to.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    images: BTreeMap<(String, Digest), Image>,
    /// What a tag may name: one possibility unless the last request about it was never answered.
    tags: BTreeMap<(String, String), Vec<Option<Digest>>>,
    pub(super) sessions: Vec<Session>,
}

/// What a check found.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    pub(super) images: usize,
    pub(super) tags: usize,
    pub(super) resumed: usize,
}

impl Ledger {
    /// A push of `tree` to `tag` is about to be sent.
    pub(super) fn pushing(&mut self, repository: &str, tree: &Arc<Tree>, tag: &str) {
        let digest = tree.root().digest;
        let image = || Image { tree: Arc::clone(tree), presence: Presence::Absent };
        let image = self.images.entry((repository.to_owned(), digest)).or_insert_with(image);
        if image.presence == Presence::Absent {
            image.presence = Presence::Unsure;
        }
        let possible = self.tags.entry((repository.to_owned(), tag.to_owned())).or_insert_with(|| vec![None]);
        possible.push(Some(digest));
    }

    /// That push was acknowledged.
    pub(super) fn pushed(&mut self, repository: &str, tree: &Tree, tag: &str) {
        let digest = tree.root().digest;
        if let Some(image) = self.images.get_mut(&(repository.to_owned(), digest)) {
            image.presence = Presence::Present;
        }
        self.tags.insert((repository.to_owned(), tag.to_owned()), vec![Some(digest)]);
    }

    /// That push was refused: nothing has changed.
    pub(super) fn refused(&mut self, repository: &str, tree: &Tree, tag: &str) {
        let image = self.images.get_mut(&(repository.to_owned(), tree.root().digest));
        if let Some(image) = image.filter(|image| image.presence == Presence::Unsure) {
            image.presence = Presence::Absent;
        }
        if let Some(possible) = self.tags.get_mut(&(repository.to_owned(), tag.to_owned())) {
            possible.pop();
        }
    }

    pub(super) fn untagging(&mut self, repository: &str, tag: &str) {
        self.tags.entry((repository.to_owned(), tag.to_owned())).or_default().push(None);
    }

    pub(super) fn untagged(&mut self, repository: &str, tag: &str) {
        self.tags.insert((repository.to_owned(), tag.to_owned()), vec![None]);
    }

    pub(super) fn deleting(&mut self, repository: &str, digest: Digest) {
        self.set_presence(repository, digest, Presence::Unsure);
        for possible in self.tags_naming(repository, digest) {
            possible.push(None);
        }
    }

    pub(super) fn deleted(&mut self, repository: &str, digest: Digest) {
        self.set_presence(repository, digest, Presence::Absent);
        for possible in self.tags_naming(repository, digest) {
            *possible = vec![None];
        }
    }

    fn set_presence(&mut self, repository: &str, digest: Digest, presence: Presence) {
        if let Some(image) = self.images.get_mut(&(repository.to_owned(), digest)) {
            image.presence = presence;
        }
    }

    fn tags_naming<'a>(
        &'a mut self,
        in_: &'a str,
        digest: Digest,
    ) -> impl Iterator<Item = &'a mut Vec<Option<Digest>>> {
        let named = self.tags.iter_mut().filter(move |((repository, _), _)| repository == in_);
        named.map(|(_, possible)| possible).filter(move |possible| possible.contains(&Some(digest)))
    }

    /// The images that are surely in `repository`.
    pub(super) fn present(&self, repository: &str) -> Vec<Arc<Tree>> {
        let here =
            self.images.iter().filter(|((name, _), image)| name == repository && image.presence == Presence::Present);
        here.map(|(_, image)| Arc::clone(&image.tree)).collect()
    }

    /// The tags that surely name something in `repository`.
    pub(super) fn tagged(&self, repository: &str) -> Vec<String> {
        let here =
            self.tags.iter().filter(|((name, _), possible)| name == repository && matches!(possible[..], [Some(_)]));
        here.map(|((_, tag), _)| tag.clone()).collect()
    }

    /// Every blob that a manifest names. Only certain once [`Ledger::check`] has settled what was unsure.
    pub(super) fn blobs(&self) -> BTreeSet<Digest> {
        let present = self.images.values().filter(|image| image.presence == Presence::Present);
        present.flat_map(|image| image.tree.blobs.iter().map(|blob| blob.digest)).collect()
    }

    /// The same without uploads, which a backup does not hold.
    pub(super) fn without_sessions(&self) -> Self {
        Self { sessions: Vec::new(), ..self.clone() }
    }

    /// The same as of some time that nobody knows: any image may be there or not, any tag may name any of them.
    pub(super) fn of_any_time(&self) -> Self {
        let mut ledger = self.without_sessions();
        for image in ledger.images.values_mut() {
            image.presence = Presence::Unsure;
        }
        for ((repository, _), possible) in &mut ledger.tags {
            let here = ledger.images.keys().filter(|(name, _)| name == repository);
            *possible = here.map(|(_, digest)| Some(*digest)).chain([None]).collect();
        }
        ledger
    }

    /// Reads everything back, and settles what was unsure by what is there. Panics where the registry does not hold to
    /// what it had acknowledged.
    pub(super) async fn check(&mut self, client: &Client) -> Found {
        let mut found = Found::default();
        for ((repository, digest), image) in &mut self.images {
            let repository = Repository::new(client, repository);
            image.presence = check_image(&repository, digest, image).await;
            found.images += usize::from(image.presence == Presence::Present);
        }
        for ((repository, tag), possible) in &mut self.tags {
            let reply = Repository::new(client, repository).get_manifest(tag).await;
            let named = match reply.status.as_u16() {
                404 => None,
                _ => Some(Digest::sha256(&reply.expect_status(200).body)),
            };
            assert!(possible.contains(&named), "{repository}:{tag} names {named:?}, not one of {possible:?}");
            *possible = vec![named];
            found.tags += usize::from(named.is_some());
        }
        for ((repository, tag), possible) in &self.tags {
            let Some(digest) = possible[0] else { continue };
            let image = self.images.get(&(repository.clone(), digest));
            let present = image.is_some_and(|image| image.presence == Presence::Present);
            assert!(present, "{repository}:{tag} names {digest}, which is not there");
        }
        for session in self.sessions.drain(..) {
            found.resumed += usize::from(resume(client, &session).await);
        }
        found
    }
}

/// Reads an image back, whole or not at all.
async fn check_image(repository: &Repository, digest: &Digest, image: &Image) -> Presence {
    let reply = repository.get_manifest(digest).await;
    match (image.presence, reply.status.as_u16()) {
        (Presence::Absent | Presence::Unsure, 404) => return Presence::Absent,
        (Presence::Absent, _) => panic!("{} has {digest} again, whose delete was acknowledged", repository.name()),
        _ => drop(reply.expect_status(200).expect_body(&image.tree.root().bytes)),
    }
    for blob in &image.tree.blobs {
        repository.get_blob(&blob.digest).await.expect_status(200).expect_body(&blob.bytes);
    }
    Presence::Present
}

/// Goes on with an upload where the registry says that it stands. False when the registry knows it no more.
async fn resume(client: &Client, session: &Session) -> bool {
    let reply = client.get(&session.location).send().await;
    if reply.status == 404 {
        return false;
    }
    let range = reply.expect_status(204).header("range").unwrap_or_default();
    let last: usize = range.strip_prefix("0-").and_then(|last| last.parse().ok()).expect("a range from 0");
    // "0-0" stands for no byte: every chunk of these tests is longer than one.
    let offset = if last == 0 { 0 } else { last + 1 };
    let (least, most) = (session.acknowledged, session.sent);
    assert!((least..=most).contains(&offset), "{} stands at {offset}, not in {least}..={most}", session.location);
    let digest = Digest::sha256(&session.content);
    if offset < session.content.len() {
        let rest = session.content.slice(offset..);
        chunk_request(client.patch(&session.location), offset, rest).send().await.expect_status(202);
    }
    let close = client.put(with_digest(&session.location, &digest)).send().await;
    if session.closing && close.status == 404 {
        // The bytes had become a blob already when the session was still to be forgotten.
        return false;
    }
    drop(close.expect_status(201));
    let repository = Repository::new(client, &session.repository);
    repository.get_blob(&digest).await.expect_status(200).expect_body(&session.content);
    true
}
