//! A registry within the test's own process, on a port and in a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use kogge_core::Core;
use kogge_server::access_log::AccessLog;
use kogge_server::config::{Config, Environment, ServeArgs};
use kogge_server::metrics::Metrics;
use kogge_server::route;
use kogge_server::serve::{self, Logs, Running};
use kogge_server::trace::Trace;
use tempfile::TempDir;

use crate::http::Client;
use crate::postgres::{Database, Server};

/// The administrator's password in tests.
pub const ADMIN_PASSWORD: &str = "correct horse battery staple";

/// A registry that serves until it is dropped.
#[derive(Debug)]
pub struct TestRegistry {
    addr: SocketAddr,
    core: Arc<Core>,
    plan: Plan,
    running: Option<Running>,
}

/// What a registry is started with.
#[derive(Debug, Clone)]
struct Plan {
    folder: Arc<TempDir>,
    settings: String,
    environment: Environment,
    /// Lives as long as the registry.
    _database: Option<Database>,
}

impl Plan {
    fn new(settings: &str) -> Result<Self> {
        let environment = Environment::from([("KOGGE_ADMIN_PASSWORD", ADMIN_PASSWORD)]);
        let folder = Arc::new(TempDir::new().context("make a temporary folder")?);
        Ok(Self { folder, settings: settings.to_owned(), environment, _database: None })
    }

    /// Puts the metadata into `database`, the key that seals secrets into the folder `shared`.
    fn on(mut self, database: &Database, shared: &Path, password: Option<&str>) -> Result<Self> {
        let key = shared.join("secret.key");
        if !key.exists() {
            std::fs::write(&key, [7; 32]).context("write the key")?;
        }
        let (key, url) = (key.display().to_string(), database.url());
        let node = [("KOGGE_SERVER_KEY_FILE", key.as_str()), ("KOGGE_DATABASE_URL", url.as_str())];
        self.environment = match password {
            Some(password) => Environment::from([node[0], node[1], ("KOGGE_ADMIN_PASSWORD", password)]),
            None => Environment::from(node),
        };
        self._database = Some(database.clone());
        Ok(self)
    }

    /// A node's plan: its blobs lie in the folder `store`, with those of the others.
    fn of_node(database: &Database, store: &Path, password: Option<&str>) -> Result<Self> {
        let plan = Self::new("")?.on(database, store, password)?;
        std::fs::create_dir_all(store.join("blobs")).context("make the store")?;
        std::fs::create_dir(plan.folder.path().join("data")).context("make the data directory")?;
        std::os::unix::fs::symlink(store.join("blobs"), plan.folder.path().join("data/store")).context("share it")?;
        Ok(plan)
    }

    async fn start(self) -> Result<TestRegistry> {
        let file = self.folder.path().join("kogge.toml");
        std::fs::write(&file, &self.settings).context("write the configuration")?;
        let args = ServeArgs {
            config: Some(file),
            data_dir: Some(self.folder.path().join("data")),
            listen: vec!["127.0.0.1:0".to_owned()],
            ..ServeArgs::default()
        };
        let config = Config::load(&args, &self.environment).context("load the configuration")?;
        let logs = Logs { access: AccessLog::off(), trace: Trace::default() };
        let running = serve::start(&config, Metrics::new(route::NAMES, "test"), logs).await.context("start")?;
        let addr = *running.addresses.first().context("an address")?;
        Ok(TestRegistry { addr, core: Arc::clone(&running.core), plan: self, running: Some(running) })
    }
}

impl TestRegistry {
    /// A new registry with the default configuration.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// A new registry with the settings of a configuration file. Its metadata lie in PostgreSQL when the tests are run for
    /// that (`KOGGE_TEST_METADATA=postgres`), otherwise in its own folder.
    pub async fn start_with(settings: &str) -> Self {
        let mut plan = Plan::new(settings).expect("a temporary folder");
        if std::env::var_os("KOGGE_TEST_METADATA").is_some_and(|value| value == "postgres") {
            let made = tokio::task::spawn_blocking(|| Server::shared().database()).await;
            let folder = Arc::clone(&plan.folder);
            plan =
                plan.on(&made.expect("a database"), folder.path(), Some(ADMIN_PASSWORD)).expect("the key is written");
        }
        plan.start().await.expect("the registry starts")
    }

    /// A node of a region whose metadata lie in `database`. Nodes that name the same `store` have their blobs in common.
    pub async fn start_node(database: &Database, store: &Path) -> Self {
        let plan = Plan::of_node(database, store, Some(ADMIN_PASSWORD)).expect("a node's folders are made");
        plan.start().await.expect("the node starts")
    }

    /// As [`TestRegistry::start_node`], with no password configured for the administrator.
    pub async fn start_founder(database: &Database, store: &Path) -> Self {
        let plan = Plan::of_node(database, store, None).expect("a node's folders are made");
        plan.start().await.expect("the node starts")
    }

    /// Stops the registry.
    pub async fn stop(mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    /// Stops the registry and starts it again on the same folder, at another port.
    pub async fn restart(mut self) -> Self {
        let plan = self.plan.clone();
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
        drop(self);
        plan.start().await.expect("the registry starts again")
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn admin_password(&self) -> &str {
        ADMIN_PASSWORD
    }

    /// The administrator's password, when this start made it.
    pub fn made_password(&self) -> Option<&str> {
        self.running.as_ref()?.made_password.as_deref()
    }

    /// The rules, for what has no public way in.
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub fn data_dir(&self) -> PathBuf {
        self.plan.folder.path().join("data")
    }

    /// A folder that lives as long as the registry.
    pub fn folder(&self) -> &Path {
        self.plan.folder.path()
    }

    /// A client that is logged in as the administrator.
    pub fn client(&self) -> Client {
        self.anonymous().with_basic(serve::ADMIN, ADMIN_PASSWORD)
    }

    /// A client that is not logged in.
    pub fn anonymous(&self) -> Client {
        Client::new(self.addr)
    }
}
