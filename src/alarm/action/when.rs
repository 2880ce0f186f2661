//! What begins an action: the moments and the spans in the life of an alarm that it can be tied to. Pure.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::alarm::life::{Event, Life, Phase};

/// What begins an action, and for how long that asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// From when the alarm comes to when it has gone; a latched one until it is acknowledged. Also while shelved.
    #[default]
    Raised,
    /// While somebody has to acknowledge the alarm, and nothing keeps it silent.
    Unacknowledged,
    /// From its acknowledgement to when it has gone.
    Acknowledged,
    /// When the alarm has gone; a latched one, when that was acknowledged.
    Cleared,
}

impl When {
    /// Whether the alarm asks for the action as it stands now. A clearance is over as it happens.
    #[must_use]
    pub fn asks(self, life: &Life) -> bool {
        match self {
            Self::Raised => life.holds(),
            Self::Unacknowledged => life.state().is_unacknowledged(),
            Self::Acknowledged => life.phase == Phase::Acknowledged && in_force(life),
            Self::Cleared => false,
        }
    }

    /// Whether an event begins the action.
    #[must_use]
    pub fn begins(self, event: Event, before: &Life, after: &Life) -> bool {
        match self {
            Self::Raised | Self::Unacknowledged => !self.asks(before) && self.asks(after),
            // One that has gone and is acknowledged then does not ask for anything any more.
            Self::Acknowledged => event == Event::Acknowledge,
            // What is suppressed or taken out has not gone: nobody knows.
            Self::Cleared => before.holds() && !after.holds() && in_force(after),
        }
    }

    /// Whether the alarm asks for it for a while, so that it has an end without anything more.
    #[must_use]
    pub const fn lasts(self) -> bool {
        !matches!(self, Self::Cleared)
    }
}

const fn in_force(life: &Life) -> bool {
    !life.suppressed && !life.out_of_service
}
