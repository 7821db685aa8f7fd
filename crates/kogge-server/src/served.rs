//! What is known of a request when it has been answered, for metrics, the access log and the audit.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::HeaderValue;
use http::request::Parts;
use kogge_core::audit::Recorder;
use kogge_core::auth::Caller;
use kogge_meta::Registry;

use crate::access_log::{AccessLog, Record};
use crate::audit;
use crate::metrics::RequestMetrics;
use crate::route::{Operation, Route};

/// What is known of a request when it has been answered: for the log.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    pub(crate) registry: Option<Arc<Registry>>,
    pub(crate) caller: Option<Caller>,
    pub(crate) error: Option<&'static str>,
    /// Whose login failed, when it is somebody's name.
    pub(crate) account: String,
    /// Whether somebody logged in at the authority, or tried to.
    pub(crate) login: bool,
    /// The id of the token that was made.
    pub(crate) jwt_id: String,
    /// Why the request was refused.
    pub(crate) refused: Option<audit::Reason>,
}

/// A request that has its answer.
pub(crate) struct Served {
    pub(crate) parts: Parts,
    pub(crate) client: IpAddr,
    pub(crate) correlation: String,
    pub(crate) route: Option<Route>,
    pub(crate) operation: Operation,
    pub(crate) started_us: i64,
    pub(crate) started: Instant,
    pub(crate) taken: Arc<AtomicU64>,
    pub(crate) answered: Answered,
    /// What the answer names, for the audit.
    pub(crate) named: audit::Named,
}

impl Served {
    /// Counts, logs and tells of the request, when its answer has been sent.
    pub(crate) fn record(
        &self,
        log: &AccessLog,
        metrics: &RequestMetrics,
        audit: &Recorder,
        status: u16,
        bytes_out: u64,
    ) {
        let (bytes_in, duration) = (self.taken.load(Ordering::Relaxed), self.started.elapsed());
        metrics.record(self.operation as usize, &self.parts.method, status, duration, bytes_in, bytes_out);
        log.record(&Record {
            time_us: self.started_us,
            correlation: &self.correlation,
            registry: self.answered.registry.as_ref().map_or("", |registry| registry.name.as_str()),
            client: self.client,
            method: self.parts.method.as_str(),
            path: self.parts.uri.path(),
            query: self.parts.uri.query(),
            route: self.operation.name(),
            status,
            bytes_in,
            bytes_out,
            duration,
            principal: self.answered.caller.as_ref().map(Caller::name).filter(|name| !name.is_empty()),
            user_agent: self.parts.headers.get(http::header::USER_AGENT).map(HeaderValue::as_bytes),
            error: self.answered.error,
        });
        if audit.is_on() {
            self.tell(audit, status, bytes_in, bytes_out, duration);
        }
    }

    fn tell(&self, recorder: &Recorder, status: u16, bytes_in: u64, bytes_out: u64, duration: Duration) {
        let answered = &self.answered;
        let told = audit::Told {
            parts: &self.parts,
            route: self.route.as_ref(),
            operation: self.operation,
            time_us: self.started_us,
            duration,
            correlation: &self.correlation,
            client: self.client,
            registry: answered.registry.as_ref().map_or("", |registry| registry.name.as_str()),
            identity: answered.caller.as_ref().map_or(answered.account.as_str(), Caller::name),
            login: answered.login,
            jwt_id: &answered.jwt_id,
            status,
            refused: answered.refused,
            headers: &self.named,
            bytes_in,
            bytes_out,
        };
        audit::tell(recorder, &told);
    }
}
