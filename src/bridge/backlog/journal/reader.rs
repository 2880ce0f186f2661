//! Reading a backlog's log: records become numbered items, and numbers that are missing become gaps.
//!
//! Invariant: every number from the first place on is handed out once, as a message or as part of a gap.

use std::collections::VecDeque;
use std::io;

use super::{GAP, MESSAGE, why, word};
use crate::bridge::backlog::{Item, Place, Reader, What};
use crate::bridge::sequence::Why;
use crate::journal::{self, Entry};

/// Read at once, in bytes.
const READ: usize = 256 << 10;

/// Hands out messages and gaps of a log by number.
pub(super) struct JournalReader {
    reader: journal::Reader,
    /// The place of what is handed out next.
    next: Place,
    read: VecDeque<Item>,
    /// Why numbers are missing, should the next record show that some are.
    why: Why,
}

impl JournalReader {
    /// Reads on from a place, to which the log's reader was put.
    pub(super) fn new(reader: journal::Reader, from: Place) -> Self {
        Self { reader, next: from, read: VecDeque::new(), why: Why::Dropped }
    }

    fn fill(&mut self) -> io::Result<bool> {
        let Self { reader, next, read, why: reason } = self;
        let mut expected = next.seq;
        reader.read(READ, |entry| {
            let (position, kind, payload) = match entry {
                Entry::Record { position, kind, payload } => (position, kind, payload),
                Entry::Gap(gap) => return *reason = why(gap.reason),
            };
            let Some(seq) = word(payload, 0).filter(|_| matches!(kind, MESSAGE | GAP)) else { return };
            let (count, what) = match kind {
                GAP => {
                    let count = word(payload, 1).unwrap_or_default();
                    let why = payload.get(16).and_then(|byte| Why::from_byte(*byte)).unwrap_or(Why::Damaged);
                    (count, What::Gap(count, why))
                }
                _ => (1, What::Message(payload[8..].to_vec())),
            };
            // Read twice.
            if seq < expected {
                return;
            }
            if seq > expected {
                let after = Place { position, seq };
                read.push_back(Item { seq: expected, after, what: What::Gap(seq - expected, *reason) });
            }
            *reason = Why::Dropped;
            expected = seq.saturating_add(count);
            if count == 0 {
                return;
            }
            let after = Place { position: position + 1, seq: expected };
            read.push_back(Item { seq, after, what });
        })
    }
}

impl Reader for JournalReader {
    fn next(&mut self) -> io::Result<Option<Item>> {
        while self.read.is_empty() {
            if !self.fill()? {
                return Ok(None);
            }
        }
        let item = self.read.pop_front();
        if let Some(item) = &item {
            self.next = item.after;
        }
        Ok(item)
    }

    fn place(&self) -> Place {
        match self.read.is_empty() {
            // Records that are no messages may have been passed since.
            true => Place { position: self.reader.position().max(self.next.position), seq: self.next.seq },
            false => self.next,
        }
    }
}
