//! The writer and its batches, the readers, and what a restart finds.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, mpsc};

use kogge_types::{Clock, ManualClock};

use crate::change::{Commit, Event};
use crate::error::MetaError;
use crate::meta::Meta;
use crate::suite::{self, Bench, MANY, image, repository};
use crate::tests::{Folders, bench, environment};

/// Holds the writer up until the answer is dropped or told to go on: what is sent meanwhile is one batch.
async fn hold_writer(meta: &Arc<Meta>) -> mpsc::Sender<()> {
    let (go, held) = mpsc::channel::<()>();
    let (entered, inside) = tokio::sync::oneshot::channel();
    let meta = Arc::clone(meta);
    tokio::spawn(async move {
        meta.write(move |_| {
            entered.send(()).unwrap();
            // An error is the end of the hold.
            let _ = held.recv();
            Ok::<_, MetaError>(Commit::quiet(()))
        })
        .await
        .unwrap();
    });
    inside.await.unwrap();
    go
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Commits,
    Refuses,
    Panics,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_in_a_batch_takes_no_neighbour_with_it() {
    let (_folders, Bench { meta, registry, .. }) = bench().await;
    let meta = Arc::new(meta);
    let hold = hold_writer(&meta).await;
    let fates = [Fate::Commits, Fate::Refuses, Fate::Commits, Fate::Panics, Fate::Refuses, Fate::Panics, Fate::Commits];
    let mut writes = Vec::new();
    for (number, fate) in fates.into_iter().enumerate() {
        let (sending, registry) = (Arc::clone(&meta), registry.clone());
        let (polled, waiting) = tokio::sync::oneshot::channel();
        writes.push(tokio::spawn(async move {
            let mut write = Box::pin(sending.write(move |tx| {
                let name = repository(&format!("r{number}"));
                let key = tx.take_repository(registry.key, &name)?;
                let change = tx.put_manifest(&registry, key, &name, &image(&["one"]))?;
                match fate {
                    Fate::Commits => Ok(Commit::new((), vec![change])),
                    Fate::Refuses => Err(MetaError::Corrupt { what: "a refusal" }),
                    Fate::Panics => panic!("a write that panics"),
                }
            }));
            let first = futures_poll(&mut write).await;
            polled.send(()).unwrap();
            match first {
                Some(answer) => answer,
                None => write.await,
            }
        }));
        waiting.await.unwrap();
    }
    drop(hold);
    let seen_before = 1;
    for (fate, write) in fates.into_iter().zip(writes) {
        match (fate, write.await.unwrap()) {
            (Fate::Commits, Ok(()))
            | (Fate::Refuses, Err(MetaError::Corrupt { what: "a refusal" }))
            | (Fate::Panics, Err(MetaError::Stopped)) => {}
            (_, answer) => panic!("{answer:?}"),
        }
    }
    let told = meta.read(move |s| s.journal_after(seen_before, MANY)).await.unwrap();
    let names: Vec<_> = told
        .iter()
        .map(|entry| match &entry.event {
            Event::ManifestPut { repository, .. } => repository.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["r0", "r2", "r6"], "what was committed, in the order in which it was sent");
    assert!(told.iter().map(|entry| entry.seq).eq(seen_before + 1..=seen_before + 3));
    for (number, fate) in fates.into_iter().enumerate() {
        let (registry, name) = (registry.key, repository(&format!("r{number}")));
        let there = meta.read(move |s| s.repository(registry, &name)).await.unwrap().is_some();
        assert_eq!(there, fate == Fate::Commits, "{number}");
    }
}

/// Polls once, which sends the write.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

/// A clock that goes wherever it is set.
#[derive(Debug)]
struct WallClock(AtomicI64);

impl Clock for WallClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stamps_grow_when_the_clock_goes_back() {
    let folders = Folders::new();
    let wall = Arc::new(WallClock(AtomicI64::new(suite::START_US)));
    let meta = folders.open(&suite::environment(Arc::clone(&wall) as _));
    let registry = suite::put_registry(&meta, "default").await;
    let bench = Bench { meta, clock: Arc::new(ManualClock::at(suite::START_US)), registry };
    let app = repository("app");
    bench.push(&app, &["one"], Some("v1")).await;
    // A quiet write draws a stamp as well: that of the repository's row.
    bench.push_blob(&repository("quiet"), "one").await;
    let before = bench.meta.read(|s| s.journal_head()).await.unwrap().stamp;
    assert!(before.0 > suite::START_US);
    let row = |name: &'static str| {
        bench.meta.read(move |s| {
            s.query_first("SELECT stamp FROM repositories WHERE name = ?1", &[name.into()], |row| row.int(0))
        })
    };
    assert!(before.0 >= row("quiet").await.unwrap().unwrap(), "a stamp once given is known");
    wall.0.store(1_000, Ordering::SeqCst);
    bench.push(&app, &["two"], Some("v1")).await;
    bench.push(&repository("later"), &["two"], Some("v1")).await;
    let told = bench.meta.read(|s| s.journal_after(0, MANY)).await.unwrap();
    assert!(told.is_sorted_by(|a, b| a.stamp < b.stamp), "{told:?}");
    assert!(row("later").await.unwrap() > row("quiet").await.unwrap());
    let in_tags = bench.meta.read(|s| {
        s.query("SELECT t.stamp, j.stamp FROM tags t JOIN journal j ON j.stamp = t.stamp", &[], |row| row.int(0))
    });
    assert_eq!(in_tags.await.unwrap().len(), 2, "a record carries the stamp of the entry that tells of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_read_sees_one_state() {
    let (_folders, Bench { meta, registry, .. }) = bench().await;
    let meta = Arc::new(meta);
    let (looked, look) = mpsc::channel();
    let (wrote, written) = mpsc::channel();
    let reading = Arc::clone(&meta);
    let key = registry.key;
    let reader = tokio::task::spawn_blocking(move || {
        tokio::runtime::Handle::current().block_on(reading.read(move |s| {
            let first = s.repository(key, &repository("app")).unwrap();
            looked.send(()).unwrap();
            written.recv().unwrap();
            (first, s.repository(key, &repository("app")).unwrap(), s.journal_head().unwrap().seq)
        }))
    });
    tokio::task::spawn_blocking(move || look.recv().unwrap()).await.unwrap();
    let put = meta.write(move |tx| {
        let app = repository("app");
        let key = tx.take_repository(registry.key, &app)?;
        let change = tx.put_manifest(&registry, key, &app, &image(&["one"]))?;
        Ok::<_, MetaError>(Commit::new((), vec![change]))
    });
    put.await.unwrap();
    wrote.send(()).unwrap();
    assert_eq!(reader.await.unwrap(), (None, None, 1));
    assert!(meta.read(move |s| s.repository(key, &repository("app"))).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_panics_leaves_the_readers_whole() {
    let (_folders, Bench { meta, .. }) = bench().await;
    let meta = Arc::new(meta);
    for _ in 0..10 {
        let reading = Arc::clone(&meta);
        let read = tokio::spawn(async move {
            reading.read(|s| s.journal_head().map(|_| panic!("a read that panics")).unwrap()).await
        });
        assert!(read.await.unwrap_err().is_panic());
    }
    assert_eq!(meta.read(|s| s.journal_head()).await.unwrap().seq, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_later_takes_writes_again() {
    let (_folders, bench) = bench().await;
    let app = repository("app");
    bench.push(&app, &["one"], Some("v1")).await;
    let bound = |pages: i64| {
        bench.write(move |tx, _| {
            let pages = tx.query_first(&format!("PRAGMA max_page_count = {pages}"), &[], |row| row.int(0))?;
            Ok(Commit::quiet(pages))
        })
    };
    bound(1).await;
    let key = bench.key(&app).await;
    let registry = bench.registry.clone();
    let large = "x".repeat(1_000_000);
    let refused = bench.meta.write(move |tx| {
        let mut new = image(&["two"]);
        new.body = large.into();
        let change = tx.put_manifest(&registry, key, &repository("app"), &new)?;
        Ok::<_, MetaError>(Commit::new((), vec![change]))
    });
    let refused = refused.await;
    assert!(matches!(refused, Err(MetaError::NoSpace)), "{refused:?}");
    assert!(bench.resolve(&app, "v1").await.is_some());
    bound(1_000_000).await;
    bench.push(&app, &["two"], Some("v2")).await;
    let told = bench.meta.read(|s| s.journal_after(0, MANY)).await.unwrap();
    assert!(told.iter().map(|entry| entry.seq).eq(1..=told.len() as i64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_everything_and_sessions_of_the_same_boot() {
    let root = tempfile::tempdir().unwrap();
    let first = environment();
    let bench = Bench::new(&|environment| Meta::open(root.path(), environment).unwrap()).await;
    let app = repository("app");
    let one = bench.push(&app, &["one", "layer"], Some("v1")).await;
    let upload = crate::UploadRecord {
        id: suite::upload_id(),
        registry: bench.registry.key,
        repository: app.clone(),
        bytes: 0,
        algorithm: kogge_types::Algorithm::Sha256,
        hash_state: vec![],
        store_state: vec![],
        epoch: 0,
        updated_at_us: 0,
    };
    let id = upload.id;
    bench.meta.write_sessions(move |tx| tx.insert_upload(&upload).map(Commit::quiet)).await.unwrap();
    let (registry, told) = (bench.registry.clone(), bench.meta.read(|s| s.journal_after(0, MANY)).await.unwrap());
    drop(bench.meta);
    for (boot, kept) in [("a boot", true), ("a boot", true), ("another boot", false), ("a boot", false)] {
        let meta = Meta::open(root.path(), &crate::Environment { boot: boot.to_owned(), ..first.clone() }).unwrap();
        assert_eq!(meta.read(|s| s.registries()).await.unwrap(), std::slice::from_ref(&registry));
        let found = meta.manifest(registry.key, &app, &"v1".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!((found.digest, &found.body), (one, &image(&["one", "layer"]).body));
        let layer = kogge_types::Digest::sha256(b"layer");
        assert!(meta.link(registry.key, &app, &layer).await.unwrap().is_some());
        assert_eq!(meta.read(|s| s.journal_after(0, MANY)).await.unwrap(), told);
        let session = meta.read_sessions(move |s| s.upload(&id)).await.unwrap();
        assert_eq!(session.is_some(), kept, "{boot}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused_by_name_and_left_alone() {
    for file in [crate::STATE_FILE, crate::SESSIONS_FILE] {
        let root = tempfile::tempdir().unwrap();
        drop(Meta::open(root.path(), &environment()).unwrap());
        let newer = rusqlite::Connection::open(root.path().join(file)).unwrap();
        newer.pragma_update(None, "user_version", 1_000).unwrap();
        let refused = Meta::open(root.path(), &environment()).unwrap_err();
        assert!(matches!(refused, MetaError::Newer { found: 1_000, .. }), "{refused:?}");
        assert!(refused.to_string().contains("newer version"), "{refused}");
        let version: i64 = newer.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        assert_eq!(version, 1_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_database_is_refused() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join(crate::STATE_FILE), "no database at all".repeat(1_000)).unwrap();
    assert!(matches!(Meta::open(root.path(), &environment()), Err(MetaError::Engine { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_of_one_state_and_opens_as_an_installation() {
    let (folders, bench) = bench().await;
    let app = repository("app");
    bench.push(&app, &["one", "layer"], Some("v1")).await;
    let copies = folders.root.path().join("copies");
    std::fs::create_dir(&copies).unwrap();
    let path = copies.join(crate::STATE_FILE);
    bench.meta.copy_state_to(&path).unwrap();
    bench.push(&app, &["later"], Some("v2")).await;
    let in_copy = crate::blobs_in_copy(&path, None, MANY).unwrap();
    assert_eq!(in_copy.len(), 2);
    assert_eq!(crate::blobs_in_copy(&path, Some(&in_copy[0].digest), MANY).unwrap(), in_copy[1..]);
    assert_eq!(bench.meta.read(|s| s.blobs_after(None, MANY)).await.unwrap().len(), 3);
    assert!(bench.meta.copy_state_to(&path).is_err(), "a copy does not write over another");
    let restored = Meta::open(&copies, &environment()).unwrap();
    let tags = restored.read(|s| s.query("SELECT name FROM tags", &[], |row| row.text(0))).await.unwrap();
    assert_eq!(tags, ["v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_leaves_a_tombstone_until_it_is_there_again() {
    let (_folders, bench) = bench().await;
    let app = repository("app");
    let graves = || bench.meta.read(|s| s.query("SELECT item FROM tombstones ORDER BY item", &[], |row| row.text(0)));
    let one = bench.push(&app, &["one"], Some("v1")).await;
    assert!(graves().await.unwrap().is_empty());
    bench.delete_manifest(&app, one).await;
    assert_eq!(graves().await.unwrap(), [one.to_string(), "tag:v1".to_owned()]);
    bench.delete_manifest(&app, one).await;
    bench.put(&app, image(&["one"]), None).await;
    assert_eq!(graves().await.unwrap(), ["tag:v1"]);
    bench.put(&app, image(&["one"]), Some("v1")).await;
    assert!(graves().await.unwrap().is_empty());
    bench.delete_repository(&app).await;
    assert_eq!(graves().await.unwrap(), [""]);
    let stamps = bench.meta.read(|s| {
        s.query("SELECT stamp FROM tombstones WHERE stamp > (SELECT max(stamp) FROM tags)", &[], |row| row.int(0))
    });
    assert_eq!(stamps.await.unwrap().len(), 1, "it is later than what it buries");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_leaves_what_was_written_before_it_to_the_one_before() {
    let (_folders, bench) = bench().await;
    bench.push(&repository("app"), &["one"], Some("v1")).await;
    bench.write(|tx, _| tx.open_epoch().map(Commit::quiet)).await;
    bench.push(&repository("app"), &["two"], Some("v2")).await;
    let epochs = bench.meta.read(|s| {
        s.query("SELECT t.name, o.epoch FROM tags t JOIN origins o ON o.id = t.origin ORDER BY t.name", &[], |row| {
            Ok((row.text(0)?, row.int(1)?))
        })
    });
    assert_eq!(epochs.await.unwrap(), [("v1".to_owned(), 1), ("v2".to_owned(), 2)]);
    let rows = bench.meta.read(|s| {
        s.query("SELECT DISTINCT o.epoch FROM journal j JOIN origins o ON o.id = j.origin ORDER BY 1", &[], |r| {
            r.int(0)
        })
    });
    assert_eq!(rows.await.unwrap(), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_tombstones_are_pruned() {
    let (_folders, bench) = bench().await;
    let one = bench.push(&repository("app"), &["one"], Some("v1")).await;
    bench.delete_manifest(&repository("app"), one).await;
    let prune = |before_us: i64, limit: usize| {
        bench.write(move |tx, _| tx.prune_tombstones(before_us, limit).map(Commit::quiet))
    };
    assert_eq!(prune(suite::START_US, MANY).await, 0);
    assert_eq!(prune(suite::START_US + 1, 1).await, 1);
    assert_eq!(prune(suite::START_US + 1, MANY).await, 1);
}
