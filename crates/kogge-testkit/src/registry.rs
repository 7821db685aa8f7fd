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
use crate::postgres::Database;

/// The administrator's password in tests.
pub const ADMIN_PASSWORD: &str = "correct horse battery staple";

/// A registry that serves until it is dropped.
#[derive(Debug)]
pub struct TestRegistry {
    addr: SocketAddr,
    core: Arc<Core>,
    settings: String,
    environment: Environment,
    running: Option<Running>,
    folder: Arc<TempDir>,
}

impl TestRegistry {
    /// A new registry with the default configuration.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// A new registry with the settings of a configuration file.
    pub async fn start_with(settings: &str) -> Self {
        let folder = Arc::new(TempDir::new().expect("a temporary folder"));
        let mut variables = vec![("KOGGE_ADMIN_PASSWORD", ADMIN_PASSWORD.to_owned())];
        if on_postgres() {
            let database = tokio::task::spawn_blocking(|| Server::shared().database()).await.expect("a database");
            variables.extend(shared_settings(&database, folder.path()).expect("the key can be written"));
            return Self::open(folder, settings.to_owned(), variables, Some(database)).await.expect("it starts");
        }
        Self::open(folder, settings.to_owned(), variables, None).await.expect("the registry starts")
    }

    /// A node of a region whose metadata lie in `database`. Nodes that name the same `store` have their blobs in common.
    pub async fn start_node(database: &Database, store: &Path) -> Self {
        let folder = Arc::new(TempDir::new().expect("a temporary folder"));
        let settings = node_settings(database, store, folder.path()).expect("a node's folder is made");
        Self::open(folder, settings).await.expect("the node starts")
    }

    /// As [`TestRegistry::start_node`], with no password configured for the administrator.
    pub async fn start_founder(database: &Database, store: &Path) -> Self {
        let folder = Arc::new(TempDir::new().expect("a temporary folder"));
        let settings = node_settings(database, store, folder.path()).expect("a node's folder is made");
        Self::open_in(folder, settings, Environment::default()).await.expect("the node starts")
    }

    async fn open(folder: Arc<TempDir>, settings: String) -> Result<Self> {
        let environment = Environment::from([("KOGGE_ADMIN_PASSWORD", ADMIN_PASSWORD)]);
        Self::open_in(folder, settings, environment).await
    }

    async fn open_in(folder: Arc<TempDir>, settings: String, environment: Environment) -> Result<Self> {
        let file = folder.path().join("kogge.toml");
        std::fs::write(&file, &settings).context("write the configuration")?;
        let args = ServeArgs {
            config: Some(file),
            data_dir: Some(folder.path().join("data")),
            listen: vec!["127.0.0.1:0".to_owned()],
            ..ServeArgs::default()
        };
        let config = Config::load(&args, &environment).context("load the configuration")?;
        let logs = Logs { access: AccessLog::off(), trace: Trace::default() };
        let running = serve::start(&config, Metrics::new(route::NAMES, "test"), logs).await.context("start")?;
        let addr = *running.addresses.first().context("an address")?;
        Ok(Self { addr, core: Arc::clone(&running.core), settings, running: Some(running), folder })
    }

    /// Stops the registry.
    pub async fn stop(mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    /// Stops the registry and starts it again on the same folder, at another port.
    pub async fn restart(mut self) -> Self {
        let (folder, settings) = (Arc::clone(&self.folder), self.settings.clone());
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
        drop(self);
        Self::open(folder, settings).await.expect("the registry starts again")
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
        self.folder.path().join("data")
    }

    /// A folder that lives as long as the registry.
    pub fn folder(&self) -> &Path {
        self.folder.path()
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

/// The settings of a node with `store` for its blobs, beside which the key lies that all nodes share.
fn node_settings(database: &Database, store: &Path, folder: &Path) -> Result<String> {
    let key = store.join("secret.key");
    if !key.exists() {
        std::fs::write(&key, [7; 32]).context("write the key")?;
    }
    std::fs::create_dir_all(store.join("blobs")).context("make the store")?;
    std::fs::create_dir(folder.join("data")).context("make the data directory")?;
    std::os::unix::fs::symlink(store.join("blobs"), folder.join("data/store")).context("share the store")?;
    Ok(format!("[server]\nkey-file = '{}'\n[database]\nurl = '{}'\n", key.display(), database.url()))
}
