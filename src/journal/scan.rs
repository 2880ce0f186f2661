//! Walks through the records of one file, over damage if need be.
//!
//! Holds one window of the file, never the file itself, so that a reader may close it between two steps.
//! Absent: what the damage means; the caller sees it by the positions that are missing. Invariant: every
//! record returned has a right checksum and a higher position than the one before it.

use std::io;

use super::files::File;
use super::format::{FRAME, HEADER, KIND_PACK, KIND_SEAL, MAX_PAYLOAD, Parsed, parse};
use super::pack::Unpacker;

/// How much is read at once, in bytes.
const WINDOW: usize = 64 << 10;

/// A place in a file.
#[derive(Debug)]
pub(super) struct Scan {
    seed: u32,
    /// The lowest position that the next record may have.
    pub(super) expected: u64,
    /// Place in the file of `window[0]`.
    start: u64,
    window: Vec<u8>,
    /// What of the window is behind us.
    at: usize,
    /// Bytes passed over because no record could be read there.
    pub(super) skipped: u64,
    /// Bytes passed over since the last record, and whether they look like a record that was cut off.
    trail: Trail,
    /// For packed records.
    unpacker: Unpacker,
    /// The last record returned was a packed one.
    packed: bool,
}

/// What lies behind the last good record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trail {
    /// Place in the file where the last good record ends.
    pub(super) from: u64,
    /// Bytes behind it.
    pub(super) bytes: u64,
    /// They are the beginning of one record whose rest was never written.
    pub(super) cut_off: bool,
}

/// What a step came upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A record; its payload is [`Scan::payload`].
    Record { position: u64, kind: u8, payload: usize },
    /// The end of the segment.
    Sealed,
    /// Nothing more is there that could be read.
    End(Trail),
}

impl Scan {
    /// From the first record of a file whose records have positions from `expected` on.
    pub(super) fn new(seed: u32, expected: u64) -> Self {
        let start = HEADER as u64;
        let trail = Trail { from: start, ..Trail::default() };
        Self {
            seed,
            expected,
            start,
            window: Vec::new(),
            at: 0,
            skipped: 0,
            trail,
            unpacker: Unpacker::default(),
            packed: false,
        }
    }

    /// The payload of the record that the last step returned.
    pub(super) fn payload(&self, len: usize) -> &[u8] {
        if self.packed { self.unpacker.payload(len) } else { &self.window[self.at - len..self.at] }
    }

    /// Forgets what it has read ahead, to hold little memory while nobody reads.
    pub(super) fn rest(&mut self) {
        self.start += self.at as u64;
        self.at = 0;
        self.window = Vec::new();
    }

    /// The next record.
    pub(super) fn step(&mut self, file: &dyn File) -> io::Result<Step> {
        let mut more = true;
        loop {
            if let Some((kind, payload)) = self.unpacker.next() {
                self.packed = true;
                self.expected += 1;
                return Ok(Step::Record { position: self.expected - 1, kind, payload });
            }
            match parse(&self.window[self.at..], self.seed, self.expected) {
                Parsed::Record { position, kind, payload } => {
                    self.at += FRAME + payload;
                    if kind == KIND_SEAL {
                        return Ok(Step::Sealed);
                    }
                    self.trail = Trail { from: self.start + self.at as u64, bytes: 0, cut_off: false };
                    if kind == KIND_PACK {
                        self.unpack(position, payload);
                        more = true;
                        continue;
                    }
                    self.packed = false;
                    self.expected = position + 1;
                    return Ok(Step::Record { position, kind, payload });
                }
                Parsed::Short(needed) if more => more = self.fill(file, needed)?,
                Parsed::Short(_) if self.at == self.window.len() => return Ok(Step::End(self.trail)),
                // Cut off, or a wrong length with records behind it: only looking tells.
                Parsed::Short(_) => self.skip(true),
                Parsed::Bad => self.skip(false),
            }
        }
    }

    /// Makes the records of the pack that was just passed the next ones; if it cannot be read, their positions are
    /// passed over.
    fn unpack(&mut self, position: u64, payload: usize) {
        let pack = &self.window[self.at - payload..self.at];
        if position != self.expected {
            self.unpacker.break_chain();
        }
        self.expected = position;
        if !self.unpacker.take(pack) {
            self.expected += Unpacker::count(pack).unwrap_or(0);
        }
    }

    fn skip(&mut self, cut_off: bool) {
        self.unpacker.break_chain();
        if self.trail.bytes == 0 {
            self.trail.cut_off = cut_off;
        }
        self.at += 1;
        self.skipped += 1;
        self.trail.bytes += 1;
    }

    /// Sees to it that `needed` bytes are in the window from `at` on; false: the file has no more.
    fn fill(&mut self, file: &dyn File, needed: usize) -> io::Result<bool> {
        debug_assert!(needed <= FRAME + MAX_PAYLOAD, "a longer record is no record");
        self.window.drain(..self.at);
        self.start += self.at as u64;
        self.at = 0;
        while self.window.len() < needed {
            let have = self.window.len();
            // In steps, so that a wrong length costs no more memory than the file has bytes.
            self.window.resize(have + WINDOW, 0);
            let read = file.read_at(&mut self.window[have..], self.start + have as u64);
            self.window.truncate(have + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
