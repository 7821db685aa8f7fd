//! `copy --all` and `copy --all-tags`: whole registries and repositories. What is there is left alone, failures are
//! counted and gone past, so that the same command run again finishes the work.

use std::sync::{Arc, Mutex};

use futures_util::stream::{StreamExt as _, iter};
use kogge_types::{Reference, RepositoryName, Tag};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::copy::{counts_value, summary};
use crate::args::CopyArgs;
use crate::client::Client;
use crate::context::Context;
use crate::error::{Error, Kind, Result, printable};
use crate::image_reference::{RegistryHost, RepositoryReference};
use crate::progress::Meter;
use crate::transfer::source::Source;
use crate::transfer::target::{RegistryTarget, Target};
use crate::transfer::{Counts, Transfer};

/// Failures that are told one by one at the end in JSON; all of them are told as they happen.
const FAILURES_KEPT_MAX: usize = 10_000;

/// The copy of many images.
struct Bulk<'a> {
    ctx: &'a Context,
    source: Arc<Client>,
    target: Arc<Client>,
    lanes: Arc<Semaphore>,
    counts: Arc<Counts>,
    tally: Mutex<Tally>,
    meter: Meter,
}

#[derive(Default)]
struct Tally {
    repositories: u64,
    images: u64,
    failed: u64,
    failures: Vec<Value>,
    /// The kind that all failures have so far, and the hints of the first one.
    kind: Option<Kind>,
    hints: Vec<String>,
}

impl Tally {
    fn fail(&mut self, what: &str, error: &Error) {
        if self.failed == 0 {
            (self.kind, self.hints) = (Some(error.kind), error.hints().to_vec());
        } else if self.kind != Some(error.kind) {
            self.kind = None;
        }
        self.failed += 1;
        if self.failures.len() < FAILURES_KEPT_MAX {
            self.failures.push(json!({ "image": what, "error": error.chain() }));
        }
    }
}

pub(crate) async fn run(args: CopyArgs, ctx: &Context) -> Result<()> {
    if args.all {
        let (from, to): (RegistryHost, RegistryHost) = (args.src.parse()?, args.dst.parse()?);
        if from == to {
            return Err(Error::usage("source and target are the same registry"));
        }
        let bulk = Bulk::new(ctx.client(&from, None).await?, ctx.client(&to, None).await?, ctx);
        bulk.target.ping().await?;
        bulk.copy_registry().await?;
        return bulk.report(from.as_str(), to.as_str());
    }
    let (from, to): (RepositoryReference, RepositoryReference) = (args.src.parse()?, args.dst.parse()?);
    let source = ctx.client(&from.host, Some(&from.repository)).await?;
    let target = ctx.client(&to.host, Some(&to.repository)).await?;
    let bulk = Bulk::new(source, target, ctx);
    bulk.copy_repository(&from.repository, &to.repository).await?;
    bulk.report(&from.to_string(), &to.to_string())
}

impl<'a> Bulk<'a> {
    fn new(source: Arc<Client>, target: Arc<Client>, ctx: &'a Context) -> Self {
        let lanes = Arc::new(Semaphore::new(ctx.parallel));
        let meter = ctx.progress.activity("copying");
        Self { ctx, source, target, lanes, counts: Arc::default(), tally: Mutex::default(), meter }
    }

    /// Copies one repository after another, a page of the catalog at a time.
    async fn copy_registry(&self) -> Result<()> {
        let mut catalog = self.source.catalog();
        while let Some(page) = catalog.next_names().await? {
            for name in page {
                let outcome = match name.parse::<RepositoryName>() {
                    Ok(repository) => self.copy_repository(&repository, &repository).await,
                    Err(error) => Err(Error::general("the name is not one that can be copied").because(error)),
                };
                if let Err(error) = outcome {
                    self.fail(&printable(&name), &error);
                }
            }
        }
        Ok(())
    }

    /// Copies every tag of a repository, several at once.
    async fn copy_repository(&self, from: &RepositoryName, to: &RepositoryName) -> Result<()> {
        self.tally.lock().expect("nobody panics while holding it").repositories += 1;
        let source = Source::Registry { client: Arc::clone(&self.source), repository: from.clone() };
        let target = Target::Registry(RegistryTarget::new(Arc::clone(&self.target), to.clone()));
        let transfer = Transfer::new(source, target, true, self.ctx.progress.clone(), self.ctx.parallel)
            .sharing(&self.lanes, &self.counts);
        let mut tags = self.source.tags(from);
        loop {
            let page = match tags.next_names().await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(()),
                // A catalog may name what was emptied or deleted meanwhile.
                Err(error) if error.kind == Kind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
            let copies = page.iter().map(|tag| Box::pin(self.copy_image(&transfer, from, tag)));
            iter(copies.collect::<Vec<_>>()).buffer_unordered(self.ctx.parallel).collect::<()>().await;
        }
    }

    async fn copy_image(&self, transfer: &Transfer, repository: &RepositoryName, tag: &str) {
        let image = printable(&format!("{repository}:{tag}"));
        self.meter.say(image.clone());
        self.tally.lock().expect("nobody panics while holding it").images += 1;
        let outcome = match tag.parse::<Tag>() {
            Ok(tag) => copy_tag(transfer, tag).await,
            Err(error) => Err(Error::general("the tag is not one that can be copied").because(error)),
        };
        if let Err(error) = outcome {
            self.fail(&image, &error);
        }
    }

    fn fail(&self, what: &str, error: &Error) {
        self.ctx.progress.warn(&format!("error: {what}: {}", error.chain()));
        self.tally.lock().expect("nobody panics while holding it").fail(what, error);
    }

    fn report(self, from: &str, to: &str) -> Result<()> {
        self.meter.finish();
        let tally = self.tally.into_inner().expect("nobody panics while holding it");
        let copied = self.counts.tags.load(std::sync::atomic::Ordering::Relaxed);
        let mut result = counts_value(&self.counts);
        result["source"] = json!(from);
        result["target"] = json!(to);
        result["repositories"] = json!(tally.repositories);
        result["tags"] = json!(tally.images);
        result["tagsCopied"] = json!(copied);
        result["failed"] = json!(tally.failed);
        result["failures"] = json!(tally.failures);
        let text = || {
            let (repositories, images, summary) = (tally.repositories, tally.images, summary(&self.counts));
            format!(
                "Copied {from} to {to}: {repositories} repositories, {images} tags, {copied} of them new; {summary}"
            )
        };
        self.ctx.output.print(text, &result)?;
        if tally.failed == 0 {
            return Ok(());
        }
        let message = format!("{} of the copies failed; each is told above", tally.failed);
        // What is missing here and there is a failure of the whole; a login or a network that is missing is the cause.
        let kind = tally.kind.filter(|kind| matches!(kind, Kind::Denied | Kind::Network)).unwrap_or(Kind::General);
        let error = Error::new(kind, message);
        let error = tally.hints.into_iter().fold(error, Error::hint);
        Err(error.hint("run the same command again: what has arrived is skipped"))
    }
}

async fn copy_tag(transfer: &Transfer, tag: Tag) -> Result<()> {
    let root = transfer.source().resolve(Some(&Reference::Tag(tag.clone()))).await?;
    transfer.copy(root, &[tag]).await
}
