//! Reading files: from the page cache on the caller's thread, from the disk on one that may block.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::task::JoinHandle;

use crate::disk::pool::{Buffer, BufferPool};
use crate::disk::task;
use crate::error::{Result, StoreError};

/// What all readers of a store share.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    buffers: Arc<BufferPool>,
    /// The file system refused a read that must not wait: do not ask again.
    must_wait: AtomicBool,
}

impl Readers {
    /// Opens `path`: at once if the kernel has its directories at hand, else on a thread that may block.
    pub(crate) async fn open(self: &Arc<Self>, path: PathBuf) -> Result<FileSource> {
        let file = match open_cached(&path) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Err(StoreError::NotFound),
            Err(_) => {
                task::run(move || File::open(&path).map_err(|error| StoreError::io("open the blob", error))).await?
            }
        };
        let size = file.metadata().map_err(|error| StoreError::io("look at the blob", error))?.len();
        Ok(FileSource { readers: Arc::clone(self), file: Arc::new(file), size })
    }
}

#[cfg(test)]
impl Readers {
    /// Behaves from now on as on a file system that refuses reads that must not wait.
    pub(crate) fn wait_always(&self) {
        self.must_wait.store(true, Ordering::Relaxed);
    }
}

fn open_cached(path: &Path) -> rustix::io::Result<File> {
    openat2(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::CACHED).map(File::from)
}

/// An open file.
#[derive(Debug, Clone)]
pub(crate) struct FileSource {
    readers: Arc<Readers>,
    file: Arc<File>,
    size: u64,
}

impl FileSource {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn stream(&self, range: Range<u64>) -> FileStream {
        FileStream { source: self.clone(), at: range.start, end: range.end, waiting: None }
    }

    /// Reads into `buffer` what is in memory. `None` when only a read that may wait can tell.
    fn read_now(&self, buffer: &mut Buffer, at: u64) -> Option<io::Result<usize>> {
        if self.readers.must_wait.load(Ordering::Relaxed) {
            return None;
        }
        match preadv2(&self.file, &mut [IoSliceMut::new(buffer.space())], at, ReadWriteFlags::NOWAIT) {
            Ok(length) => Some(Ok(length)),
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                self.readers.must_wait.store(true, Ordering::Relaxed);
                None
            }
            Err(error) => Some(Err(error.into())),
        }
    }
}

/// Chunks of a range of a file.
#[derive(Debug)]
pub(crate) struct FileStream {
    source: FileSource,
    at: u64,
    end: u64,
    waiting: Option<JoinHandle<(Buffer, io::Result<usize>)>>,
}

impl FileStream {
    pub(crate) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let mut waiting = match self.waiting.take() {
            Some(waiting) => waiting,
            None if self.at >= self.end => return Poll::Ready(None),
            None => {
                let wanted = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
                let mut buffer = self.source.readers.buffers.take(wanted);
                match self.source.read_now(&mut buffer, self.at) {
                    Some(result) => return Poll::Ready(Some(self.chunk(buffer, result))),
                    None => self.read_later(buffer),
                }
            }
        };
        match Pin::new(&mut waiting).poll(context) {
            Poll::Pending => {
                self.waiting = Some(waiting);
                Poll::Pending
            }
            Poll::Ready(Ok((buffer, result))) => Poll::Ready(Some(self.chunk(buffer, result))),
            Poll::Ready(Err(error)) => {
                self.at = self.end;
                Poll::Ready(Some(Err(task::lost(error))))
            }
        }
    }

    fn read_later(&self, mut buffer: Buffer) -> JoinHandle<(Buffer, io::Result<usize>)> {
        let (file, at) = (Arc::clone(&self.source.file), self.at);
        tokio::task::spawn_blocking(move || {
            let result = file.read_at(buffer.space(), at);
            (buffer, result)
        })
    }

    /// Turns the outcome of a read into an item and moves on; after a failure the stream is over.
    fn chunk(&mut self, buffer: Buffer, result: io::Result<usize>) -> Result<Bytes> {
        match result {
            Ok(0) => {
                let error = StoreError::TooShort { expected: self.end, found: self.at };
                self.at = self.end;
                Err(error)
            }
            Ok(length) => {
                self.at += length as u64;
                Ok(buffer.filled(length))
            }
            Err(error) => {
                self.at = self.end;
                Err(StoreError::io("read the blob", error))
            }
        }
    }
}
