//! What is known of an alarm: its state, what people may do with it, and what happened to it.
//!
//! The states are those of ISA-18.2 (IEC 62682) and OPC UA Part 9; docs/alarms.md has their table. The rules
//! themselves are in the module `alarm`; this is what the page and the publisher may know of them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::Period;
use super::{PointId, Stamp, Value};

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
}

/// What has happened to an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
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
}

impl AlarmChange {
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
        }
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

/// What people can do with an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmAction {
    /// It has been seen; a latched one is let go.
    Acknowledge,
    /// Put it aside for this long.
    Shelve(Duration),
    /// Take it from the shelf.
    Unshelve,
    /// Take it out of service: it does not count and holds no outputs.
    TakeOut,
    /// Put it back into service.
    PutBack,
}

/// Which alarms are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlarmTarget {
    /// The one of this name.
    Alarm(String),
    /// Those of this group for which the action has a meaning now.
    Group(String),
}

/// Somebody wants something of an alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmRequest {
    /// Of which.
    pub target: AlarmTarget,
    /// What.
    pub action: AlarmAction,
    /// Who: a user's name, or a client and its address.
    pub by: Arc<str>,
    /// Why.
    pub comment: Option<Arc<str>>,
}

/// Why a request is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlarmRefusal {
    /// There is no such alarm or group.
    #[error("there is no {0}")]
    Unknown(String),
    /// It has no meaning in this state.
    #[error("{0}")]
    State(String),
    /// The request itself is wrong.
    #[error("{0}")]
    Request(String),
    /// It was followed, but may be forgotten at a restart.
    #[error("done, but it could not be stored: {0}")]
    NotStored(String),
}

/// What becomes of a request: how the alarms stand after it.
pub type AlarmAnswer = Result<Vec<AlarmStatus>, AlarmRefusal>;

/// The way to the alarms for those who take requests from people. It answers once the change is as safe as
/// the store can make it.
pub type AlarmOperator =
    Arc<dyn Fn(AlarmRequest) -> Pin<Box<dyn Future<Output = AlarmAnswer> + Send>> + Send + Sync>;

/// A request as people write it: `{"action":"shelve","for":"2h","user":"kim","comment":"sensor is being changed"}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AlarmOrder {
    /// `acknowledge`, `shelve`, `unshelve`, `take-out` or `put-back`.
    pub action: String,
    /// For how long it is shelved.
    #[serde(default)]
    pub r#for: Option<Period>,
    /// Who wants it.
    #[serde(default)]
    pub user: Option<String>,
    /// Why.
    #[serde(default)]
    pub comment: Option<String>,
}

impl AlarmOrder {
    /// The request; `way` says by which way it came, and is all that is known where no user is named.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn request(self, target: AlarmTarget, way: &str) -> Result<AlarmRequest, String> {
        let action = match (self.action.as_str(), self.r#for) {
            ("shelve", Some(time)) => AlarmAction::Shelve(time.0),
            ("shelve", None) => return Err("say for how long: \"for\": \"2h\"".into()),
            (_, Some(_)) => return Err("`for` belongs to `shelve`".into()),
            ("acknowledge", None) => AlarmAction::Acknowledge,
            ("unshelve", None) => AlarmAction::Unshelve,
            ("take-out", None) => AlarmAction::TakeOut,
            ("put-back", None) => AlarmAction::PutBack,
            (other, None) => {
                return Err(format!(
                    "`{other}` is no action: use acknowledge, shelve, unshelve, take-out or put-back"
                ));
            }
        };
        let user = self.user.as_deref().map(str::trim).filter(|user| !user.is_empty());
        let by = user.map_or_else(|| way.into(), |user| format!("{user} ({way})").into());
        Ok(AlarmRequest { target, action, by, comment: self.comment.map(Into::into) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(json: &str) -> Result<AlarmRequest, String> {
        let order: AlarmOrder = serde_json::from_str(json).map_err(|error| error.to_string())?;
        order.request(AlarmTarget::Alarm("hot".into()), "mqtt client panel")
    }

    #[test]
    fn orders_say_what_who_and_why() {
        let request = order(r#"{"action":"shelve","for":"2h","user":"kim","comment":"점검"}"#).unwrap();
        assert_eq!(request.action, AlarmAction::Shelve(Duration::from_secs(7200)));
        assert_eq!((&*request.by, request.comment.as_deref()), ("kim (mqtt client panel)", Some("점검")));
        assert_eq!(&*order(r#"{"action":"acknowledge","user":" "}"#).unwrap().by, "mqtt client panel");
        for (wrong, why) in [
            (r#"{"action":"shelve"}"#, "how long"),
            (r#"{"action":"acknowledge","for":"1s"}"#, "belongs to"),
            (r#"{"action":"delete"}"#, "no action"),
            (r#"{"action":"unshelve","force":true}"#, "unknown field"),
            (r#"{"user":"kim"}"#, "missing field"),
        ] {
            assert!(order(wrong).unwrap_err().contains(why), "{wrong}");
        }
    }

    #[test]
    fn every_state_has_a_word_of_its_own() {
        let words: std::collections::HashSet<_> = AlarmState::ALL.map(AlarmState::word).into();
        assert_eq!(words.len(), AlarmState::ALL.len());
        for state in AlarmState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.word());
        }
    }
}
