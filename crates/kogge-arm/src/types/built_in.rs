//! Resources that are there without anybody having made them.

use std::collections::BTreeMap;

use kogge_meta::{Resource, Touch};
use kogge_types::{ResourceId, Stamp};
use serde_json::Value;

use crate::declaration::ResourceType;

/// A resource that the system made, beneath `parent`, a path in lower case.
pub(super) fn resource<const N: usize>(
    ty: &ResourceType,
    parent: &str,
    name: &str,
    registers: [(&str, Value); N],
) -> Resource {
    let nobody = Touch { at_us: 0, by: String::new(), by_kind: String::new() };
    Resource {
        id: ResourceId::from_bytes([0; 16]),
        kind: ty.kind(),
        parent: parent.to_owned(),
        name: name.to_owned(),
        location: None,
        created: nobody.clone(),
        modified: nobody,
        version: Stamp(0),
        registers: registers.into_iter().map(|(path, value)| (path.to_owned(), value)).collect::<BTreeMap<_, _>>(),
    }
}
