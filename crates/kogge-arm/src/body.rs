//! What a body asks for, as registers: PUT says all, PATCH says what changes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::declaration::ResourceType;
use crate::error::{ArmError, Result};
use crate::property::{Kind, Mutability, Property};
use crate::value::{self, admit};

/// The values of a resource that were set, by the path of their property; the entries of a map are registers of
/// their own (`tags.env`).
pub(crate) type Registers = BTreeMap<String, Value>;

/// Keys of a resource that its path or the server says. Clients send them back.
const ENVELOPE: [&str; 5] = ["id", "name", "type", "etag", "systemData"];

/// What a resource is to be.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Desired {
    /// In lower case and without spaces, as Azure compares locations. Proxies have none.
    pub(crate) location: Option<String>,
    pub(crate) registers: Registers,
    /// What the body says of properties that are no registers.
    pub(crate) aside: Registers,
}

/// The resource that a PUT of `body` makes, or turns `existing` into. What the body does not say is set to its
/// default, except what only the maker of a resource could say.
///
/// # Errors
/// An [`ArmError`] whose target is the path of the first property that is wrong.
pub(crate) fn put(ty: &ResourceType, body: &Value, existing: Option<&Desired>) -> Result<Desired> {
    let (mut registers, mut aside) = (Registers::new(), Registers::new());
    let before = existing.map(|existing| &existing.registers);
    for (property, value) in flatten(ty, body)? {
        let place = if property.mutability == Mutability::Aside { &mut aside } else { &mut registers };
        set(place, property, &value, before)?;
    }
    for property in ty.properties() {
        let kept = before.and_then(|before| before.get(property.path));
        if let Some(kept) = kept.filter(|_| property.mutability == Mutability::CreateOnly) {
            registers.entry(property.path.to_owned()).or_insert_with(|| kept.clone());
        }
    }
    complete(ty, body, existing, registers, aside)
}

/// The resource that a PATCH of `body` turns `existing` into.
///
/// # Errors
/// As [`put`].
pub(crate) fn patch(ty: &ResourceType, body: &Value, existing: &Desired) -> Result<Desired> {
    let (mut registers, mut aside) = (existing.registers.clone(), Registers::new());
    for (property, change) in flatten(ty, body)? {
        match property.mutability {
            Mutability::ReadOnly => continue,
            Mutability::Aside => {
                set(&mut aside, property, &change, None)?;
                continue;
            }
            Mutability::CreateOnly | Mutability::Mutable => {}
        }
        let value = match existing.registers.get(property.path) {
            Some(before) => merged(&property.kind, before, change),
            None => change,
        };
        clear(&mut registers, property);
        set(&mut registers, property, &value, Some(&existing.registers))?;
    }
    complete(ty, body, Some(existing), registers, aside)
}

/// Puts a value into its register, or a map's into one each.
fn set(registers: &mut Registers, property: &Property, value: &Value, before: Option<&Registers>) -> Result<()> {
    let path = property.path;
    let Some(value) = admit(property, value, path)? else { return Ok(()) };
    if let Some(before) = before.filter(|_| property.mutability == Mutability::CreateOnly) {
        let default = || property.default.as_ref().map(crate::property::Literal::to_json);
        if before.get(path).cloned().or_else(default).as_ref() != Some(&value) {
            let message = format!("Changing property '{path}' is not allowed.");
            return Err(ArmError::conflict("PropertyChangeNotAllowed", message).about(path));
        }
    }
    match (&property.kind, value) {
        (Kind::Map { .. }, Value::Object(entries)) => {
            registers.extend(entries.into_iter().map(|(key, value)| (format!("{path}.{key}"), value)));
        }
        (_, value) => {
            registers.insert(path.to_owned(), value);
        }
    }
    Ok(())
}

fn clear(registers: &mut Registers, property: &Property) {
    match property.kind {
        Kind::Map { .. } => registers.retain(|register, _| entry_of(property, register).is_none()),
        _ => {
            registers.remove(property.path);
        }
    }
}

/// The key of a map's entry that has this register.
pub(crate) fn entry_of<'a>(map: &Property, register: &'a str) -> Option<&'a str> {
    register.strip_prefix(map.path)?.strip_prefix('.')
}

/// The values of a body with their properties, in the body's order.
fn flatten(ty: &ResourceType, body: &Value) -> Result<Vec<(&'static Property, Value)>> {
    let Value::Object(entries) = body else { return Err(ArmError::content("The body must be a JSON object.")) };
    let mut found = Vec::new();
    for (key, value) in entries {
        let is = |known: &&str| known.eq_ignore_ascii_case(key);
        let said_elsewhere = ENVELOPE.iter().any(is) || ty.is_tracked() && is(&"location");
        if !said_elsewhere {
            descend(ty, key, value, &mut found)?;
        }
    }
    Ok(found)
}

fn descend(ty: &ResourceType, path: &str, value: &Value, found: &mut Vec<(&'static Property, Value)>) -> Result<()> {
    if let Some(property) = ty.properties().find(|property| property.path.eq_ignore_ascii_case(path)) {
        found.push((property, value.clone()));
        return Ok(());
    }
    let holds = |property: &Property| {
        property.path.get(..path.len()).is_some_and(|start| start.eq_ignore_ascii_case(path))
            && property.path.as_bytes().get(path.len()) == Some(&b'.')
    };
    match value {
        _ if !ty.properties().any(holds) => Err(value::unknown(path)),
        Value::Null => Ok(()),
        Value::Object(entries) => {
            entries.iter().try_for_each(|(key, value)| descend(ty, &format!("{path}.{key}"), value, found))
        }
        _ => Err(ArmError::content(format!("The value of '{path}' must be an object.")).about(path)),
    }
}

/// `change` laid over `before`, as far as objects go; a null takes a key away.
fn merged(kind: &Kind, before: &Value, change: Value) -> Value {
    let (Kind::Object(properties), Value::Object(before)) = (kind, before) else { return change };
    let Value::Object(change) = change else { return change };
    let mut result: Map<String, Value> = before.clone();
    for (key, value) in change {
        let property = properties.iter().find(|property| property.path.eq_ignore_ascii_case(&key));
        let key = property.map_or(key, |property| property.path.to_owned());
        let value = match (property, result.get(&key)) {
            (Some(property), Some(before)) => merged(&property.kind, before, value),
            _ => value,
        };
        result.insert(key, value);
    }
    Value::Object(result)
}

fn complete(
    ty: &ResourceType,
    body: &Value,
    existing: Option<&Desired>,
    registers: Registers,
    aside: Registers,
) -> Result<Desired> {
    let missing = |property: &&Property| property.required && !registers.contains_key(property.path);
    if let Some(missing) = ty.properties().find(missing) {
        return Err(value::required(missing.path));
    }
    Ok(Desired { location: location(ty, body, existing)?, registers, aside })
}

fn location(ty: &ResourceType, body: &Value, existing: Option<&Desired>) -> Result<Option<String>> {
    if !ty.is_tracked() {
        return Ok(None);
    }
    let asked = body.as_object().and_then(|body| body.iter().find(|(key, _)| key.eq_ignore_ascii_case("location")));
    let asked = match asked {
        None | Some((_, Value::Null)) => None,
        Some((_, Value::String(text))) => Some(normal_location(text).ok_or_else(|| {
            ArmError::bad("LocationNotAvailableForResourceType", format!("'{text}' is not a location."))
                .about("location")
        })?),
        Some(_) => return Err(ArmError::content("The location must be a text.").about("location")),
    };
    match (asked, existing.and_then(|existing| existing.location.clone())) {
        (Some(asked), Some(kept)) if asked != kept => {
            let message = format!("The resource is in location '{kept}'; it cannot be made again in '{asked}'.");
            Err(ArmError::conflict("InvalidResourceLocation", message).about("location"))
        }
        (_, Some(kept)) => Ok(Some(kept)),
        (Some(asked), None) => Ok(Some(asked)),
        (None, None) => {
            let message = "The location property is required for this definition.";
            Err(ArmError::bad("LocationRequired", message).about("location"))
        }
    }
}

/// `West US` is `westus`.
fn normal_location(text: &str) -> Option<String> {
    let name: String = text.chars().filter(|c| *c != ' ').map(|c| c.to_ascii_lowercase()).collect();
    let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (letters && (1..=kogge_types::limits::LOCATION_CHARS_MAX).contains(&name.len())).then_some(name)
}

#[cfg(test)]
mod tests;
