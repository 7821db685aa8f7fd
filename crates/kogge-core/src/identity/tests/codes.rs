//! Authorization codes.

use kogge_meta::PrincipalKind;
use kogge_types::limits;

use super::*;
use crate::identity::code::CodeRequest;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

fn request() -> CodeRequest {
    CodeRequest {
        client: CLIENT.to_owned(),
        redirect_uri: BACK.to_owned(),
        challenge: challenge(VERIFIER),
        nonce: Some("once".to_owned()),
        wanted: wanted(ARM),
    }
}

async fn code(core: &Core) -> String {
    let person = core.log_in_person(&desk(), "alice", PASSWORD).await.unwrap();
    core.issue_code(&request(), &person).await.unwrap()
}

async fn redeem(core: &Core, code: &str) -> Granted<TokenSet> {
    core.redeem_code(&desk(), CLIENT, code, BACK, VERIFIER).await
}

#[tokio::test]
async fn a_code_gives_tokens_once() {
    let bench = authority().await;
    let core = &bench.core;
    let code = code(core).await;
    let tokens = redeem(core, &code).await.unwrap();
    let caller = core.verify_management_token(&tokens.access_token).await.unwrap();
    assert_eq!(caller.name(), "alice");
    let account = claims(tokens.id_token.as_deref().unwrap());
    assert_eq!(account["aud"], CLIENT);
    assert_eq!(account["iss"], ISSUER);
    assert_eq!(account["nonce"], "once");
    assert_eq!(account["preferred_username"], "alice");
    assert_eq!(account["oid"], id_of(&tokens).to_string());
    let access = claims(&tokens.access_token);
    assert_eq!(
        (&access["idtyp"], &access["upn"], &access["scp"]),
        (&"user".into(), &"alice".into(), &"user_impersonation".into())
    );
    let refresh_token = tokens.refresh_token.unwrap();
    let next = core.refresh(&desk(), CLIENT, &refresh_token, &wanted(REGISTRY)).await.unwrap();
    assert_eq!(claims(&next.access_token)["aud"], REGISTRY);
    // Whoever replays the code ends what came of it.
    assert_eq!(word(redeem(core, &code).await), Word::InvalidGrant);
    let after = core.refresh(&desk(), CLIENT, &next.refresh_token.unwrap(), &wanted(ARM)).await;
    assert_eq!(word(after), Word::InvalidGrant);
}

#[tokio::test]
async fn of_many_who_come_with_a_code_one_gets_it() {
    let bench = authority().await;
    let code = code(&bench.core).await;
    let (one, two, three) =
        tokio::join!(redeem(&bench.core, &code), redeem(&bench.core, &code), redeem(&bench.core, &code));
    let outcomes = [one, two, three];
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let winner = outcomes.into_iter().find_map(Result::ok).unwrap();
    let after = bench.core.refresh(&desk(), CLIENT, &winner.refresh_token.unwrap(), &wanted(ARM)).await;
    assert_eq!(word(after), Word::InvalidGrant, "the others' attempts ended it");
}

#[tokio::test]
async fn a_code_is_its_clients_alone_and_used_up_by_any_attempt() {
    let bench = authority().await;
    let core = &bench.core;
    let attempts = [
        (CLIENT, BACK, "another-verifier-that-is-long-enough-to-be-well-formed"),
        (CLIENT, BACK, ""),
        (CLIENT, "http://localhost:8401/", VERIFIER),
        (OTHER_CLIENT, BACK, VERIFIER),
    ];
    for (client, uri, verifier) in attempts {
        let code = code(core).await;
        assert_eq!(word(core.redeem_code(&desk(), client, &code, uri, verifier).await), Word::InvalidGrant);
        assert_eq!(word(redeem(core, &code).await), Word::InvalidGrant, "{client} {uri} {verifier}");
    }
    let unknown = core.redeem_code(&desk(), "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf", "x", BACK, VERIFIER).await;
    assert_eq!(word(unknown), Word::UnauthorizedClient);
    assert_eq!(word(redeem(core, "").await), Word::InvalidGrant);
}

#[tokio::test]
async fn a_code_ends_soon_and_with_its_owner() {
    let bench = authority().await;
    let core = &bench.core;
    let old = code(core).await;
    bench.clock.advance(limits::AUTHORIZATION_CODE_LIFE);
    assert_eq!(word(redeem(core, &old).await), Word::InvalidGrant);
    let of_before = code(core).await;
    core.set_password("alice", "another one").await.unwrap();
    assert_eq!(word(redeem(core, &of_before).await), Word::InvalidGrant);
    let person = core.log_in_person(&desk(), "alice", "another one").await.unwrap();
    let last = core.issue_code(&request(), &person).await.unwrap();
    core.enable_principal("alice", PrincipalKind::User, false).await.unwrap();
    assert_eq!(word(redeem(core, &last).await), Word::InvalidGrant);
    assert_eq!(word(core.log_in_person(&desk(), "alice", "another one").await), Word::InvalidGrant);
}

#[tokio::test]
async fn browsers_are_sent_to_known_places_only() {
    let bench = authority().await;
    let core = &bench.core;
    assert!(core.client_of(CLIENT, BACK).is_ok());
    assert_eq!(word(core.client_of(CLIENT, "https://evil.example.com/")), Word::InvalidRequest);
    assert_eq!(word(core.client_of("no-uuid", BACK)), Word::UnauthorizedClient);
    let person = core.log_in_person(&desk(), "alice", PASSWORD).await.unwrap();
    let plain = CodeRequest { challenge: String::new(), ..request() };
    assert_eq!(word(core.issue_code(&plain, &person).await), Word::InvalidRequest, "PKCE is required");
    let elsewhere = CodeRequest { wanted: wanted("https://x"), ..request() };
    assert_eq!(core.check_code_request(&elsewhere).unwrap_err().word, Word::InvalidTarget);
}
