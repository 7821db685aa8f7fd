//! Random sequences of verbs against a model in memory.

use std::collections::{BTreeMap, BTreeSet};

use kogge_types::{Clock, Digest, RepositoryName, RepositoryPattern, clock};
use proptest::prelude::{Strategy, any};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::change::{Commit, Event};
use crate::suite::{Bench, GRACE, MANY, image, repository, tag};
use crate::tests::bench;

const REPOSITORIES: [&str; 3] = ["a", "a/b", "c"];
const BLOBS: [&str; 4] = ["b0", "b1", "b2", "b3"];
const TAGS: [&str; 3] = ["t0", "t1", "t2"];

/// One verb, its operands as numbers.
#[derive(Debug, Clone, Copy)]
enum Verb {
    PushBlob { repository: usize, blob: usize },
    Put { repository: usize, image: usize, tag: Option<usize> },
    DeleteTag { repository: usize, tag: usize },
    DeleteManifest { repository: usize, image: usize },
    DeleteRepository { repository: usize },
    Unlink { repository: usize, blob: usize },
    Advance { half_graces: u8 },
    Follow,
    Collect,
}

fn verb() -> impl Strategy<Value = Verb> {
    any::<[u8; 4]>().prop_map(|[kind, a, b, c]| {
        let (repository, blob, image) = (usize::from(a) % 3, usize::from(b) % 4, usize::from(b) % 15 + 1);
        let tag = usize::from(c) % 4;
        match kind % 16 {
            0..3 => Verb::PushBlob { repository, blob },
            3..8 => Verb::Put { repository, image, tag: (tag < 3).then_some(tag) },
            8 => Verb::DeleteTag { repository, tag: tag % 3 },
            9..11 => Verb::DeleteManifest { repository, image },
            11 => Verb::DeleteRepository { repository },
            12 => Verb::Unlink { repository, blob },
            13 => Verb::Advance { half_graces: c % 3 },
            14 => Verb::Follow,
            _ => Verb::Collect,
        }
    })
}

/// The blobs of an image: those whose bit is set.
fn blobs_of(image: usize) -> Vec<&'static str> {
    (0..4).filter(|bit| image & 1 << bit != 0).map(|bit| BLOBS[bit]).collect()
}

#[derive(Debug, Default)]
struct Repository {
    manifests: BTreeSet<usize>,
    tags: BTreeMap<usize, usize>,
    /// The end of each link; `None` is no end.
    links: BTreeMap<usize, Option<i64>>,
    /// (image, blob), also of images deleted and not yet followed.
    named: BTreeSet<(usize, usize)>,
}

#[derive(Debug, Default)]
struct Model {
    repositories: BTreeMap<usize, Repository>,
    dead: Vec<(usize, Repository)>,
    /// Blobs that are served, and when they end.
    blobs: BTreeMap<usize, Option<i64>>,
    /// What the follower of the journal has not dealt with, in order.
    unfollowed: Vec<(usize, Option<usize>)>,
}

impl Model {
    fn is_linked(&self, blob: usize) -> bool {
        let living = self.repositories.values();
        living.chain(self.dead.iter().map(|(_, dead)| dead)).any(|repository| repository.links.contains_key(&blob))
    }

    fn expire_unlinked(&mut self, blob: usize, now_us: i64) {
        if !self.is_linked(blob)
            && let Some(end) = self.blobs.get_mut(&blob)
        {
            *end = Some(now_us);
        }
    }

    fn apply(&mut self, verb: Verb, now_us: i64) {
        let end = now_us + clock::micros(GRACE);
        match verb {
            Verb::PushBlob { repository, blob } => {
                let links = &mut self.repositories.entry(repository).or_default().links;
                let link = links.entry(blob).or_insert(Some(end));
                *link = link.map(|present| present.max(end));
                self.blobs.insert(blob, None);
            }
            Verb::Put { repository, image, tag } => {
                let repository = self.repositories.entry(repository).or_default();
                repository.manifests.insert(image);
                for blob in (0..4).filter(|bit| image & 1 << bit != 0) {
                    repository.named.insert((image, blob));
                    if let Some(link) = repository.links.get_mut(&blob) {
                        *link = None;
                    }
                }
                repository.tags.extend(tag.map(|tag| (tag, image)));
            }
            Verb::DeleteTag { repository, tag } => {
                self.repositories.entry(repository).or_default().tags.remove(&tag);
            }
            Verb::DeleteManifest { repository, image } => {
                let living = self.repositories.entry(repository).or_default();
                if living.manifests.remove(&image) {
                    living.tags.retain(|_, tagged| *tagged != image);
                    self.unfollowed.push((repository, Some(image)));
                }
            }
            Verb::DeleteRepository { repository } => {
                if let Some(living) = self.repositories.remove(&repository) {
                    self.dead.push((repository, living));
                    self.unfollowed.push((repository, None));
                }
            }
            Verb::Unlink { repository, blob } => {
                if self.repositories.entry(repository).or_default().links.remove(&blob).is_some() {
                    self.expire_unlinked(blob, now_us);
                }
            }
            Verb::Advance { .. } => {}
            Verb::Follow => self.follow(now_us),
            Verb::Collect => self.collect(now_us),
        }
    }

    fn follow(&mut self, now_us: i64) {
        for (number, image) in std::mem::take(&mut self.unfollowed) {
            match image {
                Some(image) => {
                    let end = now_us + clock::micros(GRACE);
                    let living = self.repositories.iter_mut().filter(|(of, _)| **of == number).map(|(_, r)| r);
                    let dead = self.dead.iter_mut().filter(|(of, _)| *of == number).map(|(_, r)| r);
                    for repository in living.chain(dead) {
                        release(repository, image, end);
                    }
                }
                None => {
                    let gone: Vec<_> = self.dead.extract_if(.., |(of, _)| *of == number).collect();
                    for blob in gone.into_iter().flat_map(|(_, dead)| dead.links.into_keys()) {
                        self.expire_unlinked(blob, now_us);
                    }
                }
            }
        }
    }

    fn collect(&mut self, now_us: i64) {
        let mut ended = Vec::new();
        let living = self.repositories.values_mut();
        for repository in living.chain(self.dead.iter_mut().map(|(_, dead)| dead)) {
            let due: Vec<_> = repository
                .links
                .iter()
                .filter(|(_, end)| end.is_some_and(|end| end <= now_us))
                .map(|(b, _)| *b)
                .collect();
            for blob in due {
                if repository.named.iter().any(|(image, named)| *named == blob && repository.manifests.contains(image))
                {
                    repository.links.insert(blob, None);
                } else {
                    repository.links.remove(&blob);
                    ended.push(blob);
                }
            }
        }
        for blob in ended {
            self.expire_unlinked(blob, now_us);
        }
        self.blobs.retain(|_, end| end.is_none_or(|end| end > now_us));
    }
}

fn release(repository: &mut Repository, image: usize, end: i64) {
    if repository.manifests.contains(&image) {
        return;
    }
    let freed: Vec<_> = repository.named.extract_if(.., |(of, _)| *of == image).map(|(_, blob)| blob).collect();
    for blob in freed {
        let named = repository.named.iter().any(|(_, named)| *named == blob);
        if !named && let Some(link @ None) = repository.links.get_mut(&blob) {
            *link = Some(end);
        }
    }
}

/// What the follower of the journal and the collector do, as the rules above this crate drive them.
async fn follow(bench: &Bench) {
    let after = bench.meta.read(|s| s.cursor("gc")).await.unwrap();
    let end = bench.grace_end_us();
    for entry in bench.meta.read(move |s| s.journal_after(after, MANY)).await.unwrap() {
        let seq = entry.seq;
        bench
            .write(move |tx, registry| {
                match &entry.event {
                    Event::ManifestDeleted { repository, digest, .. } => {
                        tx.release_manifest(&registry.id, repository, digest, end)?;
                    }
                    Event::RepositoryDeleted { repository, .. } => {
                        while tx.reclaim_dead_repository(&registry.id, repository, 2)? {}
                    }
                    _ => {}
                }
                tx.set_cursor("gc", seq)?;
                Ok(Commit::quiet(()))
            })
            .await;
    }
}

async fn apply(bench: &Bench, verb: Verb) {
    let name = |repository: usize| self::repository(REPOSITORIES[repository]);
    match verb {
        Verb::PushBlob { repository, blob } => drop(bench.push_blob(&name(repository), BLOBS[blob]).await),
        Verb::Put { repository, image: number, tag } => {
            bench.put(&name(repository), image(&blobs_of(number)), tag.map(|tag| TAGS[tag])).await;
        }
        Verb::DeleteTag { repository, tag: number } => {
            let name = name(repository);
            bench
                .write(move |tx, registry| {
                    let key = tx.take_repository(registry.key, &name)?;
                    let change = tx.delete_tag(registry, key, &name, &tag(TAGS[number]))?;
                    Ok(Commit::new((), change.into_iter().collect()))
                })
                .await;
        }
        Verb::DeleteManifest { repository, image: number } => {
            bench.delete_manifest(&name(repository), image(&blobs_of(number)).digest).await;
        }
        Verb::DeleteRepository { repository } => {
            let (registry, name) = (bench.registry.key, name(repository));
            let there = name.clone();
            if bench.meta.read(move |s| s.repository(registry, &there)).await.unwrap().is_some() {
                bench.delete_repository(&name).await;
            }
        }
        Verb::Unlink { repository, blob } => {
            let (name, digest) = (name(repository), Digest::sha256(BLOBS[blob].as_bytes()));
            bench
                .write(move |tx, registry| {
                    let key = tx.take_repository(registry.key, &name)?;
                    let change = tx.unlink_blob(registry, key, &name, &digest)?;
                    Ok(Commit::new((), change.into_iter().collect()))
                })
                .await;
        }
        Verb::Advance { half_graces } => bench.clock.advance(GRACE / 2 * u32::from(half_graces)),
        Verb::Follow => follow(bench).await,
        Verb::Collect => {
            while bench.write(|tx, _| tx.end_links(2).map(Commit::quiet)).await > 0 {}
            while bench.write(|tx, _| tx.fence_blobs(2).map(Commit::quiet)).await > 0 {}
        }
    }
}

async fn compare(bench: &Bench, model: &Model) {
    let listed = model.repositories.iter().filter(|(_, r)| !r.manifests.is_empty()).map(|(n, _)| REPOSITORIES[*n]);
    let registry = bench.registry.key;
    let names = bench.meta.read(move |s| s.repository_names(registry, &[RepositoryPattern::All], "", MANY));
    assert_eq!(names.await.unwrap(), listed.collect::<Vec<_>>());
    let empty = Repository::default();
    for (number, name) in REPOSITORIES.into_iter().enumerate() {
        let expected = model.repositories.get(&number).unwrap_or(&empty);
        let name: RepositoryName = repository(name);
        for (number, tag) in TAGS.into_iter().enumerate() {
            let digest = expected.tags.get(&number).map(|number| image(&blobs_of(*number)).digest);
            assert_eq!(bench.resolve(&name, tag).await, digest, "{name}:{tag}");
        }
        for number in 1..16 {
            let digest = image(&blobs_of(number)).digest;
            let there = bench.resolve(&name, &digest.to_string()).await.is_some();
            assert_eq!(there, expected.manifests.contains(&number), "{name}, image {number}");
        }
        for (number, blob) in BLOBS.into_iter().enumerate() {
            let digest = Digest::sha256(blob.as_bytes());
            let serves = expected.links.get(&number).filter(|_| model.blobs.contains_key(&number));
            assert_eq!(bench.links(&name, &digest).await, serves.is_some(), "{name}, {blob}");
            let link = bench.meta.link(registry, &name, &digest).await.unwrap();
            assert_eq!(link.map(|link| link.expires_at_us), serves.copied(), "{name}, {blob}");
        }
    }
    let stored = bench.meta.read(|s| s.blobs_after(None, MANY)).await.unwrap();
    let stored: BTreeMap<_, _> = stored.into_iter().map(|blob| (blob.digest, blob.expires_at_us)).collect();
    let expected = model.blobs.iter().map(|(blob, end)| (Digest::sha256(BLOBS[*blob].as_bytes()), *end)).collect();
    assert_eq!(stored, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_sequence_of_verbs_leaves_what_the_model_says() {
    let (runs, length) = if std::env::var_os("KOGGE_TEST_LONG").is_some() { (60, 200) } else { (6, 60) };
    let seed = RngSeed::Fixed(0x006b_6f67_6765);
    let mut runner = TestRunner::new(Config { rng_seed: seed, ..Config::default() });
    for run in 0..runs {
        let verbs = proptest::collection::vec(verb(), length).new_tree(&mut runner).unwrap().current();
        let (_folders, bench) = bench().await;
        let mut model = Model::default();
        println!("run {run}");
        for verb in &verbs {
            // Shown when a comparison fails.
            println!("{verb:?}");
            model.apply(*verb, bench.clock.now_us());
            apply(&bench, *verb).await;
            compare(&bench, &model).await;
        }
    }
}
