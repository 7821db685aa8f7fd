//! Where everything lies below the store's root. Drawn here once and computed nowhere else:
//!
//! ```text
//! <root>/
//!   blobs/<algorithm>/<first 2 hex digits of the hash>/<hash in hex>.<copy id>
//!   uploads/<first 2 hex digits of the id>/<upload id>
//!   probe                                    made and removed by a readiness probe
//! ```
//!
//! `blobs` and `uploads` are in one file system, so that a commit is a rename. No path is ever used for a
//! second copy, since copy ids are random.

use std::path::{Path, PathBuf};

use kogge_types::digest::{hex, unhex};
use kogge_types::{Algorithm, CopyId, Digest, UploadId};

/// Hexadecimal digits that name a fan-out directory.
pub(crate) const FAN_OUT_DIGITS: usize = 2;

#[derive(Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// Where blobs of the common algorithm lie.
    pub(crate) fn canonical_blobs(&self) -> PathBuf {
        self.blobs().join(Algorithm::Sha256.as_str())
    }

    pub(crate) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    pub(crate) fn probe(&self) -> PathBuf {
        self.root.join("probe")
    }

    pub(crate) fn blob(&self, digest: &Digest, copy: CopyId) -> PathBuf {
        let hash = digest.hex();
        let mut path = self.blobs();
        path.push(digest.algorithm().as_str());
        path.push(&hash[..FAN_OUT_DIGITS]);
        path.push(Self::blob_name(digest, copy));
        path
    }

    /// The file name of a committed copy.
    pub(crate) fn blob_name(digest: &Digest, copy: CopyId) -> String {
        format!("{}.{copy}", digest.hex())
    }

    /// What a file name in a fan-out directory of `algorithm` stands for, when it is the store's.
    pub(crate) fn read_blob(algorithm: Algorithm, name: &str) -> Option<(Digest, CopyId)> {
        let (hash, copy) = name.split_once('.')?;
        Some((format!("{algorithm}:{hash}").parse().ok()?, copy.parse().ok()?))
    }

    pub(crate) fn upload(&self, id: UploadId) -> PathBuf {
        let name = id.to_string();
        let mut path = self.uploads();
        path.push(&name[..FAN_OUT_DIGITS]);
        path.push(name);
        path
    }

    /// The name of the fan-out directory that `id` lies in.
    pub(crate) fn fan_out(id: UploadId) -> String {
        hex(&id.as_bytes()[..FAN_OUT_DIGITS / 2])
    }
}

/// The names of all fan-out directories.
pub(crate) fn fan_outs() -> impl Iterator<Item = String> {
    (0..=u8::MAX).map(|byte| hex(&[byte]))
}

/// Whether `name` can be that of a fan-out directory.
pub(crate) fn is_fan_out(name: &str) -> bool {
    name.len() == FAN_OUT_DIGITS && unhex(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_as_drawn() {
        let layout = Layout::new(Path::new("/data"));
        let copy = CopyId::from_bytes([0xcd; 16]);
        let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let blob = format!("/data/blobs/sha256/e3/{hash}.{}", "cd".repeat(16));
        assert_eq!(layout.blob(&Digest::sha256(b""), copy), Path::new(&blob));
        let name = Layout::blob_name(&Digest::sha256(b""), copy);
        assert_eq!(Layout::read_blob(Algorithm::Sha256, &name), Some((Digest::sha256(b""), copy)));
        assert_eq!(Layout::read_blob(Algorithm::Sha512, &name), None);
        let upload = UploadId::from_bytes([0xab; 16]);
        let path = format!("/data/uploads/ab/{}", "ab".repeat(16));
        assert_eq!(layout.upload(upload), Path::new(&path));
        assert_eq!(Layout::fan_out(upload), "ab");
    }
}
