//! Resource providers: which types of resource there are, and which rights.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::declaration::{Function, Holder, Right};
use crate::error::{ArmError, Result};
use crate::operation::operations;
use crate::property::{Kind, Property};
use crate::query::API_VERSIONS;
use crate::types::TYPES;

const WORD: Kind = Kind::Text { max: 256 };

const DESCRIBED: &[Property] = &[
    Property::new("id", Kind::ResourceId),
    Property::new("namespace", WORD),
    Property::new("registrationState", WORD),
    Property::new("resourceTypes", Kind::List { of: &Kind::Object(&[Property::new("resourceType", WORD)]), max: 256 }),
];

const LISTED: &[Property] = &[Property::new("value", Kind::List { of: &Kind::Object(DESCRIBED), max: 16 })];

const fn reading(
    name: &'static str,
    at: Holder,
    path: &'static str,
    response: &'static [Property],
    handler: crate::declaration::Handler,
) -> Function {
    Function { name, method: Method::GET, at, path, right: Right::Authenticated, request: &[], response, handler }
}

pub(crate) static TENANT_PROVIDERS: Function =
    reading("Providers_ListAtTenantScope", Holder::Tenant, "/providers", LISTED, |call| Box::pin(providers(call)));

pub(crate) static TENANT_PROVIDER: Function = reading(
    "Providers_GetAtTenantScope",
    Holder::Tenant,
    "/providers/{resourceProviderNamespace}",
    DESCRIBED,
    |call| Box::pin(provider(call)),
);

pub(crate) static PROVIDERS: Function =
    reading("Providers_List", Holder::Subscription, "/providers", LISTED, |call| Box::pin(providers(call)));

pub(crate) static PROVIDER: Function =
    reading("Providers_Get", Holder::Subscription, "/providers/{resourceProviderNamespace}", DESCRIBED, |call| {
        Box::pin(provider(call))
    });

pub(crate) static OPERATIONS: Function = reading(
    "Operations_List",
    Holder::Tenant,
    "/providers/{resourceProviderNamespace}/operations",
    &[Property::new("value", Kind::List { of: &Kind::Object(&[Property::new("name", WORD)]), max: 1_024 })],
    |call| Box::pin(list_operations(call)),
);

/// Providers need no registration here; clients that ask for it are told so.
pub(crate) static REGISTER: Function = Function {
    name: "Providers_Register",
    method: Method::POST,
    at: Holder::Subscription,
    path: "/providers/{resourceProviderNamespace}/register",
    right: Right::action("Microsoft.ContainerRegistry/register/action"),
    request: &[],
    response: DESCRIBED,
    handler: |call| Box::pin(provider(call)),
};

async fn providers(call: &Call<'_>) -> Result<Reply> {
    let described: Vec<Value> = namespaces().map(|namespace| describe(call, namespace)).collect();
    Ok(Reply::ok(json!({ "value": described })))
}

async fn provider(call: &Call<'_>) -> Result<Reply> {
    Ok(Reply::ok(describe(call, asked(call)?)))
}

/// The provider that the path names, in its own spelling.
fn asked(call: &Call<'_>) -> Result<&'static str> {
    let asked = call.route.parameter("resourceProviderNamespace");
    namespaces().find(|namespace| namespace.eq_ignore_ascii_case(asked)).ok_or_else(|| {
        let message = format!("The resource namespace '{asked}' is invalid.");
        ArmError::not_found("InvalidResourceNamespace", message)
    })
}

/// The providers of all types, each once.
fn namespaces() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|ty| (ty.provider(), ())).collect::<BTreeMap<_, _>>().into_keys()
}

fn describe(call: &Call<'_>, namespace: &str) -> Value {
    let (deployment, versions) = (call.deployment, API_VERSIONS.split(", ").collect::<Vec<_>>());
    let types: Vec<Value> = TYPES
        .iter()
        .filter(|ty| ty.provider() == namespace)
        .map(|ty| {
            let name = ty.name.split_once('/').map_or("", |(_, name)| name);
            json!({
                "resourceType": name,
                "locations": [deployment.location],
                "apiVersions": versions,
                "capabilities": if ty.is_tracked() { "SupportsTags, SupportsLocation" } else { "None" },
            })
        })
        .collect();
    json!({
        "id": format!("{}/providers/{namespace}", deployment.subscription_path()),
        "namespace": namespace,
        "registrationState": "Registered",
        "registrationPolicy": "RegistrationFree",
        "resourceTypes": types,
    })
}

/// The rights that the declarations ask for, by name.
async fn list_operations(call: &Call<'_>) -> Result<Reply> {
    let namespace = asked(call)?;
    let rights: BTreeMap<&str, &str> =
        operations().iter().filter_map(|operation| Some((operation.action()?, operation.name()))).collect();
    let described: Vec<Value> = rights
        .into_iter()
        .filter(|(right, _)| right.split_once('/').is_some_and(|(provider, _)| provider == namespace))
        .map(|(right, operation)| {
            let resource = right.rsplit_once('/').map_or(right, |(resource, _)| resource);
            json!({
                "name": right,
                "isDataAction": false,
                "display": { "provider": namespace, "resource": resource, "operation": operation, "description": operation },
            })
        })
        .collect();
    Ok(Reply::ok(json!({ "value": described })))
}
