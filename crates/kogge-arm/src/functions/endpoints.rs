//! `/metadata/endpoints`: where a client of a cloud finds what belongs to it (`az cloud register`).

use http::Method;
use serde_json::json;

use crate::call::{Call, Reply};
use crate::declaration::{Function, Holder, Right};
use crate::error::Result;
use crate::property::{Kind, Property};

const URL: Kind = Kind::Text { max: 2_048 };

pub(crate) static ENDPOINTS: Function = Function {
    name: "Metadata_ListEndpoints",
    method: Method::GET,
    at: Holder::Tenant,
    path: "/metadata/endpoints",
    right: Right::Anonymous,
    request: &[],
    response: &[
        Property::new("name", URL),
        Property::new("portal", URL),
        Property::new("resourceManager", URL),
        Property::new("graphAudience", URL),
        Property::new("microsoftGraphResourceId", URL),
        Property::new(
            "authentication",
            Kind::Object(&[
                Property::new("loginEndpoint", URL),
                Property::new("audiences", Kind::List { of: &URL, max: 16 }),
                Property::new("tenant", URL),
                Property::new("identityProvider", URL),
            ]),
        ),
        Property::new("suffixes", Kind::Object(&[Property::new("acrLoginServer", URL)])),
    ],
    handler: |call| Box::pin(endpoints(call)),
};

/// The login endpoint ends in `/adfs`, so that clients ask nobody else about it.
async fn endpoints(call: &Call<'_>) -> Result<Reply> {
    let (base, deployment) = (call.request.base_url, call.deployment);
    let suffix = deployment.login_suffix();
    Ok(Reply::ok(json!({
        "name": deployment.name,
        "portal": base,
        "resourceManager": format!("{base}/"),
        "graphAudience": format!("{base}/"),
        "microsoftGraphResourceId": base,
        "authentication": {
            "loginEndpoint": format!("{base}/adfs"),
            "audiences": deployment.audiences,
            "tenant": deployment.tenant,
            "identityProvider": "ADFS",
        },
        "suffixes": { "acrLoginServer": suffix, "keyVaultDns": format!("vault.{suffix}"), "storage": suffix },
    })))
}
