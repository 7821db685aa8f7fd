//! The key that signs this region's tokens. It never leaves the region, and lies sealed in the database.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use jsonwebtoken::{DecodingKey, EncodingKey};
use kogge_meta::{Commit, Meta};
use kogge_types::{Digest, Entropy};

use crate::error::{Error, Result};
use crate::seal::KeyEncryptionKey;

const SETTING: &str = "token-signing-key";

pub(crate) struct SigningKeys {
    pub(crate) id: String,
    pub(crate) signing: EncodingKey,
    pub(crate) verifying: DecodingKey,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKeys({})", self.id)
    }
}

impl SigningKeys {
    /// The installation's key, made on the first start. Of several nodes that start together, one wins.
    pub(crate) async fn settle(meta: &Meta, entropy: &dyn Entropy, kek: &KeyEncryptionKey) -> Result<Self> {
        let present = meta.read(|snapshot| snapshot.setting(SETTING)).await?;
        let sealed = match present {
            Some(sealed) => sealed,
            None => {
                let fresh = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(Error::internal)?;
                let fresh = fresh.to_pkcs8v1().map_err(Error::internal)?;
                let sealed = kek.seal(entropy, SETTING, fresh.as_ref());
                meta.write(move |tx| tx.settle_setting(SETTING, &sealed).map(Commit::quiet)).await?
            }
        };
        let pkcs8 = kek.open(SETTING, &sealed).map_err(Error::internal)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).map_err(Error::internal)?;
        let public = pair.public_key().as_ref();
        Ok(Self {
            id: Digest::sha256(public).hex()[..16].to_owned(),
            signing: EncodingKey::from_ec_der(&pkcs8),
            verifying: DecodingKey::from_ec_der(public),
        })
    }
}
