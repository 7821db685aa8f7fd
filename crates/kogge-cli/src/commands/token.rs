//! `token`: repository-scoped tokens of a registry.

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::credential::passwords;
use super::scope_map::SCOPE_MAPS;
use crate::args::scope_map::Actions;
use crate::args::server::OfRegistryArgs;
use crate::args::token::{TokenArgs, TokenNameArgs, TokenPassword, TokenStatus, TokenVerb};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::management::listing::Listing;
use crate::management::path::{beneath, name_of};
use crate::management::session::{Call, Session};
use crate::output;
use crate::output::sheet::Column;
use crate::prompt;
use crate::when::Period;

const TOKENS: &str = "tokens";

pub(crate) async fn run(args: TokenArgs, ctx: &Context) -> Result<()> {
    if let TokenVerb::Delete { token, consent } = &args.verb {
        let what = format!("This deletes the token {} of the registry {}", token.name, token.registry.registry);
        prompt::confirm(&what, consent.yes)?;
    }
    let session = &Session::open(&args.server, ctx).await?;
    match args.verb {
        TokenVerb::List(args) => list(session, &args, ctx).await,
        TokenVerb::Show(args) => show(session, &args, ctx).await,
        TokenVerb::Create { token, scope_map, repository, status, expires_in, no_passwords } => {
            let registry = session.registry_of(&token.registry).await?;
            check_name(&token.name)?;
            let scope_map = match scope_map {
                Some(name) => beneath(&registry, SCOPE_MAPS, &name)?,
                None => make_scope_map(session, &registry, &token.name, &repository).await?,
            };
            let made = make(session, &registry, &token.name, &scope_map, status).await?;
            if no_passwords {
                return ctx.output.print(|| format!("Made the token {}", token.name), &made);
            }
            print_passwords(session, &registry, &token.name, None, expires_in, ctx).await
        }
        TokenVerb::Update { token, scope_map, status } => update(session, &token, scope_map, status, ctx).await,
        TokenVerb::Delete { token, .. } => {
            let path = beneath(&session.registry_of(&token.registry).await?, TOKENS, &token.name)?;
            session.delete(&path, &format!("delete the token {}", token.name)).await?;
            ctx.output.print(|| format!("Deleted the token {}", token.name), &json!({ "deleted": path }))
        }
        TokenVerb::Password { token, name, expires_in } => {
            let registry = session.registry_of(&token.registry).await?;
            print_passwords(session, &registry, &token.name, name, expires_in, ctx).await
        }
    }
}

async fn list(session: &Session, args: &OfRegistryArgs, ctx: &Context) -> Result<()> {
    let path = format!("{}/{TOKENS}", session.registry_of(args).await?);
    let columns = vec![
        Column::at("NAME", "/name"),
        Column::at("STATUS", "/properties/status"),
        Column::by("SCOPE MAP", |entry| {
            name_of(entry["properties"]["scopeMapId"].as_str().unwrap_or_default()).to_owned()
        }),
        Column::by("PASSWORDS", |entry| {
            let all = entry["properties"]["credentials"]["passwords"].as_array().map_or(&[][..], Vec::as_slice);
            all.iter().filter_map(|password| password["name"].as_str()).collect::<Vec<_>>().join(", ")
        }),
        Column::at("CREATED", "/properties/creationDate"),
    ];
    Listing::of(session, &path, &format!("list the tokens of {}", args.registry)).print(columns, ctx).await
}

async fn show(session: &Session, args: &TokenNameArgs, ctx: &Context) -> Result<()> {
    let path = beneath(&session.registry_of(&args.registry).await?, TOKENS, &args.name)?;
    let shown = session.read(&path, &format!("show the token {}", args.name)).await?.value;
    ctx.output.print(|| output::attributes(&shown), &shown)
}

/// Refuses a name before a scope map is made for it (ACR's rule for tokens).
fn check_name(name: &str) -> Result<()> {
    let fits = (5..=50).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if fits { Ok(()) } else { Err(Error::usage("a token's name is 5 to 50 letters, digits, '-' and '_'")) }
}

/// Makes the scope map of a token that is made along with it, under the name that `az acr token create` gives it.
async fn make_scope_map(session: &Session, registry: &str, token: &str, rights: &[Actions]) -> Result<String> {
    let path = beneath(registry, SCOPE_MAPS, &format!("{token}-scope-map"))?;
    let action = format!("make the scope map of the token {token}");
    let description = format!("Created by token: {token}");
    let body = json!({ "properties": { "description": description, "actions": Actions::union(rights) } });
    session.send(Call::new(Method::PUT, &path, &action).only_new().body(body)).await?;
    Ok(path)
}

async fn make(session: &Session, registry: &str, name: &str, scope_map: &str, status: TokenStatus) -> Result<Value> {
    let (path, action) = (beneath(registry, TOKENS, name)?, format!("make the token {name}"));
    let body = json!({ "properties": { "status": status_word(status), "scopeMapId": scope_map } });
    session.send(Call::new(Method::PUT, &path, &action).only_new().body(body)).await
}

async fn update(
    session: &Session,
    args: &TokenNameArgs,
    scope_map: Option<String>,
    status: Option<TokenStatus>,
    ctx: &Context,
) -> Result<()> {
    let registry = session.registry_of(&args.registry).await?;
    let (path, action) = (beneath(&registry, TOKENS, &args.name)?, format!("change the token {}", args.name));
    let mut properties = Map::new();
    if let Some(scope_map) = scope_map {
        properties.insert("scopeMapId".to_owned(), beneath(&registry, SCOPE_MAPS, &scope_map)?.into());
    }
    properties.extend(status.map(|status| ("status".to_owned(), status_word(status).into())));
    if properties.is_empty() {
        return Err(Error::usage("nothing is to be changed").hint("give --scope-map or --status"));
    }
    let body = json!({ "properties": properties });
    let changed = session.send(Call::new(Method::PATCH, &path, &action).body(body)).await?;
    ctx.output.print(|| format!("Changed the token {}", args.name), &changed)
}

/// Makes passwords and prints them: they are shown this once.
async fn print_passwords(
    session: &Session,
    registry: &str,
    token: &str,
    name: Option<TokenPassword>,
    expires_in: Option<Period>,
    ctx: &Context,
) -> Result<()> {
    let mut body = json!({ "tokenId": beneath(registry, TOKENS, token)? });
    if let Some(name) = name {
        let name = match name {
            TokenPassword::Password1 => "password1",
            TokenPassword::Password2 => "password2",
        };
        body["name"] = name.into();
    }
    if let Some(period) = expires_in {
        body["expiry"] = period.after(Timestamp::now()).to_string().into();
    }
    let (path, action) = (format!("{registry}/generateCredentials"), format!("make passwords of the token {token}"));
    let made = session.send(Call::new(Method::POST, &path, &action).body(body)).await?;
    ctx.output.print(|| passwords(&made), &made)?;
    ctx.progress.note("note: passwords are shown only now; keep them safe");
    Ok(())
}

fn status_word(status: TokenStatus) -> &'static str {
    match status {
        TokenStatus::Enabled => "enabled",
        TokenStatus::Disabled => "disabled",
    }
}
