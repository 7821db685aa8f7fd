//! Who is who: names of users, groups and service principals (Microsoft Graph's shapes).

use kogge_types::ResourceId;
use reqwest::Method;
use serde_json::{Value, json};

use super::path::quoted;
use super::session::{Call, Session};
use crate::error::{Error, Result};

/// Ids that are asked for at once.
const IDS_MAX: usize = 100;
/// Where each kind of principal is looked for, by which of its fields, and what role assignments call it.
const KINDS: [(&str, &str, &str); 3] = [
    ("users", "userPrincipalName", "User"),
    ("servicePrincipals", "displayName", "ServicePrincipal"),
    ("groups", "displayName", "Group"),
];

/// Somebody who may have roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    /// The object id.
    pub(crate) id: String,
    /// `User`, `Group`, `ServicePrincipal`; `None` when the directory does not know the id.
    pub(crate) kind: Option<String>,
}

impl Session {
    /// Whom a name, an object id or an application id means. An id that the directory does not know is taken as it is:
    /// it may be of another authority.
    pub(crate) async fn principal(&self, who: &str) -> Result<Principal> {
        let action = format!("find {who}");
        if who.parse::<ResourceId>().is_ok() {
            let known = self.principals(&[who.to_owned()]).await.unwrap_or_default();
            if let Some(found) = known.first() {
                return found_principal(found, None).ok_or_else(|| unusable(&action));
            }
            let filter = format!("appId eq {}", quoted(who));
            let found = self.search("servicePrincipals", &filter, &action).await.unwrap_or_default();
            let program = found.first().and_then(|found| found_principal(found, Some("ServicePrincipal")));
            return Ok(program.unwrap_or(Principal { id: who.to_owned(), kind: None }));
        }
        let mut found: Vec<Principal> = Vec::new();
        for (kind, field, called) in KINDS {
            let filter = format!("{field} eq {}", quoted(who));
            let matches = match self.search(kind, &filter, &action).await {
                // Not every server knows every kind, and not all of them have a directory.
                Err(error) if matches!(error.status(), Some(400 | 404)) => continue,
                outcome => outcome?,
            };
            for principal in matches.iter().filter_map(|found| found_principal(found, Some(called))) {
                if !found.iter().any(|own| own.id == principal.id) {
                    found.push(principal);
                }
            }
        }
        match <[Principal; 1]>::try_from(found) {
            Ok([principal]) => Ok(principal),
            Err(none) if none.is_empty() => Err(Error::not_found(format!("the directory does not know {who}")).hint(
                "names are those that `kogge admin user list` shows on the server's machine; object ids work too",
            )),
            Err(many) => {
                let ids: Vec<&str> = many.iter().map(|principal| principal.id.as_str()).collect();
                Err(Error::usage(format!("{who} is the name of several: {}", ids.join(", ")))
                    .hint("give the object id"))
            }
        }
    }

    /// What the directory knows of object ids.
    pub(crate) async fn principals(&self, ids: &[String]) -> Result<Vec<Value>> {
        let action = "look names up";
        let mut known = Vec::new();
        for ids in ids.chunks(IDS_MAX) {
            let body = json!({ "ids": ids, "types": ["user", "group", "servicePrincipal"] });
            let call = Call::new(Method::POST, "/v1.0/directoryObjects/getByIds", action).of_directory().body(body);
            known.extend(values(self.send(call).await?));
        }
        Ok(known)
    }

    async fn search(&self, kind: &str, filter: &str, action: &str) -> Result<Vec<Value>> {
        let path = format!("/v1.0/{kind}");
        self.send(Call::get(&path, action).of_directory().query("$filter", filter)).await.map(values)
    }
}

/// The name under which a directory object is known to people.
pub(crate) fn display_name(object: &Value) -> Option<&str> {
    ["userPrincipalName", "displayName", "appId"].into_iter().find_map(|field| object[field].as_str())
}

fn values(mut answer: Value) -> Vec<Value> {
    match answer.get_mut("value").map(Value::take) {
        Some(Value::Array(values)) => values,
        _ => Vec::new(),
    }
}

fn found_principal(object: &Value, kind: Option<&str>) -> Option<Principal> {
    let typed = object["@odata.type"].as_str().and_then(|name| match name.rsplit('.').next()? {
        "user" => Some("User"),
        "group" => Some("Group"),
        "servicePrincipal" => Some("ServicePrincipal"),
        _ => None,
    });
    Some(Principal { id: object["id"].as_str()?.to_owned(), kind: typed.or(kind).map(ToOwned::to_owned) })
}

fn unusable(action: &str) -> Error {
    Error::general(format!("cannot {action}: the directory's answer has no id"))
}
