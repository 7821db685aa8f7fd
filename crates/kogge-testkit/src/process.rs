//! The real `kogge` program as a process of its own: it can be killed, and started again on its data directory.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};

use crate::http::Client;

/// The administrator's name and password.
const ADMIN: &str = "admin";
pub const PASSWORD: &str = "kogge-test-password";

/// What stands before the address in the line that names it.
const ADDRESS: &str = "listening on http://";
/// Bytes of a server's log that are kept for a failure's message.
const LOG_BYTES_KEPT: usize = 64 * 1024;

/// A data directory, and the settings with which programs run on it.
#[derive(Debug, Clone)]
pub struct Site {
    data_dir: PathBuf,
    variables: Vec<(String, String)>,
    mounts: Option<PathBuf>,
}

/// How a program ended that ran to its end.
#[derive(Debug)]
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A running `kogge serve`, killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    addr: SocketAddr,
    log: Arc<Mutex<Vec<u8>>>,
}

impl Site {
    /// The data directory `data_dir`, which the first start makes.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let variables = [("KOGGE_ADMIN_PASSWORD", PASSWORD), ("KOGGE_LOG_ACCESS", "off")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { data_dir: data_dir.into(), variables, mounts: None }
    }

    /// The same with one more variable (`KOGGE_<SECTION>_<KEY>`) in the environment of its programs.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with programs that see the mounted file systems of another namespace: `/proc/<pid>/ns/mnt`.
    #[must_use]
    pub fn within(mut self, mounts: PathBuf) -> Self {
        self.mounts = Some(mounts);
        self
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Starts `kogge serve` on a free port and waits until it says where it listens. Panics with what it wrote when
    /// it does not.
    pub fn serve(&self) -> Process {
        self.try_serve().unwrap_or_else(|outcome| panic!("kogge serve did not start: {outcome:#?}"))
    }

    /// As [`Site::serve`], for a start that may be refused.
    pub fn try_serve(&self) -> Result<Process, Outcome> {
        let mut child = self.spawn(&["serve", "--listen", "127.0.0.1:0"]);
        let errors = child.stderr.take().expect("stderr was asked to be piped");
        let log = Arc::<Mutex<Vec<u8>>>::default();
        let kept = Arc::clone(&log);
        let keeper = std::thread::spawn(move || keep_end(errors, &kept));
        match wait_for_address(child.stdout.take().expect("stdout was asked to be piped")) {
            Ok(addr) => Ok(Process { child, addr, log }),
            Err(stdout) => {
                let status = child.wait().expect("a child can be waited for");
                keeper.join().expect("reading a log does not panic");
                Err(Outcome { status, stdout, stderr: text(&log) })
            }
        }
    }

    /// Runs a local verb to its end.
    pub fn run(&self, words: &[&str]) -> Outcome {
        self.run_with(words, "")
    }

    /// Runs a local verb that reads `input`.
    pub fn run_with(&self, words: &[&str], input: &str) -> Outcome {
        let mut child = self.spawn(words);
        let mut stdin = child.stdin.take().expect("stdin was asked to be piped");
        // A verb that ends without reading is judged by its status.
        drop(stdin.write_all(input.as_bytes()));
        drop(stdin);
        let output = child.wait_with_output().expect("a child can be waited for");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Outcome { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn spawn(&self, words: &[&str]) -> Child {
        let program = program();
        let mut command = match &self.mounts {
            None => Command::new(&program),
            Some(mounts) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--mount={}", mounts.display())).arg("--").arg(&program);
                command
            }
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.args(words).env_clear().env("PATH", path).env("KOGGE_DATA_DIR", &self.data_dir);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}; build it first", program.display()))
    }
}

impl Outcome {
    /// The verb succeeded; its standard output.
    #[track_caller]
    pub fn expect_success(&self) -> &str {
        assert!(self.status.success(), "a verb failed: {self:#?}");
        &self.stdout
    }

    /// The verb succeeded; its standard output, read as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let stdout = self.expect_success();
        serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{error} in {stdout}"))
    }

    /// The verb failed, and its message holds each of `parts`.
    #[track_caller]
    pub fn expect_failure(&self, parts: &[&str]) {
        assert!(!self.status.success(), "a verb succeeded that should not have: {self:#?}");
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in the message: {self:#?}");
        }
    }
}

impl Process {
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A client that is logged in as the administrator.
    pub fn client(&self) -> Client {
        Client::new(self.addr).with_basic(ADMIN, PASSWORD)
    }

    /// The end of what the server has logged so far.
    pub fn log(&self) -> String {
        text(&self.log)
    }

    /// Whether the process is still there.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Ends the process as a crash would (`kill -9`).
    pub fn kill(mut self) {
        self.child.kill().expect("a running child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Asks the process to stop (SIGTERM).
    pub fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has a pid");
        kill_process(pid, Signal::TERM).expect("a running child can be signalled");
    }

    /// Waits for the end of the process.
    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("a child can be waited for")
    }

    /// Stops the process in order.
    #[track_caller]
    pub fn stop(self) {
        self.terminate();
        let log = Arc::clone(&self.log);
        let status = self.wait();
        assert!(status.success(), "kogge serve ended with {status}\n{}", text(&log));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Reads a server's output up to the line that tells its address, and forgets what comes after. When the output ends
/// before, what it held is the error.
fn wait_for_address(output: impl Read + Send + 'static) -> Result<SocketAddr, String> {
    let mut output = BufReader::new(output);
    let mut seen = String::new();
    loop {
        let start = seen.len();
        let read = output.read_line(&mut seen).expect("the program's output is text");
        if let Some(addr) = seen[start..].strip_prefix(ADDRESS) {
            let addr = addr.trim().parse().expect("the program prints an address");
            std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
            return Ok(addr);
        }
        if read == 0 {
            return Err(seen);
        }
    }
}

/// Reads all that comes and keeps the end of it.
fn keep_end(mut from: impl Read, kept: &Mutex<Vec<u8>>) {
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        let mut kept = kept.lock().expect("nobody panics with the lock");
        kept.extend_from_slice(&piece[..read]);
        let excess = kept.len().saturating_sub(LOG_BYTES_KEPT);
        kept.drain(..excess);
    }
}

fn text(log: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&log.lock().expect("nobody panics with the lock")).into_owned()
}

/// The program that was built along with this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.parent().and_then(Path::parent).expect("tests lie in target/<profile>/deps");
    folder.join("kogge")
}
