//! Records that the process keeps ready. On SQLite this process is the only writer, so the cache is exact: a
//! commit removes what it changed before anybody is told that it happened.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashlink::LruCache;
use kogge_types::{Reference, RepositoryName, limits};

use crate::blob::LinkedBlob;
use crate::change::Touched;
use crate::manifest::StoredManifest;
use crate::repository::RegistryKey;

const SHARDS: usize = 16;
const SHARD_BYTES_MAX: usize = limits::RECORD_CACHE_BYTES_MAX / SHARDS;
/// What a record costs beside the bytes that it holds: key, map entry, shared pointers.
const RECORD_OVERHEAD_BYTES: usize = 400;

#[derive(Debug, Clone)]
pub(crate) enum Record {
    Manifest(Arc<StoredManifest>),
    Link(Arc<LinkedBlob>),
}

impl Record {
    fn bytes(&self) -> usize {
        RECORD_OVERHEAD_BYTES
            + match self {
                Self::Manifest(manifest) => manifest.body.len(),
                Self::Link(_) => 0,
            }
    }
}

#[derive(Debug)]
pub(crate) struct RecordCache {
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
}

#[derive(Debug)]
struct Shard {
    /// Raised by each removal: a record read before it must not be kept after it.
    generation: u64,
    bytes: usize,
    records: LruCache<String, Record>,
}

/// A place in the cache, found empty, to be filled with what is read now.
#[derive(Debug)]
pub(crate) struct Vacancy {
    key: String,
    generation: u64,
}

impl RecordCache {
    pub(crate) fn new() -> Self {
        let shard = || Shard { generation: 0, bytes: 0, records: LruCache::new_unbounded() };
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect() }
    }

    /// The record under `key`, or the place to put it.
    pub(crate) fn get(&self, key: String) -> Result<Record, Vacancy> {
        let mut shard = self.shard(&key);
        match shard.records.get(key.as_str()) {
            Some(record) => Ok(record.clone()),
            None => Err(Vacancy { generation: shard.generation, key }),
        }
    }

    /// Keeps `record`, unless a write came between the look and now, or it would push out everything else.
    pub(crate) fn fill(&self, vacancy: Vacancy, record: Record) {
        let Vacancy { key, generation } = vacancy;
        let mut shard = self.shard(&key);
        if shard.generation != generation || record.bytes() > SHARD_BYTES_MAX {
            return;
        }
        shard.bytes += record.bytes();
        if let Some(replaced) = shard.records.insert(key, record) {
            shard.bytes -= replaced.bytes();
        }
        while shard.bytes > SHARD_BYTES_MAX {
            let Some((_, evicted)) = shard.records.remove_lru() else { break };
            shard.bytes -= evicted.bytes();
        }
    }

    /// Forgets what a write has changed.
    pub(crate) fn forget(&self, touched: &[Touched]) {
        for touched in touched {
            match touched {
                Touched::Manifest { registry, repository, digest } => {
                    self.remove(&manifest_key(*registry, repository, &Reference::Digest(*digest)));
                }
                Touched::Tag { registry, repository, tag } => {
                    self.remove(&manifest_key(*registry, repository, &Reference::Tag(tag.clone())));
                }
                Touched::Link { registry, repository, digest } => {
                    self.remove(&link_key(*registry, repository, digest));
                }
                Touched::Everything => self.clear(),
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn size(&self) -> (usize, usize) {
        let shards = self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner));
        shards.fold((0, 0), |(records, bytes), shard| {
            let held: usize = shard.records.iter().map(|(_, record)| record.bytes()).sum();
            assert_eq!(held, shard.bytes, "the sum is kept");
            (records + shard.records.len(), bytes + held)
        })
    }

    fn remove(&self, key: &str) {
        let mut shard = self.shard(key);
        shard.generation += 1;
        if let Some(removed) = shard.records.remove(key) {
            shard.bytes -= removed.bytes();
        }
    }

    fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.generation += 1;
            shard.bytes = 0;
            shard.records.clear();
        }
    }

    fn shard(&self, key: &str) -> MutexGuard<'_, Shard> {
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn manifest_key(registry: RegistryKey, repository: &RepositoryName, reference: &Reference) -> String {
    match reference {
        Reference::Tag(tag) => format!("{}/{repository}:{tag}", registry.0),
        Reference::Digest(digest) => format!("{}/{repository}@{digest}", registry.0),
    }
}

pub(crate) fn link_key(registry: RegistryKey, repository: &RepositoryName, digest: &kogge_types::Digest) -> String {
    format!("{}/{repository}#{digest}", registry.0)
}
