//! `registry`: the registries of a server.

mod settings;

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::registry::{NamedArgs, RegistryVerb, RegistryVerbArgs, SettingArgs};
use crate::context::Context;
use crate::error::{Result, printable};
use crate::management::listing::Listing;
use crate::management::path::{CONTAINER_REGISTRY, REGISTRY_TYPE, resource_group_of};
use crate::management::session::{Call, Session};
use crate::output;
use crate::output::sheet::Column;
use crate::prompt;

pub(crate) async fn run(args: RegistryVerbArgs, ctx: &Context) -> Result<()> {
    let verb = args.verb;
    if let RegistryVerb::Delete { registry, consent } = &verb {
        prompt::confirm(&format!("This deletes the registry {} with everything in it", registry.name), consent.yes)?;
    }
    let session = Session::open(&args.server, ctx).await?;
    match verb {
        RegistryVerb::List { resource_group } => list(&session, resource_group.as_deref(), ctx).await,
        RegistryVerb::Show(args) => show(&session, &args, ctx).await,
        RegistryVerb::Create { name, resource_group, location, settings } => {
            create(&session, &name, &resource_group, location, &settings, ctx).await
        }
        RegistryVerb::Update { registry, settings, remove_ip, untag } => {
            update(&session, &registry, &settings, &settings::Removals { addresses: remove_ip, tags: untag }, ctx).await
        }
        RegistryVerb::Delete { registry, .. } => delete(&session, &registry, ctx).await,
        RegistryVerb::Usage(args) => usage(&session, &args, ctx).await,
        RegistryVerb::CheckName { name } => check_name(&session, &name, ctx).await,
    }
}

async fn list(session: &Session, resource_group: Option<&str>, ctx: &Context) -> Result<()> {
    let holder = match resource_group {
        Some(group) => session.resource_group(group).await?,
        None => session.subscription().await?.to_owned(),
    };
    let columns = vec![
        Column::at("NAME", "/name"),
        Column::by("RESOURCE GROUP", |entry| resource_group_of(entry["id"].as_str().unwrap_or_default()).to_owned()),
        Column::at("LOCATION", "/location"),
        Column::at("SKU", "/sku/name"),
        Column::at("LOGIN SERVER", "/properties/loginServer"),
        Column::at("ADMIN USER", "/properties/adminUserEnabled"),
        Column::at("CREATED", "/properties/creationDate"),
    ];
    let path = format!("{holder}/providers/{REGISTRY_TYPE}");
    Listing::of(session, &path, "list the registries").print(columns, ctx).await
}

async fn show(session: &Session, args: &NamedArgs, ctx: &Context) -> Result<()> {
    let registry = session.registry(&args.name, args.resource_group.as_deref()).await?;
    let shown = session.read(&registry, &format!("show the registry {}", args.name)).await?.value;
    ctx.output.print(|| output::attributes(&shown), &shown)
}

async fn create(
    session: &Session,
    name: &str,
    resource_group: &str,
    location: Option<String>,
    settings: &SettingArgs,
    ctx: &Context,
) -> Result<()> {
    let action = format!("make the registry {name}");
    let registry = session.registry_in(resource_group, name).await?;
    let location = match location {
        Some(location) => location.into(),
        None => session.read(&session.resource_group(resource_group).await?, &action).await?.value["location"].take(),
    };
    let body = settings::new_registry(settings, location);
    let made = session.send(Call::new(Method::PUT, &registry, &action).only_new().body(body)).await?;
    let text = || {
        let login_server = printable(made["properties"]["loginServer"].as_str().unwrap_or_default());
        format!("Made the registry {name}; its login server is {login_server}")
    };
    ctx.output.print(text, &made)
}

async fn update(
    session: &Session,
    args: &NamedArgs,
    settings: &SettingArgs,
    removals: &settings::Removals,
    ctx: &Context,
) -> Result<()> {
    let action = format!("change the registry {}", args.name);
    let registry = session.registry(&args.name, args.resource_group.as_deref()).await?;
    // Lists are sent as wholes: what somebody else changes meanwhile must not be lost.
    let before = session.read(&registry, &action).await?;
    let body = settings::change(settings, removals, &before.value)?;
    let call = Call::new(Method::PATCH, &registry, &action).only_as_read(before.entity_tag).body(body);
    let changed = session.send(call).await?;
    ctx.output.print(|| format!("Changed the registry {}", args.name), &changed)
}

async fn delete(session: &Session, args: &NamedArgs, ctx: &Context) -> Result<()> {
    let registry = session.registry(&args.name, args.resource_group.as_deref()).await?;
    session.delete(&registry, &format!("delete the registry {}", args.name)).await?;
    ctx.output.print(|| format!("Deleted the registry {}", args.name), &json!({ "deleted": registry }))
}

async fn usage(session: &Session, args: &NamedArgs, ctx: &Context) -> Result<()> {
    let registry = session.registry(&args.name, args.resource_group.as_deref()).await?;
    let path = format!("{registry}/listUsages");
    let columns = vec![
        Column::at("NAME", "/name"),
        Column::by("USED", |entry| amount(entry, "currentValue")),
        Column::by("LIMIT", |entry| amount(entry, "limit")),
    ];
    Listing::of(session, &path, &format!("show the usage of {}", args.name)).print(columns, ctx).await
}

/// A number in its unit.
fn amount(usage: &Value, field: &str) -> String {
    match (usage[field].as_u64(), usage["unit"].as_str()) {
        (Some(count), Some("Bytes")) => output::bytes(count),
        (Some(count), _) => count.to_string(),
        (None, _) => "-".to_owned(),
    }
}

async fn check_name(session: &Session, name: &str, ctx: &Context) -> Result<()> {
    let path = format!("{}/{CONTAINER_REGISTRY}/checkNameAvailability", session.subscription().await?);
    let action = format!("ask whether {name} is free");
    let body = json!({ "name": name, "type": REGISTRY_TYPE });
    let answer = session.send(Call::new(Method::POST, &path, &action).body(body)).await?;
    let text = || match (answer["nameAvailable"].as_bool(), answer["message"].as_str()) {
        (Some(true), _) => format!("{name} is free"),
        (_, Some(message)) => printable(message),
        (_, None) => format!("{name} is taken"),
    };
    ctx.output.print(text, &answer)
}
