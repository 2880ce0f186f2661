//! What goes upstream, in both versions of MQTT.

use std::collections::BTreeMap;

use iogate::bridge::config::{Backfill, LiveFirst, Rate, Retain, Rule, RuleConfig, SequenceMark, Version};
use iogate::broker::{PublishOptions, QoS};

use crate::mosquitto::{Mosquitto, Site, config};

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

#[tokio::test]
async fn messages_arrive_renamed_and_in_order() {
    let upstream = Mosquitto::start().await;
    let mut consumer = upstream.consumer(&["#"]).await;
    for version in VERSIONS {
        let mut config = config(&upstream.url(), version);
        let rename =
            RuleConfig { strip: "site/".into(), prefix: "plant/".into(), ..RuleConfig::of("site/a/#") };
        config.forward.insert(0, Rule(rename));
        let site = Site::start(config);
        // Some before the link is up and some after.
        site.publish("site/a/x", "1");
        site.connected().await;
        site.publish("site/b", "2");
        site.publish("other", "never");
        site.publish("site/a/x", "3");
        let got = consumer.take(3).await;
        let seen: Vec<_> = got.iter().map(|got| (got.topic.as_str(), got.payload.as_str())).collect();
        assert_eq!(seen, [("plant/a/x", "1"), ("site/b", "2"), ("plant/a/x", "3")]);
        if version == Version::V5 {
            assert_eq!(got.iter().map(crate::mosquitto::Got::seq).collect::<Vec<_>>(), [1, 2, 3]);
            assert_eq!(got[0].properties["stream"].len(), 16);
        }
        site.drained().await;
        let told = site.handle.snapshot();
        assert_eq!((told.acknowledged, told.gaps, told.dead_letters), (3, 0, 0));
        site.stop().await;
    }
}

#[tokio::test]
async fn a_killed_upstream_broker_gets_what_it_missed() {
    let mut upstream = Mosquitto::start().await;
    for version in VERSIONS {
        let site = Site::start(config(&upstream.url(), version));
        site.connected().await;
        upstream.kill().await;
        for number in 0..500 {
            site.publish(&format!("site/{}", number % 5), &number.to_string());
        }
        // The consumer is there before the bridge is back: a new broker knows no sessions.
        upstream.revive().await;
        site.drained().await;
        assert_eq!(site.handle.snapshot().acknowledged, 500);
        site.stop().await;
    }
}

#[tokio::test]
async fn retained_messages_are_kept_or_cleared_as_the_rule_says() {
    let upstream = Mosquitto::start().await;
    let mut config = config(&upstream.url(), Version::V5);
    let clear = RuleConfig { retain: Retain::Clear, ..RuleConfig::of("site/clear") };
    config.forward.insert(0, Rule(clear));
    let broker_side = PublishOptions { qos: QoS::AtLeastOnce, retain: true, ..PublishOptions::default() };
    let site = Site::start(config);
    site.publish_as("site/clear", "1", &broker_side);
    site.publish_as("site/keep", "2", &broker_side);
    site.connected().await;
    site.drained().await;
    let mut late = upstream.consumer(&["site/#"]).await;
    site.publish("site/end", "3");
    let got = late.take(2).await;
    assert_eq!((got[0].topic.as_str(), got[0].retained), ("site/keep", true));
    assert_eq!(got[1].topic, "site/end");
    site.stop().await;
}

#[tokio::test]
async fn properties_and_marks_travel_with_a_message() {
    let upstream = Mosquitto::start().await;
    let mut consumer = upstream.consumer(&["site/#"]).await;
    let mut config = config(&upstream.url(), Version::V5);
    let site = Site::start(config.clone());
    let user = [("unit", "C")];
    site.publish_as("site/a", "x", &PublishOptions { user: &user, ..PublishOptions::default() });
    let got = consumer.next().await;
    assert_eq!((got.properties["unit"].as_str(), got.properties["seq"].as_str()), ("C", "1"));
    site.stop().await;

    config.sequence = SequenceMark::Json;
    config.version = Some(Version::V311);
    let site = Site::start(config);
    site.publish("site/a", r#"{"value":1}"#);
    let body: serde_json::Value = serde_json::from_str(&consumer.next().await.payload).unwrap();
    assert_eq!((body["seq"].as_u64(), body["value"].as_u64()), (Some(1), Some(1)));
    site.stop().await;
}

#[tokio::test]
async fn live_messages_overtake_what_waited_and_both_keep_their_order() {
    let mut upstream = Mosquitto::start().await;
    let mut config = config(&upstream.url(), Version::V5);
    config.backfill = Backfill::LiveFirst(LiveFirst { rate: Rate(200) });
    let site = Site::start(config);
    site.connected().await;
    upstream.kill().await;
    crate::mosquitto::until("the end of the link", || site.handle.snapshot().last_error.is_some()).await;
    for number in 0..300 {
        site.publish("site/a", &number.to_string());
    }
    upstream.revive().await;
    let mut consumer = upstream.consumer(&["site/a"]).await;
    site.connected().await;
    for number in 300..310 {
        site.publish("site/a", &number.to_string());
    }
    let mut lanes: BTreeMap<bool, Vec<u64>> = BTreeMap::new();
    let mut live_at = None;
    for index in 0.. {
        let got = consumer.next().await;
        let historical = got.properties.contains_key("historical");
        lanes.entry(historical).or_default().push(got.payload.parse().unwrap());
        if got.payload == "309" {
            live_at = Some(index);
        }
        if got.payload == "299" {
            break;
        }
    }
    let sorted = |numbers: &[u64]| numbers.windows(2).all(|pair| pair[0] < pair[1]);
    assert_eq!(lanes[&false], (300..310).collect::<Vec<_>>());
    assert!(sorted(&lanes[&true]), "{:?}", lanes[&true]);
    assert!(live_at.unwrap() < lanes[&true].len(), "the last live message came behind what waited");
    site.drained().await;
    assert_eq!(site.handle.snapshot().acknowledged, 310);
    site.stop().await;
}
