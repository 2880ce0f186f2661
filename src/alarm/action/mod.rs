//! What an alarm does to an output: when that begins, how long it lasts, and what must be so before it ends. Pure.
//!
//! The life of the alarm and the time go in; "take the output" and "let go of it" come out. What an action keeps is a
//! moment and three marks, so that it comes back right after a restart. Absent: outputs themselves, which are the
//! arbiter's, and anything that counts more there. Invariants: an action that was begun lasts its `at-least` and ends
//! only when its release condition holds, unless its alarm is taken out of service; a pulse ends; nothing begins
//! again within its pause, nor because the program has started anew.

mod config;
#[cfg(test)]
mod histories;
mod when;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::detect::Formula;
use super::life::{Event, Life};
use crate::model::{PointId, Value};

pub use config::ActionConfig;
pub(in crate::alarm) use config::by_output;
pub use when::When;

/// How long a pulse waits at least for its write, where its alarm no longer asks for it: a device that is slow
/// or away for a moment still gets it, one that comes back much later does not.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The longest of the times of an action.
pub const MAX_TIME: Duration = Duration::from_secs(24 * 3600);

/// The priorities of actions on one output; 1 counts most.
pub const PRIORITIES: std::ops::RangeInclusive<u8> = 1..=16;

/// One thing that an alarm does, as it is configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// The output.
    pub output: PointId,
    /// Its name, `device/point`: what it is kept under over a restart.
    pub name: Arc<str>,
    /// The state that it is brought to, in the output's kind.
    pub value: Value,
    /// What begins it, and for how long that asks for it.
    pub when: When,
    /// Among the alarms on one output: within [`PRIORITIES`], the smaller number counts more.
    pub priority: u8,
    /// How long it lasts at least, from when the device has confirmed it.
    pub at_least: Duration,
    /// How long it rests at least before it begins again.
    pub pause: Duration,
    /// How long it lasts, from when the device has confirmed it, where that is fixed.
    pub pulse: Option<Duration>,
    /// It ends only when this holds; its inputs are those of the rule.
    pub until: Option<Formula>,
    /// How it ends, for people who ask why the output is held.
    pub why: Option<Arc<str>>,
}

/// How an action stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Running {
    /// While it holds its output.
    pub held: Option<Held>,
    /// When it may begin again.
    pub free: Option<Instant>,
    /// What begins it has happened, and it has not begun.
    pub owed: bool,
}

/// A hold on an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Not before this moment it ends; of a pulse that has not been confirmed, when it is given up.
    pub ends: Instant,
    /// The device has confirmed it.
    pub stands: bool,
}

/// What is to be done to the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Take it.
    Begin,
    /// Let go of it.
    End,
}

impl Action {
    /// The plain kind: the output is held while the alarm is active or latched.
    #[must_use]
    pub fn plain(output: PointId, name: Arc<str>, value: Value) -> Self {
        Self {
            output,
            name,
            value,
            when: When::default(),
            priority: crate::command::arbiter::USUAL_PRIORITY,
            at_least: Duration::ZERO,
            pause: Duration::ZERO,
            pulse: None,
            until: None,
            why: None,
        }
    }

    fn ends(&self, held: Held, life: &Life, released: impl Fn() -> bool, now: Instant) -> bool {
        let (asked, late) = (self.when.asks(life), now >= held.ends);
        match self.pulse {
            Some(_) if held.stands => late,
            Some(_) => life.out_of_service || (!asked && late),
            None => !asked && late && (life.out_of_service || released()),
        }
    }
}

impl Running {
    /// Takes in what has happened to the alarm.
    pub fn happen(&mut self, action: &Action, event: Event, before: &Life, after: &Life) {
        // What happens while it lasts is part of it.
        self.owed |= self.held.is_none() && action.when.begins(event, before, after);
    }

    /// Lets time pass; `released` tells whether the release condition holds, and is asked only where that matters.
    pub fn step(
        &mut self,
        action: &Action,
        life: &Life,
        released: impl Fn() -> bool,
        now: Instant,
    ) -> Option<Turn> {
        if let Some(held) = self.held {
            if !action.ends(held, life, released, now) {
                return None;
            }
            self.held = None;
            self.free = (!action.pause.is_zero()).then(|| now + action.pause);
            return Some(Turn::End);
        }
        if !self.wanted(action, life) {
            return None;
        }
        if self.free.is_some_and(|free| now < free) {
            // What nobody asks for any more when the pause is over is left out.
            self.owed &= action.when.asks(life);
            return None;
        }
        (self.owed, self.free) = (false, None);
        let lasts = if action.pulse.is_some() { PATIENCE } else { action.at_least };
        let held = Held { ends: now + lasts, stands: false };
        if action.ends(held, life, released, now) {
            return None;
        }
        self.held = Some(held);
        Some(Turn::Begin)
    }

    /// The device has confirmed what the action wants: its times count from here. Says whether that was news.
    pub fn confirm(&mut self, action: &Action, now: Instant) -> bool {
        match &mut self.held {
            Some(held) if !held.stands => {
                *held = Held { ends: now + action.pulse.unwrap_or(action.at_least), stands: true };
                true
            }
            _ => false,
        }
    }

    /// When to look again though nothing may happen.
    #[must_use]
    pub fn due(&self, action: &Action, life: &Life, now: Instant) -> Option<Instant> {
        let due = match self.held {
            Some(held) if action.pulse.is_some() && held.stands => Some(held.ends),
            Some(held) => Some(held.ends).filter(|_| !action.when.asks(life)),
            None => self.free.filter(|_| self.wanted(action, life)),
        };
        due.filter(|due| *due > now)
    }

    fn wanted(&self, action: &Action, life: &Life) -> bool {
        self.owed || (action.pulse.is_none() && action.when.asks(life))
    }
}

#[cfg(test)]
mod tests;
