//! The admin user: its two passwords can be shown again, and renewed (`az acr credential`).

use http::Method;
use kogge_core::auth::passwords::ADMIN_PASSWORDS;
use kogge_core::auth::policy::rules::property::ADMIN_USER_ENABLED;
use kogge_types::{RegistryId, RegistryName};
use serde_json::{Value, json};

use super::REGISTRY;
use crate::call::{Call, Reply};
use crate::declaration::Action;
use crate::error::{ArmError, Result};
use crate::property::{Kind, Property};

const WORD: Kind = Kind::Text { max: 256 };

const CREDENTIALS: &[Property] = &[
    Property::new("username", WORD),
    Property::new(
        "passwords",
        Kind::List {
            of: &Kind::Object(&[Property::new("name", Kind::Enum(&ADMIN_PASSWORDS)), Property::new("value", WORD)]),
            max: ADMIN_PASSWORDS.len(),
        },
    ),
];

pub(super) const LIST: Action = Action {
    name: "listCredentials",
    method: Method::POST,
    request: &[],
    response: CREDENTIALS,
    handler: |call| Box::pin(list(call)),
};

pub(super) const REGENERATE: Action = Action {
    name: "regenerateCredential",
    method: Method::POST,
    request: &[Property::new("name", Kind::Enum(&ADMIN_PASSWORDS)).required()],
    response: CREDENTIALS,
    handler: |call| Box::pin(regenerate(call)),
};

async fn list(call: &Call<'_>) -> Result<Reply> {
    let (registry, name) = enabled(call).await?;
    show(call, registry, &name).await
}

async fn regenerate(call: &Call<'_>) -> Result<Reply> {
    let input = call.input()?;
    let password = input.get("name").and_then(Value::as_str).unwrap_or_default();
    let (registry, name) = enabled(call).await?;
    call.core.renew_admin_password(registry, password).await?;
    show(call, registry, &name).await
}

/// The registry, when its admin user is enabled.
async fn enabled(call: &Call<'_>) -> Result<(RegistryId, RegistryName)> {
    let (resource, _) = call.find(&REGISTRY).await?;
    if resource.registers.get(ADMIN_USER_ENABLED) != Some(&Value::Bool(true)) {
        let message = format!(
            "The admin user of the registry '{}' is disabled: set properties.adminUserEnabled to true.",
            resource.name
        );
        return Err(ArmError::bad("AdminUserDisabled", message));
    }
    super::identity(&resource)
}

async fn show(call: &Call<'_>, registry: RegistryId, name: &RegistryName) -> Result<Reply> {
    let passwords = call.core.admin_passwords(registry).await?;
    let passwords: Vec<Value> =
        passwords.iter().map(|password| json!({ "name": password.name, "value": password.value })).collect();
    Ok(Reply::ok(json!({ "username": name, "passwords": passwords })))
}
