//! A certificate for a service principal, with its key: RSA, as Azure's clients know nothing else.

use std::time::Duration;

use kogge_types::{Clock, SystemClock};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
    RsaKeySize,
};

/// How far the clock of whoever checks the certificate may be behind.
const BACKDATE: Duration = Duration::from_secs(3_600);

/// A certificate that was made.
pub(super) struct Made {
    /// The key and the certificate, as Azure's clients read them from one file.
    pub(super) pem: String,
    pub(super) der: Vec<u8>,
}

/// Makes a certificate that is valid for `life`.
pub(super) fn make(name: &str, life: Duration) -> Result<Made, rcgen::Error> {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let now = Duration::from_micros(u64::try_from(SystemClock.now_us()).unwrap_or(0));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(BACKDATE);
    params.not_after = epoch + now + life;
    let certificate = params.self_signed(&key)?;
    Ok(Made { pem: format!("{}{}", key.serialize_pem(), certificate.pem()), der: certificate.der().to_vec() })
}
