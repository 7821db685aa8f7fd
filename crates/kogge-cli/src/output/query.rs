//! `--query`: picks parts of a result (JMESPath, <https://jmespath.org/specification.html>).

use std::str::FromStr;

use jmespath::Expression;
use jmespath::ast::Ast;
use serde_json::Value;

use crate::error::{Error, Result};

/// Bytes of an expression: as it nests, so does what reads it.
const BYTES_MAX: usize = 1_000;

/// An expression that is well formed.
#[derive(Debug, Clone)]
pub(crate) struct Query(Expression<'static>);

impl Query {
    /// What the expression picks.
    pub(crate) fn pick(&self, value: &Value) -> Result<Value> {
        let failed = |error| Error::usage("the expression of --query fails on this result").because(one_line(&error));
        let found = self.0.search(value).map_err(failed)?;
        Ok(serde_json::to_value(&*found).expect("what is picked from JSON is JSON"))
    }

    /// The names that a last `{name: …}` gives, in the order in which they are written: JSON forgets it.
    pub(crate) fn column_order(&self) -> Vec<String> {
        let mut ast = self.0.as_ast();
        loop {
            ast = match ast {
                Ast::Projection { rhs, .. } | Ast::Subexpr { rhs, .. } => rhs,
                Ast::Condition { then, .. } => then,
                Ast::MultiHash { elements, .. } => return elements.iter().map(|pair| pair.key.clone()).collect(),
                _ => return Vec::new(),
            };
        }
    }
}

impl FromStr for Query {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() > BYTES_MAX {
            return Err(Error::usage(format!("an expression is at most {BYTES_MAX} bytes")));
        }
        let expression = jmespath::compile(text).map_err(|error| Error::usage(one_line(&error)))?;
        Ok(Self(expression))
    }
}

/// What is wrong, without the picture of the place that follows it in further lines.
fn one_line(error: &jmespath::JmespathError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pick(expression: &str, value: &Value) -> Value {
        expression.parse::<Query>().expect(expression).pick(value).expect(expression)
    }

    #[test]
    fn what_is_picked_is_what_the_expression_says() {
        let value =
            json!([{ "name": "a", "n": 9_007_199_254_740_993_u64 }, { "name": "b", "n": null, "t": "\u{1}\"" }]);
        assert_eq!(pick("[].name", &value), json!(["a", "b"]));
        assert_eq!(pick("[?name=='b'].t | [0]", &value), json!("\u{1}\""));
        assert_eq!(pick("[0].n", &value), json!(9_007_199_254_740_993_u64), "numbers stay exact");
        assert_eq!(pick("length(@)", &value), json!(2));
        assert_eq!(pick("nothing", &value), Value::Null);
        assert_eq!(pick("@", &value), value);
    }

    #[test]
    fn columns_have_the_order_in_which_they_are_written() {
        let order = |text: &str| text.parse::<Query>().expect(text).column_order();
        assert_eq!(order("[].{name: name, id: id}"), ["name", "id"]);
        assert_eq!(order("value[?a].{z: a.b, y: c}"), ["z", "y"]);
        assert_eq!(order("{b: b, a: a}"), ["b", "a"]);
        assert_eq!(order("[].name"), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_expression_is_refused_in_one_line() {
        for bad in ["", "[", "a b", "foo(", "a[?b", "{a}"] {
            let error = bad.parse::<Query>().expect_err(bad);
            assert!(!error.to_string().contains('\n'), "{error}");
        }
        assert!("sort(@)".parse::<Query>().expect("well formed").pick(&json!({})).is_err());
        let deep = "(".repeat(BYTES_MAX);
        assert!(deep.parse::<Query>().is_err());
        let deep = format!("{}a", "!".repeat(BYTES_MAX - 1));
        assert!(deep.parse::<Query>().is_ok());
        assert!("a".repeat(BYTES_MAX + 1).parse::<Query>().is_err());
    }
}
