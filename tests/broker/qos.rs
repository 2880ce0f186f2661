//! QoS 1 and 2 in both directions: windows, repetition, resumption.

use iogate::broker::Config;

use crate::client::{Connect, Server, vanished};

#[tokio::test]
async fn every_combination_is_delivered_at_the_lower_qos() {
    let server = Server::start().await;
    for level in [3, 4, 5] {
        let mut subscriber = server.connect(&Connect::new(level, "s")).await;
        let mut publisher = server.connect(&Connect::new(level, "p")).await;
        for wanted in 0..3u8 {
            subscriber.subscribe("t", wanted).await;
            for sent in 0..3u8 {
                publisher.publish(sent << 1, "t", "x").await;
                let message = subscriber.take().await;
                assert_eq!((message.qos, message.dup, message.retain), (sent.min(wanted), false, false));
                assert_eq!((&*message.topic, message.text()), ("t", "x"));
            }
        }
    }
}

#[tokio::test]
async fn a_repeated_qos_2_message_is_routed_once() {
    let server = Server::start().await;
    let mut subscriber = server.v4("s").await;
    subscriber.subscribe("t", 2).await;
    let mut publisher = server.connect(&Connect::v4("p").keeping()).await;
    let (bytes, [high, low]) = publisher.publication(4, "t", &[], b"once");
    publisher.send(&bytes).await;
    publisher.expect(&[0x50, 2, high, low]).await;
    publisher.drop_connection();
    vanished(&server.broker, "p").await;
    let mut publisher = server.connect(&Connect::v4("p").keeping()).await;
    assert!(publisher.session_present());
    let mut again = bytes.clone();
    again[0] |= 8;
    publisher.send(&again).await;
    publisher.expect(&[0x50, 2, high, low]).await;
    for _ in 0..2 {
        publisher.send(&[0x62, 2, high, low]).await;
        publisher.expect(&[0x70, 2, high, low]).await;
    }
    // Released: the same identifier is a new message now.
    publisher.send(&bytes).await;
    publisher.expect(&[0x50, 2, high, low]).await;
    assert_eq!(subscriber.take().await.text(), "once");
    assert_eq!(subscriber.take().await.text(), "once");
    subscriber.quiet().await;
}

#[tokio::test]
async fn unacknowledged_messages_come_again_in_order_with_dup() {
    let server = Server::start().await;
    for level in [4, 5] {
        let connect = Connect::new(level, "s").keeping();
        let mut subscriber = server.connect(&connect).await;
        subscriber.subscribe("t", 2).await;
        let mut publisher = server.v4("p").await;
        for (flags, payload) in [(2, "a"), (4, "b"), (4, "c"), (2, "d")] {
            publisher.publish(flags, "t", payload).await;
        }
        let mut first = Vec::new();
        for _ in 0..4 {
            first.push(subscriber.message().await);
        }
        // b is received but not completed, a and d are not acknowledged, c is completed.
        let id = |index: usize| first[index].id.to_be_bytes();
        let ([b0, b1], [c0, c1]) = (id(1), id(2));
        subscriber.send(&[0x50, 2, b0, b1, 0x50, 2, c0, c1]).await;
        subscriber.expect(&[0x62, 2, b0, b1]).await;
        subscriber.expect(&[0x62, 2, c0, c1]).await;
        subscriber.send(&[0x70, 2, c0, c1]).await;
        subscriber.quiet().await;
        subscriber.drop_connection();
        vanished(&server.broker, "s").await;
        publisher.publish(2, "t", "e").await;
        let mut subscriber = server.connect(&connect).await;
        assert!(subscriber.session_present());
        let a = subscriber.message().await;
        assert_eq!((a.text(), a.id, a.dup), ("a", first[0].id, true));
        subscriber.expect(&[0x62, 2, b0, b1]).await;
        let d = subscriber.message().await;
        assert_eq!((d.text(), d.id, d.dup), ("d", first[3].id, true));
        let e = subscriber.message().await;
        assert_eq!((e.text(), e.dup), ("e", false));
        subscriber.quiet().await;
        let info = &server.broker.clients()[1];
        assert_eq!((&*info.client_id, info.in_flight), ("s", 4));
        subscriber.disconnect().await;
        server.connect(&Connect::new(level, "s")).await.disconnect().await;
    }
}

#[tokio::test]
async fn no_more_is_in_flight_than_the_client_takes() {
    let server = Server::start().await;
    let connect = Connect { properties: vec![0x21, 0, 2], ..Connect::v5("s") };
    let mut subscriber = server.connect(&connect).await;
    subscriber.subscribe("t", 1).await;
    let mut publisher = server.v4("p").await;
    for payload in ["1", "2", "3", "4"] {
        publisher.publish(2, "t", payload).await;
    }
    let (one, two) = (subscriber.message().await, subscriber.message().await);
    subscriber.quiet().await;
    let [high, low] = two.id.to_be_bytes();
    subscriber.send(&[0x40, 2, high, low]).await;
    assert_eq!(subscriber.message().await.text(), "3");
    subscriber.quiet().await;
    let [high, low] = one.id.to_be_bytes();
    subscriber.send(&[0x40, 2, high, low]).await;
    assert_eq!(subscriber.message().await.text(), "4");
    // QoS 0 does not wait for the window.
    publisher.publish(0, "t", "now").await;
    assert_eq!(subscriber.message().await.text(), "now");
}

#[tokio::test]
async fn a_refused_qos_2_message_is_done_with() {
    let server = Server::start().await;
    let connect = Connect { properties: vec![0x21, 0, 1], ..Connect::v5("s") };
    let mut subscriber = server.connect(&connect).await;
    subscriber.subscribe("t", 2).await;
    let mut publisher = server.v4("p").await;
    publisher.publish(4, "t", "refused").await;
    publisher.publish(4, "t", "taken").await;
    let [high, low] = subscriber.message().await.id.to_be_bytes();
    subscriber.send(&[0x50, 3, high, low, 0x80]).await;
    assert_eq!(subscriber.take().await.text(), "taken");
}

#[tokio::test]
async fn unknown_identifiers_are_answered_as_the_specification_says() {
    let server = Server::start().await;
    let mut client = server.v5("c").await;
    client.send(&[0x40, 2, 0, 9]).await;
    client.send(&[0x50, 2, 0, 9]).await;
    client.expect_failure(0x62, [0, 9], 0x92).await;
    client.send(&[0x62, 2, 0, 9]).await;
    client.expect_failure(0x70, [0, 9], 0x92).await;
    client.send(&[0x70, 2, 0, 9]).await;
    client.quiet().await;
    assert_eq!(server.broker.stats().unknown_acks, 4);
}

#[tokio::test]
async fn more_unfinished_qos_2_messages_than_allowed_end_the_connection() {
    let server = Server::with(Config { receive_maximum: 2, ..Config::default() }).await;
    let mut client = server.v5("c").await;
    for _ in 0..3 {
        let (bytes, _) = client.publication(4, "t", &[], b"x");
        client.send(&bytes).await;
    }
    for _ in 0..2 {
        assert_eq!(client.packet().await.0, 0x50);
    }
    client.expect_refusal(0x93).await;
}

#[tokio::test]
async fn acknowledgements_that_do_not_fit_the_message_end_the_connection() {
    let server = Server::start().await;
    for level in [4, 5] {
        // The QoS of the message, and what no client may answer it with.
        for (qos, first) in [(1, 0x50), (1, 0x70), (2, 0x40), (2, 0x70)] {
            let mut subscriber = server.connect(&Connect::new(level, "s")).await;
            subscriber.subscribe("t", qos).await;
            server.v4("p").await.publish(qos << 1, "t", "x").await;
            let [high, low] = subscriber.message().await.id.to_be_bytes();
            subscriber.send(&[first, 2, high, low]).await;
            subscriber.expect_refusal(0x82).await;
        }
        // Once the message was received, it cannot be acknowledged as one of QoS 1.
        let mut subscriber = server.connect(&Connect::new(level, "s")).await;
        subscriber.subscribe("t", 2).await;
        server.v4("p").await.publish(4, "t", "x").await;
        let [high, low] = subscriber.message().await.id.to_be_bytes();
        subscriber.send(&[0x50, 2, high, low]).await;
        subscriber.expect(&[0x62, 2, high, low]).await;
        subscriber.send(&[0x40, 2, high, low]).await;
        subscriber.expect_refusal(0x82).await;
    }
}
