//! Every limit refuses what is beyond it, says so where the protocol has words, and counts it.

use std::net::SocketAddr;

use iogate::broker::auth::hash;
use iogate::broker::listen::BrokerListener;
use iogate::broker::{Config, Stats};
use iogate::model::units::{ByteSize, Period};
use tokio::net::TcpStream;

use crate::client::{Client, Connect, Server, pipe, string, until};
use crate::listen::{Site, anywhere};

async fn open(site: &Site, listener: &str) -> Client {
    let address = SocketAddr::from(([127, 0, 0, 1], site.port(listener)));
    Client::over(TcpStream::connect(address).await.unwrap())
}

/// Sends a CONNECT and returns the code of the CONNACK.
async fn answer(client: &mut Client, connect: &Connect) -> u8 {
    client.level = connect.level;
    client.send(&connect.bytes()).await;
    let (first, body) = client.packet().await;
    assert_eq!(first, 0x20);
    body[1]
}

/// The connection is closed before anything was said.
async fn expect_closed(site: &Site, listener: &str) {
    let mut client = open(site, listener).await;
    client.send_anyway(&Connect::v5("x").bytes()).await;
    client.expect_end().await;
}

#[tokio::test]
async fn connections_are_counted_by_user() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    let line = |user: &str| format!("{user}:{}\n", hash(b"secret").unwrap());
    std::fs::write(&file, line("anna") + &line("bert")).unwrap();
    let config = Config { password_file: Some(file), max_connections_per_user: 2, ..Config::default() };
    let site = Site::start(config, folder, Vec::new()).await;
    let login = |id: &str, user: &str| {
        let mut connect = Connect::v5(id);
        connect.login = Some((user.to_owned(), "secret".to_owned()));
        connect
    };
    let mut first = open(&site, "listen").await;
    assert_eq!(answer(&mut first, &login("a1", "anna")).await, 0);
    let mut second = open(&site, "listen").await;
    assert_eq!(answer(&mut second, &login("a2", "anna")).await, 0);
    assert_eq!(answer(&mut open(&site, "listen").await, &login("a3", "anna")).await, 0x97);
    let mut other = open(&site, "listen").await;
    assert_eq!(answer(&mut other, &login("b1", "bert")).await, 0);
    // Who comes back takes its own place, and only that.
    let mut again = open(&site, "listen").await;
    assert_eq!(answer(&mut again, &login("a1", "anna")).await, 0);
    first.expect_refusal(0x8e).await;
    assert_eq!(answer(&mut open(&site, "listen").await, &login("a3", "anna")).await, 0x97);
    assert_eq!(site.broker.stats().user_connections_refused, 2);
    second.disconnect().await;
    until("the end", || site.broker.clients().len() == 2).await;
    assert_eq!(answer(&mut open(&site, "listen").await, &login("a3", "anna")).await, 0);
}

#[tokio::test]
async fn a_listener_has_limits_of_its_own() {
    let narrow = BrokerListener {
        max_connections: Some(1),
        max_packet: Some(ByteSize(300)),
        max_qos: Some(0),
        ..anywhere()
    };
    let site = Site::start(Config::default(), tempfile::tempdir().unwrap(), vec![("narrow", narrow)]).await;
    let mut wide = open(&site, "listen").await;
    wide.greet(&Connect::v5("wide")).await;
    let mut client = open(&site, "narrow").await;
    client.greet(&Connect::v5("narrow")).await;
    // Maximum QoS 0, maximum packet size 300.
    assert!(client.connack.windows(2).any(|pair| pair == [0x24, 0]), "{:x?}", client.connack);
    assert!(client.connack.windows(5).any(|five| five == [0x27, 0, 0, 1, 44]), "{:x?}", client.connack);
    expect_closed(&site, "narrow").await;
    assert_eq!(client.subscribe_with(&[], &[("t", 2)]).await, [0]);
    assert_eq!(wide.subscribe_with(&[], &[("t", 2)]).await, [2]);
    wide.publish(2, "large", &"x".repeat(400)).await;
    let (large, _) = client.publication(0, "large", &[], &[b'x'; 400]);
    client.send(&large).await;
    client.expect_refusal(0x95).await;
    drop(client);
    until("the end", || site.broker.stats().connections == 1).await;
    let mut client = open(&site, "narrow").await;
    client.greet(&Connect::v5("narrow")).await;
    let (bytes, _) = client.publication(2, "t", &[], b"x");
    client.send(&bytes).await;
    client.expect_refusal(0x9b).await;
    let stats = site.broker.stats();
    assert_eq!((stats.connections_refused, stats.packets_too_large), (1, 1));
    let wrong =
        [("max-packet: 100B", "256MiB"), ("max-qos: 3", "0, 1 or 2"), ("durability: power", "no `data`")];
    for (wrong, told) in wrong {
        let yaml = format!("{{ listeners: {{ x: {{ address: '127.0.0.1:0', {wrong} }} }} }}");
        let config: Config = serde_yaml::from_str(&yaml).unwrap();
        assert!(config.problems().concat().contains(told), "{wrong}");
    }
}

#[tokio::test]
async fn connections_are_counted_in_all_and_by_address() {
    for (config, places) in [
        (Config { max_connections: 1, ..Config::default() }, 1),
        (Config { max_connections_per_address: 2, ..Config::default() }, 2),
    ] {
        let server = Server::with(config).await;
        let mut held = Vec::new();
        for number in 0..places {
            held.push(server.v5(&number.to_string()).await);
        }
        let mut refused = server.open().await;
        refused.send_anyway(&Connect::v5("x").bytes()).await;
        refused.expect_end().await;
        assert_eq!(server.broker.stats().connections_refused, 1);
        drop(held);
        until("the ends", || server.broker.stats().connections == 0).await;
        server.v5("x").await;
    }
}

#[tokio::test]
async fn whatever_a_client_names_is_bounded_and_counted() {
    let config = Config {
        max_sessions: 1,
        max_client_id: 4,
        max_subscriptions: 1,
        max_topic_levels: 2,
        max_topic_length: 8,
        max_user_properties: 1,
        max_retained: 1,
        max_packet: ByteSize(256),
        sys_interval: Period::from_secs(0),
        ..Config::default()
    };
    let server = Server::with(config).await;
    let mut client = server.v5("one").await;
    let counted = |read: fn(&Stats) -> u64| read(&server.broker.stats());
    assert_eq!(answer(&mut server.open().await, &Connect::v5("two")).await, 0x97);
    assert_eq!(counted(|stats| stats.sessions_refused), 1);
    assert_eq!(answer(&mut server.open().await, &Connect::v5("three")).await, 0x85);
    // Counted when the refused one is seen off.
    until("both", || counted(|stats| stats.connects_refused) == 2).await;
    client.subscribe("a/b", 0).await;
    for (filter, code) in [("b", 0x97), ("a/b/c", 0x97), ("123456789", 0x97)] {
        assert_eq!(client.subscribe_with(&[], &[(filter, 0)]).await, [code], "{filter}");
    }
    assert_eq!(counted(|stats| stats.subscriptions_refused), 3);
    let pair = [vec![0x26], string("k"), string("v")].concat();
    client.publish_with(3, "x", &pair, "kept").await;
    for (flags, topic, properties, code) in [
        (2, "a/b/c", vec![], 0x90),
        (2, "123456789", vec![], 0x90),
        (2, "x", [pair.clone(), pair.clone()].concat(), 0x97),
        (3, "y", vec![], 0x97),
    ] {
        let (bytes, id) = client.publication(flags, topic, &properties, b"x");
        client.send(&bytes).await;
        client.expect_failure(0x40, id, code).await;
    }
    assert_eq!(counted(|stats| stats.publishes_refused), 3);
    assert_eq!(counted(|stats| stats.retained_refused), 1);
    // An alias keeps no topic that is over the limit, and what it stands for is refused each time.
    for topic in ["123456789", "", ""] {
        let (bytes, id) = client.publication(2, topic, &[0x23, 0, 1], b"x");
        client.send(&bytes).await;
        client.expect_failure(0x40, id, 0x90).await;
    }
    let (large, _) = client.publication(0, "x", &[], &[b'x'; 300]);
    client.send(&large).await;
    client.expect_refusal(0x95).await;
    assert_eq!(counted(|stats| stats.packets_too_large), 1);
}

#[tokio::test(start_paused = true)]
async fn who_sends_no_connect_is_gone_after_its_time() {
    let broker = iogate::broker::Broker::new(Config::default());
    let started = tokio::time::Instant::now();
    let mut silent = pipe(&broker);
    let mut half = pipe(&broker);
    half.send(&Connect::v5("half").bytes()[..5]).await;
    silent.expect_end().await;
    half.expect_end().await;
    assert_eq!(started.elapsed().as_secs(), 10);
    assert_eq!(broker.stats().connects_late, 2);
}
