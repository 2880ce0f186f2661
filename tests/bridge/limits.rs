//! Upstream brokers with limits: what does not fit is named, what is too fast is slowed down.

use std::time::{Duration, Instant};

use iogate::bridge::config::{LimitsConfig, Rate, Version};
use iogate::bridge::{Config, Profile};
use iogate::broker::{self, Broker, Listeners, QoS};
use iogate::model::units::ByteSize;
use tokio_util::sync::CancellationToken;

use crate::mosquitto::{Mosquitto, PATIENCE, Site, config, until};

/// A broker of our own that takes no more than AWS IoT Core does.
async fn limited(stop: &CancellationToken) -> (Broker, u16) {
    let limits = broker::Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        max_qos: 1,
        receive_maximum: 100,
        max_inflight: 100,
        max_packet: ByteSize(128 << 10),
        max_topic_levels: 8,
        max_topic_length: 256,
        ..broker::Config::default()
    };
    let listeners = Listeners::bind(&limits).await.unwrap();
    let port = listeners.address("listen").unwrap().port();
    let upstream = Broker::new(limits);
    let (served, stop) = (upstream.clone(), stop.clone());
    tokio::spawn(async move { served.serve_all(listeners, stop).await });
    (upstream, port)
}

fn letters(site: &Site) -> broker::LocalSubscription {
    site.broker.subscribe(&[("site/gateway/bridge/cloud/dead-letter", QoS::AtLeastOnce)], 100).unwrap()
}

async fn letter(heard: &mut broker::LocalSubscription) -> serde_json::Value {
    let message = tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap();
    serde_json::from_slice(message.payload()).unwrap()
}

#[tokio::test]
async fn what_does_not_fit_goes_to_the_dead_letters_and_the_rest_goes_on() {
    let stop = CancellationToken::new();
    let (upstream, port) = limited(&stop).await;
    let mut arrived = upstream.subscribe(&[("site/#", QoS::AtLeastOnce)], 10_000).unwrap();
    let mut config = config(&format!("mqtt://127.0.0.1:{port}"), Version::V5);
    config.limits = LimitsConfig { topic_levels: Some(8), ..LimitsConfig::default() };
    let site = Site::start(config);
    let mut heard = letters(&site);
    site.publish("site/1", "before");
    site.publish("site/big", &"x".repeat(200 << 10));
    site.publish("site/2/3/4/5/6/7/8/9", "deep");
    for number in 0..1000 {
        site.publish("site/1", &number.to_string());
    }
    let (one, two) = (letter(&mut heard).await, letter(&mut heard).await);
    let (mut big, mut deep) = (&one, &two);
    if big["topic"] != "site/big" {
        (big, deep) = (deep, big);
    }
    assert!(big["reason"].as_str().unwrap().contains("131072 bytes"), "{big}");
    assert!(deep["reason"].as_str().unwrap().contains("9 levels"), "{deep}");
    site.drained().await;
    let told = site.handle.snapshot();
    assert_eq!((told.acknowledged, told.gaps, told.dead_letters), (1001, 2, 2));
    let mut messages = 0;
    let mut gaps = Vec::new();
    while let Some(message) = arrived.try_recv() {
        if message.topic() == "site/gateway/bridge/cloud/gap" {
            let gap: serde_json::Value = serde_json::from_slice(message.payload()).unwrap();
            assert_eq!((gap["count"].as_u64(), gap["why"].as_str()), (Some(1), Some("dead-letter")));
            gaps.push(gap["from"].as_u64().unwrap());
        } else {
            messages += 1;
        }
    }
    gaps.sort_unstable();
    assert_eq!((messages, gaps), (1001, vec![2, 3]), "received and declared is everything");
    site.stop().await;
    stop.cancel();
}

#[tokio::test]
async fn a_broker_that_refuses_a_topic_gets_all_others() {
    // Mosquitto answers with a reason code only on MQTT 5.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("acl"),
        "topic write site/yes\ntopic write site/gateway/#\ntopic read #\n",
    )
    .unwrap();
    let lines = "allow_anonymous true\nacl_file DIR/acl\n";
    let upstream = Mosquitto::within(folder, crate::mosquitto::free_port(), lines).await;
    let site = Site::start(config(&upstream.url(), Version::V5));
    let mut heard = letters(&site);
    site.publish("site/yes", "1");
    site.publish("site/no", "2");
    site.publish("site/yes", "3");
    let letter = letter(&mut heard).await;
    assert_eq!((letter["topic"].as_str(), letter["seq"].as_u64()), (Some("site/no"), Some(2)));
    assert!(letter["reason"].as_str().unwrap().contains("not authorized"), "{letter}");
    site.drained().await;
    assert_eq!(site.handle.snapshot().acknowledged, 2);
    site.stop().await;
}

#[tokio::test]
async fn an_oversize_message_that_ends_every_3_1_1_connection_is_given_up_and_no_other() {
    let upstream = Mosquitto::with("allow_anonymous true\nmax_packet_size 1000\n").await;
    let mut config = config(&upstream.url(), Version::V311);
    config.limits.payload = None;
    let site = Site::start(config);
    let mut heard = letters(&site);
    site.connected().await;
    site.publish("site/a", "1");
    site.publish("site/a", &"x".repeat(5000));
    for number in 0..100 {
        site.publish("site/a", &number.to_string());
    }
    let letter = letter(&mut heard).await;
    assert_eq!(letter["seq"].as_u64(), Some(2));
    assert!(letter["reason"].as_str().unwrap().contains("every connection ends"), "{letter}");
    site.drained().await;
    let told = site.handle.snapshot();
    assert_eq!((told.acknowledged, told.dead_letters), (101, 1));
    site.stop().await;
}

#[tokio::test]
async fn a_rate_is_kept_to() {
    let upstream = Mosquitto::start().await;
    let mut config = config(&upstream.url(), Version::V5);
    config.limits.rate = Some(Rate(100));
    let site = Site::start(config);
    site.connected().await;
    let start = Instant::now();
    for number in 0..250 {
        site.publish("site/a", &number.to_string());
    }
    site.drained().await;
    // A second's worth may go at once.
    assert!(start.elapsed() >= Duration::from_millis(1400), "{:?}", start.elapsed());
    site.stop().await;
}

#[tokio::test]
async fn the_window_keeps_to_what_the_broker_takes() {
    let stop = CancellationToken::new();
    let (upstream, port) = limited(&stop).await;
    let url = format!("mqtt://127.0.0.1:{port}");
    let wide = Config { window: 1000, profile: Profile::Mosquitto, ..config(&url, Version::V5) };
    let site = Site::start(wide);
    for number in 0..5000 {
        site.publish("site/a", &number.to_string());
    }
    site.connected().await;
    site.drained().await;
    assert_eq!(site.handle.snapshot().acknowledged, 5000);
    assert_eq!(upstream.stats().protocol_errors, 0);
    site.stop().await;
    until("the end of the link", || upstream.stats().connections == 0).await;
    stop.cancel();
}
