//! `$SYS` topics: names, values, when they are published, and that clients cannot write them.

use std::collections::HashMap;
use std::time::Duration;

use iogate::broker::{Broker, Config};
use iogate::model::units::Period;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, Connect, pipe};

/// A broker that publishes `$SYS` every ten seconds, and what stops it.
fn reporting(config: Config) -> (Broker, CancellationToken) {
    let (broker, stop) = (Broker::new(config), CancellationToken::new());
    tokio::spawn({
        let (broker, stop) = (broker.clone(), stop.clone());
        async move { broker.publish_sys(stop).await }
    });
    (broker, stop)
}

/// Every value below `$SYS/broker`, as a new subscriber gets them.
async fn values(client: &mut Client) -> HashMap<String, String> {
    client.subscribe("$SYS/broker/#", 0).await;
    client.send(&[0xc0, 0]).await;
    let mut values = HashMap::new();
    let mut answers = 0;
    // An answer may overtake messages once.
    while answers < 2 {
        match client.packet().await {
            (0xd0, _) => {
                answers += 1;
                client.send(&[0xc0, 0]).await;
            }
            (first, body) => {
                let message = client.parse(first, &body);
                assert!(message.retain);
                let name = message.topic.strip_prefix("$SYS/broker/").unwrap().to_owned();
                values.insert(name, message.text().to_owned());
            }
        }
    }
    client.expect(&[0xd0, 0]).await;
    client.unsubscribe("$SYS/broker/#").await;
    values
}

#[tokio::test(start_paused = true)]
async fn the_state_is_published_under_the_names_people_know() {
    let (broker, _stop) = reporting(Config::default());
    let mut watcher = pipe(&broker);
    watcher.greet(&Connect { keep_alive: 0, ..Connect::v4("watcher") }).await;
    let mut keeper = pipe(&broker);
    keeper.greet(&Connect::v4("keeper").keeping()).await;
    keeper.subscribe("t", 1).await;
    keeper.subscribe("$share/g/u", 1).await;
    keeper.disconnect().await;
    watcher.publish(3, "t", "12345").await;
    watcher.publish(2, "t", "123").await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    let found = values(&mut watcher).await;
    let expect = |expected: &[(&str, &str)]| {
        for (name, value) in expected {
            assert_eq!(found.get(*name).map(String::as_str), Some(*value), "{name}");
        }
    };
    let version = concat!("iogate ", env!("CARGO_PKG_VERSION"));
    expect(&[("version", version), ("uptime", "10 seconds")]);
    expect(&[("clients/connected", "1"), ("clients/total", "2"), ("clients/disconnected", "1")]);
    expect(&[("clients/maximum", "2"), ("clients/expired", "0")]);
    // CONNECT, two PUBLISH; CONNECT, two SUBSCRIBE, DISCONNECT. Answers: all but the last.
    expect(&[("messages/received", "7"), ("messages/sent", "6")]);
    expect(&[("publish/messages/received", "2"), ("publish/messages/sent", "0")]);
    expect(&[("publish/bytes/received", "8"), ("publish/bytes/sent", "0")]);
    expect(&[("subscriptions/count", "2"), ("shared_subscriptions/count", "1")]);
    // The names themselves are retained, too.
    expect(&[("retained messages/count", "71"), ("messages/stored", "73")]);
    // Two messages in ten seconds are twelve a minute; e to the minus one sixth is what is left of nothing.
    expect(&[("load/publish/received/1min", "1.84"), ("load/publish/received/15min", "0.13")]);
    expect(&[("load/connections/1min", "1.84"), ("load/publish/sent/1min", "0.00")]);
    assert_eq!(found.len(), 70);
}

#[tokio::test(start_paused = true)]
async fn only_what_changes_is_published_again() {
    let (broker, stop) = reporting(Config { sys_interval: Period::from_secs(1), ..Config::default() });
    tokio::time::sleep(Duration::from_millis(5500)).await;
    let mut watcher = broker.subscribe(&[("$SYS/#", iogate::broker::QoS::AtMostOnce)], 100).unwrap();
    // The subscription itself is counted at 6 and 7 seconds.
    tokio::time::sleep(Duration::from_secs(2)).await;
    while watcher.try_recv().is_some() {}
    let next = watcher.recv().await;
    assert_eq!((next.topic(), next.payload()), ("$SYS/broker/uptime", &b"8 seconds"[..]));
    let more = watcher.try_recv().map(|more| (more.topic().to_owned(), more.payload().to_vec()));
    assert_eq!(more, None);
    stop.cancel();
    let silent = tokio::time::timeout(Duration::from_secs(100), watcher.recv()).await;
    assert!(silent.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_interval_of_zero_turns_it_off_and_wildcards_do_not_find_it() {
    let broker = Broker::new(Config { sys_interval: Period::from_secs(0), ..Config::default() });
    broker.publish_sys(CancellationToken::new()).await;
    assert_eq!(broker.stats().retained, 0);
    let (broker, _stop) = reporting(Config::default());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(broker.stats().retained > 40);
    let mut client = pipe(&broker);
    client.greet(&Connect::v4("c")).await;
    client.subscribe("#", 0).await;
    client.subscribe("+/broker/uptime", 0).await;
    client.quiet().await;
    client.publish(0, "$SYS/broker/uptime", "mine").await;
    client.subscribe("$SYS/broker/uptime", 0).await;
    assert_eq!(client.message().await.text(), "0 seconds");
}
