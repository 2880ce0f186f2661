//! Who counts more than whom at an output, and what an output is besides its point.
//!
//! Pure. Absent: who holds an output now, which is the arbiter's. Invariant: an order names every class once,
//! and interlocks stand first in it.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Ramp;

/// Who acts on an output, by what entitles them to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ControlClass {
    /// Interlocks, and the gateway's own safe states.
    Interlock,
    /// People at the page.
    Manual,
    /// Alarms.
    Alarm,
    /// Programs that control the plant: MQTT clients that the configuration names.
    Automatic,
    /// Every other MQTT client, and commands from upstream.
    Remote,
}

impl ControlClass {
    /// All of them, in the order that counts when nothing else is configured.
    pub const ALL: [Self; 5] = [Self::Interlock, Self::Manual, Self::Alarm, Self::Automatic, Self::Remote];

    /// Its word in the configuration, in answers and in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Interlock => "interlock",
            Self::Manual => "manual",
            Self::Alarm => "alarm",
            Self::Automatic => "automatic",
            Self::Remote => "remote",
        }
    }
}

impl fmt::Display for ControlClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The order of the classes, the one that counts most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlOrder([ControlClass; 5]);

impl ControlOrder {
    /// The order in which `classes` are written.
    ///
    /// # Errors
    /// When a class is missing or named twice, or interlocks do not stand first.
    pub fn new(classes: &[ControlClass]) -> Result<Self, String> {
        if let Some(missing) = ControlClass::ALL.iter().find(|class| !classes.contains(class)) {
            return Err(format!("`{missing}` is missing in the order"));
        }
        let order: [ControlClass; 5] =
            classes.try_into().map_err(|_| "the order names a class twice".to_owned())?;
        match order[0] {
            ControlClass::Interlock => Ok(Self(order)),
            other => Err(format!("`{other}` stands before `interlock`: nothing may overrule an interlock")),
        }
    }

    /// How many classes count more: 0 to 4.
    #[must_use]
    pub fn rank(self, class: ControlClass) -> usize {
        self.0.iter().position(|own| *own == class).unwrap_or(self.0.len())
    }
}

impl Default for ControlOrder {
    fn default() -> Self {
        Self(ControlClass::ALL)
    }
}

/// What becomes of an output whose device was away: it may have lost power and have dropped its outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AfterLoss {
    /// What holds the output is written again; the last setpoint that nobody holds is forgotten, and the safe state taken.
    #[default]
    Safe,
    /// What holds the output, or the last setpoint, is written again.
    Again,
    /// Nothing is written before somebody says so, unless an alarm or an interlock holds the output.
    Leave,
}

/// How an output wants to be handled.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct OutputRules {
    /// A momentary output: a setpoint other than the safe state stands for this long; then the safe state is taken.
    pub pulse: Option<Duration>,
    /// The least time between two commands.
    pub pause: Option<Duration>,
    /// What becomes of it when its device was away.
    pub after_loss: AfterLoss,
    /// In which steps a number is brought to its setpoint; at once without it.
    pub ramp: Option<Ramp>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// How many histories of `each` steps a property of control is looked at over: `usual`, or as many as make up the
    /// steps that `IOGATE_CONTROL_STEPS` asks for.
    pub(crate) fn histories(usual: u32, each: u32) -> u32 {
        let asked = std::env::var("IOGATE_CONTROL_STEPS").ok();
        asked.map_or(usual, |steps| steps.parse::<u32>().expect("a number of steps").div_ceil(each).max(1))
    }

    #[test]
    fn an_order_names_every_class_once_and_interlocks_first() {
        use ControlClass::{Alarm, Automatic, Interlock, Manual, Remote};
        let order = ControlOrder::new(&[Interlock, Alarm, Manual, Remote, Automatic]).unwrap();
        assert_eq!(order.rank(Alarm), 1);
        assert_eq!(order.rank(Automatic), 4);
        assert_eq!(ControlOrder::default().rank(Manual), 1);
        let wrong = |classes: &[ControlClass]| ControlOrder::new(classes).unwrap_err();
        assert!(wrong(&[Interlock, Alarm]).contains("`manual` is missing"));
        assert!(wrong(&[Interlock, Alarm, Manual, Remote, Automatic, Alarm]).contains("twice"));
        assert!(wrong(&[Manual, Interlock, Alarm, Remote, Automatic]).contains("`manual` stands before"));
    }
}
