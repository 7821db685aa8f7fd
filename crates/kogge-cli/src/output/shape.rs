//! How JSON of any shape is shown as rows.

use serde_json::{Map, Value};

/// Rows of cells, under a header if they have one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rows {
    pub(crate) header: Option<Vec<String>>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// Rows for a list: its objects have their fields as columns, `order` first; lists within it are rows; all else is one
/// cell. What is not a list is a list of one; `null` is none.
pub(crate) fn rows(value: &Value, order: &[String]) -> Rows {
    let items = match value {
        Value::Null => return Rows::default(),
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let Some(objects) = items.iter().map(Value::as_object).collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())
    else {
        let row = |item: &Value| match item {
            Value::Array(cells) => cells.iter().map(cell).collect(),
            other => vec![cell(other)],
        };
        return Rows { header: None, rows: items.iter().map(row).collect() };
    };
    let header = columns(&objects, order);
    let row = |object: &&Map<String, Value>| {
        header.iter().map(|name| object.get(name).map_or_else(String::new, cell)).collect()
    };
    let rows = objects.iter().map(row).collect();
    Rows { header: Some(header), rows }
}

fn columns(objects: &[&Map<String, Value>], order: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let known = |name: &&String| objects.iter().any(|object| object.contains_key(*name));
    for name in order.iter().filter(known).chain(objects.iter().flat_map(|object| object.keys())) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// A value in one cell, on one line: texts as they are, nothing for `null`, JSON for what holds further values.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => one_line(text),
        other => one_line(&other.to_string()),
    }
}

/// Text without what would break its line, its cell, or the terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The attributes of an object, each with its value; those within an attribute follow it with its name.
pub(crate) fn attributes(value: &Value) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    collect("", value, &mut rows);
    rows
}

fn collect(prefix: &str, value: &Value, rows: &mut Vec<[String; 2]>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let name = if prefix.is_empty() { one_line(name) } else { format!("{prefix}.{}", one_line(name)) };
                collect(&name, value, rows);
            }
        }
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            let items: Vec<String> = items.iter().map(cell).collect();
            rows.push([prefix.to_owned(), items.join(", ")]);
        }
        other => rows.push([prefix.to_owned(), cell(other)]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: &Value, order: &[&str], header: Option<&[&str]>, expected: &[&[&str]]) {
        let order: Vec<String> = order.iter().map(ToString::to_string).collect();
        let shown = rows(value, &order);
        let header = header.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
        let expected: Vec<Vec<String>> =
            expected.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect();
        assert_eq!((shown.header, shown.rows), (header, expected), "{value}");
    }

    #[test]
    fn any_json_has_rows() {
        check(&json!("a\tb\n\u{1b}[2J"), &[], None, &[&["a b  [2J"]]);
        check(&json!(null), &[], None, &[]);
        check(&json!([]), &[], None, &[]);
        check(&json!([true, 1.5, null]), &[], None, &[&["true"], &["1.5"], &[""]]);
        check(&json!([["a", 1], ["b"]]), &[], None, &[&["a", "1"], &["b"]]);
        check(&json!({ "b": 1, "a": [1] }), &[], Some(&["a", "b"]), &[&["[1]", "1"]]);
        check(&json!([{ "b": 1 }, { "a": 2 }]), &["b", "x"], Some(&["b", "a"]), &[&["1", ""], &["", "2"]]);
        check(&json!([{ "b": 1 }, 2]), &[], None, &[&["{\"b\":1}"], &["2"]]);
    }

    #[test]
    fn attributes_are_named_by_their_path() {
        let value = json!({ "a": { "b": "x", "c": [1, 2] }, "d": [{ "e": 1 }], "f": {}, "g": null });
        let expected = [["a.b", "x"], ["a.c", "1, 2"], ["d", "[{\"e\":1}]"], ["f", "{}"], ["g", ""]];
        assert_eq!(attributes(&value), expected.map(|row| row.map(ToOwned::to_owned)));
    }
}
