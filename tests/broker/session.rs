//! Sessions: clean and kept, expiry, takeover, queues for absent clients.

use std::time::Duration;

use iogate::broker::{Broker, Config};

use crate::client::{Connect, Server, pipe, until};

#[tokio::test]
async fn a_kept_session_receives_what_it_missed() {
    let server = Server::start().await;
    for level in [3, 4, 5] {
        let connect = Connect::new(level, "s").keeping();
        let mut subscriber = server.connect(&connect).await;
        assert!(!subscriber.session_present());
        subscriber.subscribe("t/1", 1).await;
        subscriber.subscribe("t/2", 2).await;
        subscriber.disconnect().await;
        let mut publisher = server.v4("p").await;
        for (flags, topic) in [(2, "t/1"), (4, "t/2"), (0, "t/1"), (2, "t/2")] {
            publisher.publish(flags, topic, "x").await;
        }
        let mut subscriber = server.connect(&connect).await;
        assert_eq!(subscriber.session_present(), level > 3);
        let mut got = Vec::new();
        for _ in 0..3 {
            let message = subscriber.take().await;
            got.push((message.topic, message.qos));
        }
        // QoS 0 is not kept for absent clients.
        assert_eq!(got, [("t/1".into(), 1), ("t/2".into(), 2), ("t/2".into(), 1)]);
        subscriber.quiet().await;
        subscriber.disconnect().await;
        let mut fresh = server.connect(&Connect::new(level, "s")).await;
        assert!(!fresh.session_present());
        publisher.publish(2, "t/1", "x").await;
        fresh.quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_expire_after_their_interval() {
    let broker = Broker::new(Config::default());
    let connect = Connect { clean: false, properties: vec![0x11, 0, 0, 0, 60], ..Connect::v5("s") };
    for (pause, present) in [(59, true), (61, false), (59, true)] {
        let mut client = pipe(&broker);
        client.greet(&connect).await;
        client.subscribe("t", 1).await;
        client.disconnect().await;
        tokio::time::sleep(Duration::from_secs(pause)).await;
        assert_eq!(broker.stats().sessions, u64::from(present));
        assert_eq!(broker.stats().subscriptions, u64::from(present));
        let mut client = pipe(&broker);
        client.greet(&connect).await;
        assert_eq!(client.session_present(), present);
        // The client may change its mind when it leaves: this session ends at once.
        client.send(&[0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0]).await;
        client.expect_end().await;
        assert_eq!(broker.stats().sessions, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_limits_how_long_sessions_are_kept() {
    let broker = Broker::new(Config { max_session_expiry: "1m".parse().unwrap(), ..Config::default() });
    let mut client = pipe(&broker);
    client.greet(&Connect { properties: vec![0x11, 0xff, 0xff, 0xff, 0xff], ..Connect::v5("new") }).await;
    assert_eq!(client.connack[3..8], [0x11, 0, 0, 0, 60]);
    client.disconnect().await;
    let mut client = pipe(&broker);
    client.greet(&Connect::v4("old").keeping()).await;
    client.disconnect().await;
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(broker.stats().sessions, 2);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(broker.stats().sessions, 0);
}

#[tokio::test]
async fn a_second_connection_takes_the_session_over() {
    let server = Server::start().await;
    for level in [4, 5] {
        let connect = Connect::new(level, "s").keeping();
        let mut first = server.connect(&connect).await;
        first.subscribe("t", 1).await;
        let mut second = server.connect(&connect).await;
        assert!(second.session_present());
        first.expect_refusal(0x8e).await;
        server.v4("p").await.publish(2, "t", "x").await;
        assert_eq!(second.take().await.text(), "x");
        let mut third = server.connect(&Connect::new(level, "s")).await;
        second.expect_refusal(0x8e).await;
        server.v4("p").await.publish(2, "t", "x").await;
        third.quiet().await;
        third.disconnect().await;
    }
    assert_eq!(server.broker.stats().takeovers, 4);
    assert_eq!(server.broker.stats().sessions, 0);
}

#[tokio::test]
async fn a_stalled_connection_is_taken_over_all_the_same() {
    let server = Server::start().await;
    let mut stalled = server.v4("s").await;
    stalled.subscribe("t", 0).await;
    let mut inside = server.broker.publisher("inside");
    let payload = vec![0; 100_000];
    // Nobody reads: in the end the queue is full and the socket takes no more.
    while server.broker.stats().dropped_queue_full == 0 {
        inside.publish("t", &payload, &Default::default()).unwrap();
        tokio::task::yield_now().await;
    }
    let mut fresh = server.v4("s").await;
    fresh.quiet().await;
    until("the old connection's end", || server.broker.stats().connections == 1).await;
}

#[tokio::test]
async fn the_queue_of_an_absent_client_is_limited() {
    let config = Config { max_queue_messages: 3, ..Config::default() };
    let server = Server::with(config).await;
    let connect = Connect::v4("s").keeping();
    let mut subscriber = server.connect(&connect).await;
    subscriber.subscribe("t", 1).await;
    subscriber.disconnect().await;
    let mut publisher = server.v4("p").await;
    for payload in ["1", "2", "3", "4", "5"] {
        publisher.publish(2, "t", payload).await;
    }
    let info = server.broker.clients().into_iter().find(|client| &*client.client_id == "s").unwrap();
    assert_eq!((info.connection, info.queued, info.dropped), (None, 3, 2));
    let mut subscriber = server.connect(&connect).await;
    for payload in ["1", "2", "3"] {
        assert_eq!(subscriber.take().await.text(), payload);
    }
    subscriber.quiet().await;
    assert_eq!(server.broker.stats().dropped_queue_full, 2);
}

#[tokio::test]
async fn who_publishes_is_told_that_every_queue_is_full() {
    let config = Config { max_queue_messages: 2, ..Config::default() };
    let server = Server::with(config).await;
    for id in ["s", "t"] {
        let mut subscriber = server.connect(&Connect::v5(id).keeping()).await;
        subscriber.subscribe(&format!("{id}/#"), 1).await;
        subscriber.subscribe("both", 1).await;
    }
    let mut publisher = server.connect(&Connect::v5("p")).await;
    let mut code = async |flags: u8, topic: &str| {
        let (bytes, id) = publisher.publication(flags, topic, &[], b"x");
        publisher.send(&bytes).await;
        let (first, body) = publisher.packet().await;
        assert_eq!((first, &body[..2]), (if flags == 2 { 0x40 } else { 0x50 }, &id[..]));
        body.get(2).copied().unwrap_or(0)
    };
    // The last at QoS 2 is refused as well, and nothing of it stays open.
    assert_eq!([code(2, "s/1").await, code(2, "s/2").await], [0, 0]);
    assert_eq!([code(2, "s/3").await, code(4, "s/4").await], [0x97, 0x97]);
    // One of two takes it: nothing to send again.
    assert_eq!([code(2, "both").await, code(2, "both").await, code(2, "both").await], [0, 0, 0x97]);
    assert_eq!(server.broker.stats().dropped_queue_full, 2 + 2 + 2);
}

#[tokio::test]
async fn the_bytes_of_a_queue_are_limited() {
    let config = Config {
        max_queue_bytes: iogate::model::units::ByteSize(10_000),
        pause_bytes: iogate::model::units::ByteSize(10_000),
        ..Config::default()
    };
    let server = Server::with(config).await;
    let mut subscriber = server.connect(&Connect::v4("s").keeping()).await;
    subscriber.subscribe("t", 1).await;
    subscriber.disconnect().await;
    let mut publisher = server.v4("p").await;
    for _ in 0..5 {
        publisher.publish(2, "t", &"x".repeat(4_000)).await;
    }
    let info = server.broker.clients().into_iter().find(|client| &*client.client_id == "s").unwrap();
    assert_eq!((info.queued, info.dropped), (2, 3));
}
