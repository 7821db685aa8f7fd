//! The keys that sign this region's tokens. They never leave the region, and lie sealed in the database.
//!
//! The newest signs. Those before it verify until the last token that they signed has ended.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use kogge_meta::{Commit, Meta, Snapshot};
use kogge_types::{Digest, Entropy, clock, limits};
use serde::{Deserialize, Serialize};

use crate::core::Core;
use crate::error::{Error, Result};
use crate::identity::principal::moment;
use crate::seal::KeyEncryptionKey;

/// Where the ring lies.
pub(crate) const SETTING: &str = "token-signing-keys";
/// Where versions before 0.2 kept their one key.
const SETTING_OF_ONE: &str = "token-signing-key";

/// One key.
pub(crate) struct SigningKey {
    pub(crate) id: String,
    /// Microseconds since the Unix epoch.
    pub(crate) created_at_us: i64,
    signing: EncodingKey,
    pub(crate) verifying: DecodingKey,
    /// The public point, uncompressed: 4, x, y.
    pub(crate) public: Vec<u8>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

/// The keys, newest first.
#[derive(Debug)]
pub(crate) struct KeyRing(Vec<SigningKey>);

/// The ring as it is kept, newest first.
#[derive(Serialize, Deserialize)]
struct Kept(Vec<KeptKey>);

#[derive(Serialize, Deserialize)]
struct KeptKey {
    /// PKCS #8 in Base64.
    key: String,
    created_at_us: i64,
}

/// The ring in force.
#[derive(Debug)]
pub(crate) struct SigningKeys {
    ring: ArcSwap<KeyRing>,
    /// Held from writing a ring to putting it in force, so that an older one never replaces a newer.
    changing: tokio::sync::Mutex<()>,
}

impl KeptKey {
    fn generate(now_us: i64) -> Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(Error::internal)?;
        Ok(Self::of(pair.to_pkcs8v1().map_err(Error::internal)?.as_ref(), now_us))
    }

    fn of(pkcs8: &[u8], created_at_us: i64) -> Self {
        Self { key: BASE64_STANDARD.encode(pkcs8), created_at_us }
    }

    fn open(&self) -> Result<SigningKey> {
        let pkcs8 = BASE64_STANDARD.decode(&self.key).map_err(Error::internal)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).map_err(Error::internal)?;
        let public = pair.public_key().as_ref().to_vec();
        Ok(SigningKey {
            id: Digest::sha256(&public).hex()[..16].to_owned(),
            created_at_us: self.created_at_us,
            signing: EncodingKey::from_ec_der(&pkcs8),
            verifying: DecodingKey::from_ec_der(&public),
            public,
        })
    }
}

impl Kept {
    /// The ring in the database; `None` before the first start of a version that has rings.
    fn read(snapshot: &Snapshot<'_>, kek: &KeyEncryptionKey) -> Result<Option<Self>> {
        if let Some(sealed) = snapshot.setting(SETTING)? {
            let opened = kek.open(SETTING, &sealed).map_err(Error::internal)?;
            return serde_json::from_slice(&opened).map(Some).map_err(Error::internal);
        }
        let Some(sealed) = snapshot.setting(SETTING_OF_ONE)? else { return Ok(None) };
        let pkcs8 = kek.open(SETTING_OF_ONE, &sealed).map_err(Error::internal)?;
        // How old it is nobody knows: it is replaced at the first opportunity.
        Ok(Some(Self(vec![KeptKey::of(&pkcs8, 0)])))
    }

    fn seal(&self, entropy: &dyn Entropy, kek: &KeyEncryptionKey) -> Result<Vec<u8>> {
        let text = serde_json::to_vec(self).map_err(Error::internal)?;
        Ok(kek.seal(entropy, SETTING, &text))
    }

    /// Puts a fresh key in front and drops those that no living token can be signed with.
    fn rotate(&mut self, now_us: i64) -> Result<()> {
        // A key signs until the next one is made, and what it signed lives this long after.
        let token_life_us = clock::micros(limits::REFRESH_TOKEN_LIFE) + clock::micros(limits::TOKEN_SKEW);
        let replaced_at_us: Vec<i64> =
            std::iter::once(now_us).chain(self.0.iter().map(|key| key.created_at_us)).collect();
        let mut replaced = replaced_at_us.into_iter();
        self.0.retain(|_| replaced.next().is_some_and(|at_us| now_us < at_us.saturating_add(token_life_us)));
        self.0.insert(0, KeptKey::generate(now_us)?);
        self.0.truncate(limits::SIGNING_KEYS_MAX);
        Ok(())
    }

    fn open(&self) -> Result<KeyRing> {
        let keys = self.0.iter().map(KeptKey::open).collect::<Result<Vec<_>>>()?;
        if keys.is_empty() {
            return Err(Error::new(kogge_types::Code::Internal, "the ring of signing keys is empty"));
        }
        Ok(KeyRing(keys))
    }
}

impl KeyRing {
    fn newest(&self) -> &SigningKey {
        &self.0[0]
    }

    /// The key of this id.
    pub(crate) fn find(&self, id: &str) -> Option<&SigningKey> {
        self.0.iter().find(|key| key.id == id)
    }

    pub(crate) fn keys(&self) -> &[SigningKey] {
        &self.0
    }

    /// `claims`, signed by the newest key.
    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String> {
        let key = self.newest();
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &key.signing).map_err(Error::internal)
    }

    /// The key that `token` says has signed it.
    pub(crate) fn signer_of(&self, token: &str) -> Option<&SigningKey> {
        self.find(&jsonwebtoken::decode_header(token).ok()?.kid?)
    }
}

impl SigningKeys {
    /// The installation's keys; the first is made on the first start. Of several nodes that start together, one wins.
    pub(crate) async fn settle(
        meta: &Meta,
        entropy: &Arc<dyn Entropy>,
        kek: &Arc<KeyEncryptionKey>,
        now_us: i64,
    ) -> Result<Self> {
        let (own_entropy, own_kek) = (Arc::clone(entropy), Arc::clone(kek));
        let kept = meta
            .write(move |tx| {
                let kept = match Kept::read(tx, &own_kek)? {
                    Some(kept) => kept,
                    None => Kept(vec![KeptKey::generate(now_us)?]),
                };
                if tx.setting(SETTING)?.is_none() {
                    tx.put_setting(SETTING, &kept.seal(own_entropy.as_ref(), &own_kek)?)?;
                    tx.delete_setting(SETTING_OF_ONE)?;
                }
                Ok::<_, Error>(Commit::quiet(kept))
            })
            .await?;
        Ok(Self { ring: ArcSwap::from_pointee(kept.open()?), changing: tokio::sync::Mutex::default() })
    }

    pub(crate) fn load(&self) -> Guard<Arc<KeyRing>> {
        self.ring.load()
    }
}

/// A signing key, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyStory {
    pub id: String,
    #[serde(rename = "created", serialize_with = "moment")]
    pub created_at_us: i64,
    /// Whether it signs; the others only verify.
    pub signs: bool,
}

impl Core {
    /// Makes a new key that signs from now on. What was signed before stays good until it ends.
    pub async fn rotate_keys(&self) -> Result<Vec<KeyStory>> {
        self.rotate_keys_older_than(i64::MAX).await?;
        Ok(self.signing_keys())
    }

    /// Takes up the ring as it is kept, which another node may have changed.
    pub(crate) async fn take_up_keys(&self) -> Result<()> {
        let kek = Arc::clone(&self.kek);
        let _changing = self.keys.changing.lock().await;
        if let Some(kept) = self.meta.read(move |snapshot| Kept::read(snapshot, &kek)).await? {
            self.keys.ring.store(Arc::new(kept.open()?));
        }
        Ok(())
    }

    /// Makes a new key when the one that signs is old enough.
    pub(crate) async fn rotate_old_keys(&self) -> Result<()> {
        let life_us = clock::micros(self.identity_settings().key_life);
        self.rotate_keys_older_than(self.now_us().saturating_sub(life_us)).await
    }

    /// Makes a new key when the one that signs was made before `before_us`, and takes up what other nodes made.
    async fn rotate_keys_older_than(&self, before_us: i64) -> Result<()> {
        let (entropy, kek, now_us) = (Arc::clone(&self.entropy), Arc::clone(&self.kek), self.now_us());
        let _changing = self.keys.changing.lock().await;
        let kept = self
            .meta
            .write(move |tx| {
                let mut kept = Kept::read(tx, &kek)?.unwrap_or(Kept(Vec::new()));
                if kept.0.first().is_none_or(|key| key.created_at_us < before_us) {
                    kept.rotate(now_us)?;
                    tx.put_setting(SETTING, &kept.seal(entropy.as_ref(), &kek)?)?;
                }
                Ok::<_, Error>(Commit::quiet(kept))
            })
            .await?;
        self.keys.ring.store(Arc::new(kept.open()?));
        Ok(())
    }

    /// The keys, newest first.
    pub fn signing_keys(&self) -> Vec<KeyStory> {
        let ring = self.keys.load();
        let story = |(place, key): (usize, &SigningKey)| KeyStory {
            id: key.id.clone(),
            created_at_us: key.created_at_us,
            signs: place == 0,
        };
        ring.keys().iter().enumerate().map(story).collect()
    }
}
