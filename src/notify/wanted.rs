//! Which events a notifier tells of. Pure.
//!
//! Nobody is told of what an alarm does behind its silence; one that is active when its silence ends is told as one that
//! comes. Invariant: whoever was told that an alarm came is told that it is gone, however much it mattered last.

use std::collections::HashSet;
use std::sync::Arc;

use super::Config;
use crate::model::{AlarmChange, AlarmEvent, AlarmState, Severity};

/// What is wanted, and of which alarms people know that they are active.
#[derive(Debug)]
pub(super) struct Wanted {
    severity: Severity,
    classes: Vec<String>,
    groups: Vec<String>,
    changes: Vec<AlarmChange>,
    /// As many as there are alarms at most.
    known: HashSet<Arc<str>>,
}

impl Wanted {
    pub(super) fn new(config: &Config) -> Self {
        let (classes, groups) = (config.classes.clone(), config.groups.clone());
        Self { severity: config.severity, classes, groups, changes: config.changes(), known: HashSet::new() }
    }

    /// Whether people are to be told; remembers what they know.
    pub(super) fn admit(&mut self, event: &AlarmEvent) -> bool {
        let status = &event.status;
        let change = meaning(event);
        let asked = self.changes.contains(&change) && self.concerns(event);
        match change {
            AlarmChange::Raised | AlarmChange::Escalated => {
                let told = asked && !status.state.is_silent() && status.severity >= self.severity;
                if told {
                    self.known.insert(Arc::clone(&status.name));
                }
                told
            }
            AlarmChange::Returned => {
                let known = self.known.remove(&status.name);
                asked && (known || (!status.state.is_silent() && status.severity >= self.severity))
            }
            _ => asked && status.severity >= self.severity,
        }
    }

    fn concerns(&self, event: &AlarmEvent) -> bool {
        let status = &event.status;
        let among = |list: &[String], word: &str| list.iter().any(|own| own == word);
        (self.classes.is_empty() || status.class.as_deref().is_some_and(|class| among(&self.classes, class)))
            && (self.groups.is_empty() || status.groups.iter().any(|group| among(&self.groups, group)))
    }
}

/// What an event means to people: an alarm that is active when its silence ends has come.
pub(super) fn meaning(event: &AlarmEvent) -> AlarmChange {
    match event.change {
        AlarmChange::Unshelved | AlarmChange::PutBack | AlarmChange::Unsuppressed
            if event.status.state == AlarmState::ActiveUnacknowledged =>
        {
            AlarmChange::Raised
        }
        change => change,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Instant;

    use super::*;
    use crate::model::{AlarmStatus, PointId, Stamp, Texts, Value};

    pub(in crate::notify) fn config(yaml: &str) -> Config {
        serde_json::from_str(yaml).unwrap()
    }

    /// Something that happens to the alarm of this name.
    pub(in crate::notify) fn event(
        name: &str,
        change: AlarmChange,
        state: AlarmState,
        severity: Severity,
    ) -> AlarmEvent {
        let at = Stamp { mono: Instant::now(), unix_us: 1_795_219_200_000_000 };
        let status = AlarmStatus {
            name: name.into(),
            point: Some(PointId(0)),
            device: None,
            severity,
            class: Some("safety".into()),
            groups: ["press".into()].into(),
            state,
            active: state == ActiveUnacknowledged,
            pending: false,
            blind: false,
            condition: Some("high"),
            value: Some(Value::Float(61.5)),
            since: Some(at),
            shelved_until_us: None,
            message: Texts {
                en: Some("Platen at 61.5 °C".into()), ko: Some("프레스 온도 61.5 °C".into())
            },
            help: Texts::from("Check the cooling water"),
            by: None,
            comment: None,
            chattering: false,
            shelve_offer: None,
            first_of: Vec::new(),
        };
        AlarmEvent { change, at, from: Normal, by: None, comment: None, status }
    }

    use AlarmChange::{Acknowledged, Raised, Returned, Unshelved};
    use AlarmState::{ActiveUnacknowledged, Normal, ReturnedUnacknowledged, Shelved};

    #[test]
    fn what_was_told_to_have_come_is_told_to_be_gone() {
        let mut wanted = Wanted::new(&config(r#"{"severity":"critical"}"#));
        assert!(!wanted.admit(&event("a", Raised, ActiveUnacknowledged, Severity::High)));
        assert!(!wanted.admit(&event("a", Returned, ReturnedUnacknowledged, Severity::High)));
        assert!(wanted.admit(&event("a", Raised, ActiveUnacknowledged, Severity::Critical)));
        assert!(
            wanted.admit(&event("a", Returned, ReturnedUnacknowledged, Severity::High)),
            "it mattered when it came"
        );
        assert!(!wanted.admit(&event("a", Returned, ReturnedUnacknowledged, Severity::High)), "once");
        assert!(
            !wanted.admit(&event("a", Acknowledged, Normal, Severity::Critical)),
            "nobody asked for that"
        );
    }

    #[test]
    fn nobody_hears_of_what_is_silent_until_the_silence_ends() {
        let mut wanted = Wanted::new(&config("{}"));
        assert!(!wanted.admit(&event("a", Raised, Shelved, Severity::Critical)));
        assert!(wanted.admit(&event("a", Unshelved, ActiveUnacknowledged, Severity::Critical)));
        assert!(!wanted.admit(&event("b", Unshelved, Normal, Severity::Critical)));
        assert!(
            wanted.admit(&event("a", Returned, Shelved, Severity::Critical)),
            "they know that it is active"
        );
    }

    #[test]
    fn classes_and_groups_are_each_a_condition() {
        let wants = |yaml: &str| {
            Wanted::new(&config(yaml)).admit(&event("a", Raised, ActiveUnacknowledged, Severity::High))
        };
        assert!(wants(r#"{"classes":["safety"],"groups":["oven","press"]}"#));
        assert!(
            !wants(r#"{"classes":["process"]}"#) && !wants(r#"{"classes":["safety"],"groups":["oven"]}"#)
        );
    }
}
