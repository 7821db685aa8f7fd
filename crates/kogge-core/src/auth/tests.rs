//! Who may do what, and what proves who somebody is.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use kogge_meta::{Commit, PrincipalKind, PrincipalRecord, Registry};
use kogge_types::{Action, ManualClock, RegistryId, RepositoryPattern, Scope, clock::Clock, limits};

use crate::auth::policy::Denial;
use crate::auth::role;
use crate::auth::subject::{PrincipalId, Subject};
use crate::auth::token::IssuedToken;
use crate::auth::{Caller, Credential, LoginError};
use crate::core::Settings;
use crate::directory::{self, Grant};
use crate::fixture::{Bench, bench, bench_with, name, open, settings};
use crate::identity::NewCredential;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ACTIONS: [Action; 6] =
    [Action::Pull, Action::Push, Action::Delete, Action::MetadataRead, Action::MetadataWrite, Action::Catalog];

/// Makes a principal without the cost of a password, and gives it this role alone.
async fn principal(bench: &Bench, id: u8, role: &str, registry: Option<RegistryId>, pattern: &str) -> PrincipalId {
    let pattern: RepositoryPattern = pattern.parse().unwrap();
    let scope = match registry {
        None => "/".to_owned(),
        Some(registry) => bench.core.policy.load().rules(registry).unwrap().path.clone(),
    };
    let role = role::built_in_by_name(role).unwrap();
    let made = bench.core.write_policy(move |tx| {
        let (id, kind, name) = ([id; 16], PrincipalKind::User, format!("p{id}"));
        let record = PrincipalRecord { id, kind, name: &name, app_id: None, secret: "no password", enabled: true };
        let mut changes = vec![tx.put_principal(&record)?];
        changes.extend(directory::unassign(tx, &id)?);
        changes.push(directory::assign(tx, &crate::SystemEntropy, &id, kind, role, &scope, &pattern)?);
        Ok(Commit::new((), changes))
    });
    made.await.unwrap();
    PrincipalId::Directory([id; 16])
}

/// The actions that are allowed, in the order of `ACTIONS`, as letters.
fn allowed(bench: &Bench, principal: PrincipalId, registry: &Registry, repository: Option<&str>) -> String {
    let policy = bench.core.policy.load();
    let repository = repository.map(name);
    let letters = ACTIONS.into_iter().zip("pudrwc".chars());
    letters
        .filter(|(action, _)| policy.authorize(principal.into(), registry, *action, repository.as_ref()).is_ok())
        .map(|(_, letter)| letter)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_patterns_and_registries_decide() {
    let bench = bench().await;
    let here = bench.registry();
    let other = bench.core.put_registry(&"other".parse().unwrap(), false).await.unwrap();
    // (role, only here, pattern, repository, allowed here, allowed in the other registry)
    let table = [
        ("Owner", false, "*", Some("team/app"), "pudrwc", "pudrwc"),
        ("Owner", false, "*", None, "pudrwc", "pudrwc"),
        ("Owner", true, "*", Some("team/app"), "pudrwc", ""),
        ("Owner", false, "team/*", Some("team/app"), "pudrwc", "pudrwc"),
        ("Owner", false, "team/*", Some("teams/app"), "", ""),
        ("Owner", false, "team/*", Some("team"), "", ""),
        ("AcrPull", false, "*", Some("team/app"), "prc", "prc"),
        ("AcrPull", true, "team/app", Some("team/app"), "prc", ""),
        ("AcrPull", true, "team/app", Some("team/app/x"), "", ""),
        ("AcrPush", false, "team/*", Some("team/a/b"), "purc", "purc"),
        ("AcrPush", false, "team/*", Some("other"), "", ""),
        ("AcrDelete", false, "*", Some("app"), "d", "d"),
        ("AcrDelete", false, "*", None, "d", "d"),
        ("Reader", false, "*", Some("app"), "prc", "prc"),
        ("Contributor", true, "*", Some("app"), "pudrwc", ""),
        ("User Access Administrator", false, "*", Some("app"), "prc", "prc"),
        ("Container Registry Repository Writer", false, "*", Some("app"), "", ""),
    ];
    for (number, (role, only_here, pattern, repository, in_here, in_other)) in table.into_iter().enumerate() {
        let who = principal(&bench, number as u8 + 1, role, only_here.then_some(here.id), pattern).await;
        assert_eq!(allowed(&bench, who, &here, repository), in_here, "{role} on {pattern} for {repository:?}");
        assert_eq!(allowed(&bench, who, &other, repository), in_other, "{role} on {pattern} for {repository:?}");
    }
    assert_eq!(allowed(&bench, PrincipalId::Anonymous, &here, Some("app")), "");
    assert_eq!(allowed(&bench, PrincipalId::Directory([99; 16]), &here, Some("app")), "");
    let policy = bench.core.policy.load();
    let denial = |principal: PrincipalId| {
        policy.authorize(Subject::from(principal), &here, Action::Push, Some(&name("app"))).unwrap_err()
    };
    assert_eq!(denial(PrincipalId::Anonymous), Denial::Anonymous);
    assert_eq!(denial(PrincipalId::Directory([99; 16])), Denial::NoPrincipal);
    assert_eq!(denial(PrincipalId::Directory([7; 16])), Denial::NoRole);
}

#[tokio::test(flavor = "multi_thread")]
async fn anonymous_pull_is_a_switch_of_the_registry_and_of_the_deployment() {
    let closed = bench().await;
    let open_one = closed.core.put_registry(&"public".parse().unwrap(), true).await.unwrap();
    for (principal, expected) in [(PrincipalId::Anonymous, "pr"), (PrincipalId::Directory([9; 16]), "pr")] {
        assert_eq!(allowed(&closed, principal, &open_one, Some("app")), expected);
        assert_eq!(allowed(&closed, principal, &open_one, None), "c", "what is public is listed");
        assert_eq!(allowed(&closed, principal, &closed.registry(), Some("app")), "");
    }
    let shut = closed.core.put_registry(&"public".parse().unwrap(), false).await.unwrap();
    assert_eq!(shut.id, open_one.id);
    assert_eq!(allowed(&closed, PrincipalId::Anonymous, &shut, Some("app")), "");
    let open = bench_with(Settings { anonymous_pull: true, ..settings() }).await;
    assert_eq!(allowed(&open, PrincipalId::Anonymous, &open.registry(), Some("app")), "pr");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_shows_what_its_caller_may_list() {
    let bench = bench().await;
    for repository in ["a", "team/one", "team/two", "z"] {
        bench.push(repository, "v1", &[b"config"]).await;
    }
    let all = ["a", "team/one", "team/two", "z"].map(ToOwned::to_owned);
    for (id, role, pattern, shown) in [
        (1, "Owner", "*", &all[..]),
        (2, "AcrPull", "team/*", &all[1..3]),
        (3, "AcrPush", "z", &all[3..]),
        (4, "AcrDelete", "*", &[]),
    ] {
        let who = principal(&bench, id, role, None, pattern).await;
        let caller = Caller::new(who, Arc::from("somebody"), None);
        let page = bench.core.list_repositories(&bench.registry(), &caller, "", 10).await.unwrap();
        assert_eq!(page.names, shown, "{role} on {pattern}");
    }
    let page = bench.core.list_repositories(&bench.registry(), &Caller::anonymous(), "", 10).await.unwrap();
    assert!(page.names.is_empty());
}

/// A caller who owns everything, and what may be asked of a repository.
async fn owner(bench: &Bench) -> Caller {
    Caller::new(principal(bench, 1, "Owner", None, "*").await, Arc::from("p1"), None)
}

fn access_token(bench: &Bench, caller: &Caller, scopes: &[&str]) -> IssuedToken {
    let scopes: Vec<Scope> = scopes.iter().map(|scope| scope.parse().unwrap()).collect();
    bench.core.issue_access_token(caller, &bench.registry(), "localhost", &scopes).unwrap()
}

async fn bearer(bench: &Bench, token: &str) -> Result<Caller, LoginError> {
    bench.core.authenticate(&bench.registry(), Credential::Bearer { token }, HERE).await.unwrap()
}

async fn is_refused(bench: &Bench, token: &str, why: &str) {
    // Twice: what was refused once must not be remembered as good.
    for _ in 0..2 {
        assert_eq!(bearer(bench, token).await.err(), Some(LoginError::Token), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_bounded_by_its_scope_and_by_its_owner() {
    let bench = bench().await;
    let registry = bench.registry();
    let owner = owner(&bench).await;
    let token = access_token(&bench, &owner, &["repository:team/app:pull,push", "registry:catalog:*"]).token;
    let caller = bearer(&bench, &token).await.unwrap();
    let may = |caller: &Caller, action, repository: Option<&str>| {
        bench.core.permits_action(caller, &registry, action, repository.map(name).as_ref())
    };
    for (action, repository, expected) in [
        (Action::Pull, Some("team/app"), true),
        (Action::Push, Some("team/app"), true),
        (Action::Delete, Some("team/app"), false),
        (Action::Pull, Some("team/other"), false),
        (Action::Catalog, None, true),
    ] {
        assert_eq!(may(&caller, action, repository), expected, "{action:?} {repository:?}");
        assert!(may(&owner, action, repository), "a password is not bounded");
    }
    // A pusher gets no more than he has, whatever he asks for.
    let pusher = Caller::new(principal(&bench, 2, "AcrPush", None, "team/*").await, Arc::from("p2"), None);
    let token = access_token(&bench, &pusher, &["repository:team/app:*", "repository:other:pull"]).token;
    let caller = bearer(&bench, &token).await.unwrap();
    assert!(may(&caller, Action::Push, Some("team/app")));
    assert!(!may(&caller, Action::Delete, Some("team/app")) && !may(&caller, Action::Pull, Some("other")));
    // What is taken from the owner is taken from his tokens.
    principal(&bench, 2, "AcrPull", None, "*").await;
    let caller = bearer(&bench, &token).await.unwrap();
    assert!(!may(&caller, Action::Push, Some("team/app")) && may(&caller, Action::Pull, Some("team/app")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lives_its_time() {
    let bench = bench().await;
    let owner = owner(&bench).await;
    let issued = access_token(&bench, &owner, &["repository:app:pull"]);
    assert_eq!(issued.life, limits::ACCESS_TOKEN_LIFE);
    assert!(bearer(&bench, &issued.token).await.is_ok());
    bench.clock.advance(issued.life - Duration::from_secs(1));
    assert!(bearer(&bench, &issued.token).await.is_ok());
    bench.clock.advance(Duration::from_secs(1));
    is_refused(&bench, &issued.token, "it is over").await;
    // Another node, whose clock is ahead.
    for (ahead, good) in [(limits::TOKEN_SKEW, true), (limits::TOKEN_SKEW + Duration::from_secs(2), false)] {
        let clock = Arc::new(ManualClock::at(bench.clock.now_us()));
        clock.advance(ahead);
        let node = open(Arc::clone(&bench.root), clock, "a boot", settings()).await;
        let early = access_token(&node, &owner, &["repository:app:pull"]).token;
        assert_eq!(bearer(&bench, &early).await.is_ok(), good, "{ahead:?} ahead");
    }
}

/// Anybody gets tokens, as long as he makes them by what he asks for: long ones are checked and not remembered.
#[tokio::test(flavor = "multi_thread")]
async fn only_tokens_of_ordinary_length_are_remembered() {
    let bench = bench().await;
    let (owner, registry) = (owner(&bench).await, bench.registry());
    let scopes = Scope::parse_all(["repository:app:pull"].into_iter());
    for (audience, remembered) in [("localhost".to_owned(), true), ("x".repeat(limits::TOKEN_CACHED_BYTES_MAX), false)]
    {
        let token = bench.core.issue_access_token(&owner, &registry, &audience, &scopes).unwrap().token;
        assert!(bearer(&bench, &token).await.is_ok());
        assert_eq!(bench.core.tokens.knows(&token), remembered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_token_that_was_signed_here_as_it_is_counts() {
    let bench = bench().await;
    let owner = owner(&bench).await;
    let token = access_token(&bench, &owner, &["repository:app:pull"]).token;
    assert!(bearer(&bench, &token).await.is_ok());
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("{token}") };
    // {"typ":"JWT","alg":"none"}
    let none = "eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0";
    is_refused(&bench, &format!("{none}.{payload}."), "unsigned").await;
    is_refused(&bench, &format!("{none}.{payload}.{signature}"), "of no algorithm").await;
    is_refused(&bench, &format!("{header}.{payload}."), "without a signature").await;
    let other = access_token(&bench, &owner, &["repository:app:pull,push,delete"]).token;
    let other_payload = other.split('.').nth(1).unwrap();
    is_refused(&bench, &format!("{header}.{other_payload}.{signature}"), "another's payload").await;
    for position in [0, payload.len() / 2, payload.len() - 1] {
        let mut tampered = payload.as_bytes().to_vec();
        tampered[position] = if tampered[position] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(tampered).unwrap();
        is_refused(&bench, &format!("{header}.{tampered}.{signature}"), "tampered with").await;
    }
    let claims: serde_json::Value = jsonwebtoken::dangerous::insecure_decode(&token).unwrap().claims;
    let shared = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(b"guess"));
    is_refused(&bench, &shared.unwrap(), "of another algorithm").await;
    let elsewhere = crate::fixture::bench().await;
    let foreign = elsewhere.core.keys.load().sign(&claims).unwrap();
    is_refused(&bench, &foreign, "of another key").await;
    let mut issuer = claims.clone();
    issuer["iss"] = "somebody".into();
    let forged = bench.core.keys.load().sign(&issuer).unwrap();
    is_refused(&bench, &forged, "of another issuer").await;
    for nonsense in ["", ".", "..", "a.b.c", "nonsense", &"x".repeat(100_000)] {
        is_refused(&bench, nonsense, "nonsense").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_of_one_registry_and_of_a_principal_that_is_there() {
    let bench = bench().await;
    let owner = owner(&bench).await;
    let token = access_token(&bench, &owner, &["repository:app:pull"]).token;
    let other = bench.core.put_registry(&"other".parse().unwrap(), false).await.unwrap();
    let there = bench.core.authenticate(&other, Credential::Bearer { token: &token }, HERE).await.unwrap();
    assert_eq!(there.err(), Some(LoginError::Token));
    assert!(bearer(&bench, &token).await.is_ok());
    assert!(bench.core.delete_user("p1").await.unwrap());
    assert!(!bench.core.delete_user("p1").await.unwrap());
    is_refused(&bench, &token, "its owner is gone").await;
    principal(&bench, 1, "Owner", None, "*").await;
    let anonymous = access_token(&bench, &Caller::anonymous(), &["repository:app:pull"]).token;
    let caller = bearer(&bench, &anonymous).await.unwrap();
    assert!(caller.is_anonymous());
    assert!(!bench.core.permits_action(&caller, &bench.registry(), Action::Pull, Some(&name("app"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_an_identity_and_no_access() {
    let bench = bench().await;
    let (owner, registry) = (owner(&bench).await, bench.registry());
    let refresh = bench.core.issue_refresh_token(&owner, &registry, "localhost").unwrap();
    is_refused(&bench, &refresh.token, "it gives no access by itself").await;
    let who = bench.core.verify_refresh_token(&registry, &refresh.token).unwrap();
    assert_eq!((who.name(), who.principal), ("p1", owner.principal));
    let access = access_token(&bench, &who, &["repository:app:push"]);
    assert!(bearer(&bench, &access.token).await.is_ok());
    let basic = |password| Credential::Basic { name: "00000000-0000-0000-0000-000000000000", password };
    let by_name = bench.core.authenticate(&registry, basic(&refresh.token), HERE).await.unwrap().unwrap();
    assert_eq!(by_name.name(), "p1");
    let nonsense = bench.core.authenticate(&registry, basic("nonsense"), HERE).await.unwrap();
    assert_eq!(nonsense.err(), Some(LoginError::Token));
    // An access token keeps its bound and its end, whatever is made of it.
    let bounded = bench.core.verify_refresh_token(&registry, &access.token).unwrap();
    let more = access_token(&bench, &bounded, &["repository:app:push,delete", "repository:other:pull"]).token;
    let caller = bearer(&bench, &more).await.unwrap();
    let may = |action, repository| bench.core.permits_action(&caller, &registry, action, Some(&name(repository)));
    assert!(may(Action::Push, "app") && !may(Action::Delete, "app") && !may(Action::Pull, "other"));
    bench.clock.advance(limits::ACCESS_TOKEN_LIFE);
    is_refused(&bench, &more, "it cannot outlive what it was made of").await;
    assert!(bench.core.verify_refresh_token(&registry, &refresh.token).is_ok());
    bench.clock.advance(limits::REFRESH_TOKEN_LIFE);
    assert!(bench.core.verify_refresh_token(&registry, &refresh.token).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_secret_gave_ends_with_it() {
    let bench = bench().await;
    let registry = bench.registry();
    let life = Duration::from_secs(60);
    let secret = NewCredential::Secret { name: "short".to_owned(), life };
    let program = bench.core.create_service_principal("ci", Some(secret), &[]).await.unwrap();
    let (name, password) = (program.app_id.to_string(), program.password.unwrap());
    assert!(log_in(&bench, &name.to_uppercase(), &password).await.is_ok());
    let caller = log_in(&bench, &name, &password).await.unwrap();
    let refresh = bench.core.issue_refresh_token(&caller, &registry, "localhost").unwrap();
    assert_eq!(refresh.life, life);
    let again = bench.core.verify_refresh_token(&registry, &refresh.token).unwrap();
    assert!(bench.core.issue_refresh_token(&again, &registry, "localhost").unwrap().life <= life);
    bench.clock.advance(life);
    assert!(bench.core.verify_refresh_token(&registry, &refresh.token).is_err());
    assert!(log_in(&bench, &name, &password).await.is_err());
}

/// Many who write at once wait for few readings of the policy, and each finds what it wrote in force.
#[tokio::test(flavor = "multi_thread")]
async fn what_many_write_at_once_is_in_force_for_each() {
    let bench = bench().await;
    let made = (1..=32_u8).map(|number| {
        let bench = &bench;
        async move {
            let who = principal(bench, number, "AcrPull", None, "*").await;
            assert_eq!(allowed(bench, who, &bench.registry(), Some("app")), "prc");
        }
    });
    futures_util::future::join_all(made).await;
}

async fn log_in(bench: &Bench, name: &str, password: &str) -> Result<Caller, LoginError> {
    bench.core.authenticate(&bench.registry(), Credential::Basic { name, password }, HERE).await.unwrap()
}

fn everything() -> [Grant; 1] {
    let role = role::built_in_by_id(&role::OWNER).unwrap();
    [Grant { role, registry: None, repositories: RepositoryPattern::All }]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_checked_remembered_and_changed() {
    let bench = bench().await;
    bench.core.put_user("admin", "right", &everything()).await.unwrap();
    assert!(bench.core.has_user("admin") && !bench.core.has_user("nobody"));
    assert_eq!(log_in(&bench, "admin", "wrong").await.err(), Some(LoginError::Password));
    assert_eq!(log_in(&bench, "nobody", "right").await.err(), Some(LoginError::Password));
    // An answer at the first look is one for which nothing was hashed.
    assert!(log_in(&bench, "admin", "right").now_or_never().is_none(), "a first check costs a hash");
    let caller = log_in(&bench, "admin", "right").await.unwrap();
    assert_eq!((caller.name(), caller.is_anonymous()), ("admin", false));
    assert!(log_in(&bench, "admin", "right").now_or_never().unwrap().is_ok(), "a good one is remembered");
    assert!(log_in(&bench, "admin", "wrong").now_or_never().is_none(), "and only that one");
    assert!(log_in(&bench, "nobody", "right").now_or_never().is_none(), "an unknown name costs a hash as well");
    bench.clock.advance(limits::PASSWORD_MEMORY);
    assert!(log_in(&bench, "admin", "right").now_or_never().is_none(), "for a while");
    assert!(bench.core.password_fits("admin", "right").await.unwrap());
    let token = access_token(&bench, &log_in(&bench, "admin", "right").await.unwrap(), &["repository:a:pull"]).token;
    bench.core.put_user("admin", "newer", &everything()).await.unwrap();
    is_refused(&bench, &token, "its owner has another password").await;
    assert_eq!(log_in(&bench, "admin", "right").await.err(), Some(LoginError::Password));
    assert!(!bench.core.password_fits("admin", "right").await.unwrap());
    log_in(&bench, "admin", "newer").await.unwrap();
    bench.core.delete_user("admin").await.unwrap();
    assert_eq!(log_in(&bench, "admin", "newer").await.err(), Some(LoginError::Password), "a memory is not enough");
    for bad in ["", "with space", "with/slash", &"x".repeat(65)] {
        assert!(bench.core.put_user(bad, "right", &[]).await.is_err(), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_held_back_also_of_names_that_are_not_there() {
    let bench = bench().await;
    bench.core.put_user("admin", "right", &everything()).await.unwrap();
    log_in(&bench, "admin", "right").await.unwrap();
    for _ in 0..limits::LOGIN_FAILURES_FREE {
        assert_eq!(log_in(&bench, "nobody", "wrong").await.err(), Some(LoginError::Password));
    }
    let held = log_in(&bench, "nobody", "wrong").now_or_never().expect("a refusal costs no hash").unwrap_err();
    let LoginError::Throttled { retry_after } = held else { panic!("{held:?}") };
    assert!(retry_after > Duration::ZERO && retry_after <= limits::LOGIN_DELAY_MAX);
    assert!(matches!(log_in(&bench, "admin", "guess").await, Err(LoginError::Throttled { .. })), "by address");
    assert!(log_in(&bench, "admin", "right").await.is_ok(), "who has just shown the password goes on");
    bench.clock.advance(retry_after);
    assert_eq!(log_in(&bench, "nobody", "wrong").await.err(), Some(LoginError::Password));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_burst_of_checks_is_bounded() {
    let bench = bench().await;
    let checks: Vec<_> = (0..20)
        .map(|number| {
            let (core, registry) = (Arc::clone(&bench.core), bench.registry());
            let name = format!("nobody{number}");
            tokio::spawn(async move {
                let credential = Credential::Basic { name: &name, password: "wrong" };
                core.authenticate(&registry, credential, HERE).await.unwrap().unwrap_err()
            })
        })
        .collect();
    let mut throttled = 0;
    for check in checks {
        match check.await.unwrap() {
            LoginError::Throttled { .. } => throttled += 1,
            refused => assert_eq!(refused, LoginError::Password),
        }
    }
    assert!(throttled >= 10, "{throttled}");
}
