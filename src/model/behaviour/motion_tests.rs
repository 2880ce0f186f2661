//! Tests of `motion`: what moves, stays within its bounds and depends on nothing but its seed.

use proptest::prelude::*;

use super::super::super::units::Period;
use super::*;

fn motion(yaml: &str, kind: ValueKind) -> Motion {
    Motion::new(&serde_yaml::from_str(yaml).unwrap(), kind, 7).unwrap()
}

fn float(motion: &mut Motion, seconds: f64, drive: f64) -> f64 {
    motion.at(Duration::from_secs_f64(seconds), drive).as_f64().unwrap()
}

#[test]
fn a_press_heats_up_and_cools_while_its_fan_runs() {
    let mut press = motion(
        "responds: { to: press/fan, off: 95, on: 35, time-constant: 20s, start: 40 }",
        ValueKind::Float,
    );
    assert_eq!(float(&mut press, 0.0, 0.0), 40.0);
    let warm = float(&mut press, 20.0, 0.0);
    assert!((warm - (95.0 - 55.0 / std::f64::consts::E)).abs() < 1e-9, "{warm}");
    let cooled = float(&mut press, 80.0, 1.0);
    assert!(cooled < 38.0 && cooled > 35.0, "{cooled}");
    assert_eq!(float(&mut press, 70.0, 0.0), cooled, "time does not run backwards");
}

#[test]
fn digital_and_named_values_move() {
    let mut square = motion("square: { period: 20s, on: 5s, phase: 16s }", ValueKind::Bool);
    let states: Vec<bool> =
        [0, 3, 4, 8, 9].map(|s| square.at(Duration::from_secs(s), 0.0) == Value::Bool(true)).into();
    assert_eq!(states, [false, false, true, true, false]);
    let mut steps = motion("steps: { values: [Idle, Run], every: 2s }", ValueKind::Text);
    assert_eq!(steps.at(Duration::from_secs(3), 0.0), Value::from("Run"));
    assert_eq!(steps.at(Duration::from_secs(4), 0.0), Value::from("Idle"));
    let mut contact = motion("follows: { to: a/b, delay: 2s }", ValueKind::Bool);
    assert_eq!(contact.at(Duration::from_secs(1), 1.0), Value::Bool(false));
    assert_eq!(contact.at(Duration::from_secs(3), 1.0), Value::Bool(true));
    let mut inverted = motion("follows: { to: a/b, inverted: true }", ValueKind::Bool);
    assert_eq!(inverted.at(Duration::ZERO, 0.0), Value::Bool(true));
    assert_eq!(inverted.at(Duration::ZERO, 1.0), Value::Bool(false));
}

#[test]
fn counters_are_whole_and_ramps_turn() {
    let mut count = motion("count: { start: 1200, every: 4s }", ValueKind::Integer);
    assert_eq!(count.at(Duration::from_secs(9), 0.0), Value::Int(1202));
    let mut saw = motion("ramp: { from: 0, to: 100, period: 10s }", ValueKind::Float);
    assert_eq!((float(&mut saw, 9.0, 0.0), float(&mut saw, 10.0, 0.0)), (90.0, 0.0));
    let mut turning = motion("ramp: { from: 0, to: 100, period: 10s, returns: true }", ValueKind::Float);
    assert_eq!((float(&mut turning, 5.0, 0.0), float(&mut turning, 7.5, 0.0)), (100.0, 50.0));
}

fn numeric() -> impl Strategy<Value = (Behaviour, (f64, f64))> {
    let period = || (1u64..100_000).prop_map(Period::from_millis);
    let number = || -1e6f64..1e6;
    prop_oneof![
        (number(), number(), period(), any::<bool>(), 0.0f64..10.0).prop_map(
            |(from, to, period, returns, noise)| {
                let bounds = (from.min(to) - noise, from.max(to) + noise);
                (Behaviour::Ramp(Ramp { from, to, period, returns, noise }), bounds)
            }
        ),
        (number(), 0.0f64..1e3, period(), period(), 0.0f64..10.0).prop_map(
            |(mean, amplitude, period, phase, noise)| {
                let bounds = (mean - amplitude - noise, mean + amplitude + noise);
                (Behaviour::Sine(Sine { mean, amplitude, period, phase, noise }), bounds)
            }
        ),
        (number(), 0.0f64..1e3, 0.0f64..1e3, period()).prop_map(|(start, room, step, every)| {
            let (low, high) = (start - room, start + room);
            (Behaviour::Walk(Walk { start, step, low, high, every }), (low, high))
        }),
        (number(), number(), number(), period(), 0.0f64..10.0).prop_map(
            |(off, on, start, time_constant, noise)| {
                let bounds = (off.min(on).min(start) - noise, off.max(on).max(start) + noise);
                let to = "a/b".into();
                (
                    Behaviour::Responds(Responds { to, off, on, time_constant, start: Some(start), noise }),
                    bounds,
                )
            }
        ),
    ]
}

proptest! {
    #[test]
    fn values_keep_to_their_bounds_and_come_from_the_seed_alone(
        (behaviour, (low, high)) in numeric(),
        mut times in prop::collection::vec((0u64..1_000_000, 0.0f64..=1.0), 1..20), seed: u64,
    ) {
        times.sort_by_key(|(ms, _)| *ms);
        let mut one = Motion::new(&behaviour, ValueKind::Float, seed).unwrap();
        let mut other = one.clone();
        for (ms, drive) in times {
            let time = Duration::from_millis(ms);
            let value = one.at(time, drive);
            prop_assert_eq!(&value, &other.at(time, drive));
            prop_assert_eq!(&value, &other.at(time, drive), "looking twice changes nothing");
            let slack = 1e-6 * (1.0 + low.abs().max(high.abs()));
            let number = value.as_f64().unwrap();
            prop_assert!(number >= low - slack && number <= high + slack, "{number} in {low}..{high}");
        }
    }

    #[test]
    fn a_walk_does_not_depend_on_how_often_one_looks(looks in prop::collection::vec(0u64..60_000, 0..20)) {
        let mut often = motion("walk: { start: 0, step: 1, low: -9, high: 9 }", ValueKind::Float);
        let mut once = often.clone();
        let mut looks = looks;
        looks.sort_unstable();
        for ms in looks {
            often.at(Duration::from_millis(ms), 0.0);
        }
        let end = Duration::from_secs(60);
        prop_assert_eq!(often.at(end, 0.0), once.at(end, 0.0));
    }
}
