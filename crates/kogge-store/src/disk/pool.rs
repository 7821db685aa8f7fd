//! Buffers for bytes on their way out, used again and again so that none is cleared or allocated per chunk.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use kogge_types::limits::READ_CHUNK_BYTES;

/// Pooled buffers that may be out at once: 16 MiB.
const LENT_MAX: usize = 64;
/// Pooled buffers that are kept when nobody needs them: 8 MiB.
const KEPT_MAX: usize = 32;
/// Reads up to this size get a buffer of their own size.
const SMALL_BYTES_MAX: usize = 32 * 1024;
/// What a reader gets when too many pooled buffers are out.
const SPARE_BYTES: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(crate) struct BufferPool {
    kept: Mutex<Vec<Vec<u8>>>,
    lent: AtomicUsize,
}

/// A buffer to read into.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// Bytes that the reader wants, then bytes that it got.
    length: usize,
    /// Where a pooled buffer goes back to.
    home: Option<Arc<BufferPool>>,
}

impl BufferPool {
    /// A buffer for `wanted` bytes, or for fewer: never more than [`READ_CHUNK_BYTES`].
    pub(crate) fn take(self: &Arc<Self>, wanted: usize) -> Buffer {
        let wanted = wanted.min(READ_CHUNK_BYTES);
        if wanted <= SMALL_BYTES_MAX {
            return Buffer { bytes: vec![0; wanted], length: wanted, home: None };
        }
        if self.lent.fetch_add(1, Ordering::Relaxed) >= LENT_MAX {
            self.lent.fetch_sub(1, Ordering::Relaxed);
            let length = wanted.min(SPARE_BYTES);
            return Buffer { bytes: vec![0; length], length, home: None };
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = kept.unwrap_or_else(|| vec![0; READ_CHUNK_BYTES]);
        Buffer { bytes, length: wanted, home: Some(Arc::clone(self)) }
    }

    fn put_back(&self, bytes: Vec<u8>) {
        self.lent.fetch_sub(1, Ordering::Relaxed);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.push(bytes);
        }
    }
}

impl Buffer {
    /// The part to read into.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    /// The first `length` bytes, which were read, without copying them.
    pub(crate) fn filled(mut self, length: usize) -> Bytes {
        debug_assert!(length <= self.length);
        self.length = length;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.put_back(mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_bytes_are_dropped() {
        let pool = Arc::new(BufferPool::default());
        let mut buffer = pool.take(READ_CHUNK_BYTES);
        let address = buffer.space().as_ptr();
        let bytes = buffer.filled(10);
        let part = bytes.slice(2..4);
        drop(bytes);
        assert_eq!(pool.lent.load(Ordering::Relaxed), 1);
        drop(part);
        assert_eq!(pool.lent.load(Ordering::Relaxed), 0);
        assert_eq!(pool.take(READ_CHUNK_BYTES).space().as_ptr(), address);
    }

    #[test]
    fn what_is_lent_and_kept_is_bounded() {
        let pool = Arc::new(BufferPool::default());
        let mut buffers: Vec<Buffer> = (0..LENT_MAX + 10).map(|_| pool.take(READ_CHUNK_BYTES)).collect();
        assert_eq!(buffers[LENT_MAX - 1].space().len(), READ_CHUNK_BYTES);
        assert_eq!(buffers[LENT_MAX].space().len(), SPARE_BYTES);
        assert_eq!(pool.lent.load(Ordering::Relaxed), LENT_MAX);
        drop(buffers);
        assert_eq!(pool.lent.load(Ordering::Relaxed), 0);
        assert_eq!(pool.kept.lock().unwrap().len(), KEPT_MAX);
    }

    #[test]
    fn small_reads_leave_the_pool_alone() {
        let pool = Arc::new(BufferPool::default());
        let buffer = pool.take(2_048);
        assert_eq!((buffer.bytes.capacity(), pool.lent.load(Ordering::Relaxed)), (2_048, 0));
    }
}
