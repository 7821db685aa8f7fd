//! What the disk store, its writers and its readers share.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kogge_types::limits;

use crate::disk::directories::Directories;
use crate::disk::layout::Layout;
use crate::disk::lease::Leases;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) layout: Layout,
    pub(crate) directories: Directories,
    pub(crate) leases: Arc<Leases>,
    /// Uploads that have a writer.
    active: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            layout: Layout::new(root),
            directories: Directories::new(root),
            leases: Arc::default(),
            active: AtomicUsize::new(0),
        }
    }

    /// Bytes that an upload gathers before a write: its share of what all may hold, counted twice because one
    /// write may be in flight while the next gathers.
    pub(crate) fn gather_bytes(&self) -> usize {
        let uploads = self.active.load(Ordering::Relaxed).max(1);
        (limits::UPLOAD_BUFFER_BYTES_MAX / (2 * uploads))
            .clamp(limits::UPLOAD_CHUNK_BYTES_MIN, limits::UPLOAD_CHUNK_BYTES_MAX)
    }
}

/// Counts an upload among the active ones while it lives.
#[derive(Debug)]
pub(crate) struct Active(Arc<Shared>);

impl Active {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        shared.active.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }

    pub(crate) fn gather_bytes(&self) -> usize {
        self.0.gather_bytes()
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_uploads_gather_less_each() {
        let shared = Arc::new(Shared::new(Path::new("/nowhere")));
        let mut uploads = vec![Active::new(Arc::clone(&shared))];
        assert_eq!(shared.gather_bytes(), limits::UPLOAD_CHUNK_BYTES_MAX);
        uploads.extend((1..200).map(|_| Active::new(Arc::clone(&shared))));
        let held = 2 * uploads.len() * shared.gather_bytes();
        assert!(held <= 30 * 1024 * 1024, "{held}");
        drop(uploads);
        assert_eq!(shared.gather_bytes(), limits::UPLOAD_CHUNK_BYTES_MAX);
    }
}
