//! Marks points stale that nobody has reported on for too long.
//!
//! A driver reports every failed poll, so this only speaks when a channel itself hangs or cannot keep up:
//! no value may look fresh for ever because the task behind it is stuck.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, Latest};
use crate::clock::Clock;
use crate::model::{Point, Reading, Reason};

/// How many poll periods a point may be silent.
const PERIODS: u32 = 5;

/// No point is called stale before this, however fast it is polled.
const FLOOR: Duration = Duration::from_secs(10);

const SCAN_PERIOD: Duration = Duration::from_secs(2);

/// Scans until `shutdown`.
pub(crate) async fn watch(bus: Arc<Bus>, clock: Clock, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(SCAN_PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        let now = clock.stamp();
        let latest = bus.snapshot();
        let mut stale: Vec<Reading> = bus
            .points()
            .iter()
            .zip(&latest)
            .filter(|(point, latest)| is_stale(point, latest, now.mono))
            .map(|(point, _)| Reading::bad(point.id, Reason::Stale, now))
            .collect();
        if let Some(first) = stale.first() {
            let example = &*bus.points().get(first.point).name;
            tracing::warn!(
                points = stale.len(),
                example,
                "points have become stale: their channel is silent"
            );
        }
        bus.publish(&mut stale);
    }
}

fn is_stale(point: &Point, latest: &Latest, now: Instant) -> bool {
    let limit = (point.poll * PERIODS).max(FLOOR);
    point.access.readable()
        && latest.quality.is_usable()
        && latest.at.is_some_and(|at| now.saturating_duration_since(at.mono) > limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::point::tests::point;
    use crate::model::{PointId, PointTable, Quality, Value};

    #[tokio::test(start_paused = true)]
    async fn a_silent_point_turns_stale_once_and_keeps_its_value() {
        let bus = Bus::new(Arc::new(PointTable::new(vec![point("a")])), vec![]);
        let clock = Clock::system();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(watch(bus.clone(), clock.clone(), shutdown.clone()));
        bus.publish(&mut [Reading::good(PointId(0), Value::Int(7), clock.stamp())]);
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!(bus.latest(PointId(0)).quality, Quality::Good);
        tokio::time::sleep(Duration::from_secs(6)).await;
        let latest = bus.latest(PointId(0));
        assert_eq!((latest.value, latest.quality), (Some(Value::Int(7)), Quality::Bad(Reason::Stale)));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(bus.published(), 2);
        shutdown.cancel();
        task.await.unwrap();
    }
}
