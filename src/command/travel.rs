//! Outputs on their way: a ramped output is brought to its target step by step, and whoever asked is told at the end.
//!
//! Absent: how far a step goes, which `model::ramp` computes, and when it is written, which the keeper decides.
//! Invariants: a command on its way ends in one outcome, also when somebody takes the output, lets go of it, or its device
//! falls silent; what is safe and what an interlock wants is never ramped, unless the point says so of its safe state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Managed;
use super::arbiter::Claim;
use crate::model::ramp::Stand;
use crate::model::{CommandId, ControlClass, Outcome, Ramp, Stage, Value, ValueKind};

/// After so many steps in a row that were not taken, a way ends where it is.
const MAX_FAILURES: u32 = 3;

/// How often whoever asked is told how far the output is.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Hears of the stages of a command.
pub(super) type Stages = Arc<dyn Fn(Stage) + Send + Sync>;

/// A command whose output is on its way.
pub(super) struct Travel {
    /// Where it goes.
    pub to: Value,
    /// Who asked.
    pub claim: Claim,
    pub stages: Stages,
    pub told: Instant,
    pub reply: oneshot::Sender<Outcome>,
}

/// A write towards a target.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// What is written.
    pub value: Value,
    /// Where the output is then, in exact numbers; `None` when that is the target.
    pub on_the_way: Option<f64>,
}

/// How far an output is on its way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RampStatus {
    /// Where it stands, in the point's unit.
    pub at: f64,
    /// How long the rest of the way takes at least.
    pub left: Duration,
}

impl Managed {
    /// The ramp that the present target is approached by.
    fn ramp(&self) -> Option<Ramp> {
        self.rules.ramp.filter(|ramp| match self.output.is_urgent() {
            true => ramp.also_safe && self.output.is_resting(),
            false => true,
        })
    }

    /// Where the output stands, and since when.
    fn stands(&self, ramp: &Ramp, now: Instant) -> Option<Stand> {
        let begin = || Stand {
            at: self.known.as_ref().and_then(Value::as_f64).unwrap_or(f64::NAN),
            since: back(now, ramp),
        };
        Some(self.heading().unwrap_or_else(begin)).filter(|stand| stand.at.is_finite())
    }

    /// What is written now so that the output comes to its target; `None` without a target, and before it is
    /// known where a ramp begins.
    pub(super) fn next_step(&self, now: Instant) -> Option<Step> {
        let target = self.output.target()?;
        match self.ramp() {
            // An alarm does not wait until somebody knows where the output stands.
            Some(ramp) => self.toward(&ramp, target, now).or_else(|| {
                let alarm = self.output.holder().is_some_and(|slot| slot.class == ControlClass::Alarm);
                alarm.then(|| whole(target))
            }),
            None => Some(whole(target)),
        }
    }

    /// The first step of a command.
    ///
    /// # Errors
    /// When nobody knows where the output stands.
    pub(super) fn first_step(&self, to: &Value, now: Instant) -> Result<Step, String> {
        let Some(ramp) = &self.rules.ramp else { return Ok(whole(to)) };
        self.toward(ramp, to, now)
            .ok_or_else(|| "it is not known yet where the output stands, which a ramp begins from".to_owned())
    }

    fn toward(&self, ramp: &Ramp, to: &Value, now: Instant) -> Option<Step> {
        let stand = self.stands(ramp, now)?;
        let end = to.as_f64()?;
        let next = ramp.step(stand, end, now);
        if next == end {
            return Some(whole(to));
        }
        // A whole number is rounded to where the output comes from, so that no step is too steep.
        let value = match to.kind() {
            ValueKind::Integer if end > stand.at => Value::Int(next.floor() as i64),
            ValueKind::Integer => Value::Int(next.ceil() as i64),
            _ => Value::Float(next),
        };
        Some(Step { value, on_the_way: Some(next) })
    }

    /// Where it stands on its way; with a write that has not ended, where that brings it: from there the next is no step
    /// too far, whether the device takes this one or not.
    fn heading(&self) -> Option<Stand> {
        self.flying.map(|(_, stand)| stand).or(self.stand)
    }

    /// A write is given to the line.
    pub(super) fn take_off(&mut self, id: CommandId, value: &Value, since: Instant) {
        if self.rules.ramp.is_some() {
            self.flying = value.as_f64().map(|at| (id, Stand { at, since }));
        }
    }

    /// A write has ended.
    pub(super) fn land(&mut self, id: CommandId) {
        self.flying = self.flying.filter(|(own, _)| *own != id);
    }

    /// The moment of the next step, where the output is on its way.
    pub(super) fn step_at(&self) -> Option<Instant> {
        Some(self.heading()?.since + self.ramp()?.every)
    }

    /// A device has taken a write that was given to it then.
    pub(super) fn stepped(&mut self, on_the_way: Option<f64>, since: Instant) {
        self.stand = on_the_way.map(|at| Stand { at, since });
    }

    /// Tells whoever asked how far the output is, now and then.
    pub(super) fn tell_travel(&mut self, now: Instant) {
        if let (Some(travel), Some(stand)) = (&mut self.travel, self.stand)
            && now.saturating_duration_since(travel.told) >= TOLD_EVERY
        {
            travel.told = now;
            (travel.stages)(Stage::Ramping { at: stand.at });
        }
    }

    /// Ends the way of a command, if one is under way. Says whether one was.
    pub(super) fn arrive(&mut self, outcome: Outcome) -> bool {
        let travel = self.travel.take();
        travel.map(|travel| travel.reply.send(outcome)).is_some()
    }

    /// Ends the way of a command whose target counts no more.
    pub(super) fn reconsider(&mut self) {
        if self.travel.as_ref().is_none_or(|travel| self.output.target() == Some(&travel.to)) {
            return;
        }
        let at = self.stand.map_or_else(String::new, |stand| format!(", at {:.6}", stand.at));
        let why = match self.output.holder() {
            _ if self.output.is_stopping() => format!("the gateway stops while the output is on its way{at}"),
            Some(slot) if matches!(slot.class, ControlClass::Interlock | ControlClass::Alarm) => {
                format!("{} `{}` has taken the output on its way{at}", slot.class, slot.owner)
            }
            Some(slot) => format!("{} has the output since{at}", slot.owner),
            None => format!("the output was let go of on its way{at}"),
        };
        self.arrive(Outcome::Failed(why));
    }

    /// A step was not taken. After a few in a row, the output is to stay where it is and whoever asked is told.
    pub(super) fn stumble(&mut self, failures: u32, outcome: &Outcome) {
        if failures < MAX_FAILURES || self.travel.is_none() {
            return;
        }
        let Some(travel) = self.travel.take() else { return };
        match self.stand {
            Some(stand) => {
                let at = match travel.to.kind() {
                    ValueKind::Integer => Value::Int(stand.at.round() as i64),
                    _ => Value::Float(stand.at),
                };
                self.output.settle(&travel.claim, at);
                let _ = travel
                    .reply
                    .send(Outcome::Failed(format!("stuck on its way, at {:.6}: {outcome}", stand.at)));
            }
            None => {
                self.output.forget();
                let _ = travel.reply.send(outcome.clone());
            }
        }
    }

    /// How far the output is on its way.
    pub(super) fn ramp_status(&self) -> Option<RampStatus> {
        let (ramp, stand) = (self.ramp()?, self.stand?);
        let to = self.output.target()?.as_f64()?;
        Some(RampStatus { at: stand.at, left: ramp.time(stand.at, to) })
    }
}

/// All at once.
fn whole(target: &Value) -> Step {
    Step { value: target.clone(), on_the_way: None }
}

/// One interval ago, so that the first step is made at once and no longer than any other.
fn back(now: Instant, ramp: &Ramp) -> Instant {
    now.checked_sub(ramp.every).unwrap_or(now)
}
