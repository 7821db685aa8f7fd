//! `[trace]`: where traces go.

use serde::{Deserialize, Serialize};

use super::host::{ExternalUrl, Scheme};
use super::problem::Problems;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawTrace {
    pub(super) otlp_endpoint: Option<String>,
    pub(super) sample_ratio: Option<f64>,
}

/// Where traces go.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trace {
    /// An OTLP collector that takes protobuf over plain HTTP: `http://localhost:4318`. Default none: no traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<ExternalUrl>,
    /// The part of the requests that begin a trace here, 0 to 1. A caller's own decision is kept. Default 1.
    pub sample_ratio: f64,
}

impl Trace {
    pub(super) fn check(raw: RawTrace, problems: &mut Problems) -> Self {
        let endpoint = raw.otlp_endpoint.and_then(|text| match text.trim().parse::<ExternalUrl>() {
            Ok(url) if url.scheme == Scheme::Http => Some(url),
            Ok(_) => {
                problems.add("trace.otlp-endpoint", "only http:// is spoken: run a collector beside the registry");
                None
            }
            Err(_) => {
                problems.add("trace.otlp-endpoint", format!("{text:?}: write http://HOST:PORT, with no path"));
                None
            }
        });
        let sample_ratio = raw.sample_ratio.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&sample_ratio) {
            problems.add("trace.sample-ratio", "must be from 0 to 1");
        }
        Self { otlp_endpoint: endpoint, sample_ratio }
    }
}
