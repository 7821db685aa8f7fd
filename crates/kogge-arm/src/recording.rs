//! What the audit is told of the management API: every operation that may change something or shows a secret, and every
//! refusal.

use std::time::Duration;

use http::StatusCode;
use http::header::USER_AGENT;
use kogge_core::Core;
use kogge_core::audit::{DenialEvent, DenialReason, Event, ManagementEvent, Outcome, Request as Told};
use kogge_core::auth::policy::Denial;

use crate::call::{Reply, Request};
use crate::operation::Route;

/// Tells of an answer. `began_us` is when the request came, in microseconds since the Unix epoch.
pub(crate) fn record(core: &Core, request: &Request<'_>, route: &Route, reply: &Reply, began_us: i64) {
    let Some(action) = route.operation.action().filter(|_| core.audit().is_on()) else { return };
    let duration = Duration::from_micros(u64::try_from(core.now_us() - began_us).unwrap_or(0));
    let told = told(request, reply, began_us, duration);
    let event = match reply.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let denial = core.authorize_management(request.caller, action, &route.scope.to_lowercase()).err();
            let (reason, detail) = reason(denial);
            let resource = &route.scope;
            Event::Denial(DenialEvent { request: told, operation: action, reason, detail, repository: "", resource })
        }
        _ if action.ends_with("/read") => return,
        status => {
            let outcome = match status {
                StatusCode::ACCEPTED => Outcome::Accepted,
                status if status.is_client_error() || status.is_server_error() => Outcome::Failed,
                _ => Outcome::Succeeded,
            };
            Event::Management(ManagementEvent { request: told, action, resource: &route.scope, outcome })
        }
    };
    core.audit().record(&event);
}

fn told<'a>(request: &Request<'a>, reply: &Reply, began_us: i64, duration: Duration) -> Told<'a> {
    Told {
        time_us: began_us,
        duration,
        correlation_id: request.correlation_id,
        client: Some(request.client),
        identity: request.caller.name(),
        user_agent: request.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default(),
        registry: "",
        login_server: request.base_url.split_once("://").map_or("", |(_, host)| host),
        status: reply.status.as_u16(),
    }
}

/// Why somebody was refused.
fn reason(denial: Option<Denial>) -> (DenialReason, &'static str) {
    match denial {
        Some(Denial::Anonymous) => (DenialReason::Authentication, "no token"),
        Some(Denial::NoPrincipal) => (DenialReason::Policy, "the principal is gone"),
        Some(Denial::Disabled) => (DenialReason::Policy, "the principal is disabled"),
        Some(Denial::NoRole | Denial::OtherRegistry | Denial::ScopeMap) => {
            (DenialReason::Policy, "no role of the principal allows it at this scope")
        }
        None => (DenialReason::Policy, "the operation asks for more rights than those at this scope"),
    }
}
