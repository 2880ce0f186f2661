//! What comes from upstream.

use std::time::Duration;

use iogate::bridge::config::{Rule, RuleConfig, Version};
use iogate::broker::{LocalSubscription, QoS};

use crate::mosquitto::{Mosquitto, PATIENCE, Site, config};

async fn next(heard: &mut LocalSubscription) -> (String, String) {
    let message = tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap();
    (message.topic().to_owned(), String::from_utf8(message.payload().to_vec()).unwrap())
}

#[tokio::test]
async fn accepted_topics_come_in_renamed_and_no_others_do() {
    let upstream = Mosquitto::start().await;
    for version in [Version::V311, Version::V5] {
        let mut config = config(&upstream.url(), version);
        let rename =
            RuleConfig { strip: "cloud/".into(), prefix: "site/".into(), ..RuleConfig::of("cloud/+/set") };
        config.accept = vec![Rule(rename), Rule(RuleConfig::of("config/#"))];
        let site = Site::start(config);
        let mut heard = site
            .broker
            .subscribe(&[("site/+/set", QoS::AtLeastOnce), ("config/#", QoS::AtLeastOnce)], 100)
            .unwrap();
        site.connected().await;
        // Subscriptions stand once something comes through them.
        loop {
            upstream.publish("config/ready", "yes", &[]).await;
            if tokio::time::timeout(Duration::from_millis(200), heard.recv()).await.is_ok() {
                break;
            }
        }
        upstream.publish("other/fan/set", "1", &[]).await;
        upstream.publish("cloud/fan/deep/set", "2", &[]).await;
        upstream.publish("cloud/fan/set", "3", &[]).await;
        let mut got = next(&mut heard).await;
        while got.0 == "config/ready" {
            got = next(&mut heard).await;
        }
        assert_eq!(got, ("site/fan/set".to_owned(), "3".to_owned()));
        site.stop().await;
    }
}

#[tokio::test]
async fn a_topic_that_goes_both_ways_makes_no_loop() {
    let upstream = Mosquitto::start().await;
    let mut consumer = upstream.consumer(&["site/#"]).await;
    for version in [Version::V311, Version::V5] {
        let mut config = config(&upstream.url(), version);
        config.accept = vec![Rule(RuleConfig::of("site/#"))];
        let site = Site::start(config);
        site.connected().await;
        let mut heard = site.broker.subscribe(&[("site/both", QoS::AtLeastOnce)], 100).unwrap();
        for number in 0..20 {
            site.publish("site/both", &number.to_string());
        }
        site.drained().await;
        loop {
            upstream.publish("site/both", "end", &[]).await;
            let mut ended = false;
            while let Ok(message) = tokio::time::timeout(Duration::from_millis(200), heard.recv()).await {
                ended |= message.payload() == b"end";
                let own = message.payload() != b"end" && &**message.publisher() != "device";
                assert!(!own, "{version:?}: {message:?} came back");
            }
            if ended {
                break;
            }
        }
        assert_eq!(site.handle.snapshot().acknowledged, 20, "nothing went round");
        let own: Vec<_> = consumer.take(20).await.into_iter().filter(|got| got.payload != "end").collect();
        assert!(own.iter().enumerate().all(|(index, got)| got.payload == index.to_string()), "{own:?}");
        // What is left are the ends of this round.
        while consumer.next().await.payload != "end" {}
        site.stop().await;
        drop(consumer);
        consumer = upstream.consumer(&["site/#"]).await;
    }
}
