//! Assertions that clients sign with their certificates, and what is wrong with most of them.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use kogge_types::digest::hex;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::json;

use super::*;
use crate::identity::certificate::Certificate;

/// A key with its certificate.
struct Pair {
    key: KeyPair,
    der: Vec<u8>,
}

impl Pair {
    fn new(key: KeyPair, last_year: i32) -> Self {
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { key, der }
    }

    fn rsa() -> Self {
        Self::new(KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap(), 2099)
    }

    fn ec() -> Self {
        Self::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(), 2099)
    }

    fn x5t(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Certificate::read(&self.der).unwrap().sha1)
    }

    fn sign(&self, header: Value, claims: &Value) -> String {
        let text = format!("{}.{}", encode(&header), encode(claims));
        let (pkcs8, random) = (self.key.serialize_der(), SystemRandom::new());
        let by_rsa = |encoding: &'static dyn RsaEncoding| {
            let key = RsaKeyPair::from_pkcs8(&pkcs8).unwrap();
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(encoding, &random, text.as_bytes(), &mut signature).unwrap();
            signature
        };
        let signature = match header["alg"].as_str().unwrap() {
            "RS256" => by_rsa(&RSA_PKCS1_SHA256),
            "PS256" => by_rsa(&RSA_PSS_SHA256),
            "ES256" => {
                let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).unwrap();
                key.sign(&random, text.as_bytes()).unwrap().as_ref().to_vec()
            }
            _ => Vec::new(),
        };
        format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

/// An authority with a service principal that has this certificate.
async fn authority_with(pair: &Pair) -> (Bench, String) {
    let bench = authority().await;
    let certificate = NewCredential::Certificate { name: "c".to_owned(), der: pair.der.clone() };
    let enrolled = bench.core.create_service_principal("ci", Some(certificate), &[owner()]).await.unwrap();
    assert_eq!(enrolled.password, None);
    (bench, enrolled.app_id.to_string())
}

/// What the Azure CLI says, times in fractions of a second and all; each with an id of its own.
fn says(core: &Core, id: &str) -> Value {
    let now = core.now_us() as f64 / 1e6;
    json!({
        "aud": format!("{ISSUER}/oauth2/token"), "iss": id, "sub": id, "exp": now + 600.0, "iat": now,
        "jti": ResourceId::from_bytes(core.new_id()),
    })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

async fn show(core: &Core, id: &str, assertion: &str) -> Granted<TokenSet> {
    core.client_credentials(&desk(), id, ClientProof::Assertion(assertion), &wanted(ARM)).await
}

#[tokio::test]
async fn each_way_to_sign_and_to_name_the_certificate_is_taken() {
    let rsa = Pair::rsa();
    let (bench, id) = authority_with(&rsa).await;
    let core = &bench.core;
    let certificate = Certificate::read(&rsa.der).unwrap();
    let sha256 = BASE64_URL_SAFE_NO_PAD.encode(certificate.sha256);
    for header in [
        json!({ "alg": "RS256", "typ": "JWT", "x5t": format!("{}=", rsa.x5t()) }),
        json!({ "alg": "RS256", "x5t": rsa.x5t() }),
        json!({ "alg": "PS256", "x5t#S256": sha256 }),
        json!({ "alg": "RS256", "kid": hex(&certificate.sha1).to_uppercase() }),
        json!({ "alg": "PS256", "kid": rsa.x5t() }),
    ] {
        let tokens = show(core, &id, &rsa.sign(header.clone(), &says(core, &id))).await;
        let tokens = tokens.unwrap_or_else(|error| panic!("{header}: {error}"));
        assert!(core.verify_management_token(&tokens.access_token).await.is_ok());
    }
    for audience in [ISSUER.to_owned(), ISSUER.replace("https", "http"), format!("{ISSUER}/")] {
        let claims = with(says(core, &id), "aud", json!([audience, "another"]));
        assert!(show(core, &id, &rsa.sign(json!({ "alg": "RS256", "x5t": rsa.x5t() }), &claims)).await.is_ok());
    }
    let ec = Pair::ec();
    let (bench, id) = authority_with(&ec).await;
    let assertion = ec.sign(json!({ "alg": "ES256", "x5t": ec.x5t() }), &says(&bench.core, &id));
    assert!(show(&bench.core, &id, &assertion).await.is_ok());
}

#[tokio::test]
async fn an_assertion_is_taken_once() {
    let rsa = Pair::rsa();
    let (bench, id) = authority_with(&rsa).await;
    let header = json!({ "alg": "RS256", "x5t": rsa.x5t() });
    let claims = says(&bench.core, &id);
    let assertion = rsa.sign(header.clone(), &claims);
    let (one, two) = tokio::join!(show(&bench.core, &id, &assertion), show(&bench.core, &id, &assertion));
    assert_eq!([&one, &two].iter().filter(|outcome| outcome.is_ok()).count(), 1);
    bench.clock.advance(Duration::from_secs(60));
    assert_eq!(word(show(&bench.core, &id, &assertion).await), Word::InvalidClient);
    bench.core.purge_grants().await.unwrap();
    assert_eq!(word(show(&bench.core, &id, &assertion).await), Word::InvalidClient, "remembered while it could live");
    let again = rsa.sign(header, &with(claims, "name", json!("another text, the same id")));
    assert_eq!(word(show(&bench.core, &id, &again).await), Word::InvalidClient);
}

#[tokio::test]
async fn whatever_is_wrong_with_an_assertion_it_is_refused() {
    let (rsa, stranger) = (Pair::rsa(), Pair::rsa());
    let (bench, id) = authority_with(&rsa).await;
    let core = &bench.core;
    let now = core.now_us() / 1_000_000;
    let good = json!({ "alg": "RS256", "x5t": rsa.x5t() });
    let claims = says(core, &id);
    let without = |name: &str| {
        let mut claims = says(core, &id);
        claims.as_object_mut().unwrap().remove(name);
        rsa.sign(good.clone(), &claims)
    };
    let changed = |name: &str, value: Value| rsa.sign(good.clone(), &with(says(core, &id), name, value));
    let other = "a0a1a2a3-a4a5-46a7-a8a9-aaabacadaeaf";
    let bad = [
        ("another key", stranger.sign(good.clone(), &claims)),
        ("another certificate", stranger.sign(json!({ "alg": "RS256", "x5t": stranger.x5t() }), &claims)),
        ("no certificate named", rsa.sign(json!({ "alg": "RS256" }), &claims)),
        ("unsigned", rsa.sign(json!({ "alg": "none", "x5t": rsa.x5t() }), &claims)),
        ("a MAC", rsa.sign(json!({ "alg": "HS256", "x5t": rsa.x5t() }), &claims)),
        ("a header to be understood", rsa.sign(json!({ "alg": "RS256", "x5t": rsa.x5t(), "crit": ["x"] }), &claims)),
        ("another audience", changed("aud", json!("https://other.example.com/adfs/oauth2/token"))),
        ("another end point", changed("aud", json!(format!("{ISSUER}/oauth2/devicecode")))),
        ("no audience", without("aud")),
        ("another subject", changed("sub", json!(other))),
        ("another issuer", changed("iss", json!(other))),
        ("no end", without("exp")),
        ("ended", changed("exp", json!(now - 61))),
        ("too long a life", changed("exp", json!(now + 600 + 120))),
        ("not yet", changed("nbf", json!(now + 120))),
        ("no id", without("jti")),
        ("an empty id", changed("jti", json!(""))),
        ("no token", "x".to_owned()),
    ];
    for (number, (what, assertion)) in (1..).zip(bad) {
        // Each from its own address, so that none is merely held back.
        let desk = Desk { client: IpAddr::V4(Ipv4Addr::new(10, 0, 0, number)), ..desk() };
        let outcome = core.client_credentials(&desk, &id, ClientProof::Assertion(&assertion), &wanted(ARM)).await;
        assert_eq!(word(outcome), Word::InvalidClient, "{what}");
    }
    assert!(show(core, &id, &rsa.sign(good.clone(), &says(core, &id))).await.is_ok(), "the good one is good");
    assert_eq!(word(show(core, other, &rsa.sign(good, &says(core, &id))).await), Word::InvalidClient);
}

#[tokio::test]
async fn guessing_assertions_is_held_back() {
    let rsa = Pair::rsa();
    let (bench, id) = authority_with(&rsa).await;
    let mut held = 0;
    for _ in 0..20 {
        held += u32::from(refusal(show(&bench.core, &id, "a.b.c").await).retry_after.is_some());
    }
    assert!(held >= 14, "{held}");
}

#[tokio::test]
async fn certificates_end_and_are_replaced() {
    let (old, new) = (Pair::rsa(), Pair::rsa());
    let (bench, id) = authority_with(&old).await;
    let core = &bench.core;
    let ask = async |pair: &Pair| {
        let assertion = pair.sign(json!({ "alg": "RS256", "x5t": pair.x5t() }), &says(core, &id));
        show(core, &id, &assertion).await
    };
    let certificate = |pair: &Pair| NewCredential::Certificate { name: "c".to_owned(), der: pair.der.clone() };
    assert!(ask(&new).await.is_err());
    core.add_credential(&id, certificate(&new)).await.unwrap();
    assert!(ask(&old).await.is_ok() && ask(&new).await.is_ok(), "both, while they are exchanged");
    core.reset_credentials(&id, certificate(&new)).await.unwrap();
    assert!(ask(&old).await.is_err());
    assert!(ask(&new).await.is_ok());
    bench.clock.advance(80 * YEAR);
    assert!(ask(&new).await.is_err(), "ended");
    let ended = Pair::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(), 2001);
    assert_eq!(
        crate::fixture::code(core.add_credential(&id, certificate(&ended)).await),
        kogge_types::Code::NameInvalid
    );
}

#[test]
fn certificates_are_read_or_refused() {
    for pair in [Pair::rsa(), Pair::ec()] {
        let read = Certificate::read(&pair.der).unwrap();
        assert_eq!(read.not_before_us, 946_684_800 * 1_000_000);
        assert!(read.not_after_us > 4_000_000_000 * 1_000_000);
        for end in 0..pair.der.len() {
            assert!(Certificate::read(&pair.der[..end]).is_err());
        }
        assert!(Certificate::read(&[pair.der.as_slice(), &[0]].concat()).is_err(), "something behind it");
        for place in 0..pair.der.len() {
            let mut changed = pair.der.clone();
            for flip in [0x01, 0x80, 0xff] {
                changed[place] ^= flip;
                // Whatever it is taken for, it is no certificate that is registered.
                assert!(
                    Certificate::read(&changed).is_ok_and(|other| other.sha1 == read.sha1) == (changed == pair.der)
                );
            }
        }
    }
    let p384 = Pair::new(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(), 2099);
    assert!(Certificate::read(&p384.der).is_err(), "a curve that is not taken");
    assert!(Certificate::read(b"-----BEGIN CERTIFICATE-----").is_err());
}
