//! The one way through: which operation, who asks, may they, then what it does.

use std::sync::Arc;

use http::{HeaderName, StatusCode};
use kogge_core::Core;
use kogge_core::auth::subject::PrincipalId;
use kogge_types::ResourceId;

use crate::call::{Call, Reply, Request};
use crate::declaration::{Right, Verb};
use crate::deployment::Deployment;
use crate::error::{ArmError, Result};
use crate::operation::{Does, Route};
use crate::query::{API_VERSIONS, Query};
use crate::recording;

const SUPPORTED: HeaderName = HeaderName::from_static("api-supported-versions");

/// Answers a request of the management API. The caller has been authenticated, or is anonymous.
pub async fn respond(core: &Arc<Core>, deployment: &Arc<Deployment>, request: Request<'_>) -> Reply {
    let route = match Route::find(request.method, request.path) {
        Ok(route) => route,
        Err(error) => return Reply::from(error).with(SUPPORTED, API_VERSIONS),
    };
    let began_us = core.now_us();
    let reply = match answer(core, deployment, &request, &route).await {
        Ok(reply) => reply,
        Err(error) => Reply::from(error),
    };
    recording::record(core, &request, &route, &reply, began_us);
    Reply { operation: &route.operation.name, ..reply.with(SUPPORTED, API_VERSIONS) }
}

async fn answer(core: &Arc<Core>, deployment: &Arc<Deployment>, request: &Request<'_>, route: &Route) -> Result<Reply> {
    admit(core, request, route)?;
    let subscription = subscription_of(&route.scope);
    if !subscription.is_empty() && !subscription.eq_ignore_ascii_case(&deployment.subscription) {
        let message = format!("The subscription '{subscription}' could not be found.");
        return Err(ArmError::not_found("SubscriptionNotFound", message));
    }
    let query = Query::read(request.query)?;
    let call = Call { core, deployment, request, query: &query, route };
    match route.operation.does {
        Does::Verb(ty, Verb::Get) => call.get(ty).await,
        Does::Verb(ty, Verb::Head) => call.head(ty).await,
        Does::Verb(ty, Verb::Put) => call.put(ty).await,
        Does::Verb(ty, Verb::Patch) => call.patch(ty).await,
        Does::Verb(ty, Verb::Delete) => call.delete(ty).await,
        Does::Verb(ty, Verb::List | Verb::ListBySubscription) => call.list(ty).await,
        Does::Action(action) => (action.handler)(&call).await,
        Does::Function(function) => (function.handler)(&call).await,
        Does::ListNone => call.list_none().await,
        Does::Refuse(later) => Err(later.refusal()),
    }
}

/// The subscription that a path lies in, also where the path is a scope's; empty for what lies in none.
fn subscription_of(scope: &str) -> &str {
    match scope.strip_prefix("/subscriptions/") {
        Some(path) => path.split('/').next().unwrap_or_default(),
        None => "",
    }
}

/// Decides the operation's right, before anything is read.
fn admit(core: &Core, request: &Request<'_>, route: &Route) -> Result<()> {
    let operation = route.operation;
    if operation.right == Right::Anonymous {
        return Ok(());
    }
    if request.caller.is_anonymous() {
        let message = "Authentication failed. The 'Authorization' header is missing or its token is not valid.";
        return Err(ArmError::new(StatusCode::UNAUTHORIZED, "AuthenticationFailed", message));
    }
    match &operation.right {
        // A listing shows what its caller may read, be it nothing.
        Right::Action(_) if operation.lists_across() => Ok(()),
        Right::Action(action) => authorize(core, request, action, &route.scope),
        Right::Anonymous | Right::Authenticated => Ok(()),
    }
}

/// # Errors
/// `AuthorizationFailed` in ARM's words.
pub(crate) fn authorize(core: &Core, request: &Request<'_>, action: &str, scope: &str) -> Result<()> {
    if core.authorize_management(request.caller, action, &scope.to_lowercase()).is_ok() {
        return Ok(());
    }
    let object = match request.caller.subject().id {
        PrincipalId::Directory(id) | PrincipalId::Outside(id) => ResourceId::from_bytes(id).to_string(),
        PrincipalId::Anonymous | PrincipalId::Token(_) | PrincipalId::AdminUser(_) => String::new(),
    };
    let message = format!(
        "The client '{}' with object id '{object}' does not have authorization to perform action '{action}' over scope \
         '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.",
        request.caller.name()
    );
    Err(ArmError::new(StatusCode::FORBIDDEN, "AuthorizationFailed", message))
}

#[cfg(test)]
mod tests;
