//! `audit`: who did what, and who was refused.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::args::OutputForm;
use crate::args::audit::{AuditArgs, EventKind};
use crate::context::Context;
use crate::error::Result;
use crate::management::listing::Listing;
use crate::management::path::{CONTAINER_REGISTRY, name_of};
use crate::management::session::{Call, Session};
use crate::output::sheet::{Column, Sheet};
use crate::output::{self, shape};

/// How long to wait for new events before asking again.
const PAUSE: Duration = Duration::from_secs(2);
/// Events that are asked for in one page.
const PAGE_EVENTS: u64 = 500;
const ACTION: &str = "read the audit";

pub(crate) async fn run(args: AuditArgs, ctx: &Context) -> Result<()> {
    let session = &Session::open(&args.server, ctx).await?;
    let path = match &args.registry {
        Some(name) => format!("{}/auditEvents", session.registry(name, args.resource_group.as_deref()).await?),
        None => format!("{}/{CONTAINER_REGISTRY}/auditEvents", session.subscription().await?),
    };
    let now = Timestamp::now();
    if args.follow {
        follow(session, &path, &args, now, ctx).await
    } else {
        list(session, &path, &args, now, ctx).await
    }
}

/// The question that the flags ask.
fn question<'a>(path: &'a str, args: &AuditArgs, now: Timestamp, events: u64) -> Call<'a> {
    let mut call = Call::get(path, ACTION)
        .query("since", args.since.seen_from(now).to_string())
        .query("order", if args.follow { "oldest" } else { "newest" })
        .query("$top", events.to_string());
    if let Some(until) = args.until {
        call = call.query("until", until.seen_from(now).to_string());
    }
    for kind in &args.kind {
        call = call.query("kind", kind_word(*kind));
    }
    let repository = args.repository.as_ref().map(ToString::to_string);
    let filters = [
        ("identity", &args.identity),
        ("repository", &repository),
        ("operation", &args.operation),
        ("result", &args.result),
    ];
    for (name, value) in filters {
        if let Some(value) = value {
            call = call.query(name, value);
        }
    }
    call
}

fn kind_word(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Login => "login",
        EventKind::Repository => "repository",
        EventKind::Denial => "denial",
        EventKind::Management => "management",
        EventKind::Notice => "notice",
    }
}

async fn list(session: &Session, path: &str, args: &AuditArgs, now: Timestamp, ctx: &Context) -> Result<()> {
    let mut left = args.limit.unwrap_or(u64::MAX);
    let call = question(path, args, now, PAGE_EVENTS.min(left));
    let mut listing = Listing::new(session, call, ACTION);
    let mut sheet = Sheet::new(&ctx.output, columns());
    let mut all = Vec::new();
    while left > 0
        && let Some(mut page) = listing.next_page().await?
    {
        page.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= page.len() as u64;
        if ctx.output.needs_all() {
            all.append(&mut page);
        } else if !page.is_empty() && !sheet.page(&page)? {
            return Ok(());
        }
    }
    if ctx.output.needs_all() { ctx.output.print_value(&all.into()) } else { Ok(()) }
}

/// Prints events as they come, until nobody reads them or the program is stopped.
async fn follow(session: &Session, path: &str, args: &AuditArgs, now: Timestamp, ctx: &Context) -> Result<()> {
    let mut sheet = Sheet::new(&ctx.output, columns());
    let mut position: Option<String> = None;
    loop {
        let call = question(path, args, now, PAGE_EVENTS);
        let call = match &position {
            Some(position) => call.query("$skipToken", position),
            None => call,
        };
        let mut listing = Listing::new(session, call, ACTION);
        while let Some(page) = listing.next_page().await? {
            position = listing.position.take().or(position);
            if !page.is_empty() && !print_new(&page, &mut sheet, ctx)? {
                return Ok(());
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Prints a page of new events: as JSON, each on its own line. Says whether somebody still reads.
fn print_new(page: &[Value], sheet: &mut Sheet, ctx: &Context) -> Result<bool> {
    let picked = match &ctx.output.query {
        None if ctx.output.form != OutputForm::Json => return sheet.page(page),
        None => Value::from(page.to_vec()),
        Some(query) => query.pick(&page.to_vec().into())?,
    };
    let items = match picked {
        Value::Null => return Ok(true),
        Value::Array(items) => items,
        one => vec![one],
    };
    let mut lines = String::new();
    for item in &items {
        match ctx.output.form {
            OutputForm::Json => lines.push_str(&item.to_string()),
            OutputForm::Table | OutputForm::Tsv => {
                let order = ctx.output.query.as_ref().map(|query| query.column_order()).unwrap_or_default();
                let rows = shape::rows(item, &order).rows;
                lines.push_str(&rows.iter().map(|row| row.join("\t")).collect::<Vec<_>>().join("\n"));
            }
        }
        lines.push('\n');
    }
    if lines.is_empty() { Ok(true) } else { output::raw_while_read(lines.as_bytes()) }
}

fn columns() -> Vec<Column> {
    vec![
        Column::by("TIME", |event| {
            let time = event["TimeGenerated"].as_str().unwrap_or_default();
            time.parse::<Timestamp>().map_or_else(|_| time.to_owned(), |time| format!("{time:.3}"))
        }),
        Column::by("KIND", |event| kind_shown(event["Category"].as_str().unwrap_or_default()).to_owned()),
        Column::by("OPERATION", |event| name_of_operation(event["OperationName"].as_str().unwrap_or_default())),
        Column::by("RESULT", |event| {
            let parts = ["ResultDescription", "Reason"].map(|column| event[column].as_str().unwrap_or_default());
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
        }),
        Column::at("WHO", "/Identity"),
        Column::at("FROM", "/CallerIpAddress"),
        Column::at("REGISTRY", "/Registry"),
        Column::by("WHAT", what),
    ]
}

/// The word for a category in `--kind`.
fn kind_shown(category: &str) -> &str {
    match category {
        "ContainerRegistryLoginEvents" => "login",
        "ContainerRegistryRepositoryEvents" => "repository",
        "Denials" => "denial",
        "Administrative" => "management",
        "AuditNotices" => "notice",
        other => other,
    }
}

/// Actions without the name of who provides them.
fn name_of_operation(operation: &str) -> String {
    operation.strip_prefix("Microsoft.ContainerRegistry/").unwrap_or(operation).to_owned()
}

/// What an event is about: an image, a resource, or what is told of it.
fn what(event: &Value) -> String {
    /// Characters of a digest that tell it from others.
    const DIGEST_CHARS: usize = 19;
    let text = |column: &str| event[column].as_str().unwrap_or_default();
    let image = match (text("Repository"), text("Tag"), text("Digest")) {
        ("", ..) => None,
        (repository, "", "") => Some(repository.to_owned()),
        (repository, "", digest) => Some(format!("{repository}@{}", digest.get(..DIGEST_CHARS).unwrap_or(digest))),
        (repository, tag, _) => Some(format!("{repository}:{tag}")),
    };
    let folded = event["Count"].as_u64().map(|count| format!("{count} times: {}", text("Detail")));
    image.or(folded).unwrap_or_else(|| match (name_of(text("ResourceId")), text("Detail")) {
        ("", detail) => detail.to_owned(),
        (resource, "") => resource.to_owned(),
        (resource, detail) => format!("{resource}: {detail}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_say_what_they_are_about() {
        let check = |event: Value, expected: &str| assert_eq!(what(&event), expected, "{event}");
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        check(json!({ "Repository": "a/b", "Tag": "v1", "Digest": digest }), "a/b:v1");
        check(json!({ "Repository": "a/b", "Tag": "", "Digest": digest }), "a/b@sha256:e3b0c44298fc");
        check(json!({ "Repository": "a/b" }), "a/b");
        check(json!({ "ResourceId": "/subscriptions/s/registries/reg01" }), "reg01");
        check(json!({ "ResourceId": "/x/y", "Detail": "no role" }), "y: no role");
        check(json!({ "Count": 7, "Detail": "pulls" }), "7 times: pulls");
        check(json!({}), "");
    }
}
