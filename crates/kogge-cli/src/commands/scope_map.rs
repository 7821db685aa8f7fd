//! `scope-map`: what repository-scoped tokens may do.

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::args::scope_map::{Actions, ScopeMapArgs, ScopeMapNameArgs, ScopeMapVerb};
use crate::args::server::OfRegistryArgs;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::management::listing::Listing;
use crate::management::path::beneath;
use crate::management::session::{Call, Session};
use crate::output;
use crate::output::sheet::Column;
use crate::prompt;

pub(super) const SCOPE_MAPS: &str = "scopeMaps";

pub(crate) async fn run(args: ScopeMapArgs, ctx: &Context) -> Result<()> {
    if let ScopeMapVerb::Delete { scope_map, consent } = &args.verb {
        let what =
            format!("This deletes the scope map {} of the registry {}", scope_map.name, scope_map.registry.registry);
        prompt::confirm(&what, consent.yes)?;
    }
    let session = &Session::open(&args.server, ctx).await?;
    match args.verb {
        ScopeMapVerb::List(args) => list(session, &args, ctx).await,
        ScopeMapVerb::Show(args) => {
            let shown =
                session.read(&path(session, &args).await?, &format!("show the scope map {}", args.name)).await?;
            ctx.output.print(|| output::attributes(&shown.value), &shown.value)
        }
        ScopeMapVerb::Create { scope_map, add, description } => {
            let (path, action) = (path(session, &scope_map).await?, format!("make the scope map {}", scope_map.name));
            let mut properties = Map::from_iter([("actions".to_owned(), Actions::union(&add).into())]);
            properties.extend(description.map(|text| ("description".to_owned(), text.into())));
            let call = Call::new(Method::PUT, &path, &action).only_new().body(json!({ "properties": properties }));
            let made = session.send(call).await?;
            ctx.output.print(|| format!("Made the scope map {}", scope_map.name), &made)
        }
        ScopeMapVerb::Update { scope_map, add, remove, description } => {
            update(session, &scope_map, &add, &remove, description, ctx).await
        }
        ScopeMapVerb::Delete { scope_map, .. } => {
            let path = path(session, &scope_map).await?;
            session.delete(&path, &format!("delete the scope map {}", scope_map.name)).await?;
            ctx.output.print(|| format!("Deleted the scope map {}", scope_map.name), &json!({ "deleted": path }))
        }
    }
}

async fn path(session: &Session, args: &ScopeMapNameArgs) -> Result<String> {
    beneath(&session.registry_of(&args.registry).await?, SCOPE_MAPS, &args.name)
}

async fn list(session: &Session, args: &OfRegistryArgs, ctx: &Context) -> Result<()> {
    let path = format!("{}/{SCOPE_MAPS}", session.registry_of(args).await?);
    let columns = vec![
        Column::at("NAME", "/name"),
        Column::at("TYPE", "/properties/type"),
        Column::by("ACTIONS", |entry| shown_actions(&entry["properties"]["actions"])),
        Column::at("DESCRIPTION", "/properties/description"),
    ];
    Listing::of(session, &path, &format!("list the scope maps of {}", args.registry)).print(columns, ctx).await
}

/// The first actions, and how many there are beyond.
fn shown_actions(actions: &Value) -> String {
    const SHOWN_MAX: usize = 3;
    let all: Vec<&str> = actions.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let short: Vec<&str> =
        all.iter().take(SHOWN_MAX).map(|action| action.strip_prefix("repositories/").unwrap_or(action)).collect();
    match all.len().saturating_sub(SHOWN_MAX) {
        0 => short.join(", "),
        more => format!("{} and {more} more", short.join(", ")),
    }
}

async fn update(
    session: &Session,
    args: &ScopeMapNameArgs,
    add: &[Actions],
    remove: &[Actions],
    description: Option<String>,
    ctx: &Context,
) -> Result<()> {
    if add.is_empty() && remove.is_empty() && description.is_none() {
        return Err(Error::usage("nothing is to be changed").hint("give --add, --remove or --description"));
    }
    let (path, action) = (path(session, args).await?, format!("change the scope map {}", args.name));
    // The actions are sent as a whole: what somebody else changes meanwhile must not be lost.
    let before = session.read(&path, &action).await?;
    let mut properties = Map::new();
    if !add.is_empty() || !remove.is_empty() {
        let actions = changed(&before.value["properties"]["actions"], &Actions::union(add), &Actions::union(remove))?;
        properties.insert("actions".to_owned(), actions.into());
    }
    properties.extend(description.map(|text| ("description".to_owned(), text.into())));
    let call = Call::new(Method::PATCH, &path, &action).only_as_read(before.entity_tag);
    let after = session.send(call.body(json!({ "properties": properties }))).await?;
    ctx.output.print(|| format!("Changed the scope map {}", args.name), &after)
}

/// The actions without those that are taken away and with those that are new.
fn changed(before: &Value, add: &[String], remove: &[String]) -> Result<Vec<String>> {
    let mut actions: Vec<String> =
        before.as_array().into_iter().flatten().filter_map(|action| action.as_str().map(ToOwned::to_owned)).collect();
    if let Some(absent) = remove.iter().find(|action| !actions.contains(action)) {
        return Err(Error::not_found(format!("the scope map does not allow {absent}")));
    }
    actions.retain(|action| !remove.contains(action));
    for action in add {
        if !actions.contains(action) {
            actions.push(action.clone());
        }
    }
    Ok(actions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_added_and_taken_away() {
        let text = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let before = json!(["repositories/a/content/read", "repositories/b/content/read"]);
        let after = changed(
            &before,
            &text(&["repositories/a/content/read", "repositories/c/content/read"]),
            &text(&["repositories/b/content/read"]),
        );
        assert_eq!(after.expect("a change"), text(&["repositories/a/content/read", "repositories/c/content/read"]));
        assert!(changed(&before, &[], &text(&["repositories/x/content/read"])).is_err());
    }

    #[test]
    fn long_lists_of_actions_are_cut() {
        let actions: Vec<String> = (0..5).map(|n| format!("repositories/r{n}/content/read")).collect();
        assert_eq!(shown_actions(&actions.into()), "r0/content/read, r1/content/read, r2/content/read and 2 more");
    }
}
