//! Role assignments: who has which role where (Azure: "Understand Azure role assignments").

use std::sync::Arc;

use http::Method;
use kogge_core::auth::condition::{Condition, VERSION};
use kogge_core::auth::role;
use kogge_core::kind;
use kogge_meta::{Principal, PrincipalKind, Resource, Snapshot};
use kogge_types::{ResourceId, limits};
use serde_json::Value;

use crate::ancestry::spelled;
use crate::behaviour::{Asker, Behaviour, Draft, Shown};
use crate::body::Registers;
use crate::call::{Call, Reply};
use crate::declaration::{Function, Holder, Placement, ResourceType, Right, Verb};
use crate::error::{ArmError, Result};
use crate::name_rule::NameRule;
use crate::page::page;
use crate::property::{Kind, Property};
use crate::reading::show;
use crate::representation::{Computed, time};
use crate::types::assignment_listing::{Asked, Listing};
use crate::types::authorization::{find_role, role_id, role_path};

pub(crate) static ROLE_ASSIGNMENT: ResourceType = ResourceType {
    name: "Microsoft.Authorization/roleAssignments",
    holder: Holder::Scope,
    parameter: "roleAssignmentName",
    naming: NameRule::Uuid,
    placement: Placement::Proxy,
    properties: &[
        Property::new(ROLE, Kind::ResourceId).required(),
        Property::new(PRINCIPAL, Kind::Text { max: 36 }).required(),
        Property::new(PRINCIPAL_TYPE, Kind::Enum(&["User", "Group", "ServicePrincipal", "ForeignGroup"])),
        Property::new("properties.scope", Kind::ResourceId).read_only(),
        Property::new(CONDITION, Kind::Text { max: limits::CONDITION_BYTES_MAX }),
        Property::new(CONDITION_VERSION, Kind::Enum(&[VERSION])),
        Property::new("properties.description", Kind::Text { max: limits::DESCRIPTION_CHARS_MAX }),
        Property::new("properties.delegatedManagedIdentityResourceId", Kind::ResourceId).only(&[]),
        Property::new("properties.createdOn", Kind::Time).read_only(),
        Property::new("properties.updatedOn", Kind::Time).read_only(),
        Property::new("properties.createdBy", Kind::Text { max: 64 }).read_only(),
        Property::new("properties.updatedBy", Kind::Text { max: 64 }).read_only(),
    ],
    verbs: &[Verb::Get, Verb::Put, Verb::Delete],
    actions: &[],
    behaviour: &RoleAssignment,
};

const ROLE: &str = "properties.roleDefinitionId";
const PRINCIPAL: &str = "properties.principalId";
const PRINCIPAL_TYPE: &str = "properties.principalType";
const CONDITION: &str = "properties.condition";
const CONDITION_VERSION: &str = "properties.conditionVersion";

/// Lists the assignments at a scope, above and beneath it.
pub(crate) static LIST: Function = Function {
    name: "RoleAssignments_ListForScope",
    method: Method::GET,
    at: Holder::Scope,
    path: "/providers/Microsoft.Authorization/roleAssignments",
    right: Right::action("Microsoft.Authorization/roleAssignments/read"),
    request: &[],
    response: &[Property::new("value", Kind::List { of: &Kind::Object(&[]), max: limits::PAGE_RESOURCES_MAX })],
    handler: |call| Box::pin(list(call)),
};

#[derive(Debug)]
struct RoleAssignment;

impl Behaviour for RoleAssignment {
    fn computed(&self, shown: &Shown<'_, '_>) -> Result<Computed> {
        let Resource { created, modified, registers, .. } = shown.resource;
        let scope = shown.path.rsplit_once("/providers/Microsoft.Authorization/").map_or("", |(scope, _)| scope);
        let mut computed = vec![
            ("properties.scope", Value::from(if scope.is_empty() { "/" } else { scope })),
            ("properties.createdOn", time(created.at_us)),
            ("properties.createdBy", created.by.as_str().into()),
            ("properties.updatedOn", time(modified.at_us)),
            ("properties.updatedBy", modified.by.as_str().into()),
        ];
        if text(registers, PRINCIPAL_TYPE) == Some(PrincipalKind::ManagedIdentity.as_str()) {
            computed.push((PRINCIPAL_TYPE, type_of(PrincipalKind::ManagedIdentity).into()));
        }
        Ok(computed)
    }

    fn prepare(&self, draft: &mut Draft<'_, '_>) -> Result<()> {
        complete_role(draft)?;
        complete_principal(draft)?;
        complete_condition(&mut draft.desired.registers)?;
        match draft.existing {
            Some(existing) => check_change(draft, existing),
            None => check_new(draft),
        }
    }

    fn deletable(&self, snapshot: &Snapshot<'_>, resource: &Resource, _asker: &Asker) -> Result<()> {
        keep_an_owner(snapshot, resource)
    }
}

fn text<'r>(registers: &'r Registers, path: &str) -> Option<&'r str> {
    registers.get(path).and_then(Value::as_str)
}

/// The principal of an assignment.
pub(super) fn principal_of(assignment: &Resource) -> Option<ResourceId> {
    text(&assignment.registers, PRINCIPAL)?.parse().ok()
}

fn role_of(registers: &Registers) -> Option<ResourceId> {
    text(registers, ROLE).and_then(role_id)
}

/// The role must exist and be assignable here; its path is kept in one form.
fn complete_role(draft: &mut Draft<'_, '_>) -> Result<()> {
    let deployment = &draft.asker.deployment;
    let path = text(&draft.desired.registers, ROLE).unwrap_or_default();
    let Some(role) = find_role(draft.snapshot, deployment, path)? else {
        let message = format!("The specified role definition with ID '{path}' does not exist.");
        return Err(ArmError::bad("RoleDefinitionDoesNotExist", message).about(ROLE));
    };
    if !role.can_be_assigned_at(draft.parent) {
        let message = format!("The role '{path}' cannot be assigned at '{}': see its assignable scopes.", draft.parent);
        return Err(ArmError::bad("InvalidRoleDefinitionScope", message).about(ROLE));
    }
    let path = role_path(deployment, &role.id);
    draft.desired.registers.insert(ROLE.to_owned(), path.into());
    Ok(())
}

/// The principal must be of the directory and of the kind that is said. One whom the directory does not know may be an
/// outside issuer's: its kind must be said.
fn complete_principal(draft: &mut Draft<'_, '_>) -> Result<()> {
    let registers = &mut draft.desired.registers;
    let asked = text(registers, PRINCIPAL).unwrap_or_default();
    let Ok(id) = asked.parse::<ResourceId>() else {
        let message = format!("The principal ID '{asked}' is not valid. Principal ID must be a GUID.");
        return Err(ArmError::bad("InvalidPrincipalId", message).about(PRINCIPAL));
    };
    let found = draft.snapshot.principals()?.into_iter().find(|principal| principal.id == *id.as_bytes());
    let said = text(registers, PRINCIPAL_TYPE);
    let kind = match (found.map(|principal| type_of(principal.kind)), said) {
        (None, None) => {
            let message = format!(
                "Principal {id} does not exist in the directory {}. If an outside issuer vouches for it, say its \
                 principalType.",
                draft.asker.deployment.tenant
            );
            return Err(ArmError::bad("PrincipalNotFound", message).about(PRINCIPAL));
        }
        (Some(kind), Some(said)) if said != kind => {
            let message = format!(
                "The PrincipalId '{id}' has type '{kind}', which is different from specified PrincipalType '{said}'."
            );
            return Err(ArmError::bad("UnmatchedPrincipalType", message).about(PRINCIPAL_TYPE));
        }
        (Some(kind), _) => kind.to_owned(),
        (None, Some(said)) => said.to_owned(),
    };
    registers.insert(PRINCIPAL.to_owned(), id.to_string().into());
    registers.insert(PRINCIPAL_TYPE.to_owned(), kind.into());
    Ok(())
}

/// What assignments call principals of a kind.
fn type_of(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::User => "User",
        PrincipalKind::Group => "Group",
        PrincipalKind::ServicePrincipal | PrincipalKind::ManagedIdentity => "ServicePrincipal",
    }
}

fn complete_condition(registers: &mut Registers) -> Result<()> {
    let Some(condition) = text(registers, CONDITION).filter(|condition| !condition.trim().is_empty()) else {
        registers.remove(CONDITION);
        registers.remove(CONDITION_VERSION);
        return Ok(());
    };
    Condition::parse(condition).map_err(|error| {
        let message = format!("The condition of the role assignment is not valid: {error}.");
        ArmError::bad("InvalidCondition", message).about(CONDITION)
    })?;
    registers.entry(CONDITION_VERSION.to_owned()).or_insert_with(|| VERSION.into());
    Ok(())
}

/// Only the condition and the description of an assignment change.
fn check_change(draft: &Draft<'_, '_>, existing: &Resource) -> Result<()> {
    let desired = &draft.desired.registers;
    if principal_of(existing).map(|id| id.to_string()).as_deref() != text(desired, PRINCIPAL)
        || role_of(&existing.registers) != role_of(desired)
    {
        let message =
            "Tenant ID, application ID, principal ID, role definition ID and scope are not allowed to be updated.";
        return Err(ArmError::bad("RoleAssignmentUpdateNotPermitted", message));
    }
    match text(desired, CONDITION) {
        Some(_) => keep_an_owner(draft.snapshot, existing),
        None => Ok(()),
    }
}

/// Who has a role somewhere is not given it there again, under whatever name.
fn check_new(draft: &Draft<'_, '_>) -> Result<()> {
    let desired = &draft.desired.registers;
    let same = |other: &&Resource| {
        principal_of(other).map(|id| id.to_string()).as_deref() == text(desired, PRINCIPAL)
            && role_of(&other.registers) == role_of(desired)
    };
    match at(draft.snapshot, draft.parent)?.iter().find(same) {
        None => Ok(()),
        Some(other) => {
            let message = format!(
                "The role assignment already exists. The ID of the conflicting role assignment is {}.",
                other.name.replace('-', "")
            );
            Err(ArmError::conflict("RoleAssignmentExists", message))
        }
    }
}

/// The assignments at exactly this scope, a path in lower case.
pub(super) fn at(snapshot: &Snapshot<'_>, scope: &str) -> Result<Vec<Resource>> {
    let mut found: Vec<Resource> = Vec::new();
    loop {
        let after = found.last().map(|last| (scope, last.name.as_str()));
        let rows = snapshot.resources(kind::ROLE_ASSIGNMENT, scope, after, limits::PAGE_RESOURCES_MAX)?;
        let is_last = rows.len() < limits::PAGE_RESOURCES_MAX;
        for row in rows {
            if row.parent != scope {
                return Ok(found);
            }
            found.push(row);
        }
        if is_last {
            return Ok(found);
        }
    }
}

/// Refuses to take the last right to manage everything from the last one who has it.
fn keep_an_owner(snapshot: &Snapshot<'_>, assignment: &Resource) -> Result<()> {
    let is_owners = |assignment: &Resource| {
        assignment.parent == "/"
            && role_of(&assignment.registers) == Some(role::OWNER)
            && text(&assignment.registers, CONDITION).is_none_or(str::is_empty)
    };
    if !is_owners(assignment) {
        return Ok(());
    }
    let principals = snapshot.principals()?;
    let is_kept = |other: &Resource| {
        other.id != assignment.id
            && is_owners(other)
            && principal_of(other).is_some_and(|id| is_somebody(&principals, id.as_bytes()))
    };
    if at(snapshot, "/")?.iter().any(is_kept) {
        return Ok(());
    }
    let message = "This is the last assignment of Owner at '/': without it, nobody could manage the deployment. Give the \
                   role to somebody else first.";
    Err(ArmError::conflict("LastOwnerCannotBeRemoved", message))
}

/// Whether somebody can log in as this principal, or as one in this group.
fn is_somebody(principals: &[Principal], id: &[u8; 16]) -> bool {
    let enabled = |id: &[u8; 16]| principals.iter().find(|principal| principal.id == *id && principal.enabled);
    enabled(id).is_some_and(|principal| match principal.kind {
        PrincipalKind::Group => principal.members.iter().any(|member| enabled(member).is_some()),
        PrincipalKind::User | PrincipalKind::ServicePrincipal | PrincipalKind::ManagedIdentity => true,
    })
}

async fn list(call: &Call<'_>) -> Result<Reply> {
    let asked = Asked::read(call.query.filter.as_deref())?;
    let (deployment, holder) = (Arc::clone(call.deployment), call.route.holder.clone());
    let (after, top) = (call.query.after.clone(), call.query.top);
    let (value, last) = call
        .read(move |snapshot| {
            let scope = spelled(snapshot, &holder)?.to_lowercase();
            let listing = Listing::new(snapshot, scope, asked)?;
            let (found, last) = listing.page(snapshot, &after, top)?;
            let mut shown = Vec::new();
            for assignment in &found {
                let scope = spelled(snapshot, &assignment.parent)?;
                shown.push(show(snapshot, &deployment, &ROLE_ASSIGNMENT, &scope, assignment)?);
            }
            Ok((shown, last))
        })
        .await?;
    Ok(page(call, value, last.as_ref().map(|last| last.iter().map(String::as_str).collect())))
}

#[cfg(test)]
mod tests;
