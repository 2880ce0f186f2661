//! Tests of the commander against a channel that is a closure.

use super::*;
use crate::model::point::tests::point;
use crate::model::{Access, Point, ValueKind};

struct Rig {
    commander: Commander,
    queue: Arc<WriteQueue>,
    shutdown: CancellationToken,
}

const COIL: PointId = PointId(0);

fn rig(safe: Option<Value>) -> Rig {
    let coil = Point { kind: ValueKind::Bool, access: Access::Rw, safe, ..point("fan") };
    let queue = Arc::new(WriteQueue::default());
    let points = Arc::new(PointTable::new(vec![coil]));
    let commander = Commander::new(points, vec![Arc::clone(&queue)], Clock::system());
    let shutdown = CancellationToken::new();
    let (keeper, stop) = (commander.clone(), shutdown.clone());
    tokio::spawn(async move { keeper.run(stop).await });
    Rig { commander, queue, shutdown }
}

impl Rig {
    /// The next write that reaches the wire.
    async fn next_write(&self) -> WriteJob {
        loop {
            if let Some(job) = self.queue.pop(tokio::time::Instant::now().into_std()) {
                return job;
            }
            self.queue.pushed().await;
        }
    }

    async fn take(&self, expected: bool, outcome: Outcome) {
        let job = self.next_write().await;
        assert_eq!(job.setpoint, Value::Bool(expected));
        job.finish(outcome);
    }

    fn operator(&self, on: bool) -> Ticket {
        let deadline = tokio::time::Instant::now().into_std() + DEFAULT_DEADLINE;
        self.commander.submit(COIL, Value::Bool(on), Origin::Web("192.0.2.9".into()), deadline)
    }
}

fn verified(on: bool) -> Outcome {
    Outcome::Verified { read_back: Value::Bool(on) }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

#[tokio::test(start_paused = true)]
async fn the_safe_state_is_taken_at_start_and_tried_again_until_it_is() {
    let rig = rig(Some(Value::Bool(false)));
    rig.take(false, Outcome::Failed("no answer".into())).await;
    let before = tokio::time::Instant::now();
    rig.take(false, verified(false)).await;
    assert!(before.elapsed() >= keeper::RETRY_PAUSE);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_takes_the_output_and_hands_it_back() {
    let rig = rig(Some(Value::Bool(false)));
    rig.take(false, verified(false)).await;
    let alarm: Arc<str> = "hot".into();
    rig.commander.hold(COIL, &alarm, Value::Bool(true));
    rig.take(true, verified(true)).await;
    assert_eq!(rig.commander.holder(COIL), Some(alarm));
    match rig.operator(false).outcome().await {
        Outcome::Rejected(reason) => assert!(reason.contains("hot")),
        other => panic!("{other}"),
    }
    rig.commander.release(COIL, "hot");
    rig.take(false, verified(false)).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_release_the_operators_setpoint_counts_again() {
    let rig = rig(Some(Value::Bool(false)));
    rig.take(false, verified(false)).await;
    let ticket = rig.operator(true);
    rig.take(true, verified(true)).await;
    assert!(ticket.outcome().await.succeeded());
    rig.commander.hold(COIL, &"smoke".into(), Value::Bool(false));
    rig.take(false, verified(false)).await;
    rig.commander.release(COIL, "smoke");
    rig.take(true, verified(true)).await;
}

#[tokio::test(start_paused = true)]
async fn a_release_during_the_write_is_not_lost() {
    let rig = rig(Some(Value::Bool(false)));
    rig.take(false, verified(false)).await;
    rig.commander.hold(COIL, &"hot".into(), Value::Bool(true));
    let job = rig.next_write().await;
    rig.commander.release(COIL, "hot");
    job.finish(verified(true));
    rig.take(false, verified(false)).await;
}

#[tokio::test(start_paused = true)]
async fn stopping_refuses_commands_and_waits_for_the_safe_state() {
    let rig = rig(Some(Value::Bool(false)));
    rig.take(false, verified(false)).await;
    let ticket = rig.operator(true);
    rig.take(true, verified(true)).await;
    ticket.outcome().await;
    let commander = rig.commander.clone();
    let stop = tokio::spawn(async move { commander.stop(Duration::from_secs(5)).await });
    rig.take(false, verified(false)).await;
    assert!(stop.await.unwrap().is_empty());
    assert!(matches!(rig.operator(true).outcome().await, Outcome::Rejected(_)));
}

#[tokio::test(start_paused = true)]
async fn an_output_that_cannot_be_made_safe_is_named() {
    let rig = rig(Some(Value::Bool(false)));
    rig.take(false, verified(false)).await;
    let commander = rig.commander.clone();
    let stop = tokio::spawn(async move { commander.stop(Duration::from_secs(3)).await });
    let queue = Arc::clone(&rig.queue);
    let refuse = tokio::spawn(async move {
        loop {
            while let Some(job) = queue.pop(tokio::time::Instant::now().into_std()) {
                job.finish(Outcome::Failed("no answer".into()));
            }
            queue.pushed().await;
        }
    });
    assert_eq!(stop.await.unwrap(), ["test/fan".into()]);
    refuse.abort();
}

#[tokio::test(start_paused = true)]
async fn a_read_only_point_or_a_point_without_safe_state_is_left_alone() {
    let rig = rig(None);
    tokio::task::yield_now().await;
    assert!(rig.queue.pop(tokio::time::Instant::now().into_std()).is_none());
}
