//! What the operator may do to clients, sessions and retained messages.

use iogate::broker::{Config, QoS};

use crate::client::{Connect, Server, Will, vanished};

fn mourned(connect: Connect) -> Connect {
    let will = Will { topic: "will", payload: b"gone", qos: 1, retain: false, properties: vec![] };
    Connect { will: Some(will), ..connect }
}

#[tokio::test]
async fn a_kicked_client_is_told_its_will_published_and_its_session_kept() {
    let server = Server::start().await;
    let mut watcher = server.broker.subscribe(&[("will", QoS::AtMostOnce)], 10).unwrap();
    for connect in [Connect::v5("c"), Connect::v4("c")] {
        let connect = mourned(connect.keeping());
        let mut client = server.connect(&connect).await;
        client.subscribe("t", 1).await;
        assert!(server.broker.kick("c"));
        assert!(!server.broker.kick("c"));
        assert_eq!(watcher.recv().await.payload(), b"gone");
        client.expect_refusal(0x98).await;
        let mut client = server.connect(&connect).await;
        assert!(client.session_present());
        client.publish(2, "t", "x").await;
        assert_eq!(client.take().await.text(), "x");
        client.disconnect().await;
    }
    assert!(!server.broker.kick("nobody"));
    let stats = server.broker.stats();
    assert_eq!((stats.kicked, stats.takeovers), (2, 0));
}

#[tokio::test]
async fn a_kicked_client_without_a_session_to_keep_leaves_nothing() {
    let server = Server::start().await;
    let mut client = server.v5("c").await;
    client.subscribe("t", 1).await;
    assert!(server.broker.kick("c"));
    client.expect_refusal(0x98).await;
    assert_eq!((server.broker.stats().sessions, server.broker.stats().subscriptions), (0, 0));
    // After the kick a takeover is told as one again.
    let mut first = server.v5("c").await;
    let _second = server.v5("c").await;
    first.expect_refusal(0x8e).await;
}

#[tokio::test]
async fn clearing_a_session_forgets_everything_connected_or_not() {
    let server = Server::start().await;
    let mut watcher = server.broker.subscribe(&[("will", QoS::AtMostOnce)], 10).unwrap();
    let mut connect = mourned(Connect::v5("c").keeping());
    // The will would be published an hour later.
    connect.will.as_mut().unwrap().properties = vec![0x18, 0, 0, 0x0e, 0x10];
    for absent in [false, true] {
        let mut client = server.connect(&connect).await;
        assert!(!client.session_present());
        client.subscribe("t", 1).await;
        client.subscribe("$share/g/t", 1).await;
        let mut kept = Some(client);
        if absent {
            kept.take().unwrap().drop_connection();
            vanished(&server.broker, "c").await;
            server.v4("p").await.publish(2, "t", "waits").await;
        }
        assert!(server.broker.clear_session("c"));
        assert!(!server.broker.clear_session("c"));
        assert_eq!(watcher.recv().await.payload(), b"gone");
        if let Some(mut client) = kept {
            client.expect_refusal(0x98).await;
        }
        // Only the watcher's is left.
        assert_eq!(server.broker.stats().subscriptions, 1);
    }
    assert!(!server.connect(&connect).await.session_present());
}

#[tokio::test]
async fn retained_messages_are_deleted_by_filter() {
    let server = Server::with(Config::default()).await;
    let mut client = server.v4("c").await;
    for topic in ["a/1", "a/2", "a/2/deep", "b"] {
        client.publish(1, topic, "kept").await;
    }
    server.broker.publisher("inside").publish("$SYS/x", b"kept", &retained()).unwrap();
    client.subscribe("a/#", 0).await;
    for _ in 0..3 {
        client.message().await;
    }
    assert_eq!(server.broker.delete_retained("a/+").unwrap(), 2);
    assert_eq!(server.broker.delete_retained("a/+").unwrap(), 0);
    assert!(server.broker.delete_retained("a#").is_err());
    client.quiet().await;
    assert_eq!(server.broker.stats().retained, 3);
    assert_eq!(server.broker.delete_retained("#").unwrap(), 2);
    let stats = server.broker.stats();
    assert_eq!((stats.retained, stats.retained_bytes), (1, 10));
    let mut other = server.v4("o").await;
    other.subscribe("#", 0).await;
    other.quiet().await;
    other.subscribe("$SYS/x", 0).await;
    assert_eq!(other.message().await.topic, "$SYS/x");
}

fn retained() -> iogate::broker::PublishOptions<'static> {
    iogate::broker::PublishOptions { retain: true, ..Default::default() }
}
