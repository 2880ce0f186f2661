//! What the levels of QoS promise, packet by packet: identifiers, repetition, windows, what is sent again and when.

use std::collections::HashSet;
use std::time::Duration;

use iogate::broker::{Broker, Config, PublishOptions, QoS};

use crate::client::{Connect, Server, Will, packet, pipe, string, vanished};

#[tokio::test]
async fn messages_without_properties_say_so_and_qos_0_has_no_identifier() {
    let server = Server::start().await;
    let (mut old, mut new) = (server.v4("old").await, server.v5("new").await);
    for client in [&mut old, &mut new] {
        client.subscribe("t", 1).await;
    }
    let mut publisher = server.v4("p").await;
    publisher.publish(0, "t", "xy").await;
    old.expect(&[0x30, 5, 0, 1, b't', b'x', b'y']).await;
    new.expect(&[0x30, 6, 0, 1, b't', 0, b'x', b'y']).await;
    publisher.publish(2, "t", "xy").await;
    old.expect(&[0x32, 7, 0, 1, b't', 0, 1, b'x', b'y']).await;
    new.expect(&[0x32, 8, 0, 1, b't', 0, 1, 0, b'x', b'y']).await;
}

#[tokio::test]
async fn an_acknowledged_identifier_is_a_new_message_whatever_dup_says() {
    let server = Server::start().await;
    for level in [4, 5] {
        let mut subscriber = server.connect(&Connect::new(level, "s")).await;
        subscriber.subscribe("t", 1).await;
        let mut publisher = server.connect(&Connect::new(level, "p")).await;
        let (bytes, [high, low]) = publisher.publication(2, "t", &[], b"x");
        for dup in [0, 8, 8, 0] {
            let mut again = bytes.clone();
            again[0] |= dup;
            publisher.send(&again).await;
            publisher.expect(&[0x40, 2, high, low]).await;
            let message = subscriber.take().await;
            assert_eq!((message.text(), message.dup), ("x", false));
        }
        subscriber.quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_exchange_goes_on_though_the_message_has_expired() {
    let broker = Broker::new(Config::default());
    let mut subscriber = pipe(&broker);
    subscriber.greet(&Connect::v5("s").keeping()).await;
    subscriber.subscribe("t", 2).await;
    subscriber.disconnect().await;
    let mut publisher = pipe(&broker);
    publisher.greet(&Connect { keep_alive: 0, ..Connect::v5("p") }).await;
    let (bytes, [high, low]) = publisher.publication(4, "t", &[0x02, 0, 0, 0, 1], b"x");
    publisher.send(&bytes).await;
    publisher.expect(&[0x50, 2, high, low]).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut subscriber = pipe(&broker);
    subscriber.greet(&Connect::v5("s").keeping()).await;
    subscriber.quiet().await;
    assert_eq!(broker.stats().dropped_expired, 1);
    // The publisher's repetition is acknowledged, and its release completed.
    publisher.send(&bytes).await;
    publisher.expect(&[0x50, 2, high, low]).await;
    publisher.send(&[0x62, 2, high, low]).await;
    publisher.expect(&[0x70, 2, high, low]).await;
    subscriber.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_again_while_the_connection_lasts() {
    let broker = Broker::new(Config::default());
    for level in [4, 5] {
        let mut subscriber = pipe(&broker);
        subscriber.greet(&Connect { keep_alive: 0, ..Connect::new(level, "s") }).await;
        subscriber.subscribe("t", 2).await;
        let mut publisher = pipe(&broker);
        publisher.greet(&Connect::v4("p")).await;
        publisher.publish(2, "t", "one").await;
        publisher.publish(4, "t", "two").await;
        publisher.publish(4, "t", "three").await;
        let _one = subscriber.message().await;
        let [high, low] = subscriber.message().await.id.to_be_bytes();
        let _three = subscriber.message().await;
        subscriber.send(&[0x50, 2, high, low]).await;
        subscriber.expect(&[0x62, 2, high, low]).await;
        tokio::time::sleep(Duration::from_secs(100_000)).await;
        subscriber.quiet().await;
        subscriber.disconnect().await;
    }
}

#[tokio::test]
async fn an_identifier_in_use_is_not_given_again_and_none_is_0() {
    // More messages than there are identifiers. Every so often one stays open for a while, once where they begin anew.
    const BATCH: usize = 100;
    const ROUNDS: usize = 700;
    const OPEN_FOR: usize = 60;
    let server = Server::start().await;
    let mut subscriber = server.v4("s").await;
    subscriber.subscribe("t", 1).await;
    let mut inside = server.broker.publisher("inside");
    let topic = inside.topic("t").unwrap();
    let options = PublishOptions { qos: QoS::AtLeastOnce, ..PublishOptions::default() };
    let (mut open, mut seen, mut last) = (0, HashSet::new(), 0);
    for round in 0..ROUNDS {
        let mut batch = inside.batch();
        (0..BATCH).for_each(|_| batch.publish(&topic, b"x", &options));
        batch.commit();
        for at in 0..BATCH {
            let message = if round % OPEN_FOR == 0 && at == 0 {
                let [high, low] = u16::to_be_bytes(open);
                if open > 0 {
                    subscriber.send(&[0x40, 2, high, low]).await;
                }
                let message = subscriber.message().await;
                open = message.id;
                message
            } else {
                let message = subscriber.take().await;
                assert_ne!(message.id, open, "round {round}");
                message
            };
            assert_ne!(message.id, 0);
            assert!(message.id != last && !message.dup);
            last = message.id;
            seen.insert(last);
        }
    }
    assert_eq!(seen.len(), usize::from(u16::MAX), "all were used");
}

#[tokio::test]
async fn a_place_in_the_window_of_qos_2_is_free_after_pubcomp() {
    let server = Server::start().await;
    let connect = Connect { properties: vec![0x21, 0, 1], ..Connect::v5("s") };
    let mut subscriber = server.connect(&connect).await;
    subscriber.subscribe("t", 2).await;
    let mut publisher = server.v4("p").await;
    publisher.publish(4, "t", "first").await;
    publisher.publish(2, "t", "second").await;
    let [high, low] = subscriber.message().await.id.to_be_bytes();
    subscriber.send(&[0x50, 2, high, low]).await;
    subscriber.expect(&[0x62, 2, high, low]).await;
    subscriber.quiet().await;
    // Everything but PUBLISH goes on ([MQTT-3.3.4-10], [MQTT-4.9.0-3]).
    subscriber.subscribe("other", 0).await;
    assert_eq!(subscriber.unsubscribe("other").await, [0, 0]);
    let (bytes, id) = subscriber.publication(4, "nobody", &[], b"x");
    subscriber.send(&bytes).await;
    subscriber.expect(&[0x50, 3, id[0], id[1], 0x10]).await;
    subscriber.send(&[0x70, 2, high, low]).await;
    assert_eq!(subscriber.take().await.text(), "second");
}

#[tokio::test]
async fn a_message_that_a_replaced_subscription_let_in_is_not_lost() {
    let server = Server::start().await;
    let connect = Connect { properties: vec![0x21, 0, 1], ..Connect::v5("s") };
    let mut subscriber = server.connect(&connect).await;
    subscriber.subscribe("t", 1).await;
    let mut publisher = server.v4("p").await;
    for payload in ["1", "2", "3"] {
        publisher.publish(2, "t", payload).await;
    }
    let first = subscriber.message().await;
    // Retain handling 2: nothing but what waits may come.
    subscriber.subscribe("t", 0x20).await;
    publisher.publish(2, "t", "4").await;
    let [high, low] = first.id.to_be_bytes();
    subscriber.send(&[0x40, 2, high, low]).await;
    let mut got = HashSet::from(["1".to_owned()]);
    for _ in 0..3 {
        got.insert(subscriber.take().await.text().to_owned());
    }
    assert_eq!(got.len(), 4);
    subscriber.quiet().await;
}

#[tokio::test]
async fn an_answer_that_the_client_does_not_take_is_not_sent() {
    let server = Server::start().await;
    let small = Connect { properties: vec![0x27, 0, 0, 0, 20], ..Connect::v5("s") };
    let filters = |count: usize, options: &[u8]| {
        let one = [&string("t")[..], options].concat();
        [&[0, 7, 0][..], &one.repeat(count)].concat()
    };
    for (first, answer, options) in [(0x82, 0x90, &[0][..]), (0xa2, 0xb0, &[])] {
        let mut client = server.connect(&small).await;
        client.send(&packet(first, &filters(15, options))).await;
        let (got, body) = client.packet().await;
        assert_eq!((got, body.len()), (answer, 18));
        client.send(&packet(first, &filters(16, options))).await;
        client.expect(&[0xe0, 2, 0x95, 0]).await;
        client.expect_end().await;
    }
    assert_eq!(server.broker.stats().subscriptions, 0);
}

#[tokio::test]
async fn reasons_that_would_be_too_large_or_are_not_wanted_are_left_out_everywhere() {
    let server = Server::start().await;
    for silent in [&[0x17, 0][..], &[0x27, 0, 0, 0, 40]] {
        let mut client = server.connect(&Connect { properties: silent.to_vec(), ..Connect::v5("c") }).await;
        for (flags, answer) in [(2, 0x40), (4, 0x50)] {
            let (bytes, id) = client.publication(flags, "$SYS/x", &[], b"x");
            client.send(&bytes).await;
            client.expect(&[answer, 3, id[0], id[1], 0x87]).await;
        }
        client.send(&[0x50, 2, 0, 9]).await;
        client.expect(&[0x62, 3, 0, 9, 0x92]).await;
        client.send(&[0x62, 2, 0, 9]).await;
        client.expect(&[0x70, 3, 0, 9, 0x92]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_outlives_its_interval_while_its_connection_lasts() {
    let broker = Broker::new(Config::default());
    for properties in [vec![], vec![0x11, 0, 0, 0, 1]] {
        let mut client = pipe(&broker);
        client.greet(&Connect { keep_alive: 0, properties, ..Connect::v5("c") }).await;
        client.subscribe("t", 1).await;
        tokio::time::sleep(Duration::from_secs(10_000)).await;
        assert_eq!(broker.stats().sessions, 1);
        let (bytes, _) = client.publication(0, "t", &[], b"still");
        client.send(&bytes).await;
        assert_eq!(client.message().await.text(), "still");
        client.disconnect().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(broker.stats().sessions, 0);
    }
}

#[tokio::test]
async fn a_will_has_its_qos_and_comes_once() {
    let server = Server::start().await;
    let mut watcher = server.v5("w").await;
    watcher.subscribe("will", 2).await;
    for level in [4, 5] {
        for qos in 0..3 {
            let will = Will { topic: "will", payload: b"gone", qos, retain: false, properties: vec![] };
            let connect = Connect { will: Some(will), ..Connect::new(level, "c").keeping() };
            server.connect(&connect).await.drop_connection();
            let message = watcher.take().await;
            assert_eq!((message.qos, message.retain, message.text()), (qos, false, "gone"));
            // The session is kept, the will is not.
            vanished(&server.broker, "c").await;
            let again = server.connect(&Connect::new(level, "c").keeping()).await;
            assert!(again.session_present());
            again.drop_connection();
            vanished(&server.broker, "c").await;
            watcher.quiet().await;
            server.connect(&Connect::new(level, "c")).await.disconnect().await;
        }
    }
    assert_eq!(server.broker.stats().wills, 6);
}

#[tokio::test]
async fn assigned_identifiers_are_used_by_nobody_else() {
    let server = Server::start().await;
    let mut clients = Vec::new();
    for level in [4, 5, 4, 5, 5] {
        clients.push(server.connect(&Connect::new(level, "")).await);
    }
    // None took another's session over: all of them are served.
    for client in &mut clients {
        client.quiet().await;
    }
    let told: HashSet<_> =
        clients.iter().filter(|client| client.level == 5).map(|c| c.connack.clone()).collect();
    assert_eq!((told.len(), server.broker.stats().sessions, server.broker.stats().takeovers), (3, 5, 0));
}

#[tokio::test]
async fn a_retained_message_is_live_to_those_who_are_there() {
    let server = Server::start().await;
    for level in [4, 5] {
        let mut there = server.connect(&Connect::new(level, "there")).await;
        there.subscribe("t", 1).await;
        let mut publisher = server.connect(&Connect::new(level, "p")).await;
        let later = async |text: Option<&str>| {
            let mut later = server.connect(&Connect::new(level, "later")).await;
            later.subscribe("t", 1).await;
            if let Some(text) = text {
                let message = later.take().await;
                assert_eq!((message.retain, message.text()), (true, text));
            }
            later.quiet().await;
        };
        // Flags, payload, and what is retained afterwards: without the flag nothing changes, an empty one deletes.
        for (flags, payload, kept) in [
            (3, "kept", Some("kept")),
            (2, "live", Some("kept")),
            (2, "", Some("kept")),
            (3, "", None),
            (5, "", None),
        ] {
            publisher.publish(flags, "t", payload).await;
            let message = there.take().await;
            assert_eq!((message.retain, message.text()), (false, payload));
            later(kept).await;
        }
    }
    assert_eq!(server.broker.stats().retained, 0);
}
