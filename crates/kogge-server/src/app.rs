//! The node: every request passes through here once, in this order: where it came from, which registry it names, what
//! it asks, who asks, whether they may; then its handler.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::FutureExt;
use http::header::{CONTENT_LENGTH, CONTENT_SECURITY_POLICY, EXPECT, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use kogge_core::auth::{Caller, LoginError};
use kogge_core::{Core, Error, Target};
use kogge_meta::Registry;
use kogge_types::{Action, Code, RepositoryName, Scope, clock};

use crate::access_log::{AccessLog, Record};
use crate::body::{Body, Upload};
use crate::config::Config;
use crate::credential::Presented;
use crate::error::{Challenge, Refusal};
use crate::forwarded::{self, Edge, Origin};
use crate::hosts::Hosts;
use crate::listen::{Handler, Peer, RequestBody};
use crate::metrics::{InFlight, Metrics, RequestMetrics};
use crate::route::{self, Operation, Route};
use crate::trace::{self, Trace};
use crate::{acr, oci, signals, token};

const CORRELATION: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// A node's front: what handlers need.
#[derive(Debug)]
pub struct App {
    pub(crate) core: Arc<Core>,
    pub(crate) metrics: Metrics,
    hosts: Hosts,
    edge: Edge,
    access_log: AccessLog,
    trace: Trace,
    /// Drawn at start; with the count it makes correlation ids that no other process makes.
    correlation_prefix: u64,
    requests: AtomicU64,
}

/// A request that was let in.
pub(crate) struct Admitted<'a> {
    pub(crate) app: &'a App,
    pub(crate) parts: &'a Parts,
    pub(crate) origin: &'a Origin,
    pub(crate) registry: Arc<Registry>,
    pub(crate) caller: Caller,
}

/// What is known of a request when it has been answered: for the log.
#[derive(Debug, Default)]
struct Answered {
    registry: Option<Arc<Registry>>,
    caller: Option<Caller>,
    error: Option<&'static str>,
}

/// A request that has its answer.
struct Served {
    parts: Parts,
    client: IpAddr,
    correlation: String,
    operation: Operation,
    started_us: i64,
    started: Instant,
    taken: Arc<AtomicU64>,
    answered: Answered,
}

impl Served {
    fn record(&self, log: &AccessLog, metrics: &RequestMetrics, status: u16, bytes_out: u64) {
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
    }
}

impl App {
    pub fn new(
        core: Arc<Core>,
        config: &Config,
        metrics: Metrics,
        access_log: AccessLog,
        trace: Trace,
        seed: [u8; 8],
    ) -> Self {
        Self {
            core,
            metrics,
            hosts: Hosts::from(config),
            edge: Edge::from(config),
            access_log,
            trace,
            correlation_prefix: u64::from_be_bytes(seed),
            requests: AtomicU64::new(0),
        }
    }

    fn correlation_id(&self) -> String {
        let count = self.requests.fetch_add(1, Ordering::Relaxed);
        let prefix = self.correlation_prefix;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            prefix >> 32,
            (prefix >> 16) & 0xffff,
            prefix & 0xffff,
            (count >> 48) & 0xffff,
            count & 0xffff_ffff_ffff
        )
    }

    /// Answers one request.
    async fn serve(&self, peer: Peer, request: Request<RequestBody>) -> Response<Body> {
        let (started_us, started) = (self.core.now_us(), Instant::now());
        let in_flight = self.metrics.requests.start();
        let (parts, body) = request.into_parts();
        let taken = Arc::new(AtomicU64::new(0));
        let mut upload = Upload::new(body, Arc::clone(&taken));
        let correlation = self.correlation_id();
        let route = Route::parse(parts.uri.path());
        let operation = match &route {
            Ok(route) => route.operation(&parts.method),
            Err(error) => Err(error.clone()),
        };
        let known = operation.as_ref().copied().unwrap_or(Operation::Unknown);
        let span = self.trace.request(&parts.method, known.name(), &parts.headers);
        let origin = forwarded::origin(&peer, &parts.uri, &parts.headers, &self.edge);
        let mut answered = Answered::default();
        let outcome = match (&origin, route, operation) {
            (Err(error), ..) => Err(Refusal::new(Code::NameInvalid, error.to_string())),
            (Ok(_), Err(error), _) | (Ok(_), Ok(_), Err(error)) => Err(error.into()),
            (Ok(origin), Ok(route), Ok(operation)) => {
                let dispatched = self.dispatch(&parts, origin, &route, operation, &mut upload, &mut answered);
                // A panic ends its request, not the connection's other ones.
                let dispatched = AssertUnwindSafe(dispatched).catch_unwind().await;
                dispatched.unwrap_or_else(|_| Err(Refusal::of(Code::Internal)))
            }
        };
        let mut response = match outcome {
            Ok(response) => response,
            Err(refusal) => {
                // Who waits for leave to send a body must not be given it.
                if !parts.headers.contains_key(EXPECT) {
                    upload.drain().await;
                }
                self.note(&refusal, &correlation);
                answered.error = Some(refusal.code().info().word);
                refusal.respond(origin.as_ref().ok())
            }
        };
        stamp(response.headers_mut(), &correlation, parts.uri.path());
        if parts.method == Method::HEAD {
            without_body(&mut response);
        }
        trace::finish(&span, response.status().as_u16());
        let client = origin.as_ref().map_or(peer.addr.ip(), |origin| origin.client);
        let served = Served { parts, client, correlation, operation: known, started_us, started, taken, answered };
        self.settle(response, served, in_flight)
    }

    /// Counts and logs a request when its answer has been sent.
    fn settle(&self, mut response: Response<Body>, served: Served, in_flight: InFlight) -> Response<Body> {
        let (log, metrics) = (self.access_log.clone(), self.metrics.requests.clone());
        let status = response.status().as_u16();
        let finish = move |bytes_out: u64| {
            served.record(&log, &metrics, status, bytes_out);
            drop(in_flight);
        };
        match response.body().ready_bytes() {
            Some(bytes) => finish(bytes),
            None => response.body_mut().on_end(finish),
        }
        response
    }

    /// Logs a failure of ours, once, with what only the operator may see.
    fn note(&self, refusal: &Refusal, correlation: &str) {
        if let Refusal::Error(error) = refusal
            && error.code.info().status >= 500
        {
            let error = kogge_core::jobs::report(error);
            tracing::error!(correlation_id = correlation, error, "a request failed");
        }
    }

    async fn dispatch(
        &self,
        parts: &Parts,
        origin: &Origin,
        route: &Route,
        operation: Operation,
        upload: &mut Upload,
        answered: &mut Answered,
    ) -> Result<Response<Body>, Refusal> {
        match operation {
            Operation::Health => return Ok(signals::health()),
            Operation::Ready => return signals::ready(self).await,
            Operation::Metrics => return signals::metrics(self, parts, origin).await,
            _ => {}
        }
        let registry =
            self.hosts.registry(&self.core, origin.asked_host()).ok_or_else(|| Refusal::of(Code::HostUnknown))?;
        answered.registry = Some(Arc::clone(&registry));
        match operation {
            Operation::GetToken => return token::get(self, parts, origin, &registry).await,
            Operation::PostToken => return token::post(self, parts, origin, &registry, upload).await,
            Operation::Exchange => return token::exchange(self, origin, &registry, upload).await,
            _ => {}
        }
        let caller = self.admit(parts, origin, &registry, route, operation).await?;
        answered.caller = Some(caller.clone());
        let admitted = Admitted { app: self, parts, origin, registry, caller };
        match route {
            Route::AcrRepository(name) => acr::repository(&admitted, operation, name).await,
            Route::AcrManifests(name) => acr::manifests(&admitted, name).await,
            _ => oci::respond(&admitted, route, operation, upload).await,
        }
    }

    /// Who asks, when they may do what they ask.
    async fn admit(
        &self,
        parts: &Parts,
        origin: &Origin,
        registry: &Registry,
        route: &Route,
        operation: Operation,
    ) -> Result<Caller, Refusal> {
        let action = operation.action();
        let challenge = |insufficient| {
            let scope = action.map(|action| route::challenge_scope(action, route.repository()));
            let scopes = scope.into_iter().chain(mount_scope(operation, parts)).collect();
            Refusal::Challenge(Challenge { scopes, insufficient })
        };
        let caller = self.authenticate(parts, origin, registry, || challenge(false)).await?;
        let allowed = match action {
            // A challenge is what clients look for here; an anonymous token is enough of an answer.
            None => !caller.is_anonymous() || matches!(Presented::read(&parts.headers), Presented::Bearer(_)),
            Some(action) => self.core.permits_action(&caller, registry, action, route.repository()),
        };
        if allowed { Ok(caller) } else { Err(challenge(!matches!(Presented::read(&parts.headers), Presented::None))) }
    }

    /// Who asks. A credential that is refused is answered with `challenge`.
    pub(crate) async fn authenticate(
        &self,
        parts: &Parts,
        origin: &Origin,
        registry: &Registry,
        challenge: impl Fn() -> Refusal,
    ) -> Result<Caller, Refusal> {
        let presented = Presented::read(&parts.headers);
        let Some(credential) = presented.credential() else { return Err(challenge()) };
        match self.core.authenticate(registry, credential, origin.client).await? {
            Ok(caller) => Ok(caller),
            Err(refused) => {
                self.count_refusal(refused, origin, presented.account());
                match refused {
                    LoginError::Throttled { retry_after } => Err(Refusal::Throttled(retry_after)),
                    LoginError::Password | LoginError::Token => Err(challenge()),
                }
            }
        }
    }

    /// Counts and logs a credential that was refused.
    pub(crate) fn count_refusal(&self, refused: LoginError, origin: &Origin, account: &str) {
        self.metrics.registry_work.login_failures.inc();
        // What is nobody's name may be somebody's password, typed into the wrong field.
        let account = if self.core.has_user(account) { account } else { "" };
        tracing::info!(client = %origin.client, account, reason = %refused, "a login was refused");
    }
}

impl Admitted<'_> {
    pub(crate) fn target(&self, repository: &RepositoryName) -> Target {
        Target { registry: Arc::clone(&self.registry), repository: repository.clone() }
    }

    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The query's parameters, decoded.
    pub(crate) fn query(&self) -> impl Iterator<Item = (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)> {
        form_urlencoded::parse(self.parts.uri.query().unwrap_or_default().as_bytes())
    }

    /// The first value of a query's parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<std::borrow::Cow<'_, str>> {
        self.query().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Whether the caller may also pull from `source`, to mount from it into `target`. False when none of its roles
    /// allows it, which looks as if the source had nothing; refused when only its token does not.
    pub(crate) fn may_mount(&self, source: &RepositoryName, target: &RepositoryName) -> Result<bool, Refusal> {
        let core = &self.app.core;
        if core.permits_action(&self.caller, &self.registry, Action::Pull, Some(source)) {
            return Ok(true);
        }
        if !core.could(&self.caller, &self.registry, Action::Pull, source) {
            return Ok(false);
        }
        let scopes =
            vec![route::challenge_scope(Action::Push, Some(target)), Scope::repository(source.clone(), Action::Pull)];
        Err(Refusal::Challenge(Challenge { scopes, insufficient: true }))
    }
}

/// The scope of a mount's source: clients answer one challenge, so it must name all that they need.
fn mount_scope(operation: Operation, parts: &Parts) -> Option<Scope> {
    let query = parts.uri.query().filter(|_| operation == Operation::StartUpload)?;
    let (_, source) = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "from")?;
    Some(Scope::repository(source.parse().ok()?, Action::Pull))
}

/// Leaves the length of the body and takes the body away: HTTP/2 does not do that by itself.
fn without_body(response: &mut Response<Body>) {
    let may_have_one = !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if let Some(bytes) = response.body().ready_bytes().filter(|_| may_have_one) {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(HeaderValue::from(bytes));
    }
    *response.body_mut() = Body::Empty;
}

/// The headers that every answer has.
fn stamp(headers: &mut HeaderMap, correlation: &str, path: &str) {
    if let Ok(value) = HeaderValue::from_str(correlation) {
        headers.insert(CORRELATION, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    if route::is_distribution(path) {
        headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    }
}

/// The front as the listeners see it.
#[derive(Debug, Clone)]
pub struct Front(pub Arc<App>);

impl Handler for Front {
    type Body = Body;

    async fn call(&self, peer: Peer, request: Request<RequestBody>) -> Response<Body> {
        let app = Arc::clone(&self.0);
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return app.serve(peer, request).await;
        }
        // A write is carried to its end even when its client goes away.
        match tokio::spawn(async move { app.serve(peer, request).await }).await {
            Ok(response) => response,
            Err(error) => Refusal::Error(Error::internal(error)).respond(None),
        }
    }
}

/// The seed of correlation ids.
pub fn correlation_seed(entropy: &dyn kogge_types::Entropy) -> [u8; 8] {
    clock::random(entropy)
}
