//! The audit as it was written, with logins, pulls and pushes. ACR sends these to a log workspace; here they are asked
//! for directly.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use kogge_core::audit::{AuditError, AuditPage, AuditQuery, Order, Position};
use kogge_core::kind;
use kogge_meta::Snapshot;
use kogge_types::limits;
use serde_json::{Value, json};

use crate::ancestry::spelled;
use crate::call::{Call, Reply};
use crate::declaration::{Function, Holder, Right};
use crate::error::{ArmError, Result};
use crate::property::{Kind, Property};
use crate::types::registry::REGISTRY;

const RIGHT: Right = Right::action("Microsoft.ContainerRegistry/registries/auditEvents/read");
const RESPONSE: &[Property] = &[
    Property::new("value", Kind::List { of: &Kind::Object(&[]), max: limits::AUDIT_PAGE_EVENTS_MAX }),
    Property::new("nextLink", Kind::Text { max: limits::RESOURCE_PATH_CHARS_MAX }),
    Property::new("position", Kind::Text { max: 64 }),
];

/// Events of one registry.
pub(crate) static OF_REGISTRY: Function = Function {
    name: "Registries_ListAuditEvents",
    method: Method::GET,
    at: Holder::Resource(&REGISTRY),
    path: "/auditEvents",
    right: RIGHT,
    request: &[],
    response: RESPONSE,
    handler: |call| Box::pin(list(call)),
};

/// Events of the deployment.
pub(crate) static OF_SUBSCRIPTION: Function = Function {
    name: "Subscriptions_ListAuditEvents",
    method: Method::GET,
    at: Holder::Subscription,
    path: "/providers/Microsoft.ContainerRegistry/auditEvents",
    right: RIGHT,
    request: &[],
    response: RESPONSE,
    handler: |call| Box::pin(list(call)),
};

async fn list(call: &Call<'_>) -> Result<Reply> {
    let registry = call.route.parameter(REGISTRY.parameter);
    let mut query = asked(call.request.query)?;
    if !registry.is_empty() {
        let (holder, name) = (call.route.holder.clone(), registry.to_owned());
        let made_at_us = call.read(move |snapshot| made_at(snapshot, &holder, &name)).await?;
        // An earlier registry may have had the name: what happened there is not this one's to show.
        query.ended_from_us = made_at_us;
    }
    query.registry = Some(registry.to_owned()).filter(|registry| !registry.is_empty());
    query.limit = call.query.top.min(limits::AUDIT_PAGE_EVENTS_MAX);
    query.after = position(call)?;
    let found = events(call, query).await?;
    let position = found.position.map(|position| position.to_string());
    let mut body =
        json!({ "value": found.records.into_iter().map(|record| Value::Object(record.columns)).collect::<Vec<_>>() });
    if let Some(position) = &position {
        body["position"] = URL_SAFE_NO_PAD.encode(position).into();
        if found.more {
            body["nextLink"] = next_link(call, position).into();
        }
    }
    Ok(Reply::ok(body))
}

/// When the registry of this path was made.
fn made_at(snapshot: &Snapshot<'_>, path: &str, name: &str) -> Result<Option<i64>> {
    spelled(snapshot, path)?;
    let path = path.to_ascii_lowercase();
    let group = path.split_once("/providers/").map_or("", |(group, _)| group);
    let registry = snapshot.resource(kind::REGISTRY, group, name)?;
    Ok(registry.map(|registry| registry.created.at_us))
}

/// Asks the audit.
///
/// # Errors
/// `AuditNotKept` where events go elsewhere and cannot be asked for.
pub(super) async fn events(call: &Call<'_>, query: AuditQuery) -> Result<AuditPage> {
    call.core.audit().query(query).await.map_err(|error| match error {
        AuditError::NotKept => ArmError::conflict("AuditNotKept", format!("{error}.")),
        AuditError::Io(_) => {
            let message = "The audit could not be read.";
            let source = kogge_core::Error::internal(error);
            let error = ArmError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message);
            ArmError { source: Some(Box::new(source)), ..error }
        }
    })
}

/// Where the page begins.
pub(super) fn position(call: &Call<'_>) -> Result<Option<Position>> {
    let position = call.query.after.first().map(|position| position.parse());
    position.transpose().map_err(|_| ArmError::parameter("$skipToken", "The skip token is none that was handed out."))
}

/// What the query of a request asks for, but for the page.
fn asked(query: Option<&str>) -> Result<AuditQuery> {
    let mut asked = AuditQuery::default();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let text = || Some(value.clone().into_owned());
        match name.to_ascii_lowercase().as_str() {
            "since" => asked.from_us = Some(time(&name, &value)?),
            "until" => asked.to_us = Some(time(&name, &value)?),
            "kind" => {
                let kind = value.parse().map_err(|error| ArmError::parameter("kind", format!("'{value}': {error}.")));
                asked.kinds.push(kind?);
            }
            "identity" => asked.identity = text(),
            "repository" => {
                let pattern = value.parse().map_err(|_| {
                    ArmError::parameter("repository", "A pattern is a repository's name, 'name/*' or '*'.")
                });
                asked.repository = Some(pattern?);
            }
            "operation" => asked.operation = text(),
            "result" => asked.result = text(),
            "correlationid" => asked.correlation_id = text(),
            "resource" => asked.resource = text(),
            "order" => {
                asked.order = match value.as_ref() {
                    "oldest" => Order::OldestFirst,
                    "newest" => Order::NewestFirst,
                    _ => return Err(ArmError::parameter("order", "The order is oldest or newest.")),
                }
            }
            _ => {}
        }
    }
    Ok(asked)
}

fn time(name: &str, text: &str) -> Result<i64> {
    let time = text.parse::<jiff::Timestamp>();
    let wrong =
        |_| ArmError::parameter(name, format!("The value of '{name}' is invalid: it must be a time as in RFC 3339."));
    Ok(time.map_err(wrong)?.as_microsecond())
}

/// The address of the next page: the same question, from there on.
fn next_link(call: &Call<'_>, position: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(call.request.query.unwrap_or_default().as_bytes()) {
        if !name.eq_ignore_ascii_case("$skiptoken") {
            query.append_pair(&name, &value);
        }
    }
    query.append_pair("$skipToken", &URL_SAFE_NO_PAD.encode(position));
    format!("{}{}?{}", call.request.base_url, call.request.path, query.finish())
}

#[cfg(test)]
mod tests;
