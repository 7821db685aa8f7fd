//! A real PostgreSQL for tests: one server for all tests that run at the same time, a database each.
//!
//! The server listens on a socket in a folder of its own, on no port. A shell waits for the test program beside it, so
//! that it ends with that, however that ends.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The server's superuser, who needs no password on the socket.
const USER: &str = "kogge";
/// PostgreSQL refuses to run as root; this is Debian's `nobody`.
const UNPRIVILEGED: u32 = 65_534;
/// How long the server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a crash of the machine would lose does not matter here.
const SETTINGS: &str = "-c listen_addresses= -c fsync=off -c max_connections=400 -c shared_buffers=64MB";

/// A server that runs until the last test that uses it has ended.
#[derive(Debug)]
pub struct Server {
    running: Mutex<Option<Child>>,
    databases: AtomicU64,
    folder: TempDir,
}

/// A database of its own in a server.
#[derive(Debug, Clone)]
pub struct Database {
    server: Arc<Server>,
    name: String,
}

impl Server {
    /// A server of the caller's own, to be stopped and started.
    ///
    /// # Panics
    /// When PostgreSQL is not there (`cargo xtask tools`) or does not start.
    pub fn start_own() -> Arc<Self> {
        let folder = TempDir::new().expect("a temporary folder");
        if is_root() {
            chown(folder.path(), Some(UNPRIVILEGED), Some(UNPRIVILEGED)).expect("root gives folders away");
        }
        let server = Self { running: Mutex::default(), databases: AtomicU64::new(0), folder };
        let mut make = server.command("initdb");
        make.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--username", USER, "--pgdata"]);
        let made = make.arg(server.data()).output().expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        server.start();
        Arc::new(server)
    }

    /// The server that all share who need none of their own.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Self::start_own();
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// Starts the server, which is stopped, and waits until it answers.
    pub fn start(&self) {
        let mut shell = self.command("sh");
        let script = "\"$0\" \"$@\" & read -r signal; kill -${signal:-QUIT} $!; wait $!";
        shell
            .arg("-c")
            .arg(script)
            .arg(program("postgres"))
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path());
        let log = std::fs::File::create(self.folder.path().join("log")).expect("the log can be made");
        let log_too = log.try_clone().expect("a file has a second handle");
        shell.args(SETTINGS.split(' ')).stdin(Stdio::piped()).stdout(log).stderr(log_too);
        let mut child = shell.spawn().expect("a shell runs");
        let deadline = Instant::now() + PATIENCE;
        while !self.answers() {
            let ended = child.try_wait().expect("a child can be asked");
            assert!(ended.is_none() && Instant::now() < deadline, "PostgreSQL did not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
    }

    /// Stops the server at once, as a crash would; every connection ends.
    pub fn crash(&self) {
        self.end("QUIT");
    }

    /// Stops the server in order, with every connection cut.
    pub fn stop(&self) {
        self.end("INT");
    }

    fn end(&self, signal: &str) {
        use std::io::Write;
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut child) = running else { return };
        if let Some(mut input) = child.stdin.take() {
            // A shell that is gone has ended the server already.
            let _ = writeln!(input, "{signal}");
        }
        child.wait().expect("the shell ends");
    }

    /// A new, empty database.
    pub fn database(self: &Arc<Self>) -> Database {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let made = self.client("createdb").args(["--template=template0", "--strategy=file_copy", &name]).output();
        let made = made.expect("createdb runs");
        assert!(made.status.success(), "createdb: {}", String::from_utf8_lossy(&made.stderr));
        Database { server: Arc::clone(self), name }
    }

    fn answers(&self) -> bool {
        let mut ask = self.client("pg_isready");
        ask.arg("--quiet").status().is_ok_and(|status| status.success())
    }

    fn client(&self, name: &str) -> Command {
        let mut command = self.command(name);
        command.arg("--host").arg(self.folder.path());
        if name != "pg_isready" {
            command.args(["--username", USER]);
        }
        command
    }

    /// `name`, as somebody who is not root.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(if name == "sh" { PathBuf::from("/bin/sh") } else { program(name) });
        command.current_dir(self.folder.path()).env("LC_ALL", "C").stdin(Stdio::null());
        if is_root() {
            command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end("QUIT");
    }
}

impl Database {
    /// Its address, as the configuration takes it.
    pub fn url(&self) -> String {
        let folder = self.server.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://{USER}@{folder}/{}", self.name)
    }

    /// The server that it lies in.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }
}

fn program(name: &str) -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.kogge-tools/database/bin");
    let file = tools.join(name);
    assert!(file.is_file(), "{name} is not there: run `cargo xtask tools`");
    file
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
