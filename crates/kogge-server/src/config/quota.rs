//! `[quota]`: how much a registry may hold unless it says so itself.

use serde::{Deserialize, Serialize, Serializer};

use super::problem::Problems;
use super::quantity::write_size;
use super::raw::RawSize;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawQuota {
    registry_bytes: Option<RawSize>,
}

/// How much a registry may hold unless it says so itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Quota {
    /// Bytes of each registry that has no quota for `*` of its own. Default none.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "write_optional_size")]
    pub registry_bytes: Option<u64>,
}

impl Quota {
    pub(super) fn check(raw: &RawQuota, problems: &mut Problems) -> Self {
        let registry_bytes = raw.registry_bytes.map(|raw| raw.0);
        if registry_bytes == Some(0) {
            problems.add("quota.registry-bytes", "must be more than 0");
        }
        Self { registry_bytes }
    }
}

fn write_optional_size<S: Serializer>(size: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match size {
        Some(size) => write_size(size, serializer),
        None => serializer.serialize_none(),
    }
}
