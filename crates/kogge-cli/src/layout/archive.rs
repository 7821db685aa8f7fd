//! Tars of layouts. A tar is never unpacked: a walk over its headers finds where `index.json` and each blob lie, and
//! every other entry is left alone, whatever its name says.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use kogge_types::Digest;
use tar::{EntryType, Header, PaxExtensions};

use super::{INDEX, MARKER, blob_path, digest_of_path};
use crate::error::{During as _, Error, Result};

/// Bytes of a tar's records.
const RECORD_BYTES: u64 = 512;
/// Entries of one archive.
const ENTRIES_MAX: usize = 500_000;
/// Bytes of an extended header: a long name, or PAX records.
const EXTENSION_BYTES_MAX: u64 = 64 * 1024;

/// Bytes that are written to a tar at once.
const WRITE_BYTES: usize = 1024 * 1024;

/// Where something lies in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) start: u64,
    /// Bytes.
    pub(crate) size: u64,
}

/// What an archive has of a layout.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) marker: Option<Place>,
    pub(crate) index: Option<Place>,
    pub(crate) blobs: HashMap<Digest, Place>,
}

/// Extensions that apply to the entry after them.
#[derive(Default)]
struct Extension {
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Finds the parts of a layout in a tar.
pub(crate) fn survey(file: &File, what: &str) -> Result<Contents> {
    let length = file.metadata().during(|| format!("read {what}"))?.len();
    let mut contents = Contents::default();
    let mut extension = Extension::default();
    let mut position = 0;
    for _ in 0..ENTRIES_MAX {
        let Some(header) = header_at(file, position, length, what)? else { return Ok(contents) };
        let own_size = header.entry_size().map_err(|error| damaged(what).because(error))?;
        let is_extension = matches!(header.entry_type(), EntryType::GNULongName | EntryType::XHeader);
        let size = if is_extension { own_size } else { extension.size.take().unwrap_or(own_size) };
        let start = position + RECORD_BYTES;
        let end = start.checked_add(size).filter(|end| *end <= length);
        let end = end.ok_or_else(|| damaged(what).because("it ends in the middle of an entry"))?;
        match header.entry_type() {
            EntryType::GNULongName | EntryType::XHeader => {
                read_extension(file, header.entry_type(), Place { start, size }, &mut extension, what)?;
            }
            EntryType::Regular | EntryType::Continuous => {
                let name = extension.name.take().unwrap_or_else(|| header.path_bytes().into_owned());
                contents.note(&name, Place { start, size });
            }
            _ => extension = Extension::default(),
        }
        position = end.next_multiple_of(RECORD_BYTES);
    }
    Err(Error::general(format!("{what} has more than {ENTRIES_MAX} entries")))
}

impl Contents {
    /// Takes note of a regular file. The first of a name counts.
    fn note(&mut self, name: &[u8], place: Place) {
        let Ok(name) = std::str::from_utf8(name) else { return };
        let name = name.strip_prefix("./").unwrap_or(name);
        if name == INDEX {
            self.index.get_or_insert(place);
        } else if name == MARKER {
            self.marker.get_or_insert(place);
        } else if let Some(digest) = digest_of_path(name) {
            self.blobs.entry(digest).or_insert(place);
        }
    }
}

/// The header at a position; `None` at the archive's end, which is an empty record or the end of the file.
fn header_at(file: &File, position: u64, length: u64, what: &str) -> Result<Option<Header>> {
    if position >= length {
        return if position == 0 { Err(damaged(what).because("it is empty")) } else { Ok(None) };
    }
    let mut header = Header::new_old();
    file.read_exact_at(header.as_mut_bytes(), position).map_err(|error| damaged(what).because(error))?;
    let bytes = header.as_bytes();
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    // The checksum counts its own eight bytes as spaces.
    let sum: u32 =
        bytes.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) }).sum();
    if header.cksum().ok() != Some(sum) {
        return Err(not_tar(what, position, bytes));
    }
    Ok(Some(header))
}

fn read_extension(file: &File, kind: EntryType, place: Place, extension: &mut Extension, what: &str) -> Result<()> {
    if place.size > EXTENSION_BYTES_MAX {
        return Err(damaged(what).because("an entry has an overlong name or attributes"));
    }
    let mut text = vec![0; usize::try_from(place.size).expect("it is small")];
    file.read_exact_at(&mut text, place.start).map_err(|error| damaged(what).because(error))?;
    if kind == EntryType::GNULongName {
        text.truncate(text.iter().position(|byte| *byte == 0).unwrap_or(text.len()));
        extension.name = Some(text);
        return Ok(());
    }
    for record in PaxExtensions::new(&text) {
        let record = record.map_err(|error| damaged(what).because(error))?;
        match record.key_bytes() {
            b"path" => extension.name = Some(record.value_bytes().to_vec()),
            b"size" => {
                let size = record.value().ok().and_then(|text| text.parse().ok());
                extension.size = Some(size.ok_or_else(|| damaged(what).because("an entry's size is no number"))?);
            }
            _ => {}
        }
    }
    Ok(())
}

fn damaged(what: &str) -> Error {
    Error::general(format!("{what} is not a whole tar"))
}

fn not_tar(what: &str, position: u64, bytes: &[u8]) -> Error {
    let error = damaged(what);
    match bytes {
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] if position == 0 => {
            error.because("it is compressed").hint("decompress it first; its layers are compressed already")
        }
        _ => error.because(format!("there is no header at byte {position}")),
    }
}

/// Writes a layout as a tar: marker, index, then `blobs` from the layout directory `staged`, each removed from there
/// once it is in the archive, so that no more than one blob is on the disk twice.
pub(crate) fn assemble(file: &File, staged: &Path, index: &[u8], blobs: &[Digest]) -> io::Result<()> {
    let mut builder = tar::Builder::new(io::BufWriter::with_capacity(WRITE_BYTES, file));
    append(&mut builder, Path::new(MARKER), super::MARKER_CONTENT.len() as u64, super::MARKER_CONTENT.as_bytes())?;
    append(&mut builder, Path::new(INDEX), index.len() as u64, index)?;
    for digest in blobs {
        let within = blob_path(digest);
        let path = staged.join(&within);
        let blob = File::open(&path)?;
        let size = blob.metadata()?.len();
        append(&mut builder, &within, size, blob)?;
        std::fs::remove_file(&path)?;
    }
    builder.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn append(builder: &mut tar::Builder<impl io::Write>, path: &Path, size: u64, data: impl io::Read) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    builder.append_data(&mut header, path, data)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use kogge_types::Algorithm;

    use super::*;

    fn survey_of(bytes: &[u8]) -> Result<Contents> {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("written");
        survey(&file, "the archive")
    }

    fn tar_of(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, data) in entries {
            let mut header = Header::new_gnu();
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            header.set_entry_type(*kind);
            // Tricky names are wanted as they are; the library refuses them.
            if name.len() < 100 {
                header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
                header.set_cksum();
                builder.append(&header, *data).expect("appended");
            } else {
                builder.append_data(&mut header, name, *data).expect("appended");
            }
        }
        builder.into_inner().expect("finished")
    }

    #[test]
    fn parts_are_found_and_the_rest_is_left_alone() {
        let (short, long) = (Digest::sha256(b"x"), Digest::of(Algorithm::Sha512, b"y"));
        let (short_path, long_path) =
            (format!("./{}", blob_path(&short).display()), blob_path(&long).display().to_string());
        let bytes = tar_of(&[
            ("../../etc/passwd", EntryType::Regular, b"evil"),
            ("blobs/", EntryType::Directory, b""),
            ("index.json", EntryType::Symlink, b""),
            ("index.json", EntryType::Regular, b"{}"),
            ("index.json", EntryType::Regular, b"second"),
            (&short_path, EntryType::Regular, b"x"),
            (&long_path, EntryType::Regular, b"y"),
        ]);
        let contents = survey_of(&bytes).expect("a tar");
        let at = |place: Place| {
            let start = usize::try_from(place.start).expect("small");
            &bytes[start..start + usize::try_from(place.size).expect("small")]
        };
        assert_eq!(at(contents.index.expect("found")), b"{}");
        assert_eq!(contents.blobs.len(), 2);
        assert_eq!((at(contents.blobs[&short]), at(contents.blobs[&long])), (&b"x"[..], &b"y"[..]));
        assert_eq!(contents.marker, None);
    }

    #[test]
    fn pax_records_give_name_and_size() {
        let digest = Digest::sha256(b"abc");
        let mut builder = tar::Builder::new(Vec::new());
        let path = blob_path(&digest).display().to_string();
        builder.append_pax_extensions([("path", path.as_bytes()), ("size", &b"3"[..])]).expect("appended");
        let mut header = Header::new_gnu();
        header.set_size(3);
        header.as_old_mut().name[0] = b'x';
        header.set_cksum();
        builder.append(&header, &b"abc"[..]).expect("appended");
        let contents = survey_of(&builder.into_inner().expect("finished")).expect("a tar");
        assert_eq!(contents.blobs[&digest].size, 3);
    }

    #[test]
    fn what_is_no_whole_tar_is_refused() {
        let check = |bytes: &[u8], expected: &str| {
            let error = survey_of(bytes).expect_err(expected);
            assert!(error.chain().contains(expected), "{}", error.chain());
        };
        let whole = tar_of(&[("index.json", EntryType::Regular, &[b'x'; 600])]);
        check(&[], "empty");
        check(&[0x1f; 1], "not a whole tar");
        check(&[b'z'; 2_048], "no header");
        check(&whole[..1_000], "middle of an entry");
        let mut gzip = vec![0x1f, 0x8b];
        gzip.resize(1_024, 1);
        check(&gzip, "compressed");
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(EXTENSION_BYTES_MAX + 1);
        header.set_cksum();
        let name = vec![b'n'; usize::try_from(EXTENSION_BYTES_MAX).expect("small") + 1];
        builder.append(&header, &name[..]).expect("appended");
        check(&builder.into_inner().expect("finished"), "overlong name");
    }

    #[test]
    fn an_entry_that_claims_more_than_the_file_is_refused() {
        let mut header = Header::new_gnu();
        header.set_size(u64::MAX / 2);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(&[0; 512]);
        assert!(survey_of(&bytes).is_err());
    }
}
