//! The access log: one line per request, in the form of the ordinary logs, formatted by hand into a buffer of its own.

use std::cell::RefCell;
use std::net::IpAddr;
use std::time::Duration;

use std::io::Write;

use crate::config::LogFormat;
use crate::log::{Sink, stamp};

/// Bytes of a path or a query that are logged.
const TARGET_BYTES_MAX: usize = 1024;
/// Bytes of a user agent or a principal that are logged.
const WORD_BYTES_MAX: usize = 256;
/// Parameters of a query whose values are logged; all others may be secrets.
const PLAIN_PARAMETERS: &[&str] = &[
    "account",
    "api-version",
    "artifactType",
    "digest",
    "digest-algorithm",
    "from",
    "last",
    "mount",
    "n",
    "ns",
    "offline_token",
    "orderby",
    "scope",
    "service",
    "tag",
];

thread_local! {
    /// The line being formatted, kept for the next one.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One request that was answered.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// When it began, microseconds since the Unix epoch.
    pub time_us: i64,
    /// The id that the client was told.
    pub correlation: &'a str,
    /// The registry's name; empty when none was picked.
    pub registry: &'a str,
    pub client: IpAddr,
    pub method: &'a str,
    pub path: &'a str,
    pub query: Option<&'a str>,
    /// The name of the route, from a closed set.
    pub route: &'a str,
    pub status: u16,
    /// Bytes of the request's body that were read.
    pub bytes_in: u64,
    /// Bytes of the answer's body that were sent.
    pub bytes_out: u64,
    /// From the request's head to the end of the answer.
    pub duration: Duration,
    pub principal: Option<&'a str>,
    /// The header as it came, whatever its encoding.
    pub user_agent: Option<&'a [u8]>,
    /// The code of the error that was answered.
    pub error: Option<&'a str>,
}

/// Writes records. Clones write into the same sink.
#[derive(Debug, Clone)]
pub struct AccessLog {
    sink: Option<Sink>,
    format: LogFormat,
}

impl AccessLog {
    pub fn new(sink: Sink, format: LogFormat) -> Self {
        Self { sink: Some(sink), format }
    }

    /// A log that writes nothing.
    pub fn off() -> Self {
        Self { sink: None, format: LogFormat::Text }
    }

    /// Writes one line, or counts it as dropped when the reader is too slow. Never waits.
    pub fn record(&self, record: &Record<'_>) {
        let Some(sink) = &self.sink else { return };
        LINE.with_borrow_mut(|line| {
            line.clear();
            match self.format {
                LogFormat::Json => json(line, record),
                LogFormat::Text => text(line, record),
            }
            sink.put(line);
        });
    }
}

fn json(line: &mut Vec<u8>, record: &Record<'_>) {
    line.extend_from_slice(b"{\"timestamp\":\"");
    line.extend_from_slice(&stamp::rfc3339_ms(record.time_us));
    line.extend_from_slice(b"\",\"level\":\"INFO\",\"target\":\"access\",\"correlation_id\":\"");
    escaped(line, record.correlation.as_bytes(), WORD_BYTES_MAX);
    line.extend_from_slice(b"\",\"registry\":\"");
    escaped(line, record.registry.as_bytes(), WORD_BYTES_MAX);
    line.extend_from_slice(b"\",\"client\":\"");
    address(line, record.client);
    line.extend_from_slice(b"\",\"method\":\"");
    escaped(line, record.method.as_bytes(), WORD_BYTES_MAX);
    line.extend_from_slice(b"\",\"path\":\"");
    target(line, record);
    line.extend_from_slice(b"\",\"route\":\"");
    escaped(line, record.route.as_bytes(), WORD_BYTES_MAX);
    line.extend_from_slice(b"\",\"status\":");
    number(line, record.status.into());
    line.extend_from_slice(b",\"bytes_in\":");
    number(line, record.bytes_in);
    line.extend_from_slice(b",\"bytes_out\":");
    number(line, record.bytes_out);
    line.extend_from_slice(b",\"duration_us\":");
    number(line, micros(record.duration));
    let optional: [(&[u8], Option<&[u8]>); 3] = [
        (b",\"principal\":\"", record.principal.map(str::as_bytes)),
        (b",\"user_agent\":\"", record.user_agent),
        (b",\"error\":\"", record.error.map(str::as_bytes)),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            line.extend_from_slice(key);
            escaped(line, value, WORD_BYTES_MAX);
            line.push(b'"');
        }
    }
    line.extend_from_slice(b"}\n");
}

/// The same fields for people. Strings that a client chose are quoted and escaped, so that no line can be forged.
fn text(line: &mut Vec<u8>, record: &Record<'_>) {
    line.extend_from_slice(&stamp::rfc3339_ms(record.time_us));
    line.extend_from_slice(b"  INFO access: ");
    number(line, record.status.into());
    line.push(b' ');
    escaped(line, record.method.as_bytes(), WORD_BYTES_MAX);
    line.extend_from_slice(b" \"");
    target(line, record);
    line.extend_from_slice(b"\" client=");
    address(line, record.client);
    line.extend_from_slice(b" registry=");
    escaped(line, record.registry.as_bytes(), WORD_BYTES_MAX);
    line.extend_from_slice(b" route=");
    escaped(line, record.route.as_bytes(), WORD_BYTES_MAX);
    line.extend_from_slice(b" in=");
    number(line, record.bytes_in);
    line.extend_from_slice(b" out=");
    number(line, record.bytes_out);
    line.extend_from_slice(b" us=");
    number(line, micros(record.duration));
    line.extend_from_slice(b" id=");
    escaped(line, record.correlation.as_bytes(), WORD_BYTES_MAX);
    let optional: [(&[u8], Option<&[u8]>); 3] = [
        (b" principal=\"", record.principal.map(str::as_bytes)),
        (b" agent=\"", record.user_agent),
        (b" error=\"", record.error.map(str::as_bytes)),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            line.extend_from_slice(key);
            escaped(line, value, WORD_BYTES_MAX);
            line.push(b'"');
        }
    }
    line.push(b'\n');
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn target(line: &mut Vec<u8>, record: &Record<'_>) {
    escaped(line, record.path.as_bytes(), TARGET_BYTES_MAX);
    let Some(query) = record.query.filter(|query| !query.is_empty()) else { return };
    let query = query.as_bytes();
    let shown = &query[..query.len().min(TARGET_BYTES_MAX)];
    let mut separator = b'?';
    for pair in shown.split(|b| *b == b'&') {
        line.push(separator);
        separator = b'&';
        let end = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(end);
        let plain = PLAIN_PARAMETERS.iter().any(|known| known.as_bytes() == name);
        escaped(line, name, WORD_BYTES_MAX);
        if plain {
            escaped(line, value, TARGET_BYTES_MAX);
        } else if !value.is_empty() {
            line.extend_from_slice(b"=***");
        }
    }
}

fn address(line: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            for (place, octet) in v4.octets().into_iter().enumerate() {
                if place > 0 {
                    line.push(b'.');
                }
                number(line, octet.into());
            }
        }
        // A vector takes whatever is written.
        IpAddr::V6(v6) => drop(write!(line, "{v6}")),
    }
}

fn number(line: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[start..]);
}

/// The inside of a JSON string (RFC 8259, 7). What is not UTF-8 is read as Latin-1; what is cut off ends in `...`.
fn escaped(line: &mut Vec<u8>, value: &[u8], bytes_max: usize) {
    let whole = value.len() <= bytes_max;
    let value = &value[..value.len().min(bytes_max)];
    if value.iter().all(|b| is_plain(*b)) {
        line.extend_from_slice(value);
    } else {
        let end = if whole { value.len() } else { character_boundary(value) };
        match std::str::from_utf8(&value[..end]) {
            Ok(text) => text.chars().for_each(|c| character(line, c)),
            Err(_) => value.iter().for_each(|b| character(line, char::from(*b))),
        }
    }
    if !whole {
        line.extend_from_slice(b"...");
    }
}

fn is_plain(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\'
}

fn character(line: &mut Vec<u8>, c: char) {
    match c {
        '"' | '\\' => line.extend_from_slice(&[b'\\', u8::try_from(c).unwrap_or(b'?')]),
        // Controls, also those of terminals beyond ASCII.
        c if c.is_control() => {
            let code = u32::from(c);
            line.extend_from_slice(b"\\u00");
            for nibble in [code >> 4 & 0xf, code & 0xf] {
                line.push(b"0123456789abcdef"[nibble as usize]);
            }
        }
        c => line.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// The end of the last whole character of a text that was cut.
fn character_boundary(value: &[u8]) -> usize {
    let back = value.iter().rev().take(3).position(|b| *b & 0xc0 != 0x80);
    match back {
        Some(back) => {
            let start = value.len() - 1 - back;
            let complete = std::str::from_utf8(&value[start..]).is_ok();
            if complete { value.len() } else { start }
        }
        None => value.len(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use prometheus_client::metrics::counter::Counter;
    use serde_json::Value;

    use super::*;
    use crate::log::sink;

    fn record<'a>() -> Record<'a> {
        Record {
            time_us: 1_764_000_000_123_456,
            correlation: "0123456789abcdef",
            registry: "home",
            client: IpAddr::from([192, 0, 2, 1]),
            method: "GET",
            path: "/v2/library/alpine/manifests/latest",
            query: None,
            route: "manifest",
            status: 200,
            bytes_in: 0,
            bytes_out: 1024,
            duration: Duration::from_micros(345),
            principal: Some("admin"),
            user_agent: Some(b"docker/29.0"),
            error: None,
        }
    }

    fn parsed(record: &Record<'_>) -> Value {
        let mut line = Vec::new();
        json(&mut line, record);
        assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
        serde_json::from_slice(&line).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&line)))
    }

    #[test]
    fn a_line_of_json_has_every_field() {
        let expected = serde_json::json!({
            "timestamp": "2025-11-24T16:00:00.123Z", "level": "INFO", "target": "access",
            "correlation_id": "0123456789abcdef", "registry": "home", "client": "192.0.2.1", "method": "GET",
            "path": "/v2/library/alpine/manifests/latest", "route": "manifest", "status": 200, "bytes_in": 0,
            "bytes_out": 1024, "duration_us": 345, "principal": "admin", "user_agent": "docker/29.0",
        });
        assert_eq!(parsed(&record()), expected);
        let failed = Record { principal: None, user_agent: None, error: Some("DENIED"), ..record() };
        assert_eq!(parsed(&failed)["error"], "DENIED");
        assert_eq!(parsed(&failed).get("principal"), None);
    }

    #[test]
    fn a_line_of_text_has_every_field() {
        let mut line = Vec::new();
        text(&mut line, &Record { client: "2001:db8::1".parse().expect("address"), ..record() });
        let expected = "2025-11-24T16:00:00.123Z  INFO access: 200 GET \"/v2/library/alpine/manifests/latest\" \
                        client=2001:db8::1 registry=home route=manifest in=0 out=1024 us=345 id=0123456789abcdef \
                        principal=\"admin\" agent=\"docker/29.0\"\n";
        assert_eq!(String::from_utf8(line), Ok(expected.to_owned()));
    }

    #[test]
    fn whatever_a_client_sends_stays_one_json_string() {
        let every: Vec<u8> = (0..=255).collect();
        let long = "ä".repeat(WORD_BYTES_MAX);
        let cases: [(&[u8], String); 7] = [
            (b"a\"b\\c\nd\te\0f\x7f", "a\"b\\c\nd\te\0f\x7f".into()),
            ("grüße \u{1f600}".as_bytes(), "grüße \u{1f600}".into()),
            (b"\xff\xfe", "\u{ff}\u{fe}".into()),
            (&every, every.iter().map(|b| char::from(*b)).collect()),
            (b"\"},{\"", "\"},{\"".into()),
            (long.as_bytes(), format!("{}...", "ä".repeat(WORD_BYTES_MAX / 2))),
            (
                &long.as_bytes()[1..],
                format!(
                    "{}...",
                    &long.as_bytes()[1..=WORD_BYTES_MAX].iter().map(|b| char::from(*b)).collect::<String>()
                ),
            ),
        ];
        for (agent, expected) in cases {
            let line = parsed(&Record { user_agent: Some(agent), ..record() });
            assert_eq!(line["user_agent"], expected, "{agent:?}");
        }
        let odd = format!("x{long}");
        let line = parsed(&Record { principal: Some(&odd), ..record() });
        assert_eq!(line["principal"], format!("x{}...", "ä".repeat(WORD_BYTES_MAX / 2 - 1)));
    }

    #[test]
    fn secrets_of_a_query_are_not_logged() {
        let cases = [
            ("n=10&last=a", "?n=10&last=a"),
            ("scope=repository:a:pull&password=hunter2", "?scope=repository:a:pull&password=***"),
            ("refresh_token=x", "?refresh_token=***"),
            ("sig=abc&digest=sha256:00", "?sig=***&digest=sha256:00"),
            ("flag&=x", "?flag&=***"),
            ("", ""),
        ];
        for (query, shown) in cases {
            let line = parsed(&Record { path: "/p", query: Some(query), ..record() });
            assert_eq!(line["path"], format!("/p{shown}"), "{query}");
        }
    }

    #[test]
    fn records_reach_the_sink() {
        let (sender, receiver) = mpsc::sync_channel(100);
        let sink = Sink::start("test-access", sink::Pipe(sender), Counter::default()).expect("thread");
        let log = AccessLog::new(sink.clone(), LogFormat::Json);
        log.record(&record());
        log.record(&record());
        AccessLog::off().record(&record());
        sink.close(Duration::from_secs(60));
        let written: Vec<u8> = receiver.try_iter().flatten().collect();
        assert_eq!(written.iter().filter(|b| **b == b'\n').count(), 2);
    }
}
