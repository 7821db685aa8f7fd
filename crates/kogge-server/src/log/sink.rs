//! A bounded buffer of log lines and the thread that writes them: nothing that logs ever waits for a slow reader.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes that wait for the reader; further lines are dropped and counted.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes after which lines are written at once.
const BATCH_BYTES: usize = 64 * 1024;
/// How long a line waits for others to be written with.
const BATCH_TIME: Duration = Duration::from_millis(100);

/// Takes whole lines and writes them in batches. Clones share the buffer.
#[derive(Debug, Clone)]
pub struct Sink(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something was put in, or the sink is closing.
    filled: Condvar,
    /// Everything was written.
    drained: Condvar,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    writing: bool,
    closing: bool,
}

impl Sink {
    /// A sink that writes to `out` and counts dropped lines. `name` is the thread's.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn start(name: &str, out: impl Write + Send + 'static, dropped: Counter) -> io::Result<Self> {
        let shared =
            Arc::new(Shared { state: Mutex::default(), filled: Condvar::new(), drained: Condvar::new(), dropped });
        let writer = shared.clone();
        thread::Builder::new().name(name.to_owned()).spawn(move || writer.write_until_closed(out))?;
        Ok(Self(shared))
    }

    /// Takes a line, its end included. It is dropped whole when too much is waiting.
    pub fn put(&self, line: &[u8]) {
        let mut state = self.0.lock();
        if state.waiting.len() + line.len() > WAITING_BYTES_MAX {
            drop(state);
            self.0.dropped.inc();
            return;
        }
        let before = state.waiting.len();
        state.waiting.extend_from_slice(line);
        // The thread sleeps only while nothing waits, and gathers until there is a batch.
        let wake = before == 0 || (before < BATCH_BYTES && state.waiting.len() >= BATCH_BYTES);
        drop(state);
        if wake {
            self.0.filled.notify_one();
        }
    }

    /// Waits until everything put so far is written, for at most `limit`. Lines put later are written without
    /// gathering.
    pub fn close(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.0.lock();
        state.closing = true;
        self.0.filled.notify_one();
        while (state.writing || !state.waiting.is_empty()) && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            state = self.0.drained.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_until_closed(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            self.next_batch(&mut batch);
            // A log that cannot be written has nowhere to say so.
            let _ = out.write_all(&batch).and_then(|()| out.flush());
            batch.clear();
            let mut state = self.lock();
            state.writing = false;
            self.drained.notify_all();
        }
    }

    fn next_batch(&self, batch: &mut Vec<u8>) {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let gathering = |state: &mut State| state.waiting.len() < BATCH_BYTES && !state.closing;
        let waited = self.filled.wait_timeout_while(state, BATCH_TIME, gathering);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        std::mem::swap(&mut state.waiting, batch);
        state.writing = true;
    }
}

/// Gathers the pieces of one event and puts them as one line.
#[derive(Debug)]
pub struct Line {
    sink: Sink,
    text: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            self.sink.put(&self.text);
        }
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { sink: self.clone(), text: Vec::new() }
    }
}

/// Hands what is written to a test, which may hold it up.
#[cfg(test)]
pub(crate) struct Pipe(pub(crate) std::sync::mpsc::SyncSender<Vec<u8>>);

#[cfg(test)]
impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn lines_come_out_in_order_and_in_batches() {
        let (sender, receiver) = mpsc::sync_channel(1_000);
        let sink = Sink::start("test-log", Pipe(sender), Counter::default()).expect("thread");
        for number in 0..100 {
            sink.put(format!("line {number}\n").as_bytes());
        }
        sink.close(Duration::from_secs(60));
        let writes: Vec<Vec<u8>> = receiver.try_iter().collect();
        let expected: String = (0..100).map(|number| format!("line {number}\n")).collect();
        assert_eq!(String::from_utf8(writes.concat()), Ok(expected));
        assert!(writes.len() < 100, "{} writes", writes.len());
    }

    #[test]
    fn a_reader_that_stands_still_costs_lines_and_no_time() {
        let (sender, receiver) = mpsc::sync_channel(0);
        let dropped = Counter::default();
        let sink = Sink::start("test-log", Pipe(sender), dropped.clone()).expect("thread");
        let line = [b'x'; 1024];
        // One buffer is being written at most, one waits at most.
        let room = (WAITING_BYTES_MAX / line.len()) as u64;
        let lines = 3 * room;
        for _ in 0..lines {
            sink.put(&line);
        }
        assert!(dropped.get() >= lines - 2 * room - 1, "{}", dropped.get());
        let mut left = (lines - dropped.get()) * line.len() as u64;
        while left > 0 {
            left -= receiver.recv_timeout(Duration::from_secs(60)).expect("what was kept is written").len() as u64;
        }
    }

    #[test]
    fn closing_does_not_wait_for_ever() {
        let (sender, receiver) = mpsc::sync_channel(0);
        let sink = Sink::start("test-log", Pipe(sender), Counter::default()).expect("thread");
        sink.put(b"nobody reads this\n");
        sink.close(Duration::from_millis(1));
        drop(receiver);
    }
}
