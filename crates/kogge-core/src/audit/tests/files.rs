//! Segments: a crash costs at most a torn line, old ones go, and none grows for ever.

use std::io::Write;

use super::*;

/// Leaves the recorder as a killed process does: nothing more is written, no index is made.
async fn kill(recorder: Recorder) {
    assert!(recorder.flush().await);
    std::mem::forget(recorder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_leaves_what_was_flushed_and_a_torn_line_is_skipped() {
    let root = tempfile::tempdir().unwrap();
    let (recorder, clock) = open(root.path());
    recorder.record(&pull(START, "one"));
    recorder.record(&denial(START + 1));
    kill(recorder).await;
    let [segment] = &segments(root.path())[..] else { panic!("one segment") };
    let whole = std::fs::read(segment).unwrap();
    for torn in [&b"{\"TimeGenerated\":\"2026-11-24T"[..], b"{", b"\xff\xfe", &whole[..whole.len() / 2 + 20]] {
        std::fs::write(segment, &whole).unwrap();
        std::fs::OpenOptions::new().append(true).open(segment).unwrap().write_all(torn).unwrap();
        let recorder = Recorder::open(settings(root.path()), Arc::clone(&clock) as _).unwrap();
        let told = all(&recorder).await;
        let pulls = told.iter().filter(|record| record.text("Tag") == "one").count();
        assert!((1..=2).contains(&pulls), "{told:?}");
        assert_eq!(told.iter().filter(|record| record.text("Category") == "Denials").count(), 1);
    }
    let recorder = Recorder::open(settings(root.path()), clock as _).unwrap();
    recorder.record(&pull(START + 2, "two"));
    assert_eq!(all(&recorder).await.last().unwrap().text("Tag"), "two");
    assert_eq!(segments(root.path()).len(), 2, "a torn segment is not written on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_closed_is_found_again_by_its_index() {
    let root = tempfile::tempdir().unwrap();
    let (recorder, clock) = open(root.path());
    recorder.record(&pull(START, "one"));
    recorder.close().await;
    drop(recorder);
    let recorder = Recorder::open(settings(root.path()), clock as _).unwrap();
    assert_eq!(tags(&all(&recorder).await), ["one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_are_finished_by_size_and_their_names_carry_the_time() {
    let root = tempfile::tempdir().unwrap();
    let (recorder, clock) = open(root.path());
    for round in 0..4 {
        for number in 0..300 {
            recorder.record(&pull(START + round * 1_000 + number, "v1"));
        }
        clock.advance(Duration::from_secs(1));
        assert!(recorder.flush().await);
    }
    let paths = segments(root.path());
    assert_eq!(paths.len(), 4);
    assert_eq!(paths[0].file_name().unwrap(), "2026-11-24T00-00-01.000000Z.jsonl");
    for path in &paths[..3] {
        assert!(path.metadata().unwrap().len() >= retention().segment_bytes_max);
        assert!(path.with_extension("index").exists(), "{path:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_segments_go_and_the_present_one_stays() {
    let root = tempfile::tempdir().unwrap();
    let (recorder, clock) = open(root.path());
    recorder.record(&pull(START, "old"));
    recorder.close().await;
    drop(recorder);
    clock.advance(retention().time + Duration::from_secs(1));
    let recorder = Recorder::open(settings(root.path()), Arc::clone(&clock) as _).unwrap();
    recorder.record(&pull(START, "late"));
    assert!(recorder.flush().await);
    assert_eq!(tags(&all(&recorder).await), ["late"], "an event of any age stays in the segment that is written");
    assert_eq!(segments(root.path()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_segments_go_when_there_are_too_many_bytes() {
    let root = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START));
    let kept = Retention { bytes_max: 3 * 64 * 1024, ..retention() };
    let settings = AuditSettings { retention: kept, ..settings(root.path()) };
    let recorder = Recorder::open(settings, Arc::clone(&clock) as _).unwrap();
    for round in 0..10 {
        let tag = format!("round{round}");
        for number in 0..150 {
            recorder.record(&pull(START + number, &tag));
        }
        clock.advance(Duration::from_secs(1));
        assert!(recorder.flush().await);
    }
    let total: u64 = segments(root.path()).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(total <= kept.bytes_max + 2 * 150 * 1_000, "{total}");
    let told = all(&recorder).await;
    assert_eq!(told.last().unwrap().text("Tag"), "round9");
    assert!(told.iter().all(|record| record.text("Tag") != "round0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_goes_back_does_not_mix_the_order_up() {
    let root = tempfile::tempdir().unwrap();
    for (tag, now) in [("one", START), ("two", START - 1_000_000), ("three", START)] {
        let recorder = Recorder::open(settings(root.path()), Arc::new(ManualClock::at(now))).unwrap();
        recorder.record(&pull(now, tag));
        recorder.close().await;
    }
    let (recorder, _) = open(root.path());
    assert_eq!(tags(&all(&recorder).await), ["one", "two", "three"]);
}

/// Takes lines, and can be broken.
struct Pipe(std::sync::mpsc::Sender<Vec<u8>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_goes_elsewhere_and_its_reader_may_leave() {
    let root = tempfile::tempdir().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let settings = AuditSettings { copy: Some(Box::new(Pipe(sender))), ..settings(root.path()) };
    let recorder = Recorder::open(settings, Arc::new(ManualClock::at(START))).unwrap();
    recorder.record(&pull(START, "one"));
    assert!(recorder.flush().await);
    let copied: Vec<u8> = receiver.try_iter().flatten().collect();
    assert_eq!(copied, std::fs::read(&segments(root.path())[0]).unwrap());
    drop(receiver);
    recorder.record(&pull(START, "two"));
    assert!(recorder.flush().await);
    assert_eq!(tags(&all(&recorder).await), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_folder_there_is_nothing_to_ask() {
    let settings = AuditSettings { folder: None, ..settings(Path::new("")) };
    let recorder = Recorder::open(settings, Arc::new(ManualClock::at(START))).unwrap();
    recorder.record(&pull(START, "one"));
    for recorder in [recorder, Recorder::off()] {
        assert!(matches!(recorder.query(AuditQuery::default()).await, Err(crate::audit::AuditError::NotKept)));
    }
}
