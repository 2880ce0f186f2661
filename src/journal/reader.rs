//! Reading a log by position.
//!
//! A reader holds a position and a place in a file, no file: each call opens the segment, reads what fits,
//! and closes it. Invariant: every position up to the mark is given exactly once, as a record or as part
//! of a gap.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::files::{File, Files};
use super::format::{FRAME, Reason, seed_of};
use super::lock;
use super::options::add;
use super::scan::{Scan, Step};
use super::shared::Shared;
use super::survey::{Gap, Segment, Survey, segment_name};

/// Something at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A record.
    Record {
        /// Its position.
        position: u64,
        /// Its kind.
        kind: u8,
        /// Its payload.
        payload: &'a [u8],
    },
    /// Positions without records.
    Gap(Gap),
}

/// Reads on from a position.
pub struct Reader {
    shared: Arc<Shared>,
    next: u64,
    place: Option<(u64, Scan)>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, from: u64) -> Self {
        Self { shared, next: from.max(1), place: None }
    }

    /// The next position to be read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Calls `each` with what follows, until about `max_bytes` were read or the mark is reached. Returns
    /// whether there was anything.
    ///
    /// # Errors
    /// A file that should be there cannot be read. Called again, the reader goes on where it stopped.
    pub fn read(&mut self, max_bytes: usize, mut each: impl FnMut(Entry<'_>)) -> io::Result<bool> {
        let mut left = max_bytes.max(1);
        let before = self.next;
        let limit = self.shared.marks.reached(self.shared.options.readers).saturating_add(1);
        // At `None` readers see what is written, too.
        let limit = limit.min(self.shared.marks.reached(super::Level::Process) + 1);
        while left > 0 && self.next < limit {
            let Some((segment, reason)) = self.segment() else {
                self.gap(limit, Reason::Removed, &mut each);
                break;
            };
            if segment.base > self.next {
                self.gap(segment.base.min(limit), reason, &mut each);
                continue;
            }
            left = left.saturating_sub(self.read_segment(&segment, limit, left, &mut each)?);
        }
        if let Some((_, scan)) = &mut self.place {
            scan.rest();
        }
        Ok(self.next > before)
    }

    /// The segment that has the next position, or the first one behind it, and why what lies in front of it
    /// is missing.
    fn segment(&self) -> Option<(Segment, Reason)> {
        let map = lock(&self.shared.map);
        let at = map.partition_point(|segment| segment.end <= self.next);
        let segment = map.get(at)?;
        // In the middle of the log nothing is removed: what is missing there without a word is damage.
        let reason = if at == 0 { Reason::Removed } else { segment.jump.unwrap_or(Reason::Damaged) };
        Some((segment.clone(), reason))
    }

    /// Reads one segment; returns how many bytes it was.
    fn read_segment(
        &mut self,
        segment: &Segment,
        limit: u64,
        budget: usize,
        each: &mut impl FnMut(Entry<'_>),
    ) -> io::Result<usize> {
        let file = match self.shared.files.open(&self.shared.dir.join(segment_name(segment.number))) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let known = lock(&self.shared.map).iter().any(|known| known.number == segment.number);
                // Removed since we looked, or gone from a log that still counts on it.
                let reason = if known { Reason::Damaged } else { Reason::Removed };
                self.gap(segment.end.min(limit), reason, each);
                return Ok(1);
            }
            Err(error) => return Err(error),
        };
        let mut scan = match self.place.take() {
            Some((number, scan)) if number == segment.number => scan,
            _ => Scan::new(self.shared.seed, segment.base),
        };
        let end = segment.end.min(limit);
        let read = self.walk(&mut scan, &*file, end, budget, each);
        self.place = Some((segment.number, scan));
        read
    }

    fn walk(
        &mut self,
        scan: &mut Scan,
        file: &dyn File,
        end: u64,
        budget: usize,
        each: &mut impl FnMut(Entry<'_>),
    ) -> io::Result<usize> {
        let mut read = 0;
        while self.next < end && read < budget {
            match scan.step(file)? {
                Step::Record { position, kind, payload } => {
                    if position < self.next {
                        continue;
                    }
                    read += FRAME + payload;
                    if position > self.next {
                        self.gap(position.min(end), Reason::Damaged, each);
                    }
                    if position >= end {
                        // Of a time when the segment was longer: a later one has it now.
                        break;
                    }
                    each(Entry::Record { position, kind, payload: scan.payload(payload) });
                    self.next = position + 1;
                }
                Step::Sealed | Step::End(_) => self.gap(end, Reason::Damaged, each),
            }
        }
        Ok(read.max(1))
    }

    fn gap(&mut self, to: u64, reason: Reason, each: &mut impl FnMut(Entry<'_>)) {
        add(&self.shared.counters.gaps_read, 1);
        each(Entry::Gap(Gap { from: self.next, to, reason }));
        self.next = to;
    }
}

/// Reads everything in a directory that has been surveyed, without opening the log: for tools. A log that is
/// being written is read as far as it had come when it was surveyed.
///
/// # Errors
/// A file cannot be read.
pub fn read_directory(
    files: &dyn Files,
    dir: &Path,
    survey: &Survey,
    mut each: impl FnMut(&Segment, Entry<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let Some(log) = survey.log else { return Ok(()) };
    let mut gaps = survey.gaps.iter().peekable();
    for segment in &survey.segments {
        while let Some(gap) = gaps.next_if(|gap| gap.to <= segment.base) {
            each(segment, Entry::Gap(*gap))?;
        }
        let file = match files.open(&dir.join(segment_name(segment.number))) {
            Ok(file) => file,
            // Removed by the log meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let gap = Gap { from: segment.base, to: segment.end, reason: Reason::Removed };
                each(segment, Entry::Gap(gap))?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let mut scan = Scan::new(seed_of(&log), segment.base);
        let mut next = segment.base;
        while next < segment.end {
            let step = scan.step(&*file)?;
            let position = match step {
                Step::Record { position, .. } => position.min(segment.end),
                Step::Sealed | Step::End(_) => segment.end,
            };
            if position > next {
                each(segment, Entry::Gap(Gap { from: next, to: position, reason: Reason::Damaged }))?;
            }
            next = position;
            if let Step::Record { position, kind, payload } = step
                && position < segment.end
            {
                each(segment, Entry::Record { position, kind, payload: scan.payload(payload) })?;
                next = position + 1;
            }
        }
    }
    Ok(())
}
