//! `kogge serve`: opens the data directory, starts what runs beside the requests, and stops it all in order.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kogge_arm::Deployment;
use kogge_core::auth::role;
use kogge_core::directory::Grant;
use kogge_core::identity::settings::IdentitySettings;
use kogge_core::{Core, Settings, SystemEntropy, jobs};
use kogge_types::{RepositoryPattern, SystemClock, clock};
use prometheus_client::metrics::counter::Counter;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::access_log::AccessLog;
use crate::admin;
use crate::app::{App, Front, correlation_seed};
use crate::audit;
use crate::authority::outbound::{Outbound, OutboundError};
use crate::config::{AccessTarget, Config, TlsMode};
use crate::installation::{Installation, InstallationError};
use crate::listen::{ListenConfig, Server};
use crate::log::{self, LogError, Sink};
use crate::metrics::Metrics;
use crate::route;
use crate::tls::{Tls, TlsError};
use crate::trace::{Trace, TraceError};

/// The deployment's administrator.
pub const ADMIN: &str = "admin";
/// How long the last log lines and traces may take.
const FLUSH: Duration = Duration::from_secs(3);

/// Why a server did not start, or did not stop as it should.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Installation(#[from] InstallationError),
    #[error(transparent)]
    Core(#[from] kogge_core::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Trace(#[from] TraceError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// A server that has its addresses and serves until it is stopped.
#[derive(Debug)]
pub struct Running {
    /// The addresses that it listens on.
    pub addresses: Vec<SocketAddr>,
    /// The administrator's password, when this start made it.
    pub made_password: Option<String>,
    /// How clients learn to trust the local certificate authority, with `--tls auto`.
    pub trust_hint: Option<String>,
    pub core: Arc<Core>,
    stop: watch::Sender<bool>,
    tasks: tokio::task::JoinSet<()>,
    serving: tokio::task::JoinHandle<()>,
    _installation: Installation,
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        let defaults = Self::default();
        Self {
            gc_grace: config.gc.grace,
            gc_interval: config.gc.interval,
            upload_life: config.uploads.life,
            scrub_bytes_per_second: config.scrub.rate,
            anonymous_pull: config.login.anonymous_pull,
            sparse_images: config.uploads.sparse_images,
            registry_bytes: config.quota.registry_bytes,
            ..defaults
        }
    }
}

/// Where logs go.
#[derive(Debug, Clone)]
pub struct Logs {
    pub access: AccessLog,
    pub trace: Trace,
}

/// Starts a server within the present runtime.
pub async fn start(config: &Config, metrics: Metrics, logs: Logs) -> Result<Running, ServeError> {
    let installation = Installation::open(&config.server.data_dir, Some(Settings::from(config))).await?;
    let core = Arc::clone(&installation.core);
    audit::output::open(&core, config, &metrics.log_lines_dropped).await?;
    let outbound = Outbound::new(&config.identity)?;
    core.set_identity(IdentitySettings::from(&config.identity), Arc::new(outbound));
    let tls = Tls::open(&config.server, Arc::new(SystemClock))?;
    let trust_hint = tls.as_ref().and_then(Tls::trust_hint);
    let server = Server::bind(&ListenConfig::from(config), tls.clone())?.with_metrics(metrics.connections.clone());
    let addresses = server.local_addrs();
    // Last of what can fail: a password that is made is also shown.
    let made_password = settle_admin(&core, config).await?;
    let (stop, stopped) = watch::channel(false);
    let mut tasks = tokio::task::JoinSet::new();
    if let Some(tls) = tls {
        let mut stopped = stopped.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = tls.watch() => {}
                _ = stopped.changed() => {}
            }
        });
    }
    let background = jobs::run(Arc::clone(&core), stopped.clone());
    tasks.spawn(async move {
        if let Err(error) = background.await {
            tracing::error!(error = jobs::report(&error), "background work has ended");
        }
    });
    let (admin_core, data_dir, shown) = (Arc::clone(&core), config.server.data_dir.clone(), config.render());
    let (admin_stop, admin_socket) = (stopped.clone(), admin::listen(&config.server.data_dir));
    tasks.spawn(async move {
        let served = match admin_socket {
            Ok(socket) => admin::serve(socket, admin_core, shown, &data_dir, admin_stop).await,
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            tracing::error!(%error, "the admin socket does not work: local verbs are refused while the server runs");
        }
    });
    let seed = correlation_seed(&SystemEntropy);
    let deployment = deployment(&core, config, &addresses);
    let app = Arc::new(App::new(Arc::clone(&core), deployment, config, metrics, logs.access, logs.trace, seed));
    let mut shutdown = stopped;
    let serving = tokio::spawn(async move {
        let report = server.run(Front(app), async move { drop(shutdown.changed().await) }).await;
        tracing::info!(connections = report.accepted, cut = report.cut, "the listeners have stopped");
    });
    Ok(Running { addresses, made_password, trust_hint, core, stop, tasks, serving, _installation: installation })
}

impl Running {
    /// Stops: listeners first, then running requests, then background work, then the stores.
    pub async fn stop(mut self) {
        // Nobody listens any more only when everything has ended already.
        let _ = self.stop.send(true);
        let _ = self.serving.await;
        while self.tasks.join_next().await.is_some() {}
        self.core.audit().close().await;
    }
}

/// What clients of the management API are told of the deployment.
fn deployment(core: &Core, config: &Config, addresses: &[SocketAddr]) -> Deployment {
    let secure = config.server.tls != TlsMode::Off;
    let port = match &config.server.external_url {
        Some(url) => url.port,
        None => addresses.first().map(SocketAddr::port).filter(|port| *port != if secure { 443 } else { 80 }),
    };
    let ids = core.deployment();
    Deployment {
        tenant: ids.tenant.clone(),
        subscription: ids.subscription.clone(),
        name: "Kogge".to_owned(),
        domain: config.server.domain.clone(),
        port,
        location: config.server.region.clone(),
        audiences: config.identity.management_audiences.clone(),
    }
}

/// Makes sure that there is an administrator: with the password that is configured, or with one that is made.
async fn settle_admin(core: &Core, config: &Config) -> Result<Option<String>, ServeError> {
    let owner = role::built_in_by_id(&role::OWNER).map(|role| Grant {
        role,
        registry: None,
        repositories: RepositoryPattern::All,
    });
    let owner = owner.as_slice();
    match &config.login.admin_password {
        Some(password) => {
            if !core.password_fits(ADMIN, password.expose()).await? {
                core.put_user(ADMIN, password.expose(), owner).await?;
            }
            Ok(None)
        }
        None if core.has_user(ADMIN) => Ok(None),
        None => {
            let password = BASE64_URL_SAFE_NO_PAD.encode(clock::random::<18>(&SystemEntropy));
            core.put_user(ADMIN, &password, owner).await?;
            Ok(Some(password))
        }
    }
}

/// Runs the server until SIGTERM or SIGINT.
pub fn run(config: &Config, version: &'static str) -> Result<(), ServeError> {
    let metrics = Metrics::new(route::NAMES, version);
    let trace = Trace::open(&config.trace, &config.server.region, version)?;
    let sink = Sink::start("log", std::io::stderr(), metrics.log_lines_dropped.clone())?;
    log::init(&config.log, &sink, &trace)?;
    let (access, access_sink) = access_log(config, &sink, metrics.log_lines_dropped.clone())?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
    let served = runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        // Reloads certificates where there are any; it must never end the process.
        let _reload = signal(SignalKind::hangup())?;
        let running = start(config, metrics, Logs { access, trace: trace.clone() }).await?;
        announce(config, &running);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: no new requests, running ones are finished");
        running.stop().await;
        Ok(())
    });
    // A disk that does not answer must not keep the process.
    runtime.shutdown_timeout(FLUSH);
    trace.close(FLUSH);
    access_sink.close(FLUSH);
    sink.close(FLUSH);
    served
}

/// Threads for disk work: more does not help a disk.
const BLOCKING_THREADS: usize = 32;

fn access_log(config: &Config, sink: &Sink, dropped: Counter) -> std::io::Result<(AccessLog, Sink)> {
    match config.log.access {
        AccessTarget::Off => Ok((AccessLog::off(), sink.clone())),
        AccessTarget::Stderr => Ok((AccessLog::new(sink.clone(), config.log.format), sink.clone())),
        AccessTarget::Stdout => {
            let own = Sink::start("access-log", std::io::stdout(), dropped)?;
            Ok((AccessLog::new(own.clone(), config.log.format), own))
        }
    }
}

/// Tells whoever started the server where it is and how to get in. On standard output, apart from the logs.
fn announce(config: &Config, running: &Running) {
    let scheme = if config.server.tls == TlsMode::Off { "http" } else { "https" };
    let mut lines: Vec<String> =
        running.addresses.iter().map(|address| format!("listening on {scheme}://{address}")).collect();
    if let Some(password) = &running.made_password {
        lines.push(format!("user {ADMIN}, password {password} (made now and never shown again)"));
    }
    lines.extend(running.trust_hint.clone());
    lines.push(format!("data in {}", config.server.data_dir.display()));
    // The server runs whether or not anybody reads this.
    let _ = writeln!(std::io::stdout(), "{}", lines.join("\n"));
}
