//! Blobs on their way to a registry: mounted, sent at once, or sent in chunks that a broken connection only delays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{StreamExt as _, unfold};
use kogge_types::{Algorithm, Descriptor, RepositoryName};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, RANGE};
use reqwest::{Body, Method, Response, StatusCode, Url};

use super::authorizer::Scopes;
use super::manifests::text_header;
use super::retry::{Backoff, is_transient};
use super::{Client, Request, failure};
use crate::blob_source::{BlobSource, ByteStream};
use crate::error::{Error, Kind, Result};
use crate::progress::Meter;

/// Blobs up to this size, in bytes, are sent in one request.
const MONOLITHIC_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes of one chunk of a larger blob: what a proxy in between commonly lets through.
const CHUNK_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of a chunk where larger ones did not get through.
const CHUNK_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// The largest chunk that a registry may insist on.
const CHUNK_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// How long an upload may move no byte, the registry's answer included.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// How long the registry may take to finish a large blob.
const FINISH_PATIENCE: Duration = Duration::from_secs(600);

/// How a blob got to where it was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Taken over from another repository of the registry, without bytes.
    Mounted,
    Sent,
}

/// An upload session.
struct Session {
    location: Url,
    /// Bytes that the registry has.
    offset: u64,
    /// Bytes that the registry wants a chunk to have at least, the last one apart.
    chunk_bytes_min: u64,
}

/// One blob's upload.
pub(crate) struct Upload<'a> {
    pub(crate) client: &'a Client,
    pub(crate) repository: &'a RepositoryName,
    pub(crate) descriptor: &'a Descriptor,
    pub(crate) source: &'a BlobSource,
    /// A repository of the same registry that has the blob.
    pub(crate) mount_from: Option<&'a RepositoryName>,
    pub(crate) meter: &'a Meter,
}

impl Upload<'_> {
    /// Sends the blob. The registry verifies its digest.
    pub(crate) async fn run(&self) -> Result<Arrival> {
        let mut backoff = Backoff::default();
        let (mut session, mut chunk_bytes) = (None, CHUNK_BYTES);
        loop {
            let before = session.as_ref().map_or(0, |session: &Session| session.offset);
            let error = match self.attempt(&mut session, chunk_bytes).await {
                Ok(arrival) => return Ok(arrival),
                Err(error) => error,
            };
            let lost = matches!(error.status(), Some(404 | 416 | 409));
            let transient = error.kind == Kind::Network
                || error.status().is_some_and(|status| {
                    StatusCode::from_u16(status)
                        .is_ok_and(|status| is_transient(status) || status == StatusCode::UNAUTHORIZED)
                });
            let Some(delay) = backoff.next(None).filter(|_| transient || (lost && session.is_some())) else {
                return Err(error);
            };
            tokio::time::sleep(delay).await;
            // The answer may have been lost rather than the blob.
            if self.client.has_blob(self.repository, &self.descriptor.digest, self.scopes()).await? {
                return Ok(Arrival::Sent);
            }
            session = self.recover(session).await?;
            if session.as_ref().is_some_and(|session| session.offset > before) {
                backoff.progressed();
            } else {
                chunk_bytes = (chunk_bytes / 4).max(CHUNK_BYTES_MIN);
            }
        }
    }

    /// One go: from a new session or from where the last one stopped, to the end.
    async fn attempt(&self, session: &mut Option<Session>, chunk_bytes: u64) -> Result<Arrival> {
        if session.is_none() {
            match self.start().await? {
                Some(new) => *session = Some(new),
                None => return Ok(Arrival::Mounted),
            }
        }
        let session = session.as_mut().expect("it was made above");
        let size = self.descriptor.size;
        if session.offset == 0 && size <= MONOLITHIC_BYTES_MAX {
            self.finish(session, 0..size).await?;
            return Ok(Arrival::Sent);
        }
        while session.offset < size {
            self.send_chunk(session, chunk_bytes).await?;
        }
        self.finish(session, size..size).await?;
        Ok(Arrival::Sent)
    }

    /// Asks for a session, and where another repository has the blob, for a mount. `None` means that it was mounted.
    async fn start(&self) -> Result<Option<Session>> {
        let action = self.action();
        if let Some(from) = self.mount_from {
            let mut request = self.post(self.scopes().and(Scopes::pull(from)));
            let digest = self.descriptor.digest.to_string();
            request.url.query_pairs_mut().append_pair("mount", &digest).append_pair("from", from.as_str());
            // Not being allowed to read there is no reason not to send the bytes.
            if let Ok(response) = self.client.execute(&request, &action).await {
                match response.status() {
                    StatusCode::CREATED => return Ok(None),
                    StatusCode::ACCEPTED => return self.session(&response, &request.url, None).map(Some),
                    _ => {}
                }
            }
        }
        let mut request = self.post(self.scopes());
        let algorithm = self.descriptor.digest.algorithm();
        if algorithm != Algorithm::Sha256 {
            request.url.query_pairs_mut().append_pair("digest-algorithm", algorithm.as_str());
        }
        let response = self.client.execute(&request, &action).await?;
        let response = self.client.expect(response, &[StatusCode::ACCEPTED], &action).await?;
        self.session(&response, &request.url, None).map(Some)
    }

    /// Asks the registry how far a session is. A session that is gone is begun anew.
    async fn recover(&self, session: Option<Session>) -> Result<Option<Session>> {
        let Some(session) = session else { return Ok(None) };
        let request = Request::new(Method::GET, session.location.clone(), self.scopes());
        let Ok(response) = self.client.execute(&request, &self.action()).await else { return Ok(None) };
        if response.status() != StatusCode::NO_CONTENT && response.status() != StatusCode::ACCEPTED {
            return Ok(None);
        }
        let offset = received(&response).unwrap_or(0);
        if offset > self.descriptor.size || (session.offset == 0 && self.descriptor.size <= MONOLITHIC_BYTES_MAX) {
            return Ok(None);
        }
        let mut recovered = Session { offset, ..session };
        if let Some(location) = text_header(response.headers(), LOCATION.as_str()) {
            recovered.location = self.client.destination(&request.url, &location, &self.action())?;
        }
        self.meter.at(recovered.offset);
        Ok(Some(recovered))
    }

    async fn send_chunk(&self, session: &mut Session, chunk_bytes: u64) -> Result<()> {
        let end = self.descriptor.size.min(session.offset + chunk_bytes.max(session.chunk_bytes_min));
        let response = self.send_bytes(Method::PATCH, session.location.clone(), session.offset..end, true).await?;
        let wanted = [StatusCode::ACCEPTED, StatusCode::NO_CONTENT, StatusCode::CREATED];
        let response = self.client.expect(response, &wanted, &self.action()).await?;
        let url = session.location.clone();
        let mut next = self.session(&response, &url, Some(session))?;
        next.offset = received(&response).unwrap_or(end);
        if next.offset > end || next.offset <= session.offset {
            let message = format!("cannot {}: the registry says that it has {} bytes", self.action(), next.offset);
            return Err(Error::general(message));
        }
        *session = next;
        self.meter.at(session.offset);
        Ok(())
    }

    /// Closes the session with the digest; the body is what has not been sent yet.
    async fn finish(&self, session: &Session, range: std::ops::Range<u64>) -> Result<()> {
        let mut url = session.location.clone();
        url.query_pairs_mut().append_pair("digest", &self.descriptor.digest.to_string());
        let response = if range.is_empty() {
            let mut request = Request::new(Method::PUT, url, self.scopes());
            request.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            request.patience = FINISH_PATIENCE;
            self.client.execute(&request, &self.action()).await?
        } else {
            self.send_bytes(Method::PUT, url, range, false).await?
        };
        let wanted = [StatusCode::CREATED, StatusCode::NO_CONTENT];
        self.client.expect(response, &wanted, &self.action()).await.map(drop)
    }

    /// Streams a range of the source as one request's body. Not repeated here: its body is gone when it fails.
    async fn send_bytes(
        &self,
        method: Method,
        url: Url,
        range: std::ops::Range<u64>,
        with_range: bool,
    ) -> Result<Response> {
        let client = self.client;
        let length = range.end - range.start;
        let moved = Arc::new(AtomicU64::new(0));
        let source = self.source.open(range.start).await?;
        let pieces = exactly(source, length, Arc::clone(&moved), self.meter.clone());
        let mut request = client
            .http
            .request(method, url.clone())
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, length)
            .body(Body::wrap_stream(pieces));
        if with_range {
            request = request.header(CONTENT_RANGE, format!("{}-{}", range.start, range.end - 1));
        }
        let scopes = self.scopes();
        let authorization = client.authorization(&url, &scopes).await?;
        if let Some(header) = &authorization {
            request = request.header(AUTHORIZATION, header);
        }
        let response = watched(request.send(), &moved, &self.action(), client).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            client.authorizer.learn(&client.http, response.headers(), &scopes, authorization.as_ref()).await?;
        }
        Ok(response)
    }

    fn session(&self, response: &Response, asked: &Url, before: Option<&Session>) -> Result<Session> {
        let location = text_header(response.headers(), LOCATION.as_str());
        let location = match (location, before) {
            (Some(location), _) => self.client.destination(asked, &location, &self.action())?,
            (None, Some(before)) => before.location.clone(),
            (None, None) => {
                return Err(Error::general(format!("cannot {}: the answer has no Location", self.action())));
            }
        };
        let minimum = text_header(response.headers(), "oci-chunk-min-length").and_then(|text| text.parse().ok());
        let minimum: Option<u64> = minimum.or(before.map(|before| before.chunk_bytes_min));
        Ok(Session { location, offset: 0, chunk_bytes_min: minimum.unwrap_or(0).min(CHUNK_BYTES_MAX) })
    }

    fn post(&self, scopes: Scopes) -> Request {
        let mut request =
            Request::new(Method::POST, self.client.repository_url(self.repository, "blobs/uploads/"), scopes);
        request.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        request
    }

    fn scopes(&self) -> Scopes {
        Scopes::push(self.repository)
    }

    fn action(&self) -> String {
        format!("push the blob {} to {}/{}", self.descriptor.digest, self.client.host(), self.repository)
    }
}

/// The first `length` bytes of a source, counted as they go. A source that ends before is an error.
fn exactly(source: ByteStream, length: u64, moved: Arc<AtomicU64>, meter: Meter) -> ByteStream {
    unfold((source, length), move |(mut source, left)| {
        let (moved, meter) = (Arc::clone(&moved), meter.clone());
        async move {
            if left == 0 {
                return None;
            }
            let mut piece = match source.next().await {
                Some(Ok(piece)) => piece,
                Some(Err(error)) => return Some((Err(error), (source, 0))),
                None => {
                    let error = Error::new(Kind::Network, format!("the blob's source ended {left} bytes too early"));
                    return Some((Err(error), (source, 0)));
                }
            };
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            let count = piece.len() as u64;
            moved.fetch_add(count, Ordering::Relaxed);
            meter.advance(count);
            Some((Ok(piece), (source, left - count)))
        }
    })
    .boxed()
}

/// Waits for an answer for as long as bytes move.
async fn watched(
    sending: impl Future<Output = reqwest::Result<Response>>,
    moved: &AtomicU64,
    action: &str,
    client: &Client,
) -> Result<Response> {
    let mut sending = std::pin::pin!(sending);
    let mut seen = 0;
    loop {
        if let Ok(outcome) = tokio::time::timeout(SILENCE_MAX, &mut sending).await {
            return outcome.map_err(|error| failure::of_transport(error, action, client.host()));
        }
        let now = moved.load(Ordering::Relaxed);
        if now == seen {
            return Err(client.silent(action));
        }
        seen = now;
    }
}

/// How many bytes of a session the registry has, by the `Range` of its answer: `0-<last byte>`.
fn received(response: &Response) -> Option<u64> {
    received_bytes(&text_header(response.headers(), RANGE.as_str())?)
}

/// An empty session is written `0-0` by some registries, so one byte counts as none: it is sent again.
fn received_bytes(range: &str) -> Option<u64> {
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let last: u64 = range.strip_prefix("0-")?.parse().ok()?;
    Some(if last == 0 { 0 } else { last.checked_add(1)? })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_range_of_a_session_is_read() {
        let check = |range: &str, expected: Option<u64>| assert_eq!(received_bytes(range), expected, "{range}");
        check("0-99", Some(100));
        check("bytes=0-99", Some(100));
        check("0-0", Some(0));
        check("0--1", None);
        check("5-9", None);
        check("", None);
        check(&format!("0-{}", u64::MAX), None);
    }

    #[tokio::test]
    async fn a_body_has_exactly_its_length() {
        let check = async |pieces: &[&'static str], length: u64, expected: Option<&str>| {
            let source =
                futures_util::stream::iter(pieces.to_vec()).map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
            let moved = Arc::new(AtomicU64::new(0));
            let body = exactly(source.boxed(), length, Arc::clone(&moved), Meter::hidden());
            let sent: Result<Vec<Bytes>> = body.collect::<Vec<_>>().await.into_iter().collect();
            let sent = sent.ok().map(|pieces| String::from_utf8(pieces.concat()).expect("it was text"));
            assert_eq!(sent.as_deref(), expected, "{pieces:?} {length}");
            assert!(moved.load(Ordering::Relaxed) <= length);
        };
        check(&["abc", "def"], 6, Some("abcdef")).await;
        check(&["abc", "def"], 4, Some("abcd")).await;
        check(&["abc", "def"], 0, Some("")).await;
        check(&["abc"], 4, None).await;
    }
}
