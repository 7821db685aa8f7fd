//! OCI image layouts (OCI image specification, "Image Layout"): directories, and tars of them.

pub(crate) mod archive;
pub(crate) mod index;
pub(crate) mod reader;
pub(crate) mod writer;

use std::path::{Path, PathBuf};

use kogge_types::Digest;

/// The name of the file that marks a layout.
pub(crate) const MARKER: &str = "oci-layout";
/// What the marker holds.
pub(crate) const MARKER_CONTENT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
/// The name of the entry point.
pub(crate) const INDEX: &str = "index.json";
/// Bytes of `index.json` that are read.
pub(crate) const INDEX_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A blob's path within a layout.
pub(crate) fn blob_path(digest: &Digest) -> PathBuf {
    Path::new("blobs").join(digest.algorithm().as_str()).join(digest.hex())
}

/// The digest that a path within a layout stands for. Nothing but a blob's exact path has one.
pub(crate) fn digest_of_path(path: &str) -> Option<Digest> {
    let (algorithm, hash) = path.strip_prefix("blobs/")?.split_once('/')?;
    format!("{algorithm}:{hash}").parse().ok()
}

#[cfg(test)]
mod tests {
    use kogge_types::Algorithm;

    use super::*;

    #[test]
    fn only_a_blobs_own_path_has_a_digest() {
        for algorithm in Algorithm::ALL {
            let digest = Digest::of(algorithm, b"x");
            assert_eq!(digest_of_path(blob_path(&digest).to_str().expect("text")), Some(digest));
        }
        let hex = Digest::sha256(b"x").hex();
        for path in [
            format!("/blobs/sha256/{hex}"),
            format!("blobs/sha256/../sha256/{hex}"),
            format!("blobs/sha256/{hex}/"),
            format!("blobs/md5/{hex}"),
            format!("blobs/sha256:{hex}"),
            "index.json".to_owned(),
            String::new(),
        ] {
            assert_eq!(digest_of_path(&path), None, "{path}");
        }
    }
}
