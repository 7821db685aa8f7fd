//! Clients that push, mount and delete while garbage is collected without a pause and with hardly any grace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kogge_store::{BlobStore, FaultyStore};
use kogge_types::{Code, Digest, SystemClock};

use crate::core::{Core, DEFAULT_REGISTRY, Settings, Target};
use crate::fixture::{body, copies, image, name, open_with, put, read};

const CLIENTS: usize = 6;
/// Contents that all clients share, so that they meet.
const CONTENTS: u64 = 12;

/// How often each client acts.
fn rounds() -> usize {
    if std::env::var_os("KOGGE_TEST_LONG").is_some() { 30_000 } else { 80 }
}

struct Client {
    core: Arc<Core>,
    own: Target,
    number: usize,
    state: u64,
    /// Acknowledged images and the contents that they name.
    pushed: BTreeMap<Digest, Vec<Vec<u8>>>,
}

fn content(number: u64) -> Vec<u8> {
    format!("content {number}").repeat(1 + number as usize * 40).into_bytes()
}

impl Client {
    fn draw(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % below
    }

    /// Brings a blob into the repository as clients do: looks first, mounts if it can, uploads if it must.
    async fn bring(&mut self, content: &[u8]) {
        let digest = Digest::sha256(content);
        match self.core.stat_blob(&self.own, &digest).await {
            Ok(size) => assert_eq!(size, content.len() as u64),
            Err(error) => {
                assert_eq!(error.code, Code::BlobUnknown);
                let source = name(&format!("r{}", self.draw(CLIENTS as u64)));
                if self.draw(2) == 0 && self.core.mount_blob(&self.own, &source, &digest).await.unwrap() {
                    return;
                }
                self.core.put_blob(&self.own, &digest, body(content, 500)).await.unwrap();
            }
        }
    }

    async fn push(&mut self) {
        let contents: Vec<_> = (0..2 + self.draw(2)).map(|_| content(self.draw(CONTENTS))).collect();
        let bytes = image(&contents.iter().map(Vec::as_slice).collect::<Vec<_>>());
        loop {
            for content in &contents {
                self.bring(content).await;
            }
            match self.core.put_manifest(&self.own, put("latest", bytes.clone())).await {
                Ok(outcome) => {
                    self.pushed.insert(outcome.digest, contents);
                    return;
                }
                // The grace is a blink: what was promised has ended before the manifest came.
                Err(error) => assert_eq!(error.code, Code::ManifestBlobUnknown, "{error}"),
            }
        }
    }

    async fn delete(&mut self) {
        match self.draw(8) {
            0 => match self.core.delete_repository(&self.own).await {
                Ok(_) => self.pushed.clear(),
                Err(error) => assert_eq!((error.code, self.pushed.len()), (Code::NameUnknown, 0)),
            },
            _ => {
                let Some(digest) = self.pushed.keys().next().copied() else { return };
                self.core.delete_manifest(&self.own, &digest).await.unwrap();
                self.pushed.remove(&digest);
            }
        }
    }

    /// Every acknowledged image is whole.
    async fn check(&self) {
        for (digest, contents) in &self.pushed {
            let reference = digest.to_string().parse().unwrap();
            self.core.get_manifest(&self.own, &reference).await.unwrap();
            for content in contents {
                let found = read(&self.core, &self.own, &Digest::sha256(content)).await;
                assert!(found.as_deref() == Some(content), "client {}: {found:?}", self.number);
            }
        }
    }

    async fn run(mut self) -> Self {
        for _ in 0..rounds() {
            match self.draw(5) {
                0..=2 => self.push().await,
                3 => self.delete().await,
                _ => self.check().await,
            }
        }
        self.check().await;
        self
    }
}

async fn keep_collecting(core: Arc<Core>, stop: Arc<AtomicBool>) -> u64 {
    let mut removed = 0;
    while !stop.load(Ordering::Relaxed) {
        removed += core.collect_garbage().await.unwrap().copies_removed;
        core.expire_uploads().await.unwrap();
        removed += core.sweep_orphans().await.unwrap();
    }
    removed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_and_nothing_deleted_stays() {
    let root = tempfile::tempdir().unwrap();
    let settings = Settings { gc_grace: Duration::from_millis(50), ..Settings::default() };
    let (core, meta, store): (_, _, FaultyStore) =
        open_with(root.path(), Arc::new(SystemClock), "a boot", settings).await;
    let registry = core.registry(&DEFAULT_REGISTRY.parse().unwrap()).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let collector = tokio::spawn(keep_collecting(Arc::clone(&core), Arc::clone(&stop)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let own = Target { registry: Arc::clone(&registry), repository: name(&format!("r{number}")) };
            let (core, state) = (Arc::clone(&core), number as u64 + 1);
            tokio::spawn(Client { core, own, number, state, pushed: BTreeMap::new() }.run())
        })
        .collect();
    let mut done = Vec::new();
    for client in clients {
        done.push(client.await.unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    assert!(collector.await.unwrap() > 0, "there was something to collect meanwhile");
    for client in done {
        client.check().await;
        match client.core.delete_repository(&client.own).await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.code, Code::NameUnknown),
        }
    }
    // The grace is over once the clock says so: each pass looks, and ends when nothing waits any more.
    loop {
        core.collect_garbage().await.unwrap();
        let left = core.count_garbage().await.unwrap();
        if left == kogge_meta::GarbageCount::default() {
            break;
        }
        tokio::task::yield_now().await;
    }
    while !copies(&store).await.is_empty() {
        core.sweep_orphans().await.unwrap();
        assert!(meta.read(|s| s.blobs_after(None, 1)).await.unwrap().is_empty());
    }
    assert!(store.uploads(None).await.unwrap().is_empty());
    assert!(meta.read(|s| s.blobs_after(None, 1)).await.unwrap().is_empty());
}
