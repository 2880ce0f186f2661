//! Every kind of condition: when it holds, when it is gone, and what a bad reading does to it.

use proptest::prelude::*;

use super::*;
use crate::model::expression::parse;
use crate::model::{PointId, Reason};

/// Readings into one detector, at seconds after a start.
struct Bench {
    detector: Detector,
    memory: Memory,
    current: Option<Condition>,
    start: Instant,
}

impl Bench {
    fn new(detector: Detector, inputs: usize) -> Self {
        let mut memory = Memory::new(&detector, inputs);
        let start = Instant::now();
        memory.begin(start);
        Self { detector, memory, current: None, start }
    }

    fn at(&self, seconds: f64) -> Instant {
        self.start + Duration::from_secs_f64(seconds)
    }

    fn take(&mut self, place: usize, seconds: f64, value: impl Into<Value>, quality: Quality) {
        let at = Stamp { mono: self.at(seconds), unix_us: 0 };
        let reading = Reading { point: PointId(0), value: Some(value.into()), quality, at };
        self.detector.take(&mut self.memory, place, &reading);
    }

    /// What is seen, taken over as what counts, as it is without delays.
    fn look(&mut self, seconds: f64) -> Sight {
        let now = self.at(seconds);
        let sight = self.detector.look(&mut self.memory, self.current, now);
        match sight {
            Beyond(condition) => self.current = Some(condition),
            Inside => self.current = None,
            Between | Blind => {}
        }
        sight
    }

    fn good(&mut self, seconds: f64, value: impl Into<Value>) -> Sight {
        self.take(0, seconds, value, Quality::Good);
        self.look(seconds)
    }

    fn bad(&mut self, seconds: f64) -> Sight {
        self.take(0, seconds, 0.0, Quality::Bad(Reason::Timeout));
        self.look(seconds)
    }
}

const ALL_LIMITS: Limits =
    Limits { high_high: Some(80.0), high: Some(60.0), low: Some(5.0), low_low: Some(0.0), hysteresis: 2.0 };

use Condition::{
    Above, Bad, Below, Falling, High, HighHigh, Low, LowLow, NoAnswer, NoChange, Rising, Stale, State,
};
use Sight::{Between, Beyond, Blind, Inside};

#[test]
fn levels_exclude_each_other_and_end_by_the_hysteresis() {
    let mut bench = Bench::new(Detector::Limits(ALL_LIMITS), 1);
    assert_eq!(bench.look(0.0), Blind, "nothing was read");
    for (value, sight) in [
        (59.9, Inside),
        (60.0, Beyond(High)),
        (58.1, Between),
        (58.0, Inside),
        (58.5, Inside),
        (80.0, Beyond(HighHigh)),
        (78.5, Between),
        (78.0, Beyond(High)),
        (79.0, Beyond(High)),
        (80.0, Beyond(HighHigh)),
        (59.0, Beyond(High)),
        (58.5, Between),
        (5.0, Beyond(Low)),
        (6.9, Between),
        (-1.0, Beyond(LowLow)),
        (1.0, Between),
        (2.5, Beyond(Low)),
        (7.0, Inside),
    ] {
        assert_eq!(bench.good(0.0, value), sight, "at {value}");
    }
    bench.good(0.0, 61.0);
    assert_eq!(bench.bad(1.0), Blind);
    assert_eq!(bench.good(2.0, 59.0), Between, "the last good reading counts on");
}

#[test]
fn a_rate_is_a_movement_within_its_time() {
    let rate = Rate { rise: Some(10.0), fall: Some(4.0), within: Duration::from_secs(16), hysteresis: 1.0 };
    let mut bench = Bench::new(Detector::Rate(rate), 1);
    assert_eq!(bench.good(0.0, 20.0), Inside);
    assert_eq!(bench.good(8.0, 29.9), Inside);
    assert_eq!(bench.good(9.0, 30.0), Beyond(Rising));
    assert_eq!(bench.good(15.5, 29.5), Between, "9.5 within the time");
    assert_eq!(bench.bad(16.0), Blind);
    assert_eq!(bench.good(17.0, 29.5), Inside, "the 20 of the beginning is too old");
    assert_eq!(bench.good(18.0, 26.0), Beyond(Falling));
    // Nothing more is read: the movement is over when its time is.
    let due = bench.detector.due(&bench.memory, bench.current, bench.at(18.0)).unwrap();
    assert!(due > bench.at(18.0) && due <= bench.at(19.0));
    assert_eq!(bench.look(60.0), Inside);
}

#[test]
fn a_deviation_follows_its_reference() {
    let limits = Limits { high: Some(5.0), low: Some(-3.0), hysteresis: 1.0, ..Limits::default() };
    let mut bench = Bench::new(Detector::Deviation { limits, from: Reference::Input }, 2);
    assert_eq!(bench.good(0.0, 60.0), Blind, "the reference is not known");
    bench.take(1, 0.0, 55.5, Quality::Good);
    assert_eq!(bench.look(0.0), Inside);
    bench.take(1, 1.0, 55.0, Quality::Good);
    assert_eq!(bench.look(1.0), Beyond(Above));
    bench.take(1, 2.0, 55.5, Quality::Good);
    assert_eq!(bench.look(2.0), Between);
    bench.take(1, 3.0, 63.0, Quality::Good);
    assert_eq!(bench.look(3.0), Beyond(Below));
    bench.take(1, 4.0, 60.0, Quality::Bad(Reason::Timeout));
    assert_eq!(bench.look(4.0), Blind, "a bad reference clears nothing");
    let mut fixed = Bench::new(Detector::Deviation { limits, from: Reference::Fixed(10.0) }, 1);
    assert_eq!(fixed.good(0.0, 15.0), Beyond(Above));
}

#[test]
fn states_are_compared_by_kind() {
    let words = Detector::States([Value::from("Fault"), Value::from("Open")].into());
    let mut bench = Bench::new(words, 1);
    assert_eq!(bench.good(0.0, "Run"), Inside);
    assert_eq!(bench.good(1.0, "Open"), Beyond(State));
    assert_eq!(bench.bad(2.0), Blind);
    let mut digital = Bench::new(Detector::States([Value::Bool(true)].into()), 1);
    assert_eq!(digital.good(0.0, false), Inside);
    assert_eq!(digital.good(1.0, true), Beyond(State));
    let mut number = Bench::new(Detector::States([Value::Int(3)].into()), 1);
    assert_eq!(number.good(0.0, Value::UInt(3)), Beyond(State));
    assert_eq!(number.good(1.0, Value::Int(4)), Inside);
}

#[test]
fn quality_and_staleness_are_conditions_of_their_own() {
    let stale = Some(Duration::from_secs(30));
    let mut bench = Bench::new(Detector::Quality { inputs: 2, grade: Grade::Bad, stale }, 2);
    assert_eq!(bench.look(1.0), Blind);
    assert_eq!(bench.look(30.0), Beyond(Stale), "never read");
    bench.take(1, 31.0, "text", Quality::Good);
    assert_eq!(bench.good(31.0, 1.0), Inside);
    assert_eq!(bench.detector.due(&bench.memory, None, bench.at(31.0)), Some(bench.at(61.0)));
    bench.take(0, 32.0, 1.0, Quality::Uncertain(Reason::Saturated));
    assert_eq!(bench.look(32.0), Inside);
    assert_eq!(bench.look(61.0), Beyond(Stale), "an uncertain one is not good");
    bench.good(62.0, 1.0);
    bench.take(1, 63.0, "x", Quality::Bad(Reason::Timeout));
    assert_eq!(bench.look(63.0), Beyond(Bad), "any of its inputs");
    let mut strict = Bench::new(Detector::Quality { inputs: 1, grade: Grade::NotGood, stale: None }, 1);
    strict.take(0, 0.0, 1.0, Quality::Uncertain(Reason::Saturated));
    assert_eq!(strict.look(0.0), Beyond(Bad));
}

#[test]
fn a_point_is_stale_when_no_good_reading_came_for_so_long_and_not_before() {
    let stale = Some(Duration::from_secs(30));
    let mut bench = Bench::new(Detector::Quality { inputs: 1, grade: Grade::Never, stale }, 2);
    assert_eq!(bench.look(29.0), Inside, "nobody is late before the time is over");
    assert_eq!(bench.look(30.0), Beyond(Stale), "never read");
    assert_eq!(bench.good(31.0, 1.0), Inside);
    assert_eq!(bench.bad(32.0), Inside, "the last good one is not that old");
    bench.take(0, 40.0, 1.0, Quality::Uncertain(Reason::Saturated));
    assert_eq!(bench.detector.due(&bench.memory, None, bench.at(40.0)), Some(bench.at(61.0)));
    assert_eq!(bench.look(61.0), Beyond(Stale), "bad and uncertain ones do not count");
    assert_eq!(bench.bad(62.0), Beyond(Stale));
    assert_eq!(bench.good(63.0, 1.0), Inside);
    bench.take(1, 64.0, 5.0, Quality::Bad(Reason::Timeout));
    assert_eq!(bench.look(64.0), Inside, "an input of its conditions is not watched");
}

#[test]
fn inputs_of_conditions_keep_their_numbers_beside_what_is_watched() {
    let stale = Some(Duration::from_secs(30));
    let (expression, _) = parse("n > 4", &["n"]).unwrap();
    let condition = |place: usize| {
        let mut expression = expression.clone();
        expression.move_inputs(&[place]);
        Formula { expression, uses: [place].into() }
    };
    for detector in [Detector::Quality { inputs: 1, grade: Grade::Bad, stale }, Detector::NoAnswer] {
        let mut bench = Bench::new(detector, 2);
        bench.take(1, 0.0, 5.0, Quality::Good);
        assert_eq!(condition(1).truth(&bench.memory), Some(true));
        bench.take(1, 1.0, 5.0, Quality::Bad(Reason::Timeout));
        assert_eq!(condition(1).truth(&bench.memory), None);
        bench.take(0, 2.0, 3.0, Quality::Good);
        assert_eq!(condition(0).truth(&bench.memory), Some(false));
    }
    let mut device = Bench::new(Detector::NoAnswer, 1);
    device.detector.take_link(&mut device.memory, false);
    device.take(0, 0.0, 1.0, Quality::Good);
    assert_eq!(device.look(0.0), Beyond(NoAnswer), "a reading of an input says nothing of the device");
}

#[test]
fn a_device_is_silent_or_not() {
    let mut bench = Bench::new(Detector::NoAnswer, 0);
    assert_eq!(bench.look(0.0), Blind);
    bench.detector.take_link(&mut bench.memory, false);
    assert_eq!(bench.look(1.0), Beyond(NoAnswer));
    bench.detector.take_link(&mut bench.memory, true);
    assert_eq!(bench.look(2.0), Inside);
}

#[test]
fn a_frozen_sensor_is_one_that_does_not_move() {
    let mut bench = Bench::new(Detector::NoChange { during: Duration::from_secs(60), by: 0.5 }, 1);
    assert_eq!(bench.good(0.0, 20.0), Inside);
    assert_eq!(bench.good(30.0, 20.5), Inside, "not by more than 0.5");
    assert_eq!(bench.detector.due(&bench.memory, None, bench.at(30.0)), Some(bench.at(60.0)));
    assert_eq!(bench.bad(59.0), Blind);
    assert_eq!(bench.look(61.0), Blind, "a bad reading raises nothing");
    assert_eq!(bench.good(62.0, 20.2), Beyond(NoChange), "and is no move either");
    assert_eq!(bench.good(63.0, 20.6), Inside);
    assert_eq!(bench.good(122.0, 20.6), Inside);
    assert_eq!(bench.look(123.0), Beyond(NoChange));
    bench.memory.restart(bench.at(124.0));
    assert_eq!(bench.look(125.0), Inside, "counted anew");
}

#[test]
fn a_formula_needs_all_its_inputs() {
    let (expression, _) = parse("a - b > 2 and not c", &["a", "b", "c"]).unwrap();
    let formula = Formula { expression, uses: [0, 1, 2].into() };
    let mut bench = Bench::new(Detector::Formula(formula), 3);
    bench.take(0, 0.0, 5.0, Quality::Good);
    bench.take(1, 0.0, 2.0, Quality::Good);
    assert_eq!(bench.look(0.0), Blind);
    bench.take(2, 0.0, false, Quality::Good);
    assert_eq!(bench.look(0.0), Beyond(Formula_));
    bench.take(1, 1.0, 2.0, Quality::Bad(Reason::Timeout));
    assert_eq!(bench.look(1.0), Blind);
    bench.take(1, 2.0, 3.0, Quality::Uncertain(Reason::Saturated));
    assert_eq!(bench.look(2.0), Inside);
}

#[allow(non_upper_case_globals, reason = "the struct of the same name hides the variant")]
const Formula_: Condition = Condition::Formula;

proptest! {
    /// Against the plain meaning: a level counts from its limit until inside by the hysteresis.
    #[test]
    fn limits_mean_what_they_say(values in prop::collection::vec(-10.0f64..90.0, 1..100)) {
        let mut bench = Bench::new(Detector::Limits(ALL_LIMITS), 1);
        let (mut hh, mut h, mut l, mut ll) = (false, false, false, false);
        for value in values {
            hh = value >= 80.0 || (hh && value > 78.0);
            h = value >= 60.0 || (h && value > 58.0);
            l = value <= 5.0 || (l && value < 7.0);
            ll = value <= 0.0 || (ll && value < 2.0);
            let expected = match () {
                () if hh => Some(HighHigh),
                () if ll => Some(LowLow),
                () if h => Some(High),
                () if l => Some(Low),
                () => None,
            };
            bench.good(0.0, value);
            prop_assert_eq!(bench.current, expected, "at {}", value);
        }
    }

    /// The window never misses a move within 15/16 of the time, and never makes one up from beyond it.
    #[test]
    fn a_window_holds_what_its_time_holds(steps in prop::collection::vec((0.0f64..3.0, -50.0f64..50.0), 1..80)) {
        let within = Duration::from_secs(16);
        let (start, mut seconds, mut window, mut all) = (Instant::now(), 0.0, Window::default(), Vec::new());
        for (pause, value) in steps {
            seconds += pause;
            window.push(within, value, start + Duration::from_secs_f64(seconds));
            all.push((seconds, value));
            let since = |age: f64| all.iter().filter(move |(at, _)| seconds - at <= age).map(|(_, value)| *value);
            let rate = |limit| Rate { rise: Some(limit), fall: None, within, hysteresis: 0.0 };
            let now = start + Duration::from_secs_f64(seconds);
            let surely = value - since(14.99).fold(f64::INFINITY, f64::min);
            let at_most = value - since(16.01).fold(f64::INFINITY, f64::min);
            if surely > 0.0 {
                prop_assert_eq!(rate(surely).look(&mut window, value, None, now), Beyond(Rising));
            }
            prop_assert_eq!(rate(at_most + 0.001).look(&mut window, value, None, now), Inside);
        }
    }

    #[test]
    fn a_bad_reading_is_blindness_whatever_was_before(values in prop::collection::vec(-10.0f64..90.0, 1..40)) {
        let mut bench = Bench::new(Detector::Limits(ALL_LIMITS), 1);
        for (second, value) in values.into_iter().enumerate() {
            bench.good(second as f64, value);
            let before = bench.current;
            prop_assert_eq!(bench.bad(second as f64 + 0.5), Blind);
            prop_assert_eq!(bench.current, before);
        }
    }
}
