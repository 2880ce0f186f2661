//! The keeper: writes what outputs shall be, and tries again until the device has confirmed it.
//!
//! It serves safe states and alarm actions, which nobody waits for with a ticket. Invariant: of several
//! changes to one output only the newest is ever retried, and a retry writes the target of that moment. A
//! command that is under way is not overruled by a retry; only those who hold the output and the stop do that.
//! It gives the sign of life by which watchdogs of devices are fed. What ends by itself, a pulse or a hold, ends here: the keeper wakes for it and writes the next in line.

use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::oneshot;

use super::arbiter::end_of;
use super::give::{ended, learn};
use super::travel::Step;
use super::{Commander, DEFAULT_DEADLINE, Managed};
use crate::driver::heartbeat::BEAT;
use crate::model::{CommandRequest, ControlClass, Outcome};

/// The pause between attempts at an output whose device does not take the write.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The most attempts that wait for one channel at a time: the queue keeps room for operators, and an attempt
/// does not wait out its deadline behind others.
const MAX_ATTEMPTS: u32 = 32;

/// Whether an output still has to be written, and which change it is about.
#[derive(Debug, Clone)]
pub(super) struct Upkeep {
    due: bool,
    /// Not before this moment.
    after: Option<Instant>,
    /// Counts changes, so that the outcome of an older one is told apart.
    generation: u64,
    /// The generation that is being written now.
    writing: Option<u64>,
    /// Attempts that have not ended, also those at older changes.
    attempts: u32,
    /// Attempts that failed since the last change: the first is logged loudly, the rest quietly.
    failures: u32,
    /// Whether somebody wants a change, which has to wait for the output's own pause.
    paced: bool,
}

impl Upkeep {
    pub(super) fn new(due: bool) -> Self {
        Self { due, after: None, generation: 0, writing: None, attempts: 0, failures: 0, paced: false }
    }

    /// The target has changed.
    pub(super) fn renew(&mut self, due: bool) {
        *self = Self { generation: self.generation + 1, attempts: self.attempts, ..Self::new(due) };
    }

    /// The target has changed because somebody wants it to.
    pub(super) fn follow(&mut self, due: bool) {
        self.renew(due);
        self.paced = true;
    }

    /// The output no longer stands as it shall: it is written again, but not without end in a row.
    pub(super) fn lapse(&mut self, now: Instant) {
        self.renew(true);
        self.after = Some(now + RETRY_PAUSE);
    }

    /// An operator's setpoint stands and is the target. An attempt of before may still follow it.
    pub(super) fn settled(&mut self) {
        if self.attempts == 0 { self.done() } else { self.renew(true) }
    }

    /// The output stands as it shall.
    fn done(&mut self) {
        self.due = false;
        self.failures = 0;
    }

    pub(super) fn is_due(&self) -> bool {
        self.due
    }

    fn ready(&self, now: Instant) -> bool {
        self.due && self.writing.is_none() && self.after.is_none_or(|after| after <= now)
    }
}

impl Managed {
    fn ready(&self, now: Instant) -> bool {
        self.upkeep.ready(now)
            && (self.commands == 0 || self.overrules_commands())
            && self.waits_until().is_none_or(|until| until <= now)
            && self.step_at().is_none_or(|moment| moment <= now)
    }

    /// Whether what is due is written although a command is under way, whose place it takes. A further step is not: the
    /// command may turn the output.
    fn overrules_commands(&self) -> bool {
        self.output.overrules_commands() && self.step_at().is_none()
    }

    /// Until when the output's own pause keeps it from being changed. What is safe does not wait, and neither does what
    /// the device has not taken or has forgotten.
    fn waits_until(&self) -> Option<Instant> {
        let urgent = self.output.urgency() == ControlClass::Interlock;
        let again = !self.upkeep.paced || self.upkeep.failures > 0;
        self.free_at().filter(|_| !urgent && !again)
    }
}

/// A write that is under way.
struct Write {
    request: CommandRequest,
    generation: u64,
    step: Step,
    written: oneshot::Receiver<Outcome>,
}

struct Attempt {
    request: CommandRequest,
    generation: u64,
    step: Step,
    outcome: Outcome,
}

/// Writes due outputs for ever.
pub(super) async fn keep(commander: &Commander) {
    let mut under_way = FuturesUnordered::new();
    loop {
        for Write { request, generation, step, written } in take_ready(commander) {
            under_way.push(async move {
                let outcome = ended(written).await;
                Attempt { request, generation, step, outcome }
            });
        }
        let now = commander.inner.clock.mono();
        // Only here: whoever hears it knows that outputs are looked after.
        for queue in &commander.inner.distinct {
            queue.heartbeat.beat(now);
        }
        let beat = now + BEAT;
        let next = next_attempt(commander, now).map_or(beat, |next| next.min(beat));
        tokio::select! {
            () = commander.inner.changed.notified() => {}
            Some(attempt) = under_way.next(), if !under_way.is_empty() => {
                conclude(commander, attempt);
                // What else has ended counts before the outputs are looked through again.
                while let Some(Some(attempt)) = under_way.next().now_or_never() {
                    conclude(commander, attempt);
                }
            }
            () = tokio::time::sleep_until(next.into()) => {}
        }
    }
}

fn take_ready(commander: &Commander) -> Vec<Write> {
    let given = commander.inner.clock.stamp();
    let now = given.mono;
    let mut outputs = commander.outputs();
    let mut waiting = vec![0; commander.inner.channels];
    for managed in outputs.iter() {
        waiting[managed.channel] += managed.upkeep.attempts;
    }
    let mut ready = Vec::new();
    for managed in outputs.iter_mut() {
        managed.advance(now);
        if waiting[managed.channel] >= MAX_ATTEMPTS || !managed.ready(now) {
            continue;
        }
        let Some(step) = managed.next_step(now) else { continue };
        let setpoint = step.value.clone();
        waiting[managed.channel] += 1;
        let generation = managed.upkeep.generation;
        managed.upkeep.writing = Some(generation);
        managed.upkeep.attempts += 1;
        let (id, origin, deadline) = (commander.next_id(), managed.output.origin(), now + DEFAULT_DEADLINE);
        let (point, old) = (managed.point, managed.known.clone());
        let request = CommandRequest { id, point, setpoint, origin, deadline, given, old };
        let claim = managed.output.claim();
        let written = commander.push(managed, &request, claim, None);
        ready.push(Write { request, generation, step, written });
    }
    ready
}

/// The earliest moment after `now` at which a failed output may be tried again, or something ends by itself. One whose
/// moment has come waits for room in its channel's queue, which the end of another attempt makes.
fn next_attempt(commander: &Commander, now: Instant) -> Option<Instant> {
    let outputs = commander.outputs();
    let waits = |managed: &&Managed| match &managed.upkeep {
        // A command under way wakes the keeper when it ends.
        _ if managed.commands > 0 && !managed.overrules_commands() => false,
        upkeep => upkeep.due && upkeep.writing.is_none(),
    };
    let tries = outputs
        .iter()
        .filter(waits)
        .filter_map(|managed| managed.upkeep.after.max(managed.waits_until()).max(managed.step_at()));
    let ends = outputs.iter().filter_map(|managed| managed.output.next_end());
    tries.chain(ends).filter(|moment| *moment > now).min()
}

fn conclude(commander: &Commander, attempt: Attempt) {
    let now = commander.inner.clock.mono();
    let Some(place) = commander.place(attempt.request.point) else { return };
    let mut outputs = commander.outputs();
    let Ended { loud, stands } = outputs[place].end_attempt(&attempt, now);
    drop(outputs);
    commander.inner.settled.notify_waiters();
    if stands {
        let CommandRequest { point, origin, .. } = &attempt.request;
        commander.inner.confirmations.tell(*point, origin, now);
    }
    if loud {
        commander.record(attempt.request, &attempt.outcome);
    }
}

/// What others are to know of an attempt that has ended.
struct Ended {
    /// It is to be recorded.
    loud: bool,
    /// The output stands as it shall.
    stands: bool,
}

impl Managed {
    /// What follows for the output from the end of an attempt.
    fn end_attempt(&mut self, attempt: &Attempt, now: Instant) -> Ended {
        let quiet = Ended { loud: false, stands: false };
        let Attempt { request, generation, step, outcome } = attempt;
        learn(&mut self.known, &request.setpoint, outcome);
        self.upkeep.attempts -= 1;
        self.land(request.id);
        if self.upkeep.writing == Some(*generation) {
            self.upkeep.writing = None;
        }
        if outcome.succeeded() {
            self.output.begin();
            self.stepped(step.on_the_way, request.given.mono);
        }
        if self.upkeep.generation != *generation {
            return Ended { loud: true, stands: false };
        }
        if *outcome == Outcome::Superseded && self.step_at().is_some() {
            // By a command that turns the output.
            return quiet;
        }
        if !outcome.succeeded() {
            self.upkeep.after = Some(now + RETRY_PAUSE);
            self.upkeep.failures += 1;
            let failures = self.upkeep.failures;
            self.stumble(failures, outcome);
            return Ended { loud: failures == 1, stands: false };
        }
        if step.on_the_way.is_some() {
            // Steps are no news; the way as a whole is recorded at its end.
            self.upkeep.failures = 0;
            self.tell_travel(now);
            return quiet;
        }
        self.upkeep.done();
        if let Some(pulse) = self.rules.pulse {
            self.output.limit_alarm(end_of(now, pulse));
        }
        // Whoever asked records it in their own name.
        let asked = self.arrive(outcome.clone());
        Ended { loud: !asked, stands: true }
    }
}
