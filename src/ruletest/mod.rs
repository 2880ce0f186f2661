//! Rule tests: the cases of a configuration, run without hardware on a clock that jumps from event to event.
//!
//! What runs is the gateway's own bus, alarm engine, commander, keeper, computed points and watcher of stale
//! points; only the drivers are stood in for (`stand_in`). `world` lives through a case, `judge` compares what
//! happened with what was expected, `text` writes it for people. Absent: the broker, the page and the disk,
//! which no rule depends on. Invariant: a case depends on nothing but its text and the plan, not on how fast
//! the machine is.

mod judge;
mod stand_in;
pub mod text;
mod world;

use std::sync::Arc;
use std::time::Duration;

pub use judge::{Verdict, judge};
pub use world::live;

use crate::config::cases::Signal;
use crate::model::{AlarmState, PointId, Value};

/// The most readings of one case: a day of a hundred points every second is a sixth of it.
pub const MAX_READINGS: u64 = 50_000_000;

/// The most events that are kept of one case; a rule that flutters without end is stopped there.
pub const MAX_EVENTS: usize = 100_000;

/// Everything that happened in a case.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Happened {
    /// The alarms' changes of state, by time.
    pub alarms: Vec<AlarmSeen>,
    /// The writes that reached a device, by time. Safe states at the start are not among them.
    pub writes: Vec<WriteSeen>,
    /// How the points stood that the case asks for, in the order of its `values`.
    pub values: Vec<Vec<Signal>>,
    /// What people did that did not come out as the case has it: the place in `deeds`, and why.
    pub deeds: Vec<(usize, String)>,
    /// How many readings came.
    pub readings: u64,
    /// Whether there were more events than are kept.
    pub overflowed: bool,
}

/// An alarm's change of state.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmSeen {
    /// When, from the beginning of the case.
    pub at: Duration,
    /// Which alarm.
    pub name: Arc<str>,
    /// Its state from then on.
    pub state: AlarmState,
    /// What led to it, for people.
    pub why: String,
}

/// A write that reached a device.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteSeen {
    /// When, from the beginning of the case.
    pub at: Duration,
    /// Which output.
    pub point: PointId,
    /// The setpoint.
    pub value: Value,
}

/// Why a case could not be run at all.
#[derive(Debug, thiserror::Error)]
pub enum CannotRun {
    /// It asks for more than one run can take.
    #[error("it comes to {0} readings, more than {MAX_READINGS}: make `until` shorter or `poll` longer")]
    TooLong(u64),
    /// The system gives no runtime.
    #[error("the runtime cannot be started: {0}")]
    Runtime(#[from] std::io::Error),
}
