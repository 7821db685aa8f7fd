//! Who may take a blob from where.

use kogge_types::{Action, Digest, Scope};

use crate::auth::Caller;
use crate::fixture::{bench_with, name, settings};
use crate::{Settings, auth};

#[tokio::test(flavor = "multi_thread")]
async fn an_anonymous_mount_takes_only_what_the_caller_may_pull() {
    let bench = bench_with(settings()).await;
    let digest = bench.push_blob("secret/app", b"content").await;
    let target = bench.target("mine/app");
    let grants = |patterns: &[&str]| {
        let grant = |pattern: &&str| crate::directory::Grant {
            role: auth::role::built_in_by_id(&auth::role::ACR_PUSH).unwrap(),
            registry: None,
            repositories: pattern.parse().unwrap(),
        };
        patterns.iter().map(grant).collect::<Vec<_>>()
    };
    bench.core.put_user("bob", "a password", &grants(&["mine/*"])).await.unwrap();
    let client = std::net::Ipv4Addr::LOCALHOST.into();
    let log_in = || async {
        let credential = auth::Credential::Basic { name: "bob", password: "a password" };
        bench.core.authenticate(&bench.registry(), credential, client).await.unwrap().unwrap()
    };
    let bob = log_in().await;
    assert_eq!(bench.core.mountable_from(&target, &bob, &digest).await.unwrap(), None);
    assert_eq!(bench.core.mountable_from(&target, &Caller::anonymous(), &digest).await.unwrap(), None);
    bench.core.put_user("bob", "a password", &grants(&["mine/*", "secret/*"])).await.unwrap();
    let bob = log_in().await;
    assert_eq!(bench.core.mountable_from(&target, &bob, &digest).await.unwrap(), Some(name("secret/app")));
    // A token that does not name the source gives no right to it.
    for (source, found) in [("mine/app", None), ("secret/app", Some(name("secret/app")))] {
        let scopes = [Scope::repository(name(source), Action::Pull)];
        let token = bench.core.issue_access_token(&bob, &bench.registry(), "here", &scopes).unwrap();
        let bearer = auth::Credential::Bearer { token: &token.token };
        let bounded = bench.core.authenticate(&bench.registry(), bearer, client).await.unwrap().unwrap();
        assert_eq!(bench.core.mountable_from(&target, &bounded, &digest).await.unwrap(), found, "{source}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_anonymous_pull_anybody_may_take_it() {
    let bench = bench_with(Settings { anonymous_pull: true, ..settings() }).await;
    let digest = bench.push_blob("app", b"content").await;
    let found = bench.core.mountable_from(&bench.target("mine"), &Caller::anonymous(), &digest).await.unwrap();
    assert_eq!(found, Some(name("app")));
    let unknown = Digest::sha256(b"unknown");
    assert_eq!(bench.core.mountable_from(&bench.target("mine"), &Caller::anonymous(), &unknown).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_whose_bytes_are_lost_is_unknown_and_can_be_pushed_again() {
    let bench = bench_with(settings()).await;
    let digest = bench.push_blob("app", b"content").await;
    std::fs::remove_file(bench.file_of(&digest)).unwrap();
    assert_eq!(bench.read("app", &digest).await, None);
    assert!(
        bench.core.stat_blob(&bench.target("app"), &digest).await.is_err(),
        "the next push is not told that it is there"
    );
    bench.push_blob("app", b"content").await;
    assert_eq!(bench.read("app", &digest).await.as_deref(), Some(&b"content"[..]));
}
