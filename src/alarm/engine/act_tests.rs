//! Actions with an arbiter, a store and a device around them, on paused time: what is written when, also over a kill.

use std::path::Path;

use tokio::task::JoinHandle;

use super::tests::next_write;
use super::*;
use crate::alarm::action::{Action, When};
use crate::alarm::detect::Formula;
use crate::alarm::instance::tests::rule;
use crate::alarm::life::Manner;
use crate::driver::WriteQueue;
use crate::model::expression::parse;
use crate::model::point::tests::point;
use crate::model::{
    Access, AlarmAction, AlarmRequest, AlarmTarget, OutputRules, Point, PointId, Value, ValueKind,
};

const SECOND: Duration = Duration::from_secs(1);
const FAN: PointId = PointId(1);

/// One run of the program.
struct Run {
    engine: Arc<Engine>,
    commander: Commander,
    clock: Clock,
    queue: Arc<WriteQueue>,
    tasks: Vec<JoinHandle<()>>,
}

impl Run {
    /// Begins with what is in the directory; `start` is the moment at which the machine has booted.
    fn begin(directory: &Path, start: Instant, rules: Vec<Rule>, momentary: Option<Duration>) -> Self {
        Self::begin_in("boot", directory, start, rules, momentary)
    }

    fn begin_in(
        boot: &str,
        directory: &Path,
        start: Instant,
        rules: Vec<Rule>,
        momentary: Option<Duration>,
    ) -> Self {
        let output = OutputRules { pulse: momentary, ..OutputRules::default() };
        let (kind, access, safe) = (ValueKind::Bool, Access::Rw, Some(false.into()));
        let fan = Point { kind, access, safe, output, ..point("fan") };
        let points = Arc::new(PointTable::new(vec![point("t"), fan]));
        let (queue, clock) = (Arc::new(WriteQueue::default()), Clock::system());
        let commander = Commander::new(points.clone(), vec![queue.clone(); 2], clock.clone());
        let (store, kept) = Store::open(directory).unwrap();
        let boot = Boot { id: boot.into(), since: clock.mono() - start, now: clock.stamp() };
        let engine = Engine::new(rules, points, commander.clone(), clock.clone(), vec![]);
        let engine = Arc::new(engine.with_store(store, &kept, boot));
        engine.attend();
        let (timers, keeper) = (engine.clone(), commander.clone());
        let tasks = vec![
            tokio::spawn(async move { timers.run(CancellationToken::new()).await }),
            tokio::spawn(async move { keeper.run(CancellationToken::new()).await }),
        ];
        Self { engine, commander, clock, queue, tasks }
    }

    fn read(&self, value: f64) {
        self.engine.observe(&[Reading::good(PointId(0), Value::Float(value), self.clock.stamp())]);
    }

    fn ask(&self, alarm: &str, action: AlarmAction) {
        let target = AlarmTarget::Alarm(alarm.into());
        self.engine.operate(&AlarmRequest { target, action, by: "kim".into(), comment: None }).unwrap();
    }

    /// The device takes the next write.
    async fn written(&self) -> Value {
        next_write(&self.queue, &self.clock).await
    }

    /// Nothing is written for so long.
    async fn rests(&self, seconds: u32) {
        let quiet = tokio::time::timeout(SECOND * seconds, self.written()).await;
        assert!(quiet.is_err(), "{quiet:?} was written");
    }

    fn holder(&self) -> Option<Arc<str>> {
        self.commander.holder(FAN)
    }

    /// The program is gone; what its store had been given is on the disk.
    async fn kill(self) {
        for task in self.tasks {
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        assert_eq!(Arc::strong_count(&self.engine), 1, "the store closes with it");
    }
}

fn with(action: Action) -> Rule {
    Rule { actions: vec![action], ..rule(0, 0, Manner::default()) }
}

fn on() -> Action {
    Action::plain(FAN, "test/fan".into(), Value::Bool(true))
}

const ON: Value = Value::Bool(true);
const OFF: Value = Value::Bool(false);

#[tokio::test(start_paused = true)]
async fn a_pulse_counts_from_its_confirmation_and_a_restart_neither_prolongs_nor_repeats_it() {
    let (directory, start) = (tempfile::tempdir().unwrap(), Clock::system().mono());
    let rules = vec![with(Action { pulse: Some(10 * SECOND), ..on() })];
    let run = Run::begin(directory.path(), start, rules.clone(), None);
    assert_eq!(run.written().await, OFF);
    run.read(61.0);
    // The device is slow.
    tokio::time::sleep(3 * SECOND).await;
    assert_eq!(run.written().await, ON);
    let stood = run.clock.mono();
    tokio::time::sleep(4 * SECOND).await;
    run.kill().await;
    tokio::time::sleep(2 * SECOND).await;
    let run = Run::begin(directory.path(), start, rules.clone(), None);
    assert_eq!(run.written().await, ON, "it goes on, without a safe state between");
    assert_eq!(run.written().await, OFF);
    assert_eq!(run.clock.mono() - stood, 10 * SECOND);
    run.rests(100).await;
    run.kill().await;
    let run = Run::begin(directory.path(), start, rules, None);
    assert_eq!(run.written().await, OFF, "the safe state of the start");
    run.rests(100).await;
    assert_eq!(run.engine.status()[0].state, AlarmState::ActiveUnacknowledged, "the alarm stands still");
    run.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_pulse_that_was_to_end_while_nobody_was_there_is_over() {
    let (directory, start) = (tempfile::tempdir().unwrap(), Clock::system().mono());
    let rules = vec![with(Action { pulse: Some(10 * SECOND), pause: 60 * SECOND, ..on() })];
    let run = Run::begin(directory.path(), start, rules.clone(), None);
    run.written().await;
    run.read(61.0);
    assert_eq!(run.written().await, ON);
    run.kill().await;
    tokio::time::sleep(30 * SECOND).await;
    let run = Run::begin(directory.path(), start, rules, None);
    assert_eq!(run.written().await, OFF);
    run.rests(30).await;
    run.read(50.0);
    run.read(61.0);
    let before = run.clock.mono();
    assert_eq!(run.written().await, ON, "it comes anew");
    assert_eq!(run.clock.mono() - before, 10 * SECOND, "the pause began when the pulse had ended");
    run.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_momentary_output_does_not_pulse_again_because_the_program_starts_anew() {
    let (directory, start) = (tempfile::tempdir().unwrap(), Clock::system().mono());
    let momentary = Some(SECOND);
    // As the configuration makes it of `then: { press/fan: on }`.
    let rules = vec![with(Action { pulse: momentary, ..on() })];
    let run = Run::begin(directory.path(), start, rules.clone(), momentary);
    run.written().await;
    run.read(61.0);
    assert_eq!((run.written().await, run.written().await), (ON, OFF));
    run.rests(10).await;
    run.kill().await;
    let run = Run::begin(directory.path(), start, rules, momentary);
    assert_eq!(run.written().await, OFF);
    run.read(62.0);
    run.rests(100).await;
    run.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_release_condition_and_a_least_time_hold_on_over_a_kill() {
    let (directory, start) = (tempfile::tempdir().unwrap(), Clock::system().mono());
    let (expression, _) = parse("t < 40", &["t"]).unwrap();
    let until = Some(Formula { expression, uses: [0].into() });
    let why = Some("until t < 40".into());
    let rules = vec![with(Action { at_least: 60 * SECOND, until, why, ..on() })];
    let run = Run::begin(directory.path(), start, rules.clone(), None);
    run.written().await;
    run.read(61.0);
    assert_eq!(run.written().await, ON);
    run.read(50.0);
    run.kill().await;
    tokio::time::sleep(10 * SECOND).await;
    let run = Run::begin(directory.path(), start, rules, None);
    assert_eq!(run.written().await, ON, "the alarm has gone, its action has not");
    assert_eq!(run.commander.status()[0].slots[0].0.reason.as_deref(), Some("until t < 40"));
    run.read(30.0);
    let before = run.clock.mono();
    assert_eq!(run.written().await, OFF);
    assert_eq!(run.clock.mono() - before, 50 * SECOND);
    run.read(61.0);
    assert_eq!(run.written().await, ON);
    run.read(45.0);
    run.rests(200).await;
    run.engine.observe(&[Reading::bad(PointId(0), crate::model::Reason::Timeout, run.clock.stamp())]);
    run.rests(10).await;
    run.ask("hot", AlarmAction::TakeOut);
    assert_eq!(run.written().await, OFF, "a person has the last word");
    run.kill().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_reboot_what_was_left_is_left_and_counts_on_over_further_starts() {
    let (directory, start) = (tempfile::tempdir().unwrap(), Clock::system().mono());
    let rules = vec![with(Action { at_least: 60 * SECOND, ..on() })];
    let run = Run::begin(directory.path(), start, rules.clone(), None);
    run.written().await;
    run.read(61.0);
    assert_eq!(run.written().await, ON);
    tokio::time::sleep(10 * SECOND).await;
    run.read(50.0);
    run.kill().await;
    tokio::time::sleep(1_000 * SECOND).await;
    let run = Run::begin_in("another", directory.path(), start, rules.clone(), None);
    assert_eq!(run.written().await, ON);
    tokio::time::sleep(20 * SECOND).await;
    run.kill().await;
    let run = Run::begin_in("another", directory.path(), start, rules, None);
    assert_eq!(run.written().await, ON);
    let before = run.clock.mono();
    assert_eq!(run.written().await, OFF);
    assert_eq!(run.clock.mono() - before, 30 * SECOND);
    run.kill().await;
}

#[tokio::test(start_paused = true)]
async fn the_alarm_that_counts_more_has_the_output_and_hands_it_back() {
    let (directory, start) = (tempfile::tempdir().unwrap(), Clock::system().mono());
    let fan = |name: &str, action: Action| Rule { name: name.into(), ..with(action) };
    let rules = vec![
        fan("hot", on()),
        fan("fire", Action { value: OFF, priority: 1, when: When::Unacknowledged, ..on() }),
    ];
    let run = Run::begin(directory.path(), start, rules, None);
    run.written().await;
    run.read(61.0);
    assert_eq!(run.written().await, OFF, "both want it");
    assert_eq!(run.holder().as_deref(), Some("fire"));
    run.ask("fire", AlarmAction::Acknowledge);
    assert_eq!(run.written().await, ON);
    assert_eq!(run.holder().as_deref(), Some("hot"));
    run.kill().await;
}
