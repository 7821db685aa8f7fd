//! The file as written, before it is checked: one table per section, one problem per key.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

use super::environment::Environment;
use super::problem::Problems;
use super::quantity;

/// Reads one section. Keys that are unknown or of the wrong type become problems and are left out.
pub(super) fn section<T: DeserializeOwned + Default>(
    name: &str,
    file: &mut Table,
    environment: &Environment,
    problems: &mut Problems,
) -> T {
    let mut table = match file.remove(name) {
        None => Table::new(),
        Some(Value::Table(table)) => table,
        Some(_) => {
            problems.add(name, format!("is a section: write [{name}]"));
            Table::new()
        }
    };
    let accepted = |key: &str, value: &Value| {
        let alone = Table::from_iter([(key.to_owned(), value.clone())]);
        T::deserialize(Value::Table(alone)).map(|_: T| ())
    };
    let mut wrong = Vec::new();
    for (key, value) in &table {
        if let Err(error) = accepted(key, value) {
            problems.add(&format!("{name}.{key}"), plain(&error));
            wrong.push(key.clone());
        }
    }
    for key in wrong {
        table.remove(&key);
    }
    for (variable, key, text) in environment.of_section(name) {
        match readings(&text).into_iter().map(|value| (accepted(&key, &value), value)).reduce(first_good) {
            Some((Ok(()), value)) => drop(table.insert(key, value)),
            Some((Err(error), _)) => problems.add(&variable, plain(&error)),
            None => {}
        }
    }
    T::deserialize(Value::Table(table)).unwrap_or_default()
}

/// What the text of a variable may mean: a string, or a literal such as `true`, `5` or `["a", "b"]`.
fn readings(text: &str) -> Vec<Value> {
    let literal = toml::from_str::<BTreeMap<String, Value>>(&format!("value = {text}"));
    let literal = literal.ok().and_then(|mut table| table.remove("value"));
    [Some(Value::String(text.to_owned())), literal].into_iter().flatten().collect()
}

type Reading = (Result<(), toml::de::Error>, Value);

fn first_good(first: Reading, second: Reading) -> Reading {
    if first.0.is_ok() || second.0.is_err() { first } else { second }
}

fn plain(error: &toml::de::Error) -> String {
    error.message().replace("unknown field", "unknown key").trim().to_owned()
}

/// A duration as written: `30s`, `15m`, `7d`.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawDuration(pub(super) Duration);

impl<'de> Deserialize<'de> for RawDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = RawDuration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration in quotes, such as \"30s\", \"15m\" or \"7d\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawDuration, E> {
                let duration = quantity::duration(text).ok_or_else(|| E::invalid_value(unexpected(text), &self))?;
                Ok(RawDuration(duration))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// A size as written: `4MiB`, or bytes as an integer.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawSize(pub(super) u64);

impl<'de> Deserialize<'de> for RawSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Size;
        impl Visitor<'_> for Size {
            type Value = RawSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"4MiB\", or bytes as an integer")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawSize, E> {
                let size = quantity::size(text).ok_or_else(|| E::invalid_value(unexpected(text), &self))?;
                Ok(RawSize(size))
            }

            fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<RawSize, E> {
                u64::try_from(bytes).map(RawSize).map_err(|_| E::custom("a size is not negative"))
            }
        }
        deserializer.deserialize_any(Size)
    }
}

fn unexpected(text: &str) -> serde::de::Unexpected<'_> {
    serde::de::Unexpected::Str(text)
}

/// Parses the file's text; a syntax error names its line.
pub(super) fn parse(text: &str) -> Result<Table, toml::de::Error> {
    text.parse::<Table>().map_err(|error| toml::de::Error::custom(error.to_string().trim_end()))
}
