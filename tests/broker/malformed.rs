//! Bytes that are not MQTT: refused with the right code, and never felt by others.

use iogate::broker::{Broker, Config};
use iogate::model::units::ByteSize;
use tokio::io::AsyncWriteExt;

use crate::client::{Client, Connect, Server, binary, packet, section, string};

/// A connection that sends `bytes` ends with `code`, on 3.1.1 without a word.
async fn refused(server: &Server, name: &str, level: u8, bytes: &[u8], code: u8) {
    let mut client = server.connect(&Connect::new(level, "victim")).await;
    client.send_anyway(bytes).await;
    let (first, body) = if level == 5 { client.packet().await } else { (0xe0, vec![code]) };
    assert_eq!((first, body.first()), (0xe0, Some(&code)), "{name}: {}", String::from_utf8_lossy(&body));
    client.expect_end().await;
}

#[tokio::test]
async fn malformed_packets_end_the_connection_with_their_code() {
    let server = Server::start().await;
    let topic = string("t");
    let publish = |flags: u8, rest: &[u8]| packet(0x30 | flags, &[&topic[..], rest].concat());
    let cases: &[(&str, Vec<u8>, u8)] = &[
        ("packet id 0", publish(2, &[0, 0, 0]), 0x82),
        ("QoS 3", publish(6, &[0, 1, 0]), 0x81),
        ("DUP at QoS 0", publish(8, &[0]), 0x81),
        ("wildcard in a topic", packet(0x30, &[&string("a/#")[..], &[0]].concat()), 0x90),
        ("another wildcard in a topic", packet(0x30, &[&string("a+")[..], &[0]].concat()), 0x90),
        ("topic that is no UTF-8", packet(0x30, &[&binary(&[0xc3, 0x28])[..], &[0]].concat()), 0x81),
        ("empty topic", packet(0x30, &[&string("")[..], &[0]].concat()), 0x82),
        ("U+0000 in a topic", packet(0x30, &[&string("a\0")[..], &[0]].concat()), 0x81),
        ("surrogate in a topic", packet(0x30, &[&binary(&[0xed, 0xa0, 0x80])[..], &[0]].concat()), 0x81),
        ("truncated QoS 1 PUBLISH", publish(2, &[0]), 0x81),
        ("subscription identifier from a client", publish(0, &section(&[0x0b, 1])), 0x82),
        ("repeated property", publish(0, &section(&[0x01, 1, 0x01, 1])), 0x82),
        ("misplaced property", publish(0, &section(&[0x11, 0, 0, 0, 1])), 0x81),
        ("unknown property", publish(0, &section(&[0x7f, 0])), 0x81),
        ("property section longer than the packet", publish(0, &[9, 1]), 0x81),
        ("payload format 2", publish(0, &section(&[0x01, 2])), 0x82),
        ("wildcard in the response topic", publish(0, &section(&[&[8][..], &string("+")].concat())), 0x82),
        ("topic alias 0", publish(0, &section(&[0x23, 0, 0])), 0x94),
        ("topic alias above the maximum", publish(0, &section(&[0x23, 0, 65])), 0x94),
        ("alias never set", packet(0x30, &[&string("")[..], &section(&[0x23, 0, 1])].concat()), 0x82),
        ("SUBSCRIBE with wrong flags", packet(0x80, &[&[0, 1, 0][..], &topic, &[0]].concat()), 0x81),
        ("SUBSCRIBE without filters", packet(0x82, &[0, 1, 0]), 0x82),
        ("SUBSCRIBE with QoS 3", packet(0x82, &[&[0, 1, 0][..], &topic, &[3]].concat()), 0x81),
        ("retain handling 3", packet(0x82, &[&[0, 1, 0][..], &topic, &[0x30]].concat()), 0x82),
        ("reserved subscription bits", packet(0x82, &[&[0, 1, 0][..], &topic, &[0x40]].concat()), 0x81),
        ("subscription identifier 0", packet(0x82, &[&[0, 1, 2, 0x0b, 0][..], &topic, &[0]].concat()), 0x82),
        (
            "no-local on a shared subscription",
            packet(0x82, &[&[0, 1, 0][..], &string("$share/g/t"), &[4]].concat()),
            0x82,
        ),
        ("UNSUBSCRIBE without filters", packet(0xa2, &[0, 1, 0]), 0x82),
        ("PUBREL with wrong flags", vec![0x60, 2, 0, 1], 0x81),
        ("PUBACK of id 0", vec![0x40, 2, 0, 0], 0x82),
        ("PINGREQ with a body", vec![0xc0, 1, 0], 0x81),
        ("second CONNECT", Connect::v5("victim").bytes(), 0x82),
        ("CONNACK from a client", vec![0x20, 2, 0, 0], 0x82),
        ("SUBACK from a client", vec![0x90, 3, 0, 1, 0], 0x82),
        ("reserved packet type", vec![0x00, 0], 0x81),
        ("AUTH without a method", vec![0xf0, 0], 0x82),
        ("remaining length of five bytes", vec![0x30, 0xff, 0xff, 0xff, 0xff, 1], 0x81),
        ("packet over the limit", vec![0x30, 0xff, 0xff, 0xff, 0x7f], 0x95),
        ("session expiry raised at the end", packet(0xe0, &[0, 5, 0x11, 0, 0, 0, 9]), 0x82),
    ];
    for (name, bytes, code) in cases {
        refused(&server, name, 5, bytes, *code).await;
    }
    assert_eq!(server.broker.stats().protocol_errors, cases.len() as u64);
}

#[tokio::test]
async fn older_versions_are_cut_off_without_a_word() {
    let server = Server::start().await;
    for (name, bytes) in [
        ("wildcard", packet(0x30, &string("+"))),
        ("packet id 0", packet(0x32, &[&string("t")[..], &[0, 0]].concat())),
        ("options above 2", packet(0x82, &[&[0, 1][..], &string("t"), &[4]].concat())),
        ("AUTH", vec![0xf0, 0]),
        ("PUBACK with more bytes", vec![0x40, 3, 0, 1, 0]),
    ] {
        refused(&server, name, 4, &bytes, 0).await;
    }
}

#[tokio::test]
async fn a_malformed_connect_is_refused() {
    let server = Server::start().await;
    let with_flags = |flags: u8| {
        let head = [&string("MQTT")[..], &[5, flags, 0, 60, 0], &string("x")].concat();
        packet(0x10, &[head, vec![0]].concat())
    };
    for (name, bytes, code) in [
        ("reserved flag", with_flags(0x03), 0x81),
        ("will QoS without a will", with_flags(0x0a), 0x81),
        ("will QoS 3", with_flags(0x1e), 0x81),
        ("bytes behind the end", with_flags(0x02), 0x81),
        ("receive maximum 0", Connect { properties: vec![0x21, 0, 0], ..Connect::v5("x") }.bytes(), 0x82),
        (
            "maximum packet size 0",
            Connect { properties: vec![0x27, 0, 0, 0, 0], ..Connect::v5("x") }.bytes(),
            0x82,
        ),
        ("data without a method", Connect { properties: vec![0x16, 0, 0], ..Connect::v5("x") }.bytes(), 0x82),
    ] {
        let mut client = server.open().await;
        client.send(&bytes).await;
        let (first, body) = client.packet().await;
        assert_eq!((first, body[1]), (0x20, code), "{name}");
        client.expect_end().await;
    }
    for bytes in [vec![0xc0, 0], vec![0x10, 0xff, 0xff, 0xff, 0x7f], with_flags(0x02)[..1].to_vec()] {
        let mut client = server.open().await;
        client.send(&bytes).await;
        if bytes.len() > 1 {
            client.expect_end().await;
        }
    }
}

#[tokio::test]
async fn an_oversized_publish_is_refused_while_it_is_being_sent() {
    let server = Server::with(Config { max_packet: ByteSize(64 << 10), ..Config::default() }).await;
    let mut client = server.v5("big").await;
    let (bytes, _) = client.publication(0, "t", &[], &vec![7; 10 << 20]);
    client.send_anyway(&bytes).await;
    client.expect_refusal(0x95).await;
    let mut client = server.v5("fits").await;
    let (bytes, id) = client.publication(2, "t", &[], &vec![7; 60 << 10]);
    client.send(&bytes).await;
    client.expect(&[0x40, 3, id[0], id[1], 0x10]).await;
}

#[tokio::test]
async fn packets_may_come_in_any_pieces() {
    let broker = Broker::new(Config::default());
    let mut inside = broker.subscribe(&[("#", iogate::broker::QoS::AtMostOnce)], 100).unwrap();
    for size in [1, 2, 3, 7, 64] {
        // The pipe holds `size` bytes, so that every read sees at most so many.
        let (near, far) = tokio::io::duplex(size);
        let (serving, peer) = (broker.clone(), ([127, 0, 0, 1], 1).into());
        tokio::spawn(async move { serving.serve_stream(far, peer, Default::default()).await });
        let (read, mut write) = tokio::io::split(near);
        let mut reader = Client::over(tokio::io::join(read, tokio::io::sink()));
        reader.level = 4;
        let (bytes, id) = reader.publication(2, "a/b", &[], &[b'x'; 300]);
        let all = [Connect::v4("pieces").bytes(), bytes, vec![0xc0, 0]].concat();
        let sending = async { write.write_all(&all).await.unwrap() };
        let receiving = async {
            reader.expect(&[0x20, 2, 0, 0]).await;
            reader.expect(&[0x40, 2, id[0], id[1]]).await;
            reader.expect(&[0xd0, 0]).await;
        };
        tokio::join!(sending, receiving);
        assert_eq!(inside.recv().await.payload(), [b'x'; 300]);
    }
}
