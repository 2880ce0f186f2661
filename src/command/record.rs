//! The record that every command leaves: one line in the log, and a call of one listener.
//!
//! A safe state or an alarm's action that its device does not take is tried again for as long as it is due; of
//! those attempts the first failure and the success are recorded. Absent: keeping records, which is the
//! listener's. Invariant: a command that somebody gave leaves exactly one record, whatever became of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::Commander;
use crate::model::{CommandRecord, CommandRequest, Outcome};

/// Who is told of every command that has ended. Called in line by whoever ends it, with no lock held: it must
/// be quick and must not block.
pub type Listener = Arc<dyn Fn(&CommandRecord) + Send + Sync>;

/// Where records go.
#[derive(Default)]
pub(super) struct Recorder {
    listener: OnceLock<Listener>,
    /// By outcome, in the order of [`OUTCOMES`].
    counted: [AtomicU64; OUTCOMES.len()],
}

/// The codes of all outcomes.
const OUTCOMES: [&str; 7] =
    ["verified", "confirmed", "rejected", "expired", "superseded", "mismatch", "failed"];

impl Commander {
    /// Tells `listener` of every command that ends from now on. There is one listener, set before the first
    /// command is given; `false` says that there is one already, which stays.
    pub fn on_record(&self, listener: Listener) -> bool {
        self.inner.recorder.listener.set(listener).is_ok()
    }

    /// How many commands have ended in which outcome since the start, by the outcomes' codes.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); OUTCOMES.len()] {
        let counted = &self.inner.recorder.counted;
        std::array::from_fn(|place| (OUTCOMES[place], counted[place].load(Ordering::Relaxed)))
    }

    /// Leaves the record of a command that has ended. Not to be called while the outputs are locked.
    pub(super) fn record(&self, request: CommandRequest, outcome: &Outcome) {
        let output = match request.point.index() < self.inner.points.len() {
            true => Arc::clone(&self.inner.points.get(request.point).name),
            false => "?".into(),
        };
        tracing::info!(
            target: "audit",
            command = request.id.0, point = &*output, origin = %request.origin,
            setpoint = %request.setpoint, old = request.old.as_ref().map(tracing::field::display),
            outcome = outcome.code(),
            "command {outcome}"
        );
        if let Some(place) = OUTCOMES.iter().position(|code| *code == outcome.code()) {
            self.inner.recorder.counted[place].fetch_add(1, Ordering::Relaxed);
        }
        if let Some(listener) = self.inner.recorder.listener.get() {
            let ended = self.inner.clock.stamp();
            listener(&CommandRecord { request, output, outcome: outcome.clone(), ended });
        }
    }
}
