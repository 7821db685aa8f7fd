//! `role`: roles, and who has them.

mod condition;
mod uuid;

use std::collections::HashMap;

use kogge_types::{RepositoryPattern, ResourceId};
use reqwest::Method;
use serde_json::{Value, json};

use crate::args::role::{AssignmentArgs, PrincipalType, RoleArgs, RoleVerb, UnassignArgs};
use crate::context::Context;
use crate::error::{Error, Result, printable};
use crate::management::directory::{Principal, display_name};
use crate::management::listing::Listing;
use crate::management::path::{AUTHORIZATION, beneath, name_of, quoted};
use crate::management::session::{Call, Session};
use crate::output::sheet::{Column, Sheet};
use crate::prompt;

pub(crate) async fn run(args: RoleArgs, ctx: &Context) -> Result<()> {
    let session = &Session::open(&args.server, ctx).await?;
    match args.verb {
        RoleVerb::List { name } => list(session, name.as_deref(), ctx).await,
        RoleVerb::Assignments { scope, to } => assignments(session, scope.as_deref(), to.as_deref(), ctx).await,
        RoleVerb::Assign { assignment, principal_type, repositories, condition, description } => {
            let condition = condition.or_else(|| condition::of(&repositories));
            let details = Details { principal_type, repositories, condition, description };
            assign(session, &assignment, &details, ctx).await
        }
        RoleVerb::Unassign(args) => unassign(session, &args, ctx).await,
    }
}

/// What an assignment says besides who has which role where.
struct Details {
    principal_type: Option<PrincipalType>,
    repositories: Vec<RepositoryPattern>,
    condition: Option<String>,
    description: Option<String>,
}

async fn list(session: &Session, name: Option<&str>, ctx: &Context) -> Result<()> {
    let path = definitions(session.subscription().await?);
    let action = "list the roles";
    let call = match name {
        Some(name) => Call::get(&path, action).query("$filter", format!("roleName eq {}", quoted(name))),
        None => Call::get(&path, action),
    };
    let columns = vec![
        Column::at("NAME", "/properties/roleName"),
        Column::at("TYPE", "/properties/type"),
        Column::at("ID", "/name"),
        Column::at("DESCRIPTION", "/properties/description"),
    ];
    Listing::new(session, call, action).print(columns, ctx).await
}

fn definitions(scope: &str) -> String {
    format!("{}/{AUTHORIZATION}/roleDefinitions", scope.trim_end_matches('/'))
}

fn assignments_at(scope: &str) -> String {
    format!("{}/{AUTHORIZATION}/roleAssignments", scope.trim_end_matches('/'))
}

/// The path that a scope's word stands for: a path is one, anything else is a registry's name.
async fn scope_path(session: &Session, scope: &str) -> Result<String> {
    if scope.starts_with('/') { Ok(scope.to_owned()) } else { session.registry(scope, None).await }
}

/// The id of the role that a word names at a scope: a name, an id or a path.
async fn role_id(session: &Session, scope: &str, role: &str) -> Result<String> {
    if role.starts_with('/') {
        return Ok(role.to_owned());
    }
    let path = definitions(scope);
    if role.parse::<ResourceId>().is_ok() {
        return beneath(&format!("{}/{AUTHORIZATION}", session.subscription().await?), "roleDefinitions", role);
    }
    let action = format!("find the role {role}");
    let call = Call::get(&path, &action).query("$filter", format!("roleName eq {}", quoted(role)));
    let found = Listing::new(session, call, &action).all().await?;
    let is_meant =
        |entry: &&Value| entry["properties"]["roleName"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(role));
    let id = found.iter().find(is_meant).and_then(|entry| entry["id"].as_str());
    id.map(ToOwned::to_owned).ok_or_else(|| {
        Error::not_found(format!("there is no role {role} at {scope}"))
            .hint("`kogge role list` shows those that there are")
    })
}

async fn assign(session: &Session, args: &AssignmentArgs, details: &Details, ctx: &Context) -> Result<()> {
    let scope = scope_path(session, &args.scope).await?;
    let role = role_id(session, &scope, &args.role).await?;
    let principal = session.principal(&args.to).await?;
    let mut properties = json!({ "roleDefinitionId": role, "principalId": principal.id });
    if let Some(kind) = details.principal_type.map(type_word).or(principal.kind.as_deref()) {
        properties["principalType"] = kind.into();
    }
    if let Some(condition) = &details.condition {
        properties["condition"] = condition.as_str().into();
        properties["conditionVersion"] = condition::VERSION.into();
    }
    if let Some(description) = &details.description {
        properties["description"] = description.as_str().into();
    }
    let holder = format!("{}/{AUTHORIZATION}", scope.trim_end_matches('/'));
    let path = beneath(&holder, "roleAssignments", &uuid::random()?)?;
    let action = format!("give {} the role {}", args.to, args.role);
    let made = session.send(Call::new(Method::PUT, &path, &action).body(json!({ "properties": properties }))).await?;
    let text = || {
        let only: Vec<String> = details.repositories.iter().map(ToString::to_string).collect();
        let only = if only.is_empty() { String::new() } else { format!(", for {}", only.join(", ")) };
        format!("{} has the role {} at {}{only}", args.to, args.role, args.scope)
    };
    ctx.output.print(text, &made)
}

fn type_word(kind: PrincipalType) -> &'static str {
    match kind {
        PrincipalType::User => "User",
        PrincipalType::Group => "Group",
        PrincipalType::ServicePrincipal => "ServicePrincipal",
    }
}

async fn assignments(session: &Session, scope: Option<&str>, to: Option<&str>, ctx: &Context) -> Result<()> {
    let action = "list who has which role";
    let at = match scope {
        Some(scope) => scope_path(session, scope).await?,
        None => session.subscription().await?.to_owned(),
    };
    let path = assignments_at(&at);
    let call = match to {
        Some(who) => {
            let principal = session.principal(who).await?;
            Call::get(&path, action).query("$filter", format!("principalId eq {}", quoted(&principal.id)))
        }
        None => Call::get(&path, action),
    };
    let mut listing = Listing::new(session, call, action);
    if ctx.output.needs_all() {
        return ctx.output.print_value(&listing.all().await?.into());
    }
    let roles = role_names(session, &at).await?;
    let mut sheet = Sheet::new(&ctx.output, assignment_columns());
    while let Some(mut page) = listing.next_page().await? {
        add_names(session, &roles, &mut page).await;
        if !page.is_empty() && !sheet.page(&page)? {
            break;
        }
    }
    Ok(())
}

fn assignment_columns() -> Vec<Column> {
    vec![
        Column::at("ROLE", "/role"),
        Column::at("WHO", "/who"),
        Column::at("TYPE", "/properties/principalType"),
        Column::at("SCOPE", "/properties/scope"),
        Column::by("ONLY FOR", |entry| {
            entry["properties"]["condition"].as_str().map_or_else(String::new, condition::shown)
        }),
        Column::at("OBJECT ID", "/properties/principalId"),
    ]
}

/// The names of roles by the UUIDs that end their ids, in lower case.
async fn role_names(session: &Session, scope: &str) -> Result<HashMap<String, String>> {
    let path = definitions(scope);
    let roles = Listing::of(session, &path, "list the roles").all().await?;
    let named = roles.iter().filter_map(|role| {
        Some((role["name"].as_str()?.to_ascii_lowercase(), role["properties"]["roleName"].as_str()?.to_owned()))
    });
    Ok(named.collect())
}

/// Adds to each assignment the names of its role and of who has it, as far as they are known.
async fn add_names(session: &Session, roles: &HashMap<String, String>, page: &mut [Value]) {
    let holders: Vec<String> =
        page.iter().filter_map(|entry| entry["properties"]["principalId"].as_str().map(ToOwned::to_owned)).collect();
    // Names are a convenience: what the directory does not tell stays an id.
    let known = session.principals(&holders).await.unwrap_or_default();
    let name_of_holder = |id: &str| {
        let object =
            known.iter().find(|object| object["id"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(id)))?;
        display_name(object).map(ToOwned::to_owned)
    };
    for entry in page {
        let role = name_of(entry["properties"]["roleDefinitionId"].as_str().unwrap_or_default()).to_ascii_lowercase();
        let holder = entry["properties"]["principalId"].as_str().unwrap_or_default();
        let who = name_of_holder(holder).unwrap_or_else(|| holder.to_owned());
        entry["role"] = roles.get(&role).cloned().unwrap_or(role).into();
        entry["who"] = who.into();
    }
}

async fn unassign(session: &Session, args: &UnassignArgs, ctx: &Context) -> Result<()> {
    let ids = match (&args.id, &args.role, &args.to, &args.scope) {
        (Some(id), ..) if id.starts_with('/') => vec![id.clone()],
        (None, Some(role), Some(to), Some(scope)) => {
            let scope = scope_path(session, scope).await?;
            let role = role_id(session, &scope, role).await?;
            let principal = session.principal(to).await?;
            found_assignments(session, &scope, &role, &principal).await?
        }
        _ => {
            return Err(Error::usage("which role is to be taken away is not said")
                .hint("give --role, --to and --scope, or the --id that `kogge role assignments --output json` shows"));
        }
    };
    if ids.is_empty() {
        return Err(Error::not_found("nobody has that role there").hint("`kogge role assignments` shows who has which"));
    }
    prompt::confirm(&format!("This takes {} away", counted(ids.len())), args.consent.yes)?;
    for id in &ids {
        session.delete(id, "take a role away").await?;
    }
    let text = || format!("Took {} away", counted(ids.len()));
    ctx.output.print(text, &json!({ "deleted": ids.iter().map(|id| printable(id)).collect::<Vec<_>>() }))
}

fn counted(assignments: usize) -> String {
    if assignments == 1 { "one role assignment".to_owned() } else { format!("{assignments} role assignments") }
}

/// The ids of the assignments of a role to a principal, exactly at a scope.
async fn found_assignments(session: &Session, scope: &str, role: &str, principal: &Principal) -> Result<Vec<String>> {
    let (path, action) = (assignments_at(scope), "find who has the role");
    let filter = format!("principalId eq {}", quoted(&principal.id));
    let mut listing = Listing::new(session, Call::get(&path, action).query("$filter", filter), action);
    let mut ids = Vec::new();
    while let Some(page) = listing.next_page().await? {
        let is_meant = |entry: &&Value| {
            let same = |field: &str, wanted: &str| {
                entry["properties"][field].as_str().is_some_and(|own| own.eq_ignore_ascii_case(wanted))
            };
            let own_role = entry["properties"]["roleDefinitionId"].as_str().map(name_of).unwrap_or_default();
            same("principalId", &principal.id) && same("scope", scope) && own_role.eq_ignore_ascii_case(name_of(role))
        };
        ids.extend(page.iter().filter(is_meant).filter_map(|entry| entry["id"].as_str().map(ToOwned::to_owned)));
    }
    Ok(ids)
}
