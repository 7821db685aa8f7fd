//! Which resources of a listing are asked for: `$filter` over what they show.

use serde_json::Value;

use crate::error::Result;
use crate::query::{Clause, filter};

/// What resources are selected by, unless their type has fields of its own.
const FIELDS: [&str; 6] = ["resourcetype", "name", "location", "resourcegroup", "tagname", "tagvalue"];

/// Clauses that all must hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    clauses: Vec<Clause>,
}

impl Selection {
    /// # Errors
    /// `InvalidFilterInQueryString` for a filter that is not `field eq 'value'`, joined by `and`.
    pub(crate) fn read(text: Option<&str>) -> Result<Self> {
        Ok(Self { clauses: text.map(|text| filter(text, &FIELDS)).transpose()?.unwrap_or_default() })
    }

    /// Whether resources of a type can be selected at all.
    pub(crate) fn admits_type(&self, name: &str) -> bool {
        let holds = |clause: &Clause| clause.value.eq_ignore_ascii_case(name) == clause.equal;
        self.clauses.iter().filter(|clause| clause.field == "resourcetype").all(holds)
    }

    /// Whether a resource, as it is shown, is selected. Values are compared without regard to case.
    pub(crate) fn admits(&self, shown: &Value) -> bool {
        let tag_name = self.clauses.iter().find(|clause| clause.field == "tagname" && clause.equal);
        self.clauses.iter().all(|clause| {
            let is = |value: Option<&str>| value.is_some_and(|value| value.eq_ignore_ascii_case(&clause.value));
            let text = |key: &str| shown.get(key).and_then(Value::as_str);
            let mut tags = shown.get("tags").and_then(Value::as_object).into_iter().flatten();
            let holds = match clause.field.as_str() {
                "resourcetype" => is(text("type")),
                "resourcegroup" => is(text("id").and_then(|id| id.split('/').nth(4))),
                "tagname" => tags.any(|(name, _)| is(Some(name))),
                "tagvalue" => tags.any(|(name, value)| {
                    is(value.as_str()) && tag_name.is_none_or(|asked| asked.value.eq_ignore_ascii_case(name))
                }),
                field => is(text(field)),
            };
            holds == clause.equal
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selections() {
        let shown = json!({
            "id": "/subscriptions/S/resourceGroups/Dev/providers/A.B/things/one",
            "name": "one", "type": "A.B/things", "location": "here", "tags": { "env": "test", "team": "red" },
        });
        let check = |filter: &str, expected: bool| {
            assert_eq!(Selection::read(Some(filter)).expect(filter).admits(&shown), expected, "{filter}");
        };
        check("resourceType eq 'a.b/Things'", true);
        check("resourceType eq 'a.b/others'", false);
        check("name eq 'ONE' and location eq 'here' and resourceGroup eq 'dev'", true);
        check("name ne 'one'", false);
        check("tagName eq 'env'", true);
        check("tagName eq 'env' and tagValue eq 'test'", true);
        check("tagName eq 'env' and tagValue eq 'red'", false);
        check("tagValue eq 'red'", true);
        assert!(Selection::read(None).expect("none").admits(&shown));
        assert!(Selection::read(Some("roleName eq 'x'")).is_err());
    }
}
