//! Tests of what a watchdog's section means, and of the schedule with time given by hand.

use super::*;

fn device(yaml: &str) -> DeviceConfig {
    serde_yaml::from_str(yaml).unwrap()
}

fn tcp() -> Transport {
    serde_json::from_str(r#"{"modbus-tcp": {"address": "192.0.2.1:502", "timeout": "1s"}}"#).unwrap()
}

fn guard() -> Guard {
    let yaml = "{ watchdog: { arm: [{ holding: 1, words: [9] }], every: 1s, feed: [{ holding: 3, words: [1] }, { holding: 3, words: [2] }] } }";
    Guard::new(&device(yaml).guard().unwrap().unwrap())
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn mistakes_are_named_with_their_remedy() {
    let arm = "arm: [{ holding: 1, words: [1] }]";
    let feed = "feed: [{ holding: 3, words: [1] }]";
    for (yaml, message) in [
        (format!("{{ watchdog: {{ {arm}, {feed} }} }}"), "`feed` without `every`"),
        (format!("{{ watchdog: {{ {arm}, every: 1s }} }}"), "`every` without `feed`"),
        (format!("{{ watchdog: {{ {feed}, every: 1s }} }}"), "without `arm`"),
        (format!("{{ watchdog: {{ {arm}, {feed}, every: 0s }} }}"), "more than nothing"),
        (format!("{{ watchdog: {{ {arm}, {feed}, every: 61s }} }}"), "at most 60s"),
        (
            format!("{{ watchdog: {{ {arm}, {feed}, every: 500ms }} }}"),
            "an answer that is missing takes it for 1s",
        ),
        (format!("{{ timeout: 3s, watchdog: {{ {arm}, {feed}, every: 2s }} }}"), "takes it for 3s"),
        ("{ watchdog: { arm: [{ holding: 70000, words: [1] }] } }".into(), "addresses end at 65535"),
        (format!("{{ watchdog: {{ {arm}, disarm: [{{ coil: 1, words: [2] }}] }} }}"), "1 for on"),
    ] {
        let problems = device(&yaml).watchdog_problems(Some(&tcp()));
        assert!(problems.len() == 1 && problems[0].0.contains(message), "{yaml}: {problems:?}");
        assert!(!problems[0].1.is_empty());
    }
    let sound = format!("{{ watchdog: {{ {arm}, {feed}, every: 1s }} }}");
    assert_eq!(device(&sound).watchdog_problems(Some(&tcp())), []);
    assert_eq!(device("{}").guard(), Ok(None));
}

#[test]
fn a_broadcast_cannot_be_watched_over() {
    let line = serde_json::from_str(r#"{"modbus-rtu": {"port": "p"}}"#).unwrap();
    let config = device("{ unit: 0, watchdog: { arm: [{ holding: 1, words: [1] }] } }");
    let problems = config.watchdog_problems(Some(&line));
    assert!(problems.len() == 1 && problems[0].0.contains("broadcast"), "{problems:?}");
}

#[test]
fn what_is_armed_is_fed_in_its_period_and_in_turn() {
    let (mut guard, begin) = (guard(), Instant::now());
    assert_eq!(guard.turn(begin, true), Turn::None, "nothing is fed before it is armed");
    assert!(guard.arm(begin));
    assert!(!guard.arm(begin), "it was armed already");
    assert_eq!((guard.turn(begin, true), guard.next()), (Turn::Feed, 0));
    assert!(guard.fed(begin, begin + 20 * MS));
    assert_eq!((guard.turn(begin + 20 * MS, true), guard.next()), (Turn::At(begin + 1000 * MS), 1));
    assert_eq!(guard.turn(begin + 1000 * MS, true), Turn::Feed);
    assert!(guard.fed(begin + 1000 * MS, begin + 1010 * MS));
    assert_eq!(guard.next(), 0);
    guard.lose();
    assert_eq!(guard.turn(begin + 9000 * MS, true), Turn::None);
    assert!(
        guard.fed(begin + 9000 * MS, begin + 9010 * MS) && !guard.is_armed(),
        "an answer does not arm it"
    );
}

#[test]
fn what_comes_after_twice_the_period_is_late() {
    let (mut guard, begin) = (guard(), Instant::now());
    guard.arm(begin);
    assert!(guard.fed(begin, begin));
    assert_eq!(guard.turn(begin + 2000 * MS, true), Turn::Feed);
    assert_eq!(guard.turn(begin + 2001 * MS, true), Turn::Late);
    assert!(!guard.clone().fed(begin + 1500 * MS, begin + 2001 * MS), "it was on its way for too long");
    guard.missed(begin + 1000 * MS);
    assert_eq!(guard.turn(begin + 1100 * MS, true), Turn::At(begin + 1250 * MS));
}

#[test]
fn nothing_is_fed_and_nothing_judged_while_the_arbiter_is_silent() {
    let (mut guard, begin) = (guard(), Instant::now());
    guard.arm(begin);
    assert_eq!(guard.turn(begin, false), Turn::Held(begin + BEAT));
    assert_eq!(guard.turn(begin + 60_000 * MS, false), Turn::Held(begin + 60_000 * MS + BEAT));
    assert_eq!(guard.turn(begin + 60_000 * MS, true), Turn::Late);
}
