//! Wills: when they are published, and when not.

use std::time::Duration;

use iogate::broker::{Broker, Config, LocalSubscription, QoS};

use crate::client::{Connect, Server, Will, pipe, vanished};

fn with_will(connect: Connect, retain: bool, properties: &[u8]) -> Connect {
    let will = Will { topic: "will", payload: b"gone", qos: 1, retain, properties: properties.to_vec() };
    Connect { will: Some(will), ..connect }
}

fn watch(broker: &Broker) -> LocalSubscription {
    broker.subscribe(&[("will", QoS::ExactlyOnce)], 10).unwrap()
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_its_will() {
    let server = Server::start().await;
    let mut watcher = watch(&server.broker);
    for connect in [Connect::new(3, "c"), Connect::v4("c"), Connect::v5("c")] {
        server.connect(&with_will(connect, true, &[])).await.drop_connection();
        let message = watcher.recv().await;
        assert_eq!((message.payload(), message.qos, message.retain), (&b"gone"[..], QoS::AtLeastOnce, true));
        assert_eq!(&**message.publisher(), "c");
        vanished(&server.broker, "c").await;
    }
    let mut late = server.v4("late").await;
    late.subscribe("will", 0).await;
    assert_eq!(late.message().await.text(), "gone");
}

#[tokio::test]
async fn a_client_that_says_goodbye_does_not() {
    let server = Server::start().await;
    let mut watcher = watch(&server.broker);
    server.connect(&with_will(Connect::v4("c"), false, &[])).await.disconnect().await;
    server.connect(&with_will(Connect::v5("c"), false, &[])).await.disconnect().await;
    assert!(watcher.try_recv().is_none());
    // Unless it asks for it.
    let mut client = server.connect(&with_will(Connect::v5("c"), false, &[])).await;
    client.send(&[0xe0, 1, 0x04]).await;
    assert_eq!(watcher.recv().await.payload(), b"gone");
    // A protocol error is no goodbye either.
    let mut client = server.connect(&with_will(Connect::v5("c"), false, &[0x01, 1])).await;
    client.send(&[0x00, 0]).await;
    let message = watcher.recv().await;
    assert!(message.properties().utf8);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_will_waits_for_the_client() {
    let broker = Broker::new(Config::default());
    let mut watcher = watch(&broker);
    let delay = [0x18, 0, 0, 0, 30];
    let connect = with_will(Connect::v5("c").keeping(), false, &delay);
    let mut client = pipe(&broker);
    client.greet(&connect).await;
    client.drop_connection();
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert!(watcher.try_recv().is_none());
    // It comes back in time: no will.
    let mut client = pipe(&broker);
    client.greet(&connect).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(watcher.try_recv().is_none());
    client.drop_connection();
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(watcher.try_recv().unwrap().payload(), b"gone");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_session_does_not_wait_for_the_delay() {
    let broker = Broker::new(Config::default());
    let mut watcher = watch(&broker);
    let delay = [0x18, 0, 0, 0, 30];
    // The session ends with the connection.
    let mut client = pipe(&broker);
    client.greet(&with_will(Connect::v5("c"), false, &delay)).await;
    client.drop_connection();
    vanished(&broker, "c").await;
    assert!(watcher.try_recv().is_some());
    // The session ends before the delay.
    let mut connect = with_will(Connect::v5("c"), false, &delay);
    connect.properties = vec![0x11, 0, 0, 0, 10];
    let mut client = pipe(&broker);
    client.greet(&connect).await;
    client.drop_connection();
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(watcher.try_recv().is_some());
    // A clean start ends it.
    let mut client = pipe(&broker);
    client.greet(&with_will(Connect::v5("c").keeping(), false, &delay)).await;
    client.drop_connection();
    vanished(&broker, "c").await;
    assert!(watcher.try_recv().is_none());
    pipe(&broker).greet(&Connect::v5("c")).await;
    assert!(watcher.try_recv().is_some());
}

#[tokio::test]
async fn a_takeover_publishes_the_will_of_the_older_connection() {
    let server = Server::start().await;
    let mut watcher = watch(&server.broker);
    let _first = server.connect(&with_will(Connect::v5("c").keeping(), false, &[])).await;
    let _second = server.connect(&Connect::v5("c").keeping()).await;
    assert_eq!(watcher.recv().await.payload(), b"gone");
    assert_eq!(server.broker.stats().wills, 1);
}

#[tokio::test(start_paused = true)]
async fn a_wills_expiry_counts_from_its_publication() {
    let broker = Broker::new(Config::default());
    let mut subscriber = pipe(&broker);
    subscriber.greet(&Connect { keep_alive: 0, ..Connect::v5("s") }).await;
    subscriber.subscribe("will", 1).await;
    let mut client = pipe(&broker);
    let properties = [0x18, 0, 0, 0, 5, 0x02, 0, 0, 0, 50];
    client.greet(&with_will(Connect::v5("c").keeping(), false, &properties)).await;
    client.drop_connection();
    assert_eq!(subscriber.take().await.properties, [0x02, 0, 0, 0, 50]);
}
