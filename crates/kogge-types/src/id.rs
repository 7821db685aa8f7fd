//! Random 128-bit identities. Names point to them; they are never reused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{hex, unhex};

/// A text that is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 hexadecimal digits; a resource's is a UUID")]
pub struct IdError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $write:ident, $read:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id made of these bytes, which the caller drew at random.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = IdError;

            fn try_from(bytes: &[u8]) -> Result<Self, IdError> {
                bytes.try_into().map(Self).map_err(|_| IdError)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&$write(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::try_from($read(text).ok_or(IdError)?.as_slice())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// One registry of a deployment, whatever name it goes by.
    RegistryId,
    hex,
    unhex
);
id!(
    /// One upload session.
    UploadId,
    hex,
    unhex
);
id!(
    /// One stored copy of a blob. With the digest it makes a location that is never used twice, so that a
    /// delete can only hit the copy that was meant.
    CopyId,
    hex,
    unhex
);
id!(
    /// One installation: the origin of the changes that it makes.
    OriginId,
    hex,
    unhex
);
id!(
    /// One managed resource, or a principal: written as a UUID, as Azure's clients expect. Read in either case of its
    /// letters.
    ResourceId,
    hyphenated,
    unhyphenated
);

/// Where the hyphens of a UUID stand (RFC 9562, section 4).
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

fn hyphenated(bytes: &[u8]) -> String {
    let mut text = hex(bytes);
    for position in HYPHENS {
        text.insert(position, '-');
    }
    text
}

fn unhyphenated(text: &str) -> Option<Vec<u8>> {
    let in_place = text.len() == 36 && HYPHENS.iter().all(|position| text.as_bytes()[*position] == b'-');
    let digits = text.replace('-', "").to_ascii_lowercase();
    if in_place { unhex(&digits) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_id_is_a_uuid_and_the_others_are_digits() {
        let bytes: [u8; 16] = std::array::from_fn(|i| 0xa0 + i as u8);
        let id = ResourceId::from_bytes(bytes);
        assert_eq!(id.to_string(), "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        assert_eq!(serde_json::to_string(&id).expect("an id is a text"), format!("\"{id}\""));
        assert_eq!(RegistryId::from_bytes(bytes).to_string().parse(), Ok(RegistryId::from_bytes(bytes)));
        for bad in [
            "",
            "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
            "a0a1a2a3a-4a5-a6a7-a8a9-aaabacadaeaf",
            "é0a1a2a3-a4a5-a6a7-a8a9-aaabacadaea",
            "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeag",
            "a0a1a2a3-a4a5-a6a7-a8a9-aaab-acadaea",
            "{a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaea}",
        ] {
            assert_eq!(bad.parse::<ResourceId>(), Err(IdError), "{bad}");
        }
    }
}
