//! What comes from upstream: checked, renamed and published here.
//!
//! Upstream is not trusted: only topics that `accept` names get in, with limits on size, levels and rate; what does not
//! get in is counted. Invariants: nothing that this bridge sent comes in again by the way it went out; what upstream had
//! kept, or sent before, stays known as that, whatever a rule makes of its flags: it must not pass for a new command.

use std::time::{Duration, Instant};

use super::client::packet::Wish;
use super::config::{Config, Retain, Version};
use super::echo::Echoes;
use super::mapping::Mapping;
use super::pace::Purse;
use super::status::Status;
use crate::broker::codec::{self, Publish};
use crate::broker::{Broker, LocalPublisher, NotKept, PublishOptions, QoS, topic};

/// Messages per second that are taken from upstream; what comes faster is refused and counted.
const MAX_RATE: u64 = 1_000;

/// Largest message that is taken from upstream, its header included, in bytes.
pub(crate) const MAX_PACKET: usize = 1 << 20;

/// How topics end that commands are given on.
const COMMAND: &str = "/set";

/// The way in of one bridge.
pub(crate) struct Downlink {
    mapping: Mapping,
    publisher: LocalPublisher,
    rate: Purse,
    echoes: Option<Echoes>,
    max_levels: usize,
    max_length: usize,
}

impl Downlink {
    /// The way into this broker; `origin` is what subscribers see as the publisher.
    pub(crate) fn new(config: &Config, mapping: Mapping, broker: &Broker, origin: &str) -> Self {
        Self {
            mapping,
            publisher: broker.publisher(origin),
            rate: Purse::new(MAX_RATE),
            echoes: (config.version() == Version::V311).then(Echoes::default),
            max_levels: broker.config().max_topic_levels,
            max_length: broker.config().max_topic_length,
        }
    }

    /// The subscriptions to make.
    pub(crate) fn wishes(&self) -> Vec<Wish> {
        self.mapping.upstream_filters().map(|(filter, qos)| Wish { filter: filter.to_owned(), qos }).collect()
    }

    /// Notes what was sent, so that it is known again should it come back.
    pub(crate) fn note_sent(&mut self, topic: &str, payload: &[u8]) {
        if let Some(echoes) = &mut self.echoes
            && self.mapping.inward(topic).is_some()
        {
            echoes.sent(topic, payload);
        }
    }

    /// Takes a message in. Whether it gets in or not, it is acknowledged: sent again, it would fare no better.
    pub(crate) fn take(&mut self, publish: &Publish<'_>, status: &Status, now: Instant) {
        if self.echoes.as_mut().is_some_and(|echoes| echoes.is_echo(publish.topic, publish.payload)) {
            return;
        }
        let mapped = self.mapping.inward(publish.topic);
        let command = mapped.as_ref().is_some_and(|mapped| mapped.topic.ends_with(COMMAND));
        // What is retained there under a topic of ours is an older value of ours; a command is none, and whoever takes
        // commands is to refuse and record it.
        if publish.retain && !command && self.mapping.is_own(publish.topic) {
            return;
        }
        let fits = |name: &str| topic::levels(name) <= self.max_levels && name.len() <= self.max_length;
        let Some(mapped) = mapped.filter(|mapped| fits(&mapped.topic)) else {
            status.refused.add(1);
            return;
        };
        if self.rate.ready(1, now).is_err() {
            status.refused.add(1);
            return;
        }
        self.rate.spend(1);
        let options = PublishOptions {
            qos: if mapped.qos == 0 { QoS::AtMostOnce } else { publish.qos },
            retain: publish.retain && mapped.retain == Retain::Keep && !command,
            dup: publish.dup,
            kept: publish.retain,
            expiry: publish.properties.expiry.map(|seconds| Duration::from_secs(seconds.into())),
            ..PublishOptions::default()
        };
        let taken = self.publish(&mapped.topic, publish, options);
        if taken { status.accepted.add(1) } else { status.refused.add(1) }
    }

    /// Ends once everything that was taken in is as durable here as the broker promises. May be dropped and called again.
    pub(crate) async fn kept(&mut self) -> Result<(), NotKept> {
        self.publisher.kept().await
    }

    fn publish<'a>(
        &mut self,
        topic: &str,
        publish: &'a Publish<'a>,
        mut options: PublishOptions<'a>,
    ) -> bool {
        let forward = &publish.properties.forward;
        let mut user = Vec::new();
        codec::walk_forwarded(forward, |property| match (property.id, property.value) {
            (codec::property_id::CONTENT_TYPE, value) => options.content_type = Some(value.text()),
            (codec::property_id::RESPONSE_TOPIC, value) => options.response_topic = Some(value.text()),
            (codec::property_id::CORRELATION_DATA, value) => options.correlation = Some(value.binary()),
            (_, codec::PropertyValue::Pair(key, value)) => user.push((key, value)),
            _ => {}
        });
        self.publisher.publish(topic, publish.payload, &PublishOptions { user: &user, ..options }).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::config::{Rule, RuleConfig};
    use crate::broker;
    use crate::broker::codec::PublishProperties;

    fn publish<'a>(topic: &'a str, payload: &'a [u8], retain: bool) -> Publish<'a> {
        let (qos, properties) = (QoS::AtLeastOnce, PublishProperties::default());
        Publish { dup: false, qos, retain, topic, packet_id: 1, properties, payload }
    }

    fn downlink(broker: &Broker, version: Version) -> Downlink {
        let config = Config {
            version: Some(version),
            forward: vec![Rule(RuleConfig::of("a/#"))],
            accept: vec![Rule(RuleConfig::of("a/#")), Rule(RuleConfig::of("cmd/+/set"))],
            ..Config::to("mqtt://broker.example.com".parse().unwrap())
        };
        Downlink::new(&config, Mapping::new(&config), broker, "bridge/x")
    }

    fn received(subscription: &mut broker::LocalSubscription) -> Vec<String> {
        std::iter::from_fn(|| subscription.try_recv()).map(|message| message.topic().to_owned()).collect()
    }

    #[test]
    fn only_what_is_accepted_gets_in() {
        let broker = Broker::new(broker::Config::default());
        let mut heard = broker.subscribe(&[("#", QoS::AtLeastOnce)], 5_000).unwrap();
        let (mut down, status, now) = (downlink(&broker, Version::V5), Status::default(), Instant::now());
        let deep = format!("a/{}", "x/".repeat(40));
        for topic in ["cmd/fan/set", "cmd/fan", "other", deep.as_str(), "a/b"] {
            down.take(&publish(topic, b"1", false), &status, now);
        }
        assert_eq!(received(&mut heard), ["cmd/fan/set", "a/b"]);
        assert_eq!((status.accepted.get(), status.refused.get()), (2, 3));
        for _ in 0..2 * MAX_RATE {
            down.take(&publish("a/b", b"1", false), &status, now);
        }
        assert_eq!(received(&mut heard).len() as u64, MAX_RATE - 2, "a flood is cut off");
    }

    #[test]
    fn own_messages_do_not_come_in_again() {
        let broker = Broker::new(broker::Config::default());
        let mut heard = broker.subscribe(&[("#", QoS::AtLeastOnce)], 10).unwrap();
        let (mut down, status, now) = (downlink(&broker, Version::V311), Status::default(), Instant::now());
        down.note_sent("a/b", b"1");
        down.take(&publish("a/b", b"1", false), &status, now);
        assert!(received(&mut heard).is_empty(), "an echo");
        down.take(&publish("a/b", b"1", false), &status, now);
        assert_eq!(received(&mut heard), ["a/b"], "the same from somebody else");
        down.take(&publish("a/b", b"0", true), &status, now);
        assert!(received(&mut heard).is_empty(), "an older value of our own");
        for topic in ["a/b/set", "cmd/fan/set"] {
            down.take(&publish(topic, b"0", true), &status, now);
            let message = heard.try_recv().unwrap();
            assert!(
                message.is_old() && !message.retain,
                "a command that was kept is not kept here, and stays known as old"
            );
            down.take(&Publish { dup: true, ..publish(topic, b"0", false) }, &status, now);
            let message = heard.try_recv().unwrap();
            assert!(message.dup() && !message.is_old());
        }
    }
}
