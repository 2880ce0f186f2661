//! The one way to an output: every command, from whomever, passes the arbiter here.
//!
//! [`Commander::give`] checks what people and programs ask for and puts it into its channel's queue; the outcome
//! comes back through the [`Ticket`]. [`Commander::hold`] and [`Commander::release`] are for alarms: they
//! change what an output shall be, and the keeper sees to it until the device has confirmed it. Interlocks
//! follow the readings of the bus and hold outputs like alarms, above everybody.
//! Every command leaves one record, in the log under the target `audit` and with the listener of
//! [`Commander::on_record`]. Nothing else reaches a queue.

pub mod arbiter;
pub mod config;
mod give;
mod hold;
pub mod interlock;
mod keeper;
mod record;
pub mod setpoint;
pub mod status;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::driver::WriteQueue;
use crate::model::{CommandId, ControlClass, ControlOrder, Origin, OutputRules, PointId, PointTable, Value};
use arbiter::{Claim, Output};
pub use give::{Command, Ticket};
use hold::Confirmations;
pub use hold::Stands;
use interlock::Interlocks;
pub use interlock::{Interlock, Sense};
use keeper::Upkeep;
use record::Recorder;
pub use record::{Kept, Listener, Release, ReleaseListener};

/// The deadline of a command whose sender named none.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

/// The longest deadline that a sender may ask for: a setpoint older than this is no command any more.
pub const MAX_DEADLINE: Duration = Duration::from_secs(300);

/// For how long an output may be held by one command where nothing is configured.
pub const DEFAULT_LONGEST_HOLD: Duration = Duration::from_secs(8 * 3600);

/// What is configured of control as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Control {
    /// Who counts more than whom.
    pub order: ControlOrder,
    /// The MQTT clients that are programs of the plant, by client identifier.
    pub automatic: BTreeSet<Arc<str>>,
    /// For how long a command may hold an output.
    pub longest_hold: Duration,
    /// Conditions that forbid or force outputs.
    pub interlocks: Vec<Interlock>,
}

impl Default for Control {
    fn default() -> Self {
        let (order, automatic) = (ControlOrder::default(), BTreeSet::new());
        Self { order, automatic, longest_hold: DEFAULT_LONGEST_HOLD, interlocks: Vec::new() }
    }
}

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
    /// Locked before `outputs` where both are, so that trips reach outputs in the order of the readings.
    interlocks: Mutex<Interlocks>,
    /// Whether an interlock looks at the point, by point.
    watched: Vec<bool>,
    order: ControlOrder,
    automatic: BTreeSet<Arc<str>>,
    longest_hold: Duration,
    /// Where a point stands in `outputs`, by point.
    places: Vec<Option<usize>>,
    /// How many queues there are with outputs.
    channels: usize,
    next_id: AtomicU64,
    clock: Clock,
    changed: Notify,
    settled: Notify,
    recorder: Recorder,
    confirmations: Confirmations,
}

/// A writable point with all that is known of its control.
struct Managed {
    point: PointId,
    /// Which of the queues, counted from 0.
    channel: usize,
    output: Output,
    rules: OutputRules,
    upkeep: Upkeep,
    /// Commands that have not ended.
    commands: u32,
    /// The command whose setpoint was settled last.
    settled: CommandId,
    /// What it is known to be: the last good reading, or the last setpoint that was confirmed.
    known: Option<Value>,
    /// When a write was put into the queue last.
    written: Option<Instant>,
    /// In whose right the write was put there that may still wait.
    waiting: Option<Claim>,
    /// Whether its device is away.
    away: bool,
}

impl Managed {
    /// The moment before which `rules` let nothing be written; interlocks do not wait for it.
    fn free_at(&self) -> Option<Instant> {
        let pause = self.rules.pause?;
        self.written.map(|written| arbiter::end_of(written, pause))
    }

    /// Ends what has ended by now; the next in line is written then.
    fn advance(&mut self, now: Instant) {
        self.alter(|output| {
            output.advance(now);
        });
    }

    /// Changes the output. Where somebody else holds it then, or it shall be something else, it is to be written.
    fn alter(&mut self, change: impl FnOnce(&mut Output)) {
        let state = |output: &Output| {
            let holder = output.holder().map(|slot| (slot.class, Arc::clone(&slot.owner)));
            (output.target().cloned(), holder, output.is_stopping())
        };
        let before = state(&self.output);
        change(&mut self.output);
        if state(&self.output) != before {
            self.upkeep.follow(self.output.target().is_some());
        }
    }
}

impl Commander {
    /// A commander over these points; `queues` holds each point's channel queue, in the order of the table.
    /// Outputs with a safe state are to take it as soon as [`Self::run`] runs.
    #[must_use]
    pub fn new(points: Arc<PointTable>, queues: Vec<Arc<WriteQueue>>, clock: Clock) -> Self {
        Self::with_control(points, queues, clock, Control::default())
    }

    /// The same with what is configured of control. Interlocks stand against their outputs until their inputs are read.
    #[must_use]
    pub fn with_control(
        points: Arc<PointTable>,
        queues: Vec<Arc<WriteQueue>>,
        clock: Clock,
        control: Control,
    ) -> Self {
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
                output: Output::new(point.safe.clone(), control.order),
                rules: point.output,
                upkeep: Upkeep::new(point.safe.is_some()),
                commands: 0,
                settled: CommandId(0),
                known: None,
                written: None,
                waiting: None,
                away: false,
            });
        }
        let channels = channels.len();
        let mut watched = vec![false; points.len()];
        for input in control.interlocks.iter().flat_map(|rule| &rule.inputs) {
            watched[input.index()] = true;
        }
        let interlocks = Interlocks::new(control.interlocks, &points);
        let commander = Self {
            inner: Arc::new(Inner {
                points,
                queues,
                outputs: Mutex::new(outputs),
                interlocks: Mutex::new(interlocks),
                watched,
                order: control.order,
                automatic: control.automatic,
                longest_hold: control.longest_hold,
                places,
                channels,
                next_id: AtomicU64::new(1),
                clock,
                changed: Notify::new(),
                settled: Notify::new(),
                recorder: Recorder::default(),
                confirmations: Confirmations::default(),
            }),
        };
        commander.begin_interlocks();
        commander
    }

    /// The points that commands can name.
    #[must_use]
    pub fn points(&self) -> &Arc<PointTable> {
        &self.inner.points
    }

    /// What entitles an origin to act.
    #[must_use]
    pub fn class_of(&self, origin: &Origin) -> ControlClass {
        match origin {
            Origin::Gateway | Origin::Interlock(_) => ControlClass::Interlock,
            Origin::Web(_) => ControlClass::Manual,
            Origin::Alarm(_) => ControlClass::Alarm,
            Origin::Mqtt(client) if self.inner.automatic.contains(client) => ControlClass::Automatic,
            Origin::Mqtt(_) => ControlClass::Remote,
        }
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
            managed.alter(Output::stop);
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
}

#[cfg(test)]
mod tests;
