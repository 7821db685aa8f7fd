//! Blobs on their way from a registry: looked for, streamed, resumed, verified.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{StreamExt as _, unfold};
use kogge_types::{Descriptor, Digest, Hasher, RepositoryName};
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use super::authorizer::Scopes;
use super::manifests::text_header;
use super::retry::Backoff;
use super::{Client, Request, failure};
use crate::blob_source::{BlobSource, ByteStream};
use crate::error::{During as _, Error, Kind, Result};
use crate::progress::Meter;

/// How long a download may give no byte.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Bytes of a partial file that are hashed at once.
const HASH_READ_BYTES: usize = 256 * 1024;

impl Client {
    /// Whether the repository has the blob.
    pub(crate) async fn has_blob(&self, repository: &RepositoryName, digest: &Digest, scopes: Scopes) -> Result<bool> {
        let action = format!("look for the blob {digest} in {}/{repository}", self.host());
        let url = self.repository_url(repository, &format!("blobs/{digest}"));
        let response = self.execute(&Request::new(Method::HEAD, url, scopes), &action).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.failure(response, &action).await),
        }
    }

    /// A blob's bytes from `offset` on. A registry that does not know ranges sends all; the beginning is then skipped.
    pub(crate) async fn open_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size: u64,
        offset: u64,
    ) -> Result<ByteStream> {
        let action = format!("get the blob {digest} of {}/{repository}", self.host());
        let url = self.repository_url(repository, &format!("blobs/{digest}"));
        let mut request = Request::new(Method::GET, url, Scopes::pull(repository));
        if offset > 0 {
            let range = HeaderValue::try_from(format!("bytes={offset}-")).expect("digits are visible ASCII");
            request.headers.insert(RANGE, range);
        }
        let response = self.execute(&request, &action).await?;
        let skip = match response.status() {
            StatusCode::OK => offset,
            StatusCode::PARTIAL_CONTENT if begins_at(&response, offset) => 0,
            StatusCode::PARTIAL_CONTENT => {
                return Err(Error::general(format!("cannot {action}: the answer is another range than was asked for")));
            }
            StatusCode::RANGE_NOT_SATISFIABLE if offset == size => {
                return Ok(futures_util::stream::empty().boxed());
            }
            _ => return Err(self.failure(response, &action).await),
        };
        Ok(body_stream(response, skip, action, self.host().clone()))
    }
}

fn begins_at(response: &Response, offset: u64) -> bool {
    text_header(response.headers(), CONTENT_RANGE.as_str())
        .is_some_and(|range| range.strip_prefix("bytes ").is_some_and(|range| range.starts_with(&format!("{offset}-"))))
}

fn body_stream(
    response: Response,
    skip: u64,
    action: String,
    host: crate::image_reference::RegistryHost,
) -> ByteStream {
    let state = (Some(response), skip);
    unfold(state, move |(response, mut skip)| {
        let (action, host) = (action.clone(), host.clone());
        async move {
            let mut response = response?;
            loop {
                let mut piece = match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
                    Ok(Ok(Some(piece))) => piece,
                    Ok(Ok(None)) => return None,
                    Ok(Err(error)) => return Some((Err(failure::of_transport(error, &action, &host)), (None, 0))),
                    Err(_) => {
                        let message = format!("cannot {action}: {host} sent nothing for {} s", SILENCE_MAX.as_secs());
                        return Some((Err(Error::new(Kind::Network, message)), (None, 0)));
                    }
                };
                let skipped = skip.min(piece.len() as u64);
                skip -= skipped;
                let piece = piece.split_off(usize::try_from(skipped).expect("it is at most the piece's length"));
                if !piece.is_empty() {
                    return Some((Ok(piece), (Some(response), skip)));
                }
            }
        }
    })
    .boxed()
}

/// Brings a blob into the file `partial`, going on where an earlier attempt stopped, and verifies all of it. The file
/// holds the whole blob, synced to disk, when this returns; the caller renames it.
pub(crate) async fn download(
    source: &BlobSource,
    descriptor: &Descriptor,
    partial: &Path,
    meter: &Meter,
) -> Result<()> {
    let action = || format!("write {}", partial.display());
    let mut options = tokio::fs::OpenOptions::new();
    let mut file = options.read(true).write(true).create(true).truncate(false).open(partial).await.during(action)?;
    let mut state = Download::resume(&mut file, descriptor).await.during(action)?;
    let mut backoff = Backoff::default();
    while state.written < descriptor.size {
        meter.at(state.written);
        let before = state.written;
        let outcome = state.fill(source, descriptor, &mut file, meter).await;
        if state.written > before {
            backoff.progressed();
        }
        let error = match outcome {
            Ok(()) if state.written == descriptor.size => break,
            Ok(()) => Error::new(Kind::Network, format!("the blob {} ended too early", descriptor.digest)),
            Err(error) if error.kind != Kind::Network => return Err(error),
            Err(error) => error,
        };
        let Some(delay) = backoff.next(None) else { return Err(error) };
        tokio::time::sleep(delay).await;
    }
    let actual = state.hasher.finish();
    if actual != descriptor.digest {
        file.set_len(0).await.during(action)?;
        return Err(Error::general(format!("the blob {} is corrupt: what came has {actual}", descriptor.digest)));
    }
    file.flush().await.during(action)?;
    file.sync_all().await.during(action)
}

/// How far a download is.
struct Download {
    hasher: Hasher,
    written: u64,
}

impl Download {
    /// Hashes what an earlier attempt left. More than the blob has, or an error, begins anew.
    async fn resume(file: &mut tokio::fs::File, descriptor: &Descriptor) -> std::io::Result<Self> {
        let mut state = Self { hasher: Hasher::new(descriptor.digest.algorithm()), written: 0 };
        if file.metadata().await?.len() > descriptor.size {
            file.set_len(0).await?;
            return Ok(state);
        }
        let mut piece = vec![0; HASH_READ_BYTES];
        loop {
            let count = file.read(&mut piece).await?;
            if count == 0 {
                file.seek(std::io::SeekFrom::Start(state.written)).await?;
                return Ok(state);
            }
            state.hasher.update(&piece[..count]);
            state.written += count as u64;
        }
    }

    async fn fill(
        &mut self,
        source: &BlobSource,
        descriptor: &Descriptor,
        file: &mut tokio::fs::File,
        meter: &Meter,
    ) -> Result<()> {
        let mut stream = source.open(self.written).await?;
        while let Some(piece) = stream.next().await {
            let piece: Bytes = piece?;
            if self.written + piece.len() as u64 > descriptor.size {
                return Err(Error::general(format!(
                    "the blob {} is longer than the {} bytes that its manifest says",
                    descriptor.digest, descriptor.size
                )));
            }
            file.write_all(&piece).await.during(|| format!("write the blob {}", descriptor.digest))?;
            self.hasher.update(&piece);
            self.written += piece.len() as u64;
            meter.advance(piece.len() as u64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(content: &[u8]) -> Descriptor {
        Descriptor {
            media_type: "application/x".to_owned(),
            digest: Digest::sha256(content),
            size: content.len() as u64,
            artifact_type: None,
            annotations: None,
            platform: None,
        }
    }

    async fn check(content: &[u8], already: Option<&[u8]>, expected: &[u8]) -> Result<Vec<u8>> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, partial) = (folder.path().join("source"), folder.path().join("partial"));
        std::fs::write(&path, content).expect("written");
        if let Some(already) = already {
            std::fs::write(&partial, already).expect("written");
        }
        let source = BlobSource::File { path, start: 0, size: content.len() as u64 };
        download(&source, &descriptor(expected), &partial, &Meter::hidden()).await?;
        Ok(std::fs::read(&partial).expect("written"))
    }

    #[tokio::test]
    async fn a_download_goes_on_where_the_last_one_stopped() {
        for already in [None, Some(&b""[..]), Some(b"01234"), Some(b"0123456789"), Some(b"0123456789 and more")] {
            let got = check(b"0123456789", already, b"0123456789").await.expect("complete");
            assert_eq!(got, b"0123456789", "{already:?}");
        }
    }

    #[tokio::test]
    async fn corrupt_and_overlong_blobs_are_refused() {
        let corrupt = check(b"0123456789", Some(b"xxxxx"), b"0123456789").await.expect_err("another beginning");
        assert!(corrupt.to_string().contains("corrupt"), "{corrupt}");
        let long = check(b"0123456789", None, b"01234").await.expect_err("longer than said");
        assert!(long.to_string().contains("longer"), "{long}");
    }
}
