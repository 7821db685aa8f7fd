//! Names for new role assignments.

use kogge_types::ResourceId;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::error::{During as _, Result};

/// A random UUID (RFC 9562, version 4).
pub(super) fn random() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(std::io::Error::from)
        .during(|| "get random bytes".to_owned())?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(ResourceId::from_bytes(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_its_version_and_differs() {
        let (one, other) = (random().expect("random"), random().expect("random"));
        assert!(one != other && one.len() == 36);
        assert_eq!(one.as_bytes()[14], b'4');
        assert!(matches!(one.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }
}
