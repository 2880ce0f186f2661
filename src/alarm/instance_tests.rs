//! One alarm as a whole: delays, quality, suppression, people, and invariants over random histories.

use proptest::prelude::*;

use super::*;
use crate::alarm::delay::Delays;
use crate::alarm::detect::{Formula, Limits};
use crate::alarm::flood::Chattering;
use crate::alarm::life::Manner;
use crate::alarm::text::{Message, Template};
use crate::model::expression::parse;
use crate::model::point::tests::point;
use crate::model::{PointId, Quality, Reason, Severity};

/// Active at 60, worse at 80, gone at 58.
pub(in crate::alarm) fn rule(on: u64, off: u64, manner: Manner) -> Rule {
    let limits = Limits { high_high: Some(80.0), high: Some(60.0), hysteresis: 2.0, ..Limits::default() };
    Rule {
        name: "hot".into(),
        inputs: vec![PointId(0)],
        device: None,
        detector: Detector::Limits(limits),
        enabled: None,
        delays: Delays { on: Duration::from_secs(on), off: Duration::from_secs(off) },
        manner,
        severity: Severity::Warning,
        extreme: Severity::Critical,
        class: None,
        groups: [Arc::from("press")].into(),
        message: Message { en: Template::parse("{point}: {value}, limit {limit}").ok(), ko: None },
        help: Texts::default(),
        chattering: None,
        actions: Vec::new(),
        implied: false,
    }
}

/// The same, but only while the second point is on.
pub(in crate::alarm) fn enabled_rule() -> Rule {
    let (expression, _) = parse("on", &["on"]).unwrap();
    let mut expression = expression;
    expression.move_inputs(&[1]);
    let enabled = Formula { expression, uses: [1].into() };
    let plain = rule(5, 0, Manner::default());
    Rule { inputs: vec![PointId(0), PointId(1)], enabled: Some(enabled), ..plain }
}

struct Bench {
    rule: Rule,
    alarm: Alarm,
    start: Instant,
    told: Vec<AlarmChange>,
}

impl Bench {
    fn new(rule: Rule) -> Self {
        let start = Instant::now();
        Self { alarm: Alarm::new(&rule, start), rule, start, told: Vec::new() }
    }

    /// Wall time that jumps about must not matter.
    fn at(&self, seconds: u64) -> Stamp {
        Stamp { mono: self.start + Duration::from_secs(seconds), unix_us: -(seconds as i64) * 1_000_000 }
    }

    fn look(&mut self, seconds: u64) -> AlarmState {
        let at = self.at(seconds);
        let told = &mut self.told;
        self.alarm.look(&self.rule, at, &mut |_, change, _| told.push(change));
        self.alarm.life.state()
    }

    fn take(&mut self, place: usize, seconds: u64, value: impl Into<Value>, quality: Quality) {
        let reading = Reading { point: PointId(0), value: Some(value.into()), quality, at: self.at(seconds) };
        self.alarm.take(&self.rule, place, &reading);
    }

    fn read(&mut self, seconds: u64, value: f64) -> AlarmState {
        self.take(0, seconds, value, Quality::Good);
        self.look(seconds)
    }

    fn lose(&mut self, seconds: u64) -> AlarmState {
        self.take(0, seconds, 0.0, Quality::Bad(Reason::Timeout));
        self.look(seconds)
    }

    fn act(&mut self, seconds: u64, action: AlarmAction) -> Result<AlarmState, String> {
        let at = self.at(seconds);
        let told = &mut self.told;
        let who = ("kim".into(), Some("seen".into()));
        self.alarm.operate(&self.rule, action, who, at, &mut |_, change, _| told.push(change))?;
        Ok(self.alarm.life.state())
    }
}

use AlarmState::{
    ActiveAcknowledged, ActiveUnacknowledged, Latched, Normal, OutOfService, ReturnedUnacknowledged, Shelved,
    Suppressed,
};

#[test]
fn the_whole_way_of_an_alarm_is_told_step_by_step() {
    let mut bench = Bench::new(rule(5, 0, Manner::default()));
    assert_eq!(bench.read(0, 61.0), Normal);
    assert!(bench.alarm.status(&bench.rule).pending);
    assert_eq!(bench.read(5, 62.0), ActiveUnacknowledged);
    assert_eq!(bench.alarm.value, Some(Value::Float(62.0)));
    assert_eq!(bench.act(6, AlarmAction::Acknowledge), Ok(ActiveAcknowledged));
    let status = bench.alarm.status(&bench.rule);
    assert_eq!((status.by.as_deref(), status.comment.as_deref()), (Some("kim"), Some("seen")));
    assert_eq!(bench.read(7, 81.0), ActiveUnacknowledged, "further out: anew");
    let status = bench.alarm.status(&bench.rule);
    assert_eq!((status.severity, status.condition, status.by), (Severity::Critical, Some("high-high"), None));
    assert_eq!(bench.act(8, AlarmAction::Acknowledge), Ok(ActiveAcknowledged));
    assert_eq!(bench.read(9, 70.0), ActiveAcknowledged, "back to high asks for nothing");
    assert_eq!(bench.read(10, 20.0), Normal);
    use AlarmChange::{Acknowledged, Eased, Escalated, Pending, Raised, Returned};
    assert_eq!(bench.told, [Pending, Raised, Acknowledged, Escalated, Acknowledged, Eased, Returned]);
}

#[test]
fn a_bad_reading_holds_every_state_and_lets_an_on_delay_go_on() {
    let mut bench = Bench::new(rule(5, 5, Manner::default()));
    assert_eq!(bench.lose(0), Normal);
    bench.read(1, 61.0);
    bench.lose(2);
    assert!(bench.alarm.status(&bench.rule).blind);
    assert_eq!(bench.look(6), ActiveUnacknowledged);
    bench.read(7, 20.0);
    bench.lose(8);
    assert_eq!(bench.look(1000), ActiveUnacknowledged);
    assert_eq!(bench.read(1001, 20.0), ActiveUnacknowledged);
    assert_eq!(bench.look(1006), ReturnedUnacknowledged);
    assert_eq!(bench.act(1007, AlarmAction::Acknowledge), Ok(Normal));
}

#[test]
fn a_shelf_ends_by_itself_and_holds_the_outputs() {
    let mut bench = Bench::new(rule(0, 0, Manner::default()));
    assert_eq!(bench.act(0, AlarmAction::Shelve(Duration::from_secs(60))), Ok(Shelved));
    assert_eq!(bench.read(1, 61.0), Shelved);
    let status = bench.alarm.status(&bench.rule);
    assert!(status.active && bench.alarm.life.holds());
    assert_eq!((status.by.as_deref(), status.shelved_until_us), (Some("kim"), Some(60_000_000)));
    assert_eq!(bench.alarm.due(&bench.rule, bench.at(1).mono), Some(bench.at(60).mono));
    assert_eq!(bench.look(59), Shelved);
    assert_eq!(bench.look(60), ActiveUnacknowledged);
    assert_eq!(bench.alarm.status(&bench.rule).by, None);
    let longer = AlarmAction::Shelve(MAX_SHELF + Duration::from_secs(1));
    assert!(bench.act(61, longer).unwrap_err().contains("24 h"));
    assert!(bench.act(61, AlarmAction::Unshelve).unwrap_err().contains("not shelved"));
    assert_eq!(bench.act(62, AlarmAction::TakeOut), Ok(OutOfService));
    assert!(!bench.alarm.life.holds());
    assert!(bench.act(63, AlarmAction::Acknowledge).is_err());
    assert_eq!(bench.act(64, AlarmAction::PutBack), Ok(ActiveUnacknowledged));
}

#[test]
fn an_enabling_condition_suppresses_and_delays_begin_anew_after_it() {
    let mut bench = Bench::new(enabled_rule());
    bench.take(1, 0, true, Quality::Good);
    bench.read(0, 61.0);
    assert_eq!(bench.look(5), ActiveUnacknowledged);
    bench.take(1, 6, false, Quality::Good);
    assert_eq!(bench.look(6), Suppressed);
    assert!(!bench.alarm.life.active() && !bench.alarm.life.holds());
    assert_eq!(bench.read(7, 90.0), Suppressed);
    bench.take(1, 8, true, Quality::Bad(Reason::Timeout));
    assert_eq!(bench.look(8), Suppressed, "whether it is enabled cannot be told");
    bench.take(1, 9, true, Quality::Good);
    assert_eq!(bench.look(9), Normal);
    assert_eq!(bench.look(13), Normal, "the on-delay counts from there");
    assert_eq!(bench.look(14), ActiveUnacknowledged);
}

#[test]
fn a_latched_alarm_that_is_suppressed_is_latched_after_it() {
    let latch = Manner { latch: true, automatic: false };
    let mut bench = Bench::new(Rule { manner: latch, delays: Delays::default(), ..enabled_rule() });
    bench.take(1, 0, true, Quality::Good);
    bench.read(0, 61.0);
    bench.take(1, 1, false, Quality::Good);
    assert_eq!(bench.look(1), Suppressed);
    bench.take(1, 2, true, Quality::Good);
    bench.take(0, 2, 20.0, Quality::Good);
    assert_eq!(bench.look(2), Latched);
    assert!(bench.alarm.life.holds());
    assert_eq!(bench.act(3, AlarmAction::Acknowledge), Ok(Normal));
}

#[test]
fn the_message_holds_values() {
    let points = PointTable::new(vec![point("t")]);
    let mut bench = Bench::new(rule(0, 0, Manner::default()));
    bench.read(0, 61.5);
    let texts = bench.alarm.fill(&bench.rule, &points);
    assert_eq!(texts.en.as_deref(), Some("test/t: 61.5, limit 60"));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Read(f64),
    Lose,
    Enable(Option<bool>),
    Act(AlarmAction),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let action = prop_oneof![
        Just(AlarmAction::Acknowledge),
        (1u64..30).prop_map(|seconds| AlarmAction::Shelve(Duration::from_secs(seconds))),
        Just(AlarmAction::Unshelve),
        Just(AlarmAction::TakeOut),
        Just(AlarmAction::PutBack),
    ];
    prop_oneof![
        4 => (0.0f64..100.0).prop_map(Step::Read),
        2 => Just(Step::Lose),
        1 => prop::option::of(any::<bool>()).prop_map(Step::Enable),
        2 => action.prop_map(Step::Act),
        2 => (1u64..20).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_history_breaks_the_rules(
        steps in prop::collection::vec(step(), 0..120), on in 0u64..8, off in 0u64..8, latch: bool, automatic: bool,
    ) {
        let manner = Manner { latch, automatic };
        let delays = Delays { on: Duration::from_secs(on), off: Duration::from_secs(off) };
        let mut bench = Bench::new(Rule { manner, delays, ..enabled_rule() });
        let mut now = 0;
        for step in steps {
            let before = (bench.alarm.life, bench.alarm.delay.counts);
            let told = bench.told.len();
            match step {
                Step::Read(value) => { bench.read(now, value); }
                Step::Lose => {
                    bench.lose(now);
                    prop_assert!(before.1.is_none() || bench.alarm.delay.counts == before.1, "a bad reading cleared it");
                }
                Step::Enable(on) => {
                    let quality = if on.is_some() { Quality::Good } else { Quality::Bad(Reason::Timeout) };
                    bench.take(1, now, on.unwrap_or(false), quality);
                    bench.look(now);
                }
                Step::Act(action) => {
                    if bench.act(now, action).is_err() {
                        prop_assert_eq!(bench.alarm.life, before.0);
                        prop_assert_eq!(bench.told.len(), told);
                    }
                }
                Step::Wait(seconds) => {
                    now += seconds;
                    bench.look(now);
                    // Whoever looks when it is due has nothing left to do.
                    let due = bench.alarm.due(&bench.rule, bench.at(now).mono);
                    prop_assert!(due.is_none_or(|due| due > bench.at(now).mono));
                }
            }
            let alarm = &bench.alarm;
            prop_assert_eq!(alarm.life.active(), alarm.delay.counts.is_some(), "condition and life agree");
            if alarm.life.active() && !alarm.life.silent() {
                prop_assert!(alarm.life.holds());
            }
            // Whatever changes is told, and only that.
            if alarm.life.state() != before.0.state() {
                prop_assert!(bench.told.len() > told);
            }
            let status = alarm.status(&bench.rule);
            if matches!(status.state, Normal | ActiveUnacknowledged | ReturnedUnacknowledged | Suppressed) {
                prop_assert_eq!(status.by, None, "nobody is named for what nobody did");
            }
        }
    }
}

/// Three times a minute; calm after two.
fn chattering(shelve: bool) -> Rule {
    let [within, calm, shelve_for] = [60, 120, 1800].map(Duration::from_secs);
    let set = Chattering { activations: 3, within, calm, shelve_for, shelve };
    Rule { chattering: Some(set), ..rule(0, 0, Manner::default()) }
}

/// Comes and goes, the first time at this second and then every ten.
fn flutter(bench: &mut Bench, first: u64, times: u64) {
    for time in 0..times {
        bench.read(first + 10 * time, 61.0);
        bench.read(first + 10 * time + 5, 50.0);
    }
}

#[test]
fn a_chattering_alarm_is_offered_to_be_shelved_until_it_is_calm() {
    let mut bench = Bench::new(chattering(false));
    flutter(&mut bench, 0, 5);
    use AlarmChange::{Calmed, Chattering, Raised, Returned};
    let told = [
        Raised, Returned, Raised, Returned, Raised, Chattering, Returned, Raised, Returned, Raised, Returned,
    ];
    assert_eq!(bench.told, told);
    let status = bench.alarm.status(&bench.rule);
    assert_eq!((status.chattering, status.shelve_offer), (true, Some(Duration::from_secs(1800))));
    bench.act(50, AlarmAction::Shelve(Duration::from_secs(600))).unwrap();
    let status = bench.alarm.status(&bench.rule);
    assert_eq!((status.chattering, status.shelve_offer), (true, None), "it is on the shelf");
    assert_eq!(bench.alarm.due(&bench.rule, bench.at(50).mono), Some(bench.at(160).mono));
    bench.look(160);
    assert_eq!(bench.told.last(), Some(&Calmed));
    assert!(!bench.alarm.status(&bench.rule).chattering);
}

#[test]
fn an_alarm_that_chatters_is_shelved_at_once_where_that_is_wanted_but_not_against_anyone() {
    let mut bench = Bench::new(chattering(true));
    flutter(&mut bench, 0, 3);
    let status = bench.alarm.status(&bench.rule);
    assert_eq!((status.state, status.by.as_deref()), (Shelved, Some("gateway")));
    assert_eq!(status.comment.as_deref(), Some("it came 3 times within 1m"));
    assert!(bench.alarm.shelved_until_us.is_some());
    // It goes on behind the shelf; after the end of that it is heard once, and put back there.
    let mut second = 30;
    while !bench.told.contains(&Unshelved) {
        flutter(&mut bench, second, 1);
        second += 10;
    }
    assert!((1_810..1_840).contains(&second), "{second}");
    use AlarmChange::{Raised, Returned, Unshelved};
    assert!(bench.told.ends_with(&[Unshelved, Raised, AlarmChange::Shelved, Returned]), "{:?}", bench.told);
    // Whoever takes it from the shelf wants to hear it.
    bench.act(second + 1, AlarmAction::Unshelve).unwrap();
    flutter(&mut bench, second + 5, 4);
    assert_eq!(bench.alarm.life.state(), ReturnedUnacknowledged);
    assert!(bench.alarm.status(&bench.rule).shelve_offer.is_some());
    // Once it has been calm, that is forgotten.
    bench.look(second + 1000);
    flutter(&mut bench, second + 1000, 3);
    assert_eq!(bench.alarm.life.state(), Shelved);
}
