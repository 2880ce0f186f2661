//! A client that comes back while its older connection is still there.

use iogate::broker::{Config, QoS};
use iogate::model::units::Period;

use crate::client::{Connect, Server, Will};

const WILL: Will = Will { topic: "will", payload: b"gone", qos: 1, retain: false, properties: vec![] };

fn with_will(connect: Connect) -> Connect {
    Connect { will: Some(WILL), ..connect }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_client_sent_before_it_came_back_counts() {
    // The old connection's last packets lie in its socket when the new CONNECT is already being served.
    const ROUNDS: usize = 200;
    const EACH: usize = 20;
    let server = Server::start().await;
    let mut wills = server.broker.subscribe(&[("will", QoS::AtMostOnce)], 10).unwrap();
    let mut inside = server.broker.subscribe(&[("t", QoS::AtMostOnce)], ROUNDS * EACH).unwrap();
    for level in [4, 5] {
        for round in 0..ROUNDS / 2 {
            let mut client = server.connect(&with_will(Connect::new(level, "c"))).await;
            assert!(!client.session_present(), "round {round}: the session of before is over");
            let mut last = Vec::new();
            for _ in 0..EACH {
                last.extend(client.publication(0, "t", &[], b"x").0);
            }
            last.extend([0xe0, 0]);
            client.send(&last).await;
            client.drop_connection();
        }
    }
    server.v4("c").await.disconnect().await;
    for number in 0..ROUNDS * EACH {
        assert!(inside.try_recv().is_some(), "message {number} is lost");
    }
    assert!(wills.try_recv().is_none(), "a goodbye discards the will");
}

#[tokio::test]
async fn a_session_that_ends_with_its_connection_is_not_taken_over() {
    let server = Server::start().await;
    let mut wills = server.broker.subscribe(&[("will", QoS::AtMostOnce)], 10).unwrap();
    for level in [4, 5] {
        let mut first = server.connect(&with_will(Connect::new(level, "c"))).await;
        first.subscribe("t", 1).await;
        let mut second = server.connect(&Connect::new(level, "c").keeping()).await;
        first.expect_refusal(0x8e).await;
        assert!(!second.session_present(), "version {level}");
        assert_eq!(wills.recv().await.payload(), b"gone");
        server.v4("p").await.publish(2, "t", "x").await;
        second.quiet().await;
        second.disconnect().await;
        server.connect(&Connect::new(level, "c")).await.disconnect().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_older_connection_that_reads_nothing_does_not_hold_the_newer_one_up() {
    let config = Config { max_publish_rate: 1, max_keep_alive: Period::from_secs(60), ..Config::default() };
    let broker = iogate::broker::Broker::new(config);
    let mut first = crate::client::pipe(&broker);
    first.greet(&Connect::v5("c").keeping()).await;
    // Throttled for many seconds: what it sent then is not read.
    let (bytes, _) = first.publication(0, "t", &[], b"x");
    first.send(&bytes.repeat(50)).await;
    let begun = tokio::time::Instant::now();
    let mut second = crate::client::pipe(&broker);
    second.greet(&Connect::v5("c").keeping()).await;
    assert!(begun.elapsed() <= std::time::Duration::from_secs(1), "{:?}", begun.elapsed());
    first.expect_refusal(0x8e).await;
    assert_eq!(broker.stats().takeovers, 1);
}
