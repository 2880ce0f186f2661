//! Speaks to systemd: ready, stopping, still alive (sd_notify(3)).
//!
//! Outside systemd every call does nothing. The watchdog is fed by a task that first touches what the
//! gateway needs to work, so that a deadlock stops the feeding and systemd starts the program anew.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// Tells that everything is up.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells that the program is about to end.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told");
    }
}

/// Feeds the watchdog while `alive` returns and says so, until `shutdown`. Returns at once where there is none.
pub async fn feed_watchdog(alive: impl Fn() -> bool, shutdown: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval(feeding_period(limit));
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        if alive() {
            notify(&[NotifyState::Watchdog]);
        }
    }
}

/// A third of the limit: two feedings may be late before systemd acts.
fn feeding_period(limit: Duration) -> Duration {
    (limit / 3).max(Duration::from_millis(10))
}
