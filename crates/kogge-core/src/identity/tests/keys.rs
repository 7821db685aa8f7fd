//! Signing keys: their rotation, and where they come from.

use kogge_meta::Commit;
use kogge_types::limits;

use super::*;
use crate::error::Error;

#[tokio::test]
async fn a_new_key_signs_and_the_old_one_verifies_until_its_last_token_has_ended() {
    let bench = authority().await;
    let (_, id, secret) = enroll(&bench.core).await;
    let before = by_secret(&bench.core, &id, &secret).await.unwrap().access_token;
    let registry = bench.registry();
    let caller = bench.core.verify_exchange_token(&registry, &before).await.unwrap();
    let long = bench.core.issue_refresh_token(&caller, &registry, "localhost").unwrap().token;
    let keys = bench.core.rotate_keys().await.unwrap();
    assert_eq!(keys.iter().map(|key| key.signs).collect::<Vec<_>>(), [true, false]);
    assert_eq!(bench.core.published_keys()["keys"].as_array().unwrap().len(), 2);
    let after = by_secret(&bench.core, &id, &secret).await.unwrap().access_token;
    let kid = |token: &str| decode(token.split('.').next().unwrap())["kid"].clone();
    assert_eq!(kid(&after), keys[0].id);
    assert_eq!(kid(&before), keys[1].id);
    for token in [&before, &after] {
        assert!(bench.core.verify_management_token(token).await.is_ok());
    }
    bench.clock.advance(limits::REFRESH_TOKEN_LIFE - Duration::from_secs(1));
    assert_eq!(bench.core.rotate_keys().await.unwrap().len(), 3);
    assert!(bench.core.verify_refresh_token(&registry, &long).is_ok());
    bench.clock.advance(Duration::from_secs(10));
    assert_eq!(bench.core.rotate_keys().await.unwrap().len(), 3, "the oldest has nothing left to verify");
    let bench = bench.restart("another boot").await;
    assert_eq!(bench.core.signing_keys().len(), 3, "the ring is kept");
}

#[tokio::test]
async fn keys_are_replaced_by_age() {
    let bench = authority().await;
    let first = bench.core.signing_keys()[0].id.clone();
    bench.core.rotate_old_keys().await.unwrap();
    assert_eq!(bench.core.signing_keys()[0].id, first);
    bench.clock.advance(limits::SIGNING_KEY_LIFE_DEFAULT + Duration::from_secs(1));
    bench.core.rotate_old_keys().await.unwrap();
    assert_ne!(bench.core.signing_keys()[0].id, first);
}

#[tokio::test]
async fn the_one_key_of_earlier_versions_is_taken_over() {
    let bench = authority().await;
    let (_, id, secret) = enroll(&bench.core).await;
    // What version 0.1 kept: one key under another name.
    let pair =
        aws_lc_rs::signature::EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let sealed =
        bench.core.kek.seal(bench.core.entropy.as_ref(), "token-signing-key", pair.to_pkcs8v1().unwrap().as_ref());
    bench
        .meta
        .write(move |tx| {
            tx.put_setting("token-signing-key", &sealed)?;
            tx.delete_setting("token-signing-keys")?;
            Ok::<_, Error>(Commit::quiet(()))
        })
        .await
        .unwrap();
    let public = aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref().to_vec();
    let bench = bench.restart("another boot").await;
    bench.core.set_identity(settings(), Arc::new(Nobody));
    let keys = bench.core.signing_keys();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].id, kogge_types::Digest::sha256(&public).hex()[..16]);
    let token = by_secret(&bench.core, &id, &secret).await.unwrap().access_token;
    bench.core.rotate_old_keys().await.unwrap();
    assert_eq!(bench.core.signing_keys().len(), 2, "its age is not known");
    assert!(bench.core.verify_management_token(&token).await.is_ok());
    let old = bench.meta.read(|snapshot| snapshot.setting("token-signing-key")).await.unwrap();
    assert_eq!(old, None);
}
