//! What a case file says.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// Registers by table, and in it by wire address.
pub(crate) type Registers = BTreeMap<String, BTreeMap<u16, Vec<u16>>>;

/// One profile's case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) profile: String,
    #[serde(flatten)]
    pub(crate) step: Step,
    /// Further steps, each on top of the first.
    #[serde(default)]
    pub(crate) then: Vec<Step>,
}

/// What a device holds or answers, and what its points must be.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Step {
    #[serde(default)]
    pub(crate) registers: Registers,
    /// Replies to HTTP requests, by their paths; what an SNMP agent holds, by its numbers.
    #[serde(default)]
    pub(crate) replies: BTreeMap<String, String>,
    /// Lines of an instrument, by the question, or by the beginning of those that it sends by itself.
    #[serde(default)]
    pub(crate) lines: BTreeMap<String, String>,
    /// Messages that the device publishes, by their topics; the device is called `device` there.
    #[serde(default)]
    pub(crate) messages: BTreeMap<String, String>,
    pub(crate) expect: BTreeMap<String, Expected>,
}

/// What a point must be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Expected {
    Bad { bad: String },
    State(bool),
    Number(f64),
    Text(String),
}

impl std::ops::Deref for Case {
    type Target = Step;

    fn deref(&self) -> &Step {
        &self.step
    }
}

impl Case {
    /// The case in a file.
    pub(crate) fn load(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}
