//! Lines of a segment, forwards and backwards, at the cost of a block of memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take};
use std::os::unix::fs::FileExt;

use super::line::LINE_BYTES_MAX;

/// Bytes that are read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// Whole lines, the oldest first. A last line without an end was torn by a crash and is left out.
pub(super) struct LinesAfter<'f> {
    reader: BufReader<Take<&'f File>>,
    position: u64,
    line: Vec<u8>,
}

impl<'f> LinesAfter<'f> {
    /// The lines from `start`, which is where one begins, to `end`.
    pub(super) fn new(mut file: &'f File, start: u64, end: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(start))?;
        let reader = BufReader::with_capacity(BLOCK_BYTES, file.take(end.saturating_sub(start)));
        Ok(Self { reader, position: start, line: Vec::new() })
    }

    /// The next line and where it begins.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        self.line.clear();
        let read = self.reader.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut self.line)?;
        // What is longer than any line is garbage: it is handed out in pieces that nobody can read.
        if self.line.last() != Some(&b'\n') && read < LINE_BYTES_MAX {
            return Ok(None);
        }
        let start = self.position;
        self.position += read as u64;
        Ok(Some((start, &self.line)))
    }

    /// Where the last line that was handed out ends.
    pub(super) fn position(&self) -> u64 {
        self.position
    }
}

/// Lines, the newest first.
pub(super) struct LinesBefore<'f> {
    file: &'f File,
    /// Where the part that was read begins.
    start: u64,
    read: Vec<u8>,
    line: Vec<u8>,
}

impl<'f> LinesBefore<'f> {
    /// The lines before `end`.
    pub(super) fn new(file: &'f File, end: u64) -> Self {
        Self { file, start: end, read: Vec::new(), line: Vec::new() }
    }

    /// The line before and where it begins.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        loop {
            let inside = self.read.len().saturating_sub(1);
            let end_before = self.read[..inside].iter().rposition(|byte| *byte == b'\n');
            let begin = match end_before {
                Some(end) => end + 1,
                None if self.start == 0 && self.read.is_empty() => return Ok(None),
                None if self.start == 0 || self.read.len() >= LINE_BYTES_MAX => 0,
                None => {
                    self.read_block()?;
                    continue;
                }
            };
            self.line.clear();
            self.line.extend_from_slice(&self.read[begin..]);
            self.read.truncate(begin);
            return Ok(Some((self.start + begin as u64, &self.line)));
        }
    }

    fn read_block(&mut self) -> io::Result<()> {
        let bytes = self.start.min(BLOCK_BYTES as u64);
        let mut block = vec![0; usize::try_from(bytes).unwrap_or(BLOCK_BYTES)];
        self.file.read_exact_at(&mut block, self.start - bytes)?;
        block.append(&mut self.read);
        self.read = block;
        self.start -= bytes;
        Ok(())
    }
}
