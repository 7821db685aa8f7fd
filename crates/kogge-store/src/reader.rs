//! The reading end of stored bytes.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;

use crate::disk::read::{FileSource, FileStream};
use crate::error::{Result, StoreError};

/// An opened blob or upload, from which any number of ranges can be streamed.
#[derive(Debug, Clone)]
pub struct BlobReader {
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    File(FileSource),
}

impl BlobReader {
    pub(crate) fn file(source: FileSource) -> Self {
        Self { source: Source::File(source) }
    }

    /// Bytes that are stored.
    pub fn size(&self) -> u64 {
        match &self.source {
            Source::File(file) => file.size(),
        }
    }

    /// Streams the bytes of `range` in chunks of at most `limits::READ_CHUNK_BYTES`. An empty range gives an
    /// empty stream; one that reaches behind the end gives `TooShort` as its first item.
    pub fn stream(&self, range: Range<u64>) -> BlobStream {
        if range.end > self.size() && !range.is_empty() {
            let error = StoreError::TooShort { expected: range.end, found: self.size() };
            return BlobStream { chunks: Chunks::Refused(Some(error)) };
        }
        match &self.source {
            Source::File(file) => BlobStream { chunks: Chunks::File(file.stream(range)) },
        }
    }
}

/// Chunks of a stored range. Ends after the range's last byte or after an error, never early without one.
#[derive(Debug)]
pub struct BlobStream {
    chunks: Chunks,
}

#[derive(Debug)]
enum Chunks {
    File(FileStream),
    Refused(Option<StoreError>),
}

impl Stream for BlobStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.chunks {
            Chunks::File(file) => file.poll_chunk(context),
            Chunks::Refused(error) => Poll::Ready(error.take().map(Err)),
        }
    }
}
