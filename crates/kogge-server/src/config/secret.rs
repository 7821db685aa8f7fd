//! A value that is never printed.

use std::fmt;
use std::path::Path;

use serde::{Serialize, Serializer};

use super::problem::Problems;

/// A secret. Neither `Debug` nor `Display` nor the rendered configuration shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret made of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// Where a secret may come from: at most one of the three is given.
pub(super) struct Sources<'a> {
    /// Key of the value in the file; the key of the file form is this with `-file`.
    pub(super) key: &'a str,
    pub(super) value: Option<String>,
    pub(super) file: Option<&'a Path>,
    pub(super) variable: &'a str,
    pub(super) environment: Option<String>,
}

impl Sources<'_> {
    /// The secret, if there is one. Two sources, an empty one or an unreadable file are problems.
    pub(super) fn pick(self, problems: &mut Problems) -> Option<Secret> {
        let Self { key, value, file, variable, environment } = self;
        let given = usize::from(value.is_some()) + usize::from(file.is_some()) + usize::from(environment.is_some());
        if given > 1 {
            problems.add(key, format!("give exactly one of {key}, {key}-file and {variable}"));
            return None;
        }
        let (from, text) = match (value, file, environment) {
            (Some(text), ..) => (key.to_owned(), text),
            (_, Some(path), _) => {
                let from = format!("{key}-file");
                match std::fs::read_to_string(path) {
                    Ok(text) => (from, text.trim_end_matches(['\r', '\n']).to_owned()),
                    Err(error) => {
                        problems.add(&from, format!("cannot read {}: {error}", path.display()));
                        return None;
                    }
                }
            }
            (.., Some(text)) => (variable.to_owned(), text),
            _ => return None,
        };
        if text.is_empty() {
            problems.add(&from, "is empty");
            return None;
        }
        Some(Secret(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(value: Option<&str>, file: Option<&Path>, environment: Option<&str>) -> Result<Option<Secret>, String> {
        let mut problems = Problems::default();
        let sources = Sources {
            key: "login.admin-password",
            value: value.map(str::to_owned),
            file,
            variable: "KOGGE_ADMIN_PASSWORD",
            environment: environment.map(str::to_owned),
        };
        let secret = sources.pick(&mut problems);
        problems.into_result().map(|()| secret).map_err(|errors| errors.to_string())
    }

    #[test]
    fn one_source_at_most() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("password");
        std::fs::write(&path, "from file\n").expect("written");
        assert_eq!(pick(None, None, None), Ok(None));
        assert_eq!(pick(Some("a"), None, None), Ok(Some(Secret::new("a"))));
        assert_eq!(pick(None, Some(&path), None), Ok(Some(Secret::new("from file"))));
        assert_eq!(pick(None, None, Some("b")), Ok(Some(Secret::new("b"))));
        let both = pick(Some("a"), None, Some("b")).expect_err("two sources");
        assert!(both.contains("exactly one of"), "{both}");
        assert!(pick(Some(""), None, None).is_err());
        let missing = pick(None, Some(&folder.path().join("missing")), None).expect_err("no such file");
        assert!(missing.contains("login.admin-password-file"), "{missing}");
    }

    #[test]
    fn it_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }
}
