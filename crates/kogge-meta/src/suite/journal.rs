//! The journal: what is told, in which order, to whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kogge_types::{Clock, Digest};

use crate::attributes::Attributes;
use crate::change::{Commit, Event, Item};
use crate::error::MetaError;
use crate::journal::Entry;
use crate::suite::{Bench, MANY, cases, image, repository, tag};

cases! {
    every_change_is_told_in_order
    what_is_not_replicated_is_not_told
    a_refused_write_is_not_told
    concurrent_writes_leave_no_gap
    a_consumer_that_polls_skips_nothing
    cursors_only_remember
    pruning_waits_for_every_consumer_and_for_age
    the_hint_comes_with_each_entry
}

async fn entries(bench: &Bench) -> Vec<Entry> {
    bench.meta.read(|s| s.journal_after(0, MANY)).await.expect("read")
}

async fn every_change_is_told_in_order(bench: &Bench) {
    let app = repository("app");
    let digest = bench.push(&app, &["one"], Some("v1")).await;
    let blob = bench.push_blob(&app, "loose").await;
    let key = bench.key(&app).await;
    let open = Attributes::OPEN;
    bench
        .write(move |tx, registry| {
            let app = repository("app");
            let mut changes = vec![tx.set_repository_attributes(registry, key, &app, open)?];
            changes.extend(tx.set_tag_attributes(registry, key, &app, &tag("v1"), open)?);
            changes.extend(tx.set_manifest_attributes(registry, key, &app, &digest, open)?);
            changes.extend(tx.unlink_blob(registry, key, &app, &blob)?);
            changes.extend(tx.delete_manifest(registry, key, &app, &digest)?);
            changes.push(tx.delete_repository(registry, key, &app)?.1);
            changes.push(tx.delete_registry(registry)?);
            Ok(Commit::new((), changes))
        })
        .await;
    let found = entries(bench).await;
    let registry = bench.registry.id;
    let set = |item| Event::AttributesSet { registry, repository: app.clone(), item, attributes: open };
    let expected = [
        Event::RegistryPut { registry, name: bench.registry.name.clone() },
        Event::ManifestPut { registry, repository: app.clone(), digest },
        Event::TagSet { registry, repository: app.clone(), tag: tag("v1"), digest },
        set(Item::Repository),
        set(Item::Tag(tag("v1"))),
        set(Item::Manifest(digest)),
        Event::BlobUnlinked { registry, repository: app.clone(), digest: blob },
        Event::TagDeleted { registry, repository: app.clone(), tag: tag("v1") },
        Event::ManifestDeleted { registry, repository: app.clone(), digest },
        Event::RepositoryDeleted { registry, repository: app.clone() },
        Event::RegistryDeleted { registry, name: bench.registry.name.clone() },
    ];
    assert_eq!(found.iter().map(|entry| entry.event.clone()).collect::<Vec<_>>(), expected);
    assert!(found.iter().map(|entry| entry.seq).eq(1..=expected.len() as i64));
    assert!(found.is_sorted_by(|a, b| a.stamp < b.stamp), "every change has a stamp of its own: {found:?}");
    assert!(found.iter().all(|entry| entry.at_us == crate::suite::START_US));
    let head = bench.meta.read(|s| s.journal_head()).await.expect("read");
    assert_eq!(head.seq, expected.len() as i64);
    assert!(head.stamp >= found[found.len() - 1].stamp);
    for limit in [1, 5] {
        let page = bench.meta.read(move |s| s.journal_after(3, limit)).await.expect("read");
        assert_eq!(page, found[3..3 + limit]);
    }
}

async fn what_is_not_replicated_is_not_told(bench: &Bench) {
    let before = entries(bench).await;
    bench.push_blob(&repository("app"), "one").await;
    let absent = Digest::sha256(b"absent");
    let grant = crate::Grant {
        hash: [1; 32],
        kind: crate::GrantKind::Code,
        principal: None,
        payload: "{}".to_owned(),
        created_at_us: 0,
        expires_at_us: 1,
    };
    bench
        .write(move |tx, registry| {
            let app = repository("app");
            let key = tx.take_repository(registry.key, &app)?;
            let mut changes = tx.delete_manifest(registry, key, &app, &absent)?;
            changes.extend(tx.delete_tag(registry, key, &app, &tag("absent"))?);
            changes.extend(tx.unlink_blob(registry, key, &app, &absent)?);
            changes.extend(tx.delete_principal("absent")?);
            changes.extend(tx.delete_resource("a/b", "/", "absent")?);
            changes.extend(tx.delete_credential(&[1; 16], &[2; 16])?);
            tx.put_grant(&grant)?;
            tx.take_grant(&grant.hash)?;
            tx.ensure_job("job")?;
            tx.put_setting("setting", b"value")?;
            tx.set_cursor("consumer", 1)?;
            Ok(Commit::new((), changes))
        })
        .await;
    assert_eq!(entries(bench).await, before);
}

async fn a_refused_write_is_not_told(bench: &Bench) {
    let before = entries(bench).await;
    let registry = bench.registry.clone();
    let refused = bench.meta.write(move |tx| {
        let app = repository("app");
        let key = tx.take_repository(registry.key, &app)?;
        tx.put_manifest(&registry, key, &app, &image(&["one"])).map(drop)?;
        Err::<Commit<()>, _>(MetaError::Corrupt { what: "a refusal" })
    });
    assert!(matches!(refused.await, Err(MetaError::Corrupt { what: "a refusal" })));
    assert_eq!(entries(bench).await, before);
    let (registry, name) = (bench.registry.key, repository("app"));
    assert_eq!(bench.meta.read(move |s| s.repository(registry, &name)).await.expect("read"), None);
}

const WRITERS: usize = 16;
const WRITES: usize = 25;

/// One write of a writer: every fifth is refused.
async fn write_one(bench: &Bench, writer: usize, number: usize) -> bool {
    let registry = bench.registry.clone();
    let written = bench.meta.write(move |tx| {
        let name = repository(&format!("r{writer}"));
        let key = tx.take_repository(registry.key, &name)?;
        let new = image(&[&format!("{writer} {number}")]);
        let changes = vec![
            tx.put_manifest(&registry, key, &name, &new)?,
            tx.set_tag(&registry, key, &name, &tag(&format!("v{number}")), &new.digest)?,
        ];
        if number % 5 == 4 { Err(MetaError::Corrupt { what: "a refusal" }) } else { Ok(Commit::new((), changes)) }
    });
    written.await.is_ok()
}

async fn concurrent_writes_leave_no_gap(bench: &Bench) {
    let before = entries(bench).await.len();
    let writers = (0..WRITERS).map(|writer| async move {
        let mut acknowledged = 0;
        for number in 0..WRITES {
            acknowledged += usize::from(write_one(bench, writer, number).await);
        }
        acknowledged
    });
    let acknowledged: usize = join_all(writers).await.into_iter().sum();
    assert_eq!(acknowledged, WRITERS * WRITES * 4 / 5);
    let found = entries(bench).await;
    assert_eq!(found.len() - before, acknowledged * 2);
    assert!(found.iter().map(|entry| entry.seq).eq(1..=found.len() as i64), "no gap");
    assert!(found.is_sorted_by(|a, b| a.stamp < b.stamp), "stamps grow");
    // Each writer's own writes are told in the order in which it made them.
    for writer in 0..WRITERS {
        let own = found.iter().filter_map(|entry| match &entry.event {
            Event::TagSet { repository, tag, .. } if repository.as_str() == format!("r{writer}") => {
                Some(tag.as_str()[1..].parse::<usize>().expect("a number"))
            }
            _ => None,
        });
        assert!(own.eq((0..WRITES).filter(|number| number % 5 != 4)));
    }
}

/// Runs futures together on this task.
async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (future, output) in &mut pending {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(found) => *output = Some(found),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    pending.into_iter().filter_map(|(_, output)| output).collect()
}

async fn a_consumer_that_polls_skips_nothing(bench: &Bench) {
    // A write that is under way holds its place until the consumer has looked.
    let (entered, inside) = std::sync::mpsc::channel();
    let (leave, held) = std::sync::mpsc::channel::<()>();
    let looked = Arc::new(AtomicBool::new(false));
    let seen_before = bench.meta.read(|s| s.journal_head()).await.expect("read").seq;
    let registry = bench.registry.clone();
    let slow = bench.meta.write(move |tx| {
        let app = repository("slow");
        let key = tx.take_repository(registry.key, &app)?;
        let change = tx.put_manifest(&registry, key, &app, &image(&["slow"]))?;
        entered.send(()).expect("the case waits");
        held.recv().expect("the case lets go");
        Ok::<_, MetaError>(Commit::new((), vec![change]))
    });
    let quick = write_one(bench, 0, 0);
    let consumer = async {
        inside.recv().expect("the slow write begins");
        let found = bench.meta.read(move |s| s.journal_after(seen_before, MANY)).await.expect("read");
        assert!(found.is_empty(), "nothing is told before it is committed: {found:?}");
        looked.store(true, Ordering::SeqCst);
        leave.send(()).expect("the slow write waits");
    };
    let (slow, quick, ()) = join3(slow, quick, consumer).await;
    slow.expect("taken");
    assert!(quick && looked.load(Ordering::SeqCst));
    let found = bench.meta.read(move |s| s.journal_after(seen_before, MANY)).await.expect("read");
    assert!(found.iter().map(|entry| entry.seq).eq(seen_before + 1..=seen_before + 3), "{found:?}");
}

async fn join3<A: Future, B: Future, C: Future>(a: A, b: B, c: C) -> (A::Output, B::Output, C::Output) {
    let (mut a, mut b, mut c) = (Box::pin(a), Box::pin(b), Box::pin(c));
    let (mut of_a, mut of_b, mut of_c) = (None, None, None);
    std::future::poll_fn(|context| {
        use std::task::Poll::{Pending, Ready};
        if of_a.is_none()
            && let Ready(output) = a.as_mut().poll(context)
        {
            of_a = Some(output);
        }
        if of_b.is_none()
            && let Ready(output) = b.as_mut().poll(context)
        {
            of_b = Some(output);
        }
        if of_c.is_none()
            && let Ready(output) = c.as_mut().poll(context)
        {
            of_c = Some(output);
        }
        match (&of_a, &of_b, &of_c) {
            (Some(_), Some(_), Some(_)) => Ready(()),
            _ => Pending,
        }
    })
    .await;
    (of_a.expect("done"), of_b.expect("done"), of_c.expect("done"))
}

async fn cursors_only_remember(bench: &Bench) {
    let cursor = |name: &'static str| async move { bench.meta.read(move |s| s.cursor(name)).await.expect("read") };
    assert_eq!(cursor("one").await, 0);
    bench.write(|tx, _| tx.set_cursor("one", 7).map(Commit::quiet)).await;
    bench.write(|tx, _| tx.set_cursor("two", 3).map(Commit::quiet)).await;
    bench.write(|tx, _| tx.set_cursor("one", 8).map(Commit::quiet)).await;
    assert_eq!((cursor("one").await, cursor("two").await), (8, 3));
}

async fn pruning_waits_for_every_consumer_and_for_age(bench: &Bench) {
    for number in 0..9 {
        bench.put(&repository("app"), image(&[&number.to_string()]), None).await;
        bench.clock.advance(Duration::from_secs(1));
    }
    let now_us = bench.clock.now_us();
    let prune = |before: i64, limit| async move {
        bench.write(move |tx, _| tx.prune_journal(before, limit).map(Commit::quiet)).await
    };
    assert_eq!(prune(now_us, MANY).await, 0, "without a consumer nobody has passed anything");
    bench.write(|tx, _| tx.set_cursor("one", 10).map(Commit::quiet)).await;
    bench.write(|tx, _| tx.set_cursor("two", 6).map(Commit::quiet)).await;
    assert_eq!(prune(crate::suite::START_US, MANY).await, 0, "all are too young");
    assert_eq!(prune(now_us, 4).await, 4);
    assert_eq!(prune(now_us, 4).await, 2, "up to the slowest");
    assert_eq!(prune(now_us, 4).await, 0);
    let left = entries(bench).await;
    assert!(left.iter().map(|entry| entry.seq).eq(7..=10));
    bench.put(&repository("app"), image(&["next"]), None).await;
    assert_eq!(bench.meta.read(|s| s.journal_head()).await.expect("read").seq, 11, "numbers go on");
}

async fn the_hint_comes_with_each_entry(bench: &Bench) {
    let mut hint = bench.meta.journal_hint();
    hint.mark_unchanged();
    bench.push_blob(&repository("app"), "one").await;
    // Where others write too, hints come late and more often than there are entries.
    assert!(bench.meta.is_shared() || !hint.has_changed().expect("open"), "nothing was told");
    bench.put(&repository("app"), image(&["one"]), None).await;
    assert!(hint.has_changed().expect("open"));
}
