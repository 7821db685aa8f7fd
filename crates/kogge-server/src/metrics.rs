//! Metrics, in OpenMetrics text. Labels are closed sets; no label ever carries a repository's name.
//!
//! Counting a request is two or three atomic additions: every label set has its handle in an array that is filled the
//! first time the set occurs.

mod audit;
mod process;
mod rate_limits;
mod requests;

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use audit::AuditMetrics;
pub use rate_limits::RateLimitMetrics;
pub use requests::{InFlight, RequestMetrics};

/// The `Content-Type` of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Bytes that the text usually has.
const TEXT_BYTES_EXPECTED: usize = 16 * 1024;

/// Everything that is counted. Clones count into the same place.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: std::sync::Arc<Registry>,
    pub requests: RequestMetrics,
    pub connections: ConnectionMetrics,
    pub registry_work: RegistryMetrics,
    pub rate_limits: RateLimitMetrics,
    /// Lines of the logs that were dropped because their reader was too slow.
    pub log_lines_dropped: Counter,
}

/// The connections of the listeners.
#[derive(Debug, Clone, Default)]
pub struct ConnectionMetrics {
    pub open: Gauge,
    pub accepted: Counter,
    /// Closed at once because their address had as many as it may have.
    pub rejected: Counter,
    /// Times that accepting stopped because there were as many connections as there may be.
    pub full: Counter,
    /// Times that accepting failed, for want of open files or memory.
    pub accept_failures: Counter,
    pub tls_failures: Counter,
    /// Cut: no first byte or no TLS handshake in time.
    pub cut_handshake: Counter,
    /// Cut: the head of a request did not end in time.
    pub cut_head: Counter,
    /// Cut: an answer was not taken in time.
    pub cut_answer: Counter,
}

/// What the registry does with content and logins.
#[derive(Debug, Clone, Default)]
pub struct RegistryMetrics {
    pub login_failures: Counter,
    pub manifest_pushes: Counter,
    pub blob_pushes: Counter,
    pub manifest_pulls: Counter,
    pub blob_pulls: Counter,
    /// Uploads whose final digest named another algorithm than the one that was computed, so that their bytes were
    /// read again.
    pub upload_rereads: Counter,
    pub gc_runs: Counter,
    pub gc_blobs_deleted: Counter,
    pub gc_bytes_freed: Counter,
    /// Blobs and links that wait for their grace to end.
    pub gc_candidates: Gauge,
    pub uploads_expired: Counter,
    pub scrub_bytes: Counter,
    pub scrub_blobs_corrupt: Counter,
    pub audit: AuditMetrics,
    /// The last sequence of the journal.
    pub journal_sequence: Gauge,
    journal_lag: Family<ConsumerLabel, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConsumerLabel {
    consumer: &'static str,
}

impl RegistryMetrics {
    /// How many rows of the journal a consumer has not seen. Keep the handle: finding it takes a look-up.
    pub fn journal_lag(&self, consumer: &'static str) -> Gauge {
        self.journal_lag.get_or_create(&ConsumerLabel { consumer }).clone()
    }
}

impl Metrics {
    /// Metrics of a server whose routes have these names, in the order of their indexes.
    pub fn new(routes: &'static [&'static str], version: &'static str) -> Self {
        let mut root = Registry::default();
        root.register_collector(Box::new(process::Process));
        let registry = root.sub_registry_with_prefix("kogge");
        let requests = RequestMetrics::register(registry, routes);
        let connections = ConnectionMetrics::default();
        connections.register(registry);
        let registry_work = RegistryMetrics::default();
        registry_work.register(registry);
        let rate_limits = RateLimitMetrics::default();
        rate_limits.register(registry);
        let log_lines_dropped = Counter::default();
        registry.register(
            "log_lines_dropped",
            "Log lines dropped because their reader was too slow",
            log_lines_dropped.clone(),
        );
        registry.register("build", "The running program", Info::new(vec![("version", version)]));
        Self { registry: root.into(), requests, connections, registry_work, rate_limits, log_lines_dropped }
    }

    /// Everything in OpenMetrics text, of type [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(TEXT_BYTES_EXPECTED);
        text::encode(&mut out, &self.registry).expect("a string takes whatever is written");
        out
    }
}

impl ConnectionMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("connections_open", "Connections that are open", self.open.clone());
        let counters: [(&str, &str, &Counter<u64, AtomicU64>); 8] = [
            ("connections", "Connections accepted", &self.accepted),
            ("connections_rejected", "Connections closed at once: too many of one address", &self.rejected),
            ("connections_full", "Times that accepting stopped: too many connections", &self.full),
            ("accept_failures", "Times that accepting failed", &self.accept_failures),
            ("tls_failures", "TLS handshakes that failed", &self.tls_failures),
            ("connections_cut_handshake", "Connections cut: no first byte or handshake in time", &self.cut_handshake),
            ("connections_cut_head", "Connections cut: a request's head did not end in time", &self.cut_head),
            ("connections_cut_answer", "Connections cut: an answer was not taken in time", &self.cut_answer),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
    }
}

impl RegistryMetrics {
    fn register(&self, registry: &mut Registry) {
        let counters: [(&str, &str, &Counter<u64, AtomicU64>); 12] = [
            ("login_failures", "Logins refused", &self.login_failures),
            ("manifest_pushes", "Manifests pushed", &self.manifest_pushes),
            ("blob_pushes", "Blobs pushed", &self.blob_pushes),
            ("manifest_pulls", "Manifests pulled", &self.manifest_pulls),
            ("blob_pulls", "Blobs pulled", &self.blob_pulls),
            ("upload_rereads", "Uploads read again for another digest algorithm", &self.upload_rereads),
            ("gc_runs", "Runs of the garbage collector", &self.gc_runs),
            ("gc_blobs_deleted", "Blobs deleted by the garbage collector", &self.gc_blobs_deleted),
            ("gc_freed_bytes", "Bytes freed by the garbage collector", &self.gc_bytes_freed),
            ("uploads_expired", "Upload sessions removed for lying idle", &self.uploads_expired),
            ("scrub_bytes", "Bytes hashed again by the scrubber", &self.scrub_bytes),
            ("scrub_blobs_corrupt", "Blobs that the scrubber found corrupt", &self.scrub_blobs_corrupt),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register("gc_candidates", "Blobs and links that wait for their grace", self.gc_candidates.clone());
        self.audit.register(registry);
        registry.register("journal_sequence", "Last sequence of the journal", self.journal_sequence.clone());
        registry.register("journal_lag_rows", "Journal rows not seen by a consumer", self.journal_lag.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;

    use super::*;

    fn metrics() -> Metrics {
        Metrics::new(&["manifest", "blob"], "1.2.3")
    }

    #[test]
    fn requests_are_counted_by_route_method_and_class() {
        let metrics = metrics();
        for _ in 0..3 {
            metrics.requests.record(0, &Method::GET, 200, Duration::from_millis(2), 0, 512);
        }
        metrics.requests.record(1, &Method::PUT, 404, Duration::from_millis(2), 7, 0);
        metrics.requests.record(99, &Method::TRACE, 99, Duration::from_millis(2), 0, 0);
        let out = metrics.render();
        for line in [
            r#"kogge_http_requests_total{route="manifest",method="GET",class="2xx"} 3"#,
            r#"kogge_http_requests_total{route="blob",method="PUT",class="4xx"} 1"#,
            r#"kogge_http_requests_total{route="other",method="other",class="other"} 1"#,
            r#"kogge_http_response_bytes_total{route="manifest"} 1536"#,
            r#"kogge_http_request_bytes_total{route="blob"} 7"#,
            r#"kogge_http_request_duration_seconds_count{route="manifest"} 3"#,
        ] {
            assert!(out.lines().any(|found| found == line), "{line} in\n{out}");
        }
    }

    #[test]
    fn running_requests_are_counted_while_they_run() {
        let metrics = metrics();
        let running = metrics.requests.start();
        assert!(metrics.render().contains("kogge_http_requests_in_flight 1\n"));
        drop(running);
        assert!(metrics.render().contains("kogge_http_requests_in_flight 0\n"));
    }

    #[test]
    fn handles_count_into_the_text() {
        let metrics = metrics();
        metrics.connections.open.inc();
        metrics.registry_work.journal_lag("gc").set(5);
        metrics.registry_work.clone().journal_lag("gc").set(6);
        metrics.log_lines_dropped.inc_by(2);
        let out = metrics.render();
        assert!(out.contains("kogge_connections_open 1\n"), "{out}");
        assert!(out.contains("kogge_journal_lag_rows{consumer=\"gc\"} 6\n"), "{out}");
        assert!(out.contains("kogge_log_lines_dropped_total 2\n"), "{out}");
        assert!(out.contains("kogge_build_info{version=\"1.2.3\"} 1\n"), "{out}");
        assert!(out.ends_with("# EOF\n"), "{out}");
    }

    #[test]
    fn the_process_is_measured() {
        let out = metrics().render();
        let value = |name: &str| {
            let line = out.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in\n{out}"));
            line.rsplit(' ').next().and_then(|text| text.parse::<f64>().ok()).expect("a number")
        };
        assert!(value("process_resident_memory_bytes ") > 1e6);
        assert!(value("process_open_fds ") >= 3.0);
        assert!(value("process_cpu_seconds_total ") >= 0.0);
    }
}
