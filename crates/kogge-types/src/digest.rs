//! Content digests: `algorithm:hex`, as the OCI image specification's descriptor chapter defines them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256, Sha512};

/// A digest algorithm that the registry verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    /// Every algorithm, the canonical one first.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The name before the colon of a digest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of the hash in bytes.
    pub fn hash_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(DigestError::Algorithm),
        }
    }
}

/// The digest of some content. Ordered by algorithm, then by hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Digest {
    Sha256([u8; 32]),
    Sha512([u8; 64]),
}

/// Why a text is not a digest that this registry accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("a digest is written algorithm:hex")]
    Form,
    #[error("the digest algorithm is not supported; use sha256 or sha512")]
    Algorithm,
    #[error("the digest's hash is not lower-case hexadecimal of the algorithm's length")]
    Hash,
}

impl Digest {
    /// The digest of `content` under `algorithm`.
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(content);
        hasher.finish()
    }

    /// The sha256 digest of `content`.
    pub fn sha256(content: &[u8]) -> Self {
        Self::of(Algorithm::Sha256, content)
    }

    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The raw hash.
    pub fn hash(&self) -> &[u8] {
        match self {
            Self::Sha256(hash) => hash,
            Self::Sha512(hash) => hash,
        }
    }

    /// The hash in lower-case hexadecimal.
    pub fn hex(&self) -> String {
        hex(self.hash())
    }

    /// The compact stored form: one byte for the algorithm, then the hash.
    pub fn to_bytes(&self) -> Vec<u8> {
        let tag = match self {
            Self::Sha256(_) => 1,
            Self::Sha512(_) => 2,
        };
        let mut bytes = Vec::with_capacity(1 + self.hash().len());
        bytes.push(tag);
        bytes.extend_from_slice(self.hash());
        bytes
    }

    /// Reads [`Digest::to_bytes`] back.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DigestError> {
        let (tag, hash) = bytes.split_first().ok_or(DigestError::Form)?;
        let algorithm = match tag {
            1 => Algorithm::Sha256,
            2 => Algorithm::Sha512,
            _ => return Err(DigestError::Algorithm),
        };
        Self::from_hash(algorithm, hash)
    }

    fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Result<Self, DigestError> {
        match algorithm {
            Algorithm::Sha256 => hash.try_into().map(Self::Sha256),
            Algorithm::Sha512 => hash.try_into().map(Self::Sha512),
        }
        .map_err(|_| DigestError::Hash)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hash) = text.split_once(':').ok_or(DigestError::Form)?;
        if !is_algorithm(algorithm) || hash.is_empty() {
            return Err(DigestError::Form);
        }
        let algorithm: Algorithm = algorithm.parse()?;
        Self::from_hash(algorithm, &unhex(hash).ok_or(DigestError::Hash)?)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether `text` follows the grammar of an algorithm name, known or not.
fn is_algorithm(text: &str) -> bool {
    !text.is_empty()
        && text
            .split(['+', '.', '_', '-'])
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

/// Lower-case hexadecimal of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The bytes that lower-case hexadecimal `text` stands for.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    fn nibble(digit: u8) -> Option<u8> {
        match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        }
    }
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect()
}

/// A hash under way, whose state can be saved between the chunks of an upload.
#[derive(Clone)]
pub enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    pub fn update(&mut self, content: &[u8]) {
        match self {
            Self::Sha256(state) => state.update(content),
            Self::Sha512(state) => state.update(content),
        }
    }

    pub fn finish(self) -> Digest {
        match self {
            Self::Sha256(state) => Digest::Sha256(state.finalize().into()),
            Self::Sha512(state) => Digest::Sha512(state.finalize().into()),
        }
    }

    /// The state of the hash, opaque, to be read back by [`Hasher::restore`].
    pub fn save(&self) -> Vec<u8> {
        match self {
            Self::Sha256(state) => state.serialize().to_vec(),
            Self::Sha512(state) => state.serialize().to_vec(),
        }
    }

    /// Reads a saved state. `None` when it is not one of `algorithm`.
    pub fn restore(algorithm: Algorithm, state: &[u8]) -> Option<Self> {
        match algorithm {
            Algorithm::Sha256 => {
                let state = <&SerializedState<Sha256>>::try_from(state).ok()?;
                Sha256::deserialize(state).ok().map(Self::Sha256)
            }
            Algorithm::Sha512 => {
                let state = <&SerializedState<Sha512>>::try_from(state).ok()?;
                Sha512::deserialize(state).ok().map(Self::Sha512)
            }
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hasher({})", self.algorithm())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_and_written_in_one_form() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::sha256(b"").to_string(), empty);
        assert_eq!(empty.parse(), Ok(Digest::sha256(b"")));
        let long = Digest::of(Algorithm::Sha512, b"kogge");
        assert_eq!(long.to_string().parse(), Ok(long));
        assert_eq!(Digest::from_bytes(&long.to_bytes()), Ok(long));
    }

    #[test]
    fn malformed_digests_say_what_is_wrong() {
        let check = |text: &str, error| assert_eq!(text.parse::<Digest>(), Err(error), "{text}");
        check("", DigestError::Form);
        check("sha256", DigestError::Form);
        check("sha256:", DigestError::Form);
        check(":abc", DigestError::Form);
        check("../sha256:abc", DigestError::Form);
        check("md5:d41d8cd98f00b204e9800998ecf8427e", DigestError::Algorithm);
        check("sha256:abc", DigestError::Hash);
        check(&format!("sha256:{}", "A".repeat(64)), DigestError::Hash);
        check(&format!("sha256:{}", "a".repeat(66)), DigestError::Hash);
        check(&format!("sha512:{}", "a".repeat(64)), DigestError::Hash);
    }

    #[test]
    fn a_saved_hash_goes_on_where_it_stopped() {
        for algorithm in Algorithm::ALL {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(b"the first chunk, ");
            let mut resumed = Hasher::restore(algorithm, &hasher.save()).expect("state of the same algorithm");
            resumed.update(b"the second");
            assert_eq!(resumed.finish(), Digest::of(algorithm, b"the first chunk, the second"));
            assert!(Hasher::restore(algorithm, b"too short").is_none());
        }
    }
}
