//! `manifest show`, `manifest list`, `manifest delete`.

use kogge_types::{Descriptor, Manifest, ManifestKind, Reference};
use serde_json::{Value, json};

use crate::args::{ImageArgs, ManifestCommand, RepositoryArgs, ShowArgs};
use crate::client::authorizer::Scopes;
use crate::client::manifests::ManifestContent;
use crate::context::Context;
use crate::error::{Error, Result, printable};
use crate::image_reference::ImageReference;
use crate::output;
use crate::platform;
use crate::prompt;

pub(crate) async fn run(command: ManifestCommand, ctx: &Context) -> Result<()> {
    match command {
        ManifestCommand::Show(args) => show(args, ctx).await,
        ManifestCommand::List(args) => list(args, ctx).await,
        ManifestCommand::Delete { image, consent } => delete(image, consent.yes, ctx).await,
    }
}

async fn show(args: ShowArgs, ctx: &Context) -> Result<()> {
    let image = &args.image.image;
    let client = ctx.client(&image.host, Some(&image.repository)).await?;
    let mut content = client.manifest(&image.repository, &image.reference()).await?;
    if let Some(platform) = &args.platform {
        let manifest = Manifest::parse(&content.media_type, &content.bytes);
        if let Ok(index) = manifest.as_ref()
            && index.kind == ManifestKind::Index
        {
            let digest = platform.choose(&index.children)?.digest;
            content = client.manifest(&image.repository, &Reference::Digest(digest)).await?;
        }
    }
    if args.raw {
        return output::raw(&content.bytes);
    }
    let body: Value = serde_json::from_slice(&content.bytes)
        .map_err(|error| Error::general(format!("the manifest of {image} is not JSON")).because(error))?;
    let shown = json!({
        "digest": content.digest, "mediaType": content.media_type, "size": content.bytes.len(), "manifest": body,
    });
    ctx.output.print(|| summary(image, &content), &shown)
}

fn summary(image: &ImageReference, content: &ManifestContent) -> String {
    let mut lines = vec![
        format!("Image:       {image}"),
        format!("Digest:      {}", content.digest),
        format!("Media type:  {}", printable(&content.media_type)),
        format!("Size:        {}", output::bytes(content.bytes.len() as u64)),
    ];
    match Manifest::parse(&content.media_type, &content.bytes) {
        Ok(manifest) => {
            if let Some(artifact_type) = &manifest.artifact_type {
                lines.push(format!("Artifact:    {}", printable(artifact_type)));
            }
            if let Some(subject) = &manifest.subject {
                lines.push(format!("Subject:     {}", subject.digest));
            }
            lines.push(String::new());
            lines.push(match manifest.kind {
                ManifestKind::Index => {
                    output::table(["PLATFORM", "DIGEST", "SIZE"], manifest.children.iter().map(child_row))
                }
                ManifestKind::Image => {
                    let blobs = manifest.blobs.iter().chain(&manifest.nondistributable);
                    output::table(["MEDIA TYPE", "DIGEST", "SIZE"], blobs.map(blob_row))
                }
            });
        }
        Err(error) => lines.push(format!("Not understood: {}", printable(&error.to_string()))),
    }
    lines.join("\n")
}

fn child_row(child: &Descriptor) -> [String; 3] {
    [platform::shown(child).unwrap_or_else(|| "-".to_owned()), child.digest.to_string(), output::bytes(child.size)]
}

fn blob_row(blob: &Descriptor) -> [String; 3] {
    [printable(&blob.media_type), blob.digest.to_string(), output::bytes(blob.size)]
}

async fn list(args: RepositoryArgs, ctx: &Context) -> Result<()> {
    let repository = &args.repository;
    let client = ctx.client(&repository.host, Some(&repository.repository)).await?;
    let manifests = client.manifests(&repository.repository).await?;
    let text =
        || output::table(["DIGEST", "TAGS", "SIZE", "UPDATED", "MEDIA TYPE"], manifests.iter().map(manifest_row));
    ctx.output.print(text, &manifests)
}

fn manifest_row(manifest: &Value) -> [String; 5] {
    let text = |field: &str| manifest.get(field).and_then(Value::as_str).map_or_else(|| "-".to_owned(), printable);
    let tags = manifest.get("tags").and_then(Value::as_array).into_iter().flatten();
    let tags: Vec<String> = tags.filter_map(Value::as_str).map(printable).collect();
    let size = manifest.get("imageSize").and_then(Value::as_u64).map_or_else(|| "-".to_owned(), output::bytes);
    [text("digest"), tags.join(", "), size, text("lastUpdateTime"), text("mediaType")]
}

/// Deletes by digest, which takes every tag and referrer along. A tag is resolved first, as ACR's own tool does.
async fn delete(args: ImageArgs, yes: bool, ctx: &Context) -> Result<()> {
    let image = &args.image;
    if image.tag.is_none() && image.digest.is_none() {
        return Err(Error::usage(format!("`{image}` does not say which manifest to delete"))
            .hint("write `host/name@digest` or `host/name:tag`"));
    }
    let client = ctx.client(&image.host, Some(&image.repository)).await?;
    let digest = match (image.digest, image.reference()) {
        (Some(digest), _) => digest,
        (None, reference) => {
            let head = client.manifest_head(&image.repository, &reference, Scopes::pull(&image.repository)).await?;
            head.ok_or_else(|| Error::not_found(format!("there is no manifest {image}")))?.digest
        }
    };
    let repository = image.in_repository();
    prompt::confirm(&format!("This deletes {repository}@{digest} with all its tags and referrers"), yes)?;
    client.delete_manifest(&image.repository, &Reference::Digest(digest)).await?;
    let shown = format!("{repository}@{digest}");
    ctx.output.print(|| format!("Deleted {shown}"), &json!({ "deleted": shown }))
}
