//! An installation of the first schema is opened: what it says of registries and roles is said by resources.

use kogge_types::RegistryId;
use serde_json::json;

use crate::error::MetaError;
use crate::meta::{Meta, STATE_FILE};
use crate::principal::{Principal, PrincipalKind};
use crate::resource::{Resource, Touch};
use crate::tests::environment;

const SUBSCRIPTION: &str = "00112233-4455-6677-8899-aabbccddeeff";
const ASSIGNMENT: &str = "microsoft.authorization/roleassignments";
const REGISTRY: &str = "microsoft.containerregistry/registries";

/// What a first version left behind: two registries, one of them open to all, and somebody with all kinds of roles.
const OLD: &str = "
    INSERT INTO installation VALUES (1, x'00112233445566778899aabbccddeeff', 3, 77);
    INSERT INTO origins VALUES (1, x'00112233445566778899aabbccddeeff', 3),
        (2, x'00112233445566778899aabbccddeeff', 1);
    INSERT INTO journal_head VALUES (1, 9, 500);
    INSERT INTO registries VALUES (1, x'a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1', 'default', 0, 10, 100, 2),
        (2, x'a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2', 'public', 1, 11, 101, 1);
    INSERT INTO repositories VALUES (1, 2, 'team/app', 0, 15, 5, 5, 0, 102, 1);
    INSERT INTO principals VALUES (1, x'b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1', 'alice', 'phc', 4, 20, 103, 1),
        (2, x'b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2', 'bob', 'phc', 1, 21, 104, 1);
    INSERT INTO role_assignments VALUES (1, 'Owner', NULL, '*', 103, 2),
        (1, 'AcrPull', NULL, 'team/*', 103, 1),
        (1, 'AcrPush', x'a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2', 'team/app', 103, 1),
        (1, 'AcrPush', x'a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2', 'team/app', 103, 1),
        (1, 'AcrDelete', x'a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1', '*', 103, 1),
        (1, 'Astronaut', NULL, '*', 103, 1),
        (1, 'AcrPull', x'a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3', '*', 103, 1);
    PRAGMA user_version = 1;";

fn open_old() -> (tempfile::TempDir, Meta) {
    let root = tempfile::tempdir().unwrap();
    let old = rusqlite::Connection::open(root.path().join(STATE_FILE)).unwrap();
    old.execute_batch(include_str!("../schema/main_0001.sql")).unwrap();
    old.execute_batch(OLD).unwrap();
    drop(old);
    let meta = Meta::open(root.path(), &environment()).unwrap();
    (root, meta)
}

async fn every(meta: &Meta, kind: &'static str) -> Vec<Resource> {
    meta.read(move |s| s.every_resource(kind)).await.unwrap()
}

fn group() -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourcegroups/default")
}

#[tokio::test]
async fn registries_become_resources_of_the_same_id() {
    let (_root, meta) = open_old();
    let setting = |name: &'static str| meta.read(move |s| s.setting(name));
    assert_eq!(setting("subscription").await.unwrap().unwrap(), SUBSCRIPTION.as_bytes());
    assert_ne!(setting("tenant").await.unwrap().unwrap(), SUBSCRIPTION.as_bytes());
    let groups = every(&meta, "microsoft.resources/subscriptions/resourcegroups").await;
    assert_eq!(groups.iter().map(Resource::path).collect::<Vec<_>>(), [group()]);
    let found = every(&meta, REGISTRY).await;
    let registries = meta.read(|s| s.registries()).await.unwrap();
    for (resource, registry) in found.iter().zip(&registries) {
        assert_eq!((resource.id.as_bytes(), &*resource.name), (registry.id.as_bytes(), registry.name.as_str()));
        assert_eq!((&resource.parent, &resource.location), (&group(), &None));
    }
    assert_eq!(registries[1].id, RegistryId::from_bytes([0xa2; 16]));
    let touch = Touch { at_us: 11, by: "kogge".to_owned(), by_kind: "Application".to_owned() };
    assert_eq!((&found[1].created, found[1].version.0), (&touch, 101));
    let open: Vec<_> = found.iter().map(|resource| resource.registers.get("properties.anonymousPullEnabled")).collect();
    assert_eq!(open, [None, Some(&json!(true))]);
    let key = registries[1].key;
    assert!(meta.read(move |s| s.repository(key, &"team/app".parse().unwrap())).await.unwrap().is_some());
}

#[tokio::test]
async fn assigned_roles_become_resources_at_their_scope() {
    let (_root, meta) = open_old();
    let registry = |name: &str| format!("{}/providers/{REGISTRY}/{name}", group());
    let on =
        |comparison: &str| format!("@Request[Microsoft.ContainerRegistry/registries/repositories:name] {comparison}");
    let mut expected = [
        ("/".to_owned(), "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", None),
        ("/".to_owned(), "7f951dda-4ed3-4680-a7ca-43fe172d538d", Some(on("StringStartsWithIgnoreCase 'team/'"))),
        (registry("public"), "8311e382-0749-4cb8-b61a-304f252e45ec", Some(on("StringEqualsIgnoreCase 'team/app'"))),
        (registry("default"), "c2f4ef07-c644-48eb-af81-4b1b4947fb11", None),
    ];
    let definition =
        |role| format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{role}");
    let found = every(&meta, ASSIGNMENT).await;
    let mut seen: Vec<_> = found
        .iter()
        .map(|assignment| {
            let id: Result<kogge_types::ResourceId, _> = assignment.name.parse();
            assert_eq!(id.unwrap().to_string(), assignment.name, "its name is a UUID");
            let text = |name: &str| assignment.registers.get(name).map(|value| value.as_str().unwrap().to_owned());
            assert_eq!(text("properties.principalId").unwrap(), "b1b1b1b1-b1b1-b1b1-b1b1-b1b1b1b1b1b1");
            assert_eq!(text("properties.principalType").unwrap(), "User");
            let condition = text("properties.condition");
            assert_eq!(text("properties.conditionVersion"), condition.as_ref().map(|_| "2.0".to_owned()));
            (assignment.parent.clone(), text("properties.roleDefinitionId").unwrap(), condition)
        })
        .collect();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected.map(|(scope, role, condition)| (scope, definition(role), condition)));
    let mut names: Vec<_> = found.iter().map(|assignment| &assignment.name).collect();
    names.dedup();
    assert_eq!(names.len(), 4);
}

#[tokio::test]
async fn principals_are_users_and_what_is_new_works() {
    let (_root, meta) = open_old();
    let alice = Principal {
        id: [0xb1; 16],
        kind: PrincipalKind::User,
        name: "alice".to_owned(),
        app_id: None,
        secret: "phc".to_owned(),
        epoch: 4,
        members: vec![],
        enabled: true,
    };
    let found = meta.read(|s| s.principals()).await.unwrap();
    assert_eq!((found.len(), &found[0]), (2, &alice));
    let registry = meta.read(|s| s.registries()).await.unwrap().swap_remove(1);
    let written = meta.write(move |tx| {
        tx.open_epoch()?;
        let gone = tx.delete_resource(REGISTRY, &group(), "public")?.expect("there");
        let changes = vec![gone, tx.delete_registry(&registry)?];
        Ok::<_, MetaError>(crate::Commit::new((), changes))
    });
    written.await.unwrap();
    assert_eq!(every(&meta, ASSIGNMENT).await.len(), 3, "the one at the registry's scope went with it");
    assert_eq!(meta.read(|s| s.journal_head()).await.unwrap().seq, 11);
    let tables = meta.read(|s| {
        s.query("SELECT name FROM sqlite_schema WHERE name LIKE 'migrated%' OR name = 'role_assignments'", &[], |row| {
            row.text(0)
        })
    });
    assert!(tables.await.unwrap().is_empty());
}
