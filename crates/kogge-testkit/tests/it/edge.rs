//! The HTTP surface against hostile clients and misconfigured proxies: who is let in, and what bad input is worth.

mod audit;
mod authorization;
mod conditions;
mod directory;
mod framing;
mod headers;
mod hosts;
mod logins;
mod manifest_bodies;
mod metadata;
mod metadata_locks;
mod mutations;
mod names;
mod network_rules;
pub(crate) mod permissions;
mod proxies;
mod quotas;
mod ranges;
mod rate_limits;
mod registries;
mod roles;
mod scale;
mod signals;
mod tokens;
mod uploads;

use std::path::Path;
use std::time::Duration;

use kogge_core::auth::role;
use kogge_core::directory::{Grant, operator};
use kogge_meta::{Commit, NewResource};
use kogge_testkit::TestRegistry;
use kogge_testkit::http::Client;
use kogge_types::{RegistryId, ResourceId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything here takes: what takes this long hangs.
const HANGS: Duration = Duration::from_secs(30);
/// The password of every user that a test makes.
const PASSWORD: &str = "a password of some length";

/// Everything that the server says to `bytes` until it hangs up. A server that does not hang up fails the test.
async fn raw(registry: &TestRegistry, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(registry.addr()).await.expect("connect");
    stream.write_all(bytes.as_ref()).await.expect("send");
    read_to_end(&mut stream).await
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that is cut may end in a reset; what came before counts.
    let _ = timeout(HANGS, stream.read_to_end(&mut answer)).await.expect("the server hangs up");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads until the end of a head.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = timeout(HANGS, stream.read_u8()).await.expect("the server answers").expect("a head");
        head.push(byte);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// The statuses of all answers in `text`, wherever one begins. Bodies of ours never hold what begins one.
fn statuses(text: &str) -> Vec<u16> {
    text.match_indices("HTTP/1.").filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok()).collect()
}

/// A `Bearer` header line's value for a token of the administrator with these scopes.
async fn bearer(registry: &TestRegistry, scopes: &[&str]) -> String {
    format!("Bearer {}", registry.client().token(scopes).await.expect("a token"))
}

/// Files of unfinished uploads on the disk.
fn uploads_left(registry: &TestRegistry) -> usize {
    files(&registry.data_dir().join("store/uploads"))
}

/// How many files lie below `folder`.
fn files(folder: &Path) -> usize {
    let paths = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    paths.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

/// Makes a user with one role, and returns a client that is logged in as that user.
async fn user(registry: &TestRegistry, name: &str, role: &str, repositories: &str) -> Client {
    user_at(registry, name, role, None, repositories).await
}

async fn user_at(
    registry: &TestRegistry,
    name: &str,
    role: &str,
    at: Option<RegistryId>,
    repositories: &str,
) -> Client {
    let grant = grant(role, at, repositories);
    registry.core().put_user(name, PASSWORD, &[grant]).await.expect("a user");
    registry.anonymous().with_basic(name, PASSWORD)
}

fn grant(role: &str, registry: Option<RegistryId>, repositories: &str) -> Grant {
    let role = role::built_in_by_name(role).expect("a built-in role");
    Grant { role, registry, repositories: repositories.parse().expect("a pattern") }
}

/// Sets a property of a registry, as the management API does.
async fn set_property(registry: &TestRegistry, name: &str, property: &'static str, value: serde_json::Value) {
    let rules = registry.core().registry_rules(&name.parse().expect("a name")).expect("a registry");
    let id = ResourceId::from_bytes(*rules.registry.id.as_bytes());
    let written = registry.core().write_policy(move |tx| {
        let present = tx.resource_by_id(&id)?.expect("the registry's resource");
        let mut registers = present.registers.clone();
        registers.insert(property.to_owned(), value);
        let (_, change) = tx.put_resource(&NewResource {
            id,
            kind: &present.kind,
            parent: &present.parent,
            name: &present.name,
            location: present.location.as_deref(),
            by: &operator(),
            registers: &registers,
        })?;
        Ok(Commit::new((), vec![change]))
    });
    written.await.expect("the property is set");
}
