//! `tag list`, `tag delete`.

use kogge_types::Reference;
use serde_json::json;

use super::repo::print_names;
use crate::args::{ImageArgs, TagCommand};
use crate::context::Context;
use crate::error::{Error, Result};

pub(crate) async fn run(command: TagCommand, ctx: &Context) -> Result<()> {
    match command {
        TagCommand::List(args) => {
            let repository = &args.repository;
            let client = ctx.client(&repository.host, Some(&repository.repository)).await?;
            print_names(client.tags(&repository.repository), ctx).await
        }
        TagCommand::Delete(args) => delete(args, ctx).await,
    }
}

/// Deletes the tag alone. A default tag is not assumed where something is deleted.
async fn delete(args: ImageArgs, ctx: &Context) -> Result<()> {
    let image = &args.image;
    let (Some(tag), None) = (&image.tag, &image.digest) else {
        return Err(Error::usage(format!("`{image}` does not say which tag to delete")).hint("write `host/name:tag`"));
    };
    let client = ctx.client(&image.host, Some(&image.repository)).await?;
    client.delete_manifest(&image.repository, &Reference::Tag(tag.clone())).await.map_err(|error| {
        // Registries from before version 1.1 of the specification answer so.
        if matches!(error.status(), Some(400 | 405)) && !error.has_code("REGISTRY_DISALLOWED_OPERATION") {
            error.hint("this registry may not be able to delete a tag alone; `kogge manifest delete` removes the image")
        } else {
            error
        }
    })?;
    ctx.output.print(|| format!("Deleted the tag {image}"), &json!({ "deleted": image.to_string() }))
}
