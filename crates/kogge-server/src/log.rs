//! Ordinary logs: `tracing` events as lines of text or JSON on standard error, in the form of the access log.

pub mod sink;
pub(crate) mod stamp;

use std::fmt;

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
    let filter: Targets = config.filter.parse()?;
    let lines = tracing_subscriber::fmt::layer().with_writer(sink.clone()).with_timer(Now);
    let lines = match config.format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry()
        .with(trace.layer())
        .with(lines.with_filter(filter))
        .try_init()
        .map_err(|_| LogError::Twice)
}

/// Writes the time of an event as the access log does.
struct Now;

impl FormatTime for Now {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let stamp = stamp::rfc3339_ms(SystemClock.now_us());
        writer.write_str(std::str::from_utf8(&stamp).map_err(|_| fmt::Error)?)
    }
}
