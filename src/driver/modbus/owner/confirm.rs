//! Writes that wait for another register to confirm them.
//!
//! The line goes on meanwhile: each look is one turn among the others. Invariants: at most one write per point
//! waits, every wait ends, and a write is never repeated.

use std::time::Instant;

use super::{Opener, Owner, Place};
use crate::driver::WriteJob;
use crate::driver::modbus::confirm::Verdict;
use crate::driver::modbus::wire::{Answer, Ask, ExchangeError};
use crate::driver::modbus::{Point, Register};
use crate::model::{Outcome, PointId, Value};

/// A write that has been made and waits.
pub(super) struct Waiting {
    job: WriteJob,
    place: Place,
    /// Which of the registers is looked at.
    step: usize,
    due: Instant,
    until: Instant,
    /// What the register held last.
    held: Option<Value>,
}

impl<O: Opener> Owner<O> {
    /// Puts a write that has been made in line; one of the same point that waits is told that a newer one came.
    pub(super) fn await_confirmation(&mut self, job: WriteJob, place: Place) {
        self.supersede(job.point);
        let now = self.context.clock.mono();
        let mut waiting = Waiting { job, place, step: 0, due: now, until: now, held: None };
        self.enter_step(&mut waiting, now);
        self.waiting.push(waiting);
    }

    /// A new write of a point ends the wait of its former one.
    pub(super) fn supersede(&mut self, point: PointId) {
        for waiting in self.waiting.extract_if(.., |waiting| waiting.job.point == point) {
            waiting.job.finish(Outcome::Superseded);
        }
    }

    /// When the next look is due.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.due).min()
    }

    /// Nothing on the line can be known any more.
    pub(super) fn abandon_confirmations(&mut self, reason: &str) {
        for waiting in self.waiting.drain(..) {
            let text = format!("the channel went down before the write was confirmed: {reason}");
            waiting.job.finish(Outcome::Failed(text));
        }
    }

    /// Looks at the register that the most urgent write waits for.
    pub(super) async fn look(&mut self) {
        let first = (0..self.waiting.len()).min_by_key(|index| self.waiting[*index].due);
        let Some(first) = first else { return };
        let mut waiting = self.waiting.swap_remove(first);
        match self.looked(&mut waiting).await {
            Some(outcome) => waiting.job.finish(outcome),
            None => self.waiting.push(waiting),
        }
    }

    fn enter_step(&self, waiting: &mut Waiting, now: Instant) {
        let point = &self.plan.devices[waiting.place.device].points[waiting.place.point];
        if let Some(confirm) = point.rules.confirm.get(waiting.step) {
            (waiting.due, waiting.until) = (now, now + confirm.within);
        }
    }

    async fn looked(&mut self, waiting: &mut Waiting) -> Option<Outcome> {
        let plan = self.plan();
        let place = waiting.place;
        let point = &plan.devices[place.device].points[place.point];
        let Some(confirm) = point.rules.confirm.get(waiting.step) else { return Some(Outcome::Confirmed) };
        let result = self.ask(place.device, &Ask::read(&confirm.register)).await;
        let now = self.context.clock.mono();
        waiting.due = now + confirm.every;
        match self.verdict(place, point, &confirm.register, &result, waiting, |raw| confirm.judge(raw)) {
            Some(Outcome::Confirmed) => {
                waiting.step += 1;
                waiting.held = None;
                self.enter_step(waiting, now);
                (waiting.step >= point.rules.confirm.len()).then_some(Outcome::Confirmed)
            }
            Some(outcome) => Some(outcome),
            None if now < waiting.until => None,
            None => {
                let (table, address) = (confirm.register.table.word(), confirm.register.address);
                let held = match (&waiting.held, &result) {
                    (Some(held), _) => format!("{table} {address} holds {held}"),
                    (None, Err(error)) => format!("{table} {address}: {error}"),
                    (None, Ok(_)) => format!("{table} {address} holds nothing that can be read"),
                };
                Some(Outcome::Failed(format!(
                    "written, and not confirmed within {:?}: {held}",
                    confirm.within
                )))
            }
        }
    }

    /// What an answer says; `None` is that the write must wait.
    fn verdict(
        &self,
        place: Place,
        point: &Point,
        register: &Register,
        result: &Result<Answer, ExchangeError>,
        waiting: &mut Waiting,
        judge: impl Fn(&Value) -> Verdict,
    ) -> Option<Outcome> {
        let raw = result.as_ref().ok()?.raw(register, 0)?;
        let verdict = judge(&raw);
        waiting.held = Some(raw.clone());
        match verdict {
            Verdict::Done => Some(Outcome::Confirmed),
            Verdict::Waits => None,
            Verdict::Refused(why) => Some(Outcome::Failed(format!("written, but the device refuses: {why}"))),
            Verdict::Compare => {
                let read_back = self.agreed(place, point, &raw, &waiting.job.setpoint)?;
                // Where a register follows that must say so, too, it is not done yet.
                let last = waiting.step + 1 >= point.rules.confirm.len();
                Some(if last { Outcome::Verified { read_back } } else { Outcome::Confirmed })
            }
        }
    }
}
