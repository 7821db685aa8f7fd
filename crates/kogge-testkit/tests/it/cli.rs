//! The command line's remote verbs: the real program against registries of this process.

mod copy;
mod login;
mod management;
mod openapi;
mod verbs;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, IndexBuilder, Item, Seed, Tree};
use kogge_testkit::repository::Repository;
use tempfile::TempDir;

/// A home of its own for the program: logins and layouts end with the test.
struct Cli {
    home: TempDir,
    /// Variables that the program finds, besides where its home and programs are.
    variables: Vec<(&'static str, String)>,
}

/// What a run of the program gave.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Cli {
    fn new() -> Self {
        Self { home: tempfile::tempdir().expect("a temporary folder can be made"), variables: Vec::new() }
    }

    /// A home where the administrator is logged in to `registry`.
    fn logged_in(registry: &TestRegistry) -> Self {
        let cli = Self::new();
        cli.log_in(registry);
        cli
    }

    fn log_in(&self, registry: &TestRegistry) {
        let host = registry.addr().to_string();
        self.run_with(&["login", &host, "-u", "admin", "-p", registry.admin_password()], None).expect_code(0);
    }

    /// Runs the program, whose words stand in `line` without spaces in them.
    fn run(&self, line: &str) -> Ran {
        self.run_with(&line.split_whitespace().collect::<Vec<_>>(), None)
    }

    fn run_with(&self, words: &[&str], input: Option<&str>) -> Ran {
        let input_file = self.path("input");
        std::fs::write(&input_file, input.unwrap_or_default()).expect("files can be written");
        let input = std::fs::File::open(&input_file).expect("it was written above");
        let output = self.command(words).stdin(Stdio::from(input)).output().expect("the program can be started");
        Ran::of(output)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(words)
            .current_dir(self.home.path())
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .envs(self.variables.iter().map(|(name, value)| (*name, value.as_str())));
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("a program's output is text");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// # Panics
    /// The exit code is another one; the message holds all that was printed.
    fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
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

/// An index of two images, of which the second is not there when `sparse`.
fn index(seed: u64, sparse: bool) -> Tree {
    let seed = &mut Seed::new(seed);
    let second = ImageBuilder::new(seed).build();
    let index = IndexBuilder::new().child(ImageBuilder::new(seed).build(), "amd64");
    if sparse { index.absent_child(second.root(), "arm64") } else { index.child(second, "arm64") }.build()
}

/// A signature of `subject`, as an artifact.
fn signature(seed: u64, subject: &Item) -> Tree {
    let signature = ImageBuilder::new(&mut Seed::new(seed)).empty_config().artifact_type("application/x.signature");
    signature.subject(subject).build()
}

/// The administrator's view of a repository.
fn repository(registry: &TestRegistry, name: &str) -> Repository {
    Repository::new(&registry.client(), name)
}

/// Every manifest and blob of `tree` is in the repository, byte for byte.
async fn assert_has(repository: &Repository, tree: &Tree) {
    for manifest in &tree.manifests {
        let reply = repository.get_manifest(manifest.digest).await.expect_status(200).expect_body(&manifest.bytes);
        reply.expect_header("content-type", &manifest.media_type);
    }
    for blob in &tree.blobs {
        repository.get_blob(&blob.digest).await.expect_status(200).expect_body(&blob.bytes);
    }
}
