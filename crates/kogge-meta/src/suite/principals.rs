//! Principals and groups, their credentials, and grants.

use kogge_types::ResourceId;

use crate::change::{Commit, Event};
use crate::credential::{Credential, CredentialKind};
use crate::grant::{Grant, GrantKind};
use crate::principal::{Principal, PrincipalKind, PrincipalRecord};
use crate::suite::{Bench, MANY, START_US, cases};

cases! {
    a_principal_is_put_and_keeps_its_identity
    an_epoch_grows_when_tokens_must_end
    an_application_id_is_of_one
    groups_have_members
    a_principal_is_deleted_with_what_is_its_own
    credentials_are_kept_by_owner
    an_owner_takes_away_only_his_own
    no_secret_is_told
    a_grant_is_taken_once
    grants_end
}

fn user<'a>(id: u8, name: &'a str, secret: &'a str) -> PrincipalRecord<'a> {
    PrincipalRecord { id: [id; 16], kind: PrincipalKind::User, name, app_id: None, secret, enabled: true }
}

async fn put(bench: &Bench, record: PrincipalRecord<'static>) {
    bench.write(move |tx, _| Ok(Commit::new((), vec![tx.put_principal(&record)?]))).await;
}

async fn set_member(bench: &Bench, group: u8, member: u8, present: bool) {
    bench
        .write(move |tx, _| Ok(Commit::new((), vec![tx.set_group_member(&[group; 16], &[member; 16], present)?])))
        .await;
}

async fn principals(bench: &Bench) -> Vec<Principal> {
    bench.meta.read(|s| s.principals()).await.expect("read")
}

async fn named(bench: &Bench, name: &str) -> Principal {
    principals(bench).await.into_iter().find(|principal| principal.name == name).expect("there")
}

async fn delete(bench: &Bench, name: &'static str) -> bool {
    let deleted = bench.write(move |tx, _| {
        let change = tx.delete_principal(name)?;
        Ok(Commit::new(change.is_some(), change.into_iter().collect()))
    });
    deleted.await
}

async fn a_principal_is_put_and_keeps_its_identity(bench: &Bench) {
    put(bench, user(1, "bob", "s1")).await;
    let application = PrincipalRecord {
        kind: PrincipalKind::ServicePrincipal,
        app_id: Some([7; 16]),
        enabled: false,
        ..user(2, "app", "")
    };
    put(bench, application).await;
    let bob = Principal {
        id: [1; 16],
        kind: PrincipalKind::User,
        name: "bob".to_owned(),
        app_id: None,
        secret: "s1".to_owned(),
        epoch: 1,
        members: vec![],
        enabled: true,
    };
    let app = Principal {
        id: [2; 16],
        kind: PrincipalKind::ServicePrincipal,
        name: "app".to_owned(),
        app_id: Some([7; 16]),
        secret: String::new(),
        enabled: false,
        ..bob.clone()
    };
    assert_eq!(principals(bench).await, [app, bob.clone()], "by name");
    put(bench, user(3, "bob", "s1")).await;
    assert_eq!(named(bench, "bob").await, bob, "the name keeps its identity");
}

async fn an_epoch_grows_when_tokens_must_end(bench: &Bench) {
    put(bench, user(1, "bob", "s1")).await;
    let epoch = || async { named(bench, "bob").await.epoch };
    let changes: [(PrincipalRecord<'_>, i64); 5] = [
        (user(1, "bob", "s1"), 0),
        (PrincipalRecord { app_id: Some([5; 16]), ..user(1, "bob", "s1") }, 0),
        (user(1, "bob", "s2"), 1),
        (PrincipalRecord { enabled: false, ..user(1, "bob", "s2") }, 1),
        (user(1, "bob", "s2"), 1),
    ];
    for (record, by) in changes {
        let before = epoch().await;
        put(bench, record).await;
        assert_eq!(epoch().await, before + by, "{record:?}");
    }
    let before = epoch().await;
    bench.write(|tx, _| Ok(Commit::new((), vec![tx.raise_epoch(&[1; 16])?]))).await;
    assert_eq!(epoch().await, before + 1);
}

async fn an_application_id_is_of_one(bench: &Bench) {
    put(bench, PrincipalRecord { app_id: Some([7; 16]), ..user(1, "one", "") }).await;
    let second = bench.meta.write(|tx| {
        let change = tx.put_principal(&PrincipalRecord { app_id: Some([7; 16]), ..user(2, "two", "") })?;
        Ok::<_, crate::MetaError>(Commit::new((), vec![change]))
    });
    assert!(second.await.is_err());
    assert_eq!(principals(bench).await.len(), 1);
}

async fn groups_have_members(bench: &Bench) {
    put(bench, PrincipalRecord { kind: PrincipalKind::Group, ..user(9, "ops", "") }).await;
    put(bench, PrincipalRecord { kind: PrincipalKind::Group, ..user(8, "dev", "") }).await;
    put(bench, user(1, "bob", "s1")).await;
    for (group, member, present) in [(9, 1, true), (9, 2, true), (9, 8, true), (8, 1, true), (8, 2, false)] {
        set_member(bench, group, member, present).await;
    }
    assert_eq!(named(bench, "ops").await.members, [[1; 16], [2; 16], [8; 16]]);
    assert_eq!(named(bench, "dev").await.members, [[1; 16]]);
    set_member(bench, 9, 1, false).await;
    assert_eq!(named(bench, "ops").await.members, [[2; 16], [8; 16]]);
    set_member(bench, 9, 1, true).await;
    assert_eq!(named(bench, "ops").await.members.len(), 3);
    assert!(delete(bench, "bob").await);
    assert_eq!(named(bench, "ops").await.members, [[2; 16], [8; 16]]);
    assert!(named(bench, "dev").await.members.is_empty());
}

async fn a_principal_is_deleted_with_what_is_its_own(bench: &Bench) {
    put(bench, user(1, "bob", "s1")).await;
    put_credential(bench, credential(1, 1, CredentialKind::Secret)).await;
    put_grant(bench, grant(1, Some(1), START_US)).await;
    assert!(delete(bench, "bob").await);
    assert!(!delete(bench, "bob").await);
    assert!(principals(bench).await.is_empty());
    assert!(credentials(bench, 1).await.is_empty());
    assert_eq!(take(bench, 1).await, None);
    put(bench, user(2, "bob", "s1")).await;
    assert_eq!(named(bench, "bob").await.id, [2; 16], "another of the same name");
}

fn credential(id: u8, owner: u8, kind: CredentialKind) -> Credential {
    Credential {
        id: [id; 16],
        owner: [owner; 16],
        kind,
        name: format!("password{id}"),
        value: vec![id; 32],
        created_at_us: START_US,
        expires_at_us: id.is_multiple_of(2).then_some(START_US + 1),
    }
}

async fn put_credential(bench: &Bench, credential: Credential) {
    bench.write(move |tx, _| Ok(Commit::new((), vec![tx.put_credential(&credential)?]))).await;
}

async fn credentials(bench: &Bench, owner: u8) -> Vec<Credential> {
    bench.meta.read(move |s| s.credentials(&[owner; 16])).await.expect("read")
}

async fn credentials_are_kept_by_owner(bench: &Bench) {
    let kinds =
        [CredentialKind::Secret, CredentialKind::Certificate, CredentialKind::Federation, CredentialKind::Sealed];
    let all: Vec<_> = (1..).zip(kinds).map(|(id, kind)| credential(id, 1 + id % 2, kind)).collect();
    for credential in &all {
        put_credential(bench, credential.clone()).await;
    }
    assert_eq!(credentials(bench, 1).await, [all[1].clone(), all[3].clone()]);
    assert_eq!(credentials(bench, 2).await, [all[0].clone(), all[2].clone()]);
    assert!(credentials(bench, 3).await.is_empty());
    for (kind, expected) in kinds.into_iter().zip(&all) {
        let found = bench.meta.read(move |s| s.every_credential(kind)).await.expect("read");
        assert_eq!(found, std::slice::from_ref(expected));
    }
    let renewed = Credential { value: vec![9], expires_at_us: None, ..all[1].clone() };
    put_credential(bench, renewed.clone()).await;
    assert_eq!(credentials(bench, 1).await[0], renewed);
}

async fn an_owner_takes_away_only_his_own(bench: &Bench) {
    put_credential(bench, credential(1, 1, CredentialKind::Secret)).await;
    let delete = |owner: u8| {
        bench.write(move |tx, _| {
            let change = tx.delete_credential(&[owner; 16], &[1; 16])?;
            Ok(Commit::new(change.is_some(), change.into_iter().collect()))
        })
    };
    assert!(!delete(2).await);
    assert!(delete(1).await);
    assert!(!delete(1).await);
    assert!(credentials(bench, 1).await.is_empty());
}

async fn no_secret_is_told(bench: &Bench) {
    put(bench, user(1, "bob", "a very secret hash")).await;
    set_member(bench, 9, 1, true).await;
    let secret = Credential { value: b"sealed".to_vec(), ..credential(1, 1, CredentialKind::Sealed) };
    put_credential(bench, secret).await;
    bench
        .write(|tx, _| {
            let mut changes = vec![tx.raise_epoch(&[1; 16])?];
            changes.extend(tx.delete_credential(&[1; 16], &[1; 16])?);
            changes.extend(tx.delete_principal("bob")?);
            Ok(Commit::new((), changes))
        })
        .await;
    let id = |byte| ResourceId::from_bytes([byte; 16]);
    let found = bench.meta.read(|s| s.journal_after(1, MANY)).await.expect("read");
    let expected = [
        Event::PrincipalPut { name: "bob".to_owned() },
        Event::GroupMemberSet { group: id(9), member: id(1), present: true },
        Event::CredentialPut { owner: id(1) },
        Event::EpochRaised { principal: id(1) },
        Event::CredentialDeleted { owner: id(1) },
        Event::PrincipalDeleted { name: "bob".to_owned() },
    ];
    assert_eq!(found.iter().map(|entry| entry.event.clone()).collect::<Vec<_>>(), expected);
    assert!(found.is_sorted_by(|a, b| a.stamp < b.stamp), "every change has a stamp of its own: {found:?}");
}

fn grant(hash: u8, principal: Option<u8>, expires_at_us: i64) -> Grant {
    Grant {
        hash: [hash; 32],
        kind: GrantKind::Refresh,
        principal: principal.map(|id| [id; 16]),
        payload: "{\"client\":\"one\"}".to_owned(),
        created_at_us: START_US,
        expires_at_us,
    }
}

async fn put_grant(bench: &Bench, grant: Grant) {
    bench.write(move |tx, _| tx.put_grant(&grant).map(Commit::quiet)).await;
}

async fn take(bench: &Bench, hash: u8) -> Option<Grant> {
    bench.write(move |tx, _| tx.take_grant(&[hash; 32]).map(Commit::quiet)).await
}

async fn a_grant_is_taken_once(bench: &Bench) {
    let get = |hash: u8| async move { bench.meta.read(move |s| s.grant(&[hash; 32])).await.expect("read") };
    for (hash, kind) in (1..).zip([GrantKind::Code, GrantKind::Device, GrantKind::User, GrantKind::Refresh]) {
        let new = Grant { kind, ..grant(hash, None, START_US) };
        put_grant(bench, new.clone()).await;
        assert_eq!(get(hash).await, Some(new.clone()));
        let approved = Grant { principal: Some([1; 16]), payload: "approved".to_owned(), ..new };
        put_grant(bench, approved.clone()).await;
        assert_eq!(get(hash).await, Some(approved.clone()), "to look does not use it up");
        assert_eq!(take(bench, hash).await, Some(approved));
        assert_eq!(take(bench, hash).await, None);
        assert_eq!(get(hash).await, None);
    }
}

async fn grants_end(bench: &Bench) {
    for (hash, principal) in [(1, Some(1)), (2, Some(2)), (3, None), (4, Some(1)), (5, Some(3))] {
        put_grant(bench, grant(hash, principal, START_US + i64::from(hash))).await;
    }
    bench.write(|tx, _| tx.delete_grants_of(&[1; 16]).map(Commit::quiet)).await;
    assert_eq!((take(bench, 1).await, take(bench, 4).await), (None, None));
    let purge =
        |before_us: i64, limit: usize| bench.write(move |tx, _| tx.purge_grants(before_us, limit).map(Commit::quiet));
    assert_eq!(purge(START_US + 2, MANY).await, 0, "one is good until it expires");
    assert_eq!(purge(START_US + 4, 1).await, 1, "the oldest first");
    assert_eq!(purge(START_US + 4, MANY).await, 1);
    assert!(take(bench, 5).await.is_some());
}
