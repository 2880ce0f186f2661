//! A validated alarm rule. It cannot be wrong any more; what changes over time is in `instance`.

use std::sync::Arc;

use super::action::Action;
use super::delay::Delays;
use super::detect::{Condition, Detector, Formula};
use super::flood::Chattering;
use super::life::Manner;
use super::text::Message;
use crate::model::{PointId, Severity, Texts};

/// A validated alarm rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// The points that it looks at; the first is the one that people see, unless it watches a device. One that is watched for its
    /// states is there once more where an expression uses it.
    pub inputs: Vec<PointId>,
    /// The device whose silence it watches.
    pub device: Option<Arc<str>>,
    /// What it watches for.
    pub detector: Detector,
    /// Only while this holds; always when `None`.
    pub enabled: Option<Formula>,
    /// How long the condition must hold, and be gone.
    pub delays: Delays,
    /// Latching and acknowledgement.
    pub manner: Manner,
    /// How much it matters.
    pub severity: Severity,
    /// How much `high-high` and `low-low` matter.
    pub extreme: Severity,
    /// What kind of alarm people call it.
    pub class: Option<Arc<str>>,
    /// The groups that it belongs to.
    pub groups: Arc<[Arc<str>]>,
    /// When it chatters, and what becomes of that; `None` for alarms of which nobody counts that.
    pub chattering: Option<Chattering>,
    /// For people.
    pub message: Message,
    /// What the operator can do about it.
    pub help: Texts,
    /// What it does to outputs, each of them once.
    pub actions: Vec<Action>,
    /// Whether it was made for the inputs of another alarm and not written by anyone.
    pub implied: bool,
}

impl Rule {
    /// The point that it is about; none where it watches a device.
    #[must_use]
    pub fn subject(&self) -> Option<PointId> {
        self.inputs.first().copied().filter(|_| self.device.is_none())
    }

    /// How much a condition matters.
    #[must_use]
    pub fn severity(&self, condition: Option<Condition>) -> Severity {
        if condition.is_some_and(Condition::is_extreme) { self.extreme } else { self.severity }
    }
}
