//! Certificates of the local authority, issued when a client asks for a name that this server answers to.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kogge_types::Clock;
use kogge_types::clock::micros;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType};
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::PrivateKeyDer;

use super::TlsError;
use super::authority::Authority;
use crate::config::{Server, host};

/// How long an issued certificate is valid; some clients refuse more than 398 days.
const LIFE: Duration = Duration::from_secs(90 * 86_400);
/// How long before its end a certificate is issued anew.
const RENEWAL: Duration = Duration::from_secs(30 * 86_400);
/// How far the clock of a client may be behind.
const BACKDATE: Duration = Duration::from_secs(3_600);
/// Certificates kept; all are forgotten when there would be more.
const CACHE_ENTRIES_MAX: usize = 256;

/// The names that this server answers to.
#[derive(Debug)]
pub(super) struct Names {
    domain_suffix: String,
    exact: HashSet<String>,
}

impl Names {
    pub(super) fn of(server: &Server) -> Self {
        let mut exact = HashSet::from(["localhost".to_owned(), server.domain.clone()]);
        exact.extend(server.default_hosts.iter().cloned());
        exact.extend(server.external_url.iter().map(|url| url.host.clone()).filter(|host| host::is_name(host)));
        Self { domain_suffix: format!(".{}", server.domain), exact }
    }

    fn include(&self, name: &str) -> bool {
        self.exact.contains(name) || name.ends_with(&self.domain_suffix)
    }
}

/// Issues certificates and remembers them.
#[derive(Debug)]
pub(super) struct Issuer {
    authority: Authority,
    names: Names,
    clock: Arc<dyn Clock>,
    issued: Mutex<HashMap<Subject, Issued>>,
}

/// Whom a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    Name(String),
    /// A client that names no host reached this address.
    Address(Option<IpAddr>),
}

#[derive(Debug)]
struct Issued {
    key: Arc<CertifiedKey>,
    renew_at_us: i64,
}

/// An issuer that knows which address the client reached.
#[derive(Debug)]
pub(super) struct AtAddress {
    issuer: Arc<Issuer>,
    local: Option<IpAddr>,
}

impl ResolvesServerCert for AtAddress {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let subject = match hello.server_name() {
            Some(name) => Subject::Name(name.to_ascii_lowercase()),
            None => Subject::Address(self.local),
        };
        self.issuer.certificate(subject)
    }
}

impl Issuer {
    pub(super) fn new(authority: Authority, names: Names, clock: Arc<dyn Clock>) -> Self {
        Self { authority, names, clock, issued: Mutex::default() }
    }

    pub(super) fn for_address(self: &Arc<Self>, local: Option<IpAddr>) -> AtAddress {
        AtAddress { issuer: self.clone(), local }
    }

    pub(super) fn authority_path(&self) -> &Path {
        &self.authority.path
    }

    #[cfg(test)]
    pub(super) fn certificate_for_name(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.certificate(Subject::Name(name.to_owned()))
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The certificate for a subject, `None` for names that are not this server's.
    fn certificate(&self, subject: Subject) -> Option<Arc<CertifiedKey>> {
        if let Subject::Name(name) = &subject
            && !(host::is_name(name) && self.names.include(name))
        {
            tracing::debug!(%name, "no certificate for a name that is not this server's");
            return None;
        }
        let now_us = self.clock.now_us();
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = issued.get(&subject)
            && now_us < known.renew_at_us
        {
            return Some(known.key.clone());
        }
        let key = match self.issue(&subject) {
            Ok(key) => Arc::new(key),
            Err(error) => {
                tracing::error!(%error, ?subject, "cannot issue a certificate");
                return None;
            }
        };
        if issued.len() >= CACHE_ENTRIES_MAX {
            issued.clear();
        }
        let renew_at_us = now_us + micros(LIFE - RENEWAL);
        issued.insert(subject, Issued { key: key.clone(), renew_at_us });
        Some(key)
    }

    fn issue(&self, subject: &Subject) -> Result<CertifiedKey, TlsError> {
        let mut params = CertificateParams::default();
        let (common_name, alternatives) = self.alternatives(subject)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.subject_alt_names = alternatives;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        set_validity(&mut params, &*self.clock, LIFE);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.authority.issuer)?;
        let chain = vec![certificate.der().clone(), self.authority.certificate.clone()];
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()).map_err(TlsError::Pair)
    }

    /// A name's certificate is for that name; an address's is for every way to reach this server without naming it.
    fn alternatives(&self, subject: &Subject) -> Result<(String, Vec<SanType>), TlsError> {
        let address = match subject {
            Subject::Name(name) => {
                let short = if name.len() <= COMMON_NAME_CHARS_MAX { name } else { "kogge" };
                return Ok((short.to_owned(), vec![SanType::DnsName(name.as_str().try_into()?)]));
            }
            Subject::Address(address) => address,
        };
        let mut names: Vec<&String> = self.names.exact.iter().collect();
        names.sort();
        let names = names.into_iter().map(|name| Ok(SanType::DnsName(name.as_str().try_into()?)));
        let loopback = [[127, 0, 0, 1].into(), IpAddr::from(std::net::Ipv6Addr::LOCALHOST)];
        let addresses = loopback.into_iter().chain(address.filter(|ip| !loopback.contains(ip)));
        let all: Result<Vec<_>, rcgen::Error> = names.chain(addresses.map(|ip| Ok(SanType::IpAddress(ip)))).collect();
        Ok(("kogge".to_owned(), all?))
    }
}

/// Characters of a common name (RFC 5280, appendix A.1, ub-common-name).
const COMMON_NAME_CHARS_MAX: usize = 64;

/// Makes a certificate valid from a little before now.
pub(super) fn set_validity(params: &mut CertificateParams, clock: &dyn Clock, life: Duration) {
    let now = Duration::from_micros(u64::try_from(clock.now_us()).unwrap_or(0));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(BACKDATE);
    params.not_after = epoch + now + life;
}
