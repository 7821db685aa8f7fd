//! `WWW-Authenticate` headers (RFC 9110 section 11.6.1), as registries use them.

/// One challenge: a scheme in lower case and its parameters, whose names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Reads one header's value, which may hold several challenges. What does not follow the grammar is left out.
    pub(crate) fn parse_all(header: &str) -> Vec<Self> {
        let mut challenges: Vec<Self> = Vec::new();
        let mut rest = header;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let word = token(rest);
            if word.is_empty() {
                return challenges;
            }
            rest = rest[word.len()..].trim_start_matches([' ', '\t']);
            match (rest.strip_prefix('='), challenges.last_mut()) {
                (Some(after), Some(challenge)) => {
                    let (value, after) = value(after.trim_start_matches([' ', '\t']));
                    challenge.parameters.push((word.to_ascii_lowercase(), value));
                    rest = after;
                }
                (Some(_), None) => return challenges,
                (None, _) => challenges.push(Self { scheme: word.to_ascii_lowercase(), parameters: Vec::new() }),
            }
        }
    }
}

/// The token (RFC 9110 section 5.6.2) that `text` begins with.
fn token(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"!#$%&'*+-.^_`|~".contains(c)).unwrap_or(text.len());
    &text[..end]
}

/// A parameter's value, quoted or not, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut read = String::new();
    let mut characters = quoted.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '"' => return (read, &quoted[position + 1..]),
            '\\' => read.extend(characters.next().map(|(_, escaped)| escaped)),
            other => read.push(other),
        }
    }
    (read, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let check = |header: &str, expected: &[(&str, &[(&str, &str)])]| {
            let read = Challenge::parse_all(header);
            let expected: Vec<Challenge> = expected
                .iter()
                .map(|(scheme, parameters)| Challenge {
                    scheme: (*scheme).to_owned(),
                    parameters: parameters.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
                })
                .collect();
            assert_eq!(read, expected, "{header}");
        };
        check(
            r#"Bearer realm="https://r.io/oauth2/token",service="r.io",scope="repository:a/b:pull,push""#,
            &[(
                "bearer",
                &[("realm", "https://r.io/oauth2/token"), ("service", "r.io"), ("scope", "repository:a/b:pull,push")],
            )],
        );
        check(
            r#"Bearer Realm = "x" , error="insufficient_scope""#,
            &[("bearer", &[("realm", "x"), ("error", "insufficient_scope")])],
        );
        check(r#"Basic realm="a \"b\", c""#, &[("basic", &[("realm", r#"a "b", c"#)])]);
        check(
            r#"Basic realm=plain, Bearer realm="x""#,
            &[("basic", &[("realm", "plain")]), ("bearer", &[("realm", "x")])],
        );
        check("Negotiate, Basic", &[("negotiate", &[]), ("basic", &[])]);
        check(r#"Bearer realm="never closed"#, &[("bearer", &[("realm", "never closed")])]);
        check(r#"realm="x""#, &[]);
        check("", &[]);
        check("\"", &[]);
    }

    #[test]
    fn parameters_are_found_by_name() {
        let challenges = Challenge::parse_all(r#"Bearer realm="x",service="""#);
        assert_eq!(challenges[0].parameter("realm"), Some("x"));
        assert_eq!(challenges[0].parameter("service"), Some(""));
        assert_eq!(challenges[0].parameter("scope"), None);
    }
}
