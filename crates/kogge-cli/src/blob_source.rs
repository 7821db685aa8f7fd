//! Where a blob's bytes come from. A source can be opened again at any offset, which is what resuming needs.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use kogge_types::{Digest, RepositoryName};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::client::Client;
use crate::error::{During as _, Error, Result};

/// Bytes as they come, each piece of bounded size.
pub(crate) type ByteStream = BoxStream<'static, Result<Bytes>>;

/// Bytes read from a file at once.
const FILE_READ_BYTES: usize = 256 * 1024;

/// A blob's origin.
#[derive(Clone)]
pub(crate) enum BlobSource {
    /// On a registry.
    Registry { client: Arc<Client>, repository: RepositoryName, digest: Digest, size: u64 },
    /// In a file, from byte `start` on: a blob file of a layout, or its place in a tar.
    File { path: PathBuf, start: u64, size: u64 },
}

impl BlobSource {
    /// The blob's bytes from `offset` on. Whoever reads checks their number and digest.
    pub(crate) async fn open(&self, offset: u64) -> Result<ByteStream> {
        match self {
            Self::Registry { client, repository, digest, size } => {
                client.open_blob(repository, digest, *size, offset).await
            }
            Self::File { path, start, size } => {
                open_file(path.clone(), start + offset, size.saturating_sub(offset)).await
            }
        }
    }
}

async fn open_file(path: PathBuf, start: u64, size: u64) -> Result<ByteStream> {
    let action = || format!("read {}", path.display());
    let mut file = tokio::fs::File::open(&path).await.during(action)?;
    file.seek(std::io::SeekFrom::Start(start)).await.during(action)?;
    let shown = path.display().to_string();
    let stream = unfold((file, size), move |(mut file, left)| {
        let shown = shown.clone();
        async move {
            if left == 0 {
                return None;
            }
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(FILE_READ_BYTES);
            let mut piece = vec![0; wanted];
            let read = match file.read(&mut piece).await {
                Ok(0) => Err(Error::general(format!("{shown} ends {left} bytes too early"))),
                read => read.during(|| format!("read {shown}")),
            };
            match read {
                Ok(count) => {
                    piece.truncate(count);
                    Some((Ok(Bytes::from(piece)), (file, left - count as u64)))
                }
                Err(error) => Some((Err(error), (file, 0))),
            }
        }
    });
    Ok(stream.boxed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_from_any_offset_and_no_further_than_its_size() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("data");
        std::fs::write(&path, b"0123456789").expect("written");
        let check = async |start: u64, size: u64, offset: u64, expected: &[u8]| {
            let source = BlobSource::File { path: path.clone(), start, size };
            let pieces: Vec<Result<Bytes>> = source.open(offset).await.expect("opened").collect().await;
            let read: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.expect("read")).collect();
            assert_eq!(read, expected, "{start} {size} {offset}");
        };
        check(0, 10, 0, b"0123456789").await;
        check(2, 3, 0, b"234").await;
        check(2, 3, 2, b"4").await;
        check(2, 3, 3, b"").await;
        let short = BlobSource::File { path: path.clone(), start: 8, size: 5 };
        let pieces: Vec<Result<Bytes>> = short.open(0).await.expect("opened").collect().await;
        assert!(pieces.last().is_some_and(Result::is_err));
    }
}
