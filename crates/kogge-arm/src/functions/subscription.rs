//! The tenant and its one subscription. Whoever has logged in may know of them: they are the deployment itself.

use http::Method;
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::declaration::{Function, Holder, Right};
use crate::deployment::Deployment;
use crate::error::Result;
use crate::property::{Kind, Property};

const WORD: Kind = Kind::Text { max: 256 };

const DESCRIBED: &[Property] = &[
    Property::new("id", Kind::ResourceId),
    Property::new("subscriptionId", WORD),
    Property::new("tenantId", WORD),
    Property::new("displayName", WORD),
    Property::new("state", WORD),
];

const LISTED: &[Property] = &[Property::new("value", Kind::List { of: &Kind::Object(DESCRIBED), max: 1 })];

pub(crate) static TENANTS: Function = Function {
    name: "Tenants_List",
    method: Method::GET,
    at: Holder::Tenant,
    path: "/tenants",
    right: Right::Authenticated,
    request: &[],
    response: LISTED,
    handler: |call| Box::pin(tenants(call)),
};

pub(crate) static SUBSCRIPTIONS: Function = Function {
    name: "Subscriptions_List",
    method: Method::GET,
    at: Holder::Tenant,
    path: "/subscriptions",
    right: Right::Authenticated,
    request: &[],
    response: LISTED,
    handler: |call| Box::pin(subscriptions(call)),
};

pub(crate) static SUBSCRIPTION: Function = Function {
    name: "Subscriptions_Get",
    method: Method::GET,
    at: Holder::Subscription,
    path: "",
    right: Right::Authenticated,
    request: &[],
    response: DESCRIBED,
    handler: |call| Box::pin(subscription(call)),
};

pub(crate) static LOCATIONS: Function = Function {
    name: "Subscriptions_ListLocations",
    method: Method::GET,
    at: Holder::Subscription,
    path: "/locations",
    right: Right::Authenticated,
    request: &[],
    response: &[Property::new("value", Kind::List { of: &Kind::Object(&[Property::new("name", WORD)]), max: 64 })],
    handler: |call| Box::pin(locations(call)),
};

async fn tenants(call: &Call<'_>) -> Result<Reply> {
    let deployment = call.deployment;
    let tenant = json!({
        "id": format!("/tenants/{}", deployment.tenant),
        "tenantId": deployment.tenant,
        "displayName": deployment.name,
        "defaultDomain": deployment.domain,
        "domains": [deployment.domain],
        "tenantCategory": "Home",
        "tenantType": "AAD",
    });
    Ok(Reply::ok(json!({ "value": [tenant] })))
}

async fn subscriptions(call: &Call<'_>) -> Result<Reply> {
    Ok(Reply::ok(json!({ "value": [describe(call.deployment)], "count": { "type": "Total", "value": 1 } })))
}

async fn subscription(call: &Call<'_>) -> Result<Reply> {
    Ok(Reply::ok(describe(call.deployment)))
}

fn describe(deployment: &Deployment) -> Value {
    json!({
        "id": deployment.subscription_path(),
        "subscriptionId": deployment.subscription,
        "tenantId": deployment.tenant,
        "displayName": deployment.name,
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionPolicies": { "locationPlacementId": "", "quotaId": "", "spendingLimit": "Off" },
    })
}

async fn locations(call: &Call<'_>) -> Result<Reply> {
    let deployment = call.deployment;
    let location = json!({
        "id": format!("{}/locations/{}", deployment.subscription_path(), deployment.location),
        "name": deployment.location,
        "type": "Region",
        "displayName": deployment.location,
        "regionalDisplayName": deployment.location,
        "metadata": { "regionType": "Physical", "regionCategory": "Recommended" },
    });
    Ok(Reply::ok(json!({ "value": [location] })))
}
