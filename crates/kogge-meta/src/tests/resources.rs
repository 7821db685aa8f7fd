//! What the statements of the management plane cost.

use std::collections::BTreeMap;

use kogge_types::{ResourceId, clock};

use crate::change::Commit;
use crate::credential::{Credential, CredentialKind};
use crate::error::{MetaError, Result};
use crate::grant::{Grant, GrantKind};
use crate::resource::{Author, NewResource, Resource};
use crate::sql::observed::{self, Observed};
use crate::sql::{Snapshot, Value};
use crate::suite::{Bench, Counting};
use crate::tests::bench;

const KIND: &str = "microsoft.containerregistry/registries/tokens";

fn read_all(s: &Snapshot<'_>, id: ResourceId) -> Result<()> {
    s.resource(KIND, "/g", "a")?;
    s.resource_by_id(&id)?;
    for after in [None, Some(("/g", "a")), Some(("/g/x", "a"))] {
        s.resources(KIND, "/g", after, 100)?;
        s.resources_beneath("/g", after.map(|(parent, name)| (parent, KIND, name)), 100)?;
    }
    s.count_resources(KIND, "/g")?;
    s.every_resource(KIND)?;
    s.credentials(&[1; 16])?;
    s.every_credential(CredentialKind::Secret)?;
    s.grant(&[1; 32])?;
    s.registries()?;
    Ok(())
}

/// The statements of every verb of the management plane.
pub(super) async fn statements(bench: &Bench) -> Vec<Observed> {
    let id = ResourceId::from_bytes(clock::random(&Counting));
    let mut all = bench
        .write(move |tx, registry| {
            let by = Author { name: "a".to_owned(), kind: "User".to_owned() };
            let credential = Credential {
                id: [1; 16],
                owner: [1; 16],
                kind: CredentialKind::Secret,
                name: String::new(),
                value: vec![],
                created_at_us: 0,
                expires_at_us: None,
            };
            let (hash, payload) = ([1; 32], String::new());
            let grant =
                Grant { hash, kind: GrantKind::Code, principal: None, payload, created_at_us: 0, expires_at_us: 0 };
            let (done, statements) = observed::during(|| {
                let mut changes = Vec::new();
                for value in [Some(1), None] {
                    let registers: BTreeMap<_, _> =
                        value.map(|value| ("a".to_owned(), value.into())).into_iter().collect();
                    let new = NewResource {
                        id,
                        kind: KIND,
                        parent: "/g",
                        name: "a",
                        location: None,
                        by: &by,
                        registers: &registers,
                    };
                    changes.push(tx.put_resource(&new)?.1);
                }
                changes.push(tx.put_credential(&credential)?);
                changes.extend(tx.delete_credential(&[1; 16], &[1; 16])?);
                changes.extend(tx.delete_resource(KIND, "/g", "a")?);
                changes.push(tx.raise_epoch(&[1; 16])?);
                changes.push(tx.set_group_member(&[1; 16], &[2; 16], true)?);
                changes.extend(tx.delete_principal("nobody")?);
                tx.delete_grants_of(&[1; 16])?;
                tx.put_grant(&grant)?;
                tx.take_grant(&hash)?;
                tx.purge_grants(0, 100)?;
                tx.prune_tombstones(i64::MAX, 100)?;
                changes.push(tx.delete_registry(registry)?);
                while tx.reclaim_deleted_registry(&registry.id, 100)? {}
                Ok::<_, MetaError>(changes)
            });
            Ok(Commit::new(statements, done?))
        })
        .await;
    all.extend(bench.meta.read(move |s| observed::during(|| read_all(s, id).unwrap()).1).await);
    all
}

/// Fills a registry with tokens, and the path beneath it as well.
async fn fill(bench: &Bench, from: usize, to: usize) {
    bench
        .write(move |tx, _| {
            let numbers = "WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)";
            for (parent, other) in [("'/g'", 1), ("'/g/x' || (i % 10)", 2)] {
                tx.execute(
                    &format!(
                        "INSERT INTO resources (resource, type, parent, name, key, created_at, created_by,
                             created_by_kind, modified_at, modified_by, modified_by_kind, stamp, origin)
                         {numbers} SELECT randomblob(16), '{KIND}', {parent}, 't' || key, 't' || key, 0, '', '', 0, '',
                             '', {other}, 1
                         FROM (SELECT i, printf('%08d', i * 7919 % 10000019) AS key FROM n)"
                    ),
                    &[Value::from(from), Value::from(to)],
                )?;
            }
            tx.execute(
                &format!(
                    "INSERT INTO resource_properties (resource_id, name, value, stamp, origin)
                     SELECT r.id, 'a', '1', 0, 1 FROM resources r WHERE r.type = '{KIND}' ON CONFLICT DO NOTHING"
                ),
                &[],
            )?;
            Ok(Commit::quiet(()))
        })
        .await;
}

type Page = dyn Fn(&Snapshot<'_>) -> Result<Vec<Resource>> + Send + Sync;

async fn steps(bench: &Bench) -> Vec<i64> {
    const PAGES: [&Page; 6] = [
        &|s| s.resources(KIND, "/g", None, 100),
        &|s| s.resources(KIND, "/g", Some(("/g", "t05000000")), 100),
        &|s| s.resources(KIND, "/", Some(("/g/x5", "t05000000")), 100),
        &|s| s.resources(KIND, "/g/x3", None, 100),
        &|s| s.resources_beneath("/g", None, 100),
        &|s| s.resources_beneath("/g", Some(("/g/x5", KIND, "t05000000")), 100),
    ];
    let read = bench.meta.read(|s| {
        PAGES.map(|page| {
            let (found, statements) = observed::during(|| page(s));
            assert_eq!(found.unwrap().len(), 100);
            statements.iter().map(|statement| statement.steps).sum()
        })
    });
    read.await.to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_resources_costs_the_same_at_any_size() {
    let (_folders, bench) = bench().await;
    fill(&bench, 0, 4_000).await;
    let at_small = steps(&bench).await;
    fill(&bench, 4_000, 20_000).await;
    let at_large = steps(&bench).await;
    for (number, (small, large)) in at_small.into_iter().zip(at_large).enumerate() {
        assert!(small > 0 && small < 8_000, "{number}: {small} steps");
        assert!(large <= small + 50, "{number}: {small} steps, then {large}");
    }
}
