//! Bodies that know who is waiting for whom.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::pace::Pace;
use crate::config::Limits;

/// Why a request's body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RequestBodyError<E = hyper::Error> {
    /// No byte came for as long as the limit allows; worth a 408.
    #[error("the client sent nothing of the body for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    /// Bytes came, but fewer per second than the limit asks for; worth a 408.
    #[error("the client sent the body at less than {0} bytes per second")]
    TooSlow(u64),
    /// The connection broke, the client went away or framed the body wrongly.
    #[error("the client's body broke off")]
    Broken(#[source] E),
}

/// The body of a request as a handler reads it.
pub type RequestBody = Guarded<Incoming>;

/// A body that fails when its sender is too slow. Only time during which the reader waits counts, so that a handler
/// that takes its time is never taken for a slow client.
#[derive(Debug)]
pub struct Guarded<B> {
    body: B,
    stall: Duration,
    rate_min: u64,
    rate_grace: Duration,
    /// When the reader began to wait for the frame that it is waiting for.
    waiting_since: Option<Instant>,
    /// Time spent waiting for frames that have come.
    waited: Duration,
    bytes: u64,
    /// Made at the first wait; moved only when it fires, so that a wait costs no timer operation.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> Guarded<B> {
    pub(super) fn new(body: B, limits: &Limits) -> Self {
        Self {
            body,
            stall: limits.body_stall_timeout,
            rate_min: limits.body_rate_min,
            rate_grace: limits.body_rate_grace,
            waiting_since: None,
            waited: Duration::ZERO,
            bytes: 0,
            timer: None,
        }
    }

    /// The moment at which the present wait has lasted too long.
    fn deadline(&self, since: Instant) -> Instant {
        let stalled = since + self.stall;
        if self.rate_min == 0 {
            return stalled;
        }
        let allowed = self.rate_grace.max(Duration::from_secs(self.bytes / self.rate_min));
        stalled.min(since + allowed.saturating_sub(self.waited))
    }

    fn poll_slow<E>(&mut self, cx: &mut Context<'_>) -> Poll<RequestBodyError<E>> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let deadline = self.deadline(since);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= deadline {
                let stalled = deadline >= since + self.stall;
                return Poll::Ready(if stalled {
                    RequestBodyError::Stalled(self.stall)
                } else {
                    RequestBodyError::TooSlow(self.rate_min)
                });
            }
            timer.as_mut().reset(deadline);
        }
    }
}

impl<B: Body<Data: Buf> + Unpin> Body for Guarded<B> {
    type Data = B::Data;
    type Error = RequestBodyError<B::Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(since) = this.waiting_since.take() {
                    this.waited += since.elapsed();
                }
                if let Some(Ok(frame)) = &frame {
                    this.bytes += frame.data_ref().map_or(0, |data| data.remaining() as u64);
                }
                Poll::Ready(frame.map(|result| result.map_err(RequestBodyError::Broken)))
            }
            Poll::Pending => this.poll_slow(cx).map(|error| Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request that is not answered whole; dropping it ends it.
#[derive(Debug)]
pub(super) struct Active {
    pace: Arc<Pace>,
    /// Where HTTP/2 notes since when the client has taken nothing.
    place: Option<usize>,
}

impl Active {
    pub(super) fn begin(pace: Arc<Pace>, multiplexed: bool) -> Self {
        pace.begin(multiplexed);
        let place = multiplexed.then(|| pace.watch_answer());
        Self { pace, place }
    }

    fn moved(&self, ready_since: Option<Instant>) {
        if let Some(place) = self.place {
            self.pace.answer_moved(place, ready_since);
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.pace.answer_done(place);
        }
        self.pace.end();
    }
}

pin_project_lite::pin_project! {
    /// The body of an answer. The request ends when it is dropped.
    pub(super) struct Answer<B> {
        #[pin]
        body: B,
        active: Active,
    }
}

impl<B> Answer<B> {
    pub(super) fn new(body: B, active: Active) -> Self {
        Self { body, active }
    }
}

impl<B: Body<Data = Bytes>> Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let result = this.body.poll_frame(cx);
        if this.active.place.is_some() {
            // Until it is asked for the next frame, the client is the one who is waited for.
            this.active.moved(result.is_ready().then(Instant::now));
        }
        result
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream::unfold;
    use http_body_util::{BodyExt, StreamBody};
    use tokio::time::sleep;

    use super::*;

    /// Reads a body whose sender pauses this long (in ms) before each frame of that many bytes, with a reader that
    /// pauses for `reader_ms` before each read. The clock moves only when everything waits for it.
    async fn read(frames: &'static [(u64, usize)], reader_ms: u64) -> (usize, Option<String>) {
        let frames = unfold(frames.iter(), |mut frames| async move {
            let (pause_ms, bytes) = frames.next()?;
            sleep(Duration::from_millis(*pause_ms)).await;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from(vec![0; *bytes]))), frames))
        });
        let limits = Limits {
            body_stall_timeout: Duration::from_secs(5),
            body_rate_min: 1_000,
            body_rate_grace: Duration::from_secs(10),
            ..Limits::default()
        };
        let mut body = Guarded::new(StreamBody::new(Box::pin(frames)), &limits);
        let mut read = 0;
        loop {
            if reader_ms > 0 {
                sleep(Duration::from_millis(reader_ms)).await;
            }
            match body.frame().await {
                None => return (read, None),
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(error)) => return (read, Some(error.to_string())),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_sender_is_left_alone() {
        assert_eq!(read(&[(0, 1), (4_900, 9_000), (4_900, 9_000), (4_900, 1)], 0).await, (18_002, None));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_an_error() {
        let (bytes, error) = read(&[(0, 100_000), (5_100, 1)], 0).await;
        assert_eq!((bytes, error.as_deref()), (100_000, Some("the client sent nothing of the body for 5 s")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_is_an_error_once_the_grace_is_over() {
        let (bytes, error) = read(&[(4_000, 1); 9], 0).await;
        assert_eq!((bytes, error.as_deref()), (2, Some("the client sent the body at less than 1000 bytes per second")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_its_time_is_no_slow_sender() {
        assert_eq!(read(&[(0, 1); 9], 60_000).await, (9, None));
    }
}
