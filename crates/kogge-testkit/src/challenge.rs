//! The `WWW-Authenticate` challenge, as container clients read it.

/// A parsed challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    Basic,
    /// `Bearer realm="…",service="…",scope="…"`; one `scope` may hold several, separated by spaces.
    Bearer {
        realm: String,
        service: String,
        scopes: Vec<String>,
    },
}

impl Challenge {
    /// Reads the value of a `WWW-Authenticate` header. `None` when it is neither Basic nor Bearer, or names no realm.
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, parameters) = header.split_once(' ').unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let value = |name: &str| parameters_of(parameters).find(|(n, _)| *n == name).map(|(_, v)| v.to_owned());
        let scopes = value("scope").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        Some(Self::Bearer { realm: value("realm")?, service: value("service").unwrap_or_default(), scopes })
    }
}

/// The `name="value"` pairs of a challenge; a quoted value may hold commas.
fn parameters_of(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = after.split_once('"')?;
        rest = after;
        Some((name.trim_matches([',', ' ']), value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_challenge_is_read_with_all_its_scopes() {
        let header = r#"Bearer realm="http://r/token",service="r",scope="repository:a:pull,push repository:b:pull""#;
        let scopes = vec!["repository:a:pull,push".to_owned(), "repository:b:pull".to_owned()];
        let expected = Challenge::Bearer { realm: "http://r/token".to_owned(), service: "r".to_owned(), scopes };
        assert_eq!(Challenge::parse(header), Some(expected));
        assert_eq!(Challenge::parse(r#"Basic realm="r""#), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("Negotiate"), None);
    }
}
