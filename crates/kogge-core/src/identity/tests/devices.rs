//! Device codes.

use kogge_types::limits;

use super::*;
use crate::identity::device::DeviceStart;
use crate::identity::person::Person;

async fn start(core: &Core) -> DeviceStart {
    core.start_device(&desk(), CLIENT, &wanted(ARM)).await.unwrap()
}

async fn poll(core: &Core, started: &DeviceStart) -> Granted<TokenSet> {
    core.redeem_device(&desk(), CLIENT, &started.device_code).await
}

async fn alice(core: &Core) -> Person {
    core.log_in_person(&desk(), "alice", PASSWORD).await.unwrap()
}

#[tokio::test]
async fn a_program_waits_until_somebody_approves() {
    let bench = authority().await;
    let core = &bench.core;
    let started = start(core).await;
    assert_eq!(started.user_code.len(), 9);
    assert_eq!(started.user_code.as_bytes()[4], b'-');
    assert_eq!(word(poll(core, &started).await), Word::AuthorizationPending);
    assert_eq!(word(poll(core, &started).await), Word::SlowDown);
    bench.clock.advance(started.interval);
    assert_eq!(word(poll(core, &started).await), Word::AuthorizationPending);
    let typed = started.user_code.to_lowercase().replace('-', " ");
    assert_eq!(core.answer_device(&desk(), &typed, &alice(core).await, true).await.unwrap(), "Azure CLI");
    let again = core.answer_device(&desk(), &started.user_code, &alice(core).await, false).await;
    assert_eq!(word(again), Word::InvalidGrant, "a code is answered once");
    bench.clock.advance(started.interval);
    let tokens = poll(core, &started).await.unwrap();
    assert_eq!(core.verify_management_token(&tokens.access_token).await.unwrap().name(), "alice");
    assert!(tokens.refresh_token.is_some() && tokens.id_token.is_some());
    assert_eq!(word(poll(core, &started).await), Word::InvalidGrant, "used");
}

#[tokio::test]
async fn a_login_may_be_declined_or_come_too_late() {
    let bench = authority().await;
    let core = &bench.core;
    let declined = start(core).await;
    core.answer_device(&desk(), &declined.user_code, &alice(core).await, false).await.unwrap();
    assert_eq!(word(poll(core, &declined).await), Word::AccessDenied);
    let late = start(core).await;
    bench.clock.advance(limits::DEVICE_CODE_LIFE);
    assert_eq!(word(poll(core, &late).await), Word::ExpiredToken);
    let answer = core.answer_device(&desk(), &late.user_code, &alice(core).await, true).await;
    assert_eq!(word(answer), Word::InvalidGrant);
    let foreign = start(core).await;
    let other = core.redeem_device(&desk(), OTHER_CLIENT, &foreign.device_code).await;
    assert_eq!(word(other), Word::InvalidGrant);
    assert_eq!(word(core.redeem_device(&desk(), CLIENT, "x").await), Word::InvalidGrant);
    let nobody = core.start_device(&desk(), "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf", &wanted(ARM)).await;
    assert_eq!(word(nobody), Word::UnauthorizedClient);
}

#[tokio::test]
async fn an_approval_ends_with_the_password_that_gave_it() {
    let bench = authority().await;
    let core = &bench.core;
    let started = start(core).await;
    core.answer_device(&desk(), &started.user_code, &alice(core).await, true).await.unwrap();
    core.set_password("alice", "another one").await.unwrap();
    assert_eq!(word(poll(core, &started).await), Word::InvalidGrant);
}

#[tokio::test]
async fn codes_cannot_be_guessed_nor_hoarded() {
    let bench = authority().await;
    let core = &bench.core;
    let person = alice(core).await;
    let mut held = 0;
    for _ in 0..20 {
        let refusal = refusal(core.answer_device(&desk(), "BBBB-BBBB", &person, true).await);
        held += u32::from(refusal.retry_after.is_some());
    }
    assert!(held >= 14, "{held}");
    for _ in 0..limits::DEVICE_CODES_PER_ADDRESS_MAX {
        start(core).await;
    }
    let more = core.start_device(&desk(), CLIENT, &wanted(ARM)).await;
    assert!(refusal(more).retry_after.is_some(), "one address has its share");
    let there = Desk { client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)), ..desk() };
    assert!(core.start_device(&there, CLIENT, &wanted(ARM)).await.is_ok());
    bench.clock.advance(limits::DEVICE_CODE_LIFE);
    start(core).await;
}
