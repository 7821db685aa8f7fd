//! Whether the client of a write is still there. A write is carried to its end without it, but need not begin.

use http::Request;
use http::request::Parts;
use tokio::sync::watch;

/// Held by whoever answers the client, and dropped when it goes away.
#[derive(Debug)]
pub(crate) struct Presence(#[expect(dead_code, reason = "it is there to be dropped")] watch::Sender<()>);

#[derive(Debug, Clone)]
struct Watched(watch::Receiver<()>);

/// Begins to watch the client of `request`.
pub(crate) fn watch<B>(request: &mut Request<B>) -> Presence {
    let (present, watched) = watch::channel(());
    request.extensions_mut().insert(Watched(watched));
    Presence(present)
}

/// Comes back when the client has gone; never for a request that is not watched, since that ends with its client.
pub(crate) async fn gone(parts: &Parts) {
    match parts.extensions.get::<Watched>().cloned() {
        Some(Watched(mut present)) => while present.changed().await.is_ok() {},
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_client_is_gone_when_nobody_answers_it_any_more() {
        let mut request = Request::new(());
        let present = watch(&mut request);
        let (parts, ()) = request.into_parts();
        assert_eq!(gone(&parts).now_or_never(), None);
        drop(present);
        assert_eq!(gone(&parts).now_or_never(), Some(()));
        let (unwatched, ()) = Request::new(()).into_parts();
        assert_eq!(gone(&unwatched).now_or_never(), None);
    }
}
