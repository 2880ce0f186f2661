//! Fixed headers, reason codes and CONNECTs that are wrong, one by one and in every version.

use crate::client::{Connect, Server, binary, packet, string};

/// The packets that a connected client may send, PUBLISH apart: first byte and a body that is right.
fn right(level: u8) -> Vec<(u8, Vec<u8>)> {
    let none: &[u8] = if level == 5 { &[0] } else { &[] };
    let topic = string("t");
    vec![
        (0x10, Connect::new(level, "c").bytes()[2..].to_vec()),
        (0x40, vec![0, 1]),
        (0x50, vec![0, 1]),
        (0x62, vec![0, 1]),
        (0x70, vec![0, 1]),
        (0x82, [&[0, 1], none, &topic, &[0]].concat()),
        (0xa2, [&[0, 1], none, &topic].concat()),
        (0xc0, vec![]),
        (0xe0, vec![]),
        (0xf0, [&[0x18][..], &[8, 0x15], &string("SCRAM")].concat()),
    ]
}

#[tokio::test]
async fn flags_other_than_those_of_the_table_end_the_connection() {
    let server = Server::start().await;
    for level in [4, 5] {
        for (first, body) in right(level) {
            for flags in (0..16).filter(|flags| *flags != first & 0x0f) {
                let mut client = server.connect(&Connect::new(level, "c")).await;
                client.send(&packet(first & 0xf0 | flags, &body)).await;
                client.expect_refusal(0x81).await;
            }
        }
    }
    // MQTT 3.1 may repeat three packets with DUP, and no more than that.
    let mut old = server.connect(&Connect::new(3, "c")).await;
    old.send(&packet(0x8a, &[&[0, 1][..], &string("t"), &[0]].concat())).await;
    old.expect(&[0x90, 3, 0, 1, 0]).await;
    old.send(&packet(0x8b, &[&[0, 1][..], &string("t"), &[0]].concat())).await;
    old.expect_refusal(0x81).await;
}

#[tokio::test]
async fn a_connection_begins_with_nothing_but_a_connect() {
    let server = Server::start().await;
    let publish = (0x30, [&string("t")[..], &[0], b"x"].concat());
    let from_servers = [(0x20, vec![0, 0]), (0x90, vec![0, 1, 0]), (0xb0, vec![0, 1]), (0xd0, vec![])];
    let others = right(5).into_iter().skip(1).chain([publish]).chain(from_servers);
    for (first, body) in others {
        let mut client = server.open().await;
        client.send(&packet(first, &body)).await;
        // Neither a CONNACK nor a DISCONNECT: there is no version to say it in ([MQTT-3.14.0-1]).
        client.expect_end().await;
    }
    for flags in 1..16 {
        let mut client = server.open().await;
        let mut connect = Connect::v5("c").bytes();
        connect[0] |= flags;
        client.send(&connect).await;
        client.expect_end().await;
    }
    let stats = server.broker.stats();
    assert_eq!((stats.connects, stats.messages_in, stats.sessions), (0, 0, 0));
}

#[tokio::test]
async fn packets_that_only_a_server_sends_end_the_connection() {
    let server = Server::start().await;
    for level in [4, 5] {
        for bytes in [&[0x20, 2, 0, 0][..], &[0x90, 3, 0, 1, 0], &[0xb0, 2, 0, 1], &[0xd0, 0]] {
            let mut client = server.connect(&Connect::new(level, "c")).await;
            client.send(bytes).await;
            client.expect_refusal(0x82).await;
        }
        let mut client = server.connect(&Connect::new(level, "c")).await;
        client.send(&Connect::new(level, "c").bytes()).await;
        client.expect_refusal(0x82).await;
        let mut client = server.connect(&Connect::new(level, "c")).await;
        client.send(&[0x00, 0]).await;
        client.expect_refusal(0x81).await;
    }
    let mut old = server.v4("c").await;
    old.send(&[0xf0, 0]).await;
    old.expect_end().await;
}

#[tokio::test]
async fn lengths_in_a_longer_form_than_needed_are_malformed() {
    let server = Server::start().await;
    for level in [4, 5] {
        for ping in [&[0xc0, 0x80, 0][..], &[0xc0, 0x80, 0x80, 0], &[0xc0, 0x80, 0x80, 0x80, 0]] {
            let mut client = server.connect(&Connect::new(level, "c")).await;
            client.send(ping).await;
            client.expect_refusal(0x81).await;
        }
    }
    // A section of properties, and a subscription identifier.
    for subscribe in [&[0, 1, 0x80, 0][..], &[0, 1, 3, 0x0b, 0x81, 0]] {
        let mut client = server.v5("c").await;
        client.send(&packet(0x82, &[subscribe, &string("t"), &[0]].concat())).await;
        client.expect_refusal(0x81).await;
    }
    let stats = server.broker.stats();
    assert_eq!((stats.subscriptions, stats.protocol_errors), (0, 8));
}

#[tokio::test]
async fn codes_that_a_packet_does_not_have_are_protocol_errors() {
    let server = Server::start().await;
    let puback = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    let goodbye = [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
    let tables: [(u8, &[u8], &[u8]); 5] = [
        (0x40, &[0, 9], &puback),
        (0x50, &[0, 9], &puback),
        (0x62, &[0, 9], &[0x00, 0x92]),
        (0x70, &[0, 9], &[0x00, 0x92]),
        (0xe0, &[], &goodbye),
    ];
    for (first, id, codes) in tables {
        for code in 0..=255 {
            let mut client = server.v5("c").await;
            client.send(&packet(first, &[id, &[code][..]].concat())).await;
            if !codes.contains(&code) {
                client.expect_refusal(0x82).await;
            } else if first == 0xe0 {
                client.expect_end().await;
            } else {
                // PUBREC and PUBREL are answered: nothing is in flight.
                if first == 0x62 || (first == 0x50 && code < 0x80) {
                    client.expect_failure(if first == 0x62 { 0x70 } else { 0x62 }, [0, 9], 0x92).await;
                }
                client.quiet().await;
            }
        }
    }
}

/// A CONNECT of this level with these flags and this payload.
fn connect(level: u8, flags: u8, payload: &[&[u8]]) -> Vec<u8> {
    let name = string(if level == 3 { "MQIsdp" } else { "MQTT" });
    packet(0x10, &[&name[..], &[level, flags, 0, 60], &payload.concat()].concat())
}

#[tokio::test]
async fn older_connects_of_the_wrong_form_end_without_a_connack() {
    let server = Server::start().await;
    let (id, bad, zero) = (string("x"), binary(&[0xc3, 0x28]), string("\0"));
    let text = string("t");
    let cases: &[(&str, u8, &[&[u8]])] = &[
        ("reserved flag", 0x03, &[&id]),
        ("will flag without a will", 0x06, &[&id]),
        ("will topic without a message", 0x06, &[&id, &text]),
        ("will without the flag", 0x02, &[&id, &text, &text]),
        ("will QoS without a will", 0x0a, &[&id]),
        ("will retain without a will", 0x22, &[&id]),
        ("will QoS 3", 0x1e, &[&id, &text, &text]),
        ("wildcard in the will topic", 0x06, &[&id, &string("a/+"), &text]),
        ("empty will topic", 0x06, &[&id, &string(""), &text]),
        ("user name flag without a name", 0x82, &[&id]),
        ("user name without the flag", 0x02, &[&id, &text]),
        ("password flag without a password", 0xc2, &[&id, &text]),
        ("password without the flag", 0x82, &[&id, &text, &text]),
        ("password without a user name", 0x42, &[&id, &text]),
        ("no client identifier", 0x02, &[]),
        ("client identifier that is no UTF-8", 0x02, &[&bad]),
        ("client identifier with U+0000", 0x02, &[&zero]),
        ("will topic that is no UTF-8", 0x06, &[&id, &bad, &text]),
        ("will topic with U+0000", 0x06, &[&id, &zero, &text]),
        ("user name that is no UTF-8", 0x82, &[&id, &bad]),
        ("user name with U+0000", 0x82, &[&id, &zero]),
        ("bytes behind the end", 0x02, &[&id, &[0]]),
    ];
    for level in [3, 4] {
        for (name, flags, payload) in cases {
            let mut client = server.open().await;
            client.send(&connect(level, *flags, payload)).await;
            client.expect_end().await;
            assert!(server.broker.clients().is_empty(), "{name}");
        }
    }
    assert_eq!(server.broker.stats().connects_refused, 2 * cases.len() as u64);
}

#[tokio::test]
async fn older_packets_of_the_wrong_form_end_the_connection() {
    let server = Server::start().await;
    let (bad, topic) = (binary(&[0xff]), string("t"));
    let surrogate = binary(&[0xed, 0xa0, 0x80]);
    let subscribe = |filter: &[u8], options: u8| packet(0x82, &[&[0, 1], filter, &[options]].concat());
    let cases: &[(&str, Vec<u8>)] = &[
        ("QoS 3", packet(0x36, &[&topic[..], &[0, 1]].concat())),
        ("DUP at QoS 0", packet(0x38, &topic)),
        ("packet id 0 in PUBLISH", packet(0x32, &[&topic[..], &[0, 0]].concat())),
        ("packet id 0 in SUBSCRIBE", packet(0x82, &[&[0, 0][..], &topic, &[0]].concat())),
        ("packet id 0 in UNSUBSCRIBE", packet(0xa2, &[&[0, 0][..], &topic].concat())),
        ("packet id 0 in PUBREL", vec![0x62, 2, 0, 0]),
        ("`#` in a topic", packet(0x30, &string("a/#"))),
        ("`+` in a topic", packet(0x30, &string("a+"))),
        ("empty topic", packet(0x30, &string(""))),
        ("topic that is no UTF-8", packet(0x30, &bad)),
        ("surrogate in a topic", packet(0x30, &surrogate)),
        ("U+0000 in a topic", packet(0x30, &string("a\0"))),
        ("no topic", packet(0x30, &[])),
        ("truncated topic", packet(0x30, &[0, 9, b't'])),
        ("truncated packet id", packet(0x32, &[&topic[..], &[0]].concat())),
        ("filter to subscribe that is no UTF-8", subscribe(&bad, 0)),
        ("filter to subscribe with U+0000", subscribe(&string("\0"), 0)),
        ("SUBSCRIBE with QoS 3", subscribe(&topic, 3)),
        ("SUBSCRIBE with a reserved bit", subscribe(&topic, 4)),
        ("SUBSCRIBE with another reserved bit", subscribe(&topic, 0x80)),
        ("SUBSCRIBE without filters", packet(0x82, &[0, 1])),
        ("SUBSCRIBE without options", packet(0x82, &[&[0, 1][..], &topic].concat())),
        ("filter to unsubscribe that is no UTF-8", packet(0xa2, &[&[0, 1][..], &bad].concat())),
        ("UNSUBSCRIBE without filters", packet(0xa2, &[0, 1])),
        ("PUBREL with a code", vec![0x62, 3, 0, 1, 0]),
        ("PINGREQ with a body", vec![0xc0, 1, 0]),
        ("DISCONNECT with a body", vec![0xe0, 1, 0]),
        ("remaining length of five bytes", vec![0x30, 0xff, 0xff, 0xff, 0xff, 1]),
        ("packet over the limit", vec![0x30, 0xff, 0xff, 0xff, 0x7f]),
    ];
    for level in [3, 4] {
        for (name, bytes) in cases {
            let mut client = server.connect(&Connect::new(level, "c")).await;
            // What is right before it is answered, what is right behind it is not.
            client.send_anyway(&[&[0xc0, 0], &bytes[..], &[0xc0, 0]].concat()).await;
            client.expect(&[0xd0, 0]).await;
            client.expect_end().await;
            assert_eq!(server.broker.stats().messages_in, 0, "{name}");
        }
    }
    assert_eq!(server.broker.stats().protocol_errors, 2 * cases.len() as u64);
}
