//! Publishing and subscribing inside the program.

use std::time::Duration;

use iogate::broker::{Broker, Config, PublishOptions, QoS};

use crate::client::Server;

#[tokio::test]
async fn a_batch_reaches_sockets_and_subscriptions_in_order() {
    let server = Server::start().await;
    let mut client = server.v5("c").await;
    client.subscribe("p/#", 1).await;
    let mut inside =
        server.broker.subscribe(&[("p/+", QoS::ExactlyOnce), ("p/1", QoS::AtMostOnce)], 10).unwrap();
    let mut publisher = server.broker.publisher("gateway");
    let (one, two) = (publisher.topic("p/1").unwrap(), publisher.topic("p/2").unwrap());
    let options = PublishOptions {
        qos: QoS::AtLeastOnce,
        expiry: Some(Duration::from_secs(60)),
        content_type: Some("application/json"),
        response_topic: Some("r"),
        correlation: Some(b"id"),
        user: &[("k", "v")],
        ..PublishOptions::default()
    };
    let mut batch = publisher.batch();
    batch.publish(&one, b"1", &options);
    batch.publish(&two, b"2", &PublishOptions::default());
    assert_eq!(batch.len(), 2);
    let done = batch.commit();
    assert_eq!((done.messages, done.delivered, done.dropped, done.wait), (2, 4, 0, false));
    let first = client.take().await;
    assert_eq!((first.text(), first.qos, &first.properties[..5]), ("1", 1, &[0x02, 0, 0, 0, 60][..]));
    assert_eq!(client.take().await.text(), "2");
    let message = inside.recv().await;
    assert_eq!((message.topic(), message.payload(), message.qos), ("p/1", &b"1"[..], QoS::AtLeastOnce));
    assert_eq!(&**message.publisher(), "gateway");
    let properties = message.properties();
    assert_eq!(properties.content_type, Some("application/json"));
    assert_eq!((properties.response_topic, properties.correlation), (Some("r"), Some(&b"id"[..])));
    assert_eq!(properties.user, [("k", "v")]);
    assert!(message.expires().is_some());
    assert_eq!(inside.recv().await.topic(), "p/2");
    assert!(inside.try_recv().is_none());
}

#[tokio::test]
async fn a_handle_follows_changing_subscriptions() {
    let broker = Broker::new(Config::default());
    let mut publisher = broker.publisher("p");
    let topic = publisher.topic("t").unwrap();
    let mut send = || {
        let mut batch = publisher.batch();
        batch.publish(&topic, b"x", &PublishOptions::default());
        batch.commit().delivered
    };
    assert_eq!(send(), 0);
    let first = broker.subscribe(&[("t", QoS::AtMostOnce)], 10).unwrap();
    assert_eq!(send(), 1);
    let second = broker.subscribe(&[("+", QoS::AtMostOnce)], 10).unwrap();
    assert_eq!(send(), 2);
    drop(first);
    assert_eq!(send(), 1);
    drop(second);
    assert_eq!(send(), 0);
    assert_eq!(broker.stats().subscriptions, 0);
}

#[tokio::test]
async fn a_subscription_that_falls_behind_keeps_the_newest_and_says_what_it_missed() {
    let broker = Broker::new(Config::default());
    let mut subscription = broker.subscribe(&[("#", QoS::AtMostOnce)], 2).unwrap();
    let mut publisher = broker.publisher("p");
    for payload in [b"1", b"2", b"3", b"4"] {
        publisher.publish("t", payload, &PublishOptions::default()).unwrap();
    }
    assert_eq!(subscription.take_missed(), 2);
    assert_eq!(subscription.take_missed(), 0);
    assert_eq!(subscription.recv().await.payload(), b"3");
    assert_eq!(subscription.recv().await.payload(), b"4");
    assert_eq!(broker.stats().dropped_local, 2);
}

#[tokio::test]
async fn retained_messages_are_told_from_live_ones() {
    let broker = Broker::new(Config::default());
    let mut publisher = broker.publisher("p");
    let retain = PublishOptions { retain: true, ..PublishOptions::default() };
    publisher.publish("t", b"kept", &retain).unwrap();
    let mut subscription = broker.subscribe(&[("t", QoS::AtMostOnce)], 10).unwrap();
    publisher.publish("t", b"live", &retain).unwrap();
    publisher.publish("t", b"plain", &PublishOptions::default()).unwrap();
    let mut seen = Vec::new();
    while let Some(message) = subscription.try_recv() {
        seen.push((
            String::from_utf8(message.payload().to_vec()).unwrap(),
            message.retain,
            message.from_store,
        ));
    }
    let expected = [("kept", true, true), ("live", true, false), ("plain", false, false)];
    assert_eq!(seen, expected.map(|(text, retain, from_store)| (text.to_owned(), retain, from_store)));
    publisher.publish("t", b"", &retain).unwrap();
    assert_eq!(broker.stats().retained, 0);
}

#[test]
fn bad_topics_are_named() {
    let broker = Broker::new(Config::default());
    let error = broker.publisher("p").topic("a/+").map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "`a/+`: topic name contains a wildcard or U+0000");
    let error = broker.subscribe(&[("a#", QoS::AtMostOnce)], 1).map(|_| ()).unwrap_err();
    assert_eq!(error.text, "a#");
}
