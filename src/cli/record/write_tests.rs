//! Recordings as texts: what is written, and that it reads back whatever names and values hold.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn scope() -> Scope {
    let alarms = [("hot", vec!["press/fan".into()]), ("old", vec!["press/lamp".into()])];
    Scope {
        inputs: vec!["press/t".into()],
        outputs: vec!["press/fan".into(), "press/lamp".into()],
        alarms: alarms.into_iter().map(|(name, outputs)| (name.into(), outputs)).collect(),
        poll: Duration::from_secs(1),
    }
}

fn point(name: &str, value: &Json, quality: &str, second: u32, age_ms: u64) -> Json {
    let reason = (quality != "good").then_some("timeout");
    json!({ "name": name, "value": value, "quality": quality, "reason": reason,
        "time": format!("2026-11-21T08:00:{second:02}.250Z"), "ageMs": age_ms })
}

fn alarm(name: &str, state: &str, second: u32) -> Json {
    json!({ "name": name, "state": state, "pending": false, "since": format!("2026-11-21T08:00:{second:02}.500Z"),
        "shelvedUntil": (state == "shelved").then_some("2026-11-21T09:00:40.500Z") })
}

fn look(t: &Json, fan: bool, second: u32) -> Json {
    json!([
        t,
        point("press/fan", &json!(fan), "good", second, 0),
        point("press/lamp", &json!(true), "good", second, 0),
        point("other/x", &json!(1), "good", second, 0),
    ])
}

#[test]
fn a_recording_becomes_a_test() {
    let status = json!({ "time": "2026-11-21T08:00:00.000Z" });
    let alarms = |second: u32| {
        let (state, since) = match second {
            0..12 => ("normal", 0),
            12..15 => ("active-unacknowledged", 12),
            15..40 => ("active-acknowledged", 15),
            _ => ("shelved", 40),
        };
        json!([alarm("hot", state, since), alarm("old", "latched", 0)])
    };
    let points = |second: u32| {
        let t = match second {
            0..10 => point("press/t", &json!(40.5), "good", second, 0),
            10..15 => point("press/t", &json!(61), "good", second, 0),
            // The last value stays, and grows old.
            _ => point("press/t", &json!(61), "bad", 14, u64::from(second - 14) * 1000),
        };
        look(&t, second >= 12, second)
    };
    let mut recording = Recording::begin(&scope(), &status, &points(0), &alarms(0)).unwrap();
    for second in 1..=40 {
        recording.take(&points(second), &alarms(second)).unwrap();
    }
    let text = case(&recording, &scope(), Some("a \"hot\" platen"));
    let expected = "\
# Recorded at 2026-11-21T08:00:00Z: 1 point, 2 outputs, 2 alarms.
# Without the alarm old: it was latched at the beginning.
tests:
  \"a \\\"hot\\\" platen\":
    given:
      press/fan:
        0s: off
      press/lamp:
        0s: on
      press/t:
        0s: 40.5
        10.25s: 61
        15.25s: { quality: bad, reason: timeout }
    do:
      15.5s: [{ acknowledge: hot }]
      40.5s: [{ shelve: hot, for: 1h }]
    expect:
      alarms:
        hot:
          12.5s: [active-unacknowledged]
          15.5s: [active-acknowledged]
          40.5s: [shelved]
      values:
        press/fan:
          6.25s: off
          26.25s: on
    until: 40.25s
    tolerance: 2s
";
    assert_eq!(text, expected);
}

fn event(alarm: &str, from: &str, to: &str, by: Option<&str>, ms: i64) -> Json {
    // 2026-11-21T08:00:00Z, where the recording begins.
    json!({ "id": ms, "unixUs": (1_795_248_000_000 + ms) * 1000, "alarm": alarm, "from": from, "to": to, "by": by })
}

#[test]
fn what_lies_between_two_looks_is_taken_from_the_journals() {
    let status = json!({ "time": "2026-11-21T08:00:00.000Z" });
    let points = |second: u32| look(&point("press/t", &json!(40.5), "good", second, 0), false, second);
    let quiet = json!([alarm("hot", "normal", 0), alarm("old", "normal", 0)]);
    let mut recording = Recording::begin(&scope(), &status, &points(0), &quiet).unwrap();
    recording.take(&points(20), &quiet).unwrap();
    let active = "active-unacknowledged";
    let events = [
        event("hot", "normal", active, None, 3_000),
        event("hot", active, active, None, 3_010),
        event("hot", active, "active-acknowledged", Some("kim (web page from 192.0.2.7)"), 3_020),
        event("hot", "active-acknowledged", "normal", None, 3_040),
        event("hot", "normal", "shelved", Some("gateway"), 3_050),
        event("hot", "shelved", "normal", Some("kim"), 3_060),
        event("somebody-else-s", "normal", active, None, 3_070),
        event("hot", "normal", active, None, 25_000),
    ];
    recording.take_journal(&events).unwrap();
    let given = |ms: i64, origin: &str, subject: &str, new: &str, outcome: &str| {
        json!({ "kind": "command", "unixUs": (1_795_248_000_000 + ms) * 1000, "origin": origin,
            "subject": subject, "new": new, "outcome": outcome })
    };
    let records = [
        given(-5, "web page from 192.0.2.7", "press/fan", "true", "verified"),
        given(4_000, "web page from 192.0.2.7", "press/fan", "true", "verified"),
        given(5_000, "mqtt client panel", "press/lamp", "false", "rejected"),
        given(6_000, "alarm hot", "press/fan", "true", "verified"),
        given(7_000, "mqtt client panel", "other/x", "1", "verified"),
        given(8_000, "mqtt client panel", "press/fan", "false", "failed"),
    ];
    recording.take_commands(&scope(), &records);
    let text = case(&recording, &scope(), Some("short"));
    let part = |from: &str, to: &str| {
        let begin = text.find(from).unwrap_or_else(|| panic!("{text}"));
        text[begin..begin + text[begin..].find(to).unwrap_or_else(|| panic!("{text}"))].to_owned()
    };
    let expected = "    do:
      3.02s: [{ acknowledge: hot }]
      3.06s: [{ unshelve: hot }]
      4s: [{ write: press/fan, value: on }]
      5s: [{ write: press/lamp, value: off, outcome: rejected }]
";
    assert_eq!(part("    do:", "    expect:"), expected);
    let expected = "        hot:
          3s: [active-unacknowledged]
          3.02s: [active-acknowledged]
          3.04s: [normal]
          3.05s: [shelved]
          3.06s: [normal]
";
    assert_eq!(part("        hot:", "        old:"), expected);
    assert!(text.contains("# Without a command to press/fan that ended as failed"), "{text}");
}

#[test]
fn another_gateway_is_noticed() {
    let status = json!({ "time": "2026-11-21T08:00:00.000Z" });
    let points = look(&point("press/t", &json!(1), "good", 0, 0), false, 0);
    let alarms = json!([alarm("hot", "normal", 0)]);
    let why = Recording::begin(&scope(), &status, &points, &alarms).unwrap_err();
    assert!(why.contains("no alarm `old`"), "{why}");
    let alarms = json!([alarm("hot", "normal", 0), alarm("old", "normal", 0)]);
    let why = Recording::begin(&scope(), &status, &json!([]), &alarms).unwrap_err();
    assert!(why.contains("no point `press/fan`"), "{why}");
    assert!(Recording::begin(&scope(), &json!({}), &points, &alarms).is_err());
}

proptest! {
    #[test]
    fn names_and_values_read_back(name in ".{1,40}", value in ".{0,40}") {
        let text = format!("{}: {}", key(&name), quoted(&value));
        let read: BTreeMap<String, String> = serde_yaml::from_str(&text).unwrap();
        prop_assert_eq!(read, BTreeMap::from([(name, value.replace('$', "$$"))]));
    }
}
