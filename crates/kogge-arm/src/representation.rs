//! A resource as its clients see it: what was set, defaults for what was not, and what is worked out.

use kogge_meta::{Resource, Touch};
use serde_json::{Map, Value, json};

use crate::body::{Registers, entry_of};
use crate::declaration::ResourceType;
use crate::property::{Kind, Property};

/// Read-only values by the dotted path at which they are shown.
pub(crate) type Computed = Vec<(&'static str, Value)>;

/// The resource whose path is `id`.
pub(crate) fn show(
    ty: &ResourceType,
    id: &str,
    resource: &Resource,
    location: Option<String>,
    computed: Computed,
) -> Value {
    let mut shown = properties(ty, &resource.registers);
    place(&mut shown, "id", id.into());
    place(&mut shown, "name", resource.name.as_str().into());
    place(&mut shown, "type", ty.name.into());
    if let Some(location) = location {
        place(&mut shown, "location", location.into());
    }
    // Nobody made what is built in.
    if !resource.created.by.is_empty() {
        place(&mut shown, "systemData", system_data(&resource.created, &resource.modified));
    }
    for (path, value) in computed {
        place(&mut shown, path, value);
    }
    Value::Object(shown)
}

/// All properties that registers and defaults give a value.
pub(crate) fn properties(ty: &ResourceType, registers: &Registers) -> Map<String, Value> {
    let mut shown = Map::new();
    for property in ty.properties() {
        if let Some(value) = value_of(property, registers) {
            place(&mut shown, property.path, value);
        }
    }
    shown
}

/// What a property is, whether somebody set it or not.
pub(crate) fn value_of(property: &Property, registers: &Registers) -> Option<Value> {
    if let Kind::Map { .. } = property.kind {
        let entry = |(register, value): (&String, &Value)| {
            entry_of(property, register).map(|key| (key.to_owned(), value.clone()))
        };
        return Some(Value::Object(registers.iter().filter_map(entry).collect()));
    }
    filled(property, registers.get(property.path))
}

/// `value` with defaults in the places that it leaves open.
fn filled(property: &Property, value: Option<&Value>) -> Option<Value> {
    let default = || property.default.as_ref().map(crate::property::Literal::to_json);
    let value = value.cloned().or_else(default)?;
    match (&property.kind, value) {
        (Kind::Object(inner), Value::Object(set)) => {
            let mut shown = Map::new();
            for property in *inner {
                if let Some(value) = filled(property, set.get(property.path)) {
                    shown.insert(property.path.to_owned(), value);
                }
            }
            Some(Value::Object(shown))
        }
        (_, value) => Some(value),
    }
}

/// Puts `value` where the dotted `path` says, making the objects on the way.
fn place(shown: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            shown.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = shown.entry(first).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                place(inner, rest, value);
            }
        }
    }
}

fn system_data(created: &Touch, modified: &Touch) -> Value {
    json!({
        "createdBy": created.by,
        "createdByType": created.by_kind,
        "createdAt": time(created.at_us),
        "lastModifiedBy": modified.by,
        "lastModifiedByType": modified.by_kind,
        "lastModifiedAt": time(modified.at_us),
    })
}

/// A time as the API writes it.
pub(crate) fn time(at_us: i64) -> Value {
    jiff::Timestamp::from_microsecond(at_us).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string().into()
}
