//! Refresh tokens.

use kogge_meta::PrincipalKind;
use kogge_types::limits;

use super::*;

async fn refresh(core: &Core, token: &str) -> Granted<TokenSet> {
    core.refresh(&desk(), CLIENT, token, &Wanted::default()).await
}

async fn first(core: &Core) -> String {
    by_password(core).await.unwrap().refresh_token.unwrap()
}

#[tokio::test]
async fn each_token_gives_the_next() {
    let bench = authority().await;
    let mut token = first(&bench.core).await;
    for _ in 0..5 {
        bench.clock.advance(limits::REFRESH_GRANT_IDLE - Duration::from_secs(1));
        let tokens = refresh(&bench.core, &token).await.unwrap();
        assert_eq!(tokens.audience, ARM, "the audience of the login");
        assert!(bench.core.verify_management_token(&tokens.access_token).await.is_ok());
        token = tokens.refresh_token.unwrap();
    }
    bench.clock.advance(limits::REFRESH_GRANT_IDLE);
    assert_eq!(word(refresh(&bench.core, &token).await), Word::InvalidGrant, "idle for too long");
}

#[tokio::test]
async fn a_login_does_not_last_for_ever() {
    let bench = authority().await;
    let mut token = first(&bench.core).await;
    let step = limits::REFRESH_GRANT_IDLE / 2;
    let mut lasted = Duration::ZERO;
    while let Ok(tokens) = refresh(&bench.core, &token).await {
        token = tokens.refresh_token.unwrap();
        bench.clock.advance(step);
        lasted += step;
        assert!(lasted <= limits::REFRESH_GRANT_LIFE + step);
    }
    assert!(lasted > limits::REFRESH_GRANT_LIFE - step);
}

#[tokio::test]
async fn a_token_that_was_used_before_ends_the_login() {
    let bench = authority().await;
    let stolen = first(&bench.core).await;
    let next = refresh(&bench.core, &stolen).await.unwrap().refresh_token.unwrap();
    bench.clock.advance(limits::REFRESH_OVERLAP);
    assert_eq!(word(refresh(&bench.core, &stolen).await), Word::InvalidGrant);
    assert_eq!(
        word(refresh(&bench.core, &next).await),
        Word::InvalidGrant,
        "the thief and the owner are the same here"
    );
    let again = first(&bench.core).await;
    assert!(refresh(&bench.core, &again).await.is_ok(), "another login");
}

#[tokio::test]
async fn two_processes_of_one_client_may_refresh_at_once() {
    let bench = authority().await;
    let token = first(&bench.core).await;
    let (one, two) = tokio::join!(refresh(&bench.core, &token), refresh(&bench.core, &token));
    let (one, two) = (one.unwrap(), two.unwrap());
    let next: Vec<_> = [one.refresh_token, two.refresh_token].into_iter().flatten().collect();
    assert_eq!(next.len(), 1, "one of them got the next token");
    assert!(refresh(&bench.core, &next[0]).await.is_ok());
    assert_eq!(word(refresh(&bench.core, &token).await), Word::InvalidGrant, "two before the newest");
}

#[tokio::test]
async fn a_token_is_its_clients_and_its_owners() {
    let bench = authority().await;
    let core = &bench.core;
    let token = first(core).await;
    let other = core.refresh(&desk(), OTHER_CLIENT, &token, &Wanted::default()).await;
    assert_eq!(word(other), Word::InvalidGrant);
    assert_eq!(word(core.refresh(&desk(), CLIENT, &token, &wanted("https://x")).await), Word::InvalidTarget);
    let token = refresh(core, &token).await.unwrap().refresh_token.unwrap();
    for bad in ["", "x", &token[..20], &"A".repeat(64)] {
        assert_eq!(word(refresh(core, bad).await), Word::InvalidGrant, "{bad}");
    }
    let token = refresh(core, &token).await.unwrap().refresh_token.unwrap();
    core.set_password("alice", "another one").await.unwrap();
    assert_eq!(word(refresh(core, &token).await), Word::InvalidGrant, "a new password ends logins");
    let tokens = core.password_grant(&desk(), CLIENT, "alice", "another one", &wanted(ARM)).await.unwrap();
    core.delete_principal("alice", PrincipalKind::User).await.unwrap();
    assert_eq!(word(refresh(core, &tokens.refresh_token.unwrap()).await), Word::InvalidGrant);
    assert!(core.verify_management_token(&tokens.access_token).await.is_err());
}

#[tokio::test]
async fn what_has_ended_is_forgotten() {
    let bench = authority().await;
    let token = first(&bench.core).await;
    bench.core.purge_grants().await.unwrap();
    assert!(refresh(&bench.core, &token).await.is_ok());
    bench.clock.advance(limits::REFRESH_GRANT_LIFE);
    bench.core.purge_grants().await.unwrap();
    assert_eq!(word(refresh(&bench.core, &token).await), Word::InvalidGrant);
}
