//! The local certificate authority: a key and a certificate in `<data-dir>/tls`, made once.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kogge_types::Clock;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::{TlsError, validity};

/// The authority's certificate: what clients trust.
pub(crate) const CERTIFICATE_FILE: &str = "ca.pem";
pub(crate) const KEY_FILE: &str = "ca-key.pem";

/// How long the authority's certificate is valid.
const LIFE: Duration = Duration::from_secs(3650 * 86_400);
/// How long before its end the authority's certificate is made anew.
const RENEWAL: Duration = Duration::from_secs(365 * 86_400);

/// The local certificate authority.
#[derive(Debug)]
pub(super) struct Authority {
    /// Where clients find the certificate to trust.
    pub(super) path: PathBuf,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Opens the authority in `folder`, or makes it. Its key never leaves the folder and only its owner can read it.
    pub(super) fn open(folder: &Path, clock: &dyn Clock) -> Result<Self, TlsError> {
        let (path, key_path) = (folder.join(CERTIFICATE_FILE), folder.join(KEY_FILE));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| TlsError::Write { path: folder.to_owned(), source })?;
        let key = match fs::read_to_string(&key_path) {
            Ok(pem) => {
                KeyPair::from_pem(&pem).map_err(|_| TlsError::Pem { path: key_path.clone(), what: "private key" })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => {
                return Err(TlsError::KeyMissing(path));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate()?;
                write(&key_path, &key.serialize_pem(), 0o600)?;
                key
            }
            Err(source) => return Err(TlsError::Read { path: key_path, source }),
        };
        let certificate = match usable(&path, clock)? {
            Some(certificate) => certificate,
            None => {
                let made = params(&key, clock)?.self_signed(&key)?;
                write(&path, &made.pem(), 0o644)?;
                made.der().clone()
            }
        };
        let issuer = Issuer::new(params(&key, clock)?, key);
        Ok(Self { path, certificate, issuer })
    }
}

/// The authority in `folder` as one text, certificate and key, made when there is none.
pub(crate) fn export(folder: &Path, clock: &dyn Clock) -> Result<String, TlsError> {
    Authority::open(folder, clock)?;
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).map_err(|source| TlsError::Read { path, source })
    };
    Ok(read(CERTIFICATE_FILE)? + &read(KEY_FILE)?)
}

/// Puts an authority that was exported elsewhere into `folder`.
pub(crate) fn import(folder: &Path, pems: &str) -> Result<(), TlsError> {
    let (path, key_path) = (folder.join(CERTIFICATE_FILE), folder.join(KEY_FILE));
    let end = pems.find(KEY_BEGIN).ok_or(TlsError::Pem { path: key_path.clone(), what: "private key" })?;
    let (certificate, key) = pems.split_at(end);
    write(&key_path, key, 0o600)?;
    write(&path, certificate, 0o644)
}

/// How a key in PEM form begins.
const KEY_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";

/// The certificate that is there, unless it ends soon. A new one has the same name and key, so that clients that trust
/// the old one go on trusting until that ends.
fn usable(path: &Path, clock: &dyn Clock) -> Result<Option<CertificateDer<'static>>, TlsError> {
    let pem = match fs::read(path) {
        Ok(pem) => pem,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(TlsError::Read { path: path.to_owned(), source }),
    };
    let unreadable = || TlsError::Pem { path: path.to_owned(), what: "certificate" };
    let certificate = CertificateDer::from_pem_slice(&pem).map_err(|_| unreadable())?;
    let end = validity::not_after(&certificate).ok_or_else(unreadable)?;
    let renewal = end.as_microsecond() - kogge_types::clock::micros(RENEWAL);
    Ok((clock.now_us() < renewal).then_some(certificate))
}

/// The name carries the key's print, so that authorities of different installations do not shadow each other.
fn params(key: &KeyPair, clock: &dyn Clock) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::default();
    let print: String = params.key_identifier(key).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Kogge");
    params.distinguished_name.push(DnType::CommonName, format!("Kogge local authority {print}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    super::issue::set_validity(&mut params, clock, LIFE);
    Ok(params)
}

/// Writes a file so that it is there whole or not at all.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), TlsError> {
    let draft = path.with_extension("new");
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    written().map_err(|source| TlsError::Write { path: path.to_owned(), source })
}
