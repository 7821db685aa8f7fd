//! `kogge admin audit`: questions to the audit on the server's machine, and what other verbs there leave in it.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use kogge_core::audit::{AuditError, AuditQuery, Event, Kind, ManagementEvent, Order, Outcome, Request};
use kogge_core::{Core, Error};
use kogge_types::{Clock, Code, RepositoryPattern, SystemClock, clock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::admin::AdminCall;
use crate::config::quantity;

/// Which events are asked for.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub(crate) struct AuditFilter {
    /// Events since this time: `2026-11-24T08:00:00Z`, or an age such as `2h` or `7d`
    #[arg(long, value_parser = parse_time, value_name = "TIME")]
    since: Option<i64>,
    /// Events before this time
    #[arg(long, value_parser = parse_time, value_name = "TIME")]
    until: Option<i64>,
    /// Events of this registry
    #[arg(long)]
    registry: Option<String>,
    /// Kinds of events: login, repository, denial, management, notice
    #[arg(long = "kind", value_delimiter = ',', value_parser = |word: &str| word.parse::<Kind>().map(|_| word.to_owned()))]
    kinds: Vec<String>,
    /// Events of this caller
    #[arg(long)]
    identity: Option<String>,
    /// Events of these repositories: a name, or `team/*`
    #[arg(long)]
    repository: Option<RepositoryPattern>,
    /// Events of this operation, such as Push
    #[arg(long)]
    operation: Option<String>,
    /// Events with this result: a status such as 403, a denial's reason, or Failed
    #[arg(long)]
    result: Option<String>,
    /// The event with this correlation id
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
}

#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(flatten)]
    pub(crate) filter: AuditFilter,
    /// Events at most
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
    /// Print events as they come, from --since on or from now
    #[arg(long)]
    pub(crate) follow: bool,
    /// The folder of the audit's files, when no server runs and they are not in the data directory
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

/// Reads a time, or an age: microseconds since the Unix epoch.
fn parse_time(text: &str) -> Result<i64, String> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_microsecond());
    }
    let age = quantity::duration(text).map(|age| SystemClock.now_us().saturating_sub(clock::micros(age)));
    age.ok_or_else(|| "write a time such as 2026-11-24T08:00:00Z, or an age such as 30m, 2h or 7d".to_owned())
}

/// One page of events, as the socket carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AuditLines {
    pub(crate) events: Vec<Value>,
    /// Where the next page goes on.
    pub(crate) after: Option<String>,
    pub(crate) more: bool,
}

impl AuditFilter {
    /// Asks for nothing that is past, unless that is asked for.
    pub(crate) fn begin_now(&mut self) {
        self.since.get_or_insert_with(|| SystemClock.now_us());
    }

    fn query(self, newest_first: bool, limit: usize, after: Option<&str>) -> Result<AuditQuery, Error> {
        let malformed = |error: &dyn std::fmt::Display| Error::new(Code::FormInvalid, error.to_string());
        let kinds = self.kinds.iter().map(|word| word.parse::<Kind>().map_err(|error| malformed(&error)));
        Ok(AuditQuery {
            from_us: self.since,
            ended_from_us: None,
            to_us: self.until,
            registry: self.registry,
            kinds: kinds.collect::<Result<_, _>>()?,
            identity: self.identity,
            repository: self.repository,
            operation: self.operation,
            result: self.result,
            correlation_id: self.correlation_id,
            resource: None,
            order: if newest_first { Order::NewestFirst } else { Order::OldestFirst },
            limit,
            after: after.map(str::parse).transpose().map_err(|error| malformed(&error))?,
        })
    }
}

/// Answers a page.
pub(crate) async fn query(
    core: &Core,
    filter: AuditFilter,
    newest_first: bool,
    limit: usize,
    after: Option<String>,
) -> Result<Value, Error> {
    let query = filter.query(newest_first, limit, after.as_deref())?;
    let page = core.audit().query(query).await.map_err(|error| match error {
        AuditError::NotKept => Error::new(Code::NotFound, error.to_string()),
        AuditError::Io(error) => Error::internal(error),
    })?;
    let lines = AuditLines {
        events: page.records.into_iter().map(|record| Value::Object(record.columns)).collect(),
        after: page.position.map(|position| position.to_string()),
        more: page.more,
    };
    Ok(json!(lines))
}

/// Tells the audit of a local verb that may have changed something.
pub(crate) struct LocalVerb {
    verb: String,
    name: String,
    time_us: i64,
    started: Instant,
}

impl LocalVerb {
    /// A verb that is about to be carried out; `None` for one that only looks.
    pub(crate) fn of(core: &Core, call: &AdminCall) -> Option<Self> {
        let call = serde_json::to_value(call).ok()?;
        // Nothing but these two words: a verb may carry a password.
        let word = |field: &str| call.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let verb = word("verb");
        let looks = ["list-", "show-", "count-", "explain-", "query-"].iter().any(|prefix| verb.starts_with(prefix));
        let looks = looks || verb.ends_with("-status");
        (!looks).then(|| Self { verb, name: word("name"), time_us: core.now_us(), started: Instant::now() })
    }

    pub(crate) fn tell(self, core: &Core, succeeded: bool) {
        let Self { verb, name, time_us, started } = self;
        let request = Request {
            time_us,
            duration: started.elapsed(),
            identity: "operator",
            status: if succeeded { 200 } else { 400 },
            ..Request::default()
        };
        let outcome = if succeeded { Outcome::Succeeded } else { Outcome::Failed };
        let (action, resource) = (format!("Kogge.Local/{verb}/action"), format!("/local/{name}"));
        let event = ManagementEvent { request, action: &action, resource: &resource, outcome };
        core.audit().record(&Event::Management(event));
    }
}
