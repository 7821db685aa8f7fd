//! What is taken for a token of ours, and what is not.

use kogge_meta::PrincipalKind;
use kogge_types::limits;
use serde_json::json;

use super::*;
use crate::auth::subject::PrincipalId;
use crate::auth::{Credential, LoginError};
use crate::identity::Purpose;

#[tokio::test]
async fn a_service_principal_gets_a_token_for_its_secret() {
    let bench = authority().await;
    let (enrolled, id, secret) = enroll(&bench.core).await;
    assert_eq!(secret.len(), 64, "256 bits");
    let tokens = by_secret(&bench.core, &id.to_uppercase(), &secret).await.unwrap();
    assert_eq!(tokens.life, limits::MANAGEMENT_TOKEN_LIFE);
    assert_eq!((&tokens.refresh_token, &tokens.id_token), (&None, &None), "a program comes back with its secret");
    let claims = claims(&tokens.access_token);
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["aud"], ARM);
    assert_eq!(claims["appid"], id);
    assert_eq!(claims["oid"], enrolled.object_id.to_string());
    assert_eq!(claims["tid"], bench.core.deployment().tenant);
    assert_eq!(claims["idtyp"], "app");
    assert!(claims.get("upn").is_none());
    let caller = bench.core.verify_management_token(&tokens.access_token).await.unwrap();
    assert_eq!(caller.name(), "ci");
    assert_eq!(caller.object_id(), Some(enrolled.object_id));
    assert!(!caller.is_bounded());
}

#[tokio::test]
async fn wrong_secrets_audiences_and_clients_are_refused() {
    let bench = authority().await;
    let (_, id, secret) = enroll(&bench.core).await;
    let core = &bench.core;
    assert_eq!(word(by_secret(core, &id, "wrong").await), Word::InvalidClient);
    assert_eq!(word(by_secret(core, "no-uuid", &secret).await), Word::InvalidClient);
    assert_eq!(word(by_secret(core, "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf", &secret).await), Word::InvalidClient);
    assert_eq!(word(by_secret(core, "alice", PASSWORD).await), Word::InvalidClient, "people are no programs");
    let elsewhere = core.client_credentials(&desk(), &id, ClientProof::Secret(&secret), &wanted("https://x")).await;
    assert_eq!(word(elsewhere), Word::InvalidTarget);
    let program = core.password_grant(&desk(), CLIENT, &id, &secret, &wanted(ARM)).await;
    assert_eq!(word(program), Word::InvalidGrant, "programs are no people");
    bench.clock.advance(YEAR);
    assert_eq!(word(by_secret(core, &id, &secret).await), Word::InvalidClient, "the secret has ended");
}

#[tokio::test]
async fn brute_force_is_held_back() {
    let bench = authority().await;
    let (_, id, _) = enroll(&bench.core).await;
    for name in [id.as_str(), "alice"] {
        let mut held = 0;
        for _ in 0..20 {
            let outcome = match name {
                "alice" => bench.core.password_grant(&desk(), CLIENT, name, "guess", &wanted(ARM)).await,
                _ => by_secret(&bench.core, name, "guess").await,
            };
            let refusal = refusal(outcome);
            held += u32::from(refusal.word == Word::TemporarilyUnavailable && refusal.retry_after.is_some());
        }
        assert!(held >= 14, "{name}: {held}");
    }
    let elsewhere = Desk { client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)), ..desk() };
    let other = bench.core.password_grant(&elsewhere, CLIENT, "alice", PASSWORD, &wanted(ARM)).await;
    assert!(other.is_ok(), "nobody locks an account for others");
}

#[tokio::test]
async fn tokens_end_and_begin() {
    let bench = authority().await;
    let (_, id, secret) = enroll(&bench.core).await;
    let token = by_secret(&bench.core, &id, &secret).await.unwrap().access_token;
    bench.clock.advance(limits::MANAGEMENT_TOKEN_LIFE - Duration::from_secs(2));
    assert!(bench.core.verify_management_token(&token).await.is_ok());
    bench.clock.advance(Duration::from_secs(2));
    assert_eq!(bench.core.verify_management_token(&token).await.unwrap_err(), LoginError::Token);
}

#[tokio::test]
async fn what_is_not_signed_by_us_is_no_token() {
    let bench = authority().await;
    let (_, id, secret) = enroll(&bench.core).await;
    let good = by_secret(&bench.core, &id, &secret).await.unwrap().access_token;
    let parts: Vec<&str> = good.split('.').collect();
    let header = decode(parts[0]);
    let with_header = |change: Value| {
        let mut header = header.clone();
        header.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        encode(&header)
    };
    let mut changed = claims(&good);
    changed["name"] = json!("admin");
    let key = bench.core.published_keys()["keys"][0]["x"].as_str().unwrap().to_owned();
    let mac = aws_lc_rs::hmac::sign(
        &aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.as_bytes()),
        format!("{}.{}", with_header(json!({ "alg": "HS256" })), parts[1]).as_bytes(),
    );
    let bad = [
        format!("{}.{}.{}", parts[0], encode(&changed), parts[2]),
        format!("{}.{}.", with_header(json!({ "alg": "none" })), parts[1]),
        format!("{}.{}.{}", with_header(json!({ "alg": "none" })), parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.{}", with_header(json!({ "kid": "other" })), parts[1], parts[2]),
        format!("{}.{}.{}", encode(&json!({ "alg": "ES256", "typ": "JWT" })), parts[1], parts[2]),
        format!(
            "{}.{}.{}",
            with_header(json!({ "alg": "HS256" })),
            parts[1],
            BASE64_URL_SAFE_NO_PAD.encode(mac.as_ref())
        ),
        format!("{good}x"),
        String::new(),
        "a".repeat(limits::SIGNED_TOKEN_BYTES_MAX + 1),
    ];
    for token in &bad {
        assert_eq!(bench.core.verify_management_token(token).await.unwrap_err(), LoginError::Token, "{token}");
    }
    for place in 0..good.len() {
        let mut changed = good.clone().into_bytes();
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(bench.core.verify_management_token(&changed).await.is_err(), "{place}: {changed}");
    }
    let other = authority().await;
    assert!(other.core.verify_management_token(&good).await.is_err(), "another installation's");
}

#[tokio::test]
async fn a_token_is_good_for_its_audience_only() {
    let bench = authority().await;
    let (core, registry) = (&bench.core, bench.registry());
    let (_, id, secret) = enroll(core).await;
    let arm = by_secret(core, &id, &secret).await.unwrap().access_token;
    let acr = core.client_credentials(&desk(), &id, ClientProof::Secret(&secret), &wanted(REGISTRY)).await.unwrap();
    assert!(core.verify_management_token(&acr.access_token).await.is_err());
    assert!(core.verify_token_for(Purpose::Registry, &arm).await.is_err());
    assert!(core.verify_token_for(Purpose::Directory, &arm).await.is_err());
    assert!(core.verify_exchange_token(&registry, &acr.access_token).await.is_ok());
    assert!(core.verify_exchange_token(&registry, &arm).await.is_ok(), "as ACR does, unless its policy forbids it");
    let person = by_password(core).await.unwrap();
    let id_token = person.id_token.unwrap();
    assert!(core.verify_management_token(&id_token).await.is_err(), "an account is no right");
    assert!(core.verify_exchange_token(&registry, &id_token).await.is_err());
}

#[tokio::test]
async fn registry_tokens_and_management_tokens_are_never_mixed_up() {
    let bench = authority().await;
    let (core, registry) = (&bench.core, bench.registry());
    let (_, id, secret) = enroll(core).await;
    let arm = by_secret(core, &id, &secret).await.unwrap().access_token;
    let caller = core.verify_exchange_token(&registry, &arm).await.unwrap();
    let refresh = core.issue_refresh_token(&caller, &registry, "localhost").unwrap().token;
    let access = core.issue_access_token(&caller, &registry, "localhost", &[]).unwrap().token;
    for token in [&refresh, &access] {
        assert!(core.verify_management_token(token).await.is_err());
        assert!(core.verify_exchange_token(&registry, token).await.is_err());
    }
    assert!(core.verify_refresh_token(&registry, &arm).is_err());
    let bearer = core.authenticate(&registry, Credential::Bearer { token: &arm }, HERE).await.unwrap();
    assert_eq!(bearer.unwrap_err(), LoginError::Token);
    assert_eq!(core.verify_refresh_token(&registry, &refresh).unwrap().object_id(), caller.object_id());
}

#[tokio::test]
async fn tokens_end_with_their_owner() {
    let bench = authority().await;
    let core = &bench.core;
    let (_, id, first) = enroll(core).await;
    let token = by_secret(core, &id, &first).await.unwrap().access_token;
    let second = core.reset_credentials("ci", secret()).await.unwrap().password.unwrap();
    assert!(core.verify_management_token(&token).await.is_err(), "reset");
    assert_eq!(word(by_secret(core, &id, &first).await), Word::InvalidClient);
    let token = by_secret(core, &id, &second).await.unwrap().access_token;
    core.enable_principal(&id, PrincipalKind::ServicePrincipal, false).await.unwrap();
    assert!(core.verify_management_token(&token).await.is_err(), "disabled");
    assert_eq!(word(by_secret(core, &id, &second).await), Word::InvalidClient);
    core.enable_principal(&id, PrincipalKind::ServicePrincipal, true).await.unwrap();
    assert!(core.verify_management_token(&token).await.is_err(), "what was void stays void");
    let token = by_secret(core, &id, &second).await.unwrap().access_token;
    core.delete_principal("ci", PrincipalKind::ServicePrincipal).await.unwrap();
    assert!(core.verify_management_token(&token).await.is_err(), "deleted");
    assert_eq!(word(by_secret(core, &id, &second).await), Word::InvalidClient);
    core.create_service_principal("ci", Some(secret()), &[]).await.unwrap();
    assert!(core.verify_management_token(&token).await.is_err(), "a namesake is somebody else");
}

#[tokio::test]
async fn a_managed_identity_logs_in_by_nothing_but_the_deployment() {
    let bench = authority().await;
    let identity = bench.core.create_managed_identity("task", &[owner()]).await.unwrap();
    assert_eq!(identity.password, None);
    let id = identity.app_id.to_string();
    assert_eq!(word(by_secret(&bench.core, &id, "").await), Word::InvalidClient);
    let tokens = bench.core.identity_token(&desk(), "task").await.unwrap();
    let caller = bench.core.verify_management_token(&tokens.access_token).await.unwrap();
    assert_eq!(caller.subject().id, PrincipalId::Directory(*identity.object_id.as_bytes()));
}
