//! What lies in the store's folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kogge_types::Digest;

/// The files of a store.
#[derive(Debug, Default)]
pub(super) struct StoreFolder {
    /// How many copies there are of each blob.
    pub(super) copies: BTreeMap<Digest, usize>,
    /// Everything that is not a blob: uploads, and what should not be there.
    pub(super) others: Vec<PathBuf>,
}

impl StoreFolder {
    /// Reads the folder below the data directory `data_dir`.
    pub(super) fn read(data_dir: &Path) -> Self {
        let mut folder = Self::default();
        folder.walk(&data_dir.join("store"));
        folder
    }

    fn walk(&mut self, path: &Path) {
        for entry in std::fs::read_dir(path).expect("a folder of the store can be read") {
            let path = entry.expect("a folder of the store can be read").path();
            if path.is_dir() {
                self.walk(&path);
                continue;
            }
            match blob(&path) {
                Some(digest) => *self.copies.entry(digest).or_default() += 1,
                None => self.others.push(path),
            }
        }
    }
}

/// The digest in `…/blobs/<algorithm>/<fan-out>/<hash>.<copy>`.
fn blob(path: &Path) -> Option<Digest> {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let [.., "blobs", algorithm, _, name] = parts[..] else { return None };
    let (hash, _) = name.split_once('.')?;
    format!("{algorithm}:{hash}").parse().ok()
}
