//! What a session is after the broker was down: its subscriptions, both levels of QoS in the midst of an exchange, and
//! every interval, counted on while nothing ran.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use iogate::broker::{Broker, Config, QoS};
use iogate::clock::Clock;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, Connect, Server, Will, until, vanished};

/// A directory, and a wall clock that stands still while the broker runs.
struct Place {
    folder: TempDir,
    wall_s: Arc<AtomicI64>,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), wall_s: Arc::new(AtomicI64::new(1_790_000_000)) }
    }

    async fn start(&self) -> Server {
        let config = Config { data: Some(self.folder.path().join("data")), ..Config::default() };
        let wall = Arc::clone(&self.wall_s);
        let clock = Clock::with_wall(move || wall.load(Ordering::Relaxed) * 1_000_000);
        let broker = Broker::open_at(config, clock).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let task = tokio::spawn({
            let (broker, stop) = (broker.clone(), stop.clone());
            async move { broker.serve(listener, stop).await }
        });
        Server { broker, address, stop, task }
    }

    /// Stops the broker, lets so many seconds pass and starts it anew.
    async fn down(&self, server: Server, seconds: i64) -> Server {
        let Server { broker, stop, task, .. } = server;
        stop.cancel();
        task.await.unwrap();
        drop(broker);
        self.wall_s.fetch_add(seconds, Ordering::Relaxed);
        self.start().await
    }
}

/// Vanishes; the broker knows when this returns.
async fn leave(server: &Server, client: Client, id: &str) {
    client.drop_connection();
    vanished(&server.broker, id).await;
}

#[tokio::test]
async fn subscriptions_keep_their_options() {
    let place = Place::new();
    let server = place.start().await;
    let connect = Connect::v5("s").keeping();
    let mut client = server.connect(&connect).await;
    // No-local and retain as published, with an identifier; a plain one; a shared one.
    assert_eq!(client.subscribe_with(&[0x0b, 7], &[("a", 0x0d)]).await, [1]);
    assert_eq!(client.subscribe_with(&[], &[("b", 2), ("$share/g/c", 1), ("gone", 1)]).await, [2, 1, 1]);
    assert_eq!(client.unsubscribe("gone").await, [0, 0]);
    leave(&server, client, "s").await;
    let server = place.down(server, 5).await;
    assert_eq!(server.broker.stats().subscriptions, 3);
    let mut client = server.connect(&connect).await;
    assert!(client.session_present());
    let mut publisher = server.v5("p").await;
    publisher.publish(3, "a", "x").await;
    let message = client.take().await;
    assert_eq!((message.qos, message.retain, &message.properties[..]), (1, true, &[0x0b, 7][..]));
    client.publish(2, "a", "own").await;
    client.quiet().await;
    for (flags, topic, qos) in [(5, "b", 2), (4, "c", 1)] {
        publisher.publish(flags, topic, "x").await;
        let message = client.take().await;
        assert_eq!((&*message.topic, message.qos, message.retain), (topic, qos, false));
        assert!(message.properties.is_empty());
    }
    client.quiet().await;
}

#[tokio::test]
async fn exchanges_go_on_where_they_were() {
    for level in [4, 5] {
        let place = Place::new();
        let server = place.start().await;
        let (kept, sending) = (Connect::new(level, "s").keeping(), Connect::new(level, "p").keeping());
        let mut subscriber = server.connect(&kept).await;
        subscriber.subscribe("t", 2).await;
        let mut publisher = server.connect(&sending).await;
        for (flags, payload) in [(2, "one"), (4, "two"), (4, "three")] {
            publisher.publish(flags, "t", payload).await;
        }
        let one = subscriber.message().await;
        let [high, low] = subscriber.message().await.id.to_be_bytes();
        let three = subscriber.message().await;
        // Two is received and not completed; one and three are not acknowledged.
        subscriber.send(&[0x50, 2, high, low]).await;
        subscriber.expect(&[0x62, 2, high, low]).await;
        leave(&server, subscriber, "s").await;
        // Four is received by the broker and not released.
        let (bytes, [first, last]) = publisher.publication(4, "t", &[], b"four");
        publisher.send(&bytes).await;
        publisher.expect(&[0x50, 2, first, last]).await;
        leave(&server, publisher, "p").await;
        let server = place.down(server, 5).await;
        let mut publisher = server.connect(&sending).await;
        assert!(publisher.session_present());
        let mut again = bytes.clone();
        again[0] |= 8;
        publisher.send(&again).await;
        publisher.expect(&[0x50, 2, first, last]).await;
        publisher.send(&[0x62, 2, first, last]).await;
        publisher.expect(&[0x70, 2, first, last]).await;
        let mut subscriber = server.connect(&kept).await;
        assert!(subscriber.session_present());
        let got = subscriber.message().await;
        assert_eq!((got.text(), got.id, got.dup, got.qos), ("one", one.id, true, 1));
        subscriber.expect(&[0x62, 2, high, low]).await;
        let got = subscriber.message().await;
        assert_eq!((got.text(), got.id, got.dup, got.qos), ("three", three.id, true, 2));
        let got = subscriber.message().await;
        assert_eq!((got.text(), got.dup, got.qos), ("four", false, 2));
        assert!(![one.id, three.id, u16::from_be_bytes([high, low])].contains(&got.id));
        subscriber.quiet().await;
    }
}

#[tokio::test]
async fn a_session_ends_when_its_time_passes_while_the_broker_is_down() {
    let place = Place::new();
    let server = place.start().await;
    let lasting = |id: &str, seconds: u8| Connect {
        clean: false,
        properties: vec![0x11, 0, 0, 0, seconds],
        ..Connect::v5(id)
    };
    for id in ["short", "long", "older"] {
        let connect = if id == "older" {
            Connect::v4(id).keeping()
        } else {
            lasting(id, if id == "short" { 60 } else { 200 })
        };
        let mut client = server.connect(&connect).await;
        client.subscribe("t", 1).await;
        leave(&server, client, id).await;
    }
    // Those that were there when it stopped are counted from then on.
    let mut present = server.connect(&lasting("present", 60)).await;
    present.subscribe("t", 1).await;
    let server = place.down(server, 40).await;
    assert_eq!(server.broker.stats().sessions, 4);
    // Twice down: what passed before counts, too.
    let server = place.down(server, 40).await;
    until("the end of two", || server.broker.stats().sessions == 2).await;
    let ids: Vec<_> = server.broker.clients().iter().map(|client| client.client_id.to_string()).collect();
    assert_eq!(ids, ["long", "older"]);
    assert!(!server.connect(&lasting("short", 60)).await.session_present());
    assert!(server.connect(&lasting("long", 200)).await.session_present());
    assert!(server.connect(&Connect::v4("older").keeping()).await.session_present());
    // A clock that was set back tells nothing.
    let server = place.down(server, -1_000_000).await;
    assert!(server.connect(&lasting("long", 200)).await.session_present());
}

#[tokio::test]
async fn messages_expire_while_the_broker_is_down() {
    let place = Place::new();
    let server = place.start().await;
    let connect = Connect::v5("s").keeping();
    let mut client = server.connect(&connect).await;
    client.subscribe("t", 1).await;
    leave(&server, client, "s").await;
    let mut publisher = server.v5("p").await;
    for (topic, payload, seconds) in
        [("t", "short", 20), ("t", "long", 100), ("r/short", "x", 20), ("r/long", "x", 100)]
    {
        publisher.publish_with(3, topic, &[0x02, 0, 0, 0, seconds], payload).await;
    }
    let server = place.down(server, 30).await;
    let mut client = server.connect(&connect).await;
    let message = client.take().await;
    let left = |properties: &[u8]| {
        assert_eq!((properties.len(), &properties[..4]), (5, &[0x02, 0, 0, 0][..]));
        properties[4]
    };
    // The machine may be busy for a while, but 30 seconds have passed by the wall, which stood still before while the
    // log's time went on: up to a second of them counts once only.
    assert_eq!(message.text(), "long");
    assert!((40..=71).contains(&left(&message.properties)), "{:?}", message.properties);
    client.quiet().await;
    client.subscribe("r/#", 0).await;
    let message = client.take().await;
    assert_eq!((&*message.topic, message.retain), ("r/long", true));
    assert!((40..=71).contains(&left(&message.properties)), "{:?}", message.properties);
    client.quiet().await;
}

#[tokio::test]
async fn a_will_comes_when_its_delay_passes_while_the_broker_is_down() {
    let place = Place::new();
    let server = place.start().await;
    let mut watcher = server.connect(&Connect::v4("watcher").keeping()).await;
    watcher.subscribe("will/#", 1).await;
    for (id, topic, delay) in
        [("soon", "will/soon", 30), ("late", "will/late", 250), ("back", "will/back", 30)]
    {
        let will =
            Will { topic, payload: b"gone", qos: 1, retain: false, properties: vec![0x18, 0, 0, 0, delay] };
        let client = server.connect(&Connect { will: Some(will), ..Connect::v5(id).keeping() }).await;
        leave(&server, client, id).await;
    }
    let server = place.down(server, 20).await;
    // It is back before its time: no will.
    server.connect(&Connect::v5("back").keeping()).await.disconnect().await;
    let mut inside = server.broker.subscribe(&[("will/#", QoS::AtMostOnce)], 10).unwrap();
    assert!(inside.try_recv().is_none());
    drop(inside);
    leave(&server, watcher, "watcher").await;
    let server = place.down(server, 20).await;
    let mut watcher = server.connect(&Connect::v4("watcher").keeping()).await;
    assert!(watcher.session_present());
    assert_eq!(watcher.take().await.topic, "will/soon");
    watcher.quiet().await;
    // Published once: not again after the next start.
    leave(&server, watcher, "watcher").await;
    let server = place.down(server, 20).await;
    let mut watcher = server.connect(&Connect::v4("watcher").keeping()).await;
    watcher.quiet().await;
    assert_eq!(server.broker.stats().wills, 0);
}
