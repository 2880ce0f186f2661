//! Messages and what they come to.

use proptest::prelude::*;

use super::*;
use crate::driver::entry::{Attached, Surroundings};
use crate::driver::mqtt::{Command, DeviceConfig, MqttConfig, PointConfig};
use crate::driver::text::ExtractConfig;
use crate::model::{Access, Conversion, Value};

/// A device with points, each given as its own keys and those about texts.
pub(in crate::driver::mqtt) fn device(
    config: &str,
    points: &[(&str, &str)],
    first: u32,
) -> Attached<DeviceConfig, Wiring> {
    let config: DeviceConfig = serde_yaml::from_str(config).unwrap();
    let wired = |(place, (own, text)): (usize, &(&str, &str))| {
        let point: PointConfig = serde_yaml::from_str(own).unwrap();
        let text: ExtractConfig = serde_yaml::from_str(text).unwrap();
        let access = if point.mqtt_set.is_some() { Access::Rw } else { Access::R };
        let around = Surroundings { device: &config, access, shift: Default::default(), simulated: false };
        Wired {
            id: PointId(first + u32::try_from(place).unwrap()),
            name: "d/p".into(),
            wiring: Mqtt::wiring(point, &text, &around).unwrap(),
            conversion: Conversion::default(),
            poll: Duration::from_secs(1),
            access,
            tolerance: 0.0,
        }
    };
    let points = points.iter().enumerate().map(wired).collect();
    Attached { name: "d".into(), model: "d".into(), config, points }
}

struct Bench {
    engine: Engine,
    now: Stamp,
    readings: Vec<Reading>,
    changes: Vec<Change>,
}

impl Bench {
    fn new(devices: Vec<Attached<DeviceConfig, Wiring>>) -> Self {
        let plan = Plan { name: "c".into(), config: MqttConfig::default(), devices };
        let now = Stamp { mono: Instant::now(), unix_us: 1_000_000_000 };
        let engine = Engine::new(&Arc::new(plan), now.mono);
        Self { engine, now, readings: Vec::new(), changes: Vec::new() }
    }

    /// A plug with a state, a power and a will, as Tasmota has them.
    fn plug() -> Self {
        let config = "{ mqtt-name: plug, mqtt-max-age: 10m, \
                      mqtt-availability: { topic: 'tele/{device}/LWT', offline: Offline } }";
        Self::new(vec![device(
            config,
            &[
                (
                    "{ mqtt: 'stat/{device}/POWER', mqtt-set: { topic: 'cmnd/{device}/POWER' } }",
                    "{ as: state }",
                ),
                ("{ mqtt: 'tele/{device}/SENSOR' }", "{ json: /ENERGY/Power }"),
            ],
            0,
        )])
    }

    fn pass(&mut self, time: Duration) -> &mut Self {
        self.now.mono += time;
        self.now.unix_us += i64::try_from(time.as_micros()).unwrap();
        self
    }

    fn say(&mut self, topic: &str, payload: &str) -> Vec<(u32, Option<Value>, Quality)> {
        self.hear(topic, payload.as_bytes(), false)
    }

    fn hear(&mut self, topic: &str, payload: &[u8], kept: bool) -> Vec<(u32, Option<Value>, Quality)> {
        let message = Arrived { topic, payload, retain: kept, kept, at: self.now.mono };
        self.engine.take(&message, self.now, &mut self.readings, &mut self.changes);
        self.seen()
    }

    fn age(&mut self) -> Vec<(u32, Option<Value>, Quality)> {
        self.engine.age(self.now, &mut self.readings, &mut self.changes);
        self.seen()
    }

    fn seen(&mut self) -> Vec<(u32, Option<Value>, Quality)> {
        self.readings.drain(..).map(|reading| (reading.point.0, reading.value, reading.quality)).collect()
    }

    fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }
}

const GOOD: Quality = Quality::Good;
const STALE: Quality = Quality::Bad(Reason::Stale);
const GONE: Quality = Quality::Bad(Reason::NoConnection);
const OLD: Quality = Quality::Uncertain(Reason::Stale);

#[test]
fn a_will_makes_all_values_bad_and_only_the_next_value_makes_one_good() {
    let mut plug = Bench::plug();
    assert_eq!(plug.say("tele/plug/LWT", "Online"), []);
    assert_eq!(plug.changes(), [Change::Here(0)]);
    assert_eq!(plug.say("stat/plug/POWER", "ON"), [(0, Some(Value::Bool(true)), GOOD)]);
    assert_eq!(
        plug.say("tele/plug/SENSOR", r#"{"ENERGY":{"Power":12.5}}"#),
        [(1, Some(Value::Float(12.5)), GOOD)]
    );
    assert_eq!(plug.changes(), [Change::Said(0), Change::Said(0)]);
    assert_eq!(plug.say("tele/plug/LWT", "Offline"), [(0, None, GONE), (1, None, GONE)]);
    assert_eq!(plug.changes(), [Change::Gone(0)]);
    assert!(plug.engine.is_gone(0));
    assert_eq!(plug.say("tele/plug/LWT", "Offline"), [], "it is told once");
    assert_eq!(plug.pass(Duration::from_secs(3600)).age(), [], "what is gone does not become stale as well");
    assert_eq!(plug.say("tele/plug/LWT", "Online"), [], "it is back, and has said no value yet");
    assert_eq!(plug.changes(), [Change::Here(0)]);
    assert_eq!(plug.say("stat/plug/POWER", "OFF"), [(0, Some(Value::Bool(false)), GOOD)]);
    plug.say("tele/plug/LWT", "Offline");
    assert_eq!(
        plug.say("stat/plug/POWER", "ON"),
        [(0, Some(Value::Bool(true)), GOOD)],
        "a value is a proof of life"
    );
    assert!(!plug.engine.is_gone(0));
}

#[test]
fn what_was_kept_from_before_the_start_is_no_news() {
    let mut plug = Bench::plug();
    assert_eq!(plug.hear("stat/plug/POWER", b"ON", true), [(0, Some(Value::Bool(true)), OLD)]);
    assert_eq!(plug.hear("tele/plug/LWT", b"Online", true), []);
    assert_eq!(plug.changes(), [], "nobody has spoken");
    assert_eq!(plug.hear("tele/plug/LWT", b"Offline", true), [(0, None, GONE), (1, None, GONE)]);
    assert_eq!(plug.hear("stat/plug/POWER", b"ON", true), [], "the dead have nothing to say from before");
    assert_eq!(plug.say("stat/plug/POWER", "ON"), [(0, Some(Value::Bool(true)), GOOD)]);
}

#[test]
fn values_become_too_old_once_and_are_good_again_with_the_next_one() {
    let mut plug = Bench::plug();
    plug.say("stat/plug/POWER", "ON");
    let due = plug.engine.due().unwrap();
    assert_eq!(due - plug.now.mono, Duration::from_secs(600));
    plug.pass(Duration::from_secs(400)).say("stat/plug/POWER", "ON");
    assert_eq!(plug.pass(Duration::from_secs(200)).age(), [(1, None, STALE)], "never said since the start");
    assert_eq!(plug.pass(Duration::from_secs(400)).age(), [(0, None, STALE)]);
    assert_eq!(plug.engine.due(), None);
    assert!(!plug.engine.is_gone(0), "its will tells whether it is there");
    assert_eq!(plug.say("stat/plug/POWER", "ON"), [(0, Some(Value::Bool(true)), GOOD)]);
    assert!(plug.engine.due().is_some());
}

#[test]
fn a_device_without_a_will_is_gone_when_all_its_values_are_too_old() {
    let config = "{ mqtt-max-age: 1m }";
    let points =
        [("{ mqtt: a }", "{}"), ("{ mqtt: b, max-age: 2m }", "{}"), ("{ mqtt: c, max-age: 2m }", "{}")];
    let mut bench = Bench::new(vec![device(config, &points, 0)]);
    bench.say("a", "1");
    assert_eq!(bench.changes(), [Change::Here(0), Change::Said(0)]);
    assert_eq!(bench.pass(Duration::from_secs(60)).age(), [(0, None, STALE)]);
    assert!(bench.changes().is_empty());
    assert_eq!(bench.pass(Duration::from_secs(60)).age(), [(1, None, STALE), (2, None, STALE)]);
    assert_eq!(bench.changes(), [Change::Gone(0)]);
    bench.say("b", "2");
    assert_eq!(bench.changes(), [Change::Here(0), Change::Said(0)]);
}

#[test]
fn messages_that_are_no_values_give_reasons_and_those_about_others_change_nothing() {
    let mut plug = Bench::plug();
    let bad = |point, reason| [(point, None, Quality::Bad(reason))];
    assert_eq!(plug.say("stat/plug/POWER", "maybe"), bad(0, Reason::Undecodable));
    assert_eq!(plug.changes(), [Change::Here(0), Change::Nonsense(0, Reason::Undecodable)]);
    assert_eq!(plug.say("tele/plug/SENSOR", "not json"), bad(1, Reason::MalformedReply));
    assert_eq!(plug.say("tele/plug/SENSOR", r#"{"Time":"x"}"#), [], "it says nothing about the power");
    assert_eq!(plug.say("tele/plug/SENSOR", r#"{"ENERGY":{"Power":null}}"#), bad(1, Reason::NotAvailable));
    assert_eq!(plug.hear("tele/plug/SENSOR", b"\xff\xfe", false), bad(1, Reason::MalformedReply));
    let long = vec![b' '; (64 << 10) + 1];
    assert_eq!(plug.hear("tele/plug/SENSOR", &long, false), bad(1, Reason::MalformedReply));
    assert_eq!(plug.hear("tele/plug/SENSOR", b"", true), [], "kept messages are taken away by empty ones");
    assert_eq!(plug.say("other/topic", "1"), []);
}

#[test]
fn one_message_holds_the_values_of_many_points_and_its_own_will() {
    let config = "{ mqtt-name: 00D0C9AABBCC, mqtt-availability: \
                  { topic: 'Advantech/{device}/Device_Status', offline: disconnect, json: /status } }";
    let points = [
        ("{ mqtt: 'Advantech/{device}/data' }", "{ json: /di1, as: state }"),
        ("{ mqtt: 'Advantech/{device}/data' }", "{ json: /ai1, missing: ['9999.9999'] }"),
    ];
    let mut adam = Bench::new(vec![device(config, &points, 4)]);
    let data = r#"{"s":1,"t":0,"q":192,"c":1,"di1":true,"ai1":9999.9999}"#;
    assert_eq!(
        adam.say("Advantech/00D0C9AABBCC/data", data),
        [(4, Some(Value::Bool(true)), GOOD), (5, None, Quality::Bad(Reason::NotAvailable))]
    );
    let will = r#"{"status":"disconnect","name":"ADAM6051","macid":"00D0C9AABBCC","ipaddr":"192.0.2.9"}"#;
    assert_eq!(adam.say("Advantech/00D0C9AABBCC/Device_Status", will), [(4, None, GONE), (5, None, GONE)]);
    assert_eq!(adam.say("Advantech/00D0C9AABBCC/Device_Status", "[]"), [], "no word, no news");
    assert!(adam.engine.is_gone(0));
}

#[test]
fn a_message_that_waited_has_the_time_at_which_it_came() {
    let mut plug = Bench::plug();
    let at = plug.now.mono;
    plug.pass(Duration::from_secs(2));
    let message = Arrived { topic: "stat/plug/POWER", payload: b"ON", retain: true, kept: false, at };
    plug.engine.take(&message, plug.now, &mut plug.readings, &mut plug.changes);
    let reading = &plug.readings[0];
    assert_eq!((reading.quality, reading.at.mono, reading.at.unix_us), (GOOD, at, 1_000_000_000));
}

proptest! {
    #[test]
    fn whatever_comes_panics_not_and_a_kept_message_is_never_good(
        messages in prop::collection::vec((0..4_usize, prop::collection::vec(any::<u8>(), 0..40), any::<bool>(), 0..900_u64), 0..40),
    ) {
        let topics = ["stat/plug/POWER", "tele/plug/SENSOR", "tele/plug/LWT", "x"];
        let words: [&[u8]; 5] = [b"ON", b"Offline", b"Online", br#"{"ENERGY":{"Power":1}}"#, b""];
        let mut plug = Bench::plug();
        for (topic, bytes, kept, pause) in messages {
            let payload = match bytes.first() {
                Some(first) if *first < 128 => words[usize::from(*first) % words.len()],
                _ => &bytes,
            };
            let seen = plug.pass(Duration::from_secs(pause)).hear(topics[topic], payload, kept);
            for (_, _, quality) in seen {
                prop_assert!(!(kept && quality.is_good()));
            }
            for (_, value, quality) in plug.age() {
                prop_assert!(value.is_none() && quality == STALE);
            }
            prop_assert!(plug.engine.due().is_none_or(|due| due > plug.now.mono));
        }
    }
}

#[test]
fn setpoints_fill_their_message() {
    let command = |yaml: &str| {
        let set = format!("{{ mqtt: a, mqtt-set: {yaml} }}");
        let device = device("{ mqtt-max-age: off }", &[(&set, "{ as: state }")], 0);
        device.points[0].wiring.command.clone().unwrap()
    };
    let plain = command("{ topic: t }");
    assert_eq!(
        (plain.fill(&Value::Bool(true)), plain.fill(&Value::Bool(false))),
        ("ON".into(), "OFF".into())
    );
    let json = command(r#"{ topic: t, payload: '{"v":{value}}', on: "true", off: "false" }"#);
    assert_eq!(json.fill(&Value::Bool(true)), r#"{"v":true}"#);
    let quoted = command(r#"{ topic: t, payload: '{"text":"{value}"}' }"#);
    assert_eq!(quoted.fill(&Value::from(r#"a"b\c"#)), r#"{"text":"a\"b\\c"}"#);
    assert_eq!(plain.fill(&Value::from(r#"a"b"#)), r#"a"b"#);
    let comma = Command { comma: true, ..plain };
    assert_eq!(comma.fill(&Value::Float(21.5)), "21,5");
}
