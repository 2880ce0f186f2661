//! Tests of ramped outputs, on tokio's paused clock and against a channel that is a closure.

use std::sync::Mutex as Told;

use super::*;
use crate::model::Ramp;

const VALVE: PointId = PointId(0);
const STEP: Duration = Duration::from_millis(200);

/// A valve from 0 to 100 that stands at 0, with a safe state of 10.
struct Valve {
    rig: Rig,
    stages: Arc<Told<Vec<Stage>>>,
}

impl Valve {
    async fn start(also_safe: bool) -> Self {
        let ramp = Some(Ramp { up: 5.0, down: 10.0, every: STEP, also_safe });
        let output = OutputRules { ramp, ..OutputRules::default() };
        let (access, safe) = (Access::Rw, Some(Value::Float(10.0)));
        let points = Arc::new(PointTable::new(vec![Point { access, safe, output, ..point("valve") }]));
        let queue = Arc::new(WriteQueue::default());
        let commander = Commander::new(points, vec![Arc::clone(&queue)], Clock::system());
        let shutdown = CancellationToken::new();
        let (keeper, stop) = (commander.clone(), shutdown.clone());
        tokio::spawn(async move { keeper.run(stop).await });
        let valve = Self { rig: Rig { commander, queue, shutdown }, stages: Arc::default() };
        assert_eq!(valve.take().await, 10.0, "the safe state is taken at once");
        while valve.rig.commander.status()[0].known.is_none() {
            tokio::task::yield_now().await;
        }
        valve
    }

    /// The next write, which the device takes.
    async fn take(&self) -> f64 {
        let job = self.rig.next_write().await;
        let read_back = job.setpoint.clone();
        let number = read_back.as_f64().unwrap();
        job.confirmed();
        job.finish(Outcome::Verified { read_back });
        number
    }

    async fn take_all(&self, count: usize) -> Vec<f64> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push((self.take().await * 1e6).round() / 1e6);
        }
        taken
    }

    fn set(&self, value: f64, client: &str, lasts: Option<Duration>) -> Ticket {
        let deadline = tokio::time::Instant::now().into_std() + DEFAULT_DEADLINE;
        let (setpoint, origin) = (Value::Float(value), Origin::Mqtt(client.into()));
        let stages = Arc::clone(&self.stages);
        self.rig.commander.give(Command { point: VALVE, setpoint, origin, deadline, lasts }, move |stage| {
            stages.lock().unwrap().push(stage);
        })
    }

    fn ramp(&self) -> Option<RampStatus> {
        self.rig.commander.status()[0].ramp
    }
}

async fn failed(ticket: Ticket) -> String {
    match ticket.outcome().await {
        Outcome::Failed(reason) => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_setpoint_is_approached_in_steps_and_verified_at_its_end() {
    let valve = Valve::start(false).await;
    let begun = tokio::time::Instant::now();
    let ticket = valve.set(20.0, "plc", None);
    assert_eq!(valve.take_all(3).await, [11.0, 12.0, 13.0]);
    tokio::task::yield_now().await;
    assert_eq!(valve.ramp(), Some(RampStatus { at: 13.0, left: Duration::from_millis(1400) }));
    assert_eq!(valve.take_all(7).await, [14.0, 15.0, 16.0, 17.0, 18.0, 19.0, 20.0]);
    assert_eq!(ticket.outcome().await, Outcome::Verified { read_back: Value::Float(20.0) });
    assert_eq!(begun.elapsed(), 9 * STEP);
    let told = valve.stages.lock().unwrap().clone();
    let (first, way) = told.split_at(3);
    assert_eq!(first, [Stage::Accepted, Stage::OnWire, Stage::Confirmed]);
    assert!(matches!(way, [Stage::Ramping { .. }]), "once a second: {way:?}");
    assert_eq!(valve.ramp(), None);
    assert!(valve.rig.nothing_waits());
}

#[tokio::test(start_paused = true)]
async fn a_new_setpoint_turns_the_output_from_where_it_is() {
    let valve = Valve::start(false).await;
    let first = valve.set(90.0, "plc", None);
    assert_eq!(valve.take_all(3).await, [11.0, 12.0, 13.0]);
    tokio::time::sleep(STEP / 2).await;
    let second = valve.set(9.0, "plc", None);
    // Half an interval at 10 per second down, then whole ones.
    assert_eq!(valve.take_all(3).await, [12.0, 10.0, 9.0]);
    assert_eq!(first.outcome().await, Outcome::Superseded);
    assert!(second.outcome().await.succeeded());
}

#[tokio::test(start_paused = true)]
async fn the_safe_state_is_taken_at_once_unless_the_point_says_otherwise() {
    for (also_safe, expected) in [(false, vec![10.0]), (true, vec![12.0, 10.0])] {
        let valve = Valve::start(also_safe).await;
        let held = valve.set(90.0, "plc", Some(Duration::from_secs(1)));
        // The hold lasts from its first step on.
        assert_eq!(valve.take_all(5).await, [11.0, 12.0, 13.0, 14.0, 15.0]);
        tokio::time::sleep(STEP).await;
        let rest = valve.take().await;
        let taken = [vec![rest], valve.take_all(expected.len() - 1).await].concat();
        match also_safe {
            false => assert_eq!(taken, expected),
            true => assert!(taken[0] > 10.0 && taken[1] >= 10.0, "{taken:?}"),
        }
        assert!(failed(held).await.contains("let go of on its way"));
        let commander = valve.rig.commander.clone();
        let stopped = tokio::spawn(async move { commander.stop(Duration::from_secs(5)).await });
        while !stopped.is_finished() {
            match tokio::time::timeout(STEP, valve.take()).await {
                Ok(written) => assert_eq!(written, 10.0, "the stop never ramps"),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_the_output_ends_the_way_of_a_command() {
    let valve = Valve::start(false).await;
    let ticket = valve.set(90.0, "plc", None);
    assert_eq!(valve.take_all(2).await, [11.0, 12.0]);
    tokio::task::yield_now().await;
    valve.rig.commander.hold(VALVE, &"hot".into(), Value::Float(11.0));
    assert!(failed(ticket).await.contains("alarm `hot` has taken the output on its way, at 12"));
    assert_eq!(valve.take_all(1).await, [11.0], "an alarm ramps");
    valve.rig.commander.release(VALVE, "hot");
    assert_eq!(valve.take_all(2).await, [12.0, 13.0], "the setpoint counts again, and is approached again");
    let slot = arbiter::Slot {
        class: ControlClass::Interlock,
        priority: arbiter::USUAL_PRIORITY,
        owner: "air".into(),
        value: Some(Value::Float(0.0)),
        until: None,
        reason: None,
    };
    valve.rig.commander.take(VALVE, slot);
    assert_eq!(valve.take_all(1).await, [0.0], "an interlock does not");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_not_taken_three_times_ends_the_way_where_the_output_is() {
    let valve = Valve::start(false).await;
    let ticket = valve.set(90.0, "plc", None);
    assert_eq!(valve.take_all(2).await, [11.0, 12.0]);
    for _ in 0..3 {
        let job = valve.rig.next_write().await;
        let to = job.setpoint.as_f64().unwrap();
        assert!((13.0..=14.0).contains(&to), "a lost second is not caught up: {to}");
        job.finish(Outcome::Failed("no answer".into()));
    }
    assert!(failed(ticket).await.contains("stuck on its way, at 12"));
    assert_eq!(valve.take().await, 12.0, "and there it is kept");
    tokio::time::sleep(60 * STEP).await;
    assert!(valve.rig.nothing_waits());
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_a_ramp_waits_to_know_where_the_output_stands() {
    let ramp = Some(Ramp { up: 5.0, down: 5.0, every: STEP, also_safe: false });
    let output = OutputRules { ramp, after_loss: AfterLoss::Again, ..OutputRules::default() };
    let points = vec![Point { access: Access::Rw, safe: None, output, ..point("valve") }];
    let queue = Arc::new(WriteQueue::default());
    let commander =
        Commander::new(Arc::new(PointTable::new(points)), vec![Arc::clone(&queue)], Clock::system());
    let (keeper, shutdown) = (commander.clone(), CancellationToken::new());
    let stop = shutdown.clone();
    tokio::spawn(async move { keeper.run(stop).await });
    let valve = Valve { rig: Rig { commander, queue, shutdown }, stages: Arc::default() };
    match valve.set(1.0, "plc", None).outcome().await {
        Outcome::Rejected(reason) => assert!(reason.contains("not known yet where"), "{reason}"),
        other => panic!("{other}"),
    }
    let read = |value: f64| {
        valve.rig.commander.observe(&[Reading::good(VALVE, Value::Float(value), Clock::system().stamp())]);
    };
    read(5.0);
    let ticket = valve.set(6.5, "plc", None);
    assert_eq!(valve.take_all(2).await, [6.0, 6.5]);
    assert!(ticket.outcome().await.succeeded());
    for answers in [false, true] {
        valve.rig.commander.link("test", answers);
    }
    tokio::time::sleep(10 * STEP).await;
    assert!(valve.rig.nothing_waits(), "it may have dropped");
    read(0.0);
    assert_eq!(valve.take_all(2).await, [1.0, 2.0]);
}
