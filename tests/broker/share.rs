//! Shared subscriptions: turns, what a member leaves, what is refused.

use iogate::broker::{Config, QoS};
use iogate::model::units::ByteSize;

use crate::client::{Client, Connect, Server, vanished};

/// A v5 CONNECT that takes one unacknowledged message at a time.
fn narrow(id: &str) -> Connect {
    Connect { properties: vec![0x21, 0, 1], ..Connect::v5(id) }
}

async fn texts(client: &mut Client, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(client.take().await.text().to_owned());
    }
    client.quiet().await;
    texts
}

async fn publish_all(publisher: &mut Client, flags: u8, payloads: &[&str]) {
    for payload in payloads {
        publisher.publish(flags, "jobs/x", payload).await;
    }
}

#[tokio::test]
async fn members_take_turns_and_everybody_else_gets_a_copy() {
    let server = Server::start().await;
    let (mut a, mut b, mut c) = (server.v5("a").await, server.v4("b").await, server.v5("c").await);
    let (mut other, mut plain) = (server.v5("other").await, server.v4("plain").await);
    for member in [&mut a, &mut b, &mut c] {
        member.subscribe("$share/g/jobs/#", 1).await;
    }
    other.subscribe("$share/h/jobs/#", 1).await;
    plain.subscribe("jobs/+", 0).await;
    let mut publisher = server.v4("p").await;
    publish_all(&mut publisher, 2, &["1", "2", "3", "4", "5", "6"]).await;
    assert_eq!(texts(&mut a, 2).await, ["1", "4"]);
    assert_eq!(texts(&mut b, 2).await, ["2", "5"]);
    assert_eq!(texts(&mut c, 2).await, ["3", "6"]);
    assert_eq!(texts(&mut other, 6).await, ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(texts(&mut plain, 6).await, ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(server.broker.stats().subscriptions, 5);
}

#[tokio::test]
async fn publishers_inside_the_program_take_turns_too() {
    let server = Server::start().await;
    let (mut a, mut b) = (server.v5("a").await, server.v5("b").await);
    a.subscribe("$share/g/t", 0).await;
    let mut inside = server.broker.publisher("inside");
    let topic = inside.topic("t").unwrap();
    let mut send = |payload: &str| {
        let mut batch = inside.batch();
        batch.publish(&topic, payload.as_bytes(), &Default::default());
        batch.commit();
    };
    send("1");
    b.subscribe("$share/g/t", 0).await;
    ["2", "3", "4"].iter().for_each(|payload| send(payload));
    assert_eq!(texts(&mut a, 3).await, ["1", "2", "4"]);
    assert_eq!(texts(&mut b, 1).await, ["3"]);
    b.unsubscribe("$share/g/t").await;
    ["5", "6"].iter().for_each(|payload| send(payload));
    assert_eq!(texts(&mut a, 2).await, ["5", "6"]);
}

#[tokio::test]
async fn each_member_has_its_own_qos_identifier_and_retain_flag() {
    let server = Server::start().await;
    let (mut a, mut b) = (server.v5("a").await, server.v5("b").await);
    assert_eq!(a.subscribe_with(&[0x0b, 7], &[("$share/g/t", 1)]).await, [1]);
    assert_eq!(b.subscribe_with(&[0x0b, 8], &[("$share/g/t", 2 | 8)]).await, [2]);
    let mut publisher = server.v4("p").await;
    publisher.publish(5, "t", "x").await;
    publisher.publish(5, "t", "y").await;
    let got = a.take().await;
    assert_eq!((got.qos, got.retain, &got.properties[..]), (1, false, &[0x0b, 7][..]));
    let got = b.take().await;
    assert_eq!((got.qos, got.retain, &got.properties[..]), (2, true, &[0x0b, 8][..]));
    // Asking again replaces what was asked for, and adds no second turn.
    assert_eq!(a.subscribe_with(&[0x0b, 9], &[("$share/g/t", 0)]).await, [0]);
    for payload in ["1", "2", "3", "4"] {
        publisher.publish(2, "t", payload).await;
    }
    let got = a.take().await;
    assert_eq!((got.qos, &got.properties[..]), (0, &[0x0b, 9][..]));
    assert_eq!(texts(&mut a, 1).await, ["3"]);
    assert_eq!(texts(&mut b, 2).await, ["2", "4"]);
}

#[tokio::test]
async fn no_retained_messages_come_with_a_shared_subscription() {
    let server = Server::start().await;
    let mut client = server.v5("c").await;
    client.publish(1, "t", "kept").await;
    client.subscribe("$share/g/t", 1).await;
    client.quiet().await;
    client.subscribe("t", 1).await;
    assert!(client.take().await.retain);
}

#[tokio::test]
async fn no_local_and_members_inside_the_program_are_refused() {
    let server = Server::start().await;
    assert!(server.broker.subscribe(&[("$share/g/t", QoS::AtMostOnce)], 1).is_err());
    let mut client = server.v5("c").await;
    let body = [&[0, 1, 0, 0, 10][..], b"$share/g/t", &[4]].concat();
    client.send(&crate::client::packet(0x82, &body)).await;
    client.expect_refusal(0x82).await;
}

#[tokio::test]
async fn what_a_member_leaves_goes_to_the_others() {
    let server = Server::start().await;
    for kept in [false, true] {
        let mut connect = narrow("a");
        if kept {
            connect = connect.keeping();
        }
        let (mut a, mut b) = (server.connect(&connect).await, server.v5("b").await);
        a.subscribe("$share/g/jobs/#", 1).await;
        b.subscribe("$share/g/jobs/#", 1).await;
        let mut publisher = server.v4("p").await;
        publish_all(&mut publisher, 2, &["1", "2", "3", "4", "5"]).await;
        // One is in flight and never acknowledged, two wait behind it.
        assert_eq!(a.message().await.text(), "1");
        assert_eq!(texts(&mut b, 2).await, ["2", "4"]);
        a.drop_connection();
        assert_eq!(texts(&mut b, 3).await, ["1", "3", "5"]);
        if kept {
            let mut a = server.connect(&connect).await;
            assert!(a.session_present());
            a.quiet().await;
            publish_all(&mut publisher, 2, &["6", "7"]).await;
            let (of_a, of_b) = (a.take().await, b.take().await);
            assert_eq!([of_a.text(), of_b.text()].map(str::len), [1, 1]);
            a.quiet().await;
            b.quiet().await;
        }
    }
}

#[tokio::test]
async fn an_exactly_once_delivery_that_has_begun_stays_with_its_member() {
    let server = Server::start().await;
    let connect = Connect::v5("a").keeping();
    let (mut a, mut b) = (server.connect(&connect).await, server.v5("b").await);
    a.subscribe("$share/g/jobs/#", 2).await;
    b.subscribe("$share/g/jobs/#", 2).await;
    let mut publisher = server.v4("p").await;
    publish_all(&mut publisher, 4, &["1"]).await;
    assert_eq!(a.message().await.text(), "1");
    a.drop_connection();
    vanished(&server.broker, "a").await;
    b.quiet().await;
    let mut a = server.connect(&connect).await;
    let again = a.message().await;
    assert!(again.dup && again.text() == "1");
    // Not even when the session ends ([MQTT-4.8.2-5]).
    a.send(&[0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0]).await;
    a.expect_end().await;
    b.quiet().await;
    publish_all(&mut publisher, 4, &["2"]).await;
    assert_eq!(texts(&mut b, 1).await, ["2"]);
}

#[tokio::test]
async fn absent_members_keep_messages_only_when_nobody_is_there() {
    let server = Server::start().await;
    let (first, second) = (Connect::v4("a").keeping(), Connect::v4("b").keeping());
    let (mut a, mut b) = (server.connect(&first).await, server.connect(&second).await);
    a.subscribe("$share/g/jobs/#", 1).await;
    b.subscribe("$share/g/jobs/#", 1).await;
    a.disconnect().await;
    let mut publisher = server.v4("p").await;
    publish_all(&mut publisher, 2, &["1", "2"]).await;
    assert_eq!(texts(&mut b, 2).await, ["1", "2"]);
    b.disconnect().await;
    publish_all(&mut publisher, 2, &["3", "4"]).await;
    let (mut a, mut b) = (server.connect(&first).await, server.connect(&second).await);
    assert_eq!((texts(&mut a, 1).await, texts(&mut b, 1).await), (vec!["3".into()], vec!["4".into()]));
}

#[tokio::test]
async fn a_member_that_lags_is_passed_over() {
    let config = Config { pause_bytes: ByteSize(1000), ..Config::default() };
    let server = Server::with(config).await;
    let (mut a, mut b) = (server.connect(&narrow("a")).await, server.v5("b").await);
    a.subscribe("$share/g/jobs/#", 1).await;
    b.subscribe("$share/g/jobs/#", 1).await;
    let mut publisher = server.v4("p").await;
    let big = "x".repeat(600);
    for _ in 0..20 {
        publisher.publish(2, "jobs/x", &big).await;
    }
    // One in flight, two waiting: then more than 1,000 bytes wait for it.
    for _ in 0..17 {
        assert_eq!(b.take().await.text(), big);
    }
    b.quiet().await;
    assert_eq!(server.broker.clients()[0].queued, 2);
}

#[tokio::test]
async fn a_group_is_gone_with_its_last_member() {
    let server = Server::start().await;
    let (mut a, mut b) = (server.v5("a").await, server.v5("b").await);
    a.subscribe("$share/g/t", 1).await;
    b.subscribe("$share/g/t", 1).await;
    assert_eq!(a.unsubscribe("$share/g/t").await, [0, 0]);
    assert_eq!(a.unsubscribe("$share/g/t").await, [0, 0x11]);
    b.disconnect().await;
    assert_eq!(server.broker.stats().subscriptions, 0);
    a.publish(2, "t", "x").await;
    a.quiet().await;
}
