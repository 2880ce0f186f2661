//! What is known of an alarm: its state, what people may do with it, and what happened to it.
//!
//! The states are those of ISA-18.2 (IEC 62682) and OPC UA Part 9; docs/alarms.md has their table. The rules
//! themselves are in the module `alarm`; this is what the page and the publisher may know of them. `request`
//! holds what people want of alarms, `record` what the journal tells of them.

mod csv;
mod flood;
mod record;
mod request;

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PointId, Stamp, Value};
pub use flood::{AlarmFigures, AlarmGroup, AlarmNews, AlarmOverview, FLOOD, FirstOut, NotifierTally};
pub use record::{AlarmJournal, AlarmQuery, AlarmRecord};
pub use request::{
    AlarmAction, AlarmAnswer, AlarmOperator, AlarmOrder, AlarmRefusal, AlarmRequest, AlarmTarget,
};

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

impl Severity {
    /// Every one, the least first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Warning, Self::High, Self::Critical];

    /// The word for it in payloads and API answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Where an alarm stands. The first five are its life cycle, the last three keep it from being annunciated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmState {
    /// The condition does not hold, and nobody has to see to anything.
    Normal,
    /// The condition holds and nobody has acknowledged it.
    ActiveUnacknowledged,
    /// The condition holds, and an operator has acknowledged it.
    ActiveAcknowledged,
    /// The condition is gone, but nobody has acknowledged that it was there.
    ReturnedUnacknowledged,
    /// The condition is gone, and the alarm stays, with its outputs, until an operator acknowledges it.
    Latched,
    /// An operator has put it aside for a time.
    Shelved,
    /// Its enabling condition does not hold: suppressed by design.
    Suppressed,
    /// An operator has taken it out of service, until it is put back.
    OutOfService,
}

impl AlarmState {
    /// Every state, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::Normal,
        Self::ActiveUnacknowledged,
        Self::ActiveAcknowledged,
        Self::ReturnedUnacknowledged,
        Self::Latched,
        Self::Shelved,
        Self::Suppressed,
        Self::OutOfService,
    ];

    /// The word for it in payloads and API answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::ActiveUnacknowledged => "active-unacknowledged",
            Self::ActiveAcknowledged => "active-acknowledged",
            Self::ReturnedUnacknowledged => "returned-unacknowledged",
            Self::Latched => "latched",
            Self::Shelved => "shelved",
            Self::Suppressed => "suppressed",
            Self::OutOfService => "out-of-service",
        }
    }

    /// Whether something keeps the alarm from being annunciated.
    #[must_use]
    pub const fn is_silent(self) -> bool {
        matches!(self, Self::Shelved | Self::Suppressed | Self::OutOfService)
    }

    /// Whether somebody has to see to the alarm.
    #[must_use]
    pub const fn is_unacknowledged(self) -> bool {
        matches!(self, Self::ActiveUnacknowledged | Self::ReturnedUnacknowledged | Self::Latched)
    }
}

/// One text in the languages of the page. At least one of them is there, or nothing was said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Texts {
    /// English, or the language of whoever wrote the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub en: Option<Arc<str>>,
    /// Korean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ko: Option<Arc<str>>,
}

impl Texts {
    /// The English text, or else the Korean one.
    #[must_use]
    pub fn any(&self) -> Option<&Arc<str>> {
        self.en.as_ref().or(self.ko.as_ref())
    }

    /// Whether nothing was said.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.en.is_none() && self.ko.is_none()
    }
}

impl From<&str> for Texts {
    fn from(text: &str) -> Self {
        Self { en: Some(text.into()), ko: None }
    }
}

/// One alarm as it stands now.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmStatus {
    /// The rule's name.
    pub name: Arc<str>,
    /// The point that it watches first; `None` for an alarm on a device.
    pub point: Option<PointId>,
    /// The device whose silence it watches.
    pub device: Option<Arc<str>>,
    /// How much it matters now.
    pub severity: Severity,
    /// What kind of alarm people call it.
    pub class: Option<Arc<str>>,
    /// The groups that it belongs to.
    pub groups: Arc<[Arc<str>]>,
    /// Where it stands.
    pub state: AlarmState,
    /// Whether the condition holds, past its delays, whatever the state.
    pub active: bool,
    /// Whether a delay runs: the condition is about to count, or about to be gone.
    pub pending: bool,
    /// Whether its input is bad, so that it keeps its state.
    pub blind: bool,
    /// Which limit is passed, or what else is the matter: `high`, `rising` … `None` while not active.
    pub condition: Option<&'static str>,
    /// The value at the last change of the condition.
    pub value: Option<Value>,
    /// When the state last changed; `None` before the first change.
    pub since: Option<Stamp>,
    /// When the shelf ends, in microseconds since 1970 by the clock of when it was shelved.
    pub shelved_until_us: Option<i64>,
    /// For people, with values.
    pub message: Texts,
    /// What the operator can do about it.
    pub help: Texts,
    /// Who acknowledged, shelved or took it out of service last, while that lasts.
    pub by: Option<Arc<str>>,
    /// What that person had to say.
    pub comment: Option<Arc<str>>,
    /// Whether it comes again and again within a short time.
    pub chattering: bool,
    /// For how long it is offered to be shelved, since it chatters and nothing keeps it silent.
    pub shelve_offer: Option<Duration>,
    /// The groups whose first-out it is.
    pub first_of: Vec<Arc<str>>,
}

impl AlarmStatus {
    /// The message in one text; the name where nothing was said.
    #[must_use]
    pub fn text(&self) -> &str {
        self.message.any().map_or(&*self.name, |text| text)
    }
}

/// What has happened to an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlarmChange {
    /// The condition is seen, but its on-delay is not over.
    Pending,
    /// The condition went away within its on-delay.
    Withdrawn,
    /// Active, and to be acknowledged.
    Raised,
    /// Active still, at another level that matters no more than before.
    Eased,
    /// Active still, at a level that matters more: to be acknowledged anew.
    Escalated,
    /// The condition is gone.
    Returned,
    /// Acknowledged.
    Acknowledged,
    /// Put aside for a time.
    Shelved,
    /// Back from the shelf, by hand or because its time is over.
    Unshelved,
    /// The enabling condition is gone.
    Suppressed,
    /// The enabling condition is back.
    Unsuppressed,
    /// Taken out of service.
    TakenOut,
    /// Back in service.
    PutBack,
    /// It comes again and again within a short time.
    Chattering,
    /// It has not come for long enough to be taken for calm.
    Calmed,
}

impl AlarmChange {
    /// Every change.
    pub const ALL: [Self; 15] = [
        Self::Pending,
        Self::Withdrawn,
        Self::Raised,
        Self::Eased,
        Self::Escalated,
        Self::Returned,
        Self::Acknowledged,
        Self::Shelved,
        Self::Unshelved,
        Self::Suppressed,
        Self::Unsuppressed,
        Self::TakenOut,
        Self::PutBack,
        Self::Chattering,
        Self::Calmed,
    ];

    /// The word for it in payloads, journal and API answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Withdrawn => "withdrawn",
            Self::Raised => "raised",
            Self::Eased => "eased",
            Self::Escalated => "escalated",
            Self::Returned => "returned",
            Self::Acknowledged => "acknowledged",
            Self::Shelved => "shelved",
            Self::Unshelved => "unshelved",
            Self::Suppressed => "suppressed",
            Self::Unsuppressed => "unsuppressed",
            Self::TakenOut => "taken-out",
            Self::PutBack => "put-back",
            Self::Chattering => "chattering",
            Self::Calmed => "calmed",
        }
    }

    /// Whether it only tells of an on-delay and leaves the alarm as it was: no event that people are told of.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::Pending | Self::Withdrawn)
    }
}

/// One thing that happened to one alarm.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmEvent {
    /// What.
    pub change: AlarmChange,
    /// When.
    pub at: Stamp,
    /// The state before.
    pub from: AlarmState,
    /// Who did it; `None` for what the plant and the clock do.
    pub by: Option<Arc<str>>,
    /// What that person had to say.
    pub comment: Option<Arc<str>>,
    /// How the alarm stands after it.
    pub status: AlarmStatus,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_word_of_its_own() {
        let words: std::collections::HashSet<_> = AlarmState::ALL.map(AlarmState::word).into();
        assert_eq!(words.len(), AlarmState::ALL.len());
        for state in AlarmState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.word());
        }
    }
}
