//! Users, groups and service principals as operators make them.

use kogge_meta::PrincipalKind;
use kogge_types::{Action, Code, limits};

use super::*;
use crate::fixture::code;
use crate::identity::federation::Federation;

fn role(role: &str, scope: &str) -> Assigned {
    Assigned { role: role.to_owned(), scope: scope.to_owned() }
}

#[tokio::test]
async fn roles_are_held_directly_and_by_groups() {
    let bench = authority().await;
    let (core, registry) = (&bench.core, bench.registry());
    core.create_user("bob", PASSWORD, &[]).await.unwrap();
    let bob = core.log_in_person(&desk(), "bob", PASSWORD).await.unwrap();
    assert_eq!(bob.name(), "bob");
    let tokens = core.password_grant(&desk(), CLIENT, "bob", PASSWORD, &wanted(ARM)).await.unwrap();
    let caller = core.verify_management_token(&tokens.access_token).await.unwrap();
    let repository = "app".parse().unwrap();
    let may = |action| core.permits_action(&caller, &registry, action, Some(&repository));
    assert!(!may(Action::Pull));
    core.create_group("pullers", &[role("AcrPull", "default")]).await.unwrap();
    core.set_group_member("pullers", "bob", true).await.unwrap();
    assert!(may(Action::Pull) && !may(Action::Push), "at once, with the token of before");
    core.assign_role("bob", &role("acrpush", &core.deployment().path().to_uppercase())).await.unwrap();
    assert!(may(Action::Push));
    core.set_group_member("pullers", "bob", false).await.unwrap();
    assert!(may(Action::Pull), "by the other role");
    core.delete_principal("pullers", PrincipalKind::Group).await.unwrap();
    assert!(core.principals(&[PrincipalKind::Group]).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let bench = authority().await;
    let core = &bench.core;
    let long = "x".repeat(limits::USER_NAME_CHARS_MAX + 1);
    let id = ResourceId::from_bytes([7; 16]).to_string();
    for name in ["", "a b", &long, "alice", &id] {
        assert_eq!(code(core.create_user(name, PASSWORD, &[]).await), Code::NameInvalid, "{name}");
    }
    for bad in [role("Nobody", "/"), role("Owner", "/subscriptions/other"), role("Owner", "nosuchregistry")] {
        assert_eq!(code(core.create_user("carol", PASSWORD, std::slice::from_ref(&bad)).await), Code::NameInvalid);
    }
    assert_eq!(code(core.set_password("nobody", PASSWORD).await), Code::NotFound);
    assert_eq!(code(core.set_group_member("alice", "alice", true).await), Code::NotFound, "no group");
    core.create_group("one", &[]).await.unwrap();
    core.create_group("two", &[]).await.unwrap();
    assert_eq!(code(core.set_group_member("one", "two", true).await), Code::NotFound, "groups hold no groups");
    assert_eq!(code(core.delete_principal("alice", PrincipalKind::Group).await), Code::NotFound);
    assert_eq!(code(core.create_service_principal("a\nb", None, &[]).await), Code::NameInvalid);
    let junk = NewCredential::Certificate { name: "c".into(), der: vec![0x30, 0x03, 1, 2, 3] };
    assert_eq!(code(core.create_service_principal("sp", Some(junk), &[]).await), Code::NameInvalid);
    let rule = Federation { issuer: "http://x".into(), subject: "s".into(), audience: "a".into() };
    let plain = NewCredential::Federation { name: "f".into(), rule };
    assert_eq!(code(core.create_service_principal("sp", Some(plain), &[]).await), Code::NameInvalid);
}

#[tokio::test]
async fn credentials_are_listed_without_what_they_prove_and_bounded_in_number() {
    let bench = authority().await;
    let core = &bench.core;
    let (_, id, first) = enroll(core).await;
    for _ in 1..limits::CREDENTIALS_PER_PRINCIPAL_MAX {
        core.add_credential(&id, secret()).await.unwrap();
    }
    assert_eq!(code(core.add_credential(&id, secret()).await), Code::NameInvalid);
    let story = core.service_principal("ci").await.unwrap();
    assert_eq!(story.credentials.len(), limits::CREDENTIALS_PER_PRINCIPAL_MAX);
    let shown = serde_json::to_string(&story).unwrap();
    assert!(!shown.contains(&first), "{shown}");
    let hash = kogge_types::digest::hex(&sha256(first.as_bytes()));
    assert!(!shown.contains(&hash), "{shown}");
    assert!(by_secret(core, &id, &first).await.is_ok());
    for credential in story.credentials {
        core.remove_credential("ci", credential.id).await.unwrap();
    }
    assert_eq!(word(by_secret(core, &id, &first).await), Word::InvalidClient);
}
