//! Tokens: identities of one registry whose rights are a scope map, with two passwords (ACR: "Create a token with
//! repository-scoped permissions").

use http::Method;
use kogge_core::auth::passwords::{GeneratedPassword, TOKEN_PASSWORDS};
use kogge_core::kind;
use kogge_meta::{Change, Credential, Resource, Snapshot, Tx};
use serde_json::{Map, Value, json};

use crate::behaviour::{Behaviour, Draft, Shown};
use crate::body::Desired;
use crate::call::{Call, Reply};
use crate::declaration::{Action, Holder, Placement, ResourceType, Verb};
use crate::error::{ArmError, Result};
use crate::name_rule::NameRule;
use crate::property::{Kind, Literal, Property, STATUS};
use crate::representation::{Computed, time};
use crate::types::registry::REGISTRY;
use crate::types::scope_map;

pub(crate) static TOKEN: ResourceType = ResourceType {
    name: "Microsoft.ContainerRegistry/registries/tokens",
    holder: Holder::Resource(&REGISTRY),
    parameter: "tokenName",
    naming: NameRule::Characters { min: 5, max: 50, also: "-_", not_last: "" },
    placement: Placement::Proxy,
    properties: &[
        Property::new("properties.creationDate", Kind::Time).read_only(),
        Property::new("properties.provisioningState", Kind::Text { max: 32 })
            .read_only()
            .or(Literal::Text("Succeeded")),
        Property::new(SCOPE_MAP_ID, Kind::ResourceId).required(),
        Property::new(CREDENTIALS, Kind::Object(CREDENTIALS_PROPERTIES)).aside(),
        Property::new("properties.status", STATUS).or(Literal::Text("enabled")),
    ],
    verbs: &[Verb::Get, Verb::Put, Verb::Patch, Verb::Delete, Verb::List],
    actions: &[],
    behaviour: &Token,
};

const SCOPE_MAP_ID: &str = "properties.scopeMapId";
const CREDENTIALS: &str = "properties.credentials";

/// The passwords are resources of no kind; what is sent of them says which ones to keep.
const CREDENTIALS_PROPERTIES: &[Property] = &[
    Property::new("passwords", Kind::List { of: &Kind::Object(PASSWORD), max: TOKEN_PASSWORDS.len() }),
    Property::new("certificates", Kind::List { of: &Kind::Object(&[]), max: 0 }),
];

const PASSWORD: &[Property] = &[
    Property::new("name", PASSWORD_NAME).required(),
    Property::new("creationTime", Kind::Time).read_only(),
    Property::new("expiry", Kind::Time),
    Property::new("value", Kind::Text { max: 128 }).read_only(),
];

const PASSWORD_NAME: Kind = Kind::Enum(&TOKEN_PASSWORDS);

/// Makes passwords of a token of the registry. They are shown this once.
pub(crate) const GENERATE_CREDENTIALS: Action = Action {
    name: "generateCredentials",
    method: Method::POST,
    request: &[
        Property::new("tokenId", Kind::ResourceId).required(),
        Property::new("name", PASSWORD_NAME),
        Property::new("expiry", Kind::Time),
    ],
    response: &[
        Property::new("username", Kind::Text { max: 50 }),
        Property::new("passwords", Kind::List { of: &Kind::Object(PASSWORD), max: TOKEN_PASSWORDS.len() }),
    ],
    handler: |call| Box::pin(generate_credentials(call)),
};

#[derive(Debug)]
struct Token;

impl Behaviour for Token {
    fn computed(&self, shown: &Shown<'_, '_>) -> Result<Computed> {
        let mut held = shown.snapshot.credentials(shown.resource.id.as_bytes())?;
        held.sort_by(|a, b| a.name.cmp(&b.name));
        let passwords: Vec<Value> = held.iter().map(password).collect();
        Ok(vec![
            ("properties.creationDate", time(shown.resource.created.at_us)),
            (CREDENTIALS, json!({ "certificates": [], "passwords": passwords })),
        ])
    }

    fn prepare(&self, draft: &mut Draft<'_, '_>) -> Result<()> {
        let id = draft.desired.registers.get(SCOPE_MAP_ID);
        // A token whose scope map was deleted can still be disabled.
        let is_new = draft.existing.is_none_or(|existing| existing.registers.get(SCOPE_MAP_ID) != id);
        let id = id.and_then(Value::as_str).unwrap_or_default();
        if is_new && !is_scope_map(draft.snapshot, draft.parent, id)? {
            let message = format!("The scope map '{id}' does not exist in the token's registry.");
            return Err(ArmError::bad("ScopeMapNotFound", message).about(SCOPE_MAP_ID));
        }
        let held = match draft.existing {
            Some(existing) => draft.snapshot.credentials(existing.id.as_bytes())?,
            None => Vec::new(),
        };
        kept(&draft.desired, &held).map(drop)
    }

    /// Deletes the passwords that a list of those to keep leaves out. None comes this way: `generateCredentials` alone
    /// makes them.
    fn written(
        &self,
        tx: &mut Tx<'_>,
        resource: &Resource,
        _before: Option<&Resource>,
        desired: &Desired,
    ) -> Result<Vec<Change>> {
        let held = tx.credentials(resource.id.as_bytes())?;
        let Some(kept) = kept(desired, &held)? else { return Ok(Vec::new()) };
        let mut changes = Vec::new();
        for gone in held.iter().filter(|credential| !kept.contains(&credential.name)) {
            changes.extend(tx.delete_credential(&gone.owner, &gone.id)?);
        }
        Ok(changes)
    }
}

/// Whether `id` is the path of a scope map of the registry whose path in lower case is `registry`.
fn is_scope_map(snapshot: &Snapshot<'_>, registry: &str, id: &str) -> Result<bool> {
    match child_of(registry, "scopemaps", id) {
        Some(name) => scope_map::exists(snapshot, registry, &name),
        None => Ok(false),
    }
}

/// The name of the resource at `path`, in lower case, if it is one of `collection` beneath `registry`.
fn child_of(registry: &str, collection: &str, path: &str) -> Option<String> {
    let path = path.to_ascii_lowercase();
    let name = path.strip_prefix(registry)?.strip_prefix('/')?.strip_prefix(collection)?.strip_prefix('/')?;
    (!name.is_empty() && !name.contains('/')).then(|| name.to_owned())
}

/// The names of the passwords that a body wants to keep; `None` when it says nothing of them.
fn kept(desired: &Desired, held: &[Credential]) -> Result<Option<Vec<String>>> {
    let passwords = desired.aside.get(CREDENTIALS).and_then(|credentials| credentials.get("passwords")?.as_array());
    let Some(passwords) = passwords else { return Ok(None) };
    let name = |password: &Value| -> Result<String> {
        let name = password.get("name").and_then(Value::as_str).unwrap_or_default();
        let target = "properties.credentials.passwords";
        let Some(present) = held.iter().find(|credential| credential.name == name) else {
            let message = format!("The token has no '{name}': passwords are made by generateCredentials.");
            return Err(ArmError::parameter(target, message));
        };
        match password.get("expiry").map(microseconds) {
            Some(expiry) if expiry != present.expires_at_us => {
                let message =
                    format!("The expiry of '{name}' cannot be changed: make a new password by generateCredentials.");
                Err(ArmError::parameter(target, message))
            }
            _ => Ok(name.to_owned()),
        }
    };
    passwords.iter().map(name).collect::<Result<_>>().map(Some)
}

fn microseconds(time: &Value) -> Option<i64> {
    Some(time.as_str()?.parse::<jiff::Timestamp>().ok()?.as_microsecond())
}

/// A password as it is shown: without its value, which nobody knows any more.
fn password(credential: &Credential) -> Value {
    let mut shown = Map::new();
    shown.insert("creationTime".to_owned(), time(credential.created_at_us));
    if let Some(expires_at_us) = credential.expires_at_us {
        shown.insert("expiry".to_owned(), time(expires_at_us));
    }
    shown.insert("name".to_owned(), credential.name.as_str().into());
    Value::Object(shown)
}

fn generated(password: &GeneratedPassword) -> Value {
    json!({
        "creationTime": time(password.created_at_us),
        "expiry": password.expires_at_us.map(time),
        "name": password.name,
        "value": password.value,
    })
}

async fn generate_credentials(call: &Call<'_>) -> Result<Reply> {
    let request = call.input()?;
    let text = |name: &str| request.get(name).and_then(Value::as_str);
    let expires_at_us = request.get("expiry").and_then(microseconds);
    let registry = call.find(&REGISTRY).await?.0.path();
    let id = text("tokenId").unwrap_or_default();
    let token = match child_of(&registry, "tokens", id) {
        Some(name) => {
            let found = move |snapshot: &Snapshot<'_>| Ok(snapshot.resource(kind::TOKEN, &registry, &name)?);
            call.core.read_metadata(found).await?
        }
        None => None,
    };
    let Some(token) = token else {
        let message = format!("The token '{id}' does not exist in this registry.");
        return Err(ArmError::bad("TokenNotFound", message).about("tokenId"));
    };
    let mut passwords = Vec::new();
    for name in TOKEN_PASSWORDS.into_iter().filter(|name| text("name").is_none_or(|asked| asked == *name)) {
        passwords.push(generated(&call.core.renew_token_password(token.id, name, expires_at_us).await?));
    }
    Ok(Reply::ok(json!({ "username": token.name, "passwords": passwords })))
}

#[cfg(test)]
mod tests;
