//! Role definitions: Azure's built-in roles, and those that the deployment defines (Azure: "Azure custom roles").

use std::borrow::Cow;
use std::sync::Arc;

use http::{Method, StatusCode};
use kogge_core::auth::role::{self, ActionPattern, RoleDefinition as Role};
use kogge_core::kind;
use kogge_meta::{Resource, Snapshot};
use kogge_types::limits;
use serde_json::{Value, json};

use crate::ancestry::spelled;
use crate::behaviour::{Asker, Behaviour, Draft, Shown};
use crate::body::Registers;
use crate::call::{Call, Reply};
use crate::declaration::{Function, Holder, Placement, ResourceType, Right, Verb};
use crate::deployment::Deployment;
use crate::error::{ArmError, Result};
use crate::name_rule::NameRule;
use crate::page::page;
use crate::property::{Kind, Property};
use crate::reading::show;
use crate::representation::{Computed, time};
use crate::term::{refusal, terms};
use crate::types::authorization::{assignable_scopes, covers, role_id};
use crate::types::built_in;

pub(crate) static ROLE_DEFINITION: ResourceType = ResourceType {
    name: "Microsoft.Authorization/roleDefinitions",
    holder: Holder::Scope,
    parameter: "roleDefinitionId",
    naming: NameRule::Uuid,
    placement: Placement::Proxy,
    properties: &[
        Property::new(ROLE_NAME, Kind::Text { max: limits::ROLE_NAME_CHARS_MAX }).required(),
        Property::new("properties.type", Kind::Text { max: 32 }).read_only(),
        Property::new("properties.description", Kind::Text { max: limits::DESCRIPTION_CHARS_MAX }),
        Property::new(SCOPES, Kind::List { of: &SCOPE, max: limits::ROLE_SCOPES_MAX }).required(),
        Property::new(PERMISSIONS, Kind::List { of: &Kind::Object(PERMISSION), max: limits::ROLE_PERMISSIONS_MAX })
            .required(),
        Property::new("properties.createdOn", Kind::Time).read_only(),
        Property::new("properties.updatedOn", Kind::Time).read_only(),
        Property::new("properties.createdBy", Kind::Text { max: 64 }).read_only(),
        Property::new("properties.updatedBy", Kind::Text { max: 64 }).read_only(),
    ],
    verbs: &[Verb::Get, Verb::Put, Verb::Delete],
    actions: &[],
    behaviour: &RoleDefinition,
};

const ROLE_NAME: &str = "properties.roleName";
const SCOPES: &str = "properties.assignableScopes";
const PERMISSIONS: &str = "properties.permissions";
const WRITE: &str = "Microsoft.Authorization/roleDefinitions/write";
const DELETE: &str = "Microsoft.Authorization/roleDefinitions/delete";

/// A path, or `/`.
const SCOPE: Kind = Kind::Text { max: limits::RESOURCE_PATH_CHARS_MAX };
const PATTERNS: Kind = Kind::List { of: &Kind::Text { max: limits::ACTION_CHARS_MAX }, max: limits::ROLE_ACTIONS_MAX };
const PATTERN_LISTS: [&str; 4] = ["actions", "notActions", "dataActions", "notDataActions"];
const PERMISSION: &[Property] = &[
    Property::new(PATTERN_LISTS[0], PATTERNS),
    Property::new(PATTERN_LISTS[1], PATTERNS),
    Property::new(PATTERN_LISTS[2], PATTERNS),
    Property::new(PATTERN_LISTS[3], PATTERNS),
    Property::new("condition", Kind::Text { max: 0 }).only(&[]),
    Property::new("conditionVersion", Kind::Text { max: 0 }).only(&[]),
];

/// Lists the roles that can be assigned at a scope.
pub(crate) static LIST: Function = Function {
    name: "RoleDefinitions_List",
    method: Method::GET,
    at: Holder::Scope,
    path: "/providers/Microsoft.Authorization/roleDefinitions",
    right: Right::action("Microsoft.Authorization/roleDefinitions/read"),
    request: &[],
    response: &[Property::new("value", Kind::List { of: &Kind::Object(&[]), max: limits::PAGE_RESOURCES_MAX })],
    handler: |call| Box::pin(list(call)),
};

#[derive(Debug)]
struct RoleDefinition;

impl Behaviour for RoleDefinition {
    fn computed(&self, shown: &Shown<'_, '_>) -> Result<Computed> {
        let built_in = shown.resource.name.parse().ok().is_some_and(|id| role::built_in_by_id(&id).is_some());
        let mut computed = vec![("properties.type", Value::from(if built_in { "BuiltInRole" } else { "CustomRole" }))];
        if !built_in {
            let Resource { created, modified, .. } = shown.resource;
            computed.push(("properties.createdOn", time(created.at_us)));
            computed.push(("properties.createdBy", created.by.as_str().into()));
            computed.push(("properties.updatedOn", time(modified.at_us)));
            computed.push(("properties.updatedBy", modified.by.as_str().into()));
        }
        Ok(computed)
    }

    /// Roles can be asked for at every scope; they all belong to the subscription.
    fn home<'a>(&self, deployment: &Deployment, _holder: &'a str) -> Cow<'a, str> {
        Cow::Owned(deployment.subscription_path())
    }

    fn prepare(&self, draft: &mut Draft<'_, '_>) -> Result<()> {
        complete_permissions(&mut draft.desired.registers)?;
        let scopes = scopes_of(draft)?;
        let before = draft.existing.map(assignable_scopes).unwrap_or_default();
        require(draft.asker, WRITE, before.iter().chain(&scopes))?;
        check_name(draft)?;
        check_assignments(draft, &scopes)
    }

    fn deletable(&self, snapshot: &Snapshot<'_>, resource: &Resource, asker: &Asker) -> Result<()> {
        require(asker, DELETE, &assignable_scopes(resource))?;
        match assignments_of(snapshot, &resource.name)?.first() {
            None => Ok(()),
            Some(assignment) => {
                let message = format!(
                    "There are existing role assignments referencing the role, such as '{}'.",
                    assignment.path()
                );
                Err(ArmError::conflict("RoleDefinitionHasAssignments", message))
            }
        }
    }

    fn built_in(&self, deployment: &Deployment, _parent: &str) -> Vec<Resource> {
        role::built_in().iter().map(|role| built_in_role(deployment, role)).collect()
    }
}

fn built_in_role(deployment: &Deployment, role: &Role) -> Resource {
    let permission = |permission: &role::Permission| {
        let texts =
            |patterns: &[ActionPattern]| patterns.iter().map(|pattern| json!(pattern.as_str())).collect::<Value>();
        json!({
            "actions": texts(&permission.actions),
            "notActions": texts(&permission.not_actions),
            "dataActions": texts(&permission.data_actions),
            "notDataActions": texts(&permission.not_data_actions),
        })
    };
    let registers = [
        (ROLE_NAME, json!(role.name)),
        ("properties.description", json!(role.description)),
        (SCOPES, json!(role.assignable_scopes)),
        (PERMISSIONS, role.permissions.iter().map(permission).collect()),
    ];
    let parent = deployment.subscription_path().to_lowercase();
    Resource { id: role.id, ..built_in::resource(&ROLE_DEFINITION, &parent, &role.id.to_string(), registers) }
}

/// Checks every action, and gives each permission all four lists.
fn complete_permissions(registers: &mut Registers) -> Result<()> {
    let permissions = registers.get_mut(PERMISSIONS).and_then(Value::as_array_mut);
    for (number, permission) in permissions.into_iter().flatten().enumerate() {
        for list in PATTERN_LISTS {
            let patterns = permission.get(list).and_then(Value::as_array);
            for pattern in patterns.into_iter().flatten().filter_map(Value::as_str) {
                pattern.parse::<ActionPattern>().map_err(|error| {
                    let path = format!("{PERMISSIONS}[{number}].{list}");
                    ArmError::bad("InvalidActionOrNotAction", format!("'{pattern}' is not valid: {error}.")).about(path)
                })?;
            }
            if patterns.is_none() {
                permission[list] = json!([]);
            }
        }
    }
    Ok(())
}

/// The scopes, in lower case, in which the role shall be assignable.
fn scopes_of(draft: &Draft<'_, '_>) -> Result<Vec<String>> {
    let scopes = draft.desired.registers.get(SCOPES).and_then(Value::as_array);
    let scopes: Vec<String> =
        scopes.into_iter().flatten().filter_map(|scope| Some(scope.as_str()?.to_lowercase())).collect();
    let subscription = draft.asker.deployment.subscription_path().to_lowercase();
    if scopes.is_empty() {
        return Err(ArmError::parameter(SCOPES, "A role must be assignable in one scope at least."));
    }
    let is_foreign = |scope: &&String| *scope != "/" && (!covers(&subscription, scope) || scope.ends_with('/'));
    match scopes.iter().find(is_foreign) {
        None => Ok(scopes),
        Some(scope) => {
            let message =
                format!("The scope '{scope}' is not of this deployment: it is '/' or begins with '{subscription}'.");
            Err(ArmError::bad("InvalidAssignableScope", message).about(SCOPES))
        }
    }
}

/// A role gives rights wherever it is assigned: who writes it must be allowed to everywhere that it can be.
fn require<'a>(asker: &Asker, action: &str, scopes: impl IntoIterator<Item = &'a String>) -> Result<()> {
    match scopes.into_iter().find(|scope| !asker.may(action, scope)) {
        None => Ok(()),
        Some(scope) => {
            let message = format!(
                "The client does not have authorization to perform action '{action}' over the assignable scope '{scope}'."
            );
            Err(ArmError::new(StatusCode::FORBIDDEN, "AuthorizationFailed", message))
        }
    }
}

/// Names are how people assign roles: each is one role's.
fn check_name(draft: &Draft<'_, '_>) -> Result<()> {
    let name = draft.desired.registers.get(ROLE_NAME).and_then(Value::as_str).unwrap_or_default();
    if name.trim().is_empty() {
        return Err(ArmError::parameter(ROLE_NAME, "The name of a role cannot be empty."));
    }
    let has_it = |role: &Resource| {
        let of_role = role.registers.get(ROLE_NAME).and_then(Value::as_str);
        of_role.is_some_and(|of_role| of_role.eq_ignore_ascii_case(name)) && !role.name.eq_ignore_ascii_case(draft.name)
    };
    let taken = role::built_in_by_name(name).is_some()
        || draft.snapshot.every_resource(kind::ROLE_DEFINITION)?.iter().any(has_it);
    if !taken {
        return Ok(());
    }
    let message = format!("A role named '{name}' already exists in this directory. Use a different name.");
    Err(ArmError::conflict("RoleDefinitionWithSameNameExists", message).about(ROLE_NAME))
}

/// A role cannot lose a scope in which it is assigned.
fn check_assignments(draft: &Draft<'_, '_>, scopes: &[String]) -> Result<()> {
    if draft.existing.is_none() {
        return Ok(());
    }
    let assignments = assignments_of(draft.snapshot, draft.name)?;
    let outside = |assignment: &&Resource| !scopes.iter().any(|scope| covers(scope, &assignment.parent));
    match assignments.iter().find(outside) {
        None => Ok(()),
        Some(assignment) => {
            let message = format!(
                "The role is assigned at '{}', which would not be among its assignable scopes.",
                assignment.parent
            );
            Err(ArmError::conflict("RoleDefinitionHasAssignments", message).about(SCOPES))
        }
    }
}

/// The assignments of the role of this id.
fn assignments_of(snapshot: &Snapshot<'_>, role: &str) -> Result<Vec<Resource>> {
    let id = role.parse().ok();
    let mut assignments = snapshot.every_resource(kind::ROLE_ASSIGNMENT)?;
    assignments.retain(|assignment| {
        let of = assignment.registers.get("properties.roleDefinitionId").and_then(Value::as_str);
        id.is_some() && of.and_then(role_id) == id
    });
    Ok(assignments)
}

/// What a listing of roles asks for.
#[derive(Debug, Default)]
struct Asked {
    name: Option<String>,
    built_in: Option<bool>,
    /// Whether roles that can only be assigned beneath the scope are left out.
    at_scope: bool,
}

impl Asked {
    fn read(filter: Option<&str>) -> Result<Self> {
        let mut asked = Self::default();
        let Some(text) = filter else { return Ok(asked) };
        for term in terms(text)? {
            if let Some(name) = term.equals("rolename") {
                asked.name = Some(name.to_owned());
            } else if let Some(kind) = term.equals("type") {
                asked.built_in = Some(kind.eq_ignore_ascii_case("BuiltInRole"));
            } else if term.is_call("atscope") {
                asked.at_scope = true;
            } else if !term.is_call("atscopeandbelow") {
                return Err(refusal(text));
            }
        }
        Ok(asked)
    }

    fn admits(&self, role: &Resource, scope: &str) -> bool {
        let name = role.registers.get(ROLE_NAME).and_then(Value::as_str).unwrap_or_default();
        let built_in = role.created.by.is_empty();
        let assignable = assignable_scopes(role);
        self.name.as_ref().is_none_or(|asked| asked.eq_ignore_ascii_case(name))
            && self.built_in.is_none_or(|asked| asked == built_in)
            && assignable
                .iter()
                .any(|assignable| covers(assignable, scope) || (!self.at_scope && covers(scope, assignable)))
    }
}

async fn list(call: &Call<'_>) -> Result<Reply> {
    let asked = Asked::read(call.query.filter.as_deref())?;
    let (deployment, holder) = (Arc::clone(call.deployment), call.route.holder.clone());
    let after = call.query.after.first().cloned().unwrap_or_default();
    let top = call.query.top;
    let (value, last) = call
        .read(move |snapshot| {
            let scope = spelled(snapshot, &holder)?.to_lowercase();
            let mut roles = ROLE_DEFINITION.behaviour.built_in(&deployment, &scope);
            roles.extend(snapshot.every_resource(kind::ROLE_DEFINITION)?);
            roles.retain(|role| role.name > after && asked.admits(role, &scope));
            roles.sort_by(|a, b| a.name.cmp(&b.name));
            let last = (roles.len() > top).then(|| roles[top - 1].name.clone());
            roles.truncate(top);
            let kept_at = deployment.subscription_path();
            let shown = roles.iter().map(|role| show(snapshot, &deployment, &ROLE_DEFINITION, &kept_at, role));
            Ok((shown.collect::<Result<Vec<_>>>()?, last))
        })
        .await?;
    Ok(page(call, value, last.as_deref().map(|last| vec![last])))
}

#[cfg(test)]
mod tests;
