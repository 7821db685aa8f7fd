//! Requests, by route, method and class of status.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "other"];
const CLASSES: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "other"];
/// Upper bounds of the duration's buckets, in seconds: a cached manifest to a large layer.
const DURATION_BUCKETS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0, 600.0];
/// The route of a request whose route has no name.
const OTHER: &str = "other";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

/// Requests, by route, method and class of status. Clones count into the same place.
#[derive(Debug, Clone)]
pub struct RequestMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    routes: &'static [&'static str],
    in_flight: Gauge,
    total: Family<RequestLabels, Counter>,
    /// One cell per route, method and class; filled when the combination first occurs.
    cells: Box<[OnceLock<Counter>]>,
    /// One per route, the unnamed last.
    of_route: Box<[RouteHandles]>,
}

#[derive(Debug)]
struct RouteHandles {
    duration: Histogram,
    bytes_in: Counter,
    bytes_out: Counter,
}

/// A request that runs; dropping it ends it.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl RequestMetrics {
    pub(super) fn register(registry: &mut Registry, routes: &'static [&'static str]) -> Self {
        let total = Family::<RequestLabels, Counter>::default();
        let duration = Family::<RouteLabel, Histogram>::new_with_constructor(|| Histogram::new(DURATION_BUCKETS));
        let (bytes_in, bytes_out) =
            (Family::<RouteLabel, Counter>::default(), Family::<RouteLabel, Counter>::default());
        let in_flight = Gauge::default();
        let help = "Time from a request's head to the end of its answer";
        registry.register("http_requests", "Requests answered", total.clone());
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, duration.clone());
        registry.register("http_request_bytes", "Bytes of request bodies", bytes_in.clone());
        registry.register("http_response_bytes", "Bytes of response bodies", bytes_out.clone());
        registry.register("http_requests_in_flight", "Requests that run", in_flight.clone());
        let handles = |route: &'static str| {
            let label = RouteLabel { route };
            RouteHandles {
                duration: duration.get_or_create(&label).clone(),
                bytes_in: bytes_in.get_or_create(&label).clone(),
                bytes_out: bytes_out.get_or_create(&label).clone(),
            }
        };
        let of_route: Box<[_]> = routes.iter().copied().chain([OTHER]).map(handles).collect();
        let cells = of_route.len() * METHODS.len() * CLASSES.len();
        let cells = std::iter::repeat_with(OnceLock::new).take(cells).collect();
        Self(Arc::new(Inner { routes, in_flight, total, cells, of_route }))
    }

    /// Counts a request as running until the result is dropped.
    pub fn start(&self) -> InFlight {
        self.0.in_flight.inc();
        InFlight(self.0.in_flight.clone())
    }

    /// Counts one request that was answered whole. `route` is an index into the names given at the start; any other
    /// counts as `other`.
    pub fn record(
        &self,
        route: usize,
        method: &Method,
        status: u16,
        duration: Duration,
        bytes_in: u64,
        bytes_out: u64,
    ) {
        let inner = &*self.0;
        let route = route.min(inner.routes.len());
        let (method, class) = (method_index(method), class_index(status));
        let cell = (route * METHODS.len() + method) * CLASSES.len() + class;
        let count = inner.cells[cell].get_or_init(|| {
            let route = inner.routes.get(route).copied().unwrap_or(OTHER);
            let labels = RequestLabels { route, method: METHODS[method], class: CLASSES[class] };
            inner.total.get_or_create(&labels).clone()
        });
        count.inc();
        let handles = &inner.of_route[route];
        handles.duration.observe(duration.as_secs_f64());
        if bytes_in > 0 {
            handles.bytes_in.inc_by(bytes_in);
        }
        if bytes_out > 0 {
            handles.bytes_out.inc_by(bytes_out);
        }
    }
}

fn method_index(method: &Method) -> usize {
    let name = method.as_str();
    METHODS.iter().position(|known| *known == name).unwrap_or(METHODS.len() - 1)
}

fn class_index(status: u16) -> usize {
    match status {
        200..600 => usize::from(status / 100 - 2),
        _ => CLASSES.len() - 1,
    }
}
