//! The bodies of answers, and the body of a request as the rules read it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http_body::{Body as _, Frame, SizeHint};
use kogge_core::{BodyError, Error, Result};
use kogge_store::BlobStream;
use kogge_types::Code;

use crate::listen::{BoxError, RequestBody, RequestBodyError};

/// Bytes of a refused request that are read before it is answered: a client that still sends does not look at the answer.
const DRAIN_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    Empty,
    Full(Bytes),
    /// Text and stored bytes, one after another.
    Pieces(Pieces),
}

/// A body that is sent piece by piece.
#[derive(Debug)]
pub struct Pieces {
    pieces: VecDeque<Piece>,
    /// Bytes that are still to be sent.
    left: u64,
    /// Told of what was sent when the body ends, whole or not.
    ended: Option<Ended>,
    sent: u64,
}

/// Called with the number of bytes that were sent.
struct Ended(Box<dyn FnOnce(u64) + Send>);

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ended")
    }
}

/// A part of a body.
#[derive(Debug)]
pub enum Piece {
    Text(Bytes),
    /// Stored bytes, and how many they are.
    Stored(BlobStream, u64),
}

impl Body {
    pub fn pieces(pieces: impl IntoIterator<Item = Piece>) -> Self {
        let pieces: VecDeque<_> = pieces.into_iter().collect();
        let left = pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.len() as u64,
            Piece::Stored(_, bytes) => *bytes,
        });
        let left = left.sum();
        Self::Pieces(Pieces { pieces, left, ended: None, sent: 0 })
    }

    /// Bytes of the body, when it is not streamed.
    pub fn ready_bytes(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Full(bytes) => Some(bytes.len() as u64),
            Self::Pieces(_) => None,
        }
    }

    /// Calls `ended` when the body has been sent or dropped. Only for streamed bodies.
    pub fn on_end(&mut self, ended: impl FnOnce(u64) + Send + 'static) {
        if let Self::Pieces(pieces) = self {
            pieces.ended = Some(Ended(Box::new(ended)));
        }
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if let Some(Ended(ended)) = self.ended.take() {
            ended(self.sent);
        }
    }
}

impl Pieces {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let Some(piece) = self.pieces.front_mut() else { return Poll::Ready(None) };
        let chunk = match piece {
            Piece::Text(text) => std::mem::take(text),
            Piece::Stored(stream, left) => match ready!(Pin::new(stream).poll_next(cx)) {
                Some(Ok(chunk)) => {
                    *left = left.saturating_sub(chunk.len() as u64);
                    if *left > 0 {
                        return self.count(chunk);
                    }
                    chunk
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => Bytes::new(),
            },
        };
        self.pieces.pop_front();
        self.count(chunk)
    }

    fn count(&mut self, chunk: Bytes) -> Poll<Option<Result<Bytes, BoxError>>> {
        self.left = self.left.saturating_sub(chunk.len() as u64);
        self.sent += chunk.len() as u64;
        Poll::Ready(Some(Ok(chunk)))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            full @ Self::Full(_) => match std::mem::replace(full, Self::Empty) {
                Self::Full(bytes) if !bytes.is_empty() => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                _ => Poll::Ready(None),
            },
            Self::Pieces(pieces) => pieces.poll_next(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Pieces(pieces) => pieces.pieces.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pieces(pieces) => SizeHint::with_exact(pieces.left),
        }
    }
}

/// A request's body, its bytes counted.
#[derive(Debug)]
pub(crate) struct Upload {
    body: RequestBody,
    taken: Arc<AtomicU64>,
}

impl Upload {
    pub(crate) fn new(body: RequestBody, taken: Arc<AtomicU64>) -> Self {
        Self { body, taken }
    }

    /// The whole body, when it is at most `bytes_max`; otherwise an error of `code`.
    pub(crate) async fn collect(&mut self, bytes_max: usize, code: Code) -> Result<Bytes> {
        let mut collected = BytesMut::new();
        while let Some(chunk) = self.next().await {
            let chunk = chunk.map_err(|error| match error {
                BodyError::Disconnected => Error::new(Code::SizeInvalid, error.to_string()),
                BodyError::TooSlow => Error::new(error.code(), error.to_string()),
            })?;
            if collected.len() + chunk.len() > bytes_max {
                self.drain().await;
                return Err(Error::of(code));
            }
            collected.extend_from_slice(&chunk);
        }
        Ok(collected.freeze())
    }

    /// Reads what a refused request still sends, within bounds: a client that is still sending does not look at the
    /// answer.
    pub(crate) async fn drain(&mut self) {
        let mut drained = 0;
        while drained < DRAIN_BYTES_MAX && !self.body.is_end_stream() {
            match self.next().await {
                Some(Ok(chunk)) => drained += chunk.len(),
                Some(Err(_)) | None => return,
            }
        }
    }
}

impl Stream for Upload {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Ok(frame)) => {
                    // Trailers carry nothing that the registry reads.
                    if let Ok(chunk) = frame.into_data() {
                        self.taken.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                }
                Some(Err(RequestBodyError::Stalled(_) | RequestBodyError::TooSlow(_))) => {
                    return Poll::Ready(Some(Err(BodyError::TooSlow)));
                }
                Some(Err(RequestBodyError::Broken(_))) => {
                    return Poll::Ready(Some(Err(BodyError::Disconnected)));
                }
            }
        }
    }
}
