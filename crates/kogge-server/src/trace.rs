//! Traces of requests, sent to an OTLP collector when one is configured. Without one nothing is paid: no span is made.
//!
//! A caller's `traceparent` (W3C Trace Context) becomes the parent of the request's span, its decision to sample too.
//! Spans are gathered in memory and sent by a thread of their own with a blocking client: the asynchronous one has no
//! runtime in that thread and would send nothing.

use std::time::Duration;

use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::config;

/// The target of request spans; only these are traced, so that sending traces makes none.
const TARGET: &str = "kogge::request";

/// Why traces could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be set up: {0}")]
pub struct TraceError(#[from] opentelemetry_otlp::ExporterBuildError);

/// Traces, on or off. Clones send to the same place.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    provider: Option<SdkTracerProvider>,
}

impl Trace {
    /// Traces as configured.
    ///
    /// # Errors
    /// An endpoint that cannot be used. Whether the collector answers is not asked: it may come and go.
    pub fn open(config: &config::Trace, region: &str, version: &'static str) -> Result<Self, TraceError> {
        let Some(endpoint) = &config.otlp_endpoint else { return Ok(Self::default()) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .build()?;
        let attributes = [("service.version", version.to_owned()), ("kogge.region", region.to_owned())];
        let attributes = attributes.map(|(key, value)| opentelemetry::KeyValue::new(key, value));
        let resource = Resource::builder().with_service_name("kogge").with_attributes(attributes).build();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample_ratio)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .with_sampler(sampler)
            .build();
        Ok(Self { provider: Some(provider) })
    }

    /// The part of the process's subscriber that takes request spans.
    pub(crate) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    {
        let tracer = self.provider.as_ref()?.tracer("kogge");
        let spans = Targets::new().with_target(TARGET, LevelFilter::INFO);
        Some(tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_filter(spans))
    }

    /// The span of a request; none when traces are off. End it with [`finish`].
    pub fn request(&self, method: &http::Method, route: &'static str, headers: &HeaderMap) -> Span {
        if self.provider.is_none() {
            return Span::none();
        }
        let span = tracing::info_span!(
            target: TARGET,
            "request",
            otel.name = %format_args!("{method} {route}"),
            otel.kind = "server",
            http.request.method = method.as_str(),
            http.route = route,
            http.response.status_code = tracing::field::Empty,
            otel.status_code = tracing::field::Empty,
        );
        let parent = TraceContextPropagator::new().extract(&Headers(headers));
        if parent.span().span_context().is_valid() {
            // A span that is not sampled, or that nobody takes, has no parent to set.
            let _ = span.set_parent(parent);
        }
        span
    }

    /// Sends what was gathered, for at most `limit`. Blocks: call it outside the runtime's own threads.
    pub fn close(&self, limit: Duration) {
        if let Some(provider) = &self.provider
            && let Err(error) = provider.shutdown_with_timeout(limit)
        {
            tracing::warn!(%error, "the last traces may not have been sent");
        }
    }
}

/// Notes how a request was answered.
pub fn finish(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// A collector that takes one request and gives its head and body.
    fn collector() -> (String, mpsc::Receiver<(String, Vec<u8>)>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let (mut taken, mut buffer) = (Vec::new(), [0; 4096]);
            loop {
                let read = stream.read(&mut buffer).expect("bytes");
                taken.extend_from_slice(&buffer[..read]);
                let Some(end) = taken.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
                let head = String::from_utf8_lossy(&taken[..end]).to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
                if read == 0 || taken.len() >= end + 4 + length.unwrap_or(0) {
                    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
                    stream.write_all(answer.as_bytes()).expect("answered");
                    return sender.send((head, taken[end + 4..].to_vec())).expect("the test waits");
                }
            }
        });
        (endpoint, receiver)
    }

    #[test]
    fn a_request_reaches_the_collector_under_its_callers_trace() {
        let (endpoint, collected) = collector();
        let settings = config::Trace { otlp_endpoint: endpoint.parse().ok(), sample_ratio: 0.0 };
        let trace = Trace::open(&settings, "home", "1.2.3").expect("traces");
        let subscriber = tracing_subscriber::registry().with(trace.layer());
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static("traceparent"),
            http::HeaderValue::from_static(parent),
        )]);
        tracing::subscriber::with_default(subscriber, || {
            let span = trace.request(&http::Method::GET, "manifest", &headers);
            span.in_scope(|| tracing::info!("an event elsewhere"));
            finish(&span, 200);
        });
        trace.close(Duration::from_secs(30));
        let (head, body) = collected.recv_timeout(Duration::from_secs(30)).expect("a batch");
        assert!(head.starts_with("post /v1/traces"), "{head}");
        let holds = |needle: &[u8]| body.windows(needle.len()).any(|window| window == needle);
        assert!(holds(b"GET manifest"));
        assert!(holds(&[
            0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c
        ]));
        assert!(holds(&[0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]));
        assert!(holds(b"kogge.region"));
    }

    #[test]
    fn without_a_collector_no_span_is_made() {
        let settings = config::Trace { otlp_endpoint: None, sample_ratio: 1.0 };
        let trace = Trace::open(&settings, "home", "1.2.3").expect("traces");
        let span = trace.request(&http::Method::GET, "manifest", &HeaderMap::new());
        assert!(span.is_none());
        finish(&span, 500);
        trace.close(Duration::from_secs(1));
    }
}
