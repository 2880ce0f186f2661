//! The bytes of the log: file headers, record frames and seals.
//!
//! docs/journal.md describes them byte by byte. Pure: knows no files. Invariant: what `encode` wrote and
//! nobody changed, `parse` gives back; anything else it calls bad, never something else.

use crc32fast::Hasher;

/// The version of the format that this program writes; it reads those before it, too.
pub const VERSION: u16 = 2;

/// Every file of a log begins with this.
pub(super) const MAGIC: [u8; 8] = *b"iogatlog";

/// Length of one copy of the header; a file has two.
const COPY: usize = 64;

/// Where the records of a file begin.
pub(super) const HEADER: usize = 2 * COPY;

/// Bytes of a record in front of its payload: checksum, length, position, kind.
pub(super) const FRAME: usize = 13;

/// Longest payload of one record, in bytes.
pub const MAX_PAYLOAD: usize = 16 << 20;

/// Kinds from here on belong to the log itself.
pub const FIRST_OWN_KIND: u8 = 0xF0;

/// The last record of a segment.
pub(super) const KIND_SEAL: u8 = 0xFF;

/// The last record of a snapshot.
pub(super) const KIND_END: u8 = 0xFE;

/// Several records, packed.
pub(super) const KIND_PACK: u8 = 0xFD;

/// Payload of a seal: end position, time, how it came.
const SEAL_PAYLOAD: usize = 17;

/// A seal with its frame.
pub(super) const SEAL: usize = FRAME + SEAL_PAYLOAD;

/// A record may lie so many positions behind the one expected; more is damage.
pub(super) const MAX_HOLE: u64 = 1 << 25;

/// What a file of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Segment,
    Snapshot,
}

/// Why positions are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The records were removed: everybody was past them, or a limit had been reached.
    Removed,
    /// The records were damaged on the disk, or their file is gone.
    Damaged,
    /// The power failed before the records were synced; how many there were is not known.
    PowerLoss,
}

impl Reason {
    /// In a word, as the reports have it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Damaged => "damaged",
            Self::PowerLoss => "power-loss",
        }
    }
}

/// What a file says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: FileKind,
    /// Why the segment does not begin where the one before it ended, if so.
    pub(super) jump: Option<Reason>,
    /// Position of the first record; of a snapshot: the first that it does not hold.
    pub(super) base: u64,
    /// Wall time when the file was made, in microseconds since 1970.
    pub(super) created_us: i64,
    /// Tells logs apart.
    pub(super) log: [u8; 16],
    /// The boot of the machine that the file was made in.
    pub(super) boot: [u8; 16],
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// Not a file of a log.
    Foreign,
    /// Of a log, but the checksum is wrong in both copies.
    Damaged,
    /// Written by a newer program.
    Newer(u16),
}

impl Header {
    /// Both copies.
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(
            10,
            &[match self.kind {
                FileKind::Segment => 0,
                FileKind::Snapshot => 1,
            }],
        );
        put(
            11,
            &[match self.jump {
                None => 0,
                Some(Reason::Removed) => 1,
                Some(Reason::Damaged) => 2,
                Some(Reason::PowerLoss) => 3,
            }],
        );
        put(16, &self.base.to_le_bytes());
        put(24, &self.created_us.to_le_bytes());
        put(32, &self.log);
        put(48, &self.boot);
        let crc = header_crc(&out[..COPY]);
        out[12..16].copy_from_slice(&crc.to_le_bytes());
        out.copy_within(..COPY, COPY);
        out
    }

    /// Reads a header from the first bytes of a file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, BadHeader> {
        let copies = [bytes.get(..COPY), bytes.get(COPY..HEADER)];
        let mut problem = BadHeader::Foreign;
        for copy in copies.into_iter().flatten() {
            match Self::parse_copy(copy) {
                Err(BadHeader::Foreign) => {}
                Err(BadHeader::Damaged) if problem == BadHeader::Foreign => problem = BadHeader::Damaged,
                Err(BadHeader::Damaged) => {}
                other => return other,
            }
        }
        Err(problem)
    }

    fn parse_copy(copy: &[u8]) -> Result<Self, BadHeader> {
        if copy[..8] != MAGIC {
            return Err(BadHeader::Foreign);
        }
        // The place of the checksum is the same in all versions, so that a damaged version is no newer one.
        if u32_at(copy, 12) != header_crc(copy) {
            return Err(BadHeader::Damaged);
        }
        let version = u16::from_le_bytes([copy[8], copy[9]]);
        if version > VERSION {
            return Err(BadHeader::Newer(version));
        }
        let kind = if copy[10] == 1 { FileKind::Snapshot } else { FileKind::Segment };
        let jump = match copy[11] {
            1 => Some(Reason::Removed),
            2 => Some(Reason::Damaged),
            3 => Some(Reason::PowerLoss),
            _ => None,
        };
        let (mut log, mut boot) = ([0; 16], [0; 16]);
        log.copy_from_slice(&copy[32..48]);
        boot.copy_from_slice(&copy[48..64]);
        let created_us = u64_at(copy, 24).cast_signed();
        Ok(Self { kind, jump, base: u64_at(copy, 16), created_us, log, boot })
    }
}

fn header_crc(copy: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&copy[..12]);
    hasher.update(&copy[16..COPY]);
    hasher.finalize()
}

/// What the checksums of a log's records start from, so that no record of another log, and none that
/// stands in a payload, is taken for one of this log.
pub(super) fn seed_of(log: &[u8; 16]) -> u32 {
    crc32fast::hash(log)
}

/// Appends one record.
pub(super) fn encode(out: &mut Vec<u8>, seed: u32, position: u64, kind: u8, payload: &[&[u8]]) {
    let start = out.len();
    let len: usize = payload.iter().map(|part| part.len()).sum();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(len as u32).to_le_bytes());
    // The low half tells positions of one segment apart.
    out.extend_from_slice(&(position as u32).to_le_bytes());
    out.push(kind);
    for part in payload {
        out.extend_from_slice(part);
    }
    let crc = record_crc(seed, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The record at one place of a buffer of whole records: position, kind and payload. `end` is a position behind it, by
/// less than half of what its low half can tell.
pub(super) fn frame_at(frames: &[u8], at: usize, end: u64) -> Option<(u64, u8, &[u8])> {
    let frame = frames.get(at..)?;
    let payload = frame.get(FRAME..)?.get(..u32_at(frame, 4) as usize)?;
    let behind = (end as u32).wrapping_sub(u32_at(frame, 8));
    Some((end - u64::from(behind), frame[12], payload))
}

fn record_crc(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

/// What stands at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A record; its payload follows the frame.
    Record { position: u64, kind: u8, payload: usize },
    /// Perhaps a record, of which so many bytes must be there at least to tell.
    Short(usize),
    /// No record.
    Bad,
}

/// Reads what stands at the start of `bytes`; `expected` is the lowest position that it may have.
pub(super) fn parse(bytes: &[u8], seed: u32, expected: u64) -> Parsed {
    if bytes.len() < FRAME {
        return Parsed::Short(FRAME);
    }
    let payload = u32_at(bytes, 4) as usize;
    let ahead = u32_at(bytes, 8).wrapping_sub(expected as u32);
    if payload > MAX_PAYLOAD || u64::from(ahead) > MAX_HOLE {
        return Parsed::Bad;
    }
    let end = FRAME + payload;
    if bytes.len() < end {
        return Parsed::Short(end);
    }
    if u32_at(bytes, 0) != record_crc(seed, &bytes[4..end]) {
        return Parsed::Bad;
    }
    Parsed::Record { position: expected + u64::from(ahead), kind: bytes[12], payload }
}

/// The last words of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    /// The position behind the last record.
    pub(super) end: u64,
    /// Wall time, in microseconds since 1970.
    pub(super) sealed_us: i64,
    /// The log was closed in order, and everything in it was synced.
    pub(super) closed: bool,
}

impl Seal {
    pub(super) fn encode(self, out: &mut Vec<u8>, seed: u32) {
        let (end, time) = (self.end.to_le_bytes(), self.sealed_us.to_le_bytes());
        encode(out, seed, self.end, KIND_SEAL, &[&end, &time, &[self.closed.into()]]);
    }

    /// Reads a seal from the last bytes of a file.
    pub(super) fn parse(bytes: &[u8], seed: u32) -> Option<Self> {
        let bytes = bytes.get(bytes.len().checked_sub(SEAL)?..)?;
        let end = u64_at(bytes, FRAME);
        match parse(bytes, seed, end) {
            Parsed::Record { position, kind: KIND_SEAL, payload: SEAL_PAYLOAD } if position == end => {}
            _ => return None,
        }
        let sealed_us = u64_at(bytes, FRAME + 8).cast_signed();
        Some(Self { end, sealed_us, closed: bytes[FRAME + 16] == 1 })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        Header {
            kind: FileKind::Segment,
            jump: Some(Reason::PowerLoss),
            base: 1 << 40,
            created_us: -5,
            log: [7; 16],
            boot: [9; 16],
        }
    }

    #[test]
    fn headers_survive_the_loss_of_one_copy_and_tell_newer_from_damaged() {
        let good = header().encode();
        for at in 0..HEADER {
            let mut bytes = good;
            bytes[at] ^= 0x10;
            assert_eq!(Header::parse(&bytes), Ok(header()), "byte {at}");
            let other = (at + COPY) % HEADER;
            bytes[other] ^= 0x10;
            assert!(Header::parse(&bytes).is_err(), "bytes {at} and {other}");
        }
        assert_eq!(Header::parse(&[0; HEADER]), Err(BadHeader::Foreign));
        let mut newer = good;
        newer[8] = 7;
        let crc = header_crc(&newer[..COPY]);
        newer[12..16].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::parse(&newer), Err(BadHeader::Newer(7)));
    }

    proptest! {
        #[test]
        fn records_come_back(seed: u32, position in 0..u64::MAX / 2, kind: u8, payload: Vec<u8>, behind in 0..1000u64) {
            let mut bytes = Vec::new();
            encode(&mut bytes, seed, position, kind, &[&payload[..payload.len() / 2], &payload[payload.len() / 2..]]);
            let expected = position.saturating_sub(behind);
            let parsed = Parsed::Record { position, kind, payload: payload.len() };
            prop_assert_eq!(parse(&bytes, seed, expected), parsed);
            for len in 0..bytes.len() {
                let short = matches!(parse(&bytes[..len], seed, expected), Parsed::Short(_));
                prop_assert!(short);
            }
        }

        #[test]
        fn one_wrong_bit_is_noticed(position in 0..1u64 << 33, payload in prop::collection::vec(any::<u8>(), 0..50), bit: prop::sample::Index) {
            let mut bytes = Vec::new();
            encode(&mut bytes, 3, position, 1, &[&payload]);
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let parsed = parse(&bytes, 3, position);
            let taken = matches!(parsed, Parsed::Record { .. });
            prop_assert!(!taken);
        }

        #[test]
        fn anything_can_be_parsed(bytes: Vec<u8>, seed: u32, expected in 0..u64::MAX / 2) {
            let _ = parse(&bytes, seed, expected);
            let _ = Header::parse(&bytes);
            let _ = Seal::parse(&bytes, seed);
        }

        #[test]
        fn seals_come_back(end in 0..u64::MAX / 2, sealed_us: i64, closed: bool, before: Vec<u8>) {
            let (seal, mut bytes) = (Seal { end, sealed_us, closed }, before);
            seal.encode(&mut bytes, 1);
            prop_assert_eq!(Seal::parse(&bytes, 1), Some(seal));
            prop_assert_eq!(Seal::parse(&bytes, 2), None);
        }
    }
}
