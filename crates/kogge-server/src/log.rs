//! Ordinary logs: `tracing` events as lines of text or JSON on standard error, in the form of the access log.

pub mod sink;
pub(crate) mod stamp;

use std::fmt;

use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};
use crate::trace::Trace;
use kogge_types::{Clock, SystemClock};
pub use sink::Sink;

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the filter of the log is malformed: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("logs are set up already")]
    Twice,
}

/// Sends the process's events to `sink`, and its spans to `trace` when that is on.
///
/// # Errors
/// A malformed filter, or a second call.
pub fn init(config: &Log, sink: &Sink, trace: &Trace) -> Result<(), LogError> {
    subscriber(config, sink, trace)?.try_init().map_err(|_| LogError::Twice)
}

fn subscriber(config: &Log, sink: &Sink, trace: &Trace) -> Result<impl Subscriber + Send + Sync + use<>, LogError> {
    let filter: Targets = config.filter.parse()?;
    let lines = tracing_subscriber::fmt::layer().with_writer(sink.clone()).with_timer(Now);
    let lines = match config.format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    Ok(tracing_subscriber::registry().with(trace.layer()).with(lines.with_filter(filter)))
}

/// Writes the time of an event as the access log does.
struct Now;

impl FormatTime for Now {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let stamp = stamp::rfc3339_ms(SystemClock.now_us());
        writer.write_str(std::str::from_utf8(&stamp).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::metrics::counter::Counter;

    use super::*;
    use crate::config::AccessTarget;

    /// What is logged by a program that says one thing at each of three levels.
    fn logged(format: LogFormat, filter: &str) -> Vec<String> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(100);
        let sink = Sink::start("test-log", sink::Pipe(sender), Counter::default()).expect("thread");
        let config = Log { format, filter: filter.to_owned(), access: AccessTarget::Off };
        let subscriber = subscriber(&config, &sink, &Trace::default()).expect("a subscriber");
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!("small");
            tracing::info!(count = 3, "middle");
            tracing::error!(target: "elsewhere", path = "a\"b\n", "large");
        });
        sink.close(Duration::from_secs(60));
        let text: Vec<u8> = receiver.try_iter().flatten().collect();
        String::from_utf8(text).expect("text").lines().map(str::to_owned).collect()
    }

    #[test]
    fn events_are_lines_of_json_with_the_keys_of_the_access_log() {
        let lines = logged(LogFormat::Json, "info");
        assert_eq!(lines.len(), 2, "{lines:?}");
        let event: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
        assert_eq!(
            (&event["level"], &event["message"], &event["count"]),
            (&"INFO".into(), &"middle".into(), &3.into())
        );
        assert!(event["timestamp"].as_str().is_some_and(|time| time.len() == 24 && time.ends_with('Z')), "{event}");
        let event: serde_json::Value = serde_json::from_str(&lines[1]).expect("JSON");
        assert_eq!((&event["target"], &event["path"]), (&"elsewhere".into(), &"a\"b\n".into()));
    }

    #[test]
    fn the_filter_picks_by_level_and_target() {
        assert_eq!(logged(LogFormat::Text, "debug").len(), 3);
        assert_eq!(logged(LogFormat::Text, "off").len(), 0);
        let lines = logged(LogFormat::Text, "warn,elsewhere=off");
        assert_eq!(lines, Vec::<String>::new());
        assert!(logged(LogFormat::Text, "info")[0].contains("INFO"), "{lines:?}");
    }
}
