//! The document against the rules of OpenAPI 3.0.3, and against the operations.

use std::collections::BTreeSet;

use super::*;

/// Every object within `value`, with its place.
fn objects<'a>(value: &'a Value, place: &str, found: &mut Vec<(String, &'a Map<String, Value>)>) {
    match value {
        Value::Object(entries) => {
            found.push((place.to_owned(), entries));
            for (key, value) in entries {
                objects(value, &format!("{place}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(values) => {
            for (number, value) in values.iter().enumerate() {
                objects(value, &format!("{place}/{number}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_operation_is_described_and_nothing_else() {
    let document = document("1.2.3");
    let paths = document["paths"].as_object().expect("paths");
    let described: BTreeSet<_> = paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("a path's methods").iter();
            methods.map(move |(method, described)| {
                let id = described["operationId"].as_str().expect("an id");
                (method.to_ascii_uppercase(), path.clone(), id.to_owned())
            })
        })
        .collect();
    let declared: BTreeSet<_> = operations()
        .iter()
        .map(|operation| (operation.method().to_string(), operation.path(), operation.name().to_owned()))
        .collect();
    assert_eq!(described, declared);
    assert_eq!(declared.len(), operations().len(), "two operations are one");
    let ids: BTreeSet<_> = declared.iter().map(|(.., id)| id).collect();
    assert_eq!(ids.len(), declared.len(), "an id is one operation's");
}

#[test]
fn the_document_is_well_formed() {
    let document = document("1.2.3");
    assert_eq!(document["openapi"], "3.0.3");
    assert_eq!(document["info"]["version"], "1.2.3");
    let mut found = Vec::new();
    objects(&document, "#", &mut found);
    let places: BTreeSet<_> = found.iter().map(|(place, _)| place.as_str()).collect();
    let mut referred = BTreeSet::new();
    for (place, object) in &found {
        if let Some(reference) = object.get("$ref") {
            let reference = reference.as_str().expect("a reference is text");
            assert!(places.contains(reference), "{place}: nothing is at {reference}");
            assert_eq!(object.len(), 1, "{place}: what stands beside a reference is not read");
            referred.insert(reference);
        }
        let is_schema = place.contains("schema") && object.get("type").is_some_and(Value::is_string);
        if !is_schema {
            continue;
        }
        let kind = object["type"].as_str().unwrap_or_default();
        assert!(
            ["object", "array", "string", "integer", "boolean"].contains(&kind) || kind == "http",
            "{place}: {kind}"
        );
        assert_eq!(kind == "array", object.contains_key("items"), "{place}");
        let longest = object.get("maxLength").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let default = object.get("default").and_then(Value::as_str).unwrap_or_default();
        assert!(default.len() as u64 <= longest, "{place}: the default does not fit");
        if let Some(required) = object.get("required") {
            let required = required.as_array().unwrap_or_else(|| panic!("{place}: {required}"));
            let known = |name: &Value| object["properties"].get(name.as_str().unwrap_or_default()).is_some();
            assert!(!required.is_empty() && required.iter().all(known), "{place}: {required:?}");
        }
    }
    for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
        assert!(referred.contains(format!("#/components/schemas/{name}").as_str()), "nobody speaks of {name}");
    }
}

#[test]
fn parameters_are_those_of_the_path() {
    let document = document("1.2.3");
    for (path, item) in document["paths"].as_object().expect("paths") {
        assert!(path.starts_with('/') && !path.contains("//"), "{path}");
        let of_path: BTreeSet<_> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).map(str::to_owned).collect();
        for (method, described) in item.as_object().expect("a path's methods") {
            let what = format!("{method} {path}");
            let parameters = described["parameters"].as_array().expect("parameters");
            let at = |place: &str| {
                let here = parameters.iter().filter(|parameter| parameter["in"] == place);
                here.map(|parameter| parameter["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
            };
            assert_eq!(at("path").into_iter().collect::<BTreeSet<_>>(), of_path, "{what}");
            assert_eq!(at("path").len(), of_path.len(), "{what}: a parameter comes twice");
            assert_eq!(at("query"), ["api-version"], "{what}");
            assert_eq!(at("path").len() + at("query").len(), parameters.len(), "{what}");
            assert!(parameters.iter().all(|parameter| parameter["required"] == true), "{what}");
            let may_have_body = ["post", "put", "patch"].contains(&method.as_str());
            assert!(may_have_body || described.get("requestBody").is_none(), "{what}");
            let responses = described["responses"].as_object().expect("responses");
            assert!(responses.contains_key("default"), "{what}");
            for (status, response) in responses {
                assert!(response["description"].is_string(), "{what} {status}");
            }
        }
    }
}
