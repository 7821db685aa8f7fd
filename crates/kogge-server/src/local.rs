//! Local verbs: those that run on the server's machine. A running server carries them out on its admin socket; without
//! one the verb opens the data directory itself.

mod certificate;
pub mod identity;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use kogge_core::backup::{BackupReport, restore};
use kogge_core::{Core, SystemEntropy};
use kogge_meta::STATE_FILE;
use kogge_types::{Digest, RegistryName, limits};
use rustix::fs::Mode;
use serde_json::Value;

use crate::admin::{self, AdminCall};
use crate::audit::output;
use crate::audit::verb::{AuditArgs, AuditLines};
use crate::config::{Config, ConfigErrors, Environment, ServeArgs};
use crate::installation::{self, Installation, InstallationError, KEY_FILE, Lock, write_secret};
use crate::local::identity::{GroupCommand, IdentityCommand, KeysCommand, ServicePrincipalCommand, UserCommand};
use crate::serve::{self, ServeError};
use crate::tls::{self, authority};

/// Verbs of the server's machine.
#[derive(Debug, Subcommand)]
pub enum LocalCommand {
    /// Run the registry
    Serve(Box<ServeArgs>),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Collect garbage now, or tell about it
    Gc(GcArgs),
    /// Ask about stored blobs
    #[command(subcommand)]
    Blob(BlobCommand),
    /// Read every stored blob and take corrupt ones out of service
    Scrub(Place),
    /// Copy the whole installation into a folder, while it serves; a second run copies only what is new
    Backup {
        folder: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Make a data directory out of a backup
    Restore {
        folder: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Manage users and registries
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Print the description of the management API, an OpenAPI 3.0 document
    Openapi,
}

/// Which installation a verb is about.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Folder that holds everything the registry keeps
    #[arg(long, global = true, env = "KOGGE_DATA_DIR", value_name = "DIR", default_value = "./kogge-data")]
    data_dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether the configuration is good, and everything that is wrong with it
    Check(Box<ServeArgs>),
    /// Print what is in force: of the running server, or what a start with these flags would use
    Show(Box<ServeArgs>),
}

#[derive(Debug, Args)]
pub struct GcArgs {
    #[command(subcommand)]
    verb: Option<GcCommand>,
    /// Only count what would be collected
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
pub enum GcCommand {
    /// What waits to be collected, and how background work fares
    Status,
}

#[derive(Debug, Subcommand)]
pub enum BlobCommand {
    /// Why a blob is kept: every repository that links it and the manifests behind that
    Why {
        digest: Digest,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Manage users
    #[command(subcommand)]
    User(UserCommand),
    /// Manage groups
    #[command(subcommand)]
    Group(GroupCommand),
    /// Manage service principals: programs that log in by themselves
    #[command(subcommand)]
    Sp(ServicePrincipalCommand),
    /// Manage managed identities
    #[command(subcommand)]
    Identity(IdentityCommand),
    /// Manage the keys that sign tokens
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Manage registries
    #[command(subcommand)]
    Registry(RegistryCommand),
    /// Ask who did what: events as lines of JSON, the newest first
    Audit {
        #[command(flatten)]
        args: Box<AuditArgs>,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    /// Make a registry, or change one
    Put {
        name: RegistryName,
        /// Let anyone pull from it without a login
        #[arg(long)]
        anonymous_pull: bool,
        #[command(flatten)]
        place: Place,
    },
    /// List the registries
    List(Place),
}

/// How often a follower of the audit asks for new events.
const FOLLOW_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// Why a local verb failed.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Installation(#[from] InstallationError),
    #[error(transparent)]
    Core(#[from] kogge_core::Error),
    #[error("{0}")]
    Refused(String),
    #[error("{action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Other(#[from] std::io::Error),
}

impl LocalCommand {
    /// Carries the verb out.
    pub fn run(self, version: &'static str) -> Result<(), LocalError> {
        // Whatever these verbs write is nobody else's: state, keys, blobs, backups, the socket.
        rustix::process::umask(Mode::from_raw_mode(0o077));
        match self {
            Self::Serve(args) => {
                let config = Config::load(&args, &Environment::of_process())?;
                Ok(serve::run(&config, version)?)
            }
            Self::Config(ConfigCommand::Check(args)) => {
                Config::load(&args, &Environment::of_process())?;
                print_text("the configuration is good\n")
            }
            Self::Config(ConfigCommand::Show(args)) => show_config(&args),
            Self::Gc(GcArgs { verb: Some(GcCommand::Status), place, .. }) => call(&place, AdminCall::GarbageStatus),
            Self::Gc(GcArgs { dry_run: true, place, .. }) => call(&place, AdminCall::CountGarbage),
            Self::Gc(GcArgs { place, .. }) => call(&place, AdminCall::CollectGarbage),
            Self::Blob(BlobCommand::Why { digest, place }) => call(&place, AdminCall::ExplainBlob { digest }),
            Self::Openapi => print_value(&kogge_arm::document(version)),
            Self::Scrub(place) => call(&place, AdminCall::Scrub),
            Self::Backup { folder, place } => back_up(folder, &place),
            Self::Restore { folder, place } => runtime()?.block_on(restore_into(&folder, &place.data_dir)),
            Self::Admin(AdminCommand::User(command)) => identity::user(command),
            Self::Admin(AdminCommand::Group(command)) => identity::group(command),
            Self::Admin(AdminCommand::Sp(command)) => identity::service_principal(command),
            Self::Admin(AdminCommand::Identity(command)) => identity::identity(command),
            Self::Admin(AdminCommand::Keys(command)) => identity::keys(command),
            Self::Admin(AdminCommand::Audit { args, place }) => runtime()?.block_on(ask_audit(*args, &place)),
            Self::Admin(AdminCommand::Registry(RegistryCommand::Put { name, anonymous_pull, place })) => {
                call(&place, AdminCall::PutRegistry { name, anonymous_pull })
            }
            Self::Admin(AdminCommand::Registry(RegistryCommand::List(place))) => {
                call(&place, AdminCall::ListRegistries)
            }
        }
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

fn print_text(text: &str) -> Result<(), LocalError> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn print_value(value: &Value) -> Result<(), LocalError> {
    print_text(&format!("{value:#}\n"))
}

/// Carries `verb` out by the running server, or without one, and prints its answer.
fn call(place: &Place, verb: AdminCall) -> Result<(), LocalError> {
    let answer = runtime()?.block_on(perform(&place.data_dir, verb, &show_progress))?;
    print_value(&answer)
}

async fn perform(
    data_dir: &Path,
    verb: AdminCall,
    progress: &(dyn Fn(&BackupReport) + Send + Sync),
) -> Result<Value, LocalError> {
    let failed = |source| LocalError::Io { action: "talk to the server that uses", path: data_dir.to_owned(), source };
    if let Some(answer) = admin::ask(data_dir, &verb, progress).await.map_err(failed)? {
        return answer.map_err(LocalError::Refused);
    }
    if !data_dir.join(STATE_FILE).exists() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(LocalError::Io { action: "there is no registry in", path: data_dir.to_owned(), source });
    }
    let installation = Installation::open(data_dir, None).await?;
    let core: &Core = &installation.core;
    Ok(admin::perform(core, "", verb, progress).await?)
}

fn show_progress(report: &BackupReport) {
    // A terminal that is gone must not end the work.
    let _ = write!(std::io::stderr(), "\r{} blobs, {} bytes", report.blobs, report.bytes);
}

/// Prints events: the newest page by page, or with `--follow` each as it comes.
async fn ask_audit(args: AuditArgs, place: &Place) -> Result<(), LocalError> {
    let AuditArgs { mut filter, limit, follow, directory } = args;
    let directory = directory.unwrap_or_else(|| place.data_dir.join(output::FOLDER));
    let (mut after, mut left) = (None::<String>, if follow { usize::MAX } else { limit });
    if follow {
        filter.begin_now();
    }
    while left > 0 {
        let limit = left.min(limits::AUDIT_PAGE_EVENTS_MAX);
        let call = AdminCall::QueryAudit { filter: filter.clone(), newest_first: !follow, limit, after: after.clone() };
        let page = perform_audit(&place.data_dir, &directory, call, follow).await?;
        let page: AuditLines = serde_json::from_value(page).map_err(std::io::Error::other)?;
        for event in &page.events {
            print_text(&format!("{event}\n"))?;
        }
        if !page.more && !follow {
            break;
        }
        if !page.more {
            tokio::time::sleep(FOLLOW_PAUSE).await;
        }
        left -= page.events.len();
        after = page.after.or(after);
    }
    Ok(())
}

async fn perform_audit(data_dir: &Path, directory: &Path, call: AdminCall, follow: bool) -> Result<Value, LocalError> {
    let failed = |source| LocalError::Io { action: "talk to the server that uses", path: data_dir.to_owned(), source };
    if let Some(answer) = admin::ask(data_dir, &call, &|_| {}).await.map_err(failed)? {
        return answer.map_err(LocalError::Refused);
    }
    if follow {
        return Err(LocalError::Refused("no server runs there: there is nothing to follow".to_owned()));
    }
    if !data_dir.join(STATE_FILE).exists() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(LocalError::Io { action: "there is no registry in", path: data_dir.to_owned(), source });
    }
    let installation = Installation::open(data_dir, None).await?;
    output::open_to_ask(&installation.core, directory).await?;
    Ok(admin::perform(&installation.core, "", call, &|_| {}).await?)
}

fn show_config(args: &ServeArgs) -> Result<(), LocalError> {
    let config = Config::load(args, &Environment::of_process())?;
    let data_dir = &config.server.data_dir;
    let failed = |source| LocalError::Io { action: "talk to the server that uses", path: data_dir.clone(), source };
    let running = runtime()?.block_on(admin::ask(data_dir, &AdminCall::ShowConfig, &|_| {})).map_err(failed)?;
    match running {
        Some(Ok(Value::String(shown))) => print_text(&format!("# of the running server\n{shown}")),
        Some(Err(message)) => Err(LocalError::Refused(message)),
        Some(Ok(_)) | None => print_text(&config.render()),
    }
}

fn read_password() -> Result<String, LocalError> {
    let mut password = String::new();
    std::io::stdin().read_line(&mut password)?;
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(LocalError::Refused("no password came on standard input".to_owned()));
    }
    Ok(password.to_owned())
}

/// Copies the installation and the key without which its sealed secrets cannot be read.
fn back_up(folder: PathBuf, place: &Place) -> Result<(), LocalError> {
    let folder = std::path::absolute(folder)?;
    let answer =
        runtime()?.block_on(perform(&place.data_dir, AdminCall::BackUp { folder: folder.clone() }, &show_progress))?;
    print_value(&answer)?;
    let key = place.data_dir.join(KEY_FILE);
    let content = std::fs::read(&key).map_err(|source| LocalError::Io { action: "read the key", path: key, source })?;
    write_secret(&folder.join(KEY_FILE), &content)?;
    copy_authority(&place.data_dir, &folder)?;
    fail_if_damaged(answer["damaged"].as_array().map_or(0, Vec::len))
}

/// Copies the local certificate authority, where there is one: clients trust it.
fn copy_authority(from: &Path, to: &Path) -> Result<(), LocalError> {
    for name in [authority::CERTIFICATE_FILE, authority::KEY_FILE] {
        let source = from.join(tls::FOLDER).join(name);
        match std::fs::read(&source) {
            Ok(content) => {
                std::fs::create_dir_all(to.join(tls::FOLDER))?;
                write_secret(&to.join(tls::FOLDER).join(name), &content)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(LocalError::Io { action: "read", path: source, source: error }),
        }
    }
    Ok(())
}

async fn restore_into(folder: &Path, data_dir: &Path) -> Result<(), LocalError> {
    let _lock = Lock::take(data_dir)?;
    let state = data_dir.join(STATE_FILE);
    // The log of a state that is gone would be replayed onto the one that takes its name.
    let leftovers = ["", "-wal", "-shm"].map(|suffix| data_dir.join(format!("{STATE_FILE}{suffix}")));
    if let Some(leftover) = leftovers.into_iter().find(|path| path.exists()) {
        let source = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        return Err(LocalError::Io { action: "restore over", path: leftover, source });
    }
    // The state comes last under its name: a restore that is cut off is begun anew.
    let part = data_dir.join("restoring");
    match std::fs::remove_dir_all(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => std::fs::create_dir_all(&part)?,
    }
    let from = |name: &str| folder.join(name);
    let failed = |path: PathBuf| move |source| LocalError::Io { action: "copy the backup's", path, source };
    std::fs::copy(from(STATE_FILE), part.join(STATE_FILE)).map_err(failed(from(STATE_FILE)))?;
    let key = std::fs::read(from(KEY_FILE)).map_err(failed(from(KEY_FILE)))?;
    write_secret(&data_dir.join(KEY_FILE), &key)?;
    copy_authority(folder, data_dir)?;
    let (meta, store) = (installation::open_meta(&part)?, installation::open_store(data_dir)?);
    let report = restore(folder, &meta, &store, &SystemEntropy, &show_progress).await?;
    let checked = part.join("checked");
    let snapshot = checked.clone();
    tokio::task::spawn_blocking(move || meta.copy_state_to(&snapshot))
        .await
        .map_err(std::io::Error::other)?
        .map_err(InstallationError::from)?;
    std::fs::File::open(&checked)?.sync_all()?;
    std::fs::rename(&checked, &state)?;
    std::fs::File::open(data_dir)?.sync_all()?;
    std::fs::remove_dir_all(&part)?;
    print_value(&serde_json::to_value(&report).map_err(std::io::Error::other)?)?;
    fail_if_damaged(report.damaged.len())
}

/// A backup or a restore that had to leave something out has done the rest, but has not succeeded.
fn fail_if_damaged(blobs: usize) -> Result<(), LocalError> {
    match blobs {
        0 => Ok(()),
        blobs => Err(LocalError::Refused(format!(
            "{blobs} blob(s) could not be read and were left out; they are listed above"
        ))),
    }
}
