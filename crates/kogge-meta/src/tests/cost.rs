//! What statements cost: they use indexes, and a page costs the same whatever else there is.

use std::collections::BTreeSet;

use kogge_types::{Digest, RepositoryName, RepositoryPattern};

use crate::attributes::Attributes;
use crate::change::Commit;
use crate::error::{MetaError, Result};
use crate::manifest::NewManifest;
use crate::meta::STATE_FILE;
use crate::page::{Cursor, Order};
use crate::sql::observed::{self, Observed};
use crate::sql::{Snapshot, Value};
use crate::suite::{Bench, MANY, copy_id, image, referrer, repository, tag};
use crate::tests::{bench, resources};

/// Tables that grow with what is stored.
const LARGE: [&str; 14] = [
    "repositories",
    "manifests",
    "tags",
    "tombstones",
    "blobs",
    "links",
    "manifest_blobs",
    "condemned",
    "journal",
    "resources",
    "resource_properties",
    "resource_tombstones",
    "credentials",
    "grants",
];

/// Runs the reads that a busy registry runs.
fn read_all(s: &Snapshot<'_>, bench: &BenchKeys) -> Result<()> {
    let (registry, key, app, digest) = (bench.registry, bench.key, &bench.app, &bench.digest);
    s.manifest(registry, app, &"v1".parse().unwrap())?;
    s.manifest(registry, app, &digest.to_string().parse().unwrap())?;
    s.manifest_attributes(key, digest)?;
    for order in [Order::Name, Order::Newest, Order::Oldest] {
        for updated_at_us in [0, i64::MAX] {
            s.manifests(key, order, Some(&Cursor { item: *digest, updated_at_us }), 100)?;
            s.tags(key, None, order, Some(&Cursor { item: "v".to_owned(), updated_at_us }), 100)?;
            s.tags(key, Some(digest), order, Some(&Cursor { item: "v".to_owned(), updated_at_us }), 100)?;
        }
    }
    s.manifest_detail(key, digest)?;
    s.is_referrer(registry, app, digest)?;
    for digest in [digest, &Digest::sha256(b"absent")] {
        s.manifest_updated_at(registry, key, app, digest)?;
    }
    for name in ["v1", "absent"] {
        s.tag_updated_at(registry, key, app, &tag(name))?;
    }
    s.referrers(key, digest, None, Some(digest), 100)?;
    s.referrer_digests(key, digest, 100)?;
    s.tag(key, &tag("v1"))?;
    s.tag_names(key, "v", 100)?;
    s.tags_of(key, digest)?;
    s.repository(registry, app)?;
    s.listed_repository(registry, app)?;
    s.repository_attributes(key)?;
    s.repository_detail(registry, app)?;
    s.repository_names(registry, &["*".parse().unwrap()], "a", 100)?;
    s.repository_names(registry, &["a/*".parse().unwrap(), "b".parse().unwrap()], "", 100)?;
    s.link(registry, app, digest)?;
    s.is_linked(key, digest)?;
    s.is_named(key, digest)?;
    s.blob(digest)?;
    s.is_copy_known(digest, &copy_id())?;
    s.blobs_to_scrub(i64::MAX, 100)?;
    s.blobs_after(Some(digest), 100)?;
    s.linking_repositories(registry, digest, 100)?;
    s.condemned(i64::MAX, 100)?;
    s.journal_head()?;
    s.journal_after(1, 100)?;
    s.cursor("gc")?;
    s.held_blobs(Some((digest, key)), 100)?;
    s.held_manifests(1, 100)?;
    s.is_held_within(registry, &"a/*".parse().unwrap(), digest)?;
    Ok(())
}

struct BenchKeys {
    registry: crate::RegistryKey,
    key: crate::RepositoryKey,
    app: RepositoryName,
    digest: Digest,
}

async fn statements_of_reads(bench: &Bench, digest: Digest) -> Vec<Observed> {
    let app = repository("app");
    let keys = BenchKeys { registry: bench.registry.key, key: bench.key(&app).await, app, digest };
    bench.meta.read(move |s| observed::during(|| read_all(s, &keys).unwrap()).1).await
}

async fn statements_of_writes(bench: &Bench, digest: Digest) -> Vec<Observed> {
    let key = bench.key(&repository("app")).await;
    let run = bench.write(move |tx, registry| {
        let app = repository("app");
        let (one, two) = (Digest::sha256(b"one"), Digest::sha256(b"two"));
        let (done, statements) = observed::during(|| {
            let mut changes = Vec::new();
            tx.take_repository(registry.key, &repository("new"))?;
            tx.put_blob(&two, 3, copy_id(), 0)?;
            tx.link_blob(registry.key, key, &app, &two, 0)?;
            tx.extend_link(registry.key, &app, &two, 1)?;
            changes.push(tx.put_manifest(registry, key, &app, &image(&["two"]))?);
            changes.push(tx.set_tag(registry, key, &app, &tag("v2"), &digest)?);
            changes.extend(tx.delete_tag(registry, key, &app, &tag("v2"))?);
            changes.extend(tx.set_tag_attributes(registry, key, &app, &tag("v1"), Attributes::OPEN)?);
            changes.extend(tx.set_manifest_attributes(registry, key, &app, &digest, Attributes::OPEN)?);
            changes.push(tx.set_repository_attributes(registry, key, &app, Attributes::OPEN)?);
            changes.extend(tx.delete_manifest(registry, key, &app, &digest)?);
            tx.release_manifest(&registry.id, &app, &digest, 0)?;
            tx.end_links(100)?;
            tx.fence_blobs(100)?;
            tx.forget_condemned(&copy_id())?;
            changes.extend(tx.unlink_blob(registry, key, &app, &one)?);
            tx.quarantine_blob(&two, &copy_id(), 3)?;
            tx.mark_scrubbed(&two, &copy_id())?;
            changes.push(tx.delete_repository(registry, key, &app)?.1);
            while tx.reclaim_dead_repository(&registry.id, &app, 100)? {}
            tx.prune_journal(i64::MAX, 100)?;
            crate::journal::append(tx, &[])?;
            Ok::<_, MetaError>(changes)
        });
        Ok(Commit::new(statements, done?))
    });
    run.await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_of_a_busy_path_looks_through_a_whole_table() {
    let (folders, bench) = bench().await;
    let app = repository("app");
    let digest = bench.push(&app, &["one"], Some("v1")).await;
    bench.put(&app, referrer(&digest, "application/signature", 0), None).await;
    let mut statements = statements_of_reads(&bench, digest).await;
    statements.extend(statements_of_writes(&bench, digest).await);
    statements.extend(resources::statements(&bench).await);
    let distinct: BTreeSet<String> = statements.into_iter().map(|observed| observed.sql).collect();
    assert!(distinct.len() > 60, "the hook sees statements: {}", distinct.len());
    let connection = rusqlite::Connection::open(folders.root.path().join("0").join(STATE_FILE)).unwrap();
    for sql in distinct {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let parameters = std::iter::repeat_n(rusqlite::types::Null, plan.parameter_count());
        let lines = plan.query_map(rusqlite::params_from_iter(parameters), |row| row.get::<_, String>(3)).unwrap();
        for line in lines.map(|line| line.unwrap()) {
            let words: Vec<_> = line.split(' ').collect();
            let scans =
                words[0] == "SCAN" && !in_order(&sql) && names_large(&sql, words.get(1).copied().unwrap_or_default());
            assert!(!scans, "{line}\nin {sql}");
            assert!(!line.contains("ORDER BY") || sorts_little(&sql), "{line}\nin {sql}");
        }
    }
}

/// A walk along an index that stops with its limit: it reads what it returns and no more.
fn in_order(sql: &str) -> bool {
    sql.contains("FROM blobs WHERE expires_at IS NOT NULL")
}

/// Statements that sort what one manifest or one blob has, not what the registry has.
fn sorts_little(sql: &str) -> bool {
    sql.contains("FROM tags WHERE repository_id = ?1 AND digest = ")
}

/// Whether `name` is a large table, by itself or as the alias that `sql` gives it.
fn names_large(sql: &str, name: &str) -> bool {
    LARGE.iter().any(|table| {
        *table == name || sql.contains(&format!("{table} {name} ")) || sql.contains(&format!("{table} {name}\n"))
    })
}

/// Fills a repository with tags, and the registry with as many repositories. Not by verbs: a million pushes take long.
async fn fill(bench: &Bench, from: usize, to: usize) {
    let key = bench.key(&repository("app")).await;
    bench
        .write(move |tx, registry| {
            let numbers = "WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)";
            tx.execute(
                &format!(
                    "INSERT INTO repositories
                         (registry_id, name, manifests, attributes, created_at, updated_at, dead, stamp, origin)
                     {numbers} SELECT ?3, printf('many/r%08d', i * 7919 % 10000019), 1, 15, 0, 0, 0, 0, 1 FROM n"
                ),
                &[Value::from(from), Value::from(to), Value::from(registry.key.0)],
            )?;
            tx.execute(
                &format!(
                    "INSERT INTO tags (repository_id, name, digest, attributes, created_at, updated_at, stamp, origin)
                     {numbers} SELECT ?3, printf('t%08d', i * 7919 % 10000019), ?4, 15, 0, i * 7907 % 10000019, 0, 1
                     FROM n"
                ),
                &[Value::from(from), Value::from(to), Value::from(key.0), Value::from(&Digest::sha256(b"many"))],
            )?;
            tx.execute(
                &format!(
                    "INSERT INTO manifests (repository_id, digest, media_type, config_media_type, content_bytes,
                         attributes, created_at, updated_at, stamp, origin, body)
                     {numbers} SELECT ?3, unhex(printf('01%064x', i * 7919 % 10000019)), 'm', 'c', 0, 15, 0,
                         i * 7907 % 10000019, 0, 1, x'7b7d' FROM n"
                ),
                &[Value::from(from), Value::from(to), Value::from(key.0)],
            )?;
            Ok(Commit::quiet(()))
        })
        .await;
}

/// The steps that pages of 100 take: tags from the start and from the middle, repositories likewise, and those of
/// a caller who may list one in 10,000.
async fn steps(bench: &Bench, count: usize) -> Vec<(&'static str, i64)> {
    let (registry, key) = (bench.registry.key, bench.key(&repository("app")).await);
    let few: Vec<RepositoryPattern> = (0..1_000_000_usize)
        .step_by(10_000)
        .map(|i| format!("many/r{:08}", i * 7_919 % 10_000_019).parse().unwrap())
        .collect();
    bench
        .meta
        .read(move |s| {
            let measure = |name, run: &dyn Fn() -> Result<Vec<String>>, expected: usize| {
                let (found, statements) = observed::during(run);
                assert_eq!(found.unwrap().len(), expected, "{name}");
                (name, statements.iter().map(|statement| statement.steps).sum())
            };
            let tags = |s: &Snapshot<'_>, order, at_us: Option<i64>| {
                let after = at_us.map(|updated_at_us| Cursor { item: String::new(), updated_at_us });
                let found = s.tags(key, None, order, after.as_ref(), 100)?;
                Ok(found.into_iter().map(|tag| tag.name.to_string()).collect())
            };
            let of_manifest = |s: &Snapshot<'_>, content: &[u8], order| {
                let found = s.tags(key, Some(&Digest::sha256(content)), order, None, 100)?;
                Ok(found.into_iter().map(|tag| tag.name.to_string()).collect())
            };
            let manifests = |s: &Snapshot<'_>, order, at_us: Option<i64>| {
                let after = at_us.map(|updated_at_us| Cursor { item: Digest::sha256(b"middle"), updated_at_us });
                let found = s.manifests(key, order, after.as_ref(), 100)?.manifests;
                Ok(found.into_iter().map(|manifest| manifest.digest.to_string()).collect())
            };
            let middle = |prefix: &str| format!("{prefix}05000000");
            vec![
                measure("tags", &|| s.tag_names(key, "", 100), 100),
                measure("tags from the middle", &|| s.tag_names(key, &middle("t"), 100), 100),
                measure("tags by time", &|| tags(s, Order::Newest, None), 100),
                measure("tags of a manifest", &|| of_manifest(s, b"{}", Order::Newest), 1),
                measure("tags of a manifest of many", &|| of_manifest(s, b"many", Order::Name), 100),
                measure("tags by time from the middle", &|| tags(s, Order::Newest, Some(5_000_000)), 100),
                measure("manifests by time", &|| manifests(s, Order::Oldest, None), 100),
                measure("manifests by time from the middle", &|| manifests(s, Order::Oldest, Some(500_000)), 100),
                measure("repositories", &|| s.repository_names(registry, &[RepositoryPattern::All], "", 100), 100),
                measure(
                    "repositories from the middle",
                    &|| s.repository_names(registry, &[RepositoryPattern::All], &middle("many/r"), 100),
                    100,
                ),
                measure("a folder", &|| s.repository_names(registry, &["zeta/*".parse().unwrap()], "", 100), 1),
                measure("few", &|| s.repository_names(registry, &few, "", 100), count.div_ceil(10_000).min(100)),
            ]
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_costs_the_same_at_any_size() {
    let (_folders, bench) = bench().await;
    bench.push(&repository("app"), &["one"], None).await;
    bench.put(&repository("app"), NewManifest { digest: Digest::sha256(b"{}"), ..image(&["one"]) }, Some("z")).await;
    bench.push(&repository("zeta/one"), &["one"], None).await;
    let (small, large) =
        if std::env::var_os("KOGGE_TEST_LONG").is_some() { (2_000, 1_000_000) } else { (2_000, 20_000) };
    fill(&bench, 0, small).await;
    let at_small = steps(&bench, small).await;
    fill(&bench, small, large).await;
    let at_large = steps(&bench, large).await;
    for ((name, small), (_, large)) in at_small.into_iter().zip(at_large) {
        assert!(small > 0 && small < 6_000, "{name}: {small} steps");
        // A caller with more to list reads more: some steps for each name.
        let slack = if name == "few" { 1_500 } else { 30 };
        assert!(large <= small + slack, "{name}: {small} steps, then {large}");
    }
    let reads = bench.meta.read(|s| s.journal_after(0, MANY)).await.unwrap();
    assert!(!reads.is_empty());
}
