//! Keeps a channel's owner task alive.
//!
//! Drivers deal with all device trouble themselves, so a task that ends before the shutdown is a defect:
//! it is logged, the channel's points turn bad, and the channel runs again after a growing pause.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::backoff::Backoff;
use crate::driver::{Channel, ChannelContext, LinkState};
use crate::model::{PointId, Reading, Reason};

const MIN_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Runs the channel until the shutdown, again and again if need be. `points` are those of the channel.
pub(super) fn supervise(
    channel: Arc<dyn Channel>,
    context: ChannelContext,
    points: Vec<PointId>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut backoff = Backoff::new(MIN_PAUSE, MAX_PAUSE);
        loop {
            let (this, own) = (Arc::clone(&channel), context.clone());
            let begun = context.clock.mono();
            // A defect in the setting up is one in the task, too.
            let ended = tokio::spawn(async move { this.run(own).await }).await;
            if context.shutdown.is_cancelled() {
                context.writes.refuse_all("the channel has stopped");
                return;
            }
            if context.clock.mono().saturating_duration_since(begun) > MAX_PAUSE {
                backoff.reset();
            }
            let reason = match ended {
                Ok(()) => "it returned".to_owned(),
                Err(error) => error.to_string(),
            };
            tracing::error!(
                channel = &*context.stats.name,
                reason,
                "channel task ended; it is started again"
            );
            mark_bad(&context, &points);
            context.writes.refuse_all("the channel had to be started again");
            tokio::select! {
                () = tokio::time::sleep(backoff.pause(fastrand::f64())) => {}
                () = context.shutdown.cancelled() => return,
            }
        }
    })
}

fn mark_bad(context: &ChannelContext, points: &[PointId]) {
    context.stats.link.set(LinkState::Offline);
    for device in &context.stats.devices {
        device.link.set(LinkState::Offline);
    }
    let at = context.clock.stamp();
    let mut readings: Vec<Reading> =
        points.iter().map(|point| Reading::bad(*point, Reason::NoConnection, at)).collect();
    context.bus.publish(&mut readings);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::oneshot;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::bus::Bus;
    use crate::clock::Clock;
    use crate::driver::{BoxFuture, ChannelStats, Services, WriteJob, WriteQueue};
    use crate::model::point::tests::point;
    use crate::model::{CommandId, Outcome, PointTable, Quality, Value};

    /// Panics twice, then publishes and stays.
    struct Shaky(AtomicU32);

    impl Channel for Shaky {
        fn run(self: Arc<Self>, context: ChannelContext) -> BoxFuture {
            Box::pin(async move {
                assert!(self.0.fetch_add(1, Ordering::Relaxed) >= 2, "a defect");
                context.bus.publish(&mut [Reading::good(PointId(0), Value::Int(1), context.clock.stamp())]);
                context.shutdown.cancelled().await;
            })
        }
    }

    /// Fails before there is a future.
    struct Stillborn;

    impl Channel for Stillborn {
        fn run(self: Arc<Self>, _: ChannelContext) -> BoxFuture {
            panic!("a defect in the setting up")
        }
    }

    fn context(bus: Arc<Bus>) -> ChannelContext {
        ChannelContext {
            bus,
            writes: Arc::new(WriteQueue::default()),
            stats: Arc::new(ChannelStats::new("line".into(), ["device".into()])),
            clock: Clock::system(),
            services: Services::default(),
            shutdown: CancellationToken::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn writes_that_wait_for_a_channel_that_ended_are_answered() {
        let bus = Bus::new(Arc::new(PointTable::new(vec![point("a")])), vec![]);
        let seen = bus.subscribe(16);
        let context = context(bus);
        let (reply, outcome) = oneshot::channel();
        let deadline = context.clock.mono() + Duration::from_secs(600);
        let (id, point, setpoint) = (CommandId(1), PointId(0), Value::Bool(true));
        context.writes.push(WriteJob { id, point, setpoint, deadline, reply: reply.into() });
        let task = supervise(Arc::new(Stillborn), context.clone(), vec![PointId(0)]);
        seen.recv(&mut Vec::new()).await;
        assert!(matches!(outcome.await, Ok(Outcome::Failed(_))));
        assert_eq!(context.stats.devices[0].link.get(), LinkState::Offline);
        assert!(!task.is_finished(), "it is tried again");
        context.shutdown.cancel();
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_defect_marks_the_points_bad_and_the_channel_runs_again() {
        let bus = Bus::new(Arc::new(PointTable::new(vec![point("a")])), vec![]);
        let seen = bus.subscribe(16);
        let context = context(bus);
        let task = supervise(Arc::new(Shaky(AtomicU32::new(0))), context.clone(), vec![PointId(0)]);
        let mut readings = Vec::new();
        while readings.len() < 3 {
            seen.recv(&mut readings).await;
        }
        assert_eq!(readings[0].quality, Quality::Bad(Reason::NoConnection));
        assert_eq!(readings[2].quality, Quality::Good);
        context.shutdown.cancel();
        task.await.unwrap();
    }
}
