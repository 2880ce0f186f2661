//! On-delay and off-delay: from what a detector sees to turns of the condition. Pure.
//!
//! A bad input is blindness: it starts and ends nothing. An on-delay that runs goes on through it, since what
//! was last known was beyond the limit; an off-delay is broken off. Invariants: intervals are monotonic; a
//! turn to "gone" needs a good reading inside at its beginning and no blindness until its end.

use std::time::{Duration, Instant};

use super::detect::{Condition, Sight};

/// What is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delays {
    /// How long the condition must hold.
    pub on: Duration,
    /// How long it must be gone.
    pub off: Duration,
}

/// The condition as it counts, and the delay that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delay {
    /// What counts: the condition, or `None` when it does not hold.
    pub counts: Option<Condition>,
    /// The delay that runs.
    pub runs: Option<Runs>,
}

/// A delay on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// Toward this condition; it counts from that moment on.
    On(Condition, Instant),
    /// Toward none.
    Off(Instant),
}

/// A turn of the condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// An on-delay began.
    Pending,
    /// It was for nothing.
    Withdrawn,
    /// The condition counts.
    Came(Condition),
    /// It still counts, but it is another one now.
    Became(Condition),
    /// It counts no more.
    Went,
}

impl Delay {
    /// Takes in what is seen now.
    pub fn step(&mut self, delays: Delays, sight: Sight, now: Instant) -> Option<Turn> {
        match (self.counts, sight) {
            (_, Sight::Blind) => {
                if matches!(self.runs, Some(Runs::Off(_))) {
                    self.runs = None;
                }
                self.tick(now)
            }
            (None, Sight::Beyond(condition)) => match self.runs {
                None if delays.on.is_zero() => Some(self.come(condition)),
                None => {
                    self.runs = Some(Runs::On(condition, now + delays.on));
                    Some(Turn::Pending)
                }
                Some(_) => {
                    if let Some(Runs::On(which, _)) = &mut self.runs {
                        *which = condition;
                    }
                    self.tick(now)
                }
            },
            (None, _) => self.runs.take().map(|_| Turn::Withdrawn),
            (Some(current), Sight::Beyond(condition)) => {
                self.runs = None;
                self.counts = Some(condition);
                (condition != current).then_some(Turn::Became(condition))
            }
            (Some(_), Sight::Between) => {
                self.runs = None;
                None
            }
            (Some(_), Sight::Inside) => match self.runs {
                None if delays.off.is_zero() => Some(self.go()),
                None => {
                    self.runs = Some(Runs::Off(now + delays.off));
                    None
                }
                Some(_) => self.tick(now),
            },
        }
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Instant) -> Option<Turn> {
        match self.runs {
            Some(Runs::On(condition, due)) if due <= now => Some(self.come(condition)),
            Some(Runs::Off(due)) if due <= now => Some(self.go()),
            _ => None,
        }
    }

    /// When the delay that runs is over.
    #[must_use]
    pub const fn due(&self) -> Option<Instant> {
        match self.runs {
            Some(Runs::On(_, due) | Runs::Off(due)) => Some(due),
            None => None,
        }
    }

    fn come(&mut self, condition: Condition) -> Turn {
        (self.counts, self.runs) = (Some(condition), None);
        Turn::Came(condition)
    }

    fn go(&mut self) -> Turn {
        (self.counts, self.runs) = (None, None);
        Turn::Went
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HIGH: Sight = Sight::Beyond(Condition::High);

    fn delays(on: u64, off: u64) -> Delays {
        Delays { on: Duration::from_secs(on), off: Duration::from_secs(off) }
    }

    #[test]
    fn without_delays_it_turns_at_once() {
        let (mut delay, now) = (Delay::default(), Instant::now());
        assert_eq!(delay.step(delays(0, 0), HIGH, now), Some(Turn::Came(Condition::High)));
        assert_eq!(delay.step(delays(0, 0), HIGH, now), None);
        let worse = Sight::Beyond(Condition::HighHigh);
        assert_eq!(delay.step(delays(0, 0), worse, now), Some(Turn::Became(Condition::HighHigh)));
        assert_eq!(delay.step(delays(0, 0), Sight::Between, now), None);
        assert_eq!(delay.step(delays(0, 0), Sight::Inside, now), Some(Turn::Went));
    }

    #[test]
    fn both_delays_must_pass_unbroken() {
        let (mut delay, start, set) = (Delay::default(), Instant::now(), delays(5, 3));
        let at = |s: u64| start + Duration::from_secs(s);
        assert_eq!(delay.step(set, HIGH, at(0)), Some(Turn::Pending));
        assert_eq!(
            delay.step(set, Sight::Between, at(4)),
            Some(Turn::Withdrawn),
            "not beyond the limit itself"
        );
        assert_eq!(delay.step(set, HIGH, at(5)), Some(Turn::Pending));
        assert_eq!(delay.tick(at(9)), None);
        assert_eq!(delay.tick(at(10)), Some(Turn::Came(Condition::High)));
        assert_eq!(delay.step(set, Sight::Inside, at(11)), None);
        assert_eq!(delay.step(set, Sight::Between, at(12)), None);
        assert_eq!(delay.due(), None, "back in the deadband");
        assert_eq!(delay.step(set, Sight::Inside, at(13)), None);
        assert_eq!(delay.due(), Some(at(16)));
        assert_eq!(delay.step(set, Sight::Inside, at(16)), Some(Turn::Went));
    }

    #[test]
    fn blindness_lets_an_on_delay_go_on_and_breaks_an_off_delay() {
        let (mut delay, start, set) = (Delay::default(), Instant::now(), delays(5, 3));
        let at = |s: u64| start + Duration::from_secs(s);
        delay.step(set, HIGH, at(0));
        assert_eq!(delay.step(set, Sight::Blind, at(1)), None);
        assert_eq!(delay.step(set, Sight::Blind, at(5)), Some(Turn::Came(Condition::High)));
        delay.step(set, Sight::Inside, at(6));
        assert_eq!(delay.step(set, Sight::Blind, at(7)), None);
        assert_eq!(delay.tick(at(100)), None);
        assert_eq!(delay.step(set, Sight::Inside, at(100)), None, "it begins anew");
        assert_eq!(delay.tick(at(103)), Some(Turn::Went));
    }

    fn sight() -> impl Strategy<Value = Sight> {
        prop_oneof![
            Just(HIGH),
            Just(Sight::Beyond(Condition::HighHigh)),
            Just(Sight::Between),
            Just(Sight::Inside),
            Just(Sight::Blind),
        ]
    }

    proptest! {
        /// Against the plain meaning, second by second, over the whole history.
        #[test]
        fn it_means_what_it_says(
            steps in prop::collection::vec(sight(), 1..80), on in 0u64..4, off in 0u64..4,
        ) {
            let (mut delay, start, set) = (Delay::default(), Instant::now(), delays(on, off));
            let (mut active, mut beyond_since, mut inside_since) = (false, None, None);
            for (second, sight) in (0u64..).zip(steps) {
                match sight {
                    Sight::Beyond(_) => { beyond_since.get_or_insert(second); inside_since = None; }
                    Sight::Inside => { inside_since.get_or_insert(second); beyond_since = None; }
                    Sight::Between => { inside_since = None; if !active { beyond_since = None; } }
                    Sight::Blind => inside_since = None,
                }
                if !active && beyond_since.is_some_and(|since| second - since >= on) {
                    active = true;
                } else if active && inside_since.is_some_and(|since| second - since >= off) {
                    active = false;
                }
                if active { beyond_since = None; } else { inside_since = None; }
                let before = delay.counts.is_some();
                delay.step(set, sight, start + Duration::from_secs(second));
                prop_assert_eq!(delay.counts.is_some(), active, "second {}", second);
                prop_assert!(!(before && !active && sight == Sight::Blind), "a bad reading cleared it");
            }
        }
    }
}
