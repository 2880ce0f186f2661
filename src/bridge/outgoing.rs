//! From what waits to what is sent: the topic upstream, the form that the broker wants, the place in the stream.
//!
//! Pure. Invariant: what comes out fits the limits of the profile, or is named as what cannot be sent, with the reason.

use super::backlog::{Item, Place, What};
use super::config::{Config, Retain, SequenceMark, Version};
use super::lane::Lane;
use super::mapping::Mapping;
use super::profile::{Limits, Shape};
use super::record::Record;
use super::sequence::{Gap, StreamId, Why, put_fields, put_properties};
use super::shape;

/// Something in the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// Its number; of a gap: the first number that is missing.
    pub(crate) seq: u64,
    /// The place behind it.
    pub(crate) after: Place,
    /// Which way it goes.
    pub(crate) lane: Lane,
    /// The local topic, for the dead-letter topic.
    pub(crate) local: Box<str>,
    /// Topic upstream.
    pub(crate) topic: Box<str>,
    /// Payload upstream.
    pub(crate) payload: Box<[u8]>,
    /// Encoded properties (5.0).
    pub(crate) properties: Box<[u8]>,
    /// Message expiry interval in seconds (5.0).
    pub(crate) expiry_s: Option<u32>,
    /// 0 or 1.
    pub(crate) qos: u8,
    /// Retain flag.
    pub(crate) retain: bool,
    /// It declares a gap and is no message.
    pub(crate) is_gap: bool,
}

/// What becomes of an item.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Prepared {
    /// It is sent.
    Send(Outgoing),
    /// The message cannot be sent: it goes to the dead-letter topic, and its number is declared.
    Dead(DeadLetter, Outgoing),
    /// No rule forwards it any longer, or it cannot be read: nothing is sent, and its number is declared.
    Unwanted(Outgoing),
}

/// A message that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    /// Its number.
    pub(crate) seq: u64,
    /// The local topic.
    pub(crate) topic: Box<str>,
    /// The payload.
    pub(crate) payload: Box<[u8]>,
    /// Why, in words.
    pub(crate) reason: String,
}

/// Makes what is sent.
#[derive(Debug, Clone)]
pub(crate) struct Preparer {
    mapping: Mapping,
    limits: Limits,
    shape: Shape,
    version: Version,
    mark: SequenceMark,
    stream: StreamId,
    client_id: String,
    gap_topic: String,
}

impl Preparer {
    /// For a bridge whose gaps are declared under the local topic `gap_topic`.
    pub(crate) fn new(
        config: &Config,
        mapping: Mapping,
        stream: StreamId,
        client_id: &str,
        gap_topic: &str,
    ) -> Self {
        Self {
            mapping,
            limits: config.limits(),
            shape: config.profile.shape(),
            version: config.version(),
            mark: config.sequence,
            stream,
            client_id: client_id.to_owned(),
            gap_topic: gap_topic.to_owned(),
        }
    }

    /// What becomes of an item. `retains`: the broker of this connection retains messages.
    pub(crate) fn prepare(&self, lane: Lane, item: Item) -> Prepared {
        let Item { seq, after, what } = item;
        match what {
            What::Gap(count, why) => Prepared::Send(self.gap(seq, after, lane, count, why)),
            What::Message(bytes) => match Record::decode(&bytes) {
                Ok(record) => self.message(seq, after, lane, &record),
                Err(_) => Prepared::Unwanted(self.gap(seq, after, lane, 1, Why::Damaged)),
            },
        }
    }

    fn message(&self, seq: u64, after: Place, lane: Lane, record: &Record<'_>) -> Prepared {
        let Some(mapped) = self.mapping.outward(record.topic) else {
            return Prepared::Unwanted(self.gap(seq, after, lane, 1, Why::DeadLetter));
        };
        let historical = lane == Lane::Historical;
        let payload = match self.mark {
            SequenceMark::Json => put_fields(record.payload, self.stream, seq, historical),
            SequenceMark::Properties | SequenceMark::Off => record.payload.into(),
        };
        let shaped = match self.shape {
            Shape::Plain => Ok((mapped.topic, payload.into_owned())),
            Shape::IotHub => {
                Ok((shape::iot_hub_topic(&self.client_id, &mapped.topic, &payload), payload.into_owned()))
            }
            Shape::ThingsBoard => shape::thingsboard(&mapped.topic, &payload, record.unix_us)
                .map(|payload| (shape::THINGSBOARD_TOPIC.to_owned(), payload)),
        };
        let misfit = |topic: &str, payload: &[u8]| {
            let topic = if self.shape == Shape::Plain { self.limits.topic_misfit(topic) } else { None };
            topic.or_else(|| self.limits.payload_misfit(payload.len()))
        };
        let fitting = shaped.and_then(|(topic, payload)| match misfit(&topic, &payload) {
            Some(reason) => Err(reason),
            None => Ok((topic, payload)),
        });
        let (topic, payload) = match fitting {
            Ok(fitting) => fitting,
            Err(reason) => {
                let (topic, payload) = (record.topic.into(), record.payload.into());
                let letter = DeadLetter { seq, topic, payload, reason };
                return Prepared::Dead(letter, self.gap(seq, after, lane, 1, Why::DeadLetter));
            }
        };
        let mut properties = record.properties.to_vec();
        if self.version == Version::V5 && self.mark == SequenceMark::Properties {
            put_properties(&mut properties, self.stream, seq, historical);
        }
        Prepared::Send(Outgoing {
            seq,
            after,
            lane,
            local: record.topic.into(),
            topic: topic.into(),
            payload: payload.into(),
            properties: properties.into(),
            expiry_s: record.expiry_s,
            qos: mapped.qos,
            // An older value must not take the place of a newer one that is retained already.
            retain: record.retain && mapped.retain == Retain::Keep && self.limits.retain && !historical,
            is_gap: false,
        })
    }

    /// The declaration that the number of a message is missing.
    pub(crate) fn instead(&self, outgoing: &Outgoing) -> Outgoing {
        self.gap(outgoing.seq, outgoing.after, outgoing.lane, 1, Why::DeadLetter)
    }

    fn gap(&self, seq: u64, after: Place, lane: Lane, count: u64, why: Why) -> Outgoing {
        let json = Gap::new(self.stream, seq, count, why).map_or_else(Vec::new, |gap| gap.json());
        let mapped = self
            .mapping
            .outward(&self.gap_topic)
            .map_or_else(|| self.gap_topic.clone(), |mapped| mapped.topic);
        let topic = match self.shape {
            Shape::Plain => mapped,
            Shape::IotHub => shape::iot_hub_topic(&self.client_id, &mapped, &json),
            Shape::ThingsBoard => shape::THINGSBOARD_TOPIC.to_owned(),
        };
        let payload = match self.shape {
            Shape::ThingsBoard => shape::thingsboard(&self.gap_topic, &json, 0).unwrap_or(json),
            Shape::Plain | Shape::IotHub => json,
        };
        Outgoing {
            seq,
            after,
            lane,
            local: self.gap_topic.as_str().into(),
            topic: topic.into(),
            payload: payload.into(),
            properties: Box::default(),
            expiry_s: None,
            qos: 1,
            retain: false,
            is_gap: true,
        }
    }
}

#[cfg(test)]
mod tests {
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
        Preparer::new(&config, Mapping::new(&config), StreamId(1), "gw", "a/gap")
    }

    fn item(topic: &str, payload: &[u8]) -> Item {
        let mut bytes = Vec::new();
        let record =
            Record { topic, payload, properties: &[], retain: true, expiry_s: None, unix_us: 1_000_000 };
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
        let live = sent(plain.prepare(Lane::Live, item("a/b", b"1")));
        assert_eq!((&*live.topic, &*live.payload, live.retain, live.qos), ("up/a/b", &b"1"[..], true, 1));
        assert!(live.properties.windows(3).any(|part| part == b"seq"));
        let old = sent(plain.prepare(Lane::Historical, item("a/b", b"1")));
        assert!(!old.retain && old.properties.windows(10).any(|part| part == b"historical"));
        let json = preparer(Profile::Mosquitto, |config| config.sequence = SequenceMark::Json);
        let marked = sent(json.prepare(Lane::Live, item("a/b", b"{}")));
        assert!(marked.payload.starts_with(b"{\"stream\":") && marked.properties.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_named_and_declared() {
        let aws = preparer(Profile::AwsIotCore, |_| {});
        let Prepared::Dead(letter, gap) = aws.prepare(Lane::Live, item("a/b", &vec![0; 200_000])) else {
            panic!()
        };
        assert!(
            letter.reason.contains("200000 bytes")
                && &*letter.topic == "a/b"
                && letter.payload.len() == 200_000
        );
        assert!(gap.is_gap && gap.seq == 7 && &*gap.topic == "up/a/gap");
        let text = String::from_utf8(gap.payload.into_vec()).unwrap();
        assert!(text.contains("\"from\":7,\"to\":7,\"count\":1,\"why\":\"dead-letter\""), "{text}");
        let Prepared::Dead(letter, _) = aws.prepare(Lane::Live, item("a/1/2/3/4/5/6/7", b"")) else {
            panic!()
        };
        assert!(letter.reason.contains("9 levels"), "{}", letter.reason);
    }

    #[test]
    fn what_no_rule_forwards_any_longer_is_declared() {
        let plain = preparer(Profile::Mosquitto, |_| {});
        assert!(matches!(plain.prepare(Lane::Live, item("b", b"")), Prepared::Unwanted(gap) if gap.is_gap));
        let broken = Item { what: What::Message(vec![9]), ..item("a", b"") };
        assert!(matches!(plain.prepare(Lane::Live, broken), Prepared::Unwanted(_)));
    }

    #[test]
    fn services_with_a_form_of_their_own_get_it() {
        let hub = preparer(Profile::AzureIotHub, |_| {});
        let out = sent(hub.prepare(Lane::Live, item("a/b", b"{}")));
        assert!(out.topic.starts_with("devices/gw/messages/events/") && !out.retain, "{}", out.topic);
        let board = preparer(Profile::Thingsboard, |_| {});
        let out = sent(board.prepare(Lane::Live, item("a/dev/temp", b"{\"value\":1.5}")));
        assert_eq!(&*out.topic, shape::THINGSBOARD_TOPIC);
        assert!(matches!(board.prepare(Lane::Live, item("a", b"{}")), Prepared::Send(_)));
    }
}
