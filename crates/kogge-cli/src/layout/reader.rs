//! Reading a layout, from a directory or from a tar.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::StreamExt as _;
use kogge_types::{Descriptor, Digest, Manifest, ManifestKind, Reference, Tag, limits};
use tokio::sync::OnceCell;

use super::archive::{Contents, Place, survey};
use super::index::LayoutIndex;
use super::{INDEX, INDEX_BYTES_MAX, MARKER, blob_path};
use crate::blob_source::BlobSource;
use crate::client::manifests::ManifestContent;
use crate::error::{During as _, Error, Result};
use crate::location::{LayoutForm, LayoutLocation};

/// An open layout.
pub(crate) struct LayoutReader {
    path: PathBuf,
    shown: String,
    /// Where the blobs lie, when the layout is a tar.
    places: Option<HashMap<Digest, Place>>,
    index: LayoutIndex,
    /// The entries of the index that have a subject, by their subject.
    referrers: OnceCell<HashMap<Digest, Vec<Descriptor>>>,
}

impl LayoutReader {
    pub(crate) async fn open(location: &LayoutLocation) -> Result<Self> {
        let location = location.clone();
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(location));
        opened.await.expect("opening a layout does not panic")
    }

    fn open_blocking(location: LayoutLocation) -> Result<Self> {
        let shown = location.path.display().to_string();
        let (places, index) = match location.form {
            LayoutForm::Directory => (None, read_directory_index(&location.path, &shown)?),
            LayoutForm::Archive => {
                let file = File::open(&location.path).during(|| format!("open {shown}"))?;
                let contents = survey(&file, &shown)?;
                let index = read_archive_index(&file, &contents, &shown)?;
                (Some(contents.blobs), index)
            }
        };
        let index = LayoutIndex::parse(&index, &shown)?;
        Ok(Self { path: location.path, shown, places, index, referrers: OnceCell::new() })
    }

    /// The entry of the index that is meant.
    pub(crate) fn find(&self, reference: Option<&Reference>) -> Result<Descriptor> {
        self.index.find(reference, &self.shown)
    }

    pub(crate) fn tags(&self) -> Vec<Tag> {
        self.index.tags()
    }

    /// Where a blob's bytes are. Its size must be the descriptor's.
    pub(crate) fn blob(&self, descriptor: &Descriptor) -> Result<BlobSource> {
        let digest = &descriptor.digest;
        let missing = || Error::not_found(format!("{} has no blob {digest}", self.shown));
        let source = match &self.places {
            Some(places) => {
                let place = places.get(digest).ok_or_else(missing)?;
                BlobSource::File { path: self.path.clone(), start: place.start, size: place.size }
            }
            None => {
                let path = self.path.join(blob_path(digest));
                let size = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file).ok_or_else(missing)?.len();
                BlobSource::File { path, start: 0, size }
            }
        };
        match &source {
            BlobSource::File { size, .. } if *size != descriptor.size => {
                let expected = descriptor.size;
                Err(Error::general(format!("{}: the blob {digest} has {size} bytes, not {expected}", self.shown)))
            }
            _ => Ok(source),
        }
    }

    /// A manifest's bytes, verified.
    pub(crate) async fn manifest(&self, descriptor: &Descriptor) -> Result<ManifestContent> {
        let digest = descriptor.digest;
        if descriptor.size > limits::MANIFEST_BYTES_MAX as u64 {
            let message = format!("{}: the manifest {digest} is over {} bytes", self.shown, limits::MANIFEST_BYTES_MAX);
            return Err(Error::general(message));
        }
        let mut stream = self.blob(descriptor)?.open(0).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece?);
        }
        let what = format!("the manifest {digest} of {}", self.shown);
        ManifestContent::verified(digest, Some(&descriptor.media_type), Bytes::from(bytes), &what)
    }

    /// The entries of the index whose subject is `subject`.
    pub(crate) async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        let all = self.referrers.get_or_try_init(|| self.survey_referrers()).await?;
        Ok(all.get(subject).cloned().unwrap_or_default())
    }

    async fn survey_referrers(&self) -> Result<HashMap<Digest, Vec<Descriptor>>> {
        let mut found: HashMap<Digest, Vec<Descriptor>> = HashMap::new();
        for entry in self.index.entries() {
            if ManifestKind::of(&entry.media_type).is_none() {
                continue;
            }
            let content = self.manifest(&entry).await?;
            let subject = Manifest::parse(&content.media_type, &content.bytes).ok().and_then(|own| own.subject);
            if let Some(subject) = subject {
                found.entry(subject.digest).or_default().push(entry);
            }
        }
        Ok(found)
    }
}

fn read_directory_index(path: &Path, shown: &str) -> Result<Vec<u8>> {
    if path.is_dir() && !path.join(MARKER).is_file() {
        return Err(not_layout(shown));
    }
    let index = path.join(INDEX);
    let size = std::fs::metadata(&index).during(|| format!("read {}", index.display()))?.len();
    check_index_size(size, shown)?;
    std::fs::read(&index).during(|| format!("read {}", index.display()))
}

fn read_archive_index(file: &File, contents: &Contents, shown: &str) -> Result<Vec<u8>> {
    let (Some(_), Some(place)) = (contents.marker, contents.index) else { return Err(not_layout(shown)) };
    check_index_size(place.size, shown)?;
    let mut text = vec![0; usize::try_from(place.size).expect("it is within the limit")];
    file.read_exact_at(&mut text, place.start).during(|| format!("read {shown}"))?;
    Ok(text)
}

fn check_index_size(size: u64, shown: &str) -> Result<()> {
    if size <= INDEX_BYTES_MAX {
        return Ok(());
    }
    Err(Error::general(format!("the index.json of {shown} is over {INDEX_BYTES_MAX} bytes")))
}

fn not_layout(shown: &str) -> Error {
    Error::general(format!("{shown} is not an OCI layout: it lacks `{MARKER}` or `{INDEX}`"))
        .hint("`docker save` writes one since version 25; older tars must be loaded and pushed by docker")
}
