//! Writing a layout. Blobs arrive in temporary files and get their names when they are whole; `index.json` is replaced
//! last. A tar is gathered in a directory beside it first, which an interrupted command leaves for the next attempt.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use kogge_types::{Algorithm, Descriptor, Digest, Tag};

use super::archive::assemble;
use super::index::LayoutIndex;
use super::{INDEX, INDEX_BYTES_MAX, MARKER, MARKER_CONTENT, blob_path};
use crate::blob_source::BlobSource;
use crate::client::blobs::download;
use crate::client::manifests::ManifestContent;
use crate::error::{During as _, Error, Result};
use crate::location::{LayoutForm, LayoutLocation};
use crate::progress::Meter;

/// The directory of a layout where blobs are gathered.
const PARTIAL: &str = ".kogge-partial";

/// A layout that is being written. No other process writes to it meanwhile.
pub(crate) struct LayoutWriter {
    /// The layout directory: the one wanted, or the one that the tar is made of.
    root: PathBuf,
    /// The tar that is wanted.
    archive: Option<PathBuf>,
    /// The blobs that the tar gets.
    wanted: Mutex<BTreeSet<Digest>>,
    /// Entries for the index, in the order in which they came.
    entries: Mutex<Vec<(Descriptor, Option<Tag>)>>,
    /// Holds the lock.
    _marker: File,
}

impl LayoutWriter {
    pub(crate) async fn open(location: &LayoutLocation) -> Result<Self> {
        let location = location.clone();
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(&location));
        opened.await.expect("opening a layout does not panic")
    }

    fn open_blocking(location: &LayoutLocation) -> Result<Self> {
        let (root, archive) = match location.form {
            LayoutForm::Directory => (location.path.clone(), None),
            LayoutForm::Archive => {
                let mut staged = location.path.clone().into_os_string();
                staged.push(".partial");
                (PathBuf::from(staged), Some(location.path.clone()))
            }
        };
        let action = || format!("write the layout {}", root.display());
        if archive.as_ref().is_some_and(|path| path.is_dir()) {
            return Err(Error::usage(format!("{} is a directory, not a tar", location.path.display())));
        }
        if !root.join(MARKER).exists() && std::fs::read_dir(&root).is_ok_and(|mut entries| entries.next().is_some()) {
            let message = format!("{} is neither empty nor an OCI layout", root.display());
            return Err(Error::usage(message).hint("name a directory that does not exist yet"));
        }
        for algorithm in Algorithm::ALL {
            std::fs::create_dir_all(root.join("blobs").join(algorithm.as_str())).during(action)?;
        }
        std::fs::create_dir_all(root.join(PARTIAL)).during(action)?;
        let mut options = File::options();
        let mut marker =
            options.read(true).write(true).create(true).truncate(false).open(root.join(MARKER)).during(action)?;
        marker.try_lock().map_err(|_| {
            Error::general(format!("another command writes to the layout {}", root.display()))
                .hint("wait until it ends")
        })?;
        if marker.metadata().during(action)?.len() == 0 {
            marker.write_all(MARKER_CONTENT.as_bytes()).during(action)?;
        }
        let (wanted, entries) = (Mutex::default(), Mutex::default());
        Ok(Self { root, archive, wanted, entries, _marker: marker })
    }

    /// Whether the blob is there, whole: a file has its name only then.
    pub(crate) fn has_blob(&self, descriptor: &Descriptor) -> bool {
        let path = self.root.join(blob_path(&descriptor.digest));
        let there = std::fs::metadata(path).is_ok_and(|own| own.is_file() && own.len() == descriptor.size);
        if there {
            self.want(descriptor.digest);
        }
        there
    }

    pub(crate) async fn put_blob(&self, descriptor: &Descriptor, source: &BlobSource, meter: &Meter) -> Result<()> {
        let partial = self.partial(&descriptor.digest);
        download(source, descriptor, &partial, meter).await?;
        self.name_blob(&partial, &descriptor.digest)
    }

    /// Puts a manifest's bytes among the blobs.
    pub(crate) async fn put_manifest(&self, content: &ManifestContent) -> Result<()> {
        let partial = self.partial(&content.digest);
        let action = || format!("write {}", partial.display());
        tokio::fs::write(&partial, &content.bytes).await.during(action)?;
        tokio::fs::File::open(&partial).await.during(action)?.sync_all().await.during(action)?;
        self.name_blob(&partial, &content.digest)
    }

    /// Lets the index name a manifest, once the layout is finished.
    pub(crate) fn name(&self, entry: Descriptor, tag: Option<Tag>) {
        self.entries.lock().expect("nobody panics while holding it").push((entry, tag));
    }

    /// Writes the index, and the tar if one is wanted.
    pub(crate) async fn finish(self) -> Result<()> {
        tokio::task::spawn_blocking(move || self.finish_blocking()).await.expect("finishing a layout does not panic")
    }

    fn finish_blocking(self) -> Result<()> {
        let action = || format!("finish the layout {}", self.root.display());
        let mut index = match &self.archive {
            Some(_) => LayoutIndex::empty(),
            None => self.read_index()?,
        };
        for (entry, tag) in self.entries.lock().expect("nobody panics while holding it").iter() {
            index.put(entry, tag.as_ref());
        }
        let Some(archive) = &self.archive else {
            replace(&self.root, &self.root.join(INDEX), |file| file.write_all(&index.to_bytes())).during(action)?;
            // Another command's unfinished blobs may be there: then it stays.
            let _ = std::fs::remove_dir(self.root.join(PARTIAL));
            return Ok(());
        };
        let folder = archive.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let wanted: Vec<Digest> = self.wanted.lock().expect("nobody panics while holding it").iter().copied().collect();
        replace(folder, archive, |file| assemble(file, &self.root, &index.to_bytes(), &wanted))
            .during(|| format!("write {}", archive.display()))?;
        std::fs::remove_dir_all(&self.root).during(action)
    }

    fn read_index(&self) -> Result<LayoutIndex> {
        let path = self.root.join(INDEX);
        let shown = self.root.display().to_string();
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(LayoutIndex::empty()),
            Ok(metadata) if metadata.len() > INDEX_BYTES_MAX => {
                Err(Error::general(format!("the index.json of {shown} is over {INDEX_BYTES_MAX} bytes")))
            }
            _ => LayoutIndex::parse(&std::fs::read(&path).during(|| format!("read {}", path.display()))?, &shown),
        }
    }

    fn partial(&self, digest: &Digest) -> PathBuf {
        self.root.join(PARTIAL).join(format!("{}-{}", digest.algorithm(), digest.hex()))
    }

    fn name_blob(&self, partial: &Path, digest: &Digest) -> Result<()> {
        let path = self.root.join(blob_path(digest));
        std::fs::rename(partial, &path).during(|| format!("write {}", path.display()))?;
        self.want(*digest);
        Ok(())
    }

    fn want(&self, digest: Digest) {
        if self.archive.is_some() {
            self.wanted.lock().expect("nobody panics while holding it").insert(digest);
        }
    }
}

/// Writes a file in `folder` and gives it its name when it is whole and on the disk.
fn replace(folder: &Path, path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut file = tempfile::Builder::new()
        .prefix(".kogge-")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    write(file.as_file_mut())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}
