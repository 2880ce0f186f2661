//! Who takes an output and lets go of it without a write of their own: alarms, interlocks, people who are done.
//!
//! The commander observes the bus in line: interlocks look at every reading, and an output that no longer reads
//! what its holder wants is written again. Invariant: a command that waits in a queue when somebody who counts
//! more takes its output never reaches the wire.

use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Instant;

use super::interlock::Change;
use super::record::Release;
use super::{Commander, Managed};
use crate::bus::Observer;
use crate::command::arbiter::{Output, Slot, USUAL_PRIORITY};
use crate::model::{AfterLoss, ControlClass, Origin, Outcome, PointId, Reading, Value};

/// Who is told that an output stands as the alarm that holds it wants it: the output, the alarm, the moment at which the
/// device has confirmed it. Called in line with no lock held: it must be quick and must not block.
pub type Stands = Box<dyn Fn(PointId, &str, Instant) + Send + Sync>;

/// Where confirmations for alarms go.
#[derive(Default)]
pub(super) struct Confirmations(OnceLock<Stands>);

impl Confirmations {
    /// A write in the name of `origin` stands.
    pub(super) fn tell(&self, point: PointId, origin: &Origin, now: Instant) {
        if let (Some(listener), Origin::Alarm(alarm)) = (self.0.get(), origin) {
            listener(point, alarm, now);
        }
    }
}

impl Commander {
    /// Tells `listener` of every output that stands as an alarm wants it, from now on. There is one listener; `false` says
    /// that there is one already, which stays.
    pub fn on_stands(&self, listener: Stands) -> bool {
        self.inner.confirmations.0.set(listener).is_ok()
    }

    /// An alarm of usual priority takes an output; see [`Self::hold_as`].
    pub fn hold(&self, point: PointId, alarm: &Arc<str>, value: Value) {
        self.hold_as(point, alarm, value, USUAL_PRIORITY, None);
    }

    /// An alarm takes an output; it is kept at `value` until [`Self::release`], or for as long as its pulse lasts. Among
    /// alarms the smaller number of `priority` counts more. `reason` is for people.
    pub fn hold_as(
        &self,
        point: PointId,
        alarm: &Arc<str>,
        value: Value,
        priority: u8,
        reason: Option<Arc<str>>,
    ) {
        let (class, owner) = (ControlClass::Alarm, Arc::clone(alarm));
        self.take(point, Slot { class, priority, owner, value: Some(value), until: None, reason });
    }

    /// An alarm lets go of an output, which goes to the next in line.
    pub fn release(&self, point: PointId, alarm: &str) {
        self.change(point, |output| {
            output.release(ControlClass::Alarm, alarm);
        });
    }

    /// People and programs let go of what they hold of an output; people also of what programs and remote clients hold.
    ///
    /// # Errors
    /// When there is nothing that they could let go of, in words.
    pub fn let_go(&self, point: PointId, origin: &Origin) -> Result<(), String> {
        let place = self.place(point).ok_or("it is no output")?;
        let at = self.inner.clock.stamp();
        let outcome = self.try_let_go(place, origin, at.mono);
        let output = Arc::clone(&self.inner.points.get(point).name);
        let answer = outcome.as_ref().map(drop).map_err(Clone::clone);
        self.record_release(&Release { output, origin: origin.clone(), at, outcome });
        answer
    }

    /// Lets go, and tells who held the output and at what.
    fn try_let_go(
        &self,
        place: usize,
        origin: &Origin,
        now: Instant,
    ) -> Result<(Arc<str>, Option<Value>), String> {
        let (class, owner) = (self.class_of(origin), origin.to_string());
        let mut outputs = self.outputs();
        let managed = &mut outputs[place];
        managed.advance(now);
        let output = &managed.output;
        let own = output.held_by(class, &owner);
        let others = output.slots().iter().find(|slot| {
            class == ControlClass::Manual
                && matches!(slot.class, ControlClass::Automatic | ControlClass::Remote)
        });
        let slot = own.or(others).ok_or("there is nothing to let go of")?;
        let (class, owner, value) = (slot.class, Arc::clone(&slot.owner), slot.value.clone());
        managed.alter(|output| {
            output.release(class, &owner);
        });
        drop(outputs);
        self.inner.changed.notify_one();
        Ok((owner, value))
    }

    /// Which alarm or interlock, or who else, holds the output.
    #[must_use]
    pub fn holder(&self, point: PointId) -> Option<Arc<str>> {
        let outputs = self.outputs();
        outputs[self.place(point)?].output.holder().map(|slot| Arc::clone(&slot.owner))
    }

    /// A device answers again, or no longer. One that was away may have dropped its outputs.
    pub fn link(&self, device: &str, answers: bool) {
        let points = &self.inner.points;
        for managed in self.outputs().iter_mut() {
            if *points.get(managed.point).device != *device {
                continue;
            }
            if answers && managed.away {
                managed.came_back();
            }
            managed.away = !answers;
        }
        self.inner.changed.notify_one();
    }

    /// Interlocks stand against their outputs before anything is read.
    pub(super) fn begin_interlocks(&self) {
        let mut interlocks = self.inner.interlocks.lock().unwrap_or_else(PoisonError::into_inner);
        for change in interlocks.begin(&self.inner.points) {
            self.apply(&change);
        }
    }

    fn look_at_interlocks(&self, readings: &[Reading]) {
        let mut interlocks = self.inner.interlocks.lock().unwrap_or_else(PoisonError::into_inner);
        for change in interlocks.take(readings, &self.inner.points) {
            match &change.tripped {
                Some(reason) if change.fresh => {
                    tracing::warn!(interlock = &*change.rule.name, %reason, "interlock tripped");
                }
                Some(_) => {}
                None => tracing::info!(interlock = &*change.rule.name, "interlock permits again"),
            }
            self.apply(&change);
        }
    }

    fn apply(&self, change: &Change) {
        let (rule, class) = (&change.rule, ControlClass::Interlock);
        for (point, value) in &rule.outputs {
            match &change.tripped {
                Some(reason) => {
                    let (owner, reason) = (Arc::clone(&rule.name), Some(Arc::clone(reason)));
                    let (priority, value) = (USUAL_PRIORITY, value.clone());
                    self.take(*point, Slot { class, priority, owner, value, until: None, reason });
                    if !rule.resume {
                        self.change(*point, Output::forget);
                    }
                }
                None => self.change(*point, |output| {
                    output.release(class, &rule.name);
                }),
            }
        }
    }

    fn take(&self, point: PointId, slot: Slot) {
        self.change(point, |output| {
            output.hold(slot);
        });
    }

    fn change(&self, point: PointId, change: impl FnOnce(&mut Output)) {
        let Some(place) = self.place(point) else { return };
        let now = self.inner.clock.mono();
        let mut outputs = self.outputs();
        let managed = &mut outputs[place];
        managed.advance(now);
        managed.alter(change);
        let waiting = managed.waiting.as_ref();
        if let Some(slot) = waiting.and_then(|claim| managed.output.overruling(claim)) {
            self.inner.queues[point.index()].withdraw(point, || {
                let (class, owner) = (slot.class, &slot.owner);
                Outcome::Rejected(format!("{class} `{owner}` has taken the output while the command waited"))
            });
        }
        drop(outputs);
        self.inner.changed.notify_one();
    }
}

impl Managed {
    fn came_back(&mut self) {
        match self.rules.after_loss {
            AfterLoss::Safe => self.output.forget(),
            AfterLoss::Again => {}
            AfterLoss::Leave => {
                self.output.forget();
                if self.output.holder().is_none() {
                    return;
                }
            }
        }
        self.upkeep.renew(self.output.target().is_some());
    }
}

/// Follows the readings for interlocks, and sees to it that an output stays as its holder or the stop wants it, also
/// when its device loses power and comes back with its contacts open. A setpoint that nobody holds is not
/// repeated: someone may stand beside it.
impl Observer for Commander {
    fn observe(&self, readings: &[Reading]) {
        if readings.iter().any(|reading| self.inner.watched.get(reading.point.index()) == Some(&true)) {
            self.look_at_interlocks(readings);
        }
        let outputs = readings.iter().filter_map(|reading| Some((reading, self.place(reading.point)?)));
        let mut lapsed = false;
        for (reading, place) in outputs.filter(|(reading, _)| reading.quality.is_good()) {
            let Managed { output, upkeep, known, .. } = &mut self.outputs()[place];
            known.clone_from(&reading.value);
            let differs = match (output.target(), &reading.value) {
                (Some(Value::Bool(wanted)), Some(Value::Bool(is))) => wanted != is,
                (Some(Value::Text(wanted)), Some(Value::Text(is))) => !wanted.eq_ignore_ascii_case(is),
                // Numbers may be rounded or ramped by the device: they are compared at the write only.
                _ => false,
            };
            if differs && output.overrules_commands() && !upkeep.is_due() {
                upkeep.lapse(reading.at.mono);
                lapsed = true;
            }
        }
        if lapsed {
            self.inner.changed.notify_one();
        }
    }
}
