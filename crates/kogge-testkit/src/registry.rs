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

/// The administrator's password in tests.
pub const ADMIN_PASSWORD: &str = "correct horse battery staple";

/// A registry that serves until it is dropped.
#[derive(Debug)]
pub struct TestRegistry {
    addr: SocketAddr,
    core: Arc<Core>,
    settings: String,
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
        Self::open(folder, settings.to_owned()).await.expect("the registry starts")
    }

    async fn open(folder: Arc<TempDir>, settings: String) -> Result<Self> {
        let file = folder.path().join("kogge.toml");
        std::fs::write(&file, &settings).context("write the configuration")?;
        let args = ServeArgs {
            config: Some(file),
            data_dir: Some(folder.path().join("data")),
            listen: vec!["127.0.0.1:0".to_owned()],
            ..ServeArgs::default()
        };
        let environment = Environment::from([("KOGGE_ADMIN_PASSWORD", ADMIN_PASSWORD)]);
        let config = Config::load(&args, &environment).context("load the configuration")?;
        let logs = Logs { access: AccessLog::off(), trace: Trace::default() };
        let running = serve::start(&config, Metrics::new(route::NAMES, "test"), logs).await.context("start")?;
        let addr = *running.addresses.first().context("an address")?;
        Ok(Self { addr, core: Arc::clone(&running.core), settings, running: Some(running), folder })
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
