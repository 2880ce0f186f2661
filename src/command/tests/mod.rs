//! Tests of the commander against a channel that is a closure.

mod ramps;
mod slots;

use super::*;
use crate::bus::Observer;
use crate::driver::WriteJob;
use crate::model::point::tests::point;
use crate::model::{Access, AfterLoss, Outcome, Point, Reading, Reason, Stage, ValueKind};

struct Rig {
    commander: Commander,
    queue: Arc<WriteQueue>,
    shutdown: CancellationToken,
}

const COIL: PointId = PointId(0);

fn rig(safe: Option<Value>) -> Rig {
    rig_with(safe, OutputRules::default(), Control::default())
}

/// The coil, and a point `door` that interlocks may look at.
fn rig_with(safe: Option<Value>, output: OutputRules, control: Control) -> Rig {
    let coil = Point { kind: ValueKind::Bool, access: Access::Rw, safe, output, ..point("fan") };
    let door = Point { kind: ValueKind::Bool, ..point("door") };
    let queue = Arc::new(WriteQueue::default());
    let points = Arc::new(PointTable::new(vec![coil, door]));
    let commander = Commander::with_control(points, vec![Arc::clone(&queue); 2], Clock::system(), control);
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

    fn give(&self, on: bool, client: &str, lasts: Option<Duration>) -> Ticket {
        let deadline = tokio::time::Instant::now().into_std() + DEFAULT_DEADLINE;
        let (setpoint, origin) = (Value::Bool(on), Origin::Mqtt(client.into()));
        self.commander.give(Command { point: COIL, setpoint, origin, deadline, lasts }, |_| {})
    }

    fn read(&self, point: PointId, on: bool) {
        self.commander.observe(&[Reading::good(point, Value::Bool(on), Clock::system().stamp())]);
    }

    fn nothing_waits(&self) -> bool {
        self.queue.pop(tokio::time::Instant::now().into_std()).is_none()
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
    assert_eq!(rig.commander.status()[0].slots[0].0.class, ControlClass::Alarm);
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

#[tokio::test(start_paused = true)]
async fn a_command_that_waits_when_an_alarm_takes_the_output_never_reaches_the_wire() {
    let rig = rig(Some(Value::Bool(false)));
    rig.take(false, verified(false)).await;
    let ticket = rig.operator(true);
    // Nobody else has run since: the command is in the queue, and the alarm takes it out.
    rig.commander.hold(COIL, &"smoke".into(), Value::Bool(false));
    assert!(rig.queue.pop(tokio::time::Instant::now().into_std()).is_none());
    match ticket.outcome().await {
        Outcome::Rejected(reason) => assert!(reason.contains("alarm `smoke`"), "{reason}"),
        other => panic!("{other}"),
    }
    rig.take(false, verified(false)).await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_the_safe_state_never_overrules_a_command_under_way() {
    let rig = rig(Some(Value::Bool(false)));
    rig.take(false, Outcome::Failed("no answer".into())).await;
    let ticket = rig.operator(true);
    let job = rig.next_write().await;
    assert_eq!(job.setpoint, Value::Bool(true));
    tokio::time::sleep(3 * keeper::RETRY_PAUSE).await;
    assert!(rig.queue.pop(tokio::time::Instant::now().into_std()).is_none());
    job.finish(verified(true));
    assert!(ticket.outcome().await.succeeded());
    tokio::time::sleep(3 * keeper::RETRY_PAUSE).await;
    assert!(rig.queue.pop(tokio::time::Instant::now().into_std()).is_none(), "the output stands as asked");
}

#[tokio::test(start_paused = true)]
async fn after_a_command_that_fails_the_safe_state_is_tried_again() {
    let rig = rig(Some(Value::Bool(false)));
    rig.take(false, Outcome::Failed("no answer".into())).await;
    let ticket = rig.operator(true);
    rig.take(true, Outcome::Failed("no answer".into())).await;
    assert!(!ticket.outcome().await.succeeded());
    rig.take(false, verified(false)).await;
}

#[tokio::test(start_paused = true)]
async fn the_write_of_an_alarm_that_is_over_is_not_the_last_word() {
    let rig = rig(Some(Value::Bool(false)));
    rig.take(false, verified(false)).await;
    let ticket = rig.operator(true);
    let command = rig.next_write().await;
    rig.commander.hold(COIL, &"smoke".into(), Value::Bool(false));
    tokio::time::sleep(Duration::from_millis(1)).await;
    rig.commander.release(COIL, "smoke");
    tokio::time::sleep(Duration::from_millis(1)).await;
    command.finish(verified(true));
    assert!(ticket.outcome().await.succeeded());
    let mut last = Value::Bool(true);
    while let Ok(job) = tokio::time::timeout(5 * keeper::RETRY_PAUSE, rig.next_write()).await {
        last = job.setpoint.clone();
        let read_back = last.clone();
        job.finish(Outcome::Verified { read_back });
    }
    assert_eq!(last, Value::Bool(true));
}

#[tokio::test(start_paused = true)]
async fn the_newest_command_counts_whichever_outcome_is_seen_first() {
    let rig = rig(Some(Value::Bool(false)));
    rig.take(false, verified(false)).await;
    let first = rig.operator(false);
    let first_job = rig.next_write().await;
    let second = rig.operator(true);
    rig.take(true, verified(true)).await;
    assert!(second.outcome().await.succeeded());
    first_job.finish(verified(false));
    assert!(first.outcome().await.succeeded());
    rig.commander.hold(COIL, &"smoke".into(), Value::Bool(false));
    rig.take(false, verified(false)).await;
    rig.commander.release(COIL, "smoke");
    rig.take(true, verified(true)).await;
}

#[tokio::test(start_paused = true)]
async fn more_outputs_than_a_queue_holds_all_become_safe() {
    let count = 3 * crate::driver::queue::MAX_WAITING;
    let coil = |index: usize| Point {
        kind: ValueKind::Bool,
        access: Access::Rw,
        safe: Some(Value::Bool(false)),
        ..point(&format!("relay-{index}"))
    };
    let queue = Arc::new(WriteQueue::default());
    let points = Arc::new(PointTable::new((0..count).map(coil).collect()));
    let commander = Commander::new(points, vec![Arc::clone(&queue); count], Clock::system());
    let rig = Rig { commander, queue, shutdown: CancellationToken::new() };
    let (keeper, stop) = (rig.commander.clone(), rig.shutdown.clone());
    tokio::spawn(async move { keeper.run(stop).await });
    let begun = tokio::time::Instant::now();
    for _ in 0..count {
        rig.take(false, verified(false)).await;
    }
    assert!(begun.elapsed() < keeper::RETRY_PAUSE, "nobody had to be refused and tried again");
}

#[tokio::test(start_paused = true)]
async fn what_an_alarm_holds_is_written_again_when_the_device_has_forgotten_it() {
    let rig = rig(Some(Value::Bool(false)));
    rig.take(false, verified(false)).await;
    let read = |on: bool| {
        let at = Clock::system().stamp();
        rig.commander.observe(&[Reading::good(COIL, Value::Bool(on), at)]);
    };
    read(true);
    tokio::time::sleep(3 * keeper::RETRY_PAUSE).await;
    let none = rig.queue.pop(tokio::time::Instant::now().into_std());
    assert!(none.is_none(), "switched by hand, and nobody holds it");
    rig.commander.hold(COIL, &"hot".into(), Value::Bool(true));
    rig.take(true, verified(true)).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    read(true);
    read(false);
    rig.take(true, verified(true)).await;
}

#[tokio::test(start_paused = true)]
async fn every_command_leaves_one_record_with_what_the_output_was_before() {
    let rig = rig(Some(Value::Bool(false)));
    let records = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&records);
    assert!(rig.commander.on_record(Arc::new(move |record| told.lock().unwrap().push(record.clone()))));
    assert!(!rig.commander.on_record(Arc::new(|_| {})), "there is one listener");
    rig.take(false, verified(false)).await;
    rig.commander.observe(&[Reading::good(COIL, Value::Bool(false), Clock::system().stamp())]);
    let ticket = rig.operator(true);
    tokio::time::advance(Duration::from_secs(1)).await;
    rig.take(true, verified(true)).await;
    ticket.outcome().await;
    let nobody = rig.commander.submit(PointId(7), Value::Bool(true), Origin::Gateway, Clock::system().mono());
    assert!(matches!(nobody.outcome().await, Outcome::Rejected(_)));
    let records = records.lock().unwrap();
    let [start, command, refused] = &records[..] else { panic!("{records:?}") };
    assert_eq!((&start.request.origin, &start.request.old), (&Origin::Gateway, &None));
    assert_eq!((&*command.output, &command.outcome), ("test/fan", &verified(true)));
    assert_eq!(command.request.old, Some(Value::Bool(false)));
    assert_eq!(command.ended.mono - command.request.given.mono, Duration::from_secs(1));
    assert_eq!((&*refused.output, refused.outcome.code()), ("?", "rejected"));
}
