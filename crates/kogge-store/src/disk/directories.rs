//! Directories that are made when they are first needed, and names that are made durable.

use std::collections::HashSet;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::disk::layout;

/// Makes `path` and what is missing above it, for the owner alone.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the root directory of a store; where it is new, its own name durable.
pub(crate) fn make_root(root: &Path) -> io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    make(root)?;
    match root.canonicalize()?.parent() {
        Some(above) => sync(above),
        None => Ok(()),
    }
}

/// Runs `work`, which makes a name in `directory`; makes the directory first where it is missing.
pub(crate) fn within<T>(directory: &Path, mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    match work() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(directory)?;
            work()
        }
        result => result,
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The directories below `root` whose own names this process knows to be durable. At most one entry per
/// fan-out directory.
#[derive(Debug)]
pub(crate) struct Directories {
    root: PathBuf,
    settled: Mutex<HashSet<PathBuf>>,
}

impl Directories {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), settled: Mutex::default() }
    }

    /// Makes `directory` with every directory that it fans out to, and their names durable, so that no commit has to.
    pub(crate) fn make_fan_out(&self, directory: &Path) -> io::Result<()> {
        make(directory)?;
        let paths: Vec<PathBuf> = layout::fan_outs().map(|name| directory.join(name)).collect();
        for path in paths.iter().filter(|path| !path.is_dir()) {
            make(path)?;
        }
        self.settle(directory)?;
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).extend(paths);
        Ok(())
    }

    /// Makes the names in `directory` durable, and once per process the names of the directory and of those
    /// above it, which a crashed process may have made without syncing.
    pub(crate) fn settle(&self, directory: &Path) -> io::Result<()> {
        sync(directory)?;
        let mut settled_now = Vec::new();
        for above in directory.ancestors().take_while(|above| *above != self.root) {
            if self.settled.lock().unwrap_or_else(PoisonError::into_inner).contains(above) {
                break;
            }
            if let Some(parent) = above.parent() {
                sync(parent)?;
            }
            settled_now.push(above.to_owned());
        }
        if !settled_now.is_empty() {
            self.settled.lock().unwrap_or_else(PoisonError::into_inner).extend(settled_now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_settled_with_those_above_it() {
        let root = tempfile::tempdir().unwrap();
        let directories = Directories::new(root.path());
        let (first, second) = (root.path().join("a/b/c"), root.path().join("a/b/d"));
        for directory in [&first, &second] {
            make(directory).unwrap();
            directories.settle(directory).unwrap();
            directories.settle(directory).unwrap();
        }
        let mut settled: Vec<PathBuf> = directories.settled.lock().unwrap().iter().cloned().collect();
        settled.sort_unstable();
        assert_eq!(settled, [root.path().join("a"), root.path().join("a/b"), first, second]);
        assert!(directories.settle(&root.path().join("missing")).is_err());
    }
}
