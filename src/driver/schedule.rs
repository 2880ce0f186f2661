//! When each request runs: periods, phases, and who goes first when the line is short.
//!
//! Pure; the caller says what time it is. Invariants: an entry that missed turns runs once and keeps its
//! phase; among those that are due, the one that has waited longest goes first, and every fourth turn goes
//! to the one that has waited longest measured in its own periods. So slow requests pass fast ones that
//! never stop being due, and a crowd of slow ones cannot hold up a fast one for long.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Every so many turns, relative waiting counts and not absolute.
const RELATIVE_TURN: u32 = 4;

/// The shortest period that waiting is measured in; shorter ones mean "as often as the line allows".
const SHORTEST: Duration = Duration::from_millis(1);

/// Names an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(usize);

impl EntryId {
    /// The id at an index.
    #[must_use]
    pub const fn of(index: usize) -> Self {
        Self(index)
    }

    /// The index as such; ids of removed entries are given again.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

#[derive(Debug)]
struct Entry {
    period: Duration,
    /// A moment of the entry's own grid.
    anchor: Instant,
    due: Instant,
    active: bool,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Run this entry.
    Run(EntryId),
    /// Nothing is due before this moment.
    Wait(Instant),
    /// Nothing will be due.
    Idle,
}

/// The entries of one channel.
#[derive(Debug, Default)]
pub struct Schedule {
    entries: Vec<Option<Entry>>,
    turn: u32,
}

impl Schedule {
    /// Adds entries of which each is due at once and then in its period, spread evenly so that equal
    /// periods do not come together.
    pub fn add_spread(&mut self, periods: &[Duration], now: Instant) -> Vec<EntryId> {
        let mut equal: HashMap<Duration, u32> = HashMap::new();
        for period in periods {
            *equal.entry(*period).or_default() += 1;
        }
        let mut seen: HashMap<Duration, u32> = HashMap::new();
        let mut share = |period: Duration| {
            let before = seen.entry(period).or_default();
            let share = f64::from(*before) / f64::from(equal.get(&period).copied().unwrap_or(1));
            *before += 1;
            period.mul_f64(share)
        };
        periods.iter().map(|period| self.add(*period, now + share(*period), now)).collect()
    }

    /// Adds one entry on the grid of `anchor`, first due at `due`.
    pub fn add(&mut self, period: Duration, anchor: Instant, due: Instant) -> EntryId {
        let entry = Some(Entry { period, anchor, due, active: true });
        match self.entries.iter().position(Option::is_none) {
            Some(free) => {
                self.entries[free] = entry;
                EntryId(free)
            }
            None => {
                self.entries.push(entry);
                EntryId(self.entries.len() - 1)
            }
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, id: EntryId) {
        self.entries[id.0] = None;
    }

    /// Lets an entry rest, or makes it due again now.
    pub fn set_active(&mut self, id: EntryId, active: bool, now: Instant) {
        if let Some(entry) = &mut self.entries[id.0]
            && entry.active != active
        {
            entry.active = active;
            entry.due = now;
        }
    }

    /// The entry whose turn it is.
    pub fn next(&mut self, now: Instant) -> Turn {
        let active = || {
            let entries = self.entries.iter().enumerate();
            entries
                .filter_map(|(index, entry)| Some((EntryId(index), entry.as_ref()?)))
                .filter(|(_, e)| e.active)
        };
        let Some((first, entry)) = active().min_by_key(|(_, entry)| entry.due) else {
            return Turn::Idle;
        };
        if entry.due > now {
            return Turn::Wait(entry.due);
        }
        self.turn = self.turn.wrapping_add(1);
        if !self.turn.is_multiple_of(RELATIVE_TURN) {
            return Turn::Run(first);
        }
        let waited = |entry: &Entry| {
            now.saturating_duration_since(entry.due).as_secs_f64() / entry.period.max(SHORTEST).as_secs_f64()
        };
        let due = active().filter(|(_, entry)| entry.due <= now);
        let longest = due.max_by(|(_, a), (_, b)| waited(a).total_cmp(&waited(b)));
        Turn::Run(longest.map_or(first, |(id, _)| id))
    }

    /// The entry has run from `begun` until `now`; says how many turns it had to leave out.
    pub fn done(&mut self, id: EntryId, begun: Instant, now: Instant) -> u64 {
        let Some(entry) = &mut self.entries[id.0] else { return 0 };
        if entry.period < SHORTEST {
            entry.due = now;
            return 0;
        }
        if now < entry.anchor {
            entry.due = entry.anchor;
            return 0;
        }
        let period = u64::try_from(entry.period.as_nanos()).unwrap_or(u64::MAX);
        let turn = |moment: Instant| {
            let since = moment.saturating_duration_since(entry.anchor).as_nanos();
            u64::try_from(since).unwrap_or(u64::MAX) / period
        };
        let (wanted, made, reached) = (turn(entry.due), turn(begun), turn(now));
        // This run served the last turn that had come when it began. If another has come since, it is due
        // already; of several, only the last.
        let next = if reached > made { reached } else { made + 1 };
        entry.due = entry.anchor + Duration::from_nanos(period.saturating_mul(next));
        // Keeps the multiples small over years of running.
        entry.anchor = entry.due;
        made.saturating_sub(wanted) + (next - made - 1)
    }

    /// Lets an entry run next at this moment, and on from there in its period.
    pub fn defer(&mut self, id: EntryId, due: Instant, period: Duration) {
        if let Some(entry) = &mut self.entries[id.0] {
            (entry.anchor, entry.due, entry.period) = (due, due, period);
        }
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
