//! Secrets that must be used again are stored sealed: AES-256-GCM under a key that lies outside the database.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use kogge_types::{Entropy, clock};

/// The key-encryption key of an installation: 32 bytes from its key file.
pub struct KeyEncryptionKey(LessSafeKey);

impl std::fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyEncryptionKey(***)")
    }
}

/// A sealed text that this key does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored secret cannot be opened; is this the key file that belongs to the data directory?")]
pub struct SealError;

impl KeyEncryptionKey {
    /// Bytes of a key file.
    pub const BYTES: usize = 32;

    pub fn new(key: &[u8; Self::BYTES]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are a key of AES-256");
        Self(LessSafeKey::new(key))
    }

    /// Seals `secret` for the place `purpose`: opened for another place it is refused.
    pub(crate) fn seal(&self, entropy: &dyn Entropy, purpose: &str, secret: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = clock::random(entropy);
        let mut sealed = secret.to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose.as_bytes()), &mut sealed)
            .expect("a short secret can be sealed");
        [nonce.as_slice(), &sealed].concat()
    }

    pub(crate) fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(SealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError)?;
        let mut text = text.to_vec();
        let secret = self.0.open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut text).map_err(|_| SealError)?;
        Ok(secret.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    #[test]
    fn a_secret_opens_only_with_its_key_and_for_its_purpose() {
        let key = KeyEncryptionKey::new(&[7; 32]);
        let sealed = key.seal(&SystemEntropy, "here", b"secret");
        assert_eq!(key.open("here", &sealed), Ok(b"secret".to_vec()));
        assert_eq!(key.open("there", &sealed), Err(SealError));
        assert_eq!(KeyEncryptionKey::new(&[8; 32]).open("here", &sealed), Err(SealError));
        assert_eq!(key.open("here", &sealed[..10]), Err(SealError));
    }
}
