//! One value against its property: is it of the kind, within the limits, and can it be honoured.

use serde_json::{Map, Value};

use kogge_types::limits;

use crate::error::{ArmError, Result};
use crate::property::{Kind, Mutability, Property, Support};

/// `value` in the form in which `property` keeps it; `None` for a JSON null, and for what nobody may set. `path` is
/// for errors.
///
/// # Errors
/// `InvalidParameter` for a value of another kind or beyond its limits, `FeatureNotSupported` for one that
/// cannot be honoured.
pub(crate) fn admit(property: &Property, value: &Value, path: &str) -> Result<Option<Value>> {
    if property.mutability == Mutability::ReadOnly || value.is_null() {
        return Ok(None);
    }
    let Support::Only(supported) = property.support else {
        return canonical(&property.kind, value, path).map(Some);
    };
    if supported.is_empty() {
        let message = format!("The property '{path}' is not supported yet.");
        return Err(ArmError::bad("FeatureNotSupported", message).about(path));
    }
    let value = canonical(&property.kind, value, path)?;
    if supported.iter().any(|supported| supported.to_json() == value) {
        return Ok(Some(value));
    }
    let supported: Vec<_> = supported.iter().map(|supported| supported.to_json().to_string()).collect();
    let message = format!("The property '{path}' does not support {value} yet; it can be {}.", supported.join(" or "));
    Err(ArmError::bad("FeatureNotSupported", message).about(path))
}

fn canonical(kind: &Kind, value: &Value, path: &str) -> Result<Value> {
    match kind {
        Kind::Bool => value.is_boolean().then(|| value.clone()).ok_or_else(|| mismatch(path, "true or false")),
        Kind::Int { min, max } => {
            let fits = value.as_i64().filter(|number| (*min..=*max).contains(number));
            fits.map(Value::from).ok_or_else(|| mismatch(path, &format!("a whole number from {min} to {max}")))
        }
        Kind::Text { max } => text(value, *max, path).map(Value::from),
        Kind::Enum(words) => {
            let word = value.as_str().and_then(|text| words.iter().find(|word| word.eq_ignore_ascii_case(text)));
            word.map(|word| Value::from(*word)).ok_or_else(|| mismatch(path, &format!("one of {}", words.join(", "))))
        }
        Kind::Time => {
            let time = value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
            time.map(|time| Value::from(time.to_string())).ok_or_else(|| mismatch(path, "a time as in RFC 3339"))
        }
        Kind::ResourceId => {
            let id = text(value, limits::RESOURCE_PATH_CHARS_MAX, path)?;
            let rest = id.strip_prefix('/').filter(|rest| rest.split('/').all(|segment| !segment.is_empty()));
            rest.map(|_| Value::from(id)).ok_or_else(|| mismatch(path, "the path of a resource"))
        }
        Kind::List { of, max } => list(of, *max, value, path),
        Kind::Map { entries, name, value: length } => map(*entries, *name, *length, value, path),
        Kind::Object(properties) => object(properties, value, path).map(Value::Object),
    }
}

fn text<'a>(value: &'a Value, max: usize, path: &str) -> Result<&'a str> {
    let fits = value.as_str().filter(|text| text.chars().count() <= max && !text.contains('\0'));
    fits.ok_or_else(|| mismatch(path, &format!("a text of at most {max} characters")))
}

fn list(of: &Kind, max: usize, value: &Value, path: &str) -> Result<Value> {
    let values = value.as_array().filter(|values| values.len() <= max);
    let values = values.ok_or_else(|| mismatch(path, &format!("a list of at most {max} values")))?;
    values.iter().enumerate().map(|(i, value)| canonical(of, value, &format!("{path}[{i}]"))).collect()
}

fn map(entries: usize, name: usize, length: usize, value: &Value, path: &str) -> Result<Value> {
    let texts = value.as_object().filter(|texts| texts.len() <= entries);
    let texts = texts.ok_or_else(|| mismatch(path, &format!("an object of at most {entries} texts")))?;
    let mut kept = Map::new();
    for (key, value) in texts {
        let path = format!("{path}.{key}");
        if key.is_empty() || key.chars().count() > name || key.contains('\0') {
            return Err(mismatch(&path, &format!("named in 1 to {name} characters")));
        }
        if kept.keys().any(|other| other.eq_ignore_ascii_case(key)) {
            return Err(mismatch(&path, "named once, whatever the case"));
        }
        kept.insert(key.clone(), text(value, length, &path)?.into());
    }
    Ok(Value::Object(kept))
}

/// The entries of an object that `properties` declare; `path` is the object's own, and empty for a whole body.
pub(crate) fn object(properties: &[Property], value: &Value, path: &str) -> Result<Map<String, Value>> {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let entries = value.as_object().ok_or_else(|| mismatch(path, "an object"))?;
    let mut kept = Map::new();
    for (key, value) in entries {
        let path = below(key);
        let property = properties.iter().find(|property| property.path.eq_ignore_ascii_case(key));
        let property = property.ok_or_else(|| unknown(&path))?;
        if let Some(value) = admit(property, value, &path)? {
            kept.insert(property.path.to_owned(), value);
        }
    }
    match properties.iter().find(|property| property.required && !kept.contains_key(property.path)) {
        Some(missing) => Err(required(&below(missing.path))),
        None => Ok(kept),
    }
}

fn mismatch(path: &str, expected: &str) -> ArmError {
    ArmError::parameter(path, format!("The value of '{path}' is invalid: it must be {expected}."))
}

/// A property that no declaration names.
pub(crate) fn unknown(path: &str) -> ArmError {
    ArmError::content(format!("The property '{path}' is unknown.")).about(path)
}

/// A property that must be set and is not.
pub(crate) fn required(path: &str) -> ArmError {
    ArmError::parameter(path, format!("The property '{path}' is required."))
}
