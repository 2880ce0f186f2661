//! Chattering: an alarm that comes again and again within a short time (ISA-18.2 names three times a minute).
//!
//! It begins with so many activations within a time and ends once none has come for a longer one, so that an alarm
//! at the edge of both is not reported again and again itself. Invariant: at most [`MAX_ACTIVATIONS`] moments are
//! remembered of an alarm, and none before it was first active.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The most activations that chattering can be defined by.
pub const MAX_ACTIVATIONS: usize = 20;

/// When an alarm chatters, and what becomes of one that does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chattering {
    /// This many activations, 2 to [`MAX_ACTIVATIONS`],
    pub activations: usize,
    /// within this time are chattering.
    pub within: Duration,
    /// It is over once none has come for this long; not less than `within`.
    pub calm: Duration,
    /// For how long such an alarm is offered to be shelved, or is.
    pub shelve_for: Duration,
    /// Whether it is shelved at once, without asking anyone.
    pub shelve: bool,
}

/// What is remembered of one alarm.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chatter {
    /// The last activations, while it does not chatter.
    times: VecDeque<Instant>,
    /// While it chatters: when that is over unless it comes again.
    pub until: Option<Instant>,
    /// Whether somebody has taken it from the shelf while it chattered: it is not put there again unasked.
    pub declined: bool,
}

impl Chatter {
    /// Whether it chatters.
    #[must_use]
    pub const fn is(&self) -> bool {
        self.until.is_some()
    }

    /// Takes in an activation. `true` when it chatters from now on.
    pub fn count(&mut self, set: &Chattering, now: Instant) -> bool {
        if self.is() {
            self.until = Some(now + set.calm);
            return false;
        }
        while self.times.front().is_some_and(|first| now.saturating_duration_since(*first) > set.within) {
            self.times.pop_front();
        }
        self.times.push_back(now);
        if self.times.len() < set.activations {
            return false;
        }
        self.times = VecDeque::new();
        self.until = Some(now + set.calm);
        true
    }

    /// Lets time pass. `true` when it has just become calm.
    pub fn calm(&mut self, now: Instant) -> bool {
        let over = self.until.is_some_and(|until| until <= now);
        if over {
            *self = Self::default();
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn set(activations: usize, within: u64, calm: u64) -> Chattering {
        let (within, calm) = (Duration::from_secs(within), Duration::from_secs(calm));
        Chattering { activations, within, calm, shelve_for: Duration::from_secs(3600), shelve: false }
    }

    #[test]
    fn it_begins_with_the_third_within_a_minute_and_ends_after_five_calm_ones() {
        let (set, start) = (set(3, 60, 300), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut chatter = Chatter::default();
        assert!(!chatter.count(&set, at(0)) && !chatter.count(&set, at(50)));
        assert!(!chatter.count(&set, at(61)), "the first one is too long ago");
        assert!(chatter.count(&set, at(100)));
        assert!(!chatter.count(&set, at(390)), "it goes on");
        assert!(!chatter.calm(at(689)) && chatter.is());
        assert!(chatter.calm(at(690)) && !chatter.is());
        assert!(!chatter.calm(at(2_000)), "told once");
    }

    proptest! {
        /// Against the definition, over the whole history.
        #[test]
        fn it_means_what_it_says(
            pauses in prop::collection::vec(0u64..40, 1..200), activations in 2usize..6, within in 1u64..30, longer in 0u64..40,
        ) {
            let (set, start) = (set(activations, within, within + longer), Instant::now());
            let (mut chatter, mut second, mut history) = (Chatter::default(), 0, Vec::<u64>::new());
            let mut chattering_since: Option<usize> = None;
            for pause in pauses {
                second += pause;
                let now = start + Duration::from_secs(second);
                if chattering_since.is_some() && history.last().is_some_and(|last| second - last >= within + longer) {
                    chattering_since = None;
                    history.clear();
                    prop_assert!(chatter.calm(now));
                } else {
                    prop_assert!(!chatter.calm(now));
                }
                history.push(second);
                let recent = history.iter().filter(|then| second - **then <= within).count();
                let begins = chattering_since.is_none() && recent >= activations;
                if begins {
                    chattering_since = Some(history.len());
                }
                prop_assert_eq!(chatter.count(&set, now), begins);
                prop_assert_eq!(chatter.is(), chattering_since.is_some());
                prop_assert!(chatter.times.len() < activations);
            }
        }
    }
}
