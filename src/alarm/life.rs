//! The life cycle of one alarm after ISA-18.2 (IEC 62682) and OPC UA Part 9. Pure: no values, no delays.
//!
//! What comes in are turns of the condition, past its delays, and what people and the enabling condition
//! want. docs/alarms.md shows the table that `tests` walks through cell by cell. Invariants: an active alarm
//! that is neither shelved nor suppressed nor out of service is annunciated; a latched alarm holds its
//! outputs until somebody acknowledges it; whatever ends a suppression annunciates an active alarm anew.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::model::AlarmState;

/// Where an alarm stands apart from what keeps it from being annunciated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Nothing is the matter.
    #[default]
    Normal,
    /// Active, not acknowledged.
    Unacknowledged,
    /// Active, acknowledged.
    Acknowledged,
    /// The condition is gone, not acknowledged.
    Returned,
    /// The condition is gone, the alarm stays until it is acknowledged.
    Latched,
}

/// What is configured of the life cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Manner {
    /// Stays, with its outputs, after the condition is gone.
    pub latch: bool,
    /// Returning to normal needs no acknowledgement.
    pub automatic: bool,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The condition has come, past its on-delay.
    Came,
    /// The condition holds still and matters more than before.
    Worsened,
    /// The condition is gone, past its off-delay.
    Went,
    /// An operator acknowledges.
    Acknowledge,
    /// An operator puts it aside until this moment.
    Shelve(Instant),
    /// An operator takes it from the shelf, or its time is over.
    Unshelve,
    /// The enabling condition is gone.
    Suppress,
    /// The enabling condition is back.
    Unsuppress,
    /// An operator takes it out of service.
    TakeOut,
    /// An operator puts it back.
    PutBack,
}

/// An event that has no meaning in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaningless;

/// The life of one alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Life {
    /// The phase.
    pub phase: Phase,
    /// The enabling condition does not hold.
    pub suppressed: bool,
    /// Out of service.
    pub out_of_service: bool,
    /// When the shelf ends.
    pub shelved_until: Option<Instant>,
}

impl Life {
    /// The state that people see.
    #[must_use]
    pub const fn state(&self) -> AlarmState {
        if self.out_of_service {
            return AlarmState::OutOfService;
        }
        if self.suppressed {
            return AlarmState::Suppressed;
        }
        if self.shelved_until.is_some() {
            return AlarmState::Shelved;
        }
        match self.phase {
            Phase::Normal => AlarmState::Normal,
            Phase::Unacknowledged => AlarmState::ActiveUnacknowledged,
            Phase::Acknowledged => AlarmState::ActiveAcknowledged,
            Phase::Returned => AlarmState::ReturnedUnacknowledged,
            Phase::Latched => AlarmState::Latched,
        }
    }

    /// Whether the condition holds.
    #[must_use]
    pub const fn active(&self) -> bool {
        matches!(self.phase, Phase::Unacknowledged | Phase::Acknowledged)
    }

    /// Whether its outputs are held. A shelf only keeps people from being called; the plant is still guarded.
    #[must_use]
    pub const fn holds(&self) -> bool {
        !self.out_of_service && !self.suppressed && (self.active() || matches!(self.phase, Phase::Latched))
    }

    /// Whether something keeps it from being annunciated.
    #[must_use]
    pub const fn silent(&self) -> bool {
        self.state().is_silent()
    }

    /// Lets an event happen.
    ///
    /// # Errors
    /// When it has no meaning now; then nothing has changed.
    pub fn step(&mut self, manner: Manner, event: Event) -> Result<(), Meaningless> {
        match event {
            Event::Came if !self.active() => self.phase = Phase::Unacknowledged,
            Event::Worsened if self.active() => self.phase = Phase::Unacknowledged,
            Event::Went if self.active() => self.phase = self.after_return(manner),
            Event::Acknowledge if !self.silent() => self.phase = self.after_acknowledgement()?,
            Event::Shelve(until) if !self.out_of_service => self.shelved_until = Some(until),
            Event::Unshelve if self.shelved_until.is_some() => {
                self.shelved_until = None;
                self.annunciate();
            }
            Event::Suppress if !self.suppressed => self.suppressed = true,
            Event::Unsuppress if self.suppressed => {
                self.suppressed = false;
                self.annunciate();
            }
            Event::TakeOut if !self.out_of_service => self.out_of_service = true,
            Event::PutBack if self.out_of_service => {
                self.out_of_service = false;
                self.annunciate();
            }
            _ => return Err(Meaningless),
        }
        Ok(())
    }

    fn after_return(&self, manner: Manner) -> Phase {
        match () {
            () if manner.latch => Phase::Latched,
            // Nobody was called while it was silent, so nobody has to say that they have heard.
            () if manner.automatic || self.silent() || self.phase == Phase::Acknowledged => Phase::Normal,
            () => Phase::Returned,
        }
    }

    fn after_acknowledgement(&self) -> Result<Phase, Meaningless> {
        match self.phase {
            Phase::Unacknowledged => Ok(Phase::Acknowledged),
            Phase::Returned | Phase::Latched => Ok(Phase::Normal),
            Phase::Normal | Phase::Acknowledged => Err(Meaningless),
        }
    }

    /// Nothing keeps it silent any more: what is active is told again.
    fn annunciate(&mut self) {
        if !self.silent() && self.active() {
            self.phase = Phase::Unacknowledged;
        }
    }
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
