//! Registries: made, deleted, reclaimed.

use kogge_types::{Digest, RegistryId};

use crate::change::{Commit, Event};
use crate::error::MetaError;
use crate::repository::Registry;
use crate::suite::{Bench, MANY, cases, image, put_registry, repository};

cases! {
    a_registry_keeps_its_identity
    a_deleted_registry_frees_its_name
    a_deleted_registry_is_reclaimed_in_steps
    nothing_new_comes_into_a_deleted_registry
}

async fn registries(bench: &Bench) -> Vec<Registry> {
    bench.meta.read(|s| s.registries()).await.expect("read")
}

async fn delete(bench: &Bench) {
    bench.write(|tx, registry| Ok(Commit::new((), vec![tx.delete_registry(registry)?]))).await;
}

async fn a_registry_keeps_its_identity(bench: &Bench) {
    let again = bench.meta.write(|tx| {
        let (registry, change) =
            tx.put_registry(RegistryId::from_bytes([9; 16]), &"default".parse().expect("a name"))?;
        Ok::<_, MetaError>(Commit::new(registry, vec![change]))
    });
    let again = again.await.expect("taken");
    assert_eq!((again.key, again.id), (bench.registry.key, bench.registry.id));
    let other = put_registry(&bench.meta, "another").await;
    assert_eq!(registries(bench).await, [other, again], "by name");
}

async fn a_deleted_registry_frees_its_name(bench: &Bench) {
    let app = repository("app");
    bench.push(&app, &["one"], Some("v1")).await;
    assert!(bench.resolve(&app, "v1").await.is_some());
    let other = put_registry(&bench.meta, "another").await;
    delete(bench).await;
    assert_eq!(registries(bench).await, std::slice::from_ref(&other));
    let told = bench.meta.read(|s| s.journal_after(0, MANY)).await.expect("read");
    let (registry, name) = (bench.registry.id, bench.registry.name.clone());
    assert_eq!(told.last().expect("told").event, Event::RegistryDeleted { registry, name });
    let new = put_registry(&bench.meta, "default").await;
    assert_ne!((new.key, new.id), (bench.registry.key, bench.registry.id));
    let key = new.key;
    let found = bench.meta.read(move |s| s.repository(key, &repository("app"))).await.expect("read");
    assert_eq!(found, None, "another of the same name has none of it");
    assert_eq!(registries(bench).await, [other, new]);
}

async fn a_deleted_registry_is_reclaimed_in_steps(bench: &Bench) {
    for name in ["a", "b", "team/c"] {
        bench.push(&repository(name), &[&format!("config of {name}"), "shared"], Some("v1")).await;
    }
    bench.delete_repository(&repository("b")).await;
    let reclaim = |limit: usize| {
        bench.write(move |tx, registry| tx.reclaim_deleted_registry(&registry.id, limit).map(Commit::quiet))
    };
    assert!(!reclaim(MANY).await, "one that is not deleted keeps what it has, and what is dead in it");
    delete(bench).await;
    let mut steps = 0;
    while reclaim(1).await {
        steps += 1;
        assert!(steps < 100, "it comes to an end");
    }
    // Two links, two holds, one manifest and one tag each, one row a step; then the repository itself.
    assert_eq!(steps, 9);
    let left = bench.meta.read(|s| {
        let rows =
            |table: &str| s.query(&format!("SELECT 1 FROM {table}"), &[], |row| row.int(0)).map(|rows| rows.len());
        ["repositories", "manifests", "tags", "links", "manifest_blobs"].map(|table| rows(table).expect("read"))
    });
    assert_eq!(left.await, [0; 5]);
    let now_us = bench.grace_end_us();
    let garbage = bench.meta.read(move |s| s.garbage(now_us)).await.expect("read");
    assert_eq!((garbage.blobs_due, garbage.links_due, garbage.links_waiting), (4, 0, 0));
}

async fn nothing_new_comes_into_a_deleted_registry(bench: &Bench) {
    bench.push(&repository("app"), &["one"], None).await;
    delete(bench).await;
    for (name, refused) in [("app", false), ("new", true)] {
        let registry = bench.registry.clone();
        let late = bench.meta.write(move |tx| {
            let name = repository(name);
            let key = tx.take_repository(registry.key, &name)?;
            let change = tx.put_manifest(&registry, key, &name, &image(&["late"]))?;
            Ok::<_, MetaError>(Commit::new((), vec![change]))
        });
        assert_eq!(matches!(late.await, Err(MetaError::RegistryGone)), refused, "{name}");
    }
    while bench.write(|tx, registry| tx.reclaim_deleted_registry(&registry.id, MANY).map(Commit::quiet)).await {}
    let digest = Digest::sha256(b"one");
    assert!(!bench.links(&repository("app"), &digest).await);
    assert_eq!(bench.resolve(&repository("app"), &image(&["late"]).digest.to_string()).await, None);
}
