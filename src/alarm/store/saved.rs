//! What is kept of an alarm over a restart, and how moments of one run become moments of the next.
//!
//! Monotonic time is counted from the boot of the machine, and a boot has a name: within one boot a delay goes
//! on as if the program had never ended, whatever the wall clock did. After a reboot a delay has what was
//! left of it, since nobody knows what the plant did meanwhile, and a shelf ends when the wall clock says so,
//! where that has not jumped back. Invariant: what is read back is an alarm that could have been, or nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::saved_action::SavedAction;
use crate::alarm::delay::{Delay, Runs};
use crate::alarm::detect::Condition;
use crate::alarm::instance::{Alarm, MAX_SHELF};
use crate::alarm::life::{Life, Phase};
use crate::alarm::rule::Rule;
use crate::clock::Clock;
use crate::model::{AlarmState, Stamp, Texts, Value};

/// The machine's own time: which boot it is, and how long ago that began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// The name of the boot.
    pub id: Arc<str>,
    /// Time since then, in which the machine's sleep counts.
    pub since: Duration,
    /// The same moment by both clocks of this run.
    pub now: Stamp,
}

/// An alarm as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    boot: Arc<str>,
    /// Microseconds since the boot when this was written.
    at_us: u64,
    /// The wall clock then.
    unix_us: i64,
    phase: Phase,
    suppressed: bool,
    out_of_service: bool,
    /// Microseconds that the shelf had left.
    shelf_us: Option<u64>,
    shelved_until_us: Option<i64>,
    counts: Option<String>,
    /// The on-delay that ran: its condition, and the microseconds that were left.
    pending: Option<(String, u64)>,
    value: Option<serde_json::Value>,
    since_us: Option<i64>,
    by: Option<Arc<str>>,
    comment: Option<Arc<str>>,
    en: Option<Arc<str>>,
    ko: Option<Arc<str>>,
    /// Microseconds until an alarm that chatters is taken for calm.
    #[serde(default)]
    calm_us: Option<u64>,
    /// Whether somebody does not want it to be shelved for that.
    #[serde(default)]
    declined: bool,
    /// The actions that do something, or wait to, by output.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    actions: BTreeMap<Arc<str>, SavedAction>,
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn condition(word: &str) -> Option<Condition> {
    Condition::ALL.into_iter().find(|condition| condition.word() == word)
}

impl Boot {
    /// This boot of the machine, by its kernel.
    ///
    /// # Errors
    /// The kernel does not tell (`/proc` is not mounted).
    pub fn read(clock: &Clock) -> std::io::Result<Self> {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(since.tv_sec).unwrap_or(0);
        let since = Duration::new(seconds, u32::try_from(since.tv_nsec).unwrap_or(0));
        Ok(Self { id: id.trim().into(), since, now: clock.stamp() })
    }

    /// The time since the boot at a moment of this run.
    fn at(&self, moment: Instant) -> Duration {
        match moment.checked_duration_since(self.now.mono) {
            Some(later) => self.since + later,
            None => self.since.saturating_sub(self.now.mono - moment),
        }
    }
}

impl Saved {
    /// What is to be kept of an alarm at `now`.
    #[must_use]
    pub fn of(rule: &Rule, alarm: &Alarm, boot: &Boot, now: Stamp) -> Self {
        let left = |due: Instant| micros(due.saturating_duration_since(now.mono));
        Self {
            boot: Arc::clone(&boot.id),
            at_us: micros(boot.at(now.mono)),
            unix_us: now.unix_us,
            phase: alarm.life.phase,
            suppressed: alarm.life.suppressed,
            out_of_service: alarm.life.out_of_service,
            shelf_us: alarm.life.shelved_until.map(left),
            shelved_until_us: alarm.shelved_until_us,
            counts: alarm.delay.counts.map(|condition| condition.word().to_owned()),
            pending: match alarm.delay.runs {
                Some(Runs::On(condition, due)) => Some((condition.word().to_owned(), left(due))),
                _ => None,
            },
            value: alarm.value.as_ref().and_then(|value| serde_json::to_value(value).ok()),
            since_us: alarm.since.map(|since| since.unix_us),
            by: alarm.by.clone(),
            comment: alarm.comment.clone(),
            en: alarm.message.en.clone(),
            ko: alarm.message.ko.clone(),
            calm_us: alarm.chatter.until.map(left),
            declined: alarm.chatter.declined,
            actions: SavedAction::all(rule, alarm, now.mono),
        }
    }

    /// Gives a new alarm what was kept. `false` when that makes no alarm.
    #[must_use]
    pub fn restore(&self, rule: &Rule, alarm: &mut Alarm, boot: &Boot) -> bool {
        let counts = self.counts.as_deref().map(condition);
        let pending = self.pending.as_ref().map(|(word, left)| (condition(word), *left));
        if counts == Some(None) || matches!(pending, Some((None, _))) {
            return false;
        }
        let life = Life {
            phase: self.phase,
            // Without an enabling condition nothing would ever end it.
            suppressed: self.suppressed && rule.enabled.is_some(),
            out_of_service: self.out_of_service,
            shelved_until: self.shelf_us.map(|left| self.shelf_end(left, boot)),
        };
        let counts = counts.flatten();
        if life.active() != counts.is_some() || (counts.is_some() && pending.is_some()) {
            return false;
        }
        let until = self.calm_us.filter(|_| rule.chattering.is_some()).and_then(|left| {
            let left = Duration::from_micros(left).saturating_sub(self.gone_within_boot(boot));
            boot.now.mono.checked_add(left)
        });
        alarm.chatter.declined = self.declined && until.is_some();
        alarm.chatter.until = until;
        let runs = pending.and_then(|(condition, left)| {
            let left = Duration::from_micros(left).saturating_sub(self.gone_within_boot(boot));
            Some(Runs::On(condition?, boot.now.mono.checked_add(left)?))
        });
        for (action, running) in rule.actions.iter().zip(alarm.actions.iter_mut()) {
            let gone = self.is_of(boot).then(|| self.gone_within_boot(boot));
            let kept = self.actions.get(&action.name);
            *running = kept.map(|kept| kept.restore(action, gone, boot.now.mono)).unwrap_or_default();
        }
        alarm.life = life;
        alarm.delay = Delay { counts, runs };
        alarm.value = self.value.as_ref().and_then(value);
        alarm.since = self.since_us.map(|unix_us| Stamp { mono: boot.now.mono, unix_us });
        alarm.shelved_until_us = self.shelved_until_us;
        (alarm.by, alarm.comment) = (self.by.clone(), self.comment.clone());
        alarm.message = Texts { en: self.en.clone(), ko: self.ko.clone() };
        true
    }

    /// The state that people would see, for whoever opens the file.
    #[must_use]
    pub fn state_word(&self) -> &'static str {
        let (suppressed, out_of_service) = (self.suppressed, self.out_of_service);
        let life = Life { phase: self.phase, suppressed, out_of_service, shelved_until: None };
        match life.state() {
            state if self.shelf_us.is_none() || state.is_silent() => state.word(),
            _ => AlarmState::Shelved.word(),
        }
    }

    /// Whether it was written within this boot of the machine.
    #[must_use]
    pub fn is_of(&self, boot: &Boot) -> bool {
        self.boot == boot.id
    }

    /// What has passed since this was written, as far as it is known for certain.
    fn gone_within_boot(&self, boot: &Boot) -> Duration {
        match self.is_of(boot) {
            true => boot.since.saturating_sub(Duration::from_micros(self.at_us)),
            false => Duration::ZERO,
        }
    }

    fn shelf_end(&self, left_us: u64, boot: &Boot) -> Instant {
        let by_wall = u64::try_from(boot.now.unix_us.saturating_sub(self.unix_us)).unwrap_or(0);
        let gone = match self.is_of(boot) {
            true => self.gone_within_boot(boot),
            false => Duration::from_micros(by_wall),
        };
        let left = Duration::from_micros(left_us).saturating_sub(gone).min(MAX_SHELF);
        boot.now.mono + left
    }
}

fn value(json: &serde_json::Value) -> Option<Value> {
    Some(match json {
        serde_json::Value::Bool(state) => Value::Bool(*state),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Number(number) => number
            .as_i64()
            .map(Value::Int)
            .or_else(|| number.as_u64().map(Value::UInt))
            .or_else(|| number.as_f64().map(Value::Float))?,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "saved_tests.rs"]
mod tests;
