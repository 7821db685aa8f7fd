//! Tokens that were good once, or are good for something else, over HTTP: each is refused wherever it can be shown, and
//! so is guessing on the pages for people.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use kogge_core::audit::{AuditQuery, Kind};
use kogge_core::identity::Desk;
use kogge_core::identity::issuer::{Fetch, Fetched};
use kogge_core::identity::settings::IdentitySettings;
use kogge_core::{DEFAULT_REGISTRY, Settings};
use kogge_meta::PrincipalKind;
use kogge_server::installation::Installation;
use kogge_testkit::process::Site;
use kogge_types::clock::ManualClock;
use kogge_types::limits::{LOGIN_FAILURES_FREE, MANAGEMENT_TOKEN_LIFE, REFRESH_TOKEN_LIFE};
use kogge_types::{Clock, SystemClock};

use super::*;

/// One token of each kind, all of the same principal.
struct Tokens {
    management: String,
    refresh: String,
    access: String,
}

impl Tokens {
    /// What whoever logs in with `sp` is given.
    async fn of(client: &Client, sp: &(String, String)) -> Self {
        let management = access_token(client, sp, ARM).await;
        let refresh = text(&exchange(client, &management).await.expect_status(200), "refresh_token");
        let access = text(&refreshed(client, &refresh).await.expect_status(200), "access_token");
        Self { management, refresh, access }
    }

    /// The status of every door, each tried with the kind of token that it takes.
    async fn doors(&self, client: &Client) -> [(&'static str, u16); 6] {
        let shown = |token: &str| format!("Bearer {token}");
        let get = async |path: &str, token: &str| client.get(path).header("authorization", shown(token)).send().await;
        let status = |reply: Reply| reply.status.as_u16();
        [
            ("management", status(get("/subscriptions?api-version=2022-12-01", &self.management).await)),
            ("userinfo", status(get("/adfs/userinfo", &self.management).await)),
            ("exchange", status(exchange(client, &self.management).await)),
            ("refresh", status(refreshed(client, &self.refresh).await)),
            ("login", status(get("/v2/", &self.access).await)),
            ("catalog", status(get("/v2/_catalog", &self.access).await)),
        ]
    }
}

async fn refreshed(client: &Client, refresh: &str) -> Reply {
    let scope = "registry:catalog:*";
    let pairs =
        [("grant_type", "refresh_token"), ("service", "localhost"), ("scope", scope), ("refresh_token", refresh)];
    post(client, "/oauth2/token", &pairs).await
}

#[track_caller]
fn expect_all(doors: [(&'static str, u16); 6], status: u16) {
    assert_eq!(doors, doors.map(|(name, _)| (name, status)));
}

/// Trusts no issuer elsewhere, and so asks none.
#[derive(Debug)]
struct NoNetwork;

impl Fetch for NoNetwork {
    fn fetch<'a>(&'a self, url: &'a str) -> Fetched<'a> {
        panic!("{url} is asked for")
    }
}

/// Tokens that an installation gave `ago`, while no server ran on it.
async fn tokens_of(site: &Site, ago: Duration) -> Tokens {
    let ago_us = i64::try_from(ago.as_micros()).expect("it is not that long ago");
    let clock = Arc::new(ManualClock::at(SystemClock.now_us() - ago_us));
    let installation = Installation::open_by(site.data_dir(), Some(Settings::default()), clock).await.expect("opened");
    let core = &installation.core;
    let settings = IdentitySettings { management_audiences: vec![ARM.to_owned()], ..IdentitySettings::default() };
    core.set_identity(settings, Arc::new(NoNetwork));
    let name = format!("ago{}", ago.as_secs());
    core.create_managed_identity(&name, &[role("Owner", "/")]).await.expect("made");
    let desk = Desk { issuer: "http://localhost/adfs", client: IpAddr::V4(Ipv4Addr::LOCALHOST) };
    let given = core.identity_token(&desk, &name).await.expect("a token");
    let registry = core.registry(&DEFAULT_REGISTRY.parse().expect("a name")).expect("the default registry");
    let caller = core.verify_exchange_token(&registry, &given.access_token).await.expect("a login");
    let refresh = core.issue_refresh_token(&caller, &registry, "localhost").expect("a token").token;
    let scope = "registry:catalog:*".parse().expect("a scope");
    let access = core.issue_access_token(&caller, &registry, "localhost", &[scope]).expect("a token").token;
    Tokens { management: given.access_token, refresh, access }
}

#[tokio::test]
async fn a_token_ends_at_every_door() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let site = Site::new(folder.path().join("data"));
    let ended = tokens_of(&site, REFRESH_TOKEN_LIFE + Duration::from_secs(1)).await;
    let half = tokens_of(&site, MANAGEMENT_TOKEN_LIFE + Duration::from_secs(1)).await;
    let good = tokens_of(&site, Duration::ZERO).await;
    let server = site.serve();
    let client = Client::new(server.addr());
    expect_all(good.doors(&client).await, 200);
    expect_all(ended.doors(&client).await, 401);
    // What lives longer is still good.
    let expected = half.doors(&client).await.map(|(name, _)| (name, if name == "refresh" { 200 } else { 401 }));
    assert_eq!(half.doors(&client).await, expected);
}

#[tokio::test]
async fn tokens_end_with_whom_they_were_given_to() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    let sp = service_principal(&registry, "ci", &[role("Owner", "/")]).await;
    let tokens = Tokens::of(&client, &sp).await;
    expect_all(tokens.doors(&client).await, 200);
    registry.core().delete_principal("ci", PrincipalKind::ServicePrincipal).await.expect("deleted");
    expect_all(tokens.doors(&client).await, 401);
    // Nor are they a namesake's.
    let again = service_principal(&registry, "ci", &[role("Owner", "/")]).await;
    expect_all(tokens.doors(&client).await, 401);
    expect_all(Tokens::of(&client, &again).await.doors(&client).await, 200);
}

#[tokio::test]
async fn a_token_opens_its_own_registry_and_its_own_api() {
    let registry = TestRegistry::start().await;
    registry.core().put_registry(&"other".parse().expect("a name"), false).await.expect("a registry");
    let client = registry.anonymous();
    let sp = service_principal(&registry, "ci", &[role("Owner", "/")]).await;
    let tokens = Tokens::of(&client, &sp).await;
    let other = client.with_host("other.localhost");
    for status in [
        refreshed(&other, &tokens.refresh).await.status,
        other.with_bearer(&tokens.access).get("/v2/").send().await.status,
        other.with_bearer(&tokens.management).get("/v2/").send().await.status,
    ] {
        assert_eq!(status, 401);
    }
    // Each in each other's place.
    let Tokens { management, refresh, access } = tokens;
    let swapped = Tokens { management: access.clone(), refresh: management.clone(), access: refresh.clone() };
    expect_all(swapped.doors(&client).await, 401);
    // A registry gives no more for its own tokens than they are good for (edge::tokens); no other API takes one.
    let swapped = Tokens { management: refresh, refresh: access, access: management };
    let is_own = |name: &str| ["exchange", "refresh"].contains(&name);
    let doors = swapped.doors(&client).await;
    assert_eq!(doors, doors.map(|(name, _)| (name, if is_own(name) { 200 } else { 401 })));
    // A stranger's: signed by another installation, word for word the same otherwise.
    let stranger = TestRegistry::start().await;
    let sp = service_principal(&stranger, "ci", &[role("Owner", "/")]).await;
    expect_all(Tokens::of(&stranger.anonymous(), &sp).await.doors(&client).await, 401);
}

#[tokio::test]
async fn a_token_that_was_touched_opens_no_door() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    let sp = service_principal(&registry, "ci", &[role("Owner", "/")]).await;
    let tokens = Tokens::of(&client, &sp).await;
    let encoded = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let header = |token: &str, algorithm: &str| {
        let part = token.split('.').next().expect("a header");
        let mut header: Value =
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON");
        header["alg"] = algorithm.into();
        encoded(&header)
    };
    type Forge<'a> = &'a dyn Fn(&str) -> String;
    let rest = |token: &str| token.split_once('.').expect("parts").1.to_owned();
    let unsigned = |token: &str| token.rsplit_once('.').expect("parts").0.to_owned();
    let forgeries: [(&str, Forge<'_>); 6] = [
        ("unsigned", &|token| format!("{}.", unsigned(token))),
        ("two parts", &|token| unsigned(token)),
        ("alg none", &|token| format!("{}.{}", header(token, "none"), rest(&format!("{}.", unsigned(token))))),
        ("alg none, signed", &|token| format!("{}.{}", header(token, "none"), rest(token))),
        ("alg HS256", &|token| format!("{}.{}", header(token, "HS256"), rest(token))),
        ("longer life", &|token| {
            let parts: Vec<_> = token.split('.').collect();
            let mut claims = claims(token);
            claims["exp"] = i64::MAX.into();
            format!("{}.{}.{}", parts[0], encoded(&claims), parts[2])
        }),
    ];
    for (what, forge) in forgeries {
        let Tokens { management, refresh, access } = &tokens;
        let forged = Tokens { management: forge(management), refresh: forge(refresh), access: forge(access) };
        let doors = forged.doors(&client).await;
        assert_eq!(doors, doors.map(|(name, _)| (name, 401)), "{what}");
    }
    expect_all(tokens.doors(&client).await, 200);
    // Every one is told of, and none is told.
    let query = AuditQuery { kinds: vec![Kind::Denial, Kind::Login], limit: 100, ..AuditQuery::default() };
    let told = registry.core().audit().query(query).await.expect("the audit answers").records;
    assert!(told.len() >= 6 * 3, "{} events", told.len());
    let told = format!("{told:?}");
    for token in [&tokens.management, &tokens.refresh, &tokens.access] {
        assert!(!told.contains(token.rsplit('.').next().expect("a signature")));
    }
}

#[tokio::test]
async fn guessing_on_the_pages_is_held_back() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    let query = form(&[
        ("client_id", AZURE_CLI),
        ("response_type", "code"),
        ("redirect_uri", "http://localhost:8400/"),
        ("scope", "https://management.localhost/.default"),
        ("code_challenge", challenge().as_str()),
        ("code_challenge_method", "S256"),
    ]);
    let path = format!("/adfs/oauth2/authorize?{query}");
    let page = client.get(&path).send().await.expect_status(200);
    let cookie = page.header("set-cookie").expect("a cookie").split(';').next().expect("a pair").to_owned();
    let form_token = cookie.split_once('=').expect("a value").1.to_owned();
    let attempt = async |password: &str| {
        let pairs = [("token", form_token.as_str()), ("username", "admin"), ("password", password)];
        client.post(&path).header("cookie", &cookie).body(form(&pairs)).send().await
    };
    let mut held = 0;
    for number in 0..LOGIN_FAILURES_FREE + 20 {
        let reply = attempt(&format!("guess {number}")).await;
        assert_eq!(reply.header("location"), None);
        held += u32::from(reply.status == 429 || reply.text().contains("Too many"));
    }
    assert!(held > 0, "nobody is held back");
    // Who is held back does not learn whether a guess was right.
    assert_eq!(attempt(registry.admin_password()).await.header("location"), None);
}
