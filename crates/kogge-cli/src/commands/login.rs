//! `login` and `logout`.

use std::io::IsTerminal as _;

use serde_json::json;

use crate::args::LoginArgs;
use crate::client::Client;
use crate::context::Context;
use crate::credentials::{Credential, Keeper};
use crate::error::{Error, Kind, Result};
use crate::image_reference::RegistryHost;
use crate::prompt;

/// Checks a user name and password with the registry, then keeps them.
pub(crate) async fn login(args: LoginArgs, ctx: &Context) -> Result<()> {
    let host = &args.registry.registry;
    if args.password.is_some() {
        ctx.progress.note("warning: a password on the command line can be seen by others; use --password-stdin");
    }
    let user = match args.username {
        Some(user) if !user.is_empty() => user,
        Some(_) => return Err(Error::usage("the user name is empty")),
        None if args.password_stdin || !std::io::stdin().is_terminal() => {
            return Err(Error::usage("no user name is given").hint("give --username"));
        }
        None => prompt::ask(&format!("User name for {host}: "))?,
    };
    let password = match args.password {
        Some(password) => password,
        None if args.password_stdin => prompt::read_secret()?,
        None => prompt::ask_secret(&format!("Password of {user} for {host}: "))?,
    };
    if user.contains(':') {
        return Err(Error::usage("a user name cannot hold a colon"));
    }
    let credential = Credential::new(user, password);
    let client = Client::connect(host.clone(), &ctx.transport, Some(credential.clone())).await?;
    client.ping().await.map_err(|error| match error.kind {
        Kind::Denied => {
            Error::new(Kind::Denied, format!("{host} refused the user name or the password")).because(error)
        }
        _ => error,
    })?;
    if client.origin().scheme() == "http" && !host.is_loopback() {
        ctx.progress.warn(&format!("warning: the password went to {host} in clear, over plain HTTP"));
    }
    let keeper = save(host, &credential, ctx).await?;
    if let Keeper::File(path) = &keeper {
        let path = path.display();
        ctx.progress.note(&format!("note: the password is kept in {path}, readable by you alone but not encrypted"));
    }
    let shown = json!({ "registry": host.as_str(), "user": credential.user(), "keptIn": keeper.to_string() });
    ctx.output.print(|| format!("Logged in to {host} as {}", credential.user()), &shown)
}

async fn save(host: &RegistryHost, credential: &Credential, ctx: &Context) -> Result<Keeper> {
    let (store, host, credential) = (ctx.credentials.clone(), host.clone(), credential.clone());
    let saved = tokio::task::spawn_blocking(move || store.save(&host, &credential));
    saved.await.expect("keeping a login does not panic")
}

pub(crate) async fn logout(host: &RegistryHost, ctx: &Context) -> Result<()> {
    let (store, from) = (ctx.credentials.clone(), host.clone());
    let erased = tokio::task::spawn_blocking(move || store.erase(&from));
    let erased = erased.await.expect("forgetting a login does not panic")?;
    let places: Vec<String> = erased.iter().map(ToString::to_string).collect();
    let shown = json!({ "registry": host.as_str(), "removedFrom": places });
    let text = || {
        if places.is_empty() { format!("No login for {host} was kept") } else { format!("Logged out of {host}") }
    };
    ctx.output.print(text, &shown)
}
