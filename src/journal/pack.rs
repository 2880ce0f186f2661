//! Packed records: several records in one, compressed with what came before them.
//!
//! Telemetry repeats itself, in its topics above all, and flash wears out by the byte. LZ4 blocks that refer
//! back to those before them make little of even a single message. Such a chain begins anew every
//! [`CHAIN`] bytes, so damage costs no more than what is left of one chain. Pure. Invariant: what a
//! [`Packer`] made is unpacked to the same records or, where a part of its chain is missing, not at all.

use std::io::Write;

use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

use super::format::{FRAME, KIND_PACK, encode, frame_at};

/// Bytes of records in one chain, at most: it ends with the pack in which it reaches this.
pub(super) const CHAIN: usize = 128 << 10;

/// Bytes of records in one pack, at most. A longer record is not packed.
pub(super) const PACK: usize = 32 << 10;

/// How far back LZ4 refers.
const HISTORY: usize = 64 << 10;

/// What the library puts in front of the first block of a chain: magic number, flags, size, checksum.
const PREAMBLE: usize = 7;

/// What it puts in front of each block: its length, and whether it is not compressed.
const BLOCK: usize = 4;

/// First byte of a pack: a chain begins here.
const BEGINS: u8 = 1;

/// First byte of a pack: the records were not compressed, because it did not pay.
const PLAIN: u8 = 2;

/// Turns encoded records into packs.
pub(super) struct Packer {
    seed: u32,
    encoder: FrameEncoder<Vec<u8>>,
    /// Bytes of records in the chain so far.
    chained: usize,
    begins: bool,
    group: Vec<u8>,
    pack: Vec<u8>,
}

impl Packer {
    pub(super) fn new(seed: u32) -> Self {
        let info = FrameInfo::new().block_mode(BlockMode::Linked).block_size(BlockSize::Max64KB);
        let encoder = FrameEncoder::with_frame_info(info, Vec::new());
        Self { seed, encoder, chained: 0, begins: true, group: Vec::new(), pack: Vec::new() }
    }

    /// What follows does not refer to what came before: for a new segment.
    pub(super) fn restart(&mut self) {
        self.begins = true;
    }

    /// Appends to `out` the records of `frames`, of which the last one stands in front of position `end`.
    pub(super) fn pack(&mut self, frames: &[u8], end: u64, out: &mut Vec<u8>) {
        let (mut at, mut count, mut first) = (0, 0, None);
        while let Some((position, kind, payload)) = frame_at(frames, at, end) {
            let next = at + FRAME + payload.len();
            if payload.len() + FRAME > PACK {
                self.close(first.take(), &mut count, out);
                out.extend_from_slice(&frames[at..next]);
            } else {
                if self.group.len() + FRAME + payload.len() > PACK {
                    self.close(first.take(), &mut count, out);
                }
                first.get_or_insert(position);
                count += 1;
                number(&mut self.group, payload.len());
                self.group.push(kind);
                self.group.extend_from_slice(payload);
            }
            at = next;
        }
        self.close(first, &mut count, out);
    }

    /// Ends a pack.
    fn close(&mut self, first: Option<u64>, count: &mut usize, out: &mut Vec<u8>) {
        let Some(first) = first else { return };
        if self.chained >= CHAIN {
            self.begins = true;
        }
        let begins = std::mem::take(&mut self.begins);
        if begins {
            // The library begins a chain with the next block; the end of the one before is of no use here.
            let _ = self.encoder.try_finish();
            self.encoder.get_mut().clear();
            self.chained = 0;
        }
        // Writing to memory does not fail; should the library change what it writes, records stay as they are.
        let made = self.encoder.write_all(&self.group).and_then(|()| self.encoder.flush());
        let skip = if begins { PREAMBLE } else { 0 };
        let block = self.encoder.get_ref().get(skip..).filter(|_| made.is_ok());
        let block = block.and_then(|block| block.split_first_chunk::<BLOCK>());
        self.begins = block.is_none();
        let compressed = block.and_then(|(length, data)| {
            let length = u32::from_le_bytes(*length) as usize;
            (length == data.len()).then_some(data)
        });
        let flags = u8::from(begins) * BEGINS | u8::from(compressed.is_none()) * PLAIN;
        self.pack.clear();
        self.pack.push(flags);
        number(&mut self.pack, *count);
        number(&mut self.pack, self.group.len());
        let payload: [&[u8]; 2] = [&self.pack, compressed.unwrap_or(&self.group)];
        encode(out, self.seed, first, KIND_PACK, &payload);
        self.chained += self.group.len();
        self.encoder.get_mut().clear();
        self.group.clear();
        *count = 0;
    }
}

/// Gets the records back, pack by pack.
#[derive(Debug, Default)]
pub(super) struct Unpacker {
    /// The end of the chain's records so far; `None`: a part of it is missing.
    history: Option<Vec<u8>>,
    records: Vec<u8>,
    at: usize,
}

/// A record of a pack: its kind, and where its payload is.
pub(super) type Inner = (u8, usize);

impl Unpacker {
    /// Something in front of the next pack is missing.
    pub(super) fn break_chain(&mut self) {
        self.history = None;
    }

    /// How many records a pack has, readable or not; `None`: it is none.
    pub(super) fn count(payload: &[u8]) -> Option<u64> {
        take_number(payload.get(1..)?).map(|(count, _)| count as u64)
    }

    /// Takes a pack in. False: it cannot be read, because something in front of it is missing.
    pub(super) fn take(&mut self, payload: &[u8]) -> bool {
        self.rest();
        let Some((flags, length, block)) = split(payload) else { return false };
        if flags & BEGINS != 0 {
            self.history.get_or_insert_default().clear();
        }
        let Some(history) = &mut self.history else { return false };
        if flags & PLAIN != 0 {
            self.records.extend_from_slice(block);
        } else {
            self.records.resize(length, 0);
            let recent = &history[history.len().saturating_sub(HISTORY)..];
            let made = lz4_flex::block::decompress_into_with_dict(block, &mut self.records, recent);
            if made.ok() != Some(length) {
                self.history = None;
                self.records.clear();
                return false;
            }
        }
        history.extend_from_slice(&self.records);
        // Now and then, so that small packs do not move it each time.
        if history.len() > 2 * HISTORY {
            history.drain(..history.len() - HISTORY);
        }
        true
    }

    /// The next record.
    pub(super) fn next(&mut self) -> Option<Inner> {
        let rest = self.records.get(self.at..)?;
        let (length, rest) = take_number(rest)?;
        let (&kind, rest) = rest.split_first()?;
        rest.get(..length)?;
        self.at = self.records.len() - rest.len() + length;
        Some((kind, length))
    }

    /// The payload of the record that was returned last.
    pub(super) fn payload(&self, length: usize) -> &[u8] {
        &self.records[self.at - length..self.at]
    }

    /// Forgets the pack.
    pub(super) fn rest(&mut self) {
        self.records.clear();
        self.at = 0;
    }
}

/// Flags, length of the records, and the block.
fn split(payload: &[u8]) -> Option<(u8, usize, &[u8])> {
    let (&flags, rest) = payload.split_first()?;
    let (_, rest) = take_number(rest)?;
    let (length, block) = take_number(rest)?;
    (length <= PACK && (flags & PLAIN == 0 || block.len() == length)).then_some((flags, length, block))
}

fn number(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A number of at most three bytes.
fn take_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(3).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::journal::format::{Parsed, parse};

    const SEED: u32 = 5;

    /// Everything in packed bytes, by position; packs of which `lost` says so are not there.
    fn unpacked(bytes: &[u8], mut lost: impl FnMut(u64) -> bool) -> Vec<(u64, u8, Vec<u8>)> {
        let (mut unpacker, mut at, mut found) = (Unpacker::default(), 0, Vec::new());
        while let Parsed::Record { position, kind, payload } = parse(&bytes[at..], SEED, 0) {
            let content = &bytes[at + FRAME..at + FRAME + payload];
            at += FRAME + payload;
            if lost(position) {
                unpacker.break_chain();
            } else if kind != KIND_PACK {
                found.push((position, kind, content.to_vec()));
            } else if unpacker.take(content) {
                let mut next = position;
                while let Some((kind, length)) = unpacker.next() {
                    found.push((next, kind, unpacker.payload(length).to_vec()));
                    next += 1;
                }
                assert_eq!(next - position, Unpacker::count(content).unwrap());
            }
        }
        assert_eq!(at, bytes.len());
        found
    }

    /// Payloads that repeat themselves, and some that do not; a few are too long to be packed.
    fn payload(random: &mut fastrand::Rng) -> Vec<u8> {
        let number = random.u16(..);
        match random.u8(..40) {
            0 => (0..random.usize(30_000..70_000)).map(|n| (n % 251) as u8).collect(),
            1..10 => std::iter::repeat_with(|| random.u8(..)).take(usize::from(number % 300)).collect(),
            _ => format!("plant/line{}/temperature {{\"value\": {number}, \"unit\": \"C\"}}", number % 7)
                .into(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn records_come_back_or_are_missing(seed: u64, batches in 1usize..60, loss in prop::sample::select(vec![0u8, 10])) {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut packer, mut out, mut given) = (Packer::new(SEED), Vec::new(), Vec::new());
            let mut position = 1;
            for _ in 0..batches {
                let mut frames = Vec::new();
                for _ in 0..random.usize(1..40) {
                    let (kind, payload) = (random.u8(..200), payload(&mut random));
                    encode(&mut frames, SEED, position, kind, &[&payload]);
                    given.push((position, kind, payload));
                    position += 1;
                }
                packer.pack(&frames, position, &mut out);
                if random.u8(..20) == 0 {
                    packer.restart();
                }
            }
            let found = unpacked(&out, |_| random.u8(..100) < loss);
            if loss == 0 {
                prop_assert_eq!(found, given);
            } else {
                prop_assert!(found.iter().all(|record| given[record.0 as usize - 1] == *record));
            }
        }

        #[test]
        fn anything_can_be_unpacked(packs: Vec<Vec<u8>>) {
            let mut unpacker = Unpacker::default();
            for pack in packs {
                let _ = Unpacker::count(&pack);
                if unpacker.take(&pack) {
                    while let Some((_, length)) = unpacker.next() {
                        prop_assert_eq!(unpacker.payload(length).len(), length);
                    }
                }
            }
        }
    }

    #[test]
    fn chains_are_as_long_as_they_may_be_and_telemetry_shrinks() {
        let (mut packer, mut out) = (Packer::new(SEED), Vec::new());
        let (mut raw, mut position) = (0, 1);
        while raw < 4 * CHAIN {
            let mut frames = Vec::new();
            let line = position % 7;
            let text = format!(
                "plant/line{line}/temperature {{\"value\": {position}, \"quality\": \"good\", \"unit\": \"C\"}}"
            );
            encode(&mut frames, SEED, position, 1, &[text.as_bytes()]);
            position += 1;
            raw += frames.len();
            packer.pack(&frames, position, &mut out);
        }
        assert!(out.len() < raw / 2, "{} of {raw}", out.len());
        // Without the first pack, the first chain is gone, and no other.
        let found = unpacked(&out, |position| position == 1);
        assert!((found[0].0 as usize - 1) * 70 < CHAIN + PACK, "{}", found[0].0);
        assert_eq!(found.len() as u64, position - found[0].0);
    }
}
