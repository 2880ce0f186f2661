//! What alarms do to outputs: taken and let go of through the command handle, and kept.
//!
//! An output follows a change of its alarm before anybody is told of the change. What moves without one, a time that is
//! over or a release condition that holds, is looked at with every reading and at its moment.

use std::sync::{Arc, Weak};
use std::time::Instant;

use super::{Alarms, Engine};
use crate::alarm::action::{Action, Turn};
use crate::alarm::instance::Alarm;
use crate::alarm::rule::Rule;
use crate::alarm::store::{Saved, Store};
use crate::model::{PointId, Stamp};

/// What has become of the actions of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// They stand as before.
    Not,
    /// A pulse has begun.
    Pulsed,
    /// Something else has.
    Otherwise,
}

impl Moved {
    /// A pulse that is not on the disk when the program is killed would come again: it is written at once.
    pub(super) fn hurry(self, store: &Store) {
        if self == Self::Pulsed {
            store.hurry();
        }
    }
}

impl Engine {
    /// Hears from now on when devices confirm what alarms want of outputs: pulses and least times count from there.
    pub fn attend(self: &Arc<Self>) {
        let engine: Weak<Self> = Arc::downgrade(self);
        let heard = self.commander.on_stands(Box::new(move |output, alarm, now| {
            if let Some(engine) = engine.upgrade() {
                engine.confirmed(output, alarm, now);
            }
        }));
        debug_assert!(heard, "one engine has the outputs");
    }

    /// Lets the actions of an alarm follow it.
    pub(super) fn drive(&self, place: usize, alarm: &mut Alarm, at: Stamp) -> Moved {
        let rule = &self.rules[place];
        let mut pulsed = false;
        let moved = alarm.act(rule, at.mono, &mut |action, turn| {
            pulsed |= turn == Turn::Begin && action.pulse.is_some();
            self.turn(rule, action, turn);
        });
        match moved {
            _ if pulsed => Moved::Pulsed,
            true => Moved::Otherwise,
            false => Moved::Not,
        }
    }

    /// The same where nothing else has changed; how they stand is kept then, too.
    pub(super) fn follow(&self, state: &mut Alarms, place: usize, at: Stamp) {
        if self.rules[place].actions.is_empty() {
            return;
        }
        let alarm = &mut state.all[place];
        let moved = self.drive(place, alarm, at);
        if moved != Moved::Not {
            self.keep(place, alarm, at, moved);
        }
    }

    /// After a restart: outputs that were held are held again, then the time that has passed counts.
    pub(super) fn resume(&self, rule: &Rule, alarm: &mut Alarm, now: Instant) {
        for (action, _) in rule.actions.iter().zip(&*alarm.actions).filter(|(_, own)| own.held.is_some()) {
            self.turn(rule, action, Turn::Begin);
        }
        alarm.act(rule, now, &mut |action, turn| self.turn(rule, action, turn));
    }

    fn turn(&self, rule: &Rule, action: &Action, turn: Turn) {
        match turn {
            Turn::Begin => {
                let (value, why) = (action.value.clone(), action.why.clone());
                self.commander.hold_as(action.output, &rule.name, value, action.priority, why);
            }
            Turn::End => self.commander.release(action.output, &rule.name),
        }
    }

    fn confirmed(&self, output: PointId, alarm: &str, now: Instant) {
        let Some(place) = self.by_name.get(alarm).copied() else { return };
        let at = Stamp { mono: now, ..self.clock.stamp() };
        let mut state = self.lock();
        let own = &mut state.all[place];
        if own.confirm(&self.rules[place], output, now) {
            self.keep(place, own, at, Moved::Otherwise);
            self.remind(&mut state, place, now);
        }
    }

    fn keep(&self, place: usize, alarm: &Alarm, at: Stamp, moved: Moved) {
        if let Some((store, boot)) = &self.store {
            let rule = &self.rules[place];
            store.put(&rule.name, Saved::of(rule, alarm, boot, at), None);
            moved.hurry(store);
        }
    }
}
