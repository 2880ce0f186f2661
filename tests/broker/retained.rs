//! Retained messages.

use std::time::Duration;

use iogate::broker::{Broker, Config, PublishOptions, QoS};

use crate::client::{Client, Connect, Server, pipe, until};

async fn retained(client: &mut Client, count: usize) -> Vec<(String, String)> {
    let mut got = Vec::new();
    for _ in 0..count {
        let message = client.take().await;
        assert!(message.retain);
        got.push((message.topic.clone(), message.text().to_owned()));
    }
    client.quiet().await;
    got.sort();
    got
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|&(topic, text)| (topic.to_owned(), text.to_owned())).collect()
}

#[tokio::test]
async fn the_last_message_waits_for_later_subscribers() {
    let server = Server::start().await;
    let mut publisher = server.v4("p").await;
    for (topic, text) in [("a/1", "old"), ("a/1", "new"), ("a/2", "two"), ("a", "top"), ("b", "other")] {
        publisher.publish(3, topic, text).await;
    }
    publisher.publish(2, "a/3", "not retained").await;
    for (filter, expected) in [
        ("a/1", &[("a/1", "new")][..]),
        ("a/+", &[("a/1", "new"), ("a/2", "two")]),
        ("a/#", &[("a", "top"), ("a/1", "new"), ("a/2", "two")]),
        ("#", &[("a", "top"), ("a/1", "new"), ("a/2", "two"), ("b", "other")]),
        ("c", &[]),
    ] {
        let mut client = server.v4("c").await;
        client.subscribe(filter, 1).await;
        assert_eq!(retained(&mut client, expected.len()).await, pairs(expected), "{filter}");
    }
    publisher.publish(3, "a/1", "").await;
    let mut client = server.v4("c").await;
    client.subscribe("a/1", 0).await;
    client.quiet().await;
    assert_eq!(server.broker.stats().retained, 3);
}

#[tokio::test]
async fn retain_handling_decides_when_they_are_sent() {
    let server = Server::start().await;
    server.v4("p").await.publish(3, "t", "kept").await;
    let mut client = server.v5("c").await;
    for (options, count) in [(0x20, 0), (0x10, 0), (0x00, 1), (0x00, 1)] {
        client.subscribe("t", options).await;
        retained(&mut client, count).await;
    }
    client.unsubscribe("t").await;
    client.subscribe("t", 0x10).await;
    retained(&mut client, 1).await;
}

#[tokio::test]
async fn qos_identifiers_and_properties_of_retained_messages() {
    let server = Server::start().await;
    let mut publisher = server.v5("p").await;
    publisher.publish_with(5, "t", &[0x01, 1], "two").await;
    for (wanted, expected) in [(0, 0), (1, 1), (2, 2)] {
        let mut client = server.v5("c").await;
        assert_eq!(client.subscribe_with(&[0x0b, 5], &[("t", wanted)]).await, [wanted]);
        let message = client.take().await;
        assert_eq!((message.qos, &message.properties[..]), (expected, &[0x0b, 5, 0x01, 1][..]));
    }
    // What a client published itself is not sent to its no-local subscription.
    publisher.subscribe("t", 0x04).await;
    publisher.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn retained_messages_expire() {
    let broker = Broker::new(Config::default());
    let mut publisher = pipe(&broker);
    publisher.greet(&Connect { keep_alive: 0, ..Connect::v5("p") }).await;
    publisher.publish_with(3, "t", &[0x02, 0, 0, 0, 60], "x").await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let mut client = pipe(&broker);
    client.greet(&Connect { keep_alive: 0, ..Connect::v5("c") }).await;
    client.subscribe("t", 0).await;
    assert_eq!(client.message().await.properties, [0x02, 0, 0, 0, 40]);
    tokio::time::sleep(Duration::from_secs(40)).await;
    client.subscribe("t", 0).await;
    client.quiet().await;
}

#[tokio::test]
async fn a_full_store_refuses_new_topics_and_says_so() {
    let server = Server::with(Config { max_retained: 1, ..Config::default() }).await;
    let mut client = server.v5("c").await;
    client.publish(3, "a", "1").await;
    client.publish(3, "a", "2").await;
    let (bytes, id) = client.publication(3, "b", &[], b"1");
    client.send(&bytes).await;
    client.expect_failure(0x40, id, 0x97).await;
    let stats = server.broker.stats();
    assert_eq!((stats.retained, stats.retained_refused), (1, 1));
    client.publish(3, "a", "").await;
    client.publish(3, "b", "1").await;
}

#[tokio::test]
async fn more_retained_messages_than_a_window_or_a_queue_holds_all_arrive() {
    const COUNT: usize = 5_000;
    let config = Config { max_inflight: 7, max_queue_messages: 10, ..Config::default() };
    let server = Server::with(config).await;
    let mut inside = server.broker.publisher("inside");
    let topics: Vec<_> = (0..COUNT).map(|n| inside.topic(&format!("t/{n}")).unwrap()).collect();
    let mut batch = inside.batch();
    for (n, topic) in topics.iter().enumerate() {
        let qos = if n % 2 == 0 { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        batch.publish(topic, b"x", &PublishOptions { qos, retain: true, ..PublishOptions::default() });
    }
    batch.commit();
    let mut client = server.v4("c").await;
    client.subscribe("t/#", 1).await;
    assert_eq!(retained(&mut client, COUNT).await.len(), COUNT);
    assert_eq!(server.broker.stats().dropped_queue_full, 0);
}

#[tokio::test(start_paused = true)]
async fn expired_messages_are_let_go_without_being_asked_for() {
    let server = Server::start().await;
    let mut inside = server.broker.publisher("inside");
    let expiry = Some(Duration::from_secs(30));
    let options = PublishOptions { retain: true, expiry, ..PublishOptions::default() };
    inside.publish("t/1", b"short", &options).unwrap();
    inside.publish("t/2", b"long", &PublishOptions { expiry: None, ..options }).unwrap();
    assert_eq!(server.broker.stats().retained, 2);
    tokio::time::sleep(Duration::from_secs(61)).await;
    until("the removal", || server.broker.stats().retained == 1).await;
    assert_eq!(server.broker.stats().retained_expired, 1);
}
