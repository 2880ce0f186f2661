//! Many events as one message: how many, of which alarms, and how much the worst matters. Pure.

use std::sync::Arc;

use super::wanted::meaning;
use crate::model::{AlarmChange, AlarmEvent, Severity};

/// How many alarms are named; of the others only their number is told.
pub(super) const MAX_NAMED: usize = 20;

/// What came together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Digest {
    /// Alarms that came or got worse.
    pub(super) came: u64,
    /// Alarms that are gone.
    pub(super) returned: u64,
    /// What else has happened.
    pub(super) other: u64,
    /// How much the worst of those that came matters.
    pub(super) worst: Option<Severity>,
    /// The first and the last moment, in microseconds since 1970.
    pub(super) span_us: Option<(i64, i64)>,
    /// The first alarms that came, each once.
    pub(super) named: Vec<Arc<str>>,
    /// How many more events came of alarms that are not named.
    pub(super) more: u64,
}

impl Digest {
    /// Takes one more in.
    pub(super) fn add(&mut self, event: &AlarmEvent) {
        let at = event.at.unix_us;
        let (first, last) = self.span_us.unwrap_or((at, at));
        self.span_us = Some((first.min(at), last.max(at)));
        match meaning(event) {
            AlarmChange::Raised | AlarmChange::Escalated => {
                self.came += 1;
                self.worst = self.worst.max(Some(event.status.severity));
                let name = &event.status.name;
                if !self.named.contains(name) {
                    match self.named.len() < MAX_NAMED {
                        true => self.named.push(Arc::clone(name)),
                        false => self.more += 1,
                    }
                }
            }
            AlarmChange::Returned => self.returned += 1,
            _ => self.other += 1,
        }
    }

    /// Takes in what happened after it.
    pub(super) fn absorb(&mut self, later: Self) {
        self.came += later.came;
        self.returned += later.returned;
        self.other += later.other;
        self.worst = self.worst.max(later.worst);
        self.more += later.more;
        self.span_us = match (self.span_us, later.span_us) {
            (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
            (one, other) => one.or(other),
        };
        for name in later.named {
            if !self.named.contains(&name) {
                match self.named.len() < MAX_NAMED {
                    true => self.named.push(name),
                    false => self.more += 1,
                }
            }
        }
    }

    /// How many events it stands for.
    pub(super) const fn events(&self) -> u64 {
        self.came + self.returned + self.other
    }
}
