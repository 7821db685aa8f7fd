//! The query of a request: `api-version`, `$top`, `$skipToken`, `$filter`.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kogge_types::limits;

use crate::error::{ArmError, Result};

/// Versions of the API whose requests and answers are the ones given here. Others are taken too, as clients of every
/// age ask for theirs.
pub(crate) const API_VERSIONS: &str = "2023-07-01, 2025-11-01, 2026-11-01";

/// The parameters of a request, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) api_version: String,
    pub(crate) filter: Option<String>,
    /// How many resources a page shall have.
    pub(crate) top: usize,
    /// Where the page begins: the last resource of the one before.
    pub(crate) after: Vec<String>,
}

impl Query {
    /// # Errors
    /// `MissingApiVersionParameter`, `InvalidApiVersionParameter`, or `InvalidParameter` naming another one.
    pub(crate) fn read(query: Option<&str>) -> Result<Self> {
        let (mut api_version, mut filter, mut top, mut after) =
            (None, None, limits::PAGE_RESOURCES_DEFAULT, Vec::new());
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match name.to_ascii_lowercase().as_str() {
                "api-version" => api_version = Some(value.into_owned()),
                "$filter" => filter = Some(value.into_owned()).filter(|filter| !filter.trim().is_empty()),
                "$top" => top = read_top(&value)?,
                "$skiptoken" => after = read_token(&value)?,
                _ => {}
            }
        }
        let api_version = api_version.filter(|version| !version.is_empty()).ok_or_else(|| {
            let message = "The api-version query parameter (?api-version=) is required for all requests.";
            ArmError::bad("MissingApiVersionParameter", message)
        })?;
        if !is_version(&api_version) {
            let message = format!("The api-version '{api_version}' is invalid: it must be YYYY-MM-DD, maybe -preview.");
            return Err(ArmError::bad("InvalidApiVersionParameter", message));
        }
        Ok(Self { api_version, filter, top, after })
    }

    /// The address of the page that begins behind `last`, of the listing at `address`.
    pub(crate) fn next_link(&self, address: &str, last: &[&str]) -> String {
        let token = URL_SAFE_NO_PAD.encode(last.join("\n"));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("api-version", &self.api_version);
        if let Some(filter) = &self.filter {
            query.append_pair("$filter", filter);
        }
        if self.top != limits::PAGE_RESOURCES_DEFAULT {
            query.append_pair("$top", &self.top.to_string());
        }
        query.append_pair("$skipToken", &token);
        format!("{address}?{}", query.finish())
    }
}

/// `2025-11-01` or `2026-09-01-preview`.
fn is_version(text: &str) -> bool {
    let date = text.strip_suffix("-preview").unwrap_or(text);
    date.len() == 10
        && date.bytes().enumerate().all(|(i, b)| if matches!(i, 4 | 7) { b == b'-' } else { b.is_ascii_digit() })
}

fn read_top(text: &str) -> Result<usize> {
    let number = text.parse().ok().filter(|top| *top >= 1);
    let number: usize = number.ok_or_else(|| ArmError::parameter("$top", "$top must be a number above zero."))?;
    Ok(number.min(limits::PAGE_RESOURCES_MAX))
}

fn read_token(token: &str) -> Result<Vec<String>> {
    let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(|| ArmError::parameter("$skipToken", "The skip token is none that was handed out."))?;
    Ok(text.split('\n').map(str::to_owned).collect())
}

/// A clause of `$filter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    /// In lower case.
    pub(crate) field: String,
    pub(crate) equal: bool,
    pub(crate) value: String,
}

/// The clauses of `$filter`, joined by `and`: `resourceType eq 'Microsoft.ContainerRegistry/registries' and name ne 'a'`.
///
/// # Errors
/// `InvalidFilterInQueryString` for anything else, and for a field that is not among `fields` (lower case).
pub(crate) fn filter(text: &str, fields: &[&str]) -> Result<Vec<Clause>> {
    let refuse = || {
        let message = format!("Invalid $filter '{text}': write {} eq 'value', joined by 'and'.", fields.join(" or "));
        ArmError::bad("InvalidFilterInQueryString", message).about("$filter")
    };
    let mut words = words(text).ok_or_else(refuse)?.into_iter();
    let mut clauses = Vec::new();
    loop {
        let (field, operator, value) = (words.next(), words.next(), words.next());
        let (Some(Word::Plain(field)), Some(Word::Plain(operator)), Some(Word::Quoted(value))) =
            (field, operator, value)
        else {
            return Err(refuse());
        };
        let (field, operator) = (field.to_ascii_lowercase(), operator.to_ascii_lowercase());
        if !fields.contains(&field.as_str()) || !matches!(operator.as_str(), "eq" | "ne") {
            return Err(refuse());
        }
        clauses.push(Clause { field, equal: operator == "eq", value: value.into_owned() });
        match words.next() {
            None => return Ok(clauses),
            Some(Word::Plain(and)) if and.eq_ignore_ascii_case("and") => {}
            Some(_) => return Err(refuse()),
        }
    }
}

enum Word<'a> {
    Plain(&'a str),
    Quoted(Cow<'a, str>),
}

/// The words of a filter, at most as many as a filter may have. A quote within quotes is written twice (OData).
fn words(text: &str) -> Option<Vec<Word<'_>>> {
    let (mut rest, mut words) = (text.trim_start(), Vec::new());
    while !rest.is_empty() {
        if words.len() == limits::FILTER_WORDS_MAX {
            return None;
        }
        if let Some(quoted) = rest.strip_prefix('\'') {
            let mut end = quoted.find('\'')?;
            while quoted[end + 1..].starts_with('\'') {
                end += 2 + quoted[end + 2..].find('\'')?;
            }
            words.push(Word::Quoted(Cow::Owned(quoted[..end].replace("''", "'"))));
            rest = quoted[end + 1..].trim_start();
        } else {
            let end = rest.find([' ', '\'']).unwrap_or(rest.len());
            words.push(Word::Plain(&rest[..end]));
            rest = rest[end..].trim_start();
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_every_age_are_taken_and_none_is_missing() {
        for good in ["api-version=2017-10-01", "API-Version=2026-09-01-preview", "a=b&api-version=2025-11-01"] {
            assert!(Query::read(Some(good)).is_ok(), "{good}");
        }
        let code = |query: Option<&str>| Query::read(query).expect_err("refused").code;
        assert_eq!(code(None), "MissingApiVersionParameter");
        assert_eq!(code(Some("api-version=")), "MissingApiVersionParameter");
        for bad in ["2025-11", "2025-11-01-beta", "latest", "2025-11-01-preview-preview", "2025/11/01", "20251-1-01"] {
            assert_eq!(code(Some(&format!("api-version={bad}"))), "InvalidApiVersionParameter", "{bad}");
        }
        for bad in ["$top=0", "$top=-1", "$top=x", "$skipToken=%2b"] {
            assert_eq!(code(Some(&format!("api-version=2025-11-01&{bad}"))), "InvalidParameter", "{bad}");
        }
    }

    #[test]
    fn a_next_link_leads_to_where_the_page_ended() {
        let first = Query::read(Some("api-version=2025-11-01&$top=5000&$filter=name eq 'a'")).expect("a query");
        assert_eq!((first.top, first.after.len()), (limits::PAGE_RESOURCES_MAX, 0));
        let link = first.next_link("https://example.com/subscriptions", &["/a/b", "täg"]);
        let (address, query) = link.split_once('?').expect("a query");
        assert_eq!(address, "https://example.com/subscriptions");
        let next = Query::read(Some(query)).expect("a query");
        assert_eq!(next, Query { after: vec!["/a/b".to_owned(), "täg".to_owned()], ..first });
    }

    #[test]
    fn filters() {
        let fields = ["resourcetype", "name"];
        let clause = |field: &str, equal, value: &str| Clause { field: field.into(), equal, value: value.into() };
        let check =
            |text: &str, expected: &[Clause]| assert_eq!(filter(text, &fields).expect(text), expected, "{text}");
        check("resourceType eq 'A.B/c'", &[clause("resourcetype", true, "A.B/c")]);
        check(" NAME  EQ 'it''s' AND name ne ''", &[clause("name", true, "it's"), clause("name", false, "")]);
        for bad in [
            "",
            "name",
            "name eq",
            "name eq a",
            "name eq 'a",
            "name eq 'a' or name eq 'b'",
            "size eq 'a'",
            "name gt 'a'",
            "name eq 'a' and",
            "'name' eq 'a'",
            "name eq 'a''",
            "substringof('a', name)",
        ] {
            assert_eq!(filter(bad, &fields).expect_err(bad).code, "InvalidFilterInQueryString", "{bad}");
        }
    }
}
