//! What comes of a change: outputs, counts, the store, the log and everyone who listens.

use super::{Engine, Flood};
use crate::alarm::instance::Alarm;
use crate::alarm::store::Saved;
use crate::model::{AlarmChange, AlarmEvent, AlarmNews, AlarmState, AlarmStatus, Stamp};

impl Engine {
    /// Lets a change have its consequences.
    pub(super) fn tell(
        &self,
        flood: &mut Flood,
        place: usize,
        alarm: &mut Alarm,
        change: AlarmChange,
        from: AlarmState,
        at: Stamp,
    ) {
        let rule = &self.rules[place];
        // Before anybody is told: what is stored with the change is how the actions stand after it.
        let moved = self.drive(place, alarm, at);
        // What was told when it came stays, also after it went: the value of the return stands beside it.
        if alarm.delay.counts.is_some() {
            alarm.message = alarm.fill(rule, &self.points);
        }
        let mut status = alarm.status(rule);
        let asks = matches!(change, AlarmChange::Raised | AlarmChange::Escalated);
        if asks && status.state == AlarmState::ActiveUnacknowledged {
            flood.rates.count(place, at.mono);
        }
        self.regroup(flood, place, &mut status, at);
        // Who has shelved it is not who lets it come and go behind the shelf.
        let (by, comment) = match alarm.acting {
            true => (alarm.by.clone(), alarm.comment.clone()),
            false => (None, None),
        };
        let event = AlarmEvent { change, at, from, by, comment, status };
        log(&event);
        let mut entry = None;
        if let Some((store, boot)) = &self.store {
            entry = store.put(
                &rule.name,
                Saved::of(rule, alarm, boot, at),
                (!change.is_passing()).then_some(&event),
            );
            moved.hurry(store);
        }
        for listener in &self.listeners {
            listener(AlarmNews::Event(&event, entry));
        }
    }

    /// Sees to the groups of an alarm, and tells of those that stand differently.
    fn regroup(&self, flood: &mut Flood, place: usize, status: &mut AlarmStatus, at: Stamp) {
        flood.groups.step(place, status, at.unix_us, |group, moved| {
            if let (true, Some((store, _))) = (moved, &self.store) {
                store.put_first_out(&group.name, group.first_out.as_ref());
            }
            for listener in &self.listeners {
                listener(AlarmNews::Group(group));
            }
        });
        status.first_of = flood.groups.led_by(place, &status.name).cloned().collect();
    }
}

fn log(event: &AlarmEvent) {
    let AlarmStatus { name, condition, value, message, state, .. } = &event.status;
    let value = value.as_ref().map(ToString::to_string).unwrap_or_default();
    let (by, state) = (event.by.as_deref(), state.word());
    match event.change {
        AlarmChange::Raised | AlarmChange::Escalated => {
            let message = message.any().map_or("", |text| text);
            tracing::warn!(
                alarm = &**name,
                condition,
                value,
                state,
                "alarm {}: {message}",
                event.change.word()
            );
        }
        change if change.is_passing() => {
            tracing::debug!(alarm = &**name, value, "alarm {}", change.word());
        }
        change => tracing::info!(alarm = &**name, value, state, by, "alarm {}", change.word()),
    }
}
