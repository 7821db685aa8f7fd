//! `repo list`, `repo show`, `repo delete`.

use serde_json::Value;

use crate::args::{RepoCommand, RepositoryArgs};
use crate::client::listing::Listing;
use crate::context::Context;
use crate::error::{Result, printable};
use crate::output;
use crate::prompt;

pub(crate) async fn run(command: RepoCommand, ctx: &Context) -> Result<()> {
    match command {
        RepoCommand::List(args) => {
            let client = ctx.client(&args.registry, None).await?;
            print_names(client.catalog(), ctx).await
        }
        RepoCommand::Show(args) => show(args, ctx).await,
        RepoCommand::Delete { repository, consent } => delete(repository, consent.yes, ctx).await,
    }
}

/// Prints names page by page, so that a long list begins at once and needs no memory; JSON and queries need all of it.
pub(crate) async fn print_names(mut names: Listing<'_>, ctx: &Context) -> Result<()> {
    if ctx.output.needs_all() {
        return ctx.output.print_value(&names.all_names().await?.into());
    }
    while let Some(page) = names.next_names().await? {
        let page: Vec<String> = page.iter().map(|name| printable(name)).collect();
        output::line(&page.join("\n"))?;
    }
    Ok(())
}

async fn show(args: RepositoryArgs, ctx: &Context) -> Result<()> {
    let repository = &args.repository;
    let client = ctx.client(&repository.host, Some(&repository.repository)).await?;
    let attributes = client.repository_attributes(&repository.repository).await?;
    ctx.output.print(|| output::attributes(&attributes), &attributes)
}

async fn delete(args: RepositoryArgs, yes: bool, ctx: &Context) -> Result<()> {
    let repository = &args.repository;
    prompt::confirm(&format!("This deletes {repository} with all its manifests and tags"), yes)?;
    let client = ctx.client(&repository.host, Some(&repository.repository)).await?;
    let deleted = client.delete_repository(&repository.repository).await?;
    let count = |field: &str| deleted.get(field).and_then(Value::as_array).map_or(0, Vec::len);
    let (manifests, tags) = (count("manifestsDeleted"), count("tagsDeleted"));
    ctx.output.print(|| format!("Deleted {repository}: {manifests} manifests, {tags} tags"), &deleted)
}
