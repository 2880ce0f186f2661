//! Killed again and again: the gateway while it takes messages in, and the upstream broker while it gets them.
//!
//! `BRIDGE_KILLS=200 BRIDGE_KILL_MESSAGES=10000` makes the long run that docs/bridges.md speaks of.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use iogate::bridge::config::Version;
use tokio::process::{Child, Command};

use crate::gateway;
use crate::links::{Ledger, publish, setting};
use crate::mosquitto::{Consumer, Mosquitto, Site, config, free_port, until};

/// Messages of the publisher that are not acknowledged at one time.
const WINDOW: u32 = 100;

/// Messages are spread over so many topics.
const TOPICS: u32 = 10;

/// A publisher that knows what was acknowledged to it.
struct Publisher {
    stream: TcpStream,
    sent: u32,
    acknowledged: u32,
}

impl Publisher {
    /// Goes on with this message: everything before it was acknowledged.
    fn connect(port: u16, next: u32) -> Option<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_nodelay(true).unwrap();
        stream.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01p").ok()?;
        stream.read_exact(&mut [0; 4]).ok()?;
        Some(Self { stream, sent: next, acknowledged: next })
    }

    /// Publishes until everything is acknowledged, or the connection ends, or so many more are acknowledged.
    fn go_on(&mut self, messages: u32, more: u32) -> std::io::Result<()> {
        let enough = self.acknowledged.saturating_add(more).min(messages);
        while self.acknowledged < enough {
            let mut out = Vec::new();
            while self.sent < messages && self.sent < self.acknowledged + WINDOW {
                let (topic, payload) = (format!("site/{}", self.sent % TOPICS), self.sent.to_string());
                out.extend([0x32, (4 + topic.len() + payload.len()) as u8, 0, topic.len() as u8]);
                out.extend(topic.as_bytes());
                out.extend(id(self.sent).to_be_bytes());
                out.extend(payload.as_bytes());
                self.sent += 1;
            }
            self.stream.write_all(&out)?;
            let mut ack = [0; 4];
            self.stream.read_exact(&mut ack)?;
            // In order, and each on its own.
            assert_eq!((&ack[..2], &ack[2..]), (&[0x40, 2][..], &id(self.acknowledged).to_be_bytes()[..]));
            self.acknowledged += 1;
        }
        Ok(())
    }
}

fn id(message: u32) -> u16 {
    (message % 60_000 + 1) as u16
}

/// One round: the upstream broker is down, the gateway is killed at random moments while it takes messages in, once
/// more when all are acknowledged and once while it sends; then everything must arrive, in order.
async fn round(messages: u32, seed: u64) -> u32 {
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut upstream = Mosquitto::start().await;
    let port = free_port();
    let config = gateway::write(folder.path(), port, &upstream.url());
    upstream.kill().await;
    let (mut done, mut kills) = (0, 0);
    while done < messages {
        let mut gateway = gateway::run(&config, port).await;
        let pid = rustix::process::Pid::from_raw(gateway.id().unwrap().cast_signed()).unwrap();
        let more = random.u32(1..messages);
        let late = Duration::from_micros(random.u64(0..3000));
        // The blow falls while more is under way.
        let ended = tokio::task::spawn_blocking(move || {
            let mut publisher = Publisher::connect(port, done).unwrap();
            if publisher.go_on(messages, more).is_err() {
                return publisher.acknowledged;
            }
            let blow = std::thread::spawn(move || {
                std::thread::sleep(late);
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            });
            let _ = publisher.go_on(messages, u32::MAX);
            blow.join().unwrap();
            publisher.acknowledged
        });
        done = ended.await.unwrap();
        gateway.kill().await.unwrap();
        kills += 1;
    }
    upstream.revive().await;
    let mut consumer = upstream.consumer(&["site/#"]).await;
    let mut gateway = gateway::run(&config, port).await;
    let (mut ledger, half) = (Ledger::default(), random.u32(0..messages));
    let mut again = true;
    while (ledger.len() as u32) < messages {
        let got = consumer.next().await;
        assert!(!got.topic.ends_with("/gap"), "{got:?}");
        if got.topic.starts_with("site/gateway/") {
            continue;
        }
        ledger.note(&got.topic, got.payload.parse().unwrap());
        if again && ledger.len() as u32 > half {
            again = false;
            gateway.kill().await.unwrap();
            gateway = gateway::run(&config, port).await;
            kills += 1;
        }
    }
    drop(gateway);
    kills
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_gateway_acknowledged_arrives_however_often_it_is_killed() {
    let rounds = setting("BRIDGE_KILLS", 2);
    let messages = u32::try_from(setting("BRIDGE_KILL_MESSAGES", 2000)).unwrap();
    let mut kills = 0;
    for seed in 0..rounds {
        kills += round(messages, seed).await;
    }
    eprintln!("{rounds} rounds, {messages} messages each, {kills} kills: 0 lost, 0 out of order, no gap");
}

/// An upstream broker that keeps what it has acknowledged: iogate's own.
async fn keeper(folder: &Path, port: u16) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iogate"));
    command.args(["broker", "--durability", "process", "--port", &port.to_string(), "--data"]).arg(folder);
    let process = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    until("the upstream broker", || TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
    process
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_broker_that_is_killed_again_and_again_misses_nothing() {
    let messages = setting("BRIDGE_KILL_MESSAGES", 2000);
    for seed in 0..setting("BRIDGE_UPSTREAM_KILLS", 2) {
        let version = if seed.is_multiple_of(2) { Version::V5 } else { Version::V311 };
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut upstream = keeper(folder.path(), port).await;
        // Its session outlasts the broker's ends; it comes back by itself.
        let session = ["-i", "consumer", "-c", "-x", "3600"];
        let mut consumer = Consumer::start_as(port, &["site/#"], &session, &[]).await;
        let site = Site::start(config(&format!("mqtt://127.0.0.1:{port}"), version));
        site.connected().await;
        let produce = publish(&site, messages, seed);
        let kills = async {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(random.u64(10..120))).await;
                upstream.kill().await.unwrap();
                upstream = keeper(folder.path(), port).await;
            }
        };
        let collect = async {
            let mut ledger = Ledger::default();
            while (ledger.len() as u64) < messages {
                let got = consumer.next().await;
                assert!(!got.topic.ends_with("/gap"), "{got:?}");
                ledger.note(&got.topic, got.payload.split(' ').next().unwrap().parse().unwrap());
            }
        };
        tokio::join!(produce, kills, collect);
        site.drained().await;
        let told = site.handle.snapshot();
        assert_eq!((told.acknowledged, told.gaps, told.dead_letters), (messages, 0, 0));
        eprintln!("seed {seed}: {messages} messages, {} connections", told.connections);
        site.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mosquitto_that_is_killed_is_sent_what_it_had_not_acknowledged() {
    let mut upstream = Mosquitto::start().await;
    let site = Site::start(config(&upstream.url(), Version::V5));
    let mut random = fastrand::Rng::with_seed(1);
    let mut numbers: BTreeMap<u64, ()> = BTreeMap::new();
    for round in 0..5 {
        // Whoever listens here sees what arrives between two kills; what Mosquitto had and lost is its own.
        let mut consumer = upstream.consumer(&["site/#"]).await;
        for number in round * 400..(round + 1) * 400 {
            site.publish("site/a", &number.to_string());
        }
        let part = random.usize(1..300);
        for got in consumer.take(part).await {
            numbers.insert(got.payload.parse().unwrap(), ());
        }
        upstream.kill().await;
        upstream.revive().await;
    }
    site.drained().await;
    let told = site.handle.snapshot();
    assert_eq!((told.acknowledged, told.queued, told.gaps, told.dead_letters), (2000, 0, 0, 0));
    assert!(told.connections >= 5 && !numbers.is_empty());
    site.stop().await;
}
