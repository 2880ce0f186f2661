//! Commands of people and programs: checked, put into their channel's queue, seen through to their end.
//!
//! Absent: what alarms and interlocks do (`hold`), and writes that nobody waits for (`keeper`). Invariants: a command
//! ends in exactly one outcome, which is told and recorded; nothing is held or set by a command that has not
//! been written.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::arbiter::{self, Claim, Slot};
use super::{Commander, Managed, setpoint};
use crate::driver::{Reply, WriteJob};
use crate::model::{CommandId, CommandRequest, ControlClass, Origin, Outcome, PointId, Stage, Stamp, Value};

/// What somebody asks of an output.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Which output.
    pub point: PointId,
    /// What it shall become; not yet of the point's kind.
    pub setpoint: Value,
    /// Who asks.
    pub origin: Origin,
    /// After this moment nothing goes to the wire any more.
    pub deadline: Instant,
    /// For how long it is to be held, from the moment on at which it is written; without it, it is merely set.
    pub lasts: Option<Duration>,
}

/// What a sender holds while its command is under way.
#[derive(Debug)]
pub struct Ticket {
    /// Names the command in logs and answers.
    pub id: CommandId,
    outcome: oneshot::Receiver<Outcome>,
}

impl Ticket {
    /// Waits for the outcome.
    pub async fn outcome(self) -> Outcome {
        self.outcome.await.unwrap_or_else(|_| Outcome::Failed("the gateway has stopped".into()))
    }
}

/// A command that has passed.
struct Passed {
    setpoint: Value,
    claim: Claim,
    lasts: Option<Duration>,
}

impl Commander {
    /// Gives a command that sets an output and does not hold it. See [`Self::give`].
    #[must_use]
    pub fn submit(&self, point: PointId, setpoint: Value, origin: Origin, deadline: Instant) -> Ticket {
        self.give(Command { point, setpoint, origin, deadline, lasts: None }, |_| {})
    }

    /// Gives a command. It returns at once; the ticket tells what became of it, and `stages` how far it has come
    /// meanwhile, in line and while locks are held: it must not block, nor ask the commander.
    /// Must be called inside a runtime.
    #[must_use]
    pub fn give(&self, command: Command, stages: impl Fn(Stage) + Send + Sync + 'static) -> Ticket {
        let (reply, outcome) = oneshot::channel();
        let mut outputs = self.outputs();
        let (id, given) = (self.next_id(), self.inner.clock.stamp());
        let Command { point, origin, deadline, .. } = command.clone();
        let old = self.place(point).and_then(|place| outputs[place].known.clone());
        match self.pass(&mut outputs, &command, given) {
            Ok((passed, managed)) => {
                managed.commands += 1;
                let setpoint = passed.setpoint.clone();
                let request = CommandRequest { id, point, setpoint, origin, deadline, given, old };
                stages(Stage::Accepted);
                let written = self.push(managed, &request, passed.claim.clone(), Some(Box::new(stages)));
                drop(outputs);
                tokio::spawn(self.clone().see_through(request, passed, written, reply));
            }
            Err(reason) => {
                drop(outputs);
                let setpoint = command.setpoint;
                let outcome = Outcome::Rejected(reason);
                self.record(CommandRequest { id, point, setpoint, origin, deadline, given, old }, &outcome);
                self.tell(reply, outcome);
            }
        }
        Ticket { id, outcome }
    }

    /// Records something that was sent as a command and is none; nothing else becomes of it.
    pub fn refuse(&self, point: PointId, sent: Value, origin: Origin, reason: &str) -> CommandId {
        let (id, given) = (self.next_id(), self.inner.clock.stamp());
        let deadline = given.mono;
        let request = CommandRequest { id, point, setpoint: sent, origin, deadline, given, old: None };
        self.record(request, &Outcome::Rejected(reason.to_owned()));
        id
    }

    fn pass<'a>(
        &self,
        outputs: &'a mut [Managed],
        command: &Command,
        given: Stamp,
    ) -> Result<(Passed, &'a mut Managed), String> {
        let now = given.mono;
        if command.point.index() >= self.inner.points.len() {
            return Err("no such point".into());
        }
        let point = self.inner.points.get(command.point);
        let setpoint = setpoint::check(point, command.setpoint.clone())?;
        let managed = self.place(command.point).map(|place| &mut outputs[place]).ok_or("it is no output")?;
        managed.advance(now);
        let longest = self.inner.longest_hold;
        if command.lasts.is_some_and(|lasts| lasts.is_zero() || lasts > longest) {
            return Err(format!(
                "an output can be held for more than 0 s and at most {} s",
                longest.as_secs()
            ));
        }
        // A pulse ends by itself, however long it was asked for.
        let pulse = managed.rules.pulse.filter(|_| point.safe.as_ref() != Some(&setpoint));
        let lasts = match (pulse, command.lasts) {
            (Some(pulse), Some(asked)) => Some(pulse.min(asked)),
            (pulse, asked) => pulse.or(asked),
        };
        let class = self.class_of(&command.origin);
        let claim = Claim { class, owner: command.origin.to_string().into(), holds: lasts.is_some() };
        if command.origin != Origin::Gateway {
            managed.output.admit(&claim, now)?;
        }
        if let Some(free) = managed.free_at().filter(|free| now < *free) {
            let left = (free - now).as_secs_f64();
            return Err(format!("the output takes a command only so often; again in {left:.1} s"));
        }
        Ok((Passed { setpoint, claim, lasts }, managed))
    }

    /// Waits for the end of a command that is in its channel's queue.
    async fn see_through(
        self,
        request: CommandRequest,
        passed: Passed,
        written: oneshot::Receiver<Outcome>,
        reply: oneshot::Sender<Outcome>,
    ) {
        let outcome = ended(written).await;
        if let Some(place) = self.place(request.point) {
            let now = self.inner.clock.mono();
            self.outputs()[place].conclude(&request, passed, &outcome, now);
        }
        self.inner.changed.notify_one();
        self.record(request, &outcome);
        self.tell(reply, outcome);
    }

    /// Puts a write into its channel's queue; to be called while the outputs are locked.
    pub(super) fn push(
        &self,
        managed: &mut Managed,
        request: &CommandRequest,
        claim: Claim,
        stages: Option<Box<dyn Fn(Stage) + Send + Sync>>,
    ) -> oneshot::Receiver<Outcome> {
        let (reply, outcome) = oneshot::channel();
        managed.written = Some(request.given.mono);
        let lane = match stages {
            Some(_) => self.inner.order.rank(claim.class),
            None => self.inner.order.rank(managed.output.urgency()),
        };
        managed.waiting = Some(claim);
        let reply = match stages {
            Some(stages) => Reply::with_stages(reply, stages),
            None => reply.into(),
        };
        let (id, point, deadline) = (request.id, request.point, request.deadline);
        let job = WriteJob { id, point, setpoint: request.setpoint.clone(), deadline, reply };
        self.inner.queues[point.index()].push_in(lane, job);
        outcome
    }
}

impl Managed {
    /// What follows for the output from the end of a command.
    fn conclude(&mut self, request: &CommandRequest, passed: Passed, outcome: &Outcome, now: Instant) {
        self.commands -= 1;
        self.advance(now);
        learn(&mut self.known, &request.setpoint, outcome);
        if !outcome.succeeded() {
            // Whether the device has taken it is not known: what must not stay is written over.
            let touched = matches!(outcome, Outcome::Failed(_) | Outcome::Mismatch { .. });
            if touched && passed.lasts.is_some() {
                self.upkeep.renew(self.output.target().is_some());
            }
            return;
        }
        // What an interlock stands against now is not to begin again by itself when it lets go.
        let interlocked = self.output.holder().is_some_and(|slot| slot.class == ControlClass::Interlock);
        if request.id <= self.settled || interlocked {
            return;
        }
        self.settled = request.id;
        let Passed { setpoint, claim, lasts } = passed;
        match lasts {
            None => self.output.settle(&claim, setpoint),
            Some(lasts) => {
                let Claim { class, owner, .. } = claim;
                let until = Some(arbiter::end_of(now, lasts));
                let (priority, value) = (arbiter::USUAL_PRIORITY, Some(setpoint));
                self.output.hold(Slot { class, priority, owner, value, until, reason: None });
            }
        }
        // An alarm may have taken the output meanwhile; then its own write is still due.
        if self.output.target() == Some(&request.setpoint) {
            self.upkeep.settled();
        }
    }
}

/// An output that cannot be read is known by what its device confirmed last.
pub(super) fn learn(known: &mut Option<Value>, setpoint: &Value, outcome: &Outcome) {
    if *outcome == Outcome::Confirmed {
        *known = Some(setpoint.clone());
    }
}

/// What became of a write that was put into a queue.
pub(super) async fn ended(written: oneshot::Receiver<Outcome>) -> Outcome {
    written.await.unwrap_or_else(|_| Outcome::Failed("the channel has stopped".into()))
}
