//! The admin socket: local verbs, one JSON line in, JSON lines out. Whoever may open the socket may do everything, so
//! its mode is 0600.

pub(crate) mod identity;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kogge_core::auth::policy::rules::RegistryRules;
use kogge_core::auth::role;
use kogge_core::backup::BackupReport;
use kogge_core::directory::Grant;
use kogge_core::{Core, Error};
use kogge_types::{Code, Digest, RegistryName, RepositoryPattern};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::admin::identity::IdentityCall;
use crate::audit::verb::{self, AuditFilter};
use crate::installation::SOCKET_FILE;

/// Bytes of a request line.
const LINE_BYTES_MAX: u64 = 64 * 1024;
/// How long accepting pauses after it failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Verbs that run at once.
const CALLS_MAX: usize = 16;

/// A local verb.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub(crate) enum AdminCall {
    CollectGarbage,
    CountGarbage,
    GarbageStatus,
    Scrub,
    ExplainBlob {
        digest: Digest,
    },
    BackUp {
        folder: PathBuf,
    },
    ShowConfig,
    PutUser {
        name: String,
        password: String,
        role: String,
        registry: Option<RegistryName>,
        repositories: RepositoryPattern,
    },
    PutRegistry {
        name: RegistryName,
        anonymous_pull: bool,
    },
    ListRegistries,
    Identity(IdentityCall),
    QueryAudit {
        filter: AuditFilter,
        newest_first: bool,
        limit: usize,
        after: Option<String>,
    },
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AdminAnswer {
    /// The verb goes on.
    Progress(BackupReport),
    Done(Value),
    Failed(String),
}

fn describe_registry(rules: &RegistryRules) -> Value {
    let registry = &rules.registry;
    json!({ "registry": registry.name, "id": registry.id, "anonymousPull": rules.is_open() })
}

/// Carries out a verb, telling `progress` on the way.
pub(crate) async fn perform(
    core: &Core,
    config: &str,
    call: AdminCall,
    progress: &(dyn Fn(&BackupReport) + Send + Sync),
) -> Result<Value, Error> {
    match call {
        AdminCall::CollectGarbage => {
            core.expire_uploads().await?;
            value(core.collect_garbage().await?)
        }
        AdminCall::CountGarbage => value(core.count_garbage().await?),
        AdminCall::GarbageStatus => garbage_status(core).await,
        AdminCall::Scrub => value(core.scrub(true).await?),
        AdminCall::ExplainBlob { digest } => explain(core, &digest).await,
        AdminCall::BackUp { folder } => value(core.back_up(&folder, progress).await?),
        AdminCall::ShowConfig => Ok(json!(config)),
        AdminCall::QueryAudit { filter, newest_first, limit, after } => {
            verb::query(core, filter, newest_first, limit, after).await
        }
        AdminCall::PutUser { name, password, role, registry, repositories } => {
            let role = role::built_in_by_name(&role).ok_or_else(|| role::unknown(&role))?;
            let registry = match registry {
                None => None,
                Some(name) => Some(core.registry(&name).ok_or_else(|| Error::of(Code::HostUnknown))?.id),
            };
            core.put_user(&name, &password, &[Grant { role, registry, repositories }]).await?;
            Ok(json!({ "user": name }))
        }
        AdminCall::Identity(call) => identity::perform(core, call).await,
        AdminCall::PutRegistry { name, anonymous_pull } => {
            core.put_registry(&name, anonymous_pull).await?;
            Ok(core.registry_rules(&name).map_or(Value::Null, |rules| describe_registry(&rules)))
        }
        AdminCall::ListRegistries => {
            Ok(Value::Array(core.registries().iter().map(|rules| describe_registry(rules)).collect()))
        }
    }
}

fn value(report: impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(report).map_err(Error::internal)
}

async fn garbage_status(core: &Core) -> Result<Value, Error> {
    let jobs = core.jobs().await?.into_iter().map(|job| {
        json!({
            "job": job.kind,
            "running": job.running,
            "due": time(Some(job.not_before_us)),
            "started": time(job.started_at_us),
            "finished": time(job.finished_at_us),
            "failures": job.attempts,
            "error": job.error,
        })
    });
    let jobs: Vec<Value> = jobs.collect();
    Ok(json!({ "garbage": value(core.count_garbage().await?)?, "jobs": jobs }))
}

async fn explain(core: &Core, digest: &Digest) -> Result<Value, Error> {
    let story = core.tell_blob(digest).await?;
    let Some(blob) = story.blob else {
        return Err(Error::new(Code::BlobUnknown, format!("{digest} is not stored here")));
    };
    let holders: Vec<Value> = story
        .holders
        .iter()
        .map(|holder| {
            let why = match (&holder.manifests[..], holder.expires_at_us) {
                _ if holder.dead => "the repository was deleted and is being reclaimed".to_owned(),
                ([], Some(_)) => "no manifest names it; it is kept for the grace".to_owned(),
                ([], None) => "its last manifest was deleted a moment ago".to_owned(),
                (manifests, _) => format!("{} manifest(s) name it", manifests.len()),
            };
            json!({
                "registry": holder.registry,
                "repository": holder.repository,
                "why": why,
                "manifests": holder.manifests,
                "until": time(holder.expires_at_us),
            })
        })
        .collect();
    Ok(json!({
        "digest": digest,
        "size": blob.size,
        "copy": blob.copy,
        "verified": time(Some(blob.scrubbed_at_us)),
        "kept": !holders.is_empty(),
        "collectedAfter": time(blob.expires_at_us),
        "holders": holders,
    }))
}

fn time(at_us: Option<i64>) -> Option<String> {
    jiff::Timestamp::from_microsecond(at_us?).ok().map(|time| time.to_string())
}

/// Opens the admin socket. From then on local verbs come here.
pub(crate) fn listen(data_dir: &Path) -> std::io::Result<UnixListener> {
    let path = data_dir.join(SOCKET_FILE);
    // The data directory is ours alone: a socket that is there was left by a process that is gone.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers on the admin socket until `stop` changes.
pub(crate) async fn serve(
    listener: UnixListener,
    core: Arc<Core>,
    config: String,
    data_dir: &Path,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let (calls, config) = (Arc::new(Semaphore::new(CALLS_MAX)), Arc::<str>::from(config));
    loop {
        let stream = tokio::select! {
            _ = stop.changed() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot take a local verb");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let turn = Arc::clone(&calls).try_acquire_owned();
        let (core, config) = (Arc::clone(&core), Arc::clone(&config));
        tokio::spawn(async move {
            let answered = match &turn {
                Ok(_turn) => answer(&core, &config, stream).await,
                Err(_) => {
                    write(&mut { stream }, &AdminAnswer::Failed("the server is busy with other local verbs".to_owned()))
                        .await
                }
            };
            if let Err(error) = answered {
                tracing::debug!(%error, "a local verb's caller went away");
            }
        });
    }
    std::fs::remove_file(data_dir.join(SOCKET_FILE))
}

async fn answer(core: &Core, config: &str, stream: UnixStream) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    BufReader::new(reader.take(LINE_BYTES_MAX)).read_line(&mut line).await?;
    let call = match serde_json::from_str::<AdminCall>(&line) {
        Ok(call) => call,
        Err(error) => return write(&mut writer, &AdminAnswer::Failed(format!("not a local verb: {error}"))).await,
    };
    // Progress that the caller does not take is dropped: only the newest counts.
    let (sender, mut reports) = mpsc::channel(16);
    let progress = move |report: &BackupReport| {
        let _ = sender.try_send(AdminAnswer::Progress(report.clone()));
    };
    let told = verb::LocalVerb::of(core, &call);
    let performing = async move { perform(core, config, call, &progress).await };
    tokio::pin!(performing);
    let outcome = loop {
        tokio::select! {
            outcome = &mut performing => break outcome,
            Some(report) = reports.recv() => write(&mut writer, &report).await?,
        }
    };
    if let Some(told) = told {
        told.tell(core, outcome.is_ok());
    }
    let last = match outcome {
        Ok(value) => AdminAnswer::Done(value),
        Err(error) => AdminAnswer::Failed(kogge_core::jobs::report(&error)),
    };
    write(&mut writer, &last).await
}

async fn write(writer: &mut (impl AsyncWriteExt + Unpin), answer: &AdminAnswer) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    writer.write_all(&line).await
}

/// Asks the server that has `data_dir` to carry out `call`. `None` when no server runs there.
pub(crate) async fn ask(
    data_dir: &Path,
    call: &AdminCall,
    progress: &(dyn Fn(&BackupReport) + Send + Sync),
) -> std::io::Result<Option<Result<Value, String>>> {
    let stream = match UnixStream::connect(data_dir.join(SOCKET_FILE)).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let (reader, mut writer) = stream.into_split();
    let mut line = serde_json::to_vec(call)?;
    line.push(b'\n');
    writer.write_all(&line).await?;
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line)? {
            AdminAnswer::Progress(report) => progress(&report),
            AdminAnswer::Done(value) => return Ok(Some(Ok(value))),
            AdminAnswer::Failed(message) => return Ok(Some(Err(message))),
        }
    }
    Err(std::io::Error::other("the server ended before it answered"))
}
