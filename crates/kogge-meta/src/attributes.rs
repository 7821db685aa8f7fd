//! Lock attributes of repositories, tags and manifests (ACR: "Lock a container image").

use serde::{Deserialize, Serialize};

/// Four switches, all on unless somebody turned one off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attributes {
    pub delete_enabled: bool,
    pub write_enabled: bool,
    pub read_enabled: bool,
    pub list_enabled: bool,
}

impl Attributes {
    pub const OPEN: Self = Self { delete_enabled: true, write_enabled: true, read_enabled: true, list_enabled: true };

    /// Whether content may be deleted: ACR lets both the delete and the write lock forbid it.
    pub fn allows_delete(self) -> bool {
        self.delete_enabled && self.write_enabled
    }

    /// What holds when both apply.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            delete_enabled: self.delete_enabled && other.delete_enabled,
            write_enabled: self.write_enabled && other.write_enabled,
            read_enabled: self.read_enabled && other.read_enabled,
            list_enabled: self.list_enabled && other.list_enabled,
        }
    }

    /// The stored form: a bit for each switch.
    pub(crate) fn to_bits(self) -> i64 {
        i64::from(self.delete_enabled)
            | i64::from(self.write_enabled) << 1
            | i64::from(self.read_enabled) << 2
            | i64::from(self.list_enabled) << 3
    }

    pub(crate) fn from_bits(bits: i64) -> Self {
        Self {
            delete_enabled: bits & 1 != 0,
            write_enabled: bits & 2 != 0,
            read_enabled: bits & 4 != 0,
            list_enabled: bits & 8 != 0,
        }
    }
}

/// The bits of the switches that must be on for a delete.
pub(crate) const DELETE_BITS: i64 = 0b11;
/// The bit that must be on to be listed.
pub(crate) const LIST_BIT: i64 = 0b1000;
