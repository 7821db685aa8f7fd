//! Certificates by which service principals prove who they are (RFC 5280). Of a certificate only its key and its
//! validity count: that it is registered is what makes it trusted.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jsonwebtoken::DecodingKey;
use kogge_types::limits;

use crate::identity::jwt::{VerifyingKey, sha1, sha256};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// `rsaEncryption` (RFC 8017, appendix A.1).
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// `id-ecPublicKey` and `secp256r1` (RFC 5480, 2.1.1).
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// A certificate, as far as it is read.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub(crate) key: VerifyingKey,
    /// Microseconds since the Unix epoch, as is the other.
    pub not_before_us: i64,
    pub not_after_us: i64,
    pub sha1: [u8; 20],
    pub sha256: [u8; 32],
}

/// A certificate that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate is not understood: it must be X.509 with an RSA or a P-256 key")]
pub struct CertificateError;

impl Certificate {
    /// Reads a certificate in DER.
    pub fn read(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > limits::CERTIFICATE_BYTES_MAX {
            return Err(CertificateError);
        }
        let (key, not_before_us, not_after_us) = parse(der).ok_or(CertificateError)?;
        Ok(Self { key, not_before_us, not_after_us, sha1: sha1(der), sha256: sha256(der) })
    }
}

fn parse(der: &[u8]) -> Option<(VerifyingKey, i64, i64)> {
    if !element(der, SEQUENCE)?.1.is_empty() {
        return None;
    }
    let (validity, fields) = validity(der)?;
    let (_, fields) = element(fields, SEQUENCE)?;
    let (key, _) = element(fields, SEQUENCE)?;
    let (not_before_us, end) = time(validity)?;
    let (not_after_us, _) = time(end)?;
    Some((VerifyingKey { key: public_key(key)?, algorithm: None }, not_before_us, not_after_us))
}

/// When a certificate in DER ends, whatever its key is, in microseconds since the Unix epoch (RFC 5280, 4.1.2.5);
/// `None` when it is not understood.
pub fn not_after_us(der: &[u8]) -> Option<i64> {
    let (validity, _) = validity(der)?;
    let (_, end) = time(validity)?;
    Some(time(end)?.0)
}

/// The validity of a certificate, and the fields after it.
fn validity(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (fields, _) = element(certificate, SEQUENCE)?;
    let fields = element(fields, VERSION).map_or(fields, |(_, rest)| rest);
    let (_, fields) = element(fields, INTEGER)?;
    let (_, fields) = element(fields, SEQUENCE)?;
    let (_, fields) = element(fields, SEQUENCE)?;
    element(fields, SEQUENCE)
}

fn public_key(info: &[u8]) -> Option<DecodingKey> {
    let (algorithm, rest) = element(info, SEQUENCE)?;
    let (kind, parameters) = element(algorithm, OBJECT_IDENTIFIER)?;
    let (bits, _) = element(rest, BIT_STRING)?;
    // Keys are whole bytes.
    let key = bits.strip_prefix(&[0])?;
    match kind {
        RSA => Some(DecodingKey::from_rsa_der(key)),
        EC if element(parameters, OBJECT_IDENTIFIER)?.0 == P256 => Some(DecodingKey::from_ec_der(key)),
        _ => None,
    }
}

/// The contents of the first element, which must have this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = length(rest)?;
    (*first == tag).then(|| rest.split_at_checked(length)).flatten()
}

fn length(der: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = der.split_first()?;
    if *first < 0x80 {
        return Some((usize::from(*first), rest));
    }
    let count = usize::from(first & 0x7f);
    let (bytes, rest) = rest.split_at_checked(count)?;
    let fits = (1..=4).contains(&count);
    fits.then(|| (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest))
}

fn time(der: &[u8]) -> Option<(i64, &[u8])> {
    let (text, rest, century) = match element(der, UTC_TIME) {
        // Two digits of a year below 50 are this century's (RFC 5280, 4.1.2.5.1).
        Some((text, rest)) => (text, rest, if text.first()? < &b'5' { "20" } else { "19" }),
        None => {
            let (text, rest) = element(der, GENERALIZED_TIME)?;
            (text, rest, "")
        }
    };
    let text = format!("{century}{}", std::str::from_utf8(text).ok()?);
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some((time.timestamp().as_microsecond(), rest))
}
