//! What people write about chattering alarms.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Chattering;
use super::chatter::MAX_ACTIVATIONS;
use crate::alarm::instance::MAX_SHELF;
use crate::model::units::Period;

/// The section `chattering`: which alarms come too often, and what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(rename = "Chattering")]
pub struct ChatteringConfig {
    /// An alarm that comes this often, 2 to 20 times, chatters
    pub activations: usize,
    /// when all of that was within this time.
    pub within: Period,
    /// It is calm again once it has not come for this long.
    pub calm: Period,
    /// For how long it is offered to be shelved, or is; at most 24h.
    pub shelve_for: Period,
    /// The classes whose alarms are shelved at once when they chatter, without asking anyone.
    pub shelve_classes: Vec<String>,
}

impl Default for ChatteringConfig {
    /// Three times a minute is what ISA-18.2 names.
    fn default() -> Self {
        let period = |seconds| Period(std::time::Duration::from_secs(seconds));
        Self {
            activations: 3,
            within: period(60),
            calm: period(300),
            shelve_for: period(3600),
            shelve_classes: Vec::new(),
        }
    }
}

impl ChatteringConfig {
    /// What is wrong, by the key that it is about, with a way to mend it.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String, String)> {
        let mut found = Vec::new();
        if !(2..=MAX_ACTIVATIONS).contains(&self.activations) {
            let message = format!("{} activations cannot make an alarm chatter", self.activations);
            found.push(("activations", message, format!("write 2 to {MAX_ACTIVATIONS}")));
        }
        if self.within.0.is_zero() {
            found.push(("within", "nothing comes twice in no time".into(), "write a time such as 1m".into()));
        }
        if self.calm.0 < self.within.0 {
            let message = format!("`calm` ({}) is shorter than `within` ({})", self.calm, self.within);
            found.push((
                "calm",
                message,
                "use several times as long, so that it does not end and begin again".into(),
            ));
        }
        if self.shelve_for.0.is_zero() || self.shelve_for.0 > MAX_SHELF {
            let message = "an alarm is shelved for up to 24h".to_owned();
            found.push(("shelve-for", message, "write a time such as 1h".into()));
        }
        found
    }

    /// What counts for an alarm of this class.
    #[must_use]
    pub fn of(&self, class: Option<&str>) -> Chattering {
        Chattering {
            activations: self.activations,
            within: self.within.0,
            calm: self.calm.0,
            shelve_for: self.shelve_for.0,
            shelve: class.is_some_and(|class| self.shelve_classes.iter().any(|own| own == class)),
        }
    }
}
