//! Which segments go: those that everybody is past, those that are too old, and the oldest when there is
//! no room.
//!
//! Whole files only, so nothing is ever written to remove something. Invariant: what a pin holds is
//! removed by a limit only, which is counted, and readers are told of it.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::lock;
use super::options::{Level, OnFull, add};
use super::shared::Shared;
use super::survey::{Segment, segment_name};
use super::writer::Writer;
use crate::clock::Clock;

/// Files that are to be removed, and the age of the others.
pub(super) struct Doomed {
    /// Written again elsewhere; they go once that is durable.
    superseded: Vec<u64>,
    /// Out of the map, and still there because removing them failed.
    left: Vec<u64>,
    /// When sealed segments were sealed, by monotonic time, oldest first: a jump of the wall clock ages
    /// nothing.
    sealed: VecDeque<(u64, Option<Instant>)>,
}

impl Doomed {
    /// Ages of segments from before: by the wall clock, as far as that is believable.
    pub(super) fn new(shared: &Shared, clock: &Clock) -> Self {
        let now = clock.stamp();
        let age = |segment: &Segment| {
            let us = u64::try_from(now.unix_us.saturating_sub(segment.time_us)).unwrap_or(0);
            // `None`: older than monotonic time.
            (segment.number, now.mono.checked_sub(Duration::from_micros(us)))
        };
        let sealed = lock(&shared.map).iter().map(age).collect();
        Self { superseded: Vec::new(), left: Vec::new(), sealed }
    }

    pub(super) fn superseded(&mut self, number: u64) {
        self.superseded.push(number);
    }

    pub(super) fn sealed(&mut self, shared: &Shared, clock: &Clock) {
        if let Some(last) = lock(&shared.map).last() {
            self.sealed.push_back((last.number, Some(clock.mono())));
        }
    }
}

impl Writer {
    /// Removes what may go. Returns whether anything did.
    pub(super) fn retain(&mut self) -> bool {
        let floor = self.shared.floor();
        let mut removed = false;
        while let Some(limit) = self.expendable(floor) {
            self.remove_first(limit);
            removed = true;
        }
        if self.is_synced() {
            removed |= !self.doomed.superseded.is_empty();
            self.doomed.left.append(&mut self.doomed.superseded);
        }
        self.sweep();
        if removed && self.shared.files.sync_dir(&self.shared.dir).is_err() {
            // The names may come back after a power cut; they are removed again then.
            add(&self.shared.counters.remove_failures, 1);
        }
        removed
    }

    /// Whether the oldest segment may go, and if so, whether a limit says it.
    fn expendable(&self, floor: u64) -> Option<bool> {
        let options = &self.shared.options;
        let map = lock(&self.shared.map);
        let first = map.first()?;
        if map.len() == 1 && self.is_writing() {
            return None;
        }
        if first.end <= floor && first.end <= self.shared.marks.reached(Level::Power) + 1 {
            return Some(false);
        }
        let over =
            options.on_full == OnFull::DropOldest && self.shared.bytes.load(Relaxed) > options.max_bytes;
        (over || self.too_old(first.number)).then_some(true)
    }

    fn too_old(&self, number: u64) -> bool {
        let Some(max_age) = self.shared.options.max_age else { return false };
        let now = self.clock.mono();
        let sealed = self.doomed.sealed.iter().find(|(known, _)| *known == number);
        sealed.is_some_and(|(_, at)| at.is_none_or(|at| now.saturating_duration_since(at) > max_age))
    }

    fn remove_first(&mut self, limit: bool) {
        let first = {
            let mut map = lock(&self.shared.map);
            if map.is_empty() {
                return;
            }
            map.remove(0)
        };
        self.shared.bytes.fetch_sub(first.bytes, Relaxed);
        while self.doomed.sealed.front().is_some_and(|(number, _)| *number <= first.number) {
            self.doomed.sealed.pop_front();
        }
        self.doomed.left.push(first.number);
        let counters = &self.shared.counters;
        if limit {
            add(&counters.segments_dropped, 1);
            add(&counters.records_dropped, first.end - first.base);
            tracing::warn!(dir = %self.shared.dir.display(), from = first.base, to = first.end, "the log dropped its oldest records");
        } else {
            add(&counters.segments_removed, 1);
        }
    }

    fn sweep(&mut self) {
        let (files, dir): (_, &Path) = (&self.shared.files, &self.shared.dir);
        let counters = &self.shared.counters;
        self.doomed.left.retain(|&number| {
            let failed = match files.remove(&dir.join(segment_name(number))) {
                Err(error) => error.kind() != std::io::ErrorKind::NotFound,
                Ok(()) => false,
            };
            if failed {
                add(&counters.remove_failures, 1);
            }
            failed
        });
    }

    /// The disk is full: drops the oldest segment, if the owner said so. False: nothing could be dropped.
    pub(super) fn make_room(&mut self) -> bool {
        let several = lock(&self.shared.map).len() > 1;
        if self.shared.options.on_full == OnFull::Refuse || !several {
            return false;
        }
        self.remove_first(true);
        self.sweep();
        self.doomed.left.is_empty()
    }
}
