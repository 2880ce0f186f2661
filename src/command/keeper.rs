//! The keeper: writes what outputs shall be, and tries again until the device has confirmed it.
//!
//! It serves safe states and alarm actions, which nobody waits for with a ticket. Invariant: of several
//! changes to one output only the newest is ever retried, and a retry writes the target of that moment.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::{Commander, DEFAULT_DEADLINE, Managed};
use crate::model::{CommandRequest, Outcome};

/// The pause between attempts at an output whose device does not take the write.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(1);

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
    /// Attempts that failed since the last change: the first is logged loudly, the rest quietly.
    failures: u32,
}

impl Upkeep {
    pub(super) fn new(due: bool) -> Self {
        Self { due, after: None, generation: 0, writing: None, failures: 0 }
    }

    /// The target has changed.
    pub(super) fn renew(&mut self, due: bool) {
        *self = Self { due, generation: self.generation + 1, ..Self::new(due) };
    }

    /// The output stands as it shall.
    pub(super) fn done(&mut self) {
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

struct Attempt {
    request: CommandRequest,
    generation: u64,
    outcome: Outcome,
}

/// Writes due outputs for ever.
pub(super) async fn keep(commander: &Commander) {
    let mut under_way = FuturesUnordered::new();
    loop {
        for (request, generation) in take_ready(commander) {
            under_way.push(async move {
                let outcome = commander.write(&request).await;
                Attempt { request, generation, outcome }
            });
        }
        let next = next_attempt(commander);
        tokio::select! {
            () = commander.inner.changed.notified() => {}
            Some(attempt) = under_way.next(), if !under_way.is_empty() => conclude(commander, &attempt),
            () = sleep_until(next), if next.is_some() => {}
        }
    }
}

async fn sleep_until(moment: Option<Instant>) {
    if let Some(moment) = moment {
        tokio::time::sleep_until(moment.into()).await;
    }
}

fn take_ready(commander: &Commander) -> Vec<(CommandRequest, u64)> {
    let now = commander.inner.clock.mono();
    let mut outputs = commander.outputs();
    let mut ready = Vec::new();
    for Managed { point, output, upkeep } in outputs.iter_mut() {
        if !upkeep.ready(now) {
            continue;
        }
        let Some(target) = output.target().cloned() else { continue };
        upkeep.writing = Some(upkeep.generation);
        let origin = output.origin();
        let id = commander.next_id();
        ready.push((
            CommandRequest { id, point: *point, setpoint: target, origin, deadline: now + DEFAULT_DEADLINE },
            upkeep.generation,
        ));
    }
    ready
}

/// The earliest moment at which a failed output may be tried again.
fn next_attempt(commander: &Commander) -> Option<Instant> {
    let outputs = commander.outputs();
    let waiting = outputs.iter().map(|managed| &managed.upkeep).filter(|u| u.due && u.writing.is_none());
    waiting.filter_map(|upkeep| upkeep.after).min()
}

fn conclude(commander: &Commander, attempt: &Attempt) {
    let now = commander.inner.clock.mono();
    let Some(place) = commander.place(attempt.request.point) else { return };
    let mut outputs = commander.outputs();
    let upkeep = &mut outputs[place].upkeep;
    if upkeep.writing == Some(attempt.generation) {
        upkeep.writing = None;
    }
    let current = upkeep.generation == attempt.generation;
    let mut loud = true;
    if current && attempt.outcome.succeeded() {
        upkeep.done();
    } else if current {
        upkeep.after = Some(now + RETRY_PAUSE);
        upkeep.failures += 1;
        loud = upkeep.failures == 1;
    }
    drop(outputs);
    commander.inner.settled.notify_waiters();
    if loud {
        commander.audit(&attempt.request, &attempt.outcome);
    }
}
