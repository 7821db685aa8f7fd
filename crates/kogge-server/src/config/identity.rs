//! `[identity]`: whom the authority serves, and which other issuers are trusted beside it.

use std::path::PathBuf;
use std::time::Duration;

use kogge_core::identity::issuer::may_fetch;
use kogge_core::identity::settings::{IdentitySettings, OutsideIssuer, PublicClient};
use kogge_types::{ResourceId, limits};
use serde::{Deserialize, Serialize, Serializer};

use super::problem::Problems;
use super::quantity::write_duration;
use super::raw::RawDuration;

/// The audience that Azure's clients ask for when they log in to a registry.
const REGISTRY_AUDIENCE: &str = "https://containerregistry.azure.net";
/// Programs that everybody's people log in with: the Azure CLI (and Azure's libraries), Azure PowerShell, our own.
const WELL_KNOWN_CLIENTS: [(&str, &str); 3] = [
    ("04b07795-8ddb-461a-bbee-02f9e1bf7b46", "Azure CLI"),
    ("1950a258-227b-4e31-a9cf-717495945fc2", "Azure PowerShell"),
    ("6b6f6767-6500-4c69-8e65-000000000001", "the Kogge command line"),
];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawIdentity {
    pub(super) management_audiences: Option<Vec<String>>,
    pub(super) registry_audiences: Option<Vec<String>>,
    pub(super) directory_audiences: Option<Vec<String>>,
    pub(super) key_life: Option<RawDuration>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) loopback_issuers: Option<bool>,
    pub(super) issuer: Option<Vec<RawIssuer>>,
    pub(super) client: Option<Vec<RawClient>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawIssuer {
    issuer: String,
    audiences: Vec<String>,
    principal_claim: Option<String>,
    groups_claim: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawClient {
    id: String,
    name: String,
    redirect_uris: Option<Vec<String>>,
    loopback: Option<bool>,
}

/// Whom the authority serves, and which other issuers are trusted beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Identity {
    /// Audiences of tokens for the management API; the first is what clients are told. Default
    /// `https://management.<domain>`.
    pub management_audiences: Vec<String>,
    /// Audiences of tokens for a registry's login. Default `https://containerregistry.azure.net`.
    pub registry_audiences: Vec<String>,
    /// Audiences of tokens for the directory API. Default `https://graph.<domain>`.
    pub directory_audiences: Vec<String>,
    /// How long a key signs before the next one is made. Default 90 days.
    #[serde(serialize_with = "write_duration")]
    pub key_life: Duration,
    /// PEM file of further authorities that are believed when an issuer is asked for its keys. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Lets issuers be asked over plain HTTP on this machine itself. Default false.
    pub loopback_issuers: bool,
    /// Other issuers whose tokens are taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issuer: Vec<Issuer>,
    /// Programs that people log in with, beside the Azure CLI and Azure PowerShell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub client: Vec<Client>,
}

/// Another issuer whose tokens are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Issuer {
    /// As its tokens write it.
    pub issuer: String,
    /// What its tokens must be for.
    pub audiences: Vec<String>,
    /// The claim that holds the principal's id. Default `oid`.
    pub principal_claim: String,
    /// The claim that holds the ids of the principal's groups. Default `groups`.
    pub groups_claim: String,
}

/// A program that people log in with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Client {
    #[serde(serialize_with = "write_id")]
    pub id: ResourceId,
    /// What the sign-in page calls it.
    pub name: String,
    /// Where the browser may be sent back to: exactly these.
    pub redirect_uris: Vec<String>,
    /// Lets the browser be sent back to any port of its own machine. Default false.
    pub loopback: bool,
}

fn write_id<S: Serializer>(id: &ResourceId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

impl Identity {
    pub(super) fn check(raw: RawIdentity, domain: &str, problems: &mut Problems) -> Self {
        let or = |audiences: Option<Vec<String>>, default: String| audiences.unwrap_or_else(|| vec![default]);
        let key_life = raw.key_life.map_or(limits::SIGNING_KEY_LIFE_DEFAULT, |life| life.0);
        if key_life < Duration::from_secs(60 * 60) {
            problems.add("identity.key-life", "is at least \"1h\": every key stays until its last token has ended");
        }
        let loopback_issuers = raw.loopback_issuers.unwrap_or(false);
        let issuers = raw.issuer.unwrap_or_default().into_iter();
        let clients = raw.client.unwrap_or_default().into_iter();
        let identity = Self {
            management_audiences: or(raw.management_audiences, format!("https://management.{domain}")),
            registry_audiences: or(raw.registry_audiences, REGISTRY_AUDIENCE.to_owned()),
            directory_audiences: or(raw.directory_audiences, format!("https://graph.{domain}")),
            key_life,
            ca_file: raw.ca_file,
            loopback_issuers,
            issuer: issuers.map(|issuer| Issuer::check(issuer, loopback_issuers, problems)).collect(),
            client: clients.filter_map(|client| Client::check(client, problems)).collect(),
        };
        identity.check_audiences(problems);
        identity
    }

    fn check_audiences(&self, problems: &mut Problems) {
        let lists = [
            ("management-audiences", &self.management_audiences),
            ("registry-audiences", &self.registry_audiences),
            ("directory-audiences", &self.directory_audiences),
        ];
        let mut seen: Vec<&str> = Vec::new();
        for (key, audiences) in lists {
            let key = format!("identity.{key}");
            if audiences.is_empty() {
                problems.add(&key, "name at least one audience");
            }
            for audience in audiences {
                let plain = audience.trim_end_matches('/');
                if plain.is_empty() {
                    problems.add(&key, format!("{audience:?} is no audience"));
                } else if seen.contains(&plain) {
                    // One token would be good for two things.
                    problems.add(&key, format!("{audience:?} is given twice"));
                }
                seen.push(plain);
            }
        }
    }
}

impl Issuer {
    fn check(raw: RawIssuer, loopback: bool, problems: &mut Problems) -> Self {
        let key = "identity.issuer";
        if !may_fetch(&raw.issuer, loopback) {
            problems.add(
                key,
                format!("{:?}: write https://… (http:// on this machine itself takes loopback-issuers)", raw.issuer),
            );
        }
        if raw.audiences.is_empty() {
            problems.add(key, format!("{:?}: name the audiences that its tokens must be for", raw.issuer));
        }
        Self {
            issuer: raw.issuer,
            audiences: raw.audiences,
            principal_claim: raw.principal_claim.unwrap_or_else(|| "oid".to_owned()),
            groups_claim: raw.groups_claim.unwrap_or_else(|| "groups".to_owned()),
        }
    }
}

impl Client {
    fn check(raw: RawClient, problems: &mut Problems) -> Option<Self> {
        let key = "identity.client";
        let uris = raw.redirect_uris.unwrap_or_default();
        for uri in &uris {
            let whole = (uri.starts_with("https://") || uri.starts_with("http://"))
                && !uri.contains('#')
                && uri.bytes().all(|b| b.is_ascii_graphic());
            if !whole {
                problems.add(key, format!("{uri:?} is no redirect URI: write https://HOST/PATH"));
            }
        }
        match raw.id.parse() {
            Ok(id) => Some(Self { id, name: raw.name, redirect_uris: uris, loopback: raw.loopback.unwrap_or(false) }),
            Err(_) => {
                problems.add(key, format!("{:?} is no id: write a UUID", raw.id));
                None
            }
        }
    }
}

impl From<&Identity> for IdentitySettings {
    fn from(identity: &Identity) -> Self {
        let well_known = WELL_KNOWN_CLIENTS.iter().map(|(id, name)| PublicClient {
            id: id.parse().expect("a UUID"),
            name: (*name).to_owned(),
            loopback: true,
            redirect_uris: Vec::new(),
        });
        let configured = identity.client.iter().map(|client| PublicClient {
            id: client.id,
            name: client.name.clone(),
            loopback: client.loopback,
            redirect_uris: client.redirect_uris.clone(),
        });
        let issuers = identity.issuer.iter().map(|issuer| OutsideIssuer {
            issuer: issuer.issuer.clone(),
            audiences: issuer.audiences.clone(),
            principal_claim: issuer.principal_claim.clone(),
            groups_claim: issuer.groups_claim.clone(),
        });
        Self {
            management_audiences: identity.management_audiences.clone(),
            registry_audiences: identity.registry_audiences.clone(),
            directory_audiences: identity.directory_audiences.clone(),
            // What an operator says of a client goes before what everybody knows of it.
            clients: configured.chain(well_known).collect(),
            issuers: issuers.collect(),
            loopback_issuers: identity.loopback_issuers,
            key_life: identity.key_life,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Identity, String> {
        let mut problems = Problems::default();
        let raw: RawIdentity = toml::from_str(text).map_err(|error| error.to_string())?;
        let identity = Identity::check(raw, "example.com", &mut problems);
        problems.into_result().map(|()| identity).map_err(|errors| errors.to_string())
    }

    #[test]
    fn defaults_serve_azures_clients() {
        let identity = check("").expect("defaults");
        assert_eq!(identity.management_audiences, ["https://management.example.com"]);
        let settings = IdentitySettings::from(&identity);
        assert_eq!(settings.clients.len(), 3);
        assert!(settings.clients[0].may_return_to("http://localhost:8400/"));
        assert!(!settings.loopback_issuers);
    }

    #[test]
    fn issuers_and_clients_are_checked() {
        let good = "[[issuer]]\nissuer = 'https://login.example.com/v2.0'\naudiences = ['api://kogge']\n\
                    [[client]]\nid = 'a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf'\nname = 'Portal'\n\
                    redirect-uris = ['https://p.example.com/']";
        let identity = check(good).expect("good");
        assert_eq!(identity.issuer[0].principal_claim, "oid");
        assert_eq!(identity.client[0].redirect_uris, ["https://p.example.com/"]);
        for (bad, word) in [
            ("[[issuer]]\nissuer = 'http://login.example.com'\naudiences = ['a']", "https://"),
            ("[[issuer]]\nissuer = 'http://127.0.0.1/'\naudiences = ['a']", "loopback-issuers"),
            ("[[issuer]]\nissuer = 'https://a'\naudiences = []", "audiences"),
            ("[[issuer]]\nissuer = 'https://a'\naudience = 'x'", "unknown field"),
            ("[[client]]\nid = 'x'\nname = 'y'", "UUID"),
            ("[[client]]\nid = 'a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf'\nname = 'y'\nredirect-uris = ['x']", "redirect"),
            ("registry-audiences = []", "at least one"),
            ("registry-audiences = ['https://management.example.com/']", "twice"),
            ("key-life = '5m'", "1h"),
        ] {
            let problems = check(bad).expect_err(bad);
            assert!(problems.contains(word), "{bad}: {problems}");
        }
        assert!(
            check("loopback-issuers = true\n[[issuer]]\nissuer = 'http://127.0.0.1:1/adfs'\naudiences = ['a']").is_ok()
        );
    }
}
