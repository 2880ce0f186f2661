//! Slow and stalled subscribers: bounded, and not felt by others.

use std::time::Duration;

use iogate::broker::{Config, PublishOptions};
use iogate::model::units::{ByteSize, Period};

use crate::client::{Server, until};

const LIMIT: u64 = 1 << 20;
/// Long enough that a busy machine does not make a reader look stalled.
const SHORT: Period = Period::from_secs(3);
const LONG: Period = Period::from_secs(50);

/// A broker with small queues. Tests in which nothing may be lost allow for a machine that is busy.
async fn server(grace: Period) -> Server {
    let config = Config {
        max_queue_bytes: ByteSize(LIMIT),
        pause_bytes: ByteSize(64 << 10),
        pause_grace: grace,
        ..Config::default()
    };
    Server::with(config).await
}

#[tokio::test]
async fn a_stalled_subscriber_loses_its_own_messages_only() {
    const COUNT: usize = 30_000;
    for options in [0, 1] {
        let server = server(SHORT).await;
        let mut stalled = server.v4("stalled").await;
        stalled.subscribe("t", options).await;
        let mut fast = server.v4("fast").await;
        fast.subscribe("t", options).await;
        let mut publisher = server.v4("p").await;
        let mut most = 0;
        let sending = async {
            let payload = vec![b'x'; 1_000];
            for _ in 0..COUNT {
                let (bytes, _) = publisher.publication(options << 1, "t", &[], &payload);
                publisher.send(&bytes).await;
                if options == 1 {
                    assert_eq!(publisher.packet().await.0, 0x40);
                }
                let waiting = server.broker.client("stalled").unwrap().info.queued_bytes;
                assert!(waiting as u64 <= LIMIT, "{waiting} bytes wait for the stalled one");
                most = most.max(waiting);
            }
        };
        let receiving = async {
            for _ in 0..COUNT {
                fast.take().await;
            }
        };
        tokio::join!(sending, receiving);
        let clients = server.broker.clients();
        let dropped = |id: &str| clients.iter().find(|client| &*client.client_id == id).unwrap().dropped;
        assert_eq!(dropped("fast"), 0);
        assert!(dropped("stalled") > 0);
        assert!(most as u64 > LIMIT / 2, "the limit was reached: {most}");
        assert!(server.broker.stats().pauses > 0, "QoS {options}");
    }
}

#[tokio::test]
async fn a_publisher_waits_for_a_subscriber_that_keeps_reading() {
    // Everything sent at once is twenty times what may wait; nothing is lost, because the publisher waits.
    const COUNT: u32 = 20_000;
    let server = server(LONG).await;
    let mut subscriber = server.v4("s").await;
    subscriber.subscribe("t", 0).await;
    let mut publisher = server.v4("p").await;
    let mut all = Vec::new();
    for n in 0..COUNT {
        let payload = [&n.to_be_bytes()[..], &[0; 996]].concat();
        all.extend(publisher.publication(0, "t", &[], &payload).0);
    }
    let sending = async { publisher.send(&all).await };
    let receiving = async {
        for n in 0..COUNT {
            assert_eq!(subscriber.message().await.payload[..4], n.to_be_bytes());
        }
    };
    tokio::join!(sending, receiving);
    assert_eq!(server.broker.stats().dropped_queue_full, 0);
}

#[tokio::test]
async fn a_publisher_inside_can_wait_too() {
    let server = server(LONG).await;
    let mut subscriber = server.v4("s").await;
    subscriber.subscribe("t", 0).await;
    let mut inside = server.broker.publisher("inside");
    let topic = inside.topic("t").unwrap();
    let sending = async {
        let mut waited = false;
        for _ in 0..500 {
            let mut batch = inside.batch();
            for _ in 0..100 {
                batch.publish(&topic, &[0; 100], &PublishOptions::default());
            }
            waited |= batch.commit().wait;
            inside.ready().await;
        }
        assert!(waited);
    };
    let receiving = async {
        for _ in 0..50_000 {
            subscriber.message().await;
        }
    };
    tokio::join!(sending, receiving);
    assert_eq!(server.broker.stats().dropped_queue_full, 0);
}

#[tokio::test]
async fn nobody_waits_long_for_one_that_reads_nothing() {
    let server = server(SHORT).await;
    let mut stalled = server.v4("stalled").await;
    stalled.subscribe("t", 0).await;
    let mut inside = server.broker.publisher("inside");
    let limit = Duration::from_secs(20);
    while server.broker.stats().dropped_queue_full == 0 {
        inside.publish("t", &[0; 50_000], &PublishOptions::default()).unwrap();
        tokio::time::timeout(limit, inside.ready()).await.expect("the wait for a stalled subscriber ends");
    }
    // Its grace time is used up: it counts as slow, and nobody waits for it any more.
    for _ in 0..10 {
        assert!(!inside.publish("t", &[0; 50_000], &PublishOptions::default()).unwrap().wait);
    }
    drop(stalled);
    until("the connection's end", || server.broker.stats().connections == 0).await;
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_not_read_any_further() {
    let server = server(SHORT).await;
    let mut client = server.v5("c").await;
    let flood = [0xc0, 0].repeat(1 << 20);
    let sent = tokio::time::timeout(Duration::from_secs(1), client.send(&flood)).await;
    let read = server.broker.stats().bytes_in;
    assert!(sent.is_err() || read < flood.len() as u64, "read {read} bytes without an answer taken");
}
