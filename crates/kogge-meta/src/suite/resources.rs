//! Managed resources and their registers: written, listed, deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use kogge_types::{Clock, ResourceId, clock};
use serde_json::{Value as Json, json};

use crate::change::{Commit, Event};
use crate::credential::{Credential, CredentialKind};
use crate::resource::{Author, NewResource, Resource, Touch};
use crate::suite::{Bench, Counting, MANY, cases};

cases! {
    a_new_installation_has_a_subscription_and_a_group
    a_resource_is_put_and_found
    registers_that_do_not_change_keep_their_stamp
    a_removed_register_is_gone_and_comes_back
    resources_come_in_pages
    every_type_comes_in_pages
    resources_are_told
    a_resource_goes_with_what_is_beneath_it
    an_epoch_leaves_registers_to_the_one_before
}

const GROUP: &str = "microsoft.resources/subscriptions/resourcegroups";
const REGISTRY: &str = "microsoft.containerregistry/registries";
const TOKEN: &str = "microsoft.containerregistry/registries/tokens";
const ASSIGNMENT: &str = "microsoft.authorization/roleassignments";

type Registers = BTreeMap<String, Json>;

fn registers(pairs: &[(&str, Json)]) -> Registers {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn alice() -> Author {
    Author { name: "alice".to_owned(), kind: "User".to_owned() }
}

async fn put_with(bench: &Bench, kind: &str, parent: &str, name: &str, registers: Registers, by: Author) -> Resource {
    let (kind, parent, name) = (kind.to_owned(), parent.to_owned(), name.to_owned());
    let id = ResourceId::from_bytes(clock::random(&Counting));
    let put = bench.write(move |tx, _| {
        let (kind, parent, name) = (kind.as_str(), parent.as_str(), name.as_str());
        let new = NewResource { id, kind, parent, name, location: Some("local"), by: &by, registers: &registers };
        let (resource, change) = tx.put_resource(&new)?;
        assert_eq!(tx.resource(kind, parent, name)?.as_ref(), Some(&resource));
        Ok(Commit::new(resource, vec![change]))
    });
    put.await
}

async fn put(bench: &Bench, kind: &str, parent: &str, name: &str) -> Resource {
    put_with(bench, kind, parent, name, registers(&[("properties.of", json!(name))]), alice()).await
}

async fn get(bench: &Bench, kind: &'static str, parent: &'static str, name: &'static str) -> Option<Resource> {
    let found = bench.meta.read(move |s| s.resource(kind, parent, name)).await.expect("read");
    if let Some(resource) = &found {
        let id = resource.id;
        assert_eq!(bench.meta.read(move |s| s.resource_by_id(&id)).await.expect("read"), found);
    }
    found
}

async fn a_new_installation_has_a_subscription_and_a_group(bench: &Bench) {
    let setting = |name: &'static str| async move {
        let value = bench.meta.read(move |s| s.setting(name)).await.expect("read").expect("set");
        String::from_utf8(value).expect("a text")
    };
    let subscription = setting("subscription").await;
    assert_eq!(subscription.parse::<ResourceId>().expect("a UUID").to_string(), subscription);
    let tenant = setting("tenant").await;
    assert_eq!(tenant.parse::<ResourceId>().expect("a UUID").to_string(), tenant);
    assert_ne!(tenant, subscription);
    let parent = format!("/subscriptions/{subscription}");
    let within = parent.clone();
    let groups = bench.meta.read(move |s| s.resources(GROUP, &within, None, MANY)).await.expect("read");
    assert_eq!(groups.len(), 1);
    assert_eq!((groups[0].name.as_str(), groups[0].parent.as_str()), ("default", parent.as_str()));
    assert_eq!(groups[0].path(), format!("{parent}/resourcegroups/default"));
}

async fn a_resource_is_put_and_found(bench: &Bench) {
    let values = registers(&[
        ("properties.adminUserEnabled", json!(true)),
        ("tags.Env", json!("test")),
        ("sku", json!({ "tier": "Premium", "name": "Premium" })),
        ("properties.list", json!([1, 2.5, null, "ä\"\\"])),
        ("properties.none", Json::Null),
    ]);
    let made = put_with(bench, REGISTRY, "/g", "MyReg", values.clone(), alice()).await;
    let touch = Touch { at_us: bench.clock.now_us(), by: "alice".to_owned(), by_kind: "User".to_owned() };
    assert_eq!((made.name.as_str(), made.location.as_deref()), ("MyReg", Some("local")));
    assert_eq!((&made.created, &made.modified, &made.registers), (&touch, &touch, &values));
    assert_eq!(made.path(), "/g/providers/microsoft.containerregistry/registries/myreg");
    assert_eq!(get(bench, REGISTRY, "/g", "MYREG").await, Some(made.clone()), "case means nothing");
    assert_eq!(get(bench, REGISTRY, "/other", "myreg").await, None);
    assert_eq!(get(bench, TOKEN, "/g", "myreg").await, None);
    bench.clock.advance(Duration::from_secs(1));
    let by = Author { name: "robot".to_owned(), kind: "Application".to_owned() };
    let again = put_with(bench, REGISTRY, "/g", "myreg", Registers::new(), by).await;
    assert_eq!((again.id, &again.name, &again.created), (made.id, &made.name, &made.created), "it stays what it is");
    assert_eq!((again.modified.at_us, again.modified.by.as_str()), (bench.clock.now_us(), "robot"));
    assert!(again.version > made.version);
    assert!(again.registers.is_empty());
    assert_eq!(get(bench, REGISTRY, "/g", "myreg").await, Some(again));
}

/// The stamps of the registers of the resource of this id, removed ones among them.
async fn stamps(bench: &Bench, id: ResourceId) -> BTreeMap<String, i64> {
    let found = bench.meta.read(move |s| {
        s.query(
            "SELECT p.name, p.stamp FROM resources r JOIN resource_properties p ON p.resource_id = r.id
             WHERE r.resource = ?1",
            crate::sql::values![&id],
            |row| Ok((row.text(0)?, row.int(1)?)),
        )
    });
    found.await.expect("read").into_iter().collect()
}

async fn registers_that_do_not_change_keep_their_stamp(bench: &Bench) {
    let object = |one: i64| json!({ "b": one, "a": [true] });
    let first = registers(&[("same", object(1)), ("changes", json!("x")), ("goes", json!(1))]);
    let made = put_with(bench, REGISTRY, "/g", "r", first, alice()).await;
    let before = stamps(bench, made.id).await;
    assert!(before.values().all(|stamp| *stamp == made.version.0));
    let second = registers(&[("same", object(1)), ("changes", json!("y")), ("comes", json!(null))]);
    let changed = put_with(bench, REGISTRY, "/g", "r", second, alice()).await;
    let after = stamps(bench, made.id).await;
    assert!(changed.version > made.version);
    assert_eq!(after["same"], made.version.0);
    for name in ["changes", "goes", "comes"] {
        assert_eq!(after[name], changed.version.0, "{name}");
    }
}

async fn a_removed_register_is_gone_and_comes_back(bench: &Bench) {
    let tags = |value: i64| registers(&[("tags.a", json!(value)), ("tags.b", json!(2))]);
    put_with(bench, REGISTRY, "/g", "r", tags(1), alice()).await;
    put_with(bench, REGISTRY, "/g", "r", registers(&[("tags.b", json!(2))]), alice()).await;
    let without = get(bench, REGISTRY, "/g", "r").await.expect("there");
    assert_eq!(without.registers, registers(&[("tags.b", json!(2))]));
    let every = bench.meta.read(|s| s.every_resource(REGISTRY)).await.expect("read");
    assert_eq!(every, std::slice::from_ref(&without));
    assert!(stamps(bench, without.id).await["tags.a"] > 0, "its end is known");
    let back = put_with(bench, REGISTRY, "/g", "r", tags(1), alice()).await;
    assert_eq!(stamps(bench, back.id).await["tags.a"], back.version.0);
    put_with(bench, REGISTRY, "/g", "r", Registers::new(), alice()).await;
    let later = bench.clock.now_us() + 1_000_000;
    bench.write(move |tx, _| tx.prune_tombstones(later, 1).map(Commit::quiet)).await;
    assert_eq!(stamps(bench, back.id).await.len(), 1);
    assert_eq!(bench.write(move |tx, _| tx.prune_tombstones(later, MANY).map(Commit::quiet)).await, 1);
    assert!(stamps(bench, back.id).await.is_empty());
}

/// Where resources are in the cases of listings. Some paths only begin like others.
const PARENTS: [&str; 9] = ["/", "/s", "/s/g", "/s/g-2", "/s/g.x", "/s/g/providers/x/r/a", "/s/g/z", "/s/g0", "/s2"];

fn is_within(parent: &str, within: &str) -> bool {
    parent == within || parent.starts_with(&format!("{}/", within.trim_end_matches('/')))
}

async fn resources_come_in_pages(bench: &Bench) {
    for parent in PARENTS {
        for name in ["b", "A", "C"] {
            put(bench, TOKEN, parent, name).await;
            put(bench, ASSIGNMENT, parent, name).await;
        }
    }
    for within in ["/", "/s", "/s/g", "/s/g/z", "/absent", "/s/g/providers/x/r"] {
        let expected: Vec<(String, String)> = PARENTS
            .into_iter()
            .filter(|parent| is_within(parent, within))
            .flat_map(|parent| ["A", "b", "C"].map(|name| (parent.to_owned(), name.to_owned())))
            .collect();
        let count = bench.meta.read(move |s| s.count_resources(TOKEN, within)).await.expect("read");
        assert_eq!(count as usize, expected.len(), "{within}");
        for limit in [1, 2, 4, MANY] {
            let mut walked: Vec<(String, String)> = Vec::new();
            loop {
                let after = walked.last().cloned();
                let page = bench.meta.read(move |s| {
                    let after = after.as_ref().map(|(parent, name)| (parent.as_str(), name.as_str()));
                    s.resources(TOKEN, within, after, limit)
                });
                let page = page.await.expect("read");
                assert!(page.len() <= limit);
                if page.is_empty() {
                    break;
                }
                assert!(page.iter().all(|found| found.registers["properties.of"] == json!(found.name)));
                walked.extend(page.into_iter().map(|found| (found.parent, found.name)));
            }
            assert_eq!(walked, expected, "{within} in pages of {limit}");
        }
    }
    let from = |after: (&'static str, &'static str)| {
        bench.meta.read(move |s| Ok::<_, crate::MetaError>(s.resources(TOKEN, "/s/g", Some(after), 1)?[0].path()))
    };
    assert_eq!(from(("/s/g", "aa")).await.expect("read"), "/s/g/tokens/b", "after a name that is not there");
    assert_eq!(from(("/s/g-2", "b")).await.expect("read"), "/s/g/providers/x/r/a/tokens/a", "after one outside");
    assert_eq!(bench.meta.read(|s| s.every_resource(TOKEN)).await.expect("read").len(), 3 * PARENTS.len());
}

async fn every_type_comes_in_pages(bench: &Bench) {
    for parent in PARENTS {
        for (kind, name) in [(TOKEN, "b"), (TOKEN, "A"), (REGISTRY, "b"), (ASSIGNMENT, "C")] {
            put(bench, kind, parent, name).await;
        }
    }
    for within in ["/s", "/s/g", "/absent"] {
        let in_order = [(ASSIGNMENT, "C"), (REGISTRY, "b"), (TOKEN, "A"), (TOKEN, "b")];
        let of = |parent: &str| in_order.map(|(kind, name)| [parent, kind, name].map(str::to_owned));
        let expected: Vec<_> = PARENTS.into_iter().filter(|parent| is_within(parent, within)).flat_map(of).collect();
        for limit in [1, 3, MANY] {
            let mut walked: Vec<[String; 3]> = Vec::new();
            loop {
                let after = walked.last().cloned();
                let page = bench.meta.read(move |s| {
                    let after = after.as_ref().map(|[parent, kind, name]| (&**parent, &**kind, &**name));
                    s.resources_beneath(within, after, limit)
                });
                let page = page.await.expect("read");
                assert!(page.len() <= limit);
                if page.is_empty() {
                    break;
                }
                walked.extend(page.into_iter().map(|found| [found.parent, found.kind, found.name]));
            }
            assert_eq!(walked, expected, "{within} in pages of {limit}");
        }
    }
}

async fn delete(bench: &Bench, kind: &'static str, parent: &'static str, name: &'static str) -> bool {
    let deleted = bench.write(move |tx, _| {
        let change = tx.delete_resource(kind, parent, name)?;
        Ok(Commit::new(change.is_some(), change.into_iter().collect()))
    });
    deleted.await
}

async fn resources_are_told(bench: &Bench) {
    let seen = bench.meta.read(|s| s.journal_head()).await.expect("read").seq;
    let made = put(bench, REGISTRY, "/g", "Reg").await;
    put(bench, TOKEN, "/g/providers/microsoft.containerregistry/registries/reg", "t").await;
    assert!(delete(bench, REGISTRY, "/g", "rEG").await);
    assert!(!delete(bench, REGISTRY, "/g", "reg").await);
    let told = bench.meta.read(move |s| s.journal_after(seen, MANY)).await.expect("read");
    assert_eq!(told.len(), 3, "what goes with a resource is not told by itself");
    let (resource, kind, path) = (made.id, REGISTRY.to_owned(), made.path());
    assert_eq!(told[0].event, Event::ResourcePut { resource, kind: kind.clone(), path: path.clone() });
    assert_eq!(told[0].stamp, made.version);
    assert_eq!(told[2].event, Event::ResourceDeleted { resource, kind, path });
    let again = put(bench, REGISTRY, "/g", "reg").await;
    assert_ne!(again.id, made.id, "another of the same name");
    assert!(again.version > told[2].stamp);
}

async fn a_resource_goes_with_what_is_beneath_it(bench: &Bench) {
    let within = "/s/providers/microsoft.containerregistry/registries/r";
    put(bench, REGISTRY, "/s", "R").await;
    let credential = |owner: ResourceId, id: u8| Credential {
        id: [id; 16],
        owner: *owner.as_bytes(),
        kind: CredentialKind::Secret,
        name: "password1".to_owned(),
        value: vec![1],
        created_at_us: 0,
        expires_at_us: None,
    };
    let mut owners = Vec::new();
    for (id, (kind, parent)) in (1..).zip([
        (TOKEN, within),
        (ASSIGNMENT, within),
        (ASSIGNMENT, "/s/providers/microsoft.containerregistry/registries/r/tokens/t"),
        // What stays.
        (TOKEN, "/s/providers/microsoft.containerregistry/registries/r2"),
        (TOKEN, "/s/providers/microsoft.containerregistry/registries/r-1"),
        (ASSIGNMENT, "/s"),
    ]) {
        let owner = put(bench, kind, parent, "t").await.id;
        let new = credential(owner, id);
        bench.write(move |tx, _| Ok(Commit::new((), vec![tx.put_credential(&new)?]))).await;
        owners.push(owner);
    }
    assert!(delete(bench, REGISTRY, "/s", "r").await);
    for (number, owner) in owners.into_iter().enumerate() {
        let found = bench.meta.read(move |s| {
            let held = s.credentials(owner.as_bytes())?.len();
            Ok::<_, crate::MetaError>((s.resource_by_id(&owner)?.is_some(), held))
        });
        let stays = number >= 3;
        assert_eq!(found.await.expect("read"), (stays, usize::from(stays)), "{number}");
    }
    let graves = bench.meta.read(|s| s.query("SELECT id FROM resource_tombstones", &[], |row| row.bytes(0)));
    assert_eq!(graves.await.expect("read").len(), 4 + 3, "each with its credential");
    let later = bench.clock.now_us() + 1;
    assert_eq!(bench.write(move |tx, _| tx.prune_tombstones(later, MANY).map(Commit::quiet)).await, 7);
}

async fn an_epoch_leaves_registers_to_the_one_before(bench: &Bench) {
    let tags = |value: i64| registers(&[("tags.a", json!(value)), ("tags.b", json!(2))]);
    put_with(bench, REGISTRY, "/g", "r", tags(1), alice()).await;
    bench.write(|tx, _| tx.open_epoch().map(Commit::quiet)).await;
    put_with(bench, REGISTRY, "/g", "r", tags(2), alice()).await;
    let epochs = bench.meta.read(|s| {
        s.query(
            "SELECT p.name, o.epoch FROM resource_properties p JOIN origins o ON o.id = p.origin ORDER BY p.name",
            &[],
            |row| Ok((row.text(0)?, row.int(1)?)),
        )
    });
    assert_eq!(epochs.await.expect("read"), [("tags.a".to_owned(), 2), ("tags.b".to_owned(), 1)]);
}
