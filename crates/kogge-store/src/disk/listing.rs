//! What lies in the store, page by page, in the order of the names: fan-out directories are in that order too, so
//! that a page reads few of them.

use std::path::Path;
use std::time::UNIX_EPOCH;
use std::{fs, io};

use kogge_types::{Algorithm, CopyId, Digest, UploadId, clock, limits};

use crate::disk::layout::{self, Layout};
use crate::store::StoredCopy;

/// One page of uploads behind `after`.
pub(crate) fn uploads(directory: &Path, after: Option<UploadId>) -> io::Result<Vec<UploadId>> {
    let first = after.map(Layout::fan_out);
    let mut page = Vec::new();
    for fan_out in fan_outs(directory, first.as_deref())? {
        let mut ids: Vec<UploadId> = names(&directory.join(&fan_out))?
            .iter()
            .filter_map(|name| name.parse().ok())
            .filter(|id| after.is_none_or(|after| *id > after))
            .collect();
        ids.sort_unstable();
        page.append(&mut ids);
        if page.len() >= limits::WORK_BATCH_ROWS {
            page.truncate(limits::WORK_BATCH_ROWS);
            break;
        }
    }
    Ok(page)
}

/// One page of committed copies behind `after`.
pub(crate) fn copies(directory: &Path, after: Option<(Digest, CopyId)>) -> io::Result<Vec<StoredCopy>> {
    let mut page = Vec::new();
    for algorithm in Algorithm::ALL {
        if after.is_some_and(|(digest, _)| digest.algorithm() > algorithm) {
            continue;
        }
        let directory = directory.join(algorithm.as_str());
        if !directory.is_dir() {
            continue;
        }
        let first = after.filter(|(digest, _)| digest.algorithm() == algorithm).map(|(digest, _)| {
            let hex = digest.hex();
            hex[..layout::FAN_OUT_DIGITS].to_owned()
        });
        for fan_out in fan_outs(&directory, first.as_deref())? {
            let directory = directory.join(&fan_out);
            let mut found: Vec<(Digest, CopyId)> = names(&directory)?
                .iter()
                .filter_map(|name| Layout::read_blob(algorithm, name))
                .filter(|copy| after.is_none_or(|after| *copy > after))
                .collect();
            found.sort_unstable();
            for (digest, copy) in found {
                page.extend(stat(&directory, digest, copy)?);
                if page.len() >= limits::WORK_BATCH_ROWS {
                    return Ok(page);
                }
            }
        }
    }
    Ok(page)
}

/// A copy with its age, unless it was removed meanwhile.
fn stat(directory: &Path, digest: Digest, copy: CopyId) -> io::Result<Option<StoredCopy>> {
    match fs::metadata(directory.join(Layout::blob_name(&digest, copy))) {
        Ok(found) => {
            let age = found.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            Ok(Some(StoredCopy { digest, copy, written_at_us: clock::micros(age) }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The fan-out directories from `first` on, in order.
fn fan_outs(directory: &Path, first: Option<&str>) -> io::Result<Vec<String>> {
    let mut found = names(directory)?;
    found.retain(|name| layout::is_fan_out(name) && first.is_none_or(|first| name.as_str() >= first));
    found.sort_unstable();
    Ok(found)
}

/// The names in a directory; those that are not text are none of the store's.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.extend(entry?.file_name().to_str().map(str::to_owned));
    }
    Ok(names)
}
