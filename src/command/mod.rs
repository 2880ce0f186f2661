//! The one way to an output: every command, from whomever, passes the arbiter here.
//!
//! [`Commander::submit`] checks an operator's request and puts it into its channel's queue; the outcome
//! comes back through the [`Ticket`]. [`Commander::hold`] and [`Commander::release`] are for alarms: they
//! change what an output shall be, and the keeper sees to it until the device has confirmed it.
//! Every command leaves one record, in the log under the target `audit` and with the listener of
//! [`Commander::on_record`]. Nothing else reaches a queue.

pub mod arbiter;
mod keeper;
mod record;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use crate::bus::Observer;
use crate::clock::Clock;
use crate::driver::{WriteJob, WriteQueue};
use crate::model::{CommandId, CommandRequest, Origin, Outcome, PointId, PointTable, Reading, Value};
use arbiter::Output;
use keeper::Upkeep;
pub use record::Listener;
use record::Recorder;

/// The deadline of a command whose sender named none.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

/// The longest deadline that a sender may ask for: a setpoint older than this is no command any more.
pub const MAX_DEADLINE: Duration = Duration::from_secs(300);

/// The handle through which commands are given. Cheap to clone.
#[derive(Clone)]
pub struct Commander {
    inner: Arc<Inner>,
}

struct Inner {
    points: Arc<PointTable>,
    /// The queue of each point's channel, by point.
    queues: Vec<Arc<WriteQueue>>,
    /// The writable points, in the order of the table. Whoever decides on an output puts the write into its
    /// queue before letting go of this lock, so that writes leave in the order of the decisions.
    outputs: Mutex<Vec<Managed>>,
    /// Where a point stands in `outputs`, by point.
    places: Vec<Option<usize>>,
    /// How many queues there are with outputs.
    channels: usize,
    next_id: AtomicU64,
    clock: Clock,
    changed: Notify,
    settled: Notify,
    recorder: Recorder,
}

/// A writable point with all that is known of its control.
struct Managed {
    point: PointId,
    /// Which of the queues, counted from 0.
    channel: usize,
    output: Output,
    upkeep: Upkeep,
    /// Operators' commands that have not ended.
    commands: u32,
    /// The command whose setpoint was settled last.
    settled: CommandId,
    /// What it is known to be: the last good reading, or the last setpoint that was confirmed.
    known: Option<Value>,
}

/// What a sender holds while its command is under way.
#[derive(Debug)]
pub struct Ticket {
    /// Names the command in logs and answers.
    pub id: CommandId,
    outcome: oneshot::Receiver<Outcome>,
}

impl Commander {
    /// A commander over these points; `queues` holds each point's channel queue, in the order of the table.
    /// Outputs with a safe state are to take it as soon as [`Self::run`] runs.
    #[must_use]
    pub fn new(points: Arc<PointTable>, queues: Vec<Arc<WriteQueue>>, clock: Clock) -> Self {
        debug_assert_eq!(points.len(), queues.len());
        let mut outputs = Vec::new();
        let mut places = vec![None; points.len()];
        let mut channels = HashMap::new();
        for point in points.iter().filter(|point| point.access.writable()) {
            places[point.id.index()] = Some(outputs.len());
            let next = channels.len();
            outputs.push(Managed {
                point: point.id,
                channel: *channels.entry(Arc::as_ptr(&queues[point.id.index()])).or_insert(next),
                output: Output::new(point.safe.clone()),
                upkeep: Upkeep::new(point.safe.is_some()),
                commands: 0,
                settled: CommandId(0),
                known: None,
            });
        }
        let channels = channels.len();
        Self {
            inner: Arc::new(Inner {
                points,
                queues,
                outputs: Mutex::new(outputs),
                places,
                channels,
                next_id: AtomicU64::new(1),
                clock,
                changed: Notify::new(),
                settled: Notify::new(),
                recorder: Recorder::default(),
            }),
        }
    }

    /// The points that commands can name.
    #[must_use]
    pub fn points(&self) -> &Arc<PointTable> {
        &self.inner.points
    }

    /// Gives an operator's command. It returns at once; the ticket tells what became of it.
    /// Must be called inside a runtime.
    #[must_use]
    pub fn submit(&self, point: PointId, setpoint: Value, origin: Origin, deadline: Instant) -> Ticket {
        let (reply, outcome) = oneshot::channel();
        let mut outputs = self.outputs();
        let (id, given) = (self.next_id(), self.inner.clock.stamp());
        let old = self.place(point).and_then(|place| outputs[place].known.clone());
        match self.admit(&mut outputs, point, setpoint.clone(), &origin) {
            Ok((setpoint, managed)) => {
                managed.commands += 1;
                let request = CommandRequest { id, point, setpoint, origin, deadline, given, old };
                let written = self.push(&request);
                drop(outputs);
                tokio::spawn(self.clone().see_through(request, written, reply));
            }
            Err(reason) => {
                drop(outputs);
                let outcome = Outcome::Rejected(reason);
                let request = CommandRequest { id, point, setpoint, origin, deadline, given, old };
                self.record(request, &outcome);
                let _ = reply.send(outcome);
            }
        }
        Ticket { id, outcome }
    }

    /// An alarm takes an output; it is kept at `value` until [`Self::release`].
    pub fn hold(&self, point: PointId, alarm: &Arc<str>, value: Value) {
        self.change(point, |output| output.hold(alarm, value));
    }

    /// An alarm lets go of an output, which goes to the next in line.
    pub fn release(&self, point: PointId, alarm: &str) {
        self.change(point, |output| output.release(alarm));
    }

    /// Who holds the output against operators, if anyone.
    #[must_use]
    pub fn holder(&self, point: PointId) -> Option<Arc<str>> {
        let outputs = self.outputs();
        outputs[self.place(point)?].output.holder().cloned()
    }

    /// Keeps outputs at what they shall be. Runs until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        tokio::select! {
            () = keeper::keep(self) => {}
            () = shutdown.cancelled() => {}
        }
    }

    /// Refuses commands from now on and brings every output into its safe state; waits for that at most
    /// `patience`. Returns the names of the outputs that could not be brought there.
    pub async fn stop(&self, patience: Duration) -> Vec<Arc<str>> {
        for managed in self.outputs().iter_mut() {
            managed.output.stop();
            managed.upkeep.renew(managed.output.target().is_some());
        }
        self.inner.changed.notify_one();
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let settled = self.inner.settled.notified();
            let open = self.unsettled();
            if open.is_empty() || tokio::time::timeout_at(deadline, settled).await.is_err() {
                return open;
            }
        }
    }

    fn unsettled(&self) -> Vec<Arc<str>> {
        let outputs = self.outputs();
        let open = outputs.iter().filter(|managed| managed.upkeep.is_due());
        open.map(|managed| Arc::clone(&self.inner.points.get(managed.point).name)).collect()
    }

    fn next_id(&self) -> CommandId {
        CommandId(self.inner.next_id.fetch_add(1, Ordering::Relaxed))
    }

    fn outputs(&self) -> MutexGuard<'_, Vec<Managed>> {
        self.inner.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a writable point stands among the outputs.
    fn place(&self, point: PointId) -> Option<usize> {
        self.inner.places.get(point.index()).copied().flatten()
    }

    fn change(&self, point: PointId, change: impl FnOnce(&mut Output)) {
        let Some(place) = self.place(point) else { return };
        let mut outputs = self.outputs();
        let managed = &mut outputs[place];
        change(&mut managed.output);
        managed.upkeep.renew(managed.output.target().is_some());
        drop(outputs);
        self.inner.changed.notify_one();
    }

    fn admit<'a>(
        &self,
        outputs: &'a mut [Managed],
        point: PointId,
        setpoint: Value,
        origin: &Origin,
    ) -> Result<(Value, &'a mut Managed), String> {
        if point.index() >= self.inner.points.len() {
            return Err("no such point".into());
        }
        let value = arbiter::check(self.inner.points.get(point), setpoint)?;
        let managed = self.place(point).map(|place| &mut outputs[place]).ok_or("it is no output")?;
        managed.output.admit(origin)?;
        Ok((value, managed))
    }

    /// Waits for the end of a command that is in its channel's queue.
    async fn see_through(
        self,
        request: CommandRequest,
        written: oneshot::Receiver<Outcome>,
        reply: oneshot::Sender<Outcome>,
    ) {
        let outcome = ended(written).await;
        if let Some(place) = self.place(request.point) {
            let Managed { output, upkeep, commands, settled, known, .. } = &mut self.outputs()[place];
            *commands -= 1;
            learn(known, &request.setpoint, &outcome);
            if outcome.succeeded() && request.id > *settled {
                *settled = request.id;
                output.settle(request.setpoint.clone());
                // An alarm may have taken the output meanwhile; then its own write is still due.
                if output.target() == Some(&request.setpoint) {
                    upkeep.settled();
                }
            }
        }
        self.inner.changed.notify_one();
        self.record(request, &outcome);
        let _ = reply.send(outcome);
    }

    /// Puts a write into its channel's queue; to be called while the outputs are locked.
    fn push(&self, request: &CommandRequest) -> oneshot::Receiver<Outcome> {
        let (reply, outcome) = oneshot::channel();
        self.inner.queues[request.point.index()].push(WriteJob {
            id: request.id,
            point: request.point,
            setpoint: request.setpoint.clone(),
            deadline: request.deadline,
            reply,
        });
        outcome
    }
}

/// Sees to it that an output stays as an alarm or the stop wants it, also when its device loses power and
/// comes back with its contacts open. What operators have set is not repeated: someone may stand beside it.
impl Observer for Commander {
    fn observe(&self, readings: &[Reading]) {
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
            if differs && output.overrules_operators() && !upkeep.is_due() {
                upkeep.lapse(reading.at.mono);
                lapsed = true;
            }
        }
        if lapsed {
            self.inner.changed.notify_one();
        }
    }
}

/// An output that cannot be read is known by what its device confirmed last.
fn learn(known: &mut Option<Value>, setpoint: &Value, outcome: &Outcome) {
    if *outcome == Outcome::Confirmed {
        *known = Some(setpoint.clone());
    }
}

/// What became of a write that was put into a queue.
async fn ended(written: oneshot::Receiver<Outcome>) -> Outcome {
    written.await.unwrap_or_else(|_| Outcome::Failed("the channel has stopped".into()))
}

impl Ticket {
    /// Waits for the outcome.
    pub async fn outcome(self) -> Outcome {
        self.outcome.await.unwrap_or_else(|_| Outcome::Failed("the gateway has stopped".into()))
    }
}

#[cfg(test)]
mod tests;
