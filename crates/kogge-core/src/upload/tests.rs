//! Uploads: in pieces, against each other, over restarts, on a full disk.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use kogge_meta::{Attributes, Commit};
use kogge_store::Operation;
use kogge_types::{Algorithm, Code, Digest};

use crate::Result;
use crate::fixture::{Bench, bench, body, code, cut_body};
use crate::upload::{BodyError, Progress, UploadStart, Window};

const CONTENT: &[u8] = b"the quick brown fox jumps over the lazy dog";
const SHA256: UploadStart = UploadStart { algorithm: Algorithm::Sha256 };

async fn start(bench: &Bench) -> Progress {
    bench.core.start_upload(&bench.target("app"), SHA256).await.unwrap()
}

async fn chunk(bench: &Bench, upload: Progress, window: Option<Window>, content: &[u8]) -> Result<Progress> {
    bench.core.write_chunk(&bench.target("app"), upload.id, window, body(content, 7)).await
}

async fn finish(bench: &Bench, upload: Progress, content: &[u8], digest: &Digest) -> Result<()> {
    bench.core.finish_upload(&bench.target("app"), upload.id, digest, None, body(content, 7)).await
}

/// No copy, no upload, no record, no session.
async fn nothing_is_left(bench: &Bench, upload: Progress) {
    assert!(bench.copies().await.is_empty());
    assert_eq!(bench.uploads().await, 0);
    assert!(bench.meta.read(|s| s.blobs_after(None, 1)).await.unwrap().is_empty());
    let progress = bench.core.upload_progress(&bench.target("app"), upload.id).await;
    assert_eq!(code(progress), Code::BlobUploadUnknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_of_any_size_make_the_blob() {
    let bench = bench().await;
    for size in [1, 2, 5, CONTENT.len() - 1, CONTENT.len(), CONTENT.len() + 1] {
        let content = [CONTENT, &[size as u8]].concat();
        let digest = Digest::sha256(&content);
        for last_in_put in [false, true] {
            let upload = start(&bench).await;
            let pieces: Vec<_> = content.chunks(size).collect();
            let (before, last) = if last_in_put { pieces.split_at(pieces.len() - 1) } else { (&pieces[..], &[][..]) };
            let mut taken = 0;
            for piece in before {
                let window = Window { first: taken, last: taken + piece.len() as u64 - 1 };
                let progress = chunk(&bench, upload, Some(window), piece).await.unwrap();
                taken += piece.len() as u64;
                assert_eq!(progress.bytes, taken);
                assert_eq!(bench.core.upload_progress(&bench.target("app"), upload.id).await.unwrap().bytes, taken);
            }
            finish(&bench, upload, &last.concat(), &digest).await.unwrap();
            assert_eq!(bench.read("app", &digest).await.as_deref(), Some(&content[..]));
            assert_eq!(bench.uploads().await, 0);
            assert_eq!(code(finish(&bench, upload, b"", &digest).await), Code::BlobUploadUnknown);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_blob_is_a_blob() {
    let bench = bench().await;
    let digest = bench.push_blob("app", b"").await;
    assert_eq!(bench.read("app", &digest).await.as_deref(), Some(&b""[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_must_continue_the_upload_and_be_kept() {
    let bench = bench().await;
    let upload = start(&bench).await;
    chunk(&bench, upload, None, &CONTENT[..10]).await.unwrap();
    for (first, last) in [(0, 9), (9, 19), (11, 20), (u64::MAX, u64::MAX)] {
        let refused = chunk(&bench, upload, Some(Window { first, last }), &CONTENT[10..20]).await;
        assert_eq!(code(refused), Code::RangeInvalid, "{first}-{last}");
    }
    for last in [12, 40, u64::MAX] {
        let refused = chunk(&bench, upload, Some(Window { first: 10, last }), &CONTENT[10..20]).await;
        assert_eq!(code(refused), Code::SizeInvalid, "10-{last}");
        assert_eq!(bench.core.upload_progress(&bench.target("app"), upload.id).await.unwrap().bytes, 10);
    }
    chunk(&bench, upload, Some(Window { first: 10, last: 19 }), &CONTENT[10..20]).await.unwrap();
    finish(&bench, upload, &CONTENT[20..], &Digest::sha256(CONTENT)).await.unwrap();
    assert_eq!(bench.read("app", &Digest::sha256(CONTENT)).await.as_deref(), Some(CONTENT));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_before_a_disconnect_is_kept() {
    let bench = bench().await;
    let (upload, target) = (start(&bench).await, bench.target("app"));
    let digest = Digest::sha256(CONTENT);
    let cut = bench.core.write_chunk(&target, upload.id, None, cut_body(&CONTENT[..10])).await;
    assert_eq!(code(cut), Code::BlobUploadInvalid);
    assert_eq!(bench.core.upload_progress(&target, upload.id).await.unwrap().bytes, 10);
    let cut = bench.core.finish_upload(&target, upload.id, &digest, None, cut_body(&CONTENT[10..20])).await;
    assert_eq!(code(cut), Code::BlobUploadInvalid);
    assert_eq!(bench.core.upload_progress(&target, upload.id).await.unwrap().bytes, 20);
    finish(&bench, upload, &CONTENT[20..], &digest).await.unwrap();
    assert_eq!(bench.read("app", &digest).await.as_deref(), Some(CONTENT));
    // A whole blob in one request has no session to come back to.
    let cut = bench.core.put_blob(&target, &Digest::sha256(b"x"), cut_body(b"y")).await;
    assert_eq!(code(cut), Code::BlobUploadInvalid);
    assert_eq!(bench.uploads().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_digest_leaves_nothing() {
    let bench = bench().await;
    let upload = start(&bench).await;
    chunk(&bench, upload, None, &CONTENT[..10]).await.unwrap();
    assert_eq!(code(finish(&bench, upload, &CONTENT[10..], &Digest::sha256(b"other")).await), Code::DigestInvalid);
    nothing_is_left(&bench, upload).await;
    let whole = bench.core.put_blob(&bench.target("app"), &Digest::sha256(b"other"), body(CONTENT, 7)).await;
    assert_eq!(code(whole), Code::DigestInvalid);
    nothing_is_left(&bench, upload).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_algorithm_that_was_not_announced_costs_a_second_read() {
    let bench = bench().await;
    let digest = Digest::of(Algorithm::Sha512, CONTENT);
    for split in [0, 10, CONTENT.len()] {
        let upload = start(&bench).await;
        if split > 0 {
            chunk(&bench, upload, None, &CONTENT[..split]).await.unwrap();
        }
        finish(&bench, upload, &CONTENT[split..], &digest).await.unwrap();
        assert_eq!(bench.read("app", &digest).await.as_deref(), Some(CONTENT));
        bench.core.delete_blob(&bench.target("app"), &digest).await.unwrap();
        bench.core.collect_garbage().await.unwrap();
    }
    let upload = start(&bench).await;
    chunk(&bench, upload, None, &CONTENT[..10]).await.unwrap();
    let wrong = Digest::of(Algorithm::Sha512, b"other");
    assert_eq!(code(finish(&bench, upload, &CONTENT[10..], &wrong).await), Code::DigestInvalid);
    nothing_is_left(&bench, upload).await;
}

/// A body that is fed from outside.
fn fed() -> (tokio::sync::mpsc::UnboundedSender<Bytes>, impl Stream<Item = Result<Bytes, BodyError>> + Send + Unpin) {
    let (feed, fed) = tokio::sync::mpsc::unbounded_channel();
    (feed, Box::pin(stream::unfold(fed, |mut fed| async { fed.recv().await.map(|chunk| (Ok(chunk), fed)) })))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_request_takes_the_upload_over_and_the_earlier_is_refused() {
    let bench = bench().await;
    let (upload, target) = (start(&bench).await, bench.target("app"));
    let digest = Digest::sha256(CONTENT);
    for finishing in [false, true] {
        let (feed, slow) = fed();
        let (core, target, digest) = (std::sync::Arc::clone(&bench.core), target.clone(), digest);
        let (polled, begun) = tokio::sync::oneshot::channel();
        let mut polled = Some(polled);
        let slow = slow.inspect(move |_| polled.take().map_or((), |polled| polled.send(()).unwrap()));
        let slow = tokio::spawn(async move {
            if finishing {
                core.finish_upload(&target, upload.id, &digest, None, slow).await
            } else {
                core.write_chunk(&target, upload.id, None, slow).await.map(drop)
            }
        });
        feed.send(Bytes::from_static(b"what an abandoned request sent")).unwrap();
        begun.await.unwrap();
        let taken = bench.core.upload_progress(&bench.target("app"), upload.id).await.unwrap().bytes as usize;
        chunk(&bench, upload, None, &CONTENT[taken..taken + 10]).await.unwrap();
        feed.send(Bytes::from(vec![0; 4 * 1024 * 1024])).unwrap();
        drop(feed);
        assert_eq!(code(slow.await.unwrap()), Code::UploadConflict);
        let left = bench.core.upload_progress(&bench.target("app"), upload.id).await.unwrap();
        assert_eq!(left.bytes as usize, taken + 10, "what the later one brought stays");
    }
    finish(&bench, upload, &CONTENT[20..], &digest).await.unwrap();
    assert_eq!(bench.read("app", &digest).await.as_deref(), Some(CONTENT));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_writers_at_once_none_spoils_what_another_was_told() {
    let bench = bench().await;
    for round in 0..8 {
        let upload = start(&bench).await;
        let writers: Vec<_> = (0..6_u8)
            .map(|writer| {
                let (core, target) = (std::sync::Arc::clone(&bench.core), bench.target("app"));
                tokio::spawn(async move {
                    let content = vec![writer; 3_000];
                    let window = Window { first: 0, last: 2_999 };
                    core.write_chunk(&target, upload.id, Some(window), body(&content, 100)).await
                })
            })
            .collect();
        let mut winners = Vec::new();
        for (writer, outcome) in writers.into_iter().enumerate() {
            match outcome.await.unwrap() {
                Ok(progress) => {
                    assert_eq!(progress.bytes, 3_000);
                    winners.push(writer as u8);
                }
                Err(error) => {
                    assert!(matches!(error.code, Code::UploadConflict | Code::RangeInvalid), "{error}");
                }
            }
        }
        let bytes = bench.core.upload_progress(&bench.target("app"), upload.id).await.unwrap().bytes;
        assert!(winners.len() <= 1, "round {round}: {winners:?}");
        let content = winners.first().map_or_else(Vec::new, |winner| vec![*winner; 3_000]);
        assert_eq!(bytes, content.len() as u64);
        finish(&bench, upload, b"", &Digest::sha256(&content)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_after_a_restart_and_not_after_a_reboot() {
    let bench = bench().await;
    let upload = start(&bench).await;
    chunk(&bench, upload, None, &CONTENT[..10]).await.unwrap();
    let bench = bench.restart("a boot").await;
    assert_eq!(bench.core.upload_progress(&bench.target("app"), upload.id).await.unwrap().bytes, 10);
    chunk(&bench, upload, None, &CONTENT[10..20]).await.unwrap();
    let bench = bench.restart("a boot").await;
    finish(&bench, upload, &CONTENT[20..], &Digest::sha256(CONTENT)).await.unwrap();
    assert_eq!(bench.read("app", &Digest::sha256(CONTENT)).await.as_deref(), Some(CONTENT));
    let upload = start(&bench).await;
    chunk(&bench, upload, None, &CONTENT[..10]).await.unwrap();
    let bench = bench.restart("another boot").await;
    assert_eq!(code(chunk(&bench, upload, None, &CONTENT[10..]).await), Code::BlobUploadUnknown);
    assert_eq!(bench.read("app", &Digest::sha256(CONTENT)).await.as_deref(), Some(CONTENT));
    bench.core.expire_uploads().await.unwrap();
    assert_eq!(bench.uploads().await, 0, "its bytes are reclaimed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_leaves_nothing_and_recovers() {
    let bench = bench().await;
    let target = bench.target("app");
    let digest = Digest::sha256(CONTENT);
    for in_put in [false, true] {
        let upload = start(&bench).await;
        chunk(&bench, upload, None, &CONTENT[..10]).await.unwrap();
        bench.store.limit_room(Some(5));
        let full = if in_put {
            finish(&bench, upload, &CONTENT[10..], &digest).await
        } else {
            chunk(&bench, upload, None, &CONTENT[10..]).await.map(drop)
        };
        assert_eq!(code(full), Code::Unavailable);
        nothing_is_left(&bench, upload).await;
        assert_eq!(code(bench.core.put_blob(&target, &digest, body(CONTENT, 7)).await), Code::Unavailable);
        nothing_is_left(&bench, upload).await;
        bench.store.limit_room(None);
    }
    for operation in [Operation::Pause, Operation::Write] {
        let upload = start(&bench).await;
        bench.store.fail(operation, 1);
        assert_eq!(code(chunk(&bench, upload, None, CONTENT).await), Code::Internal);
        nothing_is_left(&bench, upload).await;
    }
    let upload = start(&bench).await;
    bench.store.fail(Operation::Commit, 1);
    assert_eq!(code(finish(&bench, upload, CONTENT, &digest).await), Code::Internal);
    nothing_is_left(&bench, upload).await;
    bench.push_blob("app", CONTENT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_repository_takes_no_upload() {
    let bench = bench().await;
    bench.push("app", "v1", &[b"config"]).await;
    let begun = start(&bench).await;
    let target = bench.target("app");
    let locked = target.clone();
    let lock = bench.meta.write(move |tx| {
        let key = tx.take_repository(locked.registry.key, &locked.repository)?;
        let attributes = Attributes { write_enabled: false, ..Attributes::OPEN };
        let change = tx.set_repository_attributes(&locked.registry, key, &locked.repository, attributes)?;
        Ok::<_, kogge_meta::MetaError>(Commit::new((), vec![change]))
    });
    lock.await.unwrap();
    assert_eq!(code(bench.core.start_upload(&target, SHA256).await), Code::Disallowed);
    let before = bench.copies().await;
    assert_eq!(code(finish(&bench, begun, CONTENT, &Digest::sha256(CONTENT)).await), Code::Disallowed);
    assert_eq!(bench.copies().await, before, "what was stored is gone again");
    bench.push_blob("other", b"elsewhere").await;
    let mounted = bench.core.mount_blob(&target, &"other".parse().unwrap(), &Digest::sha256(b"elsewhere")).await;
    assert_eq!(code(mounted), Code::Disallowed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_belongs_to_its_repository_and_can_be_cancelled() {
    let bench = bench().await;
    let upload = start(&bench).await;
    chunk(&bench, upload, None, CONTENT).await.unwrap();
    let other = bench.target("other");
    assert_eq!(code(bench.core.upload_progress(&other, upload.id).await), Code::BlobUploadUnknown);
    assert_eq!(code(bench.core.cancel_upload(&other, upload.id).await), Code::BlobUploadUnknown);
    let stolen = bench.core.finish_upload(&other, upload.id, &Digest::sha256(CONTENT), None, body(b"", 1)).await;
    assert_eq!(code(stolen), Code::BlobUploadUnknown);
    bench.core.cancel_upload(&bench.target("app"), upload.id).await.unwrap();
    nothing_is_left(&bench, upload).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_there_is_linked_and_not_stored_twice() {
    let bench = bench().await;
    let digest = bench.push_blob("app", CONTENT).await;
    bench.push_blob("other", CONTENT).await;
    bench.push_blob("app", CONTENT).await;
    assert_eq!(bench.copies().await.len(), 1);
    assert_eq!(bench.uploads().await, 0);
    assert!(bench.read("other", &digest).await.is_some());
    assert_eq!(bench.read("third", &digest).await, None);
}
