//! What only MQTT 5 has: aliases towards the client, reasons in words, limits that are told, the publish rate.

use std::time::Duration;

use iogate::broker::{Broker, Config};
use tokio::time::Instant;

use crate::client::{Connect, Server, Will, packet, pipe, string};

fn with(id: &str, properties: &[u8]) -> Connect {
    Connect { properties: properties.to_vec(), ..Connect::v5(id) }
}

#[tokio::test]
async fn topics_sent_before_are_sent_as_aliases() {
    let server = Server::start().await;
    let mut client = server.connect(&with("c", &[0x22, 0, 2])).await;
    client.publish(1, "long/kept", "x").await;
    client.subscribe("long/#", 2).await;
    let mut publisher = server.v4("p").await;
    let topics = ["long/kept", "long/1", "long/1", "long/2", "long/kept", "long/2"];
    for (topic, flags) in topics[1..].iter().zip([0, 2, 4, 0, 2]) {
        publisher.publish(flags, topic, "x").await;
    }
    let mut got = Vec::new();
    for _ in topics {
        let message = client.take().await;
        got.push((message.topic, message.properties));
    }
    let alias = |topic: &str, number: u8| (topic.to_owned(), vec![0x23, 0, number]);
    let plain = ("long/2".to_owned(), vec![]);
    let expected =
        [alias("long/kept", 1), alias("long/1", 2), alias("", 2), plain.clone(), alias("", 1), plain];
    assert_eq!(got, expected);
    // A new connection knows none of them.
    let mut client = server.connect(&with("c", &[0x22, 0, 1])).await;
    client.subscribe("long/1", 0).await;
    publisher.publish(0, "long/1", "x").await;
    let message = client.take().await;
    assert_eq!((message.topic, message.properties), alias("long/1", 1));
}

#[tokio::test]
async fn the_server_keeps_to_its_own_number_of_aliases() {
    let server = Server::with(Config { client_topic_aliases: 1, ..Config::default() }).await;
    let mut client = server.connect(&with("c", &[0x22, 0xff, 0xff])).await;
    client.subscribe("#", 0).await;
    let mut publisher = server.v4("p").await;
    for (topic, properties) in [("long/1", vec![0x23, 0, 1]), ("long/2", vec![]), ("a/b", vec![])] {
        publisher.publish(0, topic, "x").await;
        let message = client.take().await;
        assert_eq!((&*message.topic, message.properties), (topic, properties));
    }
}

#[tokio::test]
async fn a_packet_that_fits_only_without_an_alias_comes_without() {
    let server = Server::start().await;
    // Header 2, topic 8, property length 1: 20 bytes of payload make 31.
    let mut client = server.connect(&with("c", &[0x22, 0, 9, 0x27, 0, 0, 0, 31])).await;
    client.subscribe("long/1", 0).await;
    let mut publisher = server.v4("p").await;
    publisher.publish(0, "long/1", &"x".repeat(21)).await;
    publisher.publish(0, "long/1", &"x".repeat(20)).await;
    publisher.publish(0, "long/1", "x").await;
    let message = client.take().await;
    assert_eq!((&*message.topic, message.payload.len(), message.properties.len()), ("long/1", 20, 0));
    assert_eq!(client.take().await.properties, [0x23, 0, 1]);
}

#[tokio::test]
async fn failures_are_told_in_words_to_those_who_want_them() {
    let server = Server::start().await;
    let told = |body: &[u8], why: &str| body.ends_with(&[&[0x1f][..], &string(why)].concat());
    let mut client = server.v5("a").await;
    for (flags, answer) in [(2, 0x40), (4, 0x50)] {
        let (bytes, _) = client.publication(flags, "$SYS/x", &[], b"x");
        client.send(&bytes).await;
        let (first, body) = client.packet().await;
        assert_eq!((first, body[2]), (answer, 0x87));
        assert!(told(&body, "publishing to this topic is not allowed"), "{body:x?}");
    }
    client.send(&[0x62, 2, 0, 99]).await;
    let (first, body) = client.packet().await;
    assert_eq!((first, body[2]), (0x70, 0x92));
    assert!(told(&body, "no message is in flight under this packet identifier"));
    let subscribe =
        |id| packet(0x82, &[&[0, id, 0][..], &string("ok"), &[1], &string("$share"), &[1]].concat());
    client.send(&subscribe(7)).await;
    let (_, body) = client.packet().await;
    assert!(told(&body[..body.len() - 2], "filter 2: shared subscriptions not supported"), "{body:x?}");
    assert_eq!(body[body.len() - 2..], [1, 0x9e]);
    // Request problem information 0 ([MQTT-3.1.2-29]), and packets that would become too large.
    for silent in [&[0x17, 0][..], &[0x27, 0, 0, 0, 40]] {
        let mut client = server.connect(&with("b", silent)).await;
        let (bytes, id) = client.publication(2, "$SYS/x", &[], b"x");
        client.send(&bytes).await;
        client.expect(&[0x40, 3, id[0], id[1], 0x87]).await;
        client.send(&subscribe(7)).await;
        client.expect(&[0x90, 5, 0, 7, 0, 1, 0x9e]).await;
    }
}

#[tokio::test]
async fn response_information_comes_on_request() {
    let server = Server::with(Config { response_prefix: Some("replies".into()), ..Config::default() }).await;
    let information = [&[0x1a][..], &string("replies/me")].concat();
    let has = |connack: &[u8]| connack.windows(information.len()).any(|part| part == information);
    assert!(has(&server.connect(&with("me", &[0x19, 1])).await.connack));
    assert!(!has(&server.connect(&with("me", &[0x19, 0])).await.connack));
    assert!(!has(&server.v5("me").await.connack));
    let odd = server.connect(&with("a+b", &[0x19, 1])).await;
    assert!(!odd.connack.contains(&0x1a));
    let server = Server::start().await;
    assert!(!has(&server.connect(&with("me", &[0x19, 1])).await.connack));
}

#[tokio::test]
async fn a_lower_maximum_qos_is_told_granted_and_enforced() {
    let server = Server::with(Config { max_qos: 1, ..Config::default() }).await;
    let mut client = server.v5("c").await;
    assert!(client.connack.windows(2).any(|part| part == [0x24, 1]), "{:x?}", client.connack);
    assert_eq!(client.subscribe_with(&[], &[("t", 2), ("u", 1), ("v", 0)]).await, [1, 1, 0]);
    client.publish(2, "t", "x").await;
    assert_eq!(client.take().await.qos, 1);
    let (bytes, _) = client.publication(4, "t", &[], b"x");
    client.send(&bytes).await;
    client.expect_refusal(0x9b).await;
    let will = Will { topic: "w", payload: b"x", qos: 2, retain: false, properties: vec![] };
    let mut client = server.open().await;
    client.send(&Connect { will: Some(will), ..Connect::v5("w") }.bytes()).await;
    let (first, body) = client.packet().await;
    assert_eq!((first, body[1]), (0x20, 0x9b));
    client.expect_end().await;
}

#[tokio::test]
async fn a_will_with_too_many_user_properties_is_refused() {
    let server = Server::with(Config { max_user_properties: 2, ..Config::default() }).await;
    let property = [&[0x26][..], &string("k"), &string("v")].concat();
    for (count, code) in [(2, 0), (3, 0x97)] {
        let properties = property.repeat(count);
        let will = Will { topic: "w", payload: b"x", qos: 0, retain: false, properties };
        let mut client = server.open().await;
        client.send(&Connect { will: Some(will), ..Connect::v5("w") }.bytes()).await;
        let (first, body) = client.packet().await;
        assert_eq!((first, body[1]), (0x20, code));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_above_its_rate_is_read_more_slowly_and_loses_nothing() {
    let broker = Broker::new(Config { max_publish_rate: 10, ..Config::default() });
    let mut watcher = broker.subscribe(&[("t", iogate::broker::QoS::AtMostOnce)], 100).unwrap();
    let mut client = pipe(&broker);
    // Its keep-alive is shorter than what it has to wait.
    client.greet(&Connect { keep_alive: 1, ..Connect::v5("c") }).await;
    let start = Instant::now();
    let mut bytes = Vec::new();
    for n in 0..50 {
        bytes.extend(client.publication(0, "t", &[], format!("{n}").as_bytes()).0);
    }
    client.send(&bytes).await;
    client.quiet().await;
    assert_eq!(start.elapsed().as_millis() / 100, Duration::from_secs(4).as_millis() / 100);
    for n in 0..50 {
        assert_eq!(watcher.recv().await.payload(), format!("{n}").as_bytes());
    }
    assert_eq!((broker.stats().throttled, broker.stats().keep_alive_timeouts), (1, 0));
    // Another client is not held up by it.
    let mut other = pipe(&broker);
    other.greet(&Connect::v4("o")).await;
    let start = Instant::now();
    client.send(&bytes).await;
    other.publish(2, "t", "x").await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}
