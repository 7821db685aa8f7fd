//! The activity log: management operations and who asked for them (Azure: "Azure Monitor activity log event schema").
//! It is read from the audit.

use http::Method;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use kogge_core::audit::{AuditQuery, Kind as EventKind, Order, Record};
use kogge_types::limits;
use serde_json::{Map, Value, json};

use crate::call::{Call, Reply};
use crate::declaration::{Function, Holder, Right};
use crate::error::{ArmError, Result};
use crate::functions::audit_events::{events, position};
use crate::page::page;
use crate::property::{Kind, Property};
use crate::term::{Term, refusal, terms};

const RIGHT: Right = Right::action("Microsoft.Insights/eventtypes/values/read");
const PATH: &str = "/providers/Microsoft.Insights/eventtypes/management/values";
const RESPONSE: &[Property] =
    &[Property::new("value", Kind::List { of: &Kind::Object(&[]), max: limits::AUDIT_PAGE_EVENTS_MAX })];

/// Operations on what the subscription holds.
pub(crate) static OF_SUBSCRIPTION: Function = Function {
    name: "ActivityLogs_List",
    method: Method::GET,
    at: Holder::Subscription,
    path: PATH,
    right: RIGHT,
    request: &[],
    response: RESPONSE,
    handler: |call| Box::pin(list(call)),
};

/// All operations, those on the deployment as a whole among them.
pub(crate) static OF_TENANT: Function = Function {
    name: "TenantActivityLogs_List",
    method: Method::GET,
    at: Holder::Tenant,
    path: PATH,
    right: RIGHT,
    request: &[],
    response: RESPONSE,
    handler: |call| Box::pin(list(call)),
};

/// What is asked of an operation beside what the audit can be asked for.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    query: AuditQuery,
    provider: Option<String>,
    status: Option<String>,
}

impl Asked {
    /// `subscription` is the path of the subscription that is asked about; empty for the tenant.
    fn read(filter: Option<&str>, subscription: &str) -> Result<Self> {
        let mut asked = Self::default();
        asked.query.kinds = vec![EventKind::Management, EventKind::Denial];
        asked.query.resource = Some(subscription.to_owned()).filter(|path| !path.is_empty());
        let Some(text) = filter else { return Ok(asked) };
        for term in terms(text)? {
            let Term::Comparison { field, operator, value } = term else { return Err(refusal(text)) };
            match (field.as_str(), operator.as_str()) {
                ("eventtimestamp", "ge") => asked.query.from_us = Some(time(&value)?),
                ("eventtimestamp", "le") => asked.query.to_us = Some(time(&value)?.saturating_add(1)),
                ("resourcegroupname", "eq") => {
                    asked.query.resource = Some(format!("{subscription}/resourceGroups/{value}"));
                }
                ("resourceuri" | "resourceid", "eq") => asked.query.resource = Some(value),
                ("resourceprovider", "eq") => asked.provider = Some(value),
                ("correlationid", "eq") => asked.query.correlation_id = Some(value),
                ("caller", "eq") => asked.query.identity = Some(value),
                ("status", "eq") => asked.status = Some(value),
                // Every operation is in these channels.
                ("eventchannels", "eq") => {}
                _ => return Err(refusal(text)),
            }
        }
        Ok(asked)
    }

    fn admits(&self, record: &Record) -> bool {
        let provider = record.text("OperationName").split('/').next().unwrap_or_default();
        !record.text("ResourceId").is_empty()
            && self.provider.as_ref().is_none_or(|asked| asked.eq_ignore_ascii_case(provider))
            && self.status.as_ref().is_none_or(|asked| asked.eq_ignore_ascii_case(status(record)))
    }
}

/// A time; without a zone, as the Azure CLI writes it, in UTC.
fn time(text: &str) -> Result<i64> {
    let in_utc = || text.parse::<civil::DateTime>()?.to_zoned(TimeZone::UTC).map(|time| time.timestamp());
    let time = text.parse::<Timestamp>().or_else(|_| in_utc()).map_err(|_| {
        ArmError::bad("InvalidFilterInQueryString", format!("'{text}' is not a time as in RFC 3339.")).about("$filter")
    });
    Ok(time?.as_microsecond())
}

async fn list(call: &Call<'_>) -> Result<Reply> {
    let is_of_subscription = call.route.holder != "/";
    let subscription = if is_of_subscription { call.deployment.subscription_path() } else { String::new() };
    let asked = Asked::read(call.query.filter.as_deref(), &subscription)?;
    if let Some(path) = &asked.query.resource
        && !path.get(..subscription.len()).is_some_and(|start| start.eq_ignore_ascii_case(&subscription))
    {
        let message = format!("The resource '{path}' is not of the subscription that is asked.");
        return Err(ArmError::bad("InvalidFilterInQueryString", message).about("$filter"));
    }
    let query = AuditQuery {
        order: Order::NewestFirst,
        limit: call.query.top.min(limits::AUDIT_PAGE_EVENTS_MAX),
        after: position(call)?,
        ..asked.query.clone()
    };
    let found = events(call, query).await?;
    let admitted = found.records.iter().filter(|record| asked.admits(record));
    let value = admitted.map(|record| shown(record, &call.deployment.subscription, &call.deployment.tenant)).collect();
    let last = found.position.filter(|_| found.more).map(|position| position.to_string());
    Ok(page(call, value, last.as_deref().map(|last| vec![last])))
}

fn status(record: &Record) -> &str {
    match record.text("Status") {
        "" => "Failed",
        status => status,
    }
}

/// An event in the form of the activity log.
fn shown(record: &Record, subscription: &str, tenant: &str) -> Value {
    let (resource, operation) = (record.text("ResourceId"), record.text("OperationName"));
    let (status, code) = (status(record), record.text("ResultDescription"));
    let named = |value: &str| json!({ "value": value, "localizedValue": value });
    let (provider, kind) = type_of(operation);
    let event = format!("{subscription}-{}", record.position);
    let mut shown = json!({
        "authorization": { "action": operation, "scope": resource },
        "caller": record.text("Identity"),
        "category": named("Administrative"),
        "channels": "Operation",
        "claims": {},
        "correlationId": record.text("CorrelationId"),
        "description": "",
        "eventDataId": event,
        "eventName": { "value": "EndRequest", "localizedValue": "End request" },
        "eventTimestamp": record.text("TimeGenerated"),
        "submissionTimestamp": record.text("TimeGenerated"),
        "httpRequest": { "clientIpAddress": record.text("CallerIpAddress") },
        "id": format!("{resource}/events/{event}"),
        "level": if status == "Failed" { "Error" } else { "Informational" },
        "operationId": record.text("CorrelationId"),
        "operationName": named(operation),
        "properties": { "statusCode": code },
        "resourceId": resource,
        "resourceProviderName": named(provider),
        "resourceType": named(kind),
        "status": named(status),
        "subStatus": named(&sub_status(code)),
        "subscriptionId": subscription,
        "tenantId": tenant,
    });
    let reason = record.text("Reason");
    if !reason.is_empty() {
        let properties = Map::from_iter([
            ("statusCode".to_owned(), code.into()),
            ("reason".to_owned(), reason.into()),
            ("detail".to_owned(), record.text("Detail").into()),
        ]);
        shown["properties"] = Value::Object(properties);
    }
    if let Some(group) = resource_group(resource) {
        shown["resourceGroupName"] = group.into();
    }
    shown
}

/// `Forbidden (HTTP Status Code: 403)`.
fn sub_status(code: &str) -> String {
    let status = code.parse::<http::StatusCode>().ok();
    let word = status.and_then(|status| status.canonical_reason()).unwrap_or_default();
    if word.is_empty() { String::new() } else { format!("{word} (HTTP Status Code: {code})") }
}

/// The provider and the type of resource that an operation's name begins with.
fn type_of(operation: &str) -> (&str, &str) {
    let provider = operation.split('/').next().unwrap_or_default();
    let cut = match operation.rsplit_once('/') {
        // `…/registries/listCredentials/action` is about registries.
        Some((rest, "action")) => rest.rsplit_once('/').map_or(rest, |(kind, _)| kind),
        Some((rest, _)) => rest,
        None => operation,
    };
    (provider, cut)
}

fn resource_group(resource: &str) -> Option<&str> {
    let mut segments = resource.split('/').skip(1);
    let (_, _, word, name) = (segments.next()?, segments.next()?, segments.next()?, segments.next()?);
    word.eq_ignore_ascii_case("resourceGroups").then_some(name)
}

#[cfg(test)]
mod tests;
