//! Pages of listings that are a type's own.

use serde_json::{Value, json};

use crate::call::{Call, Reply};

/// A page of a listing, and the way to the next one: `last` says where this one ended, if there is more.
pub(crate) fn page(call: &Call<'_>, value: Vec<Value>, last: Option<Vec<&str>>) -> Reply {
    let mut body = json!({ "value": value });
    if let Some(last) = last {
        let address = format!("{}{}", call.request.base_url, call.request.path);
        body["nextLink"] = call.query.next_link(&address, &last).into();
    }
    Reply::ok(body)
}
