//! What people want of alarms: as they write it, as it is understood, and why it may be refused.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::AlarmStatus;
use crate::model::units::Period;

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
}
