//! A file system of a few MiB, mounted where only the programs of its own namespace see it. It goes with the process
//! that holds the namespace, and that process goes with the test, however the test ends.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use kogge_testkit::process::Site;
use tempfile::TempDir;

/// Mounts a file system of `$1` MiB at `$0`, says so, and lives until nobody holds its standard input.
const HOLDER: &str = "mount -t tmpfs -o size=${1}m,mode=700 tmpfs \"$0\" && echo mounted && exec cat";

/// A small disk and the namespace that sees it.
#[derive(Debug)]
pub(super) struct SmallDisk {
    holder: Child,
    folder: TempDir,
}

impl SmallDisk {
    /// A disk of `mebibytes`.
    pub(super) fn mount(mebibytes: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", HOLDER])
            .arg(folder.path())
            .arg(mebibytes.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().expect("unshare can be started");
        let mut line = String::new();
        let output = holder.stdout.as_mut().expect("stdout was asked to be piped");
        BufReader::new(output).read_line(&mut line).expect("the holder's output is text");
        assert_eq!(line, "mounted\n", "a small disk could not be mounted; this needs root");
        Self { holder, folder }
    }

    /// A data directory on the disk, for programs in its namespace.
    pub(super) fn site(&self) -> Site {
        Site::new(self.folder.path().join("data")).within(self.proc("ns/mnt"))
    }

    /// The data directory, as this process sees it.
    pub(super) fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// Takes all the room that is left, down to the last byte.
    pub(super) fn fill(&self) {
        let mut file = std::fs::File::create(self.path("filler")).expect("a file can be made");
        for piece in [64 * 1024, 1] {
            while file.write_all(&vec![0; piece]).is_ok() {}
        }
    }

    /// Gives that room back.
    pub(super) fn drain(&self) {
        std::fs::remove_file(self.path("filler")).expect("the filler can be removed");
    }

    fn path(&self, name: &str) -> PathBuf {
        let inside = self.folder.path().join(name);
        self.proc("root").join(inside.strip_prefix("/").expect("a temporary folder has an absolute path"))
    }

    fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.holder.id().to_string()).join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}
