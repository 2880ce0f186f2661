//! CONNECT and CONNACK, limits on connections, keep-alive, shutdown.

use std::time::Duration;

use iogate::broker::{Broker, Config, Version};
use iogate::model::units::Period;
use tokio::time::Instant;

use crate::client::{Connect, Server, Will, packet, pipe, string, until};

#[tokio::test]
async fn all_three_versions_connect_and_are_listed() {
    let server = Server::start().await;
    let a = server.connect(&Connect::new(3, "a")).await;
    let b = server.v4("b").await;
    let c = server.v5("c").await;
    assert_eq!((a.connack, b.connack), (vec![0, 0], vec![0, 0]));
    // Receive maximum 1000, maximum packet size 1 MiB, topic alias maximum 64, shared subscriptions.
    assert_eq!(c.connack, [0, 0, 13, 0x21, 3, 0xe8, 0x27, 0, 0x10, 0, 0, 0x22, 0, 64, 0x2a, 1]);
    let clients = server.broker.clients();
    let versions: Vec<_> = clients
        .iter()
        .map(|client| (&*client.client_id, client.connection.as_ref().unwrap().version))
        .collect();
    assert_eq!(versions, [("a", Version::V3), ("b", Version::V4), ("c", Version::V5)]);
    assert_eq!((server.broker.stats().connections, server.broker.stats().sessions), (3, 3));
}

#[tokio::test]
async fn a_client_without_an_identifier_is_given_one_where_the_version_allows() {
    let server = Server::start().await;
    let client = server.v5("").await;
    let text = String::from_utf8_lossy(&client.connack).into_owned();
    let id = server.broker.clients()[0].client_id.clone();
    assert!(id.starts_with("iogate-") && text.contains(&*id), "{text}");
    server.v4("").await.disconnect().await;
    for refused in [Connect::v4("").keeping(), Connect::new(3, "")] {
        let mut client = server.open().await;
        client.send(&refused.bytes()).await;
        client.expect(&[0x20, 2, 0, 2]).await;
        client.expect_end().await;
    }
}

#[tokio::test]
async fn unknown_versions_are_told_so() {
    let server = Server::start().await;
    let mut client = server.open().await;
    client.send(&packet(0x10, &[&string("MQTT")[..], &[3, 2, 0, 60], &string("x")].concat())).await;
    client.expect(&[0x20, 2, 0, 1]).await;
    client.expect_end().await;
    let mut client = server.open().await;
    client.send(&packet(0x10, &[&string("MQTT")[..], &[6, 2, 0, 60, 0], &string("x")].concat())).await;
    let (first, body) = client.packet().await;
    assert_eq!((first, body[1]), (0x20, 0x84));
    client.expect_end().await;
    let mut client = server.open().await;
    client.send(&packet(0x10, &[&string("HTTP")[..], &[4, 2, 0, 60], &string("x")].concat())).await;
    client.expect_end().await;
    until("all being counted", || server.broker.stats().connects_refused == 3).await;
}

#[tokio::test]
async fn enhanced_authentication_is_refused_and_passwords_are_ignored() {
    let server = Server::start().await;
    let mut connect = Connect::v5("x");
    connect.properties = [&[0x15][..], &string("SCRAM-SHA-256")].concat();
    let mut client = server.open().await;
    client.send(&connect.bytes()).await;
    let (first, body) = client.packet().await;
    assert_eq!((first, body[1]), (0x20, 0x8c));
    client.expect_end().await;
    let body =
        [&string("MQTT")[..], &[4, 0xc2, 0, 60], &string("x"), &string("user"), &string("secret")].concat();
    let mut client = server.open().await;
    client.send(&packet(0x10, &body)).await;
    client.expect(&[0x20, 2, 0, 0]).await;
}

#[tokio::test]
async fn connections_over_the_limits_are_closed() {
    let server = Server::with(Config { max_connections_per_address: 2, ..Config::default() }).await;
    let (a, _b) = (server.v4("a").await, server.v4("b").await);
    server.open().await.expect_end().await;
    assert_eq!(server.broker.stats().connections_refused, 1);
    a.disconnect().await;
    until("the place being free", || server.broker.stats().connections == 1).await;
    server.v4("c").await;
}

#[tokio::test]
async fn sessions_over_the_limit_are_refused() {
    let server = Server::with(Config { max_sessions: 1, max_client_id: 4, ..Config::default() }).await;
    let _a = server.v4("a").await;
    let mut client = server.open().await;
    client.send(&Connect::v5("b").bytes()).await;
    let (_, body) = client.packet().await;
    assert_eq!(body[1], 0x97);
    client.expect_end().await;
    let mut client = server.open().await;
    client.send(&Connect::v4("b").bytes()).await;
    client.expect(&[0x20, 2, 0, 3]).await;
    client.expect_end().await;
    let mut client = server.open().await;
    client.send(&Connect::v5("longer").bytes()).await;
    let (_, body) = client.packet().await;
    assert_eq!(body[1], 0x85);
    client.expect_end().await;
    assert_eq!(server.broker.stats().sessions_refused, 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_introduce_itself_is_closed_in_time() {
    let broker = Broker::new(Config::default());
    let start = Instant::now();
    pipe(&broker).expect_end().await;
    let mut slow = pipe(&broker);
    slow.send(&Connect::v4("slow").bytes()[..5]).await;
    slow.expect_end().await;
    assert_eq!(start.elapsed(), Duration::from_secs(20));
    assert_eq!((broker.stats().connects_refused, broker.stats().connections), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_closed_after_one_and_a_half_keep_alives() {
    let broker = Broker::new(Config::default());
    for (connect, code) in [(Connect::v4("a"), 0), (Connect::v5("b"), 0x8d)] {
        let mut client = pipe(&broker);
        client.greet(&Connect { keep_alive: 10, ..connect }).await;
        let start = Instant::now();
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_secs(14)).await;
            client.quiet().await;
        }
        client.expect_refusal(code).await;
        let silent = start.elapsed();
        assert!((71_000..71_100).contains(&silent.as_millis()), "{silent:?}");
    }
    assert_eq!(broker.stats().keep_alive_timeouts, 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_without_keep_alive_stays_unless_the_server_names_one() {
    let broker = Broker::new(Config::default());
    let mut client = pipe(&broker);
    client.greet(&Connect { keep_alive: 0, ..Connect::v5("a") }).await;
    tokio::time::sleep(Duration::from_secs(1_000_000)).await;
    client.quiet().await;
    let broker = Broker::new(Config { max_keep_alive: Period::from_secs(30), ..Config::default() });
    let mut client = pipe(&broker);
    client.greet(&Connect { keep_alive: 0, ..Connect::v5("a") }).await;
    assert!(client.connack.windows(3).any(|bytes| bytes == [0x13, 0, 30]), "{:x?}", client.connack);
    client.expect_refusal(0x8d).await;
}

#[tokio::test]
async fn shutdown_says_goodbye_publishes_wills_and_ends() {
    let server = Server::start().await;
    let mut watcher = server.broker.subscribe(&[("will/#", iogate::broker::QoS::AtMostOnce)], 10).unwrap();
    let will = Will { topic: "will/a", payload: b"gone", qos: 0, retain: false, properties: vec![] };
    let mut a = server.connect(&Connect { will: Some(will), ..Connect::v5("a") }).await;
    let mut b = server.v4("b").await;
    let idle = server.open().await;
    server.stop.cancel();
    a.expect_refusal(0x8b).await;
    b.expect_end().await;
    drop((a, b, idle));
    server.task.await.unwrap();
    assert_eq!(watcher.recv().await.payload(), b"gone");
    assert_eq!(server.broker.stats().connections, 0);
}

#[tokio::test]
async fn what_a_client_sent_before_the_stop_counts() {
    let broker = Broker::new(Config::default());
    let mut watcher = broker.subscribe(&[("#", iogate::broker::QoS::AtMostOnce)], 10).unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let (near, far) = tokio::io::duplex(64 << 10);
    let serving = tokio::spawn({
        let (broker, stop) = (broker.clone(), stop.clone());
        async move { broker.serve_stream(far, ([127, 0, 0, 1], 1).into(), stop).await }
    });
    let will = Will { topic: "will", payload: b"gone", qos: 0, retain: false, properties: vec![] };
    let mut client = crate::client::Client::over(near);
    client.greet(&Connect { will: Some(will), ..Connect::v5("c").keeping() }).await;
    client.subscribe("t", 1).await;
    client.publish(0, "other", "x").await;
    assert_eq!(watcher.recv().await.payload(), b"x");
    let mut inside = broker.publisher("inside");
    let options = iogate::broker::PublishOptions {
        qos: iogate::broker::QoS::AtLeastOnce,
        ..iogate::broker::PublishOptions::default()
    };
    inside.publish("t", b"once", &options).unwrap();
    let [high, low] = client.message().await.id.to_be_bytes();
    // An acknowledgement, a message and a goodbye lie in the connection when the broker stops.
    let (last, _) = client.publication(0, "other", &[], b"last");
    client.send(&[&[0x40, 2, high, low], &last[..], &[0xe0, 0]].concat()).await;
    stop.cancel();
    serving.await.unwrap();
    let got: Vec<_> =
        std::iter::from_fn(|| watcher.try_recv()).map(|message| message.payload().to_vec()).collect();
    assert_eq!(got, [b"once".to_vec(), b"last".to_vec()]);
    let client = &broker.clients()[0];
    assert_eq!((client.in_flight, client.queued), (0, 0));
}
