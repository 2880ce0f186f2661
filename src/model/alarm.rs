//! What is known of an alarm: its rule's name and its state.
//!
//! The states are those of ISA-18.2; this form uses the ones that need no operator. The rules themselves
//! are in the module `alarm`; this is what the page and the publisher may know of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{PointId, Stamp, Value};
use schemars::JsonSchema;

/// How much an alarm matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Needs attention in time.
    #[default]
    Warning,
    /// Needs attention soon.
    High,
    /// Needs attention now.
    Critical,
}

/// Where an alarm stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmState {
    /// The condition does not hold.
    Normal,
    /// The condition holds, but not yet for its on-delay.
    Pending,
    /// Raised.
    Active,
}

/// One alarm as it stands now.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmStatus {
    /// The rule's name.
    pub name: Arc<str>,
    /// The point that it watches.
    pub point: PointId,
    /// How much it matters.
    pub severity: Severity,
    /// Where it stands.
    pub state: AlarmState,
    /// Which limit is passed: `high`, `low` … `None` while normal.
    pub condition: Option<&'static str>,
    /// The value at the last change of state.
    pub value: Option<Value>,
    /// When the state last changed; `None` before the first change.
    pub since: Option<Stamp>,
    /// For people.
    pub message: Arc<str>,
}
