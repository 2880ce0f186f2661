//! Links that are cut all the time: nothing is lost, and every topic keeps its order.
//!
//! `BRIDGE_SEEDS=50` and `BRIDGE_MESSAGES=5000` make the long run that docs/bridges.md speaks of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use iogate::bridge::config::{Tls, Version};
use iogate::broker::{PublishOptions, QoS};

use crate::mosquitto::{Consumer, Mosquitto, Site, config, until};
use crate::proxy::Proxy;
use crate::secure::Authority;

/// Messages are spread over so many topics.
const TOPICS: u64 = 20;

/// A TLS handshake of unoptimised programs on a busy machine.
const HANDSHAKE: Duration = Duration::from_millis(100);

pub(crate) fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// First arrivals of every topic must be in order: what is sent again may follow later.
#[derive(Default)]
pub(crate) struct Ledger {
    last: BTreeMap<String, u64>,
    seen: BTreeSet<u64>,
    duplicates: u64,
}

impl Ledger {
    /// How many different ones came.
    pub(crate) fn len(&self) -> usize {
        self.seen.len()
    }

    pub(crate) fn note(&mut self, topic: &str, number: u64) {
        if !self.seen.insert(number) {
            self.duplicates += 1;
            return;
        }
        let last = self.last.entry(topic.to_owned()).or_default();
        assert!(*last <= number, "{topic}: {number} came behind {last}");
        *last = number;
    }
}

pub(crate) async fn publish(site: &Site, messages: u64, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut publisher = site.broker.publisher("device");
    let topics: Vec<_> =
        (0..TOPICS).map(|topic| publisher.topic(&format!("site/{topic}")).unwrap()).collect();
    let options = PublishOptions { qos: QoS::AtLeastOnce, ..PublishOptions::default() };
    for first in (0..messages).step_by(100) {
        let mut batch = publisher.batch();
        for number in first..(first + 100).min(messages) {
            let payload = format!("{number} {}", "x".repeat(random.usize(0..200)));
            batch.publish(&topics[(number % TOPICS) as usize], payload.as_bytes(), &options);
        }
        batch.commit();
        // Publishing goes on while the link comes and goes.
        tokio::time::sleep(Duration::from_millis(random.u64(0..30))).await;
    }
}

/// One run: all messages through a bad link, and then the count.
async fn run(
    upstream: &Mosquitto,
    consumer: &mut Consumer,
    site: &Site,
    proxy: &Proxy,
    messages: u64,
    seed: u64,
) {
    let produce = publish(site, messages, seed);
    let collect = async {
        let mut ledger = Ledger::default();
        while (ledger.seen.len() as u64) < messages {
            let got = consumer.next().await;
            assert_ne!(got.topic, "site/gateway/bridge/cloud/gap", "{got:?}");
            let number = got.payload.split(' ').next().unwrap().parse().unwrap();
            ledger.note(&got.topic, number);
        }
        ledger
    };
    let ((), ledger) = tokio::join!(produce, collect);
    // At the end the link may rest, so that the last acknowledgements come.
    proxy.bad.store(false, Relaxed);
    site.drained().await;
    let told = site.handle.snapshot();
    eprintln!(
        "seed {seed}: {messages} messages, {} cuts, {} duplicates, {} connections, upstream {}",
        proxy.cuts.load(Relaxed),
        ledger.duplicates,
        told.connections,
        upstream.port,
    );
    assert_eq!((told.acknowledged, told.gaps, told.dead_letters, told.left_out), (messages, 0, 0, 0));
}

async fn seeds(version: Version) {
    let upstream = Mosquitto::start().await;
    for seed in 0..setting("BRIDGE_SEEDS", 3) {
        let proxy = Proxy::start(upstream.port, seed).await;
        let mut consumer = upstream.consumer(&["site/#"]).await;
        let site = Site::start(config(&proxy.url("mqtt"), version));
        run(&upstream, &mut consumer, &site, &proxy, setting("BRIDGE_MESSAGES", 2000), seed).await;
        site.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_over_bad_links_with_mqtt_5() {
    seeds(Version::V5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_over_bad_links_with_mqtt_3() {
    seeds(Version::V311).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_over_bad_links_with_tls() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.write(folder.path(), "server", "localhost");
    let tls = "allow_anonymous true\ncafile DIR/ca.pem\ncertfile DIR/server.pem\nkeyfile DIR/server.key\n";
    let port = crate::mosquitto::free_port();
    let plain = crate::mosquitto::free_port();
    // TLS for the bridge; the consumer sits behind on another listener.
    let lines = format!("{tls}listener {plain} 127.0.0.1\n");
    let upstream = Mosquitto::within(folder, port, &lines).await;
    for seed in 0..setting("BRIDGE_SEEDS", 2) {
        for version in [Version::V311, Version::V5] {
            let proxy = Proxy::sparing(port, seed, HANDSHAKE).await;
            let mut consumer = Consumer::start(plain, &["site/#"], &[]).await;
            let ca = Some(upstream.folder.path().join("ca.pem"));
            let mut config = config(&proxy.url("mqtts"), version);
            config.tls = Tls { ca, ..Tls::default() };
            let site = Site::start(config);
            run(&upstream, &mut consumer, &site, &proxy, setting("BRIDGE_MESSAGES", 1000), seed).await;
            site.stop().await;
        }
    }
}

#[tokio::test]
async fn a_half_open_link_is_found_by_the_acknowledgements_that_do_not_come() {
    // A listener that takes connections and answers nothing after the CONNACK.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, &[0x20, 2, 0, 0]).await.unwrap();
            open.push(stream);
        }
    });
    let site = Site::start(config(&format!("mqtt://127.0.0.1:{port}"), Version::V311));
    site.connected().await;
    site.publish("site/a", "1");
    until("the verdict", || {
        let told = site.handle.snapshot();
        told.last_error.is_some_and(|error| error.contains("an acknowledgement did not come in time"))
    })
    .await;
    assert_eq!(site.handle.snapshot().queued, 1, "it is kept");
    site.stop().await;
}
