//! The environment, read once, so that everything else can be tested with a made-up one.

use std::collections::BTreeMap;

/// Variables whose names begin with `KOGGE_`.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process. Those that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        let pairs =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self(pairs.filter(|(name, _)| name.starts_with("KOGGE_")).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    /// What `KOGGE_<SECTION>_<KEY>` sets: the variable, the key as the file writes it, and the text.
    pub(super) fn of_section(&self, section: &str) -> impl Iterator<Item = (String, String, String)> {
        let prefix = format!("KOGGE_{}_", section.to_ascii_uppercase().replace('-', "_"));
        self.0.iter().filter_map(move |(name, text)| {
            let key = name.strip_prefix(&prefix)?.to_ascii_lowercase().replace('_', "-");
            Some((name.clone(), key, text.clone()))
        })
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}
