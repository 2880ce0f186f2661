//! The parts that run until the stop, and the knowledge whether they all still do.
//!
//! A part that ends early has panicked: no readings may be shown as if all were well while the keeper of
//! outputs or the alarm timer is gone. It is logged, and the watchdog is fed no more, so that systemd
//! starts the program anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The running parts. Clones are the same parts.
#[derive(Clone, Default)]
pub(super) struct Parts {
    tracker: TaskTracker,
    stop: CancellationToken,
    broken: Arc<AtomicBool>,
}

impl Parts {
    /// Runs a part, which is given the token that tells it to end.
    pub(super) fn spawn<F>(&self, name: &'static str, part: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let work = tokio::spawn(part(self.stop.clone()));
        let (stop, broken) = (self.stop.clone(), Arc::clone(&self.broken));
        self.tracker.spawn(async move {
            if let Err(error) = work.await {
                broken.store(true, Ordering::Relaxed);
                tracing::error!(part = name, %error, stopping = stop.is_cancelled(), "a part of the gateway failed");
            }
        });
    }

    /// Whether no part has failed.
    pub(super) fn are_sound(&self) -> bool {
        !self.broken.load(Ordering::Relaxed)
    }

    /// Tells all parts to end and waits for them, at most `patience`.
    pub(super) async fn end(&self, patience: Duration) {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(patience, self.tracker.wait()).await.is_err() {
            tracing::warn!("some parts did not end in time");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_part_that_panics_is_noticed_and_one_that_ends_is_not() {
        let parts = Parts::default();
        parts.spawn("quick", |_| async {});
        parts.spawn("patient", |stop| async move { stop.cancelled().await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(parts.are_sound());
        parts.spawn("shaky", |_| async { panic!("a defect") });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!parts.are_sound());
        parts.end(Duration::from_secs(1)).await;
        assert!(parts.tracker.is_empty());
    }
}
