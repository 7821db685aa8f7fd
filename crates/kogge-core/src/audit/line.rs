//! Events as lines of JSON: ACR's columns by their names, and a few of our own.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::event::{DenialReason, Event, Kind, Request, without_query};
use super::ring::{Fold, FoldKey};

/// Bytes of a short text: a name, a user agent, an action.
const WORD_BYTES_MAX: usize = 256;
/// Bytes of a resource's path.
const PATH_BYTES_MAX: usize = 1024;
/// Bytes of a whole line, its end included: every text at its limit with every byte escaped fits.
pub(super) const LINE_BYTES_MAX: usize = 64 * 1024;

/// What all events of a node have in common.
#[derive(Debug, Clone, Default)]
pub(super) struct Origin {
    pub(super) region: String,
    pub(super) tenant: String,
}

/// Every column there is. Those of ACR's tables are always written in their categories, empty where nothing is known.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line<'a> {
    time_generated: Time,
    category: &'static str,
    operation_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller_ip_address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_description: Option<Number>,
    region: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    registry: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_server: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_tenant_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    resource_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    journal_sequence: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Time>,
}

/// Microseconds since the Unix epoch, written as RFC 3339 has it.
#[derive(Debug, Clone, Copy, Default)]
struct Time(i64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        serializer.collect_str(&format_args!("{time:.6}"))
    }
}

#[derive(Debug, Clone, Copy)]
struct Address(Option<IpAddr>);

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(address) => serializer.collect_str(&address),
            None => serializer.serialize_str(""),
        }
    }
}

/// Whole milliseconds, rounded up, as text: ACR's column is one.
#[derive(Debug, Clone, Copy)]
struct Millis(Duration);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.as_micros().div_ceil(1_000))
    }
}

/// A number as text.
#[derive(Debug, Clone, Copy)]
struct Number(u16);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// The beginning of `text` that has at most `bytes_max` bytes.
fn clip(text: &str, bytes_max: usize) -> &str {
    match text.len() > bytes_max {
        true => &text[..text.floor_char_boundary(bytes_max)],
        false => text,
    }
}

pub(super) fn word(text: &str) -> &str {
    clip(text, WORD_BYTES_MAX)
}

fn path(text: &str) -> &str {
    clip(without_query(text), PATH_BYTES_MAX)
}

impl<'a> Line<'a> {
    fn of(request: &Request<'a>, origin: &'a Origin) -> Self {
        let tenant = if request.identity.is_empty() { "" } else { origin.tenant.as_str() };
        Self {
            time_generated: Time(request.time_us),
            region: &origin.region,
            identity: Some(word(request.identity)),
            caller_ip_address: Some(Address(request.client)),
            correlation_id: Some(word(request.correlation_id)),
            duration_ms: Some(Millis(request.duration)),
            // What ACR writes: the result is described by the status of the answer.
            result_type: Some("HttpStatusCode"),
            result_description: Some(Number(request.status)),
            login_server: Some(word(request.login_server)),
            user_agent: Some(word(request.user_agent)),
            user_tenant_id: Some(tenant),
            ..Self::default()
        }
    }

    fn finish(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(&mut *out, self).expect("a line is plain values in memory");
        out.push(b'\n');
    }
}

/// Writes `event` as one line at the end of `out`. `journal_sequence` names the change that it was made from.
pub(super) fn encode(out: &mut Vec<u8>, event: &Event<'_>, origin: &Origin, journal_sequence: Option<i64>) {
    let reason = event.reason().map(DenialReason::as_str);
    let base = Line {
        category: event.kind().category(),
        operation_name: word(event.operation()),
        registry: word(event.registry()),
        reason,
        journal_sequence,
        ..Line::of(event.request(), origin)
    };
    let line = match event {
        Event::Login(event) => Line {
            jwt_id: Some(word(event.jwt_id)),
            detail: event.refused.map_or("", |(_, detail)| word(detail)),
            ..base
        },
        Event::Repository(event) => Line {
            repository: Some(word(event.repository)),
            tag: Some(word(event.tag)),
            digest: Some(word(event.digest)),
            media_type: Some(word(event.media_type)),
            artifact_type: Some(word(event.artifact_type)),
            size: Some(event.size),
            ..base
        },
        Event::Denial(event) => Line {
            repository: Some(word(event.repository)).filter(|name| !name.is_empty()),
            resource_id: path(event.resource),
            detail: word(event.detail),
            ..base
        },
        Event::Management(event) => {
            Line { resource_id: path(event.resource), status: Some(event.outcome.as_str()), ..base }
        }
    };
    line.finish(out);
}

/// Writes what many events were folded into: their number, and the time between the first and the last.
pub(super) fn encode_fold(out: &mut Vec<u8>, key: &FoldKey, fold: &Fold, origin: &Origin) {
    let line = Line {
        time_generated: Time(fold.first_us),
        until: Some(Time(fold.last_us)),
        category: key.kind.category(),
        operation_name: &key.operation,
        region: &origin.region,
        registry: &key.registry,
        reason: key.reason.map(DenialReason::as_str),
        detail: "many events in one: there was no room for each",
        count: Some(fold.count),
        ..Line::default()
    };
    line.finish(out);
}

/// Writes that `count` pulls were left out.
pub(super) fn encode_dropped(out: &mut Vec<u8>, count: u64, time_us: i64, origin: &Origin) {
    let line = Line {
        time_generated: Time(time_us),
        category: Kind::Notice.category(),
        operation_name: "Dropped",
        region: &origin.region,
        detail: "pulls that there was no room for",
        count: Some(count),
        ..Line::default()
    };
    line.finish(out);
}
