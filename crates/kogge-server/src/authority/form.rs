//! The parameters of a request (RFC 6749, 3.1 and 3.2): one without a value is as good as absent, and none comes twice.

use std::collections::HashMap;

use kogge_core::identity::audience::Wanted;
use kogge_core::identity::refusal::{Refusal, Word};

/// Parameters by name.
#[derive(Debug, Default)]
pub(super) struct Form(HashMap<String, String>);

impl Form {
    pub(super) fn parse(text: &[u8]) -> Result<Self, Refusal> {
        let mut form = HashMap::new();
        for (name, value) in form_urlencoded::parse(text).filter(|(_, value)| !value.is_empty()) {
            if form.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(Refusal::new(Word::InvalidRequest, format!("the parameter {name:?} comes twice")));
            }
        }
        Ok(Self(form))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn require(&self, name: &'static str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::new(Word::InvalidRequest, format!("the parameter {name} is missing")))
    }

    /// What the request wants a token for.
    pub(super) fn wanted(&self) -> Result<Wanted, Refusal> {
        Wanted::parse(self.get("scope").unwrap_or_default(), self.get("resource"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_once_or_not_at_all() {
        let form = Form::parse(b"a=1&b=&c=x+y%2F&b=2").expect("a form");
        assert_eq!((form.get("a"), form.get("b"), form.get("c")), (Some("1"), Some("2"), Some("x y/")));
        assert!(form.require("d").is_err());
        assert_eq!(Form::parse(b"a=1&a=1").map(drop).map_err(|refusal| refusal.word), Err(Word::InvalidRequest));
    }
}
