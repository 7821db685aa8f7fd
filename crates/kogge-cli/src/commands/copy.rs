//! `copy` of one image, which `pull` and `push` are forms of.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kogge_types::{Digest, Reference, Tag};
use serde_json::{Value, json};

use crate::args::{ChoiceArgs, CopyArgs};
use crate::client::manifests::ManifestContent;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::layout::reader::LayoutReader;
use crate::layout::writer::LayoutWriter;
use crate::location::Location;
use crate::output;
use crate::platform::Platform;
use crate::transfer::source::Source;
use crate::transfer::target::{RegistryTarget, Target};
use crate::transfer::{Counts, Transfer};

/// The tag of an image that has none anywhere.
const DEFAULT_TAG: &str = "latest";

pub(crate) async fn run(args: CopyArgs, ctx: &Context) -> Result<()> {
    let (from, to) = (args.src.parse()?, args.dst.parse()?);
    copy("Copied", from, to, args.tag, args.choice, ctx).await
}

/// Copies one image and says what was done; `done` is the verb's word for it.
pub(crate) async fn copy(
    done: &str,
    from: Location,
    to: Location,
    more_tags: Vec<Tag>,
    choice: ChoiceArgs,
    ctx: &Context,
) -> Result<()> {
    let (source, reference) = open_source(&from, ctx).await?;
    let mut tags = target_tags(&to, source_tag(&source, reference.as_ref()));
    let to = to.with_tag(tags.first());
    for tag in more_tags {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let failed = |error: Error| error.context(format!("cannot copy {from} to {to}"));
    // The target is not touched before the image is known to be there.
    let root = resolve(&source, reference.as_ref(), choice.platform.as_ref()).await.map_err(failed)?;
    let (digest, media_type) = (root.digest, root.media_type.clone());
    if let Some(wanted) = target_digest(&to).filter(|wanted| *wanted != digest) {
        let message = format!("{from} is {digest}, but the target is named {wanted}");
        return Err(Error::usage(message).hint("name the target by a tag"));
    }
    let target = open_target(&to, ctx).await?;
    let transfer = Transfer::new(source, target, choice.referrers, ctx.progress.clone(), ctx.parallel);
    transfer.copy(root, &tags).await.map_err(failed)?;
    let counts = transfer.finish().await?;
    let more: String = tags.iter().skip(1).map(|tag| format!(", {tag}")).collect();
    let text = || format!("{done} {from} ({digest}) to {to}{more}: {}", summary(&counts));
    let mut result = counts_value(&counts);
    result["source"] = json!(from.to_string());
    result["target"] = json!(to.to_string());
    result["digest"] = json!(digest);
    result["mediaType"] = json!(media_type);
    result["tags"] = json!(tags);
    ctx.output.print(text, &result)?;
    let missing = counts.children_missing.load(Ordering::Relaxed);
    if missing > 0 {
        ctx.progress.warn(&format!("warning: the index names {missing} manifests that {from} does not have"));
    }
    Ok(())
}

async fn open_source(from: &Location, ctx: &Context) -> Result<(Source, Option<Reference>)> {
    match from {
        Location::Registry(image) => {
            let client = ctx.client(&image.host, Some(&image.repository)).await?;
            let source = Source::Registry { client, repository: image.repository.clone() };
            Ok((source, Some(image.reference())))
        }
        Location::Layout(layout) => Ok((Source::Layout(LayoutReader::open(layout).await?), layout.reference.clone())),
    }
}

async fn resolve(
    source: &Source,
    reference: Option<&Reference>,
    platform: Option<&Platform>,
) -> Result<ManifestContent> {
    let root = source.resolve(reference).await?;
    match platform {
        Some(platform) => source.choose(root, platform).await,
        None => Ok(root),
    }
}

async fn open_target(to: &Location, ctx: &Context) -> Result<Target> {
    match to {
        Location::Registry(image) => {
            let client = ctx.client(&image.host, Some(&image.repository)).await?;
            Ok(Target::Registry(RegistryTarget::new(Arc::clone(&client), image.repository.clone())))
        }
        Location::Layout(layout) => Ok(Target::Layout(LayoutWriter::open(layout).await?)),
    }
}

/// The tag by which the source knows the image, if it does.
fn source_tag(source: &Source, reference: Option<&Reference>) -> Option<Tag> {
    match (reference, source) {
        (Some(Reference::Tag(tag)), _) => Some(tag.clone()),
        (None, Source::Layout(layout)) => match layout.tags().as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// The target's own tag; else the source's; else `latest` on a registry, and none in a layout or when the target is
/// named by digest.
fn target_tags(to: &Location, source_tag: Option<Tag>) -> Vec<Tag> {
    let latest = || DEFAULT_TAG.parse().expect("the default tag is a tag");
    let tag = match to {
        Location::Registry(image) if image.digest.is_some() => image.tag.clone(),
        Location::Registry(image) => Some(image.tag.clone().or(source_tag).unwrap_or_else(latest)),
        Location::Layout(layout) if matches!(layout.reference, Some(Reference::Digest(_))) => None,
        Location::Layout(layout) => layout.tag().cloned().or(source_tag),
    };
    tag.into_iter().collect()
}

fn target_digest(to: &Location) -> Option<Digest> {
    match to {
        Location::Registry(image) => image.digest,
        Location::Layout(layout) => match layout.reference {
            Some(Reference::Digest(digest)) => Some(digest),
            _ => None,
        },
    }
}

/// What was done, in words.
pub(crate) fn summary(counts: &Counts) -> String {
    let [sent, present, mounted] =
        [&counts.blobs_sent, &counts.blobs_present, &counts.blobs_mounted].map(|count| count.load(Ordering::Relaxed));
    let mut parts = vec![format!("{sent} blobs, {}", output::bytes(counts.bytes_sent.load(Ordering::Relaxed)))];
    if present > 0 {
        parts.push(format!("{present} already there"));
    }
    if mounted > 0 {
        parts.push(format!("{mounted} mounted"));
    }
    parts.join(", ")
}

pub(crate) fn counts_value(counts: &Counts) -> Value {
    let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    json!({
        "manifestsCopied": of(&counts.manifests),
        "blobsSent": of(&counts.blobs_sent),
        "blobsPresent": of(&counts.blobs_present),
        "blobsMounted": of(&counts.blobs_mounted),
        "bytesSent": of(&counts.bytes_sent),
        "childrenMissing": of(&counts.children_missing),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_without_a_tag_gets_the_sources() {
        let check = |to: &str, source: Option<&str>, expected: &[&str]| {
            let source = source.map(|tag| tag.parse().expect("a tag"));
            let tags = target_tags(&to.parse().expect(to), source);
            assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), expected, "{to}");
        };
        let digest = Digest::sha256(b"");
        check("reg.io/x:v2", Some("v1"), &["v2"]);
        check("reg.io/x", Some("v1"), &["v1"]);
        check("reg.io/x", None, &["latest"]);
        check(&format!("reg.io/x@{digest}"), Some("v1"), &[]);
        check(&format!("reg.io/x:v2@{digest}"), Some("v1"), &["v2"]);
        check("oci:dir", Some("v1"), &["v1"]);
        check("oci:dir", None, &[]);
        check("oci:dir:v2", Some("v1"), &["v2"]);
        check(&format!("oci:dir@{digest}"), Some("v1"), &[]);
    }
}
