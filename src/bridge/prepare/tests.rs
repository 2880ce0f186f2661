//! Messages, batches and parts, as they leave.

use super::*;
use crate::bridge::config::{Rule, RuleConfig};
use crate::bridge::profile::Profile;

fn preparer(profile: Profile, change: impl Fn(&mut Config)) -> Preparer {
    let mut config = Config {
        profile,
        forward: vec![Rule(RuleConfig { prefix: "up/".into(), ..RuleConfig::of("a/#") })],
        ..Config::to("mqtts://broker.example.com".parse().unwrap())
    };
    change(&mut config);
    Preparer::new(&config, Mapping::new(&config), StreamId(1), "gw", "a")
}

impl Preparer {
    fn prep(&self, lane: Lane, item: Item) -> Prepared {
        self.prepare(lane, item, usize::MAX)
    }
}

fn item(topic: &str, payload: &[u8]) -> Item {
    let mut bytes = Vec::new();
    let record = Record { topic, payload, properties: &[], retain: true, expiry_s: None, unix_us: 1_000_000 };
    record.encode(&mut bytes);
    Item { seq: 7, after: Place { position: 8, seq: 8 }, what: What::Message(bytes) }
}

fn sent(prepared: Prepared) -> Outgoing {
    match prepared {
        Prepared::Send(outgoing) => outgoing,
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_are_renamed_marked_and_kept_from_overwriting_newer_ones() {
    let plain = preparer(Profile::Mosquitto, |_| {});
    let live = sent(plain.prep(Lane::Live, item("a/b", b"1")));
    assert_eq!((&*live.topic, &*live.payload, live.retain, live.qos), ("up/a/b", &b"1"[..], true, 1));
    assert!(live.properties.windows(3).any(|part| part == b"seq"));
    let old = sent(plain.prep(Lane::Historical, item("a/b", b"1")));
    assert!(!old.retain && old.properties.windows(10).any(|part| part == b"historical"));
    let json = preparer(Profile::Mosquitto, |config| config.sequence = SequenceMark::Json);
    let marked = sent(json.prep(Lane::Live, item("a/b", b"{}")));
    assert!(marked.payload.starts_with(b"{\"stream\":") && marked.properties.is_empty());
}

#[test]
fn what_does_not_fit_is_named_and_declared() {
    let aws = preparer(Profile::AwsIotCore, |_| {});
    let Prepared::Dead(letter, gap) = aws.prep(Lane::Live, item("a/b", &vec![0; 200_000])) else { panic!() };
    assert!(
        letter.reason.contains("200000 bytes") && &*letter.topic == "a/b" && letter.payload.len() == 200_000
    );
    assert!(gap.is_gap() && gap.seq == 7 && &*gap.topic == "up/a/gap");
    let text = String::from_utf8(gap.payload.into_vec()).unwrap();
    assert!(text.contains("\"from\":7,\"to\":7,\"count\":1,\"why\":\"dead-letter\""), "{text}");
    let Prepared::Dead(letter, _) = aws.prep(Lane::Live, item("a/1/2/3/4/5/6/7", b"")) else { panic!() };
    assert!(letter.reason.contains("9 levels"), "{}", letter.reason);
}

#[test]
fn what_no_rule_forwards_any_longer_is_declared() {
    let plain = preparer(Profile::Mosquitto, |_| {});
    assert!(matches!(plain.prep(Lane::Live, item("b", b"")), Prepared::Unwanted(gap) if gap.is_gap()));
    let broken = Item { what: What::Message(vec![9]), ..item("a", b"") };
    assert!(matches!(plain.prep(Lane::Live, broken), Prepared::Unwanted(_)));
}

#[test]
fn services_with_a_form_of_their_own_get_it() {
    let hub = preparer(Profile::AzureIotHub, |_| {});
    let out = sent(hub.prep(Lane::Live, item("a/b", b"{}")));
    assert!(out.topic.starts_with("devices/gw/messages/events/") && !out.retain, "{}", out.topic);
    let board = preparer(Profile::Thingsboard, |_| {});
    let out = sent(board.prep(Lane::Live, item("a/dev/temp", b"{\"value\":1.5}")));
    assert_eq!(&*out.topic, shape::THINGSBOARD_TOPIC);
    assert!(matches!(board.prep(Lane::Live, item("a", b"{}")), Prepared::Send(_)));
}
