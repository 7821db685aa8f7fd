//! A home of their own for the clients of one test: what they store, trust and remember ends with the test.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU8, Ordering};

use tempfile::TempDir;

use super::kogge::{Kogge, PASSWORD, Scheme};

/// A registry and a place for its clients.
pub(crate) struct Sandbox {
    pub(crate) kogge: Kogge,
    folder: TempDir,
    /// The file that the clients see as `/etc/hosts`, where they see another than the machine's.
    hosts: Option<PathBuf>,
}

impl Sandbox {
    pub(crate) fn start(scheme: Scheme) -> Self {
        Self::around(Kogge::start(scheme))
    }

    /// A deployment with a domain, and clients that know it and the login servers of `registries`.
    ///
    /// It listens on port 443 of an address that no other test uses. The clients see a hosts file of their own, for
    /// which they need root.
    pub(crate) fn start_on(domain: &str, registries: &[&str]) -> Self {
        let address = own_address();
        let mut sandbox = Self::around(Kogge::start_on(address, domain));
        let servers = registries.iter().map(|registry| format!(" {registry}.{domain}")).collect::<String>();
        let hosts = format!("127.0.0.1 localhost\n{address} {domain}{servers}\n");
        sandbox.hosts = Some(sandbox.write("hosts", hosts));
        sandbox
    }

    fn around(kogge: Kogge) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let sandbox = Self { kogge, folder, hosts: None };
        sandbox.write_container_settings();
        if sandbox.is_tls() {
            // podman, buildah and skopeo take the CA from a folder of certificates.
            sandbox.write("certs/ca.crt", fs::read(sandbox.kogge.ca()).expect("the server wrote its CA"));
        }
        sandbox
    }

    /// A file or folder of the sandbox.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the sandbox, with its folders; returns its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("the file lies in the sandbox")).expect("folders can be made");
        fs::write(&path, content).expect("files can be written");
        path
    }

    /// `<host>:<port>/<name>`.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.kogge.host)
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.kogge.scheme == Scheme::Tls
    }

    /// Runs a command line, whose words hold no spaces, and returns what it prints to stdout.
    ///
    /// # Panics
    /// The program fails; the message holds all that it printed.
    pub(crate) fn run(&self, line: &str) -> String {
        let output = self.output(line);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}\n{}\n{stdout}{stderr}", output.status);
        stdout
    }

    /// Runs a command line that must fail, and returns all that it prints.
    ///
    /// # Panics
    /// The program succeeds.
    pub(crate) fn run_refused(&self, line: &str) -> String {
        let output = self.output(line);
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{line}\nshould have failed\n{text}");
        text.into_owned()
    }

    fn output(&self, line: &str) -> Output {
        let mut words = line.split_whitespace();
        let program = words.next().expect("a command line names a program");
        let mut command = self.command(program);
        command.args(words).output().unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// A client, by the name of its program, in this sandbox.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = self.start_of(&tool(program));
        command.env_clear().current_dir(self.folder.path());
        let clients = tools("clients");
        command
            .env("PATH", format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", clients.display()));
        let home = self.path("home");
        fs::create_dir_all(&home).expect("folders can be made");
        command.env("HOME", &home).env("XDG_CONFIG_HOME", home.join("config")).env("LC_ALL", "C.UTF-8");
        command.env("TMPDIR", self.folder.path());
        command.env("DOCKER_CONFIG", self.path("docker")).env("REGISTRY_AUTH_FILE", self.path("auth.json"));
        command.env("DOCKER_HOST", format!("unix://{}", self.path("docker.sock").display()));
        command.env("DOCKER_BUILDKIT", "0").env("DOCKER_CLI_EXPERIMENTAL", "enabled");
        command.env("CONTAINERS_STORAGE_CONF", self.path("storage.conf"));
        command.env("CONTAINERS_REGISTRIES_CONF", self.path("registries.conf"));
        command.env("CONTAINERS_CONF", self.path("containers.conf"));
        command.env("COSIGN_PASSWORD", "").env("COSIGN_YES", "true");
        command.env("NOTATION_USERNAME", "admin").env("NOTATION_PASSWORD", PASSWORD);
        if self.is_tls() {
            command.env("SSL_CERT_FILE", self.kogge.ca()).env("REQUESTS_CA_BUNDLE", self.kogge.ca());
        }
        command
    }

    /// The start of a command that runs `file` with this sandbox's hosts.
    fn start_of(&self, file: &Path) -> Command {
        let Some(hosts) = &self.hosts else { return Command::new(file) };
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh", "-c"]);
        command.arg("mount --bind \"$0\" /etc/hosts && exec \"$@\"").arg(hosts).arg(file);
        command
    }

    /// Settings of podman, buildah and skopeo: storage within the sandbox, and no signature policy.
    fn write_container_settings(&self) {
        let (graph, run) = (self.path("graph"), self.path("run"));
        let storage = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
            graph.display(),
            run.display()
        );
        self.write("storage.conf", storage);
        self.write("auth.json", "{}");
        self.write("registries.conf", "unqualified-search-registries = []\n");
        let engine = format!(
            "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\ntmp_dir = \"{}\"\n",
            self.path("libpod").display()
        );
        self.write("containers.conf", engine);
        self.write("home/.config/containers/policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
        self.write("home/config/containers/policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
    }

    /// Flags by which podman and buildah, and skopeo where it has one side only, reach the registry.
    pub(crate) fn container_flags(&self) -> String {
        if self.is_tls() { format!("--cert-dir {}", self.path("certs").display()) } else { "--tls-verify=false".into() }
    }
}

/// The file of a client, by the name of its program.
pub(crate) fn tool(program: &str) -> PathBuf {
    let places = ["clients", "azure"].map(|set| tools(set).join(program));
    let found = places.into_iter().find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{program} is not there: run `cargo xtask tools`"))
}

/// The folder of a set's programs.
fn tools(set: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.kogge-tools").join(set).join("bin")
}

/// A loopback address that no other test of this machine uses.
fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    // 127.0.0.0/16 is left to everybody else.
    Ipv4Addr::new(127, high | 1, low, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The `sha256:…` digests in a text, in their order.
pub(crate) fn digests_in(text: &str) -> Vec<String> {
    let starts = text.match_indices("sha256:").map(|(at, _)| at);
    let found = starts.filter_map(|at| text.get(at..at + "sha256:".len() + 64));
    found.filter(|digest| digest[7..].bytes().all(|byte| byte.is_ascii_hexdigit())).map(str::to_owned).collect()
}

/// The only digest in a text.
pub(crate) fn digest_in(text: &str) -> String {
    let digests = digests_in(text);
    let first = digests.first().unwrap_or_else(|| panic!("no digest in: {text}"));
    assert!(digests.iter().all(|digest| digest == first), "more than one digest in: {text}");
    first.clone()
}
