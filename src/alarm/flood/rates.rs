//! How many alarms people are told of: counts per minute over a day, and per alarm and hour (EEMUA 191).
//!
//! Counted is what asks for attention: an alarm that comes, or matters more, while nothing keeps it silent. Time
//! is monotonic; what the journal knows of the time before the start is put in by its age. Invariant: a count is
//! in the slot of its moment or nowhere, so a sum never holds what is older than its time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::model::FLOOD;

const MINUTE: Duration = Duration::from_secs(60);

/// A day in minutes: the slots that are kept.
const DAY: usize = 24 * 60;

/// What EEMUA 191 counts by, in minutes.
const TEN: usize = 10;

/// The hours that are kept of each alarm.
const HOURS: usize = 24;

/// How many of the most frequent alarms are told.
const MOST: usize = 10;

/// Counts in slots of equal length, the newest so many of them.
#[derive(Debug, Clone)]
struct Ring {
    counts: Box<[u32]>,
    /// The newest slot that has been counted in.
    newest: u64,
}

impl Ring {
    fn new(slots: usize) -> Self {
        Self { counts: vec![0; slots].into(), newest: 0 }
    }

    fn place(&self, slot: u64) -> usize {
        usize::try_from(slot % self.counts.len() as u64).unwrap_or(0)
    }

    fn add(&mut self, slot: u64, count: u32) {
        let slots = self.counts.len() as u64;
        for fresh in (self.newest + 1..=slot).rev().take(self.counts.len()) {
            let place = self.place(fresh);
            self.counts[place] = 0;
        }
        self.newest = self.newest.max(slot);
        if slot + slots > self.newest {
            let place = self.place(slot);
            self.counts[place] = self.counts[place].saturating_add(count);
        }
    }

    /// The count of one slot.
    fn get(&self, slot: u64) -> u64 {
        match slot <= self.newest && slot + self.counts.len() as u64 > self.newest {
            true => u64::from(self.counts[self.place(slot)]),
            false => 0,
        }
    }

    /// The sum of the slots up to `now`, so many of them.
    fn sum(&self, now: u64, slots: usize) -> u64 {
        let slots = slots.min(self.counts.len()) as u64;
        (now.saturating_sub(slots - 1)..=now).map(|slot| self.get(slot)).sum()
    }
}

/// The counts of all alarms.
#[derive(Debug)]
pub struct Rates {
    start: Instant,
    minutes: Ring,
    /// By the place of an alarm, for those that have ever come.
    by_alarm: HashMap<usize, Ring>,
    total: u64,
}

/// The counts of the last day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Within the last ten minutes.
    pub ten_minutes: u64,
    /// Within the last hour.
    pub hour: u64,
    /// Within the last day.
    pub day: u64,
    /// The most within ten minutes of the last day.
    pub peak: u64,
    /// How much of the last day lay in ten minutes with more than [`FLOOD`].
    pub flooded: Duration,
    /// Since the start.
    pub total: u64,
    /// The alarms that came most often, by their places.
    pub most: Vec<(usize, u64)>,
}

impl Rates {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(start: Instant) -> Self {
        Self { start, minutes: Ring::new(DAY), by_alarm: HashMap::new(), total: 0 }
    }

    /// An alarm asks for attention.
    pub fn count(&mut self, place: usize, now: Instant) {
        let minute = self.minute(now);
        self.add(place, minute, 1);
        self.total += 1;
    }

    /// What was counted before the start, so long ago.
    pub fn seed(&mut self, place: usize, ago: Duration, count: u32) {
        let Some(minute) = (DAY as u64).checked_sub(ago.as_secs() / MINUTE.as_secs()) else { return };
        self.add(place, minute, count);
    }

    fn add(&mut self, place: usize, minute: u64, count: u32) {
        self.minutes.add(minute, count);
        self.by_alarm.entry(place).or_insert_with(|| Ring::new(HOURS)).add(minute / 60, count);
    }

    /// A day before the start is minute 0, so that the past has numbers, too.
    fn minute(&self, now: Instant) -> u64 {
        DAY as u64 + now.saturating_duration_since(self.start).as_secs() / MINUTE.as_secs()
    }

    /// The counts of the last day, `most` of whole hours.
    #[must_use]
    pub fn counts(&self, now: Instant) -> Counts {
        let minute = self.minute(now);
        let first = minute + 1 - DAY as u64;
        // The sum of the ten minutes up to each minute, and how many more minutes a flood that has been seen covers.
        let (mut sum, mut peak, mut flooded, mut covered) = (0, 0, 0u32, first);
        for slot in first..=minute {
            sum += self.minutes.get(slot);
            if slot >= first + TEN as u64 {
                sum -= self.minutes.get(slot - TEN as u64);
            }
            peak = peak.max(sum);
            if sum > FLOOD {
                let begins = (slot + 1).saturating_sub(TEN as u64).max(covered);
                flooded += u32::try_from(slot + 1 - begins).unwrap_or(0);
                covered = slot + 1;
            }
        }
        let mut most: Vec<(usize, u64)> = self
            .by_alarm
            .iter()
            .map(|(place, hours)| (*place, hours.sum(minute / 60, HOURS)))
            .filter(|(_, count)| *count > 0)
            .collect();
        most.sort_unstable_by_key(|(place, count)| (std::cmp::Reverse(*count), *place));
        most.truncate(MOST);
        Counts {
            ten_minutes: self.minutes.sum(minute, TEN),
            hour: self.minutes.sum(minute, 60),
            day: self.minutes.sum(minute, DAY),
            peak,
            flooded: MINUTE * flooded,
            total: self.total,
            most,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_past_counts_by_its_age_and_a_flood_by_its_minutes() {
        let start = Instant::now();
        let mut rates = Rates::new(start);
        rates.seed(7, Duration::from_secs(3_000), 4);
        rates.seed(7, Duration::from_secs(25 * 3_600), 9);
        for _ in 0..11 {
            rates.count(3, start + Duration::from_secs(125));
        }
        let counts = rates.counts(start + Duration::from_secs(130));
        assert_eq!((counts.ten_minutes, counts.hour, counts.day), (11, 15, 15));
        assert_eq!((counts.peak, counts.total), (11, 11), "the total is that of this run");
        assert_eq!(counts.flooded, MINUTE * 10, "the ten minutes up to now");
        assert_eq!(counts.most, [(3, 11), (7, 4)]);
        let counts = rates.counts(start + Duration::from_secs(48 * 3_600));
        assert_eq!(counts, Counts { total: 11, ..Counts::default() });
    }

    proptest! {
        /// Against a list of all that has ever happened.
        #[test]
        fn the_counts_are_those_of_a_list(
            steps in prop::collection::vec((0u64..5_000, 0usize..30), 1..150), later in 0u64..100_000,
        ) {
            let start = Instant::now();
            let (mut rates, mut list, mut second) = (Rates::new(start), Vec::new(), 0);
            for (pause, place) in steps {
                second += pause;
                rates.count(place, start + Duration::from_secs(second));
                list.push((second / 60, place));
            }
            let now = second + later;
            let counts = rates.counts(start + Duration::from_secs(now));
            let within = |minutes: u64| list.iter().filter(|(then, _)| now / 60 - then < minutes).count() as u64;
            prop_assert_eq!(counts.ten_minutes, within(10));
            prop_assert_eq!(counts.hour, within(60));
            prop_assert_eq!(counts.day, within(1440));
            let recent = |minute: u64| now / 60 - minute < 1440;
            let window = |end: u64| list.iter().filter(|(then, _)| recent(*then) && *then <= end && end - then < 10).count() as u64;
            let first = (now / 60).saturating_sub(1439);
            prop_assert_eq!(counts.peak, (first..=now / 60).map(window).max().unwrap_or(0));
            let hour = now / 3600;
            let of = |place: usize| list.iter().filter(|(then, own)| *own == place && hour - then / 60 < 24).count() as u64;
            prop_assert!(counts.most.len() <= MOST);
            for (place, count) in &counts.most {
                prop_assert_eq!(*count, of(*place));
            }
            let least = counts.most.last().map_or(0, |(_, count)| *count);
            for place in (0..30).filter(|place| !counts.most.iter().any(|(own, _)| own == place)) {
                prop_assert!(of(place) <= least);
            }
        }
    }
}
