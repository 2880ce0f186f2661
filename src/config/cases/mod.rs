//! Rule tests as they are written: from a section `tests:`, or a file beside the configuration, to cases over
//! points and alarms that exist.
//!
//! `form` holds what people write, `series` reads what changes over time, `read` joins both. Absent: running a
//! case, which `ruletest` does. Invariant: the values of a case fit its points, the times of each series rise,
//! and every expectation knows where it is written.

mod form;
mod read;
mod series;

use std::sync::Arc;
use std::time::Duration;

use super::source::Place;
use crate::model::{AlarmAction, AlarmState, PointId, Quality, Value};

pub(super) use form::CaseSection;
pub(super) use read::{Subjects, cases};

/// The most cases of one configuration with its files.
pub const MAX_CASES: usize = 10_000;

/// The longest time that one case may take on its clock.
pub const MAX_TIME: Duration = Duration::from_secs(31 * 24 * 3600);

/// How far an event may lie from its expected time where a case does not say: what a timer rounds by.
pub const DEFAULT_TOLERANCE: Duration = Duration::from_millis(10);

/// One rule test.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// What it shows.
    pub name: Arc<str>,
    /// Where it is written.
    pub place: Place,
    /// What is read, by time.
    pub given: Vec<Given>,
    /// When devices fall silent and answer again, by time.
    pub links: Vec<LinkStep>,
    /// What people do, by time.
    pub deeds: Vec<Deed>,
    /// All state changes of these alarms, by name.
    pub alarms: Vec<(Arc<str>, Vec<Expected<AlarmState>>)>,
    /// All writes to these outputs.
    pub writes: Vec<(PointId, Vec<Expected<Value>>)>,
    /// How these points stand at some moments.
    pub values: Vec<(PointId, Vec<Expected<Signal>>)>,
    /// Whether nothing may happen to other alarms and outputs.
    pub only: bool,
    /// When it ends.
    pub until: Duration,
    /// How far an event may lie from its time.
    pub tolerance: Duration,
}

/// What a point reads from a moment on.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// The moment, from the beginning of the case.
    pub at: Duration,
    /// The point.
    pub point: PointId,
    /// What it reads.
    pub signal: Signal,
}

/// What a point reads.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// A value, or none where a bad reading keeps the last one, and how good it is.
    Reads(Option<Value>, Quality),
    /// Nothing: no reading comes any more.
    Silent,
}

/// A device that falls silent, or answers again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStep {
    /// When.
    pub at: Duration,
    /// Which.
    pub device: Arc<str>,
    /// Whether it answers from then on.
    pub online: bool,
}

/// What somebody does.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    /// When.
    pub at: Duration,
    /// Where it is written.
    pub place: Place,
    /// What.
    pub act: Act,
}

/// The things that people can do.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// To an alarm.
    Alarm(Arc<str>, AlarmAction),
    /// A command to an output, and the code of the outcome that it must have; one that succeeds when `None`.
    Write(PointId, Value, Option<&'static str>),
}

/// Something that must be at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected<T> {
    /// The time.
    pub at: Duration,
    /// What.
    pub what: T,
    /// Where it is written.
    pub place: Place,
}

impl Case {
    /// The last moment that the case speaks of.
    #[must_use]
    pub fn last_moment(&self) -> Duration {
        fn ends<N, T>(lists: &[(N, Vec<Expected<T>>)]) -> impl Iterator<Item = Duration> + '_ {
            lists.iter().flat_map(|(_, list)| list.iter().map(|expected| expected.at))
        }
        let steps = self.given.iter().map(|given| given.at);
        let links = self.links.iter().map(|link| link.at);
        let deeds = self.deeds.iter().map(|deed| deed.at);
        let expected = ends(&self.alarms).chain(ends(&self.writes)).chain(ends(&self.values));
        steps.chain(links).chain(deeds).chain(expected).max().unwrap_or_default()
    }
}
