//! Images that the tests push: OCI layouts with real file-system layers, for clients that build none themselves.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use kogge_testkit::content::{Item, Seed};
use kogge_types::{Algorithm, Digest};
use serde_json::{Value, json};

use super::sandbox::Sandbox;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Bytes of a big layer: tens of MiB, hundreds in the second tier.
pub(crate) fn big_layer_size() -> usize {
    if kogge_testkit::tier::is_long() { 300 << 20 } else { 24 << 20 }
}

/// A file that does not compress.
pub(crate) fn content(seed: u64, size: usize) -> Vec<u8> {
    Seed::new(seed).bytes(size).to_vec()
}

/// An OCI layout with one index of an image for amd64 and one for arm64, the first with a big layer.
pub(crate) struct Layout {
    pub(crate) folder: PathBuf,
    /// The same content for crane, which takes a layout's own `index.json` for the index to push.
    pub(crate) flat: PathBuf,
    /// The index.
    pub(crate) index: Item,
    /// The images, in the index's order.
    pub(crate) images: Vec<Item>,
}

impl Layout {
    /// Writes the layout into the sandbox, under the tag `v1`.
    pub(crate) fn write(sandbox: &Sandbox, name: &str) -> Self {
        let folder = sandbox.path(name);
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).expect("folders can be made");
        let mut images = Vec::new();
        let mut entries = Vec::new();
        for (seed, architecture, size) in [(1, "amd64", big_layer_size()), (2, "arm64", 4096)] {
            let image = write_image(&blobs, seed, architecture, size);
            let mut entry = image.descriptor();
            entry["platform"] = json!({"architecture": architecture, "os": "linux"});
            entries.push(entry);
            images.push(image);
        }
        let body = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
        let index = write_blob(&blobs, INDEX, body.to_string().into_bytes());
        let mut top = index.descriptor();
        top["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
        let top = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [top]});
        let flat = sandbox.path(&format!("{name}-flat"));
        fs::create_dir_all(&flat).expect("folders can be made");
        symlink(folder.join("blobs"), flat.join("blobs")).expect("links can be made");
        for (folder, index) in [(&folder, top.to_string().into_bytes()), (&flat, index.bytes.to_vec())] {
            fs::write(folder.join("index.json"), index).expect("files can be written");
            fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("files can be written");
        }
        Self { folder, flat, index, images }
    }
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.folder.display())
    }
}

/// Writes an image of a big layer of `size` bytes and a small one; returns its manifest.
fn write_image(blobs: &Path, seed: u64, architecture: &str, size: usize) -> Item {
    let archives = [archive("data", &content(seed, size)), archive("etc/motd", format!("image {seed}\n").as_bytes())];
    let ids: Vec<String> = archives.iter().map(|tar| Digest::of(Algorithm::Sha256, tar).to_string()).collect();
    let layers: Vec<Value> =
        archives.iter().map(|tar| write_blob(blobs, LAYER, gzip(blobs, tar)).descriptor()).collect();
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Labels": {"seed": seed.to_string()}},
        "rootfs": {"type": "layers", "diff_ids": ids},
        "history": [{"created_by": "data"}, {"created_by": "motd"}],
    });
    let config = write_blob(blobs, CONFIG, config.to_string().into_bytes());
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config.descriptor(), "layers": layers});
    write_blob(blobs, MANIFEST, manifest.to_string().into_bytes())
}

fn write_blob(blobs: &Path, media_type: &str, bytes: Vec<u8>) -> Item {
    let item = Item::new(Algorithm::Sha256, media_type, bytes);
    let digest = item.digest.to_string();
    let hex = digest.strip_prefix("sha256:").expect("the digest was asked to be sha256");
    fs::write(blobs.join(hex), &item.bytes).expect("files can be written");
    item
}

/// A tar of one file.
fn archive(path: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, path, content).expect("memory can be written to");
    archive.into_inner().expect("memory can be written to")
}

/// The content as gzip, by way of a file beside the blobs.
fn gzip(blobs: &Path, content: &[u8]) -> Vec<u8> {
    let file = blobs.with_file_name("uncompressed");
    fs::write(&file, content).expect("files can be written");
    let output = Command::new("gzip").args(["-1", "-n", "-c"]).arg(&file).output().expect("gzip can be started");
    assert!(output.status.success(), "gzip failed: {}", output.status);
    fs::remove_file(&file).expect("files can be removed");
    output.stdout
}
