//! One client's costly packets do not keep the others waiting.
//!
//! The runtime of these tests has one thread: whoever keeps it, keeps everybody.

use iogate::broker::{Broker, Config, PublishOptions};

use crate::client::{Connect, packet, pipe, string};

/// SUBSCRIBEs that fit into one read.
const MANY: u16 = 1_000;

/// Retained messages that a filter with wildcards has to look through.
fn full() -> Broker {
    let broker = Broker::new(Config::default());
    let mut publisher = broker.publisher("plant");
    let options = PublishOptions { retain: true, ..PublishOptions::default() };
    for number in 0..4_000 {
        publisher.publish(&format!("a/b/{number}"), b"1", &options).unwrap();
    }
    broker
}

#[tokio::test]
async fn subscriptions_that_look_through_everything_leave_others_their_turn() {
    let broker = full();
    let (mut greedy, mut other) = (pipe(&broker), pipe(&broker));
    greedy.greet(&Connect::v4("greedy")).await;
    other.greet(&Connect::v4("other")).await;
    let before = broker.stats().packets_in;
    let mut all = Vec::new();
    for id in 1..=MANY {
        all.extend(packet(0x82, &[&id.to_be_bytes()[..], &string("+/+/+/x"), &[0]].concat()));
    }
    // In a task: the test itself has its turn less often than the tasks.
    let answered = tokio::spawn({
        let broker = broker.clone();
        async move {
            other.quiet().await;
            broker.stats().packets_in - before
        }
    });
    greedy.send(&all).await;
    let done = answered.await.unwrap();
    assert!(done < u64::from(MANY) / 2, "{done} packets were handled before the other's ping");
    // Its own turn comes again and again: all of them are answered, in their order, and so is what follows.
    greedy.send(&[0xc0, 0]).await;
    for id in 1..=MANY {
        let [high, low] = id.to_be_bytes();
        greedy.expect(&[0x90, 3, high, low, 0]).await;
    }
    greedy.expect(&[0xd0, 0]).await;
}

#[tokio::test]
async fn filters_beyond_the_limit_are_refused_without_a_look() {
    let broker = Broker::new(Config { max_subscriptions: 2, ..Config::default() });
    let mut client = pipe(&broker);
    client.greet(&Connect::v5("x")).await;
    // The same filter again and again is one subscription; 64 are looked at in any case.
    let codes = client.subscribe_with(&[], &[("a", 0); 66]).await;
    assert!(codes[..64].iter().all(|code| *code == 0) && codes[64..] == [0x97, 0x97], "{codes:?}");
    assert_eq!(broker.stats().subscriptions, 1);
}
