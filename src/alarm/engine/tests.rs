//! The engine with outputs, timers and people around it, on paused time.

use std::sync::Mutex;
use std::time::Duration;

use super::super::action::Action;
use super::super::detect::Detector;
use super::super::instance::tests::rule;
use super::super::life::Manner;
use super::*;
use crate::driver::WriteQueue;
use crate::model::point::tests::point;
use crate::model::{
    Access, AlarmAction, AlarmChange, AlarmEvent, AlarmGroup, AlarmRefusal, AlarmRequest, AlarmTarget,
    Outcome, Point, PointId, Value, ValueKind,
};

struct Rig {
    engine: Arc<Engine>,
    commander: Commander,
    clock: Clock,
    queue: Arc<WriteQueue>,
    seen: Arc<Mutex<Vec<AlarmEvent>>>,
    groups: Arc<Mutex<Vec<AlarmGroup>>>,
    shutdown: CancellationToken,
}

impl Rig {
    fn new(rules: Vec<Rule>) -> Self {
        let fan =
            Point { kind: ValueKind::Bool, access: Access::Rw, safe: Some(false.into()), ..point("fan") };
        let points = Arc::new(PointTable::new(vec![point("t"), fan]));
        let queue = Arc::new(WriteQueue::default());
        let clock = Clock::system();
        let commander = Commander::new(points.clone(), vec![queue.clone(); 2], clock.clone());
        let seen: Arc<Mutex<Vec<AlarmEvent>>> = Arc::default();
        let sink = seen.clone();
        let groups: Arc<Mutex<Vec<AlarmGroup>>> = Arc::default();
        let told = groups.clone();
        let listener: Listener = Box::new(move |news| match news {
            AlarmNews::Event(event, _) => sink.lock().unwrap().push(event.clone()),
            AlarmNews::Group(group) => told.lock().unwrap().push(group.clone()),
        });
        let engine = Engine::new(rules, points, commander.clone(), clock.clone(), vec![listener]);
        let (engine, shutdown) = (Arc::new(engine), CancellationToken::new());
        engine.attend();
        let (timers, stop) = (engine.clone(), shutdown.clone());
        tokio::spawn(async move { timers.run(stop).await });
        let (keeper, stop) = (commander.clone(), shutdown.clone());
        tokio::spawn(async move { keeper.run(stop).await });
        Self { engine, commander, clock, queue, seen, groups, shutdown }
    }

    fn read(&self, value: f64) {
        self.engine.observe(&[Reading::good(PointId(0), Value::Float(value), self.clock.stamp())]);
    }

    /// Answers the next write, and says what it was.
    async fn written(&self) -> Value {
        next_write(&self.queue, &self.clock).await
    }

    async fn until(&self, state: AlarmState) {
        while self.engine.status()[0].state != state {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn ask(&self, target: AlarmTarget, action: AlarmAction) -> Result<Vec<AlarmStatus>, AlarmRefusal> {
        self.engine.operate(&AlarmRequest { target, action, by: "kim".into(), comment: None })
    }
}

/// The device takes the next write of the queue, and says what it was.
pub(super) async fn next_write(queue: &WriteQueue, clock: &Clock) -> Value {
    loop {
        if let Some(job) = queue.pop(clock.mono()) {
            let read_back = job.setpoint.clone();
            job.finish(Outcome::Verified { read_back: read_back.clone() });
            return read_back;
        }
        queue.pushed().await;
    }
}

fn hot() -> AlarmTarget {
    AlarmTarget::Alarm("hot".into())
}

fn with_fan(manner: Manner, on: u64) -> Rule {
    Rule {
        actions: vec![Action::plain(PointId(1), "test/fan".into(), Value::Bool(true))],
        ..rule(on, 0, manner)
    }
}

#[tokio::test(start_paused = true)]
async fn an_active_alarm_holds_its_output_and_its_whole_life_is_told() {
    let rig = Rig::new(vec![with_fan(Manner::default(), 2)]);
    assert_eq!(rig.written().await, Value::Bool(false), "the safe state");
    rig.read(61.0);
    assert_eq!(rig.written().await, Value::Bool(true), "once the delay is over");
    assert_eq!(rig.commander.holder(PointId(1)).as_deref(), Some("hot"));
    rig.ask(hot(), AlarmAction::Acknowledge).unwrap();
    rig.read(55.0);
    assert_eq!(rig.written().await, Value::Bool(false));
    let seen = rig.seen.lock().unwrap();
    let told: Vec<_> = seen.iter().map(|event| (event.change, event.from, event.status.state)).collect();
    use AlarmState::{ActiveAcknowledged, ActiveUnacknowledged, Normal};
    assert_eq!(
        told,
        [
            (AlarmChange::Pending, Normal, Normal),
            (AlarmChange::Raised, Normal, ActiveUnacknowledged),
            (AlarmChange::Acknowledged, ActiveUnacknowledged, ActiveAcknowledged),
            (AlarmChange::Returned, ActiveAcknowledged, Normal),
        ]
    );
    assert_eq!(seen[1].status.message.en.as_deref(), Some("test/t: 61, limit 60"));
    assert_eq!((seen[2].by.as_deref(), seen[3].by.as_deref()), (Some("kim"), None));
    rig.shutdown.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_latched_alarm_keeps_its_output_until_it_is_acknowledged() {
    let rig = Rig::new(vec![with_fan(Manner { latch: true, automatic: false }, 0)]);
    rig.written().await;
    rig.read(61.0);
    assert_eq!(rig.written().await, Value::Bool(true));
    rig.read(20.0);
    assert_eq!(rig.engine.status()[0].state, AlarmState::Latched);
    assert_eq!(rig.commander.holder(PointId(1)).as_deref(), Some("hot"));
    rig.ask(hot(), AlarmAction::Acknowledge).unwrap();
    assert_eq!(rig.written().await, Value::Bool(false));
    rig.shutdown.cancel();
}

#[tokio::test(start_paused = true)]
async fn shelves_end_and_groups_are_acknowledged_as_one() {
    let other = Rule { name: "hotter".into(), ..rule(0, 0, Manner::default()) };
    let alone = Rule { name: "alone".into(), groups: Arc::new([]), ..rule(0, 0, Manner::default()) };
    let rig = Rig::new(vec![rule(0, 0, Manner::default()), other, alone]);
    rig.read(61.0);
    rig.ask(hot(), AlarmAction::Shelve(Duration::from_secs(3600))).unwrap();
    let group = || AlarmTarget::Group("press".into());
    let done = rig.ask(group(), AlarmAction::Acknowledge).unwrap();
    assert_eq!(done.iter().map(|status| &*status.name).collect::<Vec<_>>(), ["hotter"]);
    assert!(matches!(rig.ask(group(), AlarmAction::Acknowledge), Err(AlarmRefusal::State(_))));
    let missing = AlarmTarget::Group("pres".into());
    assert!(matches!(rig.ask(missing, AlarmAction::Acknowledge), Err(AlarmRefusal::Unknown(_))));
    assert!(matches!(
        rig.ask(AlarmTarget::Alarm("x".into()), AlarmAction::PutBack),
        Err(AlarmRefusal::Unknown(_))
    ));
    let before = rig.clock.mono();
    rig.until(AlarmState::ActiveUnacknowledged).await;
    let took = rig.clock.mono() - before;
    assert!(took >= Duration::from_secs(3600) && took < Duration::from_secs(3601), "{took:?}");
    assert_eq!(rig.engine.status()[2].state, AlarmState::ActiveUnacknowledged);
    let nobody =
        AlarmRequest { target: hot(), action: AlarmAction::Acknowledge, by: " ".into(), comment: None };
    assert!(matches!(rig.engine.operate(&nobody), Err(AlarmRefusal::Request(_))));
    rig.shutdown.cancel();
}

#[tokio::test(start_paused = true)]
async fn the_silence_of_a_device_is_an_alarm() {
    let silent = Rule {
        inputs: vec![],
        device: Some("press".into()),
        detector: Detector::NoAnswer,
        ..rule(10, 0, Manner::default())
    };
    let rig = Rig::new(vec![silent]);
    rig.engine.link("press", false);
    rig.engine.link("other", false);
    assert!(rig.engine.status()[0].pending);
    rig.until(AlarmState::ActiveUnacknowledged).await;
    assert_eq!(rig.engine.status()[0].condition, Some("no-answer"));
    rig.engine.link("press", true);
    assert_eq!(rig.engine.status()[0].state, AlarmState::ReturnedUnacknowledged);
    rig.shutdown.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_one_state_of_the_plant() {
    use super::super::detect::Formula;
    let (expression, _) = crate::model::expression::parse("a > b", &["a", "b"]).unwrap();
    let detector = Detector::Formula(Formula { expression, uses: [0, 1].into() });
    let both = Rule { inputs: vec![PointId(0), PointId(1)], detector, ..rule(0, 0, Manner::default()) };
    let rig = Rig::new(vec![both]);
    for round in 0..10 {
        // The first point overtakes the second for as long as only it has been taken in.
        let read = |point, value| Reading::good(PointId(point), Value::Float(value), rig.clock.stamp());
        rig.engine.observe(&[read(0, f64::from(round)), read(1, f64::from(round) + 0.5)]);
    }
    assert!(rig.seen.lock().unwrap().is_empty());
    rig.shutdown.cancel();
}

#[tokio::test(start_paused = true)]
async fn figures_count_what_people_hear_and_groups_know_what_came_first() {
    let hotter = Rule { name: "hotter".into(), ..rule(5, 0, Manner::default()) };
    let rig = Rig::new(vec![rule(0, 0, Manner::default()), hotter]);
    rig.read(61.0);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let overview = rig.engine.overview();
    assert_eq!((overview.figures.total, overview.figures.standing), (2, 2));
    assert_eq!(overview.figures.most_frequent, [("hot".into(), 1), ("hotter".into(), 1)]);
    let [press] = &overview.groups[..] else { panic!("one group: {overview:?}") };
    assert_eq!((press.unacknowledged, press.active), (2, 2));
    assert_eq!(press.first_out.as_ref().map(|first| &*first.alarm), Some("hot"));
    let status = rig.engine.status();
    assert_eq!((status[0].first_of.len(), status[1].first_of.len()), (1, 0));
    assert_eq!(rig.groups.lock().unwrap().len(), 2, "told once for each alarm");
    rig.ask(AlarmTarget::Alarm("hotter".into()), AlarmAction::Shelve(Duration::from_secs(60))).unwrap();
    rig.ask(hot(), AlarmAction::Acknowledge).unwrap();
    assert_eq!(rig.groups.lock().unwrap().last().unwrap().first_out, None, "nobody is asked any more");
    rig.read(50.0);
    rig.read(61.0);
    let figures = rig.engine.overview().figures;
    assert_eq!(
        (figures.total, figures.shelved, figures.standing),
        (3, 1, 1),
        "the shelved one does not count"
    );
    rig.shutdown.cancel();
}

#[tokio::test(start_paused = true)]
async fn counts_and_first_outs_outlive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let hotter = Rule { name: "hotter".into(), ..rule(5, 0, Manner::default()) };
    let rules = || vec![hotter.clone(), rule(0, 0, Manner::default())];
    let start = |rig: Rig| {
        let (store, kept) = Store::open(directory.path()).unwrap();
        let boot = Boot::read(&rig.clock).unwrap();
        rig.shutdown.cancel();
        let engine = Engine::new(
            rules(),
            Arc::clone(&rig.engine.points),
            rig.commander.clone(),
            rig.clock.clone(),
            vec![],
        );
        engine.with_store(store, &kept, boot)
    };
    let engine = start(Rig::new(rules()));
    let read = |engine: &Engine, value: f64| {
        engine.observe(&[Reading::good(PointId(0), Value::Float(value), engine.clock.stamp())]);
    };
    read(&engine, 61.0);
    tokio::time::sleep(Duration::from_secs(6)).await;
    engine.tick();
    read(&engine, 50.0);
    let before = engine.overview();
    assert_eq!(before.groups[0].first_out.as_ref().map(|first| &*first.alarm), Some("hot"));
    drop(engine);
    let after = start(Rig::new(rules())).overview();
    assert_eq!(after.groups, before.groups);
    let (then, now) = (before.figures, after.figures);
    assert_eq!((now.last_day, now.unacknowledged, now.total), (then.last_day, then.unacknowledged, 0));
    assert_eq!(now.most_frequent, then.most_frequent);
}

#[tokio::test(start_paused = true)]
async fn what_happens_behind_a_shelf_is_nobodys_doing() {
    let rig = Rig::new(vec![rule(0, 0, Manner::default())]);
    rig.read(61.0);
    rig.ask(hot(), AlarmAction::Shelve(Duration::from_secs(60))).unwrap();
    rig.read(50.0);
    assert_eq!(rig.engine.status()[0].by.as_deref(), Some("kim"), "the page shows who has shelved it");
    rig.until(AlarmState::Normal).await;
    let seen = rig.seen.lock().unwrap();
    let told: Vec<_> = seen.iter().map(|event| (event.change, event.by.as_deref())).collect();
    use AlarmChange::{Raised, Returned, Shelved, Unshelved};
    assert_eq!(told, [(Raised, None), (Shelved, Some("kim")), (Returned, None), (Unshelved, None)]);
    rig.shutdown.cancel();
}
