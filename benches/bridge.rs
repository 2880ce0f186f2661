//! Measures a bridge with its buffer on the disk, against a Mosquitto of this machine: memory with many queued messages,
//! how soon it resumes, how fast it drains, and what draining costs messages that are published meanwhile.
//!
//! `cargo bench --bench bridge [-- MESSAGES]`: a million unless told otherwise. Needs Linux and Mosquitto.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at once, and prints")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use iogate::bridge::config::{Backfill, LiveFirst, Rate, Rule, RuleConfig};
use iogate::bridge::{Bridge, BridgeHandle, Config, State};
use iogate::broker::{self, Broker, PublishOptions, QoS};
use iogate::clock::Clock;
use iogate::model::Topic;
use iogate::model::units::ByteSize;
use tokio_util::sync::CancellationToken;

/// Payload of a message, in bytes.
const PAYLOAD: usize = 100;

/// Messages are spread over so many topics.
const TOPICS: usize = 100;

/// Messages that are published at once.
const BATCH: usize = 1000;

/// Live messages per second while latency is measured.
const LIVE: u64 = 500;

/// For how long latency is measured without a backlog.
const BASELINE: Duration = Duration::from_secs(15);

/// Rates of backfill at which latency is measured, in messages per second.
const BACKFILL: [u32; 3] = [10_000, 20_000, 40_000];

/// A Mosquitto that ends with its handle.
struct Upstream {
    process: Child,
    spawned: Instant,
}

impl Upstream {
    fn start(address: SocketAddr, folder: &Path) -> Self {
        let file = folder.join("mosquitto.conf");
        let text = format!(
            "persistence false\nlog_dest none\nset_tcp_nodelay true\nallow_anonymous true\n\
             max_inflight_messages 0\nmax_queued_messages 0\nlistener {} {}\n",
            address.port(),
            address.ip()
        );
        std::fs::write(&file, text).unwrap();
        let programs = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"];
        let program = programs.iter().find(|path| Path::new(path).exists());
        let spawned = Instant::now();
        let mut command = Command::new(program.unwrap_or(&"mosquitto"));
        let process = command.arg("-c").arg(&file).stdout(Stdio::null()).spawn().unwrap();
        Self { process, spawned }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Resident memory of this process that no file is behind, in MB.
fn memory_mb() -> f64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap() * 1024.0 / 1e6
}

struct Site {
    broker: Broker,
    handle: BridgeHandle,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Site {
    fn start(upstream: SocketAddr, directory: &Path, backfill: Backfill, window: u16) -> Self {
        let mut config = Config::to(format!("mqtt://{upstream}").parse().unwrap());
        config.forward = vec![Rule(RuleConfig::of("site/#"))];
        config.buffer.directory = Some(directory.to_owned());
        config.buffer.size = ByteSize(4 << 30);
        (config.backfill, config.window) = (backfill, window);
        let (broker, clock) = (Broker::new(broker::Config::default()), Clock::system());
        let bridge =
            Bridge::open("cloud", config, &Topic::new("site").unwrap(), &broker, clock, None).unwrap();
        let (handle, stop) = (bridge.handle(), CancellationToken::new());
        let task = tokio::spawn(bridge.run(stop.clone()));
        Self { broker, handle, stop, task }
    }

    /// Publishes so many messages, no faster than the buffer takes them.
    async fn queue(&self, messages: usize) {
        let mut publisher = self.broker.publisher("device");
        let topics: Vec<_> =
            (0..TOPICS).map(|n| publisher.topic(&format!("site/old/{n}")).unwrap()).collect();
        let options = PublishOptions { qos: QoS::AtLeastOnce, ..PublishOptions::default() };
        for first in (0..messages).step_by(BATCH) {
            let mut batch = publisher.batch();
            for number in first..(first + BATCH).min(messages) {
                batch.publish(&topics[number % TOPICS], &[b'x'; PAYLOAD], &options);
            }
            batch.commit();
            publisher.kept().await.unwrap();
        }
    }

    async fn until(&self, what: &str, holds: impl Fn(&iogate::bridge::Snapshot) -> bool) {
        let end = Instant::now() + Duration::from_secs(600);
        while !holds(&self.handle.snapshot()) {
            assert!(Instant::now() < end, "{what} did not come: {:?}", self.handle.snapshot());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// Memory, resuming and draining.
async fn drain(messages: usize, window: u16) {
    let folder = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let site = Site::start(address, &folder.path().join("buffer"), Backfill::OldestFirst, window);
    // What any first messages cost is not what a queue costs.
    site.queue(50_000).await;
    let before = memory_mb();
    site.queue(messages).await;
    let more = memory_mb() - before;
    let queued = site.handle.snapshot();
    let upstream = Upstream::start(address, folder.path());
    while TcpStream::connect(address).is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let up = Instant::now();
    site.until("the first acknowledgement", |told| told.acknowledged > 0).await;
    let (resumed, since_start) = (up.elapsed(), upstream.spawned.elapsed());
    let (start, first) = (Instant::now(), site.handle.snapshot().acknowledged);
    site.until("the end of the queue", |told| told.queued == 0).await;
    let rate = (site.handle.snapshot().acknowledged - first) as f64 / start.elapsed().as_secs_f64();
    println!(
        "window {window}: {} queued ({:.0} MB in the log) cost {more:.1} MB of memory; resumed {:.0} ms after the \
         upstream broker listened ({:.0} ms after its start); drained {rate:.0} messages/s; at its end {:.1} MB more",
        queued.queued,
        queued.queued_bytes as f64 / 1e6,
        resumed.as_secs_f64() * 1e3,
        since_start.as_secs_f64() * 1e3,
        memory_mb() - before,
    );
    site.stop().await;
}

/// Receives on its own thread and notes how old each live message is.
struct Listener {
    latencies: std::thread::JoinHandle<Vec<f64>>,
    done: Arc<AtomicBool>,
    live: Arc<AtomicU64>,
}

impl Listener {
    fn start(address: SocketAddr, origin: Instant) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        stream.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01l").unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
        stream.write_all(b"\x82\x0e\0\x01\0\x09site/live\0").unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        let (done, live) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stop, count) = (Arc::clone(&done), Arc::clone(&live));
        let latencies = std::thread::spawn(move || {
            let (mut found, mut input, mut scratch) = (Vec::new(), Vec::new(), vec![0; 64 << 10]);
            while !stop.load(Relaxed) {
                let Ok(read) = stream.read(&mut scratch) else { continue };
                let now = origin.elapsed().as_nanos() as u64;
                input.extend_from_slice(&scratch[..read]);
                // PUBLISH at QoS 0 with one byte of length: 2 + 2 + 9 of topic, then the time.
                while input.len() >= 2 && input.len() >= 2 + usize::from(input[1]) {
                    let sent = u64::from_be_bytes(input[13..21].try_into().unwrap());
                    found.push((now - sent) as f64 / 1e6);
                    input.drain(..2 + usize::from(input[1]));
                    count.fetch_add(1, Relaxed);
                }
            }
            found
        });
        Self { latencies, done, live }
    }

    fn end(self) -> Vec<f64> {
        self.done.store(true, Relaxed);
        let mut found = self.latencies.join().unwrap();
        found.sort_by(f64::total_cmp);
        found
    }
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() as f64 * share) as usize).min(sorted.len() - 1)]
}

/// Publishes live messages with their time until told to stop.
async fn live(site: &Site, origin: Instant, stop: CancellationToken) -> u64 {
    let mut publisher = site.broker.publisher("device");
    let options = PublishOptions { qos: QoS::AtLeastOnce, ..PublishOptions::default() };
    let mut ticks = tokio::time::interval(Duration::from_nanos(1_000_000_000 / LIVE));
    let mut sent = 0;
    while !stop.is_cancelled() {
        ticks.tick().await;
        let now = origin.elapsed().as_nanos() as u64;
        publisher.publish("site/live", &now.to_be_bytes(), &options).unwrap();
        sent += 1;
    }
    sent
}

/// Live latency through the bridge, without a backlog and while one drains at a bounded rate.
async fn backfill(messages: usize, rate: u32) {
    let folder = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let live_first = Backfill::LiveFirst(LiveFirst { rate: Rate(rate) });
    let origin = Instant::now();
    let mut figures = Vec::new();
    for queued in [0, messages] {
        let directory = folder.path().join(queued.to_string());
        let site = Site::start(address, &directory, live_first, 100);
        site.queue(queued).await;
        let _upstream = Upstream::start(address, folder.path());
        site.until("the link", |told| told.state == State::Connected).await;
        let listener = Listener::start(address, origin);
        let stop = CancellationToken::new();
        let drained = async {
            let start = Instant::now();
            match queued {
                0 => tokio::time::sleep(BASELINE).await,
                _ => {
                    site.until("the end of the backlog", |told| {
                        told.acknowledged >= queued as u64 && told.queued < 1000
                    })
                    .await;
                }
            }
            stop.cancel();
            start.elapsed()
        };
        let (sent, took) = tokio::join!(live(&site, origin, stop.clone()), drained);
        let end = Instant::now() + Duration::from_secs(10);
        while listener.live.load(Relaxed) < sent && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let found = listener.end();
        assert_eq!(found.len() as u64, sent, "live messages are missing");
        figures.push((percentile(&found, 0.5), percentile(&found, 0.99), took, sent));
        site.stop().await;
    }
    let [(p50, p99, ..), (busy50, busy99, took, sent)] = figures[..] else { return };
    println!(
        "live-first at {rate}/s: {messages} drained in {:.1} s ({:.0}/s) beside {sent} live messages; live p50/p99 \
         {busy50:.2}/{busy99:.2} ms, without a backlog {p50:.2}/{p99:.2} ms: p99 {:.2} times",
        took.as_secs_f64(),
        messages as f64 / took.as_secs_f64(),
        busy99 / p99,
    );
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let messages = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    for window in [100, 1000] {
        drain(messages, window).await;
    }
    for rate in BACKFILL {
        backfill(messages, rate).await;
    }
}
