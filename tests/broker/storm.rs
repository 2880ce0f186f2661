//! Many clients at once on several threads: nothing lost, nothing stuck, nothing left behind.

use std::collections::HashMap;

use crate::client::{Connect, Server, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_publishers_lose_nothing_while_others_come_and_go() {
    const PUBLISHERS: usize = 50;
    const EACH: u32 = 200;
    let server = std::sync::Arc::new(Server::start().await);
    let mut subscribers = Vec::new();
    for (number, qos) in [1u8, 2, 1].into_iter().enumerate() {
        let mut client = server.connect(&Connect::new(4 + (number % 2) as u8, &format!("s{number}"))).await;
        client.subscribe("storm/+", qos).await;
        subscribers.push(tokio::spawn(async move {
            let mut next: HashMap<String, u32> = HashMap::new();
            for _ in 0..PUBLISHERS as u32 * EACH {
                let message = client.take().await;
                let next = next.entry(message.topic).or_default();
                assert_eq!(message.payload, next.to_string().as_bytes());
                *next += 1;
            }
            client.quiet().await;
        }));
    }
    let publishers = (0..PUBLISHERS).map(|number| {
        let server = server.clone();
        tokio::spawn(async move {
            let mut client = server.v4(&format!("p{number}")).await;
            for n in 0..EACH {
                client.publish(2 + 2 * (n % 2) as u8, &format!("storm/{number}"), &n.to_string()).await;
            }
            client.disconnect().await;
        })
    });
    // Clients that subscribe to the same topics, take each other's sessions over and vanish.
    let churn = (0..8).map(|number| {
        let server = server.clone();
        tokio::spawn(async move {
            for round in 0..30 {
                let connect = Connect::v5(&format!("churn{}", number % 4));
                let connect = if round % 3 == 0 { connect.keeping() } else { connect };
                let mut client = server.open().await;
                client.send_anyway(&connect.bytes()).await;
                client.send_anyway(&[0x82, 13, 0, 1, 0, 0, 7]).await;
                client.send_anyway(b"storm/#\x01").await;
                client.drop_connection();
            }
        })
    });
    for task in publishers.chain(churn).collect::<Vec<_>>().into_iter().chain(subscribers) {
        task.await.unwrap();
    }
    for number in 0..4 {
        server.v4(&format!("churn{number}")).await.disconnect().await;
    }
    until("the end of all", || {
        let stats = server.broker.stats();
        (stats.connections, stats.sessions, stats.subscriptions) == (0, 0, 0)
    })
    .await;
}
