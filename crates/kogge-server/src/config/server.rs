//! `[server]`: where the registry listens, keeps its data, and what it is called.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize, Serializer};

use super::host::{self, ExternalUrl};
use super::problem::Problems;

/// The port that is used when none is configured.
const PORT_DEFAULT: u16 = 5000;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawServer {
    pub(super) data_dir: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) domain: Option<String>,
    pub(super) listen: Option<Vec<String>>,
    pub(super) region: Option<String>,
    pub(super) tls: Option<String>,
    pub(super) trusted_proxies: Option<Vec<String>>,
    pub(super) external_url: Option<String>,
    pub(super) default_hosts: Option<Vec<String>>,
    pub(super) insecure_http: Option<bool>,
}

/// Where the registry listens, keeps its data, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Server {
    /// Folder that holds everything the registry keeps. Default `./kogge-data`.
    pub data_dir: PathBuf,
    /// File of 32 bytes, the key that seals secrets. Default: `secret.key` in the data directory, made on the first
    /// start. One that is named here must be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Login servers are `<registry>.<domain>`; the bare domain is the default registry. Default `localhost`.
    pub domain: String,
    /// Addresses to listen on; port 0 picks a free one. Default `127.0.0.1:5000`.
    pub listen: Vec<SocketAddr>,
    /// Name of this deployment among its peers, in the form of an ARM location. Default `home`.
    pub region: String,
    /// `off`, `auto` or `CERT,KEY`. Default `off`.
    pub tls: TlsMode,
    /// Networks whose `X-Forwarded-*` headers are believed. Default none.
    #[serde(serialize_with = "write_networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// The address that clients use, where a proxy hides it. Default none: the request's own host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_url: Option<ExternalUrl>,
    /// Hosts that get the default registry, beside the domain, `localhost` and IP addresses. Default none.
    pub default_hosts: Vec<String>,
    /// Allows plain HTTP on an address that other machines can reach. Default false.
    pub insecure_http: bool,
}

/// How the listeners encrypt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsMode {
    Off,
    /// Certificates of a local authority that is made on the first start.
    Auto,
    /// PEM files, read again when they change.
    Files {
        certificate: PathBuf,
        key: PathBuf,
    },
}

impl TlsMode {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "off" => Some(Self::Off),
            "auto" => Some(Self::Auto),
            _ => {
                let (certificate, key) = text.split_once(',')?;
                let (certificate, key) = (certificate.trim(), key.trim());
                let whole = !certificate.is_empty() && !key.is_empty();
                whole.then(|| Self::Files { certificate: certificate.into(), key: key.into() })
            }
        }
    }
}

impl Serialize for TlsMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::Auto => serializer.serialize_str("auto"),
            Self::Files { certificate, key } => {
                serializer.collect_str(&format_args!("{},{}", certificate.display(), key.display()))
            }
        }
    }
}

impl Server {
    pub(super) fn check(raw: RawServer, problems: &mut Problems) -> Self {
        let server = Self {
            data_dir: raw.data_dir.unwrap_or_else(|| "./kogge-data".into()),
            key_file: raw.key_file,
            domain: domain(raw.domain, problems),
            listen: listen(raw.listen, problems),
            region: region(raw.region, problems),
            tls: tls(raw.tls, problems),
            trusted_proxies: networks(raw.trusted_proxies, problems),
            external_url: external_url(raw.external_url, problems),
            default_hosts: default_hosts(raw.default_hosts, problems),
            insecure_http: raw.insecure_http.unwrap_or(false),
        };
        server.check_exposure(problems);
        server
    }

    /// Passwords and tokens must not cross a network in clear by accident.
    fn check_exposure(&self, problems: &mut Problems) {
        let allowed = self.tls != TlsMode::Off || !self.trusted_proxies.is_empty() || self.insecure_http;
        if allowed {
            return;
        }
        for address in self.listen.iter().filter(|address| !address.ip().to_canonical().is_loopback()) {
            let message = format!(
                "{address} can be reached from other machines, in clear: use --tls auto or --tls CERT,KEY, name the \
                 proxy that does TLS with --trusted-proxy, or allow it with --insecure-http"
            );
            problems.add("server.listen", message);
        }
    }
}

fn domain(raw: Option<String>, problems: &mut Problems) -> String {
    let domain = raw.unwrap_or_else(|| "localhost".to_owned()).to_ascii_lowercase();
    if !host::is_name(&domain) || host::is_address(&domain) {
        problems.add("server.domain", format!("{domain:?} is no domain: write a name such as registry.example.com"));
    }
    domain
}

fn listen(raw: Option<Vec<String>>, problems: &mut Problems) -> Vec<SocketAddr> {
    let Some(texts) = raw else { return vec![SocketAddr::from(([127, 0, 0, 1], PORT_DEFAULT))] };
    if texts.is_empty() {
        problems.add("server.listen", "name at least one address");
    }
    let mut addresses = Vec::with_capacity(texts.len());
    for text in texts {
        match text.trim().parse() {
            Ok(address) => addresses.push(address),
            Err(_) => problems.add(
                "server.listen",
                format!("{text:?} is no address: write IP:PORT, such as 127.0.0.1:5000, 0.0.0.0:5000 or [::]:5000"),
            ),
        }
    }
    addresses
}

fn region(raw: Option<String>, problems: &mut Problems) -> String {
    let region = raw.unwrap_or_else(|| "home".to_owned());
    let fits = (1..=50).contains(&region.len())
        && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && region.starts_with(|c: char| c.is_ascii_lowercase());
    if !fits {
        problems.add("server.region", format!("{region:?} is no region: up to 50 lower-case letters and digits"));
    }
    region
}

fn tls(raw: Option<String>, problems: &mut Problems) -> TlsMode {
    let Some(text) = raw else { return TlsMode::Off };
    TlsMode::parse(text.trim()).unwrap_or_else(|| {
        problems.add("server.tls", format!("{text:?}: write off, auto or CERT,KEY (two paths of PEM files)"));
        TlsMode::Off
    })
}

fn networks(raw: Option<Vec<String>>, problems: &mut Problems) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for text in raw.unwrap_or_default() {
        let text = text.trim();
        let network =
            text.parse::<IpNet>().ok().or_else(|| text.parse().ok().map(|address: IpAddr| IpNet::from(address)));
        match network {
            Some(network) => networks.push(network),
            None => problems.add("server.trusted-proxies", format!("{text:?} is no network: write 10.0.0.0/8")),
        }
    }
    networks
}

fn write_networks<S: Serializer>(networks: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(networks.iter().map(IpNet::to_string))
}

fn external_url(raw: Option<String>, problems: &mut Problems) -> Option<ExternalUrl> {
    let text = raw?;
    text.trim().parse().map_err(|error| problems.add("server.external-url", format!("{text:?}: {error}"))).ok()
}

fn default_hosts(raw: Option<Vec<String>>, problems: &mut Problems) -> Vec<String> {
    let mut hosts = Vec::new();
    for text in raw.unwrap_or_default() {
        let host = text.trim().to_ascii_lowercase();
        if host::is_name(&host) {
            hosts.push(host);
        } else {
            problems.add("server.default-hosts", format!("{text:?} is no host name (write it without a port)"));
        }
    }
    hosts
}
