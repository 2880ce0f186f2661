//! What a message carries on its way: properties, expiry, aliases, limits.

use std::time::Duration;

use iogate::broker::{Broker, Config};

use crate::client::{Connect, Server, pipe, string};

/// Payload format 1, content type, response topic, correlation data, two user properties.
fn carried() -> Vec<u8> {
    let user = |key, value| [vec![0x26], string(key), string(value)].concat();
    [
        vec![0x01, 1, 0x03],
        string("text/plain"),
        vec![0x08],
        string("answers"),
        vec![0x09],
        string("42"),
        user("a", "1"),
        user("a", "2"),
    ]
    .concat()
}

#[tokio::test]
async fn properties_arrive_as_they_were_sent_and_nothing_is_added() {
    let server = Server::start().await;
    let (mut new, mut old) = (server.v5("new").await, server.v4("old").await);
    new.subscribe("t", 1).await;
    old.subscribe("t", 1).await;
    let mut publisher = server.v5("publisher").await;
    publisher.publish_with(2, "t", &carried(), "hello").await;
    let message = new.take().await;
    assert_eq!((message.properties, message.payload), (carried(), b"hello".to_vec()));
    assert_eq!(old.take().await.text(), "hello");
    // An alias between them is for the server alone.
    let mut mixed = carried();
    mixed.splice(2..2, [0x23, 0, 7]);
    publisher.publish_with(2, "t", &mixed, "hello").await;
    assert_eq!(new.take().await.properties, carried());
}

#[tokio::test]
async fn a_topic_alias_stands_for_its_topic() {
    let server = Server::start().await;
    let mut subscriber = server.v4("s").await;
    subscriber.subscribe("#", 0).await;
    let mut publisher = server.v5("p").await;
    let alias = [0x23, 0, 1];
    publisher.publish_with(2, "first", &alias, "1").await;
    publisher.publish_with(2, "", &alias, "2").await;
    publisher.publish_with(2, "second", &alias, "3").await;
    publisher.publish_with(2, "", &alias, "4").await;
    let mut got = Vec::new();
    for _ in 0..4 {
        got.push(subscriber.message().await.topic);
    }
    assert_eq!(got, ["first", "first", "second", "second"]);
}

#[tokio::test(start_paused = true)]
async fn expiry_counts_down_while_a_message_waits() {
    let broker = Broker::new(Config::default());
    let mut subscriber = pipe(&broker);
    subscriber.greet(&Connect::v5("s").keeping()).await;
    subscriber.subscribe("t", 1).await;
    subscriber.disconnect().await;
    let mut publisher = pipe(&broker);
    publisher.greet(&Connect { keep_alive: 0, ..Connect::v5("p") }).await;
    publisher.publish_with(2, "t", &[0x02, 0, 0, 0, 100], "long").await;
    publisher.publish_with(2, "t", &[0x02, 0, 0, 0, 10], "short").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let mut subscriber = pipe(&broker);
    subscriber.greet(&Connect::v5("s").keeping()).await;
    let message = subscriber.take().await;
    assert_eq!((message.text(), &message.properties[..]), ("long", &[0x02, 0, 0, 0, 70][..]));
    subscriber.quiet().await;
    assert_eq!(broker.stats().dropped_expired, 1);
}

#[tokio::test]
async fn a_client_never_gets_more_than_it_takes() {
    let server = Server::start().await;
    let small = Connect { properties: vec![0x27, 0, 0, 0, 60], ..Connect::v5("small") };
    let mut small = server.connect(&small).await;
    small.subscribe("t/0", 0).await;
    small.subscribe("t/1", 1).await;
    let mut publisher = server.v4("p").await;
    let long = "x".repeat(100);
    for topic in ["t/0", "t/1"] {
        publisher.publish(2, topic, &long).await;
        publisher.publish(2, topic, "short").await;
        assert_eq!(small.take().await.text(), "short");
    }
    assert_eq!(server.broker.stats().dropped_too_large, 2);
}

#[tokio::test]
async fn what_clients_may_not_publish_is_refused_and_routed_to_nobody() {
    let server =
        Server::with(Config { max_topic_levels: 3, max_user_properties: 1, ..Config::default() }).await;
    let mut watcher = server.v5("w").await;
    watcher.subscribe("#", 0).await;
    watcher.subscribe("$SYS/#", 0).await;
    let mut client = server.v5("c").await;
    let user = [vec![0x26], string("k"), string("v")].concat();
    for (topic, properties, code) in
        [("$SYS/uptime", vec![], 0x87), ("a/b/c/d", vec![], 0x90), ("a", [user.clone(), user].concat(), 0x97)]
    {
        let (bytes, id) = client.publication(2, topic, &properties, b"x");
        client.send(&bytes).await;
        client.expect_failure(0x40, id, code).await;
        let (bytes, id) = client.publication(4, topic, &properties, b"x");
        client.send(&bytes).await;
        client.expect_failure(0x50, id, code).await;
    }
    let mut old = server.v4("old").await;
    old.publish(2, "$SYS/uptime", "x").await;
    old.publish(4, "$SYS/uptime", "x").await;
    watcher.quiet().await;
    assert_eq!(server.broker.stats().publishes_refused, 8);
}

#[tokio::test]
async fn nobody_listening_is_reported_on_5_only() {
    let server = Server::start().await;
    let mut client = server.v5("c").await;
    let (bytes, id) = client.publication(2, "nobody", &[], b"x");
    client.send(&bytes).await;
    client.expect(&[0x40, 3, id[0], id[1], 0x10]).await;
    let (bytes, id) = client.publication(4, "nobody", &[], b"x");
    client.send(&bytes).await;
    client.expect(&[0x50, 3, id[0], id[1], 0x10]).await;
    let mut client = server.v4("d").await;
    let (bytes, id) = client.publication(2, "nobody", &[], b"x");
    client.send(&bytes).await;
    client.expect(&[0x40, 2, id[0], id[1]]).await;
}
