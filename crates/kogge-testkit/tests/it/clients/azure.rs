//! Azure's own clients: the Azure CLI and the libraries for Python, over TLS, at a deployment with a domain.
//!
//! They come from `.kogge-tools/azure` (`cargo xtask tools`). Each client sees a hosts file of its own, in which the
//! domain and the login servers of the test stand; that needs root.

mod console;
mod credentials;
mod health;
mod login;
mod network;
mod people;
mod registries;
mod repositories;
mod roles;
mod sdk;

use serde_json::Value;

use self::console::{Console, Principal};
use super::sandbox::Sandbox;

/// The deployment's domain.
const DOMAIN: &str = "kogge.test";
/// The registry of most scenarios.
const REGISTRY: &str = "demoreg";

/// A deployment, and its first service principal, who owns all of it.
struct Azure {
    sandbox: Sandbox,
    owner: Principal,
}

impl Azure {
    /// Starts a deployment whose clients know the login servers of `registries`. Its owner is logged in.
    fn start(registries: &[&str]) -> Self {
        let sandbox = Sandbox::start_on(DOMAIN, registries);
        let owner = Principal::create(&sandbox, "owner", Some(("Owner", "/")));
        let azure = Self { sandbox, owner };
        azure.log_in(&azure.owner);
        azure
    }

    /// The same with a registry.
    fn start_with_registry() -> Self {
        let azure = Self::start(&[REGISTRY]);
        azure.az(&format!("acr create -n {REGISTRY} -g default --sku Premium"));
        azure
    }

    /// Logs a principal in at a terminal of its own.
    fn log_in<'a>(&'a self, principal: &'a Principal) -> Console<'a> {
        let console = self.console(&principal.name);
        console.add_cloud();
        console.az(&principal.login());
        console
    }

    /// The terminal of a principal, by its name.
    fn console<'a>(&'a self, name: &'a str) -> Console<'a> {
        Console::new(&self.sandbox, name)
    }

    /// What the CLI answers the owner.
    #[track_caller]
    fn az(&self, line: &str) -> Value {
        self.console(&self.owner.name).az(line)
    }

    /// The message with which the CLI refuses the owner a command.
    #[track_caller]
    fn az_refused(&self, line: &str) -> String {
        self.console(&self.owner.name).refused(line)
    }

    /// Logs oras in to the registry with what the CLI gives the owner.
    fn log_in_oras(&self) {
        let exposed = self.az(&format!("acr login -n {REGISTRY} --expose-token"));
        self.log_in_to_registry(text(&exposed, "username"), text(&exposed, "refreshToken"));
    }

    /// Logs oras, and docker with it, in to the registry.
    fn log_in_to_registry(&self, user: &str, password: &str) {
        self.sandbox.run(&format!("oras login -u {user} -p {password} {REGISTRY}.{DOMAIN}"));
    }

    /// Pushes one file as an artifact of the registry, and returns its manifest's digest.
    fn push(&self, name: &str, content: &str) -> String {
        self.sandbox.write("file.txt", content);
        let image = image(name);
        self.sandbox.run(&format!("oras push --artifact-type application/vnd.example {image} file.txt:text/plain"));
        self.sandbox.run(&format!("oras resolve {image}")).trim().to_owned()
    }
}

/// `<login server>/<name>`.
fn image(name: &str) -> String {
    format!("{REGISTRY}.{DOMAIN}/{name}")
}

/// The members of a list, by one of their fields, in order.
#[track_caller]
fn fields<'a>(list: &'a Value, name: &str) -> Vec<&'a str> {
    let items = list.as_array().unwrap_or_else(|| panic!("not a list: {list}"));
    let mut found: Vec<&str> = items.iter().map(|item| text(item, name)).collect();
    found.sort_unstable();
    found
}

/// A field that holds a text.
#[track_caller]
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no text {name} in {value}"))
}
