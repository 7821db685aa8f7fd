//! The real `kogge` program as a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// How clients reach the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Plain,
    /// With a certificate of the local CA that `--tls auto` makes.
    Tls,
}

/// The password of the administrator.
pub(crate) const PASSWORD: &str = "kogge-test-password";

/// What stands before the address in the line that names it.
const ADDRESS: &str = "://127.";

/// A running `kogge serve`, ended with this value.
pub(crate) struct Kogge {
    process: Child,
    /// `127.0.0.1:<port>` or the domain: the part of an image's name that stands for the default registry.
    pub(crate) host: String,
    pub(crate) scheme: Scheme,
    data: TempDir,
}

impl Kogge {
    /// Starts the program on a free port and waits until it says where it listens.
    pub(crate) fn start(scheme: Scheme) -> Self {
        Self::launch(scheme, &["--listen", "127.0.0.1:0"], None)
    }

    /// Starts the program with TLS on port 443 of `address`, as the server of `domain`: its hosts need no port.
    pub(crate) fn start_on(address: Ipv4Addr, domain: &str) -> Self {
        let listen = format!("{address}:443");
        Self::launch(Scheme::Tls, &["--listen", &listen, "--domain", domain], Some(domain))
    }

    fn launch(scheme: Scheme, options: &[&str], domain: Option<&str>) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let tls = match scheme {
            Scheme::Plain => "off",
            Scheme::Tls => "auto",
        };
        let program = program();
        let mut process = Command::new(&program)
            .args(["serve", "--tls", tls, "--data-dir"])
            .arg(data.path())
            .args(options)
            .env("KOGGE_ADMIN_PASSWORD", PASSWORD)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let output = BufReader::new(process.stdout.take().expect("stdout was asked to be piped"));
        let line = wait_for_line(output, ADDRESS).unwrap_or_else(|seen| {
            let mut errors = String::new();
            if let Some(mut stderr) = process.stderr.take() {
                drop(stderr.read_to_string(&mut errors));
            }
            panic!("kogge serve ended without naming its address\n{seen}{errors}");
        });
        drain(process.stderr.take());
        let host = domain.map_or_else(|| host_in(&line), str::to_owned);
        Self { process, host, scheme, data }
    }

    /// Runs a verb of the server's own machine on the server's data, and returns what it prints.
    ///
    /// # Panics
    /// The verb fails; the message holds all that it printed.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        self.run_with(words, "")
    }

    /// The same with a verb that reads `input`.
    pub(crate) fn run_with(&self, words: &[&str], input: &str) -> String {
        let mut command = Command::new(program());
        command.args(words).arg("--data-dir").arg(self.data.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let mut stdin = child.stdin.take().expect("stdin was asked to be piped");
        // A verb that ends without reading is judged by its status.
        drop(stdin.write_all(input.as_bytes()));
        drop(stdin);
        let output = child.wait_with_output().expect("a child can be waited for");
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kogge {words:?}\n{}\n{stdout}{stderr}", output.status);
        stdout
    }

    /// The CA that clients must trust.
    pub(crate) fn ca(&self) -> PathBuf {
        self.data.path().join("tls/ca.pem")
    }
}

impl Drop for Kogge {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Reads a program's output up to the line that holds `mark`, and returns that line. The rest is read and forgotten, so
/// that the program never blocks. When the output ends before, what it held is the error.
pub(crate) fn wait_for_line(mut output: impl BufRead + Send + 'static, mark: &str) -> Result<String, String> {
    let mut seen = String::new();
    loop {
        let start = seen.len();
        let read = output.read_line(&mut seen).expect("a program's output is text");
        if seen[start..].contains(mark) {
            let line = seen[start..].to_owned();
            drain(Some(output));
            return Ok(line);
        }
        if read == 0 {
            return Err(seen);
        }
    }
}

/// `127.0.0.1:<port>` of the address in `line`.
fn host_in(line: &str) -> String {
    let (_, rest) = line.split_once(ADDRESS).expect("the line was chosen because it holds an address");
    let end = rest.find(|letter: char| !(letter.is_ascii_digit() || ".:".contains(letter))).unwrap_or(rest.len());
    format!("127.{}", &rest[..end])
}

/// Reads and forgets what a program still writes; the thread ends with the program.
fn drain(output: Option<impl Read + Send + 'static>) {
    if let Some(mut output) = output {
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    }
}

/// The program that was built along with this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.parent().and_then(Path::parent).expect("tests lie in target/<profile>/deps");
    let program = folder.join("kogge");
    assert!(program.is_file(), "{} is not there: run `cargo build` or `cargo xtask test`", program.display());
    program
}
