//! The record that every command leaves: one line in the log, and a call of one listener.
//!
//! A safe state or an alarm's action that its device does not take is tried again for as long as it is due; of
//! those attempts the first failure and the success are recorded. Absent: keeping records, which is the
//! listener's. Invariant: a command that somebody gave leaves exactly one record, whatever became of it.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Commander;
use crate::model::{CommandRecord, CommandRequest, Origin, Outcome, Stamp, Value};

/// Who is told of every command that has ended. Called in line by whoever ends it, with no lock held: it must
/// be quick and must not block.
pub type Listener = Arc<dyn Fn(&CommandRecord) + Send + Sync>;

/// Somebody has let go of an output, or could not.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The output by name.
    pub output: Arc<str>,
    /// Who let go.
    pub origin: Origin,
    /// When.
    pub at: Stamp,
    /// Who held it and at what, or why there was nothing to let go of.
    pub outcome: Result<(Arc<str>, Option<Value>), String>,
}

/// Who is told of releases, in the same way.
pub type ReleaseListener = Arc<dyn Fn(&Release) + Send + Sync>;

/// Ends when every record that was left before is safe, or cannot be made so.
pub type Kept = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// How long the sender of a command waits for its record at most. Nothing else ever does.
const KEPT_PATIENCE: Duration = Duration::from_secs(1);

/// Where records go.
#[derive(Default)]
pub(super) struct Recorder {
    listener: OnceLock<Listener>,
    releases: OnceLock<ReleaseListener>,
    kept: OnceLock<Kept>,
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

    /// Tells `listener` of everybody who lets go of an output from now on; there is one, which is set first.
    pub fn on_release(&self, listener: ReleaseListener) -> bool {
        self.inner.recorder.releases.set(listener).is_ok()
    }

    /// Leaves the record of a release. Not to be called while the outputs are locked.
    pub(super) fn record_release(&self, release: &Release) {
        let (output, origin) = (&*release.output, &release.origin);
        match &release.outcome {
            Ok((holder, _)) => {
                tracing::info!(target: "audit", point = output, %origin, holder = &**holder, "released");
            }
            Err(reason) => tracing::info!(target: "audit", point = output, %origin, reason, "not released"),
        }
        if let Some(listener) = self.inner.recorder.releases.get() {
            listener(release);
        }
    }

    /// Has the sender of a command hear of its outcome only once its record is kept, or that has taken too long: what
    /// was answered is then never missing. Writes themselves wait for no record.
    pub fn answer_once_kept(&self, kept: Kept) {
        // A second one would keep the same records.
        let _ = self.inner.recorder.kept.set(kept);
    }

    /// Tells the sender of a command, whose record was left, how it ended.
    pub(super) fn tell(&self, reply: oneshot::Sender<Outcome>, outcome: Outcome) {
        let Some(kept) = self.inner.recorder.kept.get() else {
            // A sender who has stopped waiting need not be told.
            let _ = reply.send(outcome);
            return;
        };
        let kept = tokio::time::timeout(KEPT_PATIENCE, kept());
        tokio::spawn(async move {
            let _ = kept.await;
            let _ = reply.send(outcome);
        });
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
