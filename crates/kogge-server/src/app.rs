//! The node: every request passes through here once, in this order: where it came from, which registry it names, what
//! it asks, who asks, whether they may; then its handler.

use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::FutureExt;
use http::header::{CONTENT_LENGTH, CONTENT_SECURITY_POLICY, EXPECT, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use kogge_core::audit::DenialReason;
use kogge_core::auth::{Caller, LoginError};
use kogge_core::{Core, Error, Target};
use kogge_meta::Registry;
use kogge_types::{Action, Code, Reference, RepositoryName, Scope, clock};

use crate::access_log::AccessLog;
use crate::body::{Body, Upload};
use crate::config::Config;
use crate::credential::Presented;
use crate::error::{Challenge, Refusal};
use crate::forwarded::{self, Edge, Origin};
use crate::hosts::Hosts;
use crate::listen::{Handler, Peer, RequestBody};
use crate::metrics::{InFlight, Metrics};
use crate::rate_limit::{Category, Identity, RateLimits};
use crate::route::{self, Operation, Route};
use crate::served::{Answered, Served};
use crate::trace::{self, Trace};
use crate::{acr, audit, authority, management, oci, presence, signals, token};

const CORRELATION: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// Nodes that share the rate limits: this one.
const NODES: NonZeroU32 = NonZeroU32::MIN;

/// A node's front: what handlers need.
#[derive(Debug)]
pub struct App {
    pub(crate) core: Arc<Core>,
    /// What clients of the management API are told of the deployment.
    pub(crate) deployment: Arc<kogge_arm::Deployment>,
    pub(crate) metrics: Metrics,
    hosts: Hosts,
    edge: Edge,
    rate_limits: RateLimits,
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

/// A request as it came in.
#[derive(Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) origin: &'a Origin,
    pub(crate) correlation: &'a str,
}

impl App {
    pub fn new(
        core: Arc<Core>,
        deployment: kogge_arm::Deployment,
        config: &Config,
        metrics: Metrics,
        access_log: AccessLog,
        trace: Trace,
        seed: [u8; 8],
    ) -> Self {
        let rate_limits = RateLimits::new(&config.rate_limit, NODES, metrics.rate_limits.clone());
        Self {
            core,
            deployment: Arc::new(deployment),
            metrics,
            rate_limits,
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
        let outcome = match (&origin, &route, operation) {
            (Err(error), ..) => Err(Refusal::new(Code::NameInvalid, error.to_string())),
            (Ok(_), Err(error), _) => Err(error.clone().into()),
            // A login server has no authority, whatever the method.
            (Ok(origin), Ok(Route::Authority(_)), Err(error)) => {
                Err(self.require_management_host(origin).err().unwrap_or_else(|| error.into()))
            }
            (Ok(_), Ok(_), Err(error)) => Err(error.into()),
            (Ok(origin), Ok(route), Ok(operation)) => {
                let arrival = Arrival { parts: &parts, origin, correlation: &correlation };
                let dispatched = self.dispatch(arrival, route, operation, &mut upload, &mut answered);
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
                self.mark(&mut answered, &refusal, &parts);
                refusal.respond(origin.as_ref().ok())
            }
        };
        stamp(response.headers_mut(), &correlation, parts.uri.path());
        if parts.method == Method::HEAD {
            without_body(&mut response);
        }
        trace::finish(&span, response.status().as_u16());
        let client = origin.as_ref().map_or(peer.addr.ip(), |origin| origin.client);
        let (route, named) = (route.ok(), audit::Named::read(known, response.headers()));
        let served =
            Served { parts, client, correlation, route, operation: known, started_us, started, taken, answered, named };
        self.settle(response, served, in_flight)
    }

    /// Counts and logs a request when its answer has been sent.
    fn settle(&self, mut response: Response<Body>, served: Served, in_flight: InFlight) -> Response<Body> {
        let (log, metrics, audit) = (self.access_log.clone(), self.metrics.requests.clone(), self.core.audit().clone());
        let status = response.status().as_u16();
        let finish = move |bytes_out: u64| {
            served.record(&log, &metrics, &audit, status, bytes_out);
            drop(in_flight);
        };
        match response.body().ready_bytes() {
            Some(bytes) => finish(bytes),
            None => response.body_mut().on_end(finish),
        }
        response
    }

    /// Notes why a request was refused, and whose credential it showed.
    fn mark(&self, answered: &mut Answered, refusal: &Refusal, parts: &Parts) {
        answered.error = Some(refusal.code().info().word);
        answered.refused = answered.refused.or_else(|| audit::reason(refusal, parts));
        let presented = Presented::read(&parts.headers);
        // What is nobody's name may be somebody's password, typed into the wrong field.
        if answered.caller.is_none() && self.core.has_user(presented.account()) {
            presented.account().clone_into(&mut answered.account);
        }
    }

    /// Logs a failure of ours, once, with what only the operator may see.
    pub(crate) fn note(&self, refusal: &Refusal, correlation: &str) {
        if let Refusal::Error(error) = refusal
            && error.code.info().status >= 500
        {
            let error = kogge_core::jobs::report(error);
            tracing::error!(correlation_id = correlation, error, "a request failed");
        }
    }

    async fn dispatch(
        &self,
        arrival: Arrival<'_>,
        route: &Route,
        operation: Operation,
        upload: &mut Upload,
        answered: &mut Answered,
    ) -> Result<Response<Body>, Refusal> {
        let Arrival { parts, origin, .. } = arrival;
        match operation {
            Operation::Health => return Ok(signals::health()),
            Operation::Ready => return signals::ready(self).await,
            Operation::Metrics => return signals::metrics(self, parts, origin).await,
            Operation::ReadManagement | Operation::WriteManagement => {
                self.require_management_host(origin)?;
                return Ok(management::respond(self, arrival, upload, answered).await);
            }
            Operation::GetAuthority | Operation::PostAuthority => {
                self.require_management_host(origin)?;
                let Route::Authority(endpoint) = route else { return Err(Refusal::of(Code::NotFound)) };
                return authority::respond(self, arrival, *endpoint, upload, answered).await;
            }
            _ => {}
        }
        let registry =
            self.hosts.registry(&self.core, origin.asked_host()).ok_or_else(|| Refusal::of(Code::HostUnknown))?;
        answered.registry = Some(Arc::clone(&registry));
        self.core.require_network(&registry, origin.client)?;
        if let Some(category @ Category::Login) = Category::of(operation, &parts.method) {
            self.limit(parts, &registry, category, Identity::of_address(origin.client)).await?;
        }
        match operation {
            Operation::GetToken => return token::get(self, parts, origin, &registry, answered).await,
            Operation::PostToken => return token::post(self, parts, origin, &registry, upload, answered).await,
            Operation::Exchange => return token::exchange(self, origin, &registry, upload, answered).await,
            _ => {}
        }
        let caller = self.admit(parts, origin, &registry, route, operation, answered).await?;
        if let Some(category) = Category::of(operation, &parts.method) {
            self.limit(parts, &registry, category, Identity::Caller(caller.subject().id)).await?;
        }
        let admitted = Admitted { app: self, parts, origin, registry, caller };
        match route {
            Route::AcrRepository(_)
            | Route::AcrTags(_)
            | Route::AcrTag(..)
            | Route::AcrManifests(_)
            | Route::AcrManifest(..) => acr::respond(&admitted, route, operation, upload).await,
            _ => oci::respond(&admitted, route, operation, upload).await,
        }
    }

    /// Holds the management API and the authority to the deployment's own names: a login server is a registry's alone.
    pub(crate) fn require_management_host(&self, origin: &Origin) -> Result<(), Refusal> {
        let known = self.hosts.is_management(origin.asked_host());
        if known { Ok(()) } else { Err(Refusal::of(Code::NotFound)) }
    }

    /// Lets a request in that is within the limits, or when its turn has come while its client waits.
    async fn limit(
        &self,
        parts: &Parts,
        registry: &Registry,
        category: Category,
        identity: Identity,
    ) -> Result<(), Refusal> {
        tokio::select! {
            biased;
            admitted = self.rate_limits.admit(category, registry.id, identity) => Ok(admitted?),
            () = presence::gone(parts) => Err(Refusal::of(Code::RequestTimeout)),
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
        answered: &mut Answered,
    ) -> Result<Caller, Refusal> {
        let action = operation.action();
        let challenge = |insufficient| {
            let scope = action.map(|action| route::challenge_scope(operation, action, route.repository()));
            let scopes = scope.into_iter().chain(mount_scope(operation, parts)).collect();
            Refusal::Challenge(Challenge { scopes, insufficient })
        };
        let caller = self.authenticate(parts, origin, registry, || challenge(false)).await?;
        answered.caller = Some(caller.clone());
        let allowed = match action {
            // A challenge is what clients look for here; an anonymous token is enough of an answer.
            None => !caller.is_anonymous() || matches!(Presented::read(&parts.headers), Presented::Bearer(_)),
            Some(action) => self.allows(&caller, registry, route, operation, action).await?,
        };
        if allowed {
            return Ok(caller);
        }
        let shown = !matches!(Presented::read(&parts.headers), Presented::None);
        if let Some(action) = action.filter(|_| shown) {
            // Who only needs another token is told which; that denies him nothing.
            let denial = self.core.denial(&caller, registry, action, route.repository());
            answered.refused = denial.map(|denial| (DenialReason::Policy, audit::policy_detail(denial)));
        }
        Err(challenge(shown))
    }

    /// Whether a caller may do what it asks: by the right that this takes, or by another one that is enough.
    async fn allows(
        &self,
        caller: &Caller,
        registry: &Registry,
        route: &Route,
        operation: Operation,
        action: Action,
    ) -> Result<bool, Refusal> {
        let may = |action| self.core.permits_action(caller, registry, action, route.repository());
        if may(action) || operation.alternative().is_some_and(may) {
            return Ok(true);
        }
        match route {
            // Who pushes may take back what was attached to an image, but no image (ACR: AcrPush).
            Route::Manifest(name, Reference::Digest(digest))
                if operation == Operation::DeleteManifest && may(Action::Push) =>
            {
                Ok(self.core.is_referrer(registry, name, digest).await?)
            }
            _ => Ok(false),
        }
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
        let scopes = vec![
            route::challenge_scope(Operation::StartUpload, Action::Push, Some(target)),
            Scope::repository(source.clone(), Action::Pull),
        ];
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
    // Pages for people have one of their own.
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(CONTENT_POLICY);
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
        let mut request = request;
        let _presence = presence::watch(&mut request);
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
