//! Chunks that wait to be written together.

use std::mem;

use bytes::{Bytes, BytesMut};

/// Chunks shorter than this are copied together: a short chunk would otherwise keep its whole network buffer
/// in memory and cost a vector entry of its own.
const COPIED_BYTES_MAX: usize = 4 * 1024;

/// Bytes in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    parts: Vec<Bytes>,
    /// Short chunks behind the last part.
    tail: BytesMut,
    bytes: usize,
}

impl Gather {
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        if chunk.len() < COPIED_BYTES_MAX {
            self.tail.extend_from_slice(&chunk);
        } else {
            self.close_tail();
            self.parts.push(chunk);
        }
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes out all that waits.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        self.close_tail();
        self.bytes = 0;
        mem::take(&mut self.parts)
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.parts.push(mem::take(&mut self.tail).freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_chunks_are_joined_and_order_is_kept() {
        let mut gather = Gather::default();
        for _ in 0..1_000 {
            gather.push(Bytes::from_static(b"ab"));
        }
        gather.push(Bytes::from(vec![b'c'; COPIED_BYTES_MAX]));
        gather.push(Bytes::from_static(b"d"));
        assert_eq!(gather.bytes(), 2_000 + COPIED_BYTES_MAX + 1);
        let parts = gather.take();
        assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), [2_000, COPIED_BYTES_MAX, 1]);
        assert_eq!(gather.bytes(), 0);
        assert!(gather.take().is_empty());
    }
}
