//! Single statements of the specifications that no other test meets in passing.

use std::time::Duration;

use iogate::broker::{Broker, Config, QoS};

use crate::client::{Client, Connect, Server, Will, binary, packet, pipe, section, string, vanished};

/// A CONNECT of version 5 with these flags and this payload.
fn connect(flags: u8, payload: &[&[u8]]) -> Vec<u8> {
    packet(0x10, &[&string("MQTT")[..], &[5, flags, 0, 60, 0], &payload.concat()].concat())
}

/// The connection is refused, without a session, and closed.
async fn refused(server: &Server, name: &str, bytes: &[u8], code: u8) {
    let mut client = server.open().await;
    client.send_anyway(bytes).await;
    let (first, body) = client.packet().await;
    assert_eq!((first, &body[..2]), (0x20, &[0, code][..]), "{name}");
    client.expect_end().await;
}

#[tokio::test]
async fn a_connect_whose_fields_do_not_fit_its_flags_is_malformed() {
    let server = Server::start().await;
    let (id, bad) = (string("x"), binary(&[0xc3, 0x28]));
    let cases: &[(&str, Vec<u8>)] = &[
        ("will flag without a will", connect(0x06, &[&id])),
        ("will without the flag", connect(0x02, &[&id, &[0], &string("t"), &string("m")])),
        ("will retain without a will", connect(0x22, &[&id])),
        ("user name flag without a name", connect(0x82, &[&id])),
        ("user name without the flag", connect(0x02, &[&id, &string("u")])),
        ("password flag without a password", connect(0xc2, &[&id, &string("u")])),
        ("password without the flag", connect(0x82, &[&id, &string("u"), &string("p")])),
        ("no client identifier", connect(0x02, &[])),
        ("client identifier that is no UTF-8", connect(0x02, &[&bad])),
        ("will topic that is no UTF-8", connect(0x06, &[&id, &[0], &bad, &string("m")])),
        ("user name that is no UTF-8", connect(0x82, &[&id, &bad])),
        ("client identifier with U+0000", connect(0x02, &[&string("\0")])),
        ("will topic with U+0000", connect(0x06, &[&id, &[0], &string("a\0"), &string("m")])),
        ("user name with U+0000", connect(0x82, &[&id, &string("\0")])),
    ];
    for (name, bytes) in cases {
        refused(&server, name, bytes, 0x81).await;
    }
    assert!(server.broker.clients().is_empty());
}

#[tokio::test]
async fn strings_that_are_no_utf_8_are_malformed_everywhere() {
    let server = Server::start().await;
    let bad = binary(&[0xff]);
    let publish = |property: &[u8]| packet(0x30, &[&string("t")[..], &section(property)].concat());
    let cases: &[(&str, Vec<u8>)] = &[
        ("response topic", publish(&[&[0x08][..], &bad].concat())),
        ("content type", publish(&[&[0x03][..], &bad].concat())),
        ("key of a user property", publish(&[&[0x26][..], &bad, &string("v")].concat())),
        ("value that is no UTF-8", publish(&[&[0x26][..], &string("k"), &bad].concat())),
        ("value with U+0000", publish(&[&[0x26][..], &string("k"), &string("\0")].concat())),
        ("filter to subscribe", packet(0x82, &[&[0, 1, 0][..], &bad, &[0]].concat())),
        ("filter to subscribe with U+0000", packet(0x82, &[&[0, 1, 0][..], &string("\0"), &[0]].concat())),
        ("filter to unsubscribe", packet(0xa2, &[&[0, 1, 0][..], &bad].concat())),
        ("filter to unsubscribe with U+0000", packet(0xa2, &[&[0, 1, 0][..], &string("\0")].concat())),
        (
            "reason of a DISCONNECT",
            packet(0xe0, &[&[0][..], &section(&[&[0x1f][..], &bad].concat())].concat()),
        ),
        (
            "reason of a PUBACK",
            packet(0x40, &[&[0, 1, 0][..], &section(&[&[0x1f][..], &bad].concat())].concat()),
        ),
        ("UNSUBSCRIBE with wrong flags", packet(0xa0, &[&[0, 1, 0][..], &string("t")].concat())),
        ("DISCONNECT with wrong flags", vec![0xe1, 0]),
    ];
    for (name, bytes) in cases {
        let mut client = server.v5("c").await;
        client.send_anyway(bytes).await;
        let (first, body) = client.packet().await;
        assert_eq!((first, body[0]), (0xe0, 0x81), "{name}");
        client.expect_end().await;
    }
}

#[tokio::test]
async fn names_are_compared_as_they_are() {
    let server = Server::start().await;
    for level in [4, 5] {
        let mut client = server.connect(&Connect::new(level, "c")).await;
        let mut publisher = server.connect(&Connect::new(level, "p")).await;
        compare_names(&mut client, &mut publisher).await;
    }
}

async fn compare_names(client: &mut Client, publisher: &mut Client) {
    // A byte order mark is a character; case, empty levels and composed letters tell names apart.
    for (filter, other) in [("\u{feff}a", "a"), ("Aa", "aa"), ("a/", "a"), ("\u{e9}", "e\u{301}")] {
        client.subscribe(filter, 0).await;
        publisher.publish(0, other, "other").await;
        publisher.publish(0, filter, "same").await;
        let message = client.message().await;
        assert_eq!((&*message.topic, message.text()), (filter, "same"));
        client.unsubscribe(other).await;
        publisher.publish(0, filter, "still").await;
        assert_eq!(client.message().await.text(), "still");
        client.unsubscribe(filter).await;
    }
}

#[tokio::test]
async fn plain_client_identifiers_are_allowed_and_nothing_behind_a_refused_connect_is_done() {
    let server = Server::with(Config { max_client_id: 23, ..Config::default() }).await;
    for id in ["0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ", "KLMNOPQRSTUVWXYZ", "a"] {
        for level in [3, 4, 5] {
            server.connect(&Connect::new(level, id)).await.disconnect().await;
        }
    }
    let mut watcher = server.broker.subscribe(&[("t", QoS::AtMostOnce)], 10).unwrap();
    let publish = packet(0x30, &[&string("t")[..], &[0], b"x"].concat());
    let both = [Connect::v5(&"x".repeat(24)).bytes(), publish].concat();
    refused(&server, "identifier too long", &both, 0x85).await;
    assert!(watcher.try_recv().is_none());
    // 3.1.1 knows this refusal as 2.
    let publish = packet(0x30, &[&string("t")[..], b"x"].concat());
    let mut client = server.open().await;
    client.send(&[Connect::v4(&"x".repeat(24)).bytes(), publish].concat()).await;
    client.expect(&[0x20, 2, 0, 2]).await;
    client.expect_end().await;
    assert!(watcher.try_recv().is_none());
    assert_eq!(server.broker.stats().messages_in, 0);
}

#[tokio::test]
async fn a_refusal_that_would_be_too_large_comes_without_words() {
    let server = Server::with(Config { max_client_id: 4, ..Config::default() }).await;
    let connect = |limit: u8| Connect { properties: vec![0x27, 0, 0, 0, limit], ..Connect::v5("longer") };
    let mut client = server.open().await;
    client.send(&connect(20).bytes()).await;
    client.expect(&[0x20, 3, 0, 0x85, 0]).await;
    let mut client = server.open().await;
    client.send(&connect(100).bytes()).await;
    assert!(client.packet().await.1.ends_with(b"client identifier is too long"));
}

#[tokio::test]
async fn a_will_is_retained_only_if_it_asks_and_keeps_its_properties_in_order() {
    let server = Server::start().await;
    let mut watcher = server.v5("w").await;
    watcher.subscribe("will", 0).await;
    let user = |key| [&[0x26][..], &string(key), &string("v")].concat();
    let properties = [user("b"), user("a"), user("b")].concat();
    let will =
        Will { topic: "will", payload: b"gone", qos: 0, retain: false, properties: properties.clone() };
    server.connect(&Connect { will: Some(will), ..Connect::v5("c") }).await.drop_connection();
    assert_eq!(watcher.message().await.properties, properties);
    server.v5("without").await.drop_connection();
    vanished(&server.broker, "without").await;
    watcher.quiet().await;
    assert_eq!((server.broker.stats().retained, server.broker.stats().wills), (0, 1));
}

#[tokio::test]
async fn dup_of_the_publisher_is_not_passed_on() {
    let server = Server::start().await;
    let mut subscriber = server.v4("s").await;
    subscriber.subscribe("t", 2).await;
    let mut publisher = server.v4("p").await;
    for flags in [0x0a, 0x0c] {
        publisher.publish(flags, "t", "x").await;
        assert!(!subscriber.take().await.dup);
    }
}

#[tokio::test]
async fn aliases_up_to_the_maximum_are_taken_and_end_with_the_connection() {
    let server = Server::start().await;
    let connect = Connect::v5("p").keeping();
    let mut publisher = server.connect(&connect).await;
    for alias in [1, 64] {
        publisher.publish_with(2, "t", &[0x23, 0, alias], "x").await;
    }
    publisher.disconnect().await;
    let mut publisher = server.connect(&connect).await;
    assert!(publisher.session_present());
    let (bytes, _) = publisher.publication(0, "", &[0x23, 0, 1], b"x");
    publisher.send(&bytes).await;
    publisher.expect_refusal(0x82).await;
}

#[tokio::test]
async fn several_filters_are_unsubscribed_in_order_and_what_was_sent_is_completed() {
    let server = Server::start().await;
    let connect = Connect::v5("s").keeping();
    let mut subscriber = server.connect(&connect).await;
    subscriber.subscribe("a", 1).await;
    subscriber.subscribe("b", 1).await;
    let mut publisher = server.v4("p").await;
    publisher.publish(2, "a", "sent").await;
    let sent = subscriber.message().await;
    let filters = [string("a"), string("none"), string("b")].concat();
    subscriber.send(&packet(0xa2, &[&[0, 9, 0][..], &filters].concat())).await;
    subscriber.expect(&[0xb0, 6, 0, 9, 0, 0, 0x11, 0]).await;
    publisher.publish(2, "a", "new").await;
    subscriber.quiet().await;
    subscriber.drop_connection();
    vanished(&server.broker, "s").await;
    let mut subscriber = server.connect(&connect).await;
    let again = subscriber.take().await;
    assert_eq!((again.text(), again.dup, again.id), ("sent", true, sent.id));
    subscriber.quiet().await;
}

/// Sends the failure `code` for the next message, and expects it never to come again.
async fn reject(client: &mut Client, answer: u8, code: u8) {
    let [high, low] = client.message().await.id.to_be_bytes();
    client.send(&[answer, 3, high, low, code]).await;
    client.quiet().await;
}

#[tokio::test]
async fn what_a_client_refuses_is_sent_to_nobody_again() {
    let server = Server::start().await;
    let connect = Connect::v5("a").keeping();
    let (mut a, mut b) = (server.connect(&connect).await, server.v5("b").await);
    a.subscribe("$share/g/t", 2).await;
    b.subscribe("$share/g/t", 2).await;
    let mut publisher = server.v4("p").await;
    for (flags, answer) in [(2, 0x40), (4, 0x50)] {
        publisher.publish(flags, "t", "refused").await;
        publisher.publish(flags, "t", "taken").await;
        reject(&mut a, answer, 0x80).await;
        assert_eq!(b.take().await.text(), "taken");
    }
    a.drop_connection();
    vanished(&server.broker, "a").await;
    b.quiet().await;
    server.connect(&connect).await.quiet().await;
}

#[tokio::test]
async fn an_identifier_of_a_refused_publication_is_free_again() {
    let server = Server::start().await;
    let mut watcher = server.broker.subscribe(&[("t", QoS::AtMostOnce)], 10).unwrap();
    let mut client = server.v5("c").await;
    let (refused, [high, low]) = client.publication(4, "$SYS/x", &[], b"x");
    client.send(&refused).await;
    client.expect_failure(0x50, [high, low], 0x87).await;
    let body = [&string("t")[..], &[high, low, 0], b"new"].concat();
    client.send(&packet(0x34, &body)).await;
    client.expect(&[0x50, 2, high, low]).await;
    assert_eq!(watcher.recv().await.payload(), b"new");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_sent_once_no_longer_expires() {
    let broker = Broker::new(Config::default());
    let connect = Connect { keep_alive: 0, ..Connect::v5("s").keeping() };
    let mut subscriber = pipe(&broker);
    subscriber.greet(&connect).await;
    subscriber.subscribe("t", 2).await;
    let mut publisher = pipe(&broker);
    publisher.greet(&Connect::v5("p")).await;
    publisher.publish_with(4, "t", &[0x02, 0, 0, 0, 5], "x").await;
    let sent = subscriber.message().await;
    subscriber.drop_connection();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut subscriber = pipe(&broker);
    subscriber.greet(&connect).await;
    let again = subscriber.take().await;
    assert_eq!((again.id, again.dup, again.text()), (sent.id, true, "x"));
}

#[tokio::test]
async fn a_disconnect_that_would_be_too_large_comes_without_words() {
    let server = Server::start().await;
    let connect = Connect { properties: vec![0x27, 0, 0, 0, 20], ..Connect::v5("c") };
    let mut client = server.connect(&connect).await;
    client.send(&[0xc0, 1, 0]).await;
    client.expect(&[0xe0, 2, 0x81, 0]).await;
    client.expect_end().await;
    let mut client = server.v5("c").await;
    client.send(&[0xc0, 1, 0]).await;
    assert!(client.packet().await.1.len() > 20);
}

#[tokio::test]
async fn a_password_alone_is_for_version_5() {
    let server = Server::start().await;
    let head = |level: u8| [&string("MQTT")[..], &[level, 0x42, 0, 60]].concat();
    let tail = [string("x"), string("secret")].concat();
    // 3.1.1 has no code for a malformed CONNECT: the connection ends in silence.
    let mut client = server.open().await;
    client.send(&packet(0x10, &[head(4), tail.clone()].concat())).await;
    client.expect_end().await;
    let mut client = server.open().await;
    client.send(&packet(0x10, &[head(5), vec![0], tail].concat())).await;
    let (first, body) = client.packet().await;
    assert_eq!((first, body[1]), (0x20, 0));
}

#[tokio::test]
async fn a_retained_message_of_qos_0_replaces_one_of_qos_1() {
    let server = Server::start().await;
    let mut client = server.v4("c").await;
    client.publish(3, "t", "old").await;
    client.publish(1, "t", "new").await;
    client.subscribe("t", 1).await;
    let message = client.take().await;
    assert_eq!((message.qos, message.retain, message.text()), (0, true, "new"));
    client.quiet().await;
}

#[tokio::test]
async fn a_client_that_takes_no_connack_gets_none() {
    let server = Server::start().await;
    let taking = |size: u8, id: &str| Connect { properties: vec![0x27, 0, 0, 0, size], ..Connect::v5(id) };
    let whole = 3 + server.v5("c").await.connack.len() as u8 - 1;
    server.connect(&taking(whole, "c")).await.disconnect().await;
    // The refusal fits, the CONNACK of a success does not.
    let mut client = server.open().await;
    client.send(&taking(whole - 1, "c").bytes()).await;
    client.expect(&[0x20, 3, 0, 0x95, 0]).await;
    client.expect_end().await;
    // An identifier that the server chose must fit, too.
    let mut client = server.open().await;
    client.send(&taking(whole, "").bytes()).await;
    client.expect(&[0x20, 3, 0, 0x95, 0]).await;
    client.expect_end().await;
    // Not even the refusal does.
    let mut client = server.open().await;
    client.send(&taking(4, "c").bytes()).await;
    client.expect_end().await;
    assert_eq!(server.broker.stats().sessions, 0);
}
