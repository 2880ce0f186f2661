//! What is kept of an action over a restart.
//!
//! Times are kept as what was left of them. Within a boot of the machine they go on as if the program had never ended.
//! After a reboot nobody knows how long the machine was away: a pulse is over then, for it must not come again, and of
//! least times and pauses what was left is left still. Invariant: a pulse never lasts longer than it was to, and ends once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::saved::micros;
use crate::alarm::action::{Action, Held, PATIENCE, Running};
use crate::alarm::instance::Alarm;
use crate::alarm::rule::Rule;

/// How an action stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SavedAction {
    /// While it holds its output: the microseconds that are left of its pulse or its least time.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_us: Option<u64>,
    /// The microseconds that its pause had left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_us: Option<u64>,
    /// It is to begin when its pause is over.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    owed: bool,
}

impl SavedAction {
    /// Those of an alarm that are not at rest, by output.
    pub(super) fn all(rule: &Rule, alarm: &Alarm, now: Instant) -> BTreeMap<Arc<str>, Self> {
        let actions = rule.actions.iter().zip(&*alarm.actions);
        let busy = actions.filter(|(_, running)| **running != Running::default());
        busy.map(|(action, running)| (Arc::clone(&action.name), Self::of(action, running, now))).collect()
    }

    fn of(action: &Action, running: &Running, now: Instant) -> Self {
        let left = |moment: Instant| micros(moment.saturating_duration_since(now));
        let held = |held: Held| match action.pulse {
            // Whether the device has it will not be known: it counts from when it was wanted.
            Some(pulse) if !held.stands => {
                micros((held.ends + pulse).saturating_duration_since(now + PATIENCE))
            }
            _ => left(held.ends),
        };
        Self { left_us: running.held.map(held), pause_us: running.free.map(left), owed: running.owed }
    }

    /// The action as it goes on; `gone` is how long the program was away, as far as that is known.
    pub(super) fn restore(&self, action: &Action, gone: Option<Duration>, now: Instant) -> Running {
        let away = gone.unwrap_or_default();
        let rest = |left: Duration| (!left.is_zero()).then(|| now.checked_add(left)).flatten();
        let pause = self.pause_us.map(|left| Duration::from_micros(left).saturating_sub(away));
        let free = pause.and_then(rest);
        let idle = Running { held: None, free, owed: self.owed };
        let Some(left) = self.left_us.map(Duration::from_micros) else { return idle };
        let over = left.saturating_sub(away);
        if action.pulse.is_some_and(|_| gone.is_none() || over.is_zero()) {
            // It ended by itself while nobody was there, and its pause has run since.
            let rested = away.saturating_sub(left);
            return Running { free: rest(action.pause.saturating_sub(rested)), owed: false, ..idle };
        }
        let ends = now.checked_add(over).unwrap_or(now);
        Running { held: Some(Held { ends, stands: true }), free: None, owed: false }
    }
}
