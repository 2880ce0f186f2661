//! Mosquitto as the upstream broker, and its client as the consumer behind it.

use std::collections::{BTreeMap, VecDeque};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use iogate::bridge::config::{Rule, RuleConfig, Version};
use iogate::bridge::{Bridge, BridgeHandle, Config, State};
use iogate::broker::{self, Broker, PublishOptions, QoS};
use iogate::clock::Clock;
use iogate::model::Topic;
use iogate::model::units::Period;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

/// How long anything may take here before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A port that nobody uses at the moment: Mosquitto cannot choose one itself.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running Mosquitto.
pub(crate) struct Mosquitto {
    pub(crate) port: u16,
    pub(crate) folder: tempfile::TempDir,
    lines: String,
    process: Child,
}

impl Mosquitto {
    /// Anonymous, without limits on queues.
    pub(crate) async fn start() -> Self {
        Self::with("allow_anonymous true\n").await
    }

    /// With more lines of configuration, in which `DIR` stands for its folder.
    pub(crate) async fn with(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::within(folder, free_port(), lines).await
    }

    /// In a folder that holds what the lines refer to.
    pub(crate) async fn within(folder: tempfile::TempDir, port: u16, lines: &str) -> Self {
        let lines = lines.replace("DIR", folder.path().to_str().unwrap());
        let process = Self::spawn(folder.path(), port, &lines).await;
        Self { port, folder, lines, process }
    }

    async fn spawn(folder: &Path, port: u16, lines: &str) -> Child {
        let file = folder.join("mosquitto.conf");
        let common = "max_queued_messages 0\nmax_inflight_messages 0\npersistence false\nuser root\n";
        std::fs::write(&file, format!("listener {port} 127.0.0.1\n{common}{lines}")).unwrap();
        let process = Command::new(program("mosquitto"))
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // It opens its listeners one by one.
        let more = lines.lines().filter_map(|line| line.strip_prefix("listener ")?.split(' ').next());
        for port in more.map(|port| port.parse().unwrap()).chain([port]) {
            until("Mosquitto", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
        }
        process
    }

    /// Kills it.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// Starts it again.
    pub(crate) async fn revive(&mut self) {
        self.process = Self::spawn(self.folder.path(), self.port, &self.lines).await;
    }

    /// A consumer of these filters, once its subscriptions stand.
    pub(crate) async fn consumer(&self, filters: &[&str]) -> Consumer {
        Consumer::start(self.port, filters, &[]).await
    }

    /// Publishes to it from elsewhere.
    pub(crate) async fn publish(&self, topic: &str, message: &str, more: &[&str]) {
        let port = self.port.to_string();
        let args = ["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-m", message];
        let status = Command::new(program("mosquitto_pub")).args(args).args(more).status().await.unwrap();
        assert!(status.success());
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }
}

/// A program of the Debian packages.
pub(crate) fn program(name: &str) -> PathBuf {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/bin"];
    let found = places.iter().map(|place| Path::new(place).join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is missing: run `bash tests/peers.sh` first"))
}

/// mosquitto_sub: topic, payload and user properties of what it receives.
pub(crate) struct Consumer {
    lines: Lines<BufReader<ChildStdout>>,
    early: VecDeque<String>,
    _process: Child,
}

/// What a consumer received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) retained: bool,
}

impl Got {
    pub(crate) fn seq(&self) -> u64 {
        self.properties["seq"].parse().unwrap()
    }
}

impl Consumer {
    pub(crate) async fn start(port: u16, filters: &[&str], more: &[&str]) -> Self {
        Self::start_as(port, filters, &[], more).await
    }

    /// With arguments of its own, and others that every client of the broker needs.
    pub(crate) async fn start_as(port: u16, filters: &[&str], own: &[&str], more: &[&str]) -> Self {
        let mut command = Command::new(program("mosquitto_sub"));
        command.args([
            "-h",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-V",
            "mqttv5",
            "-q",
            "1",
            "-F",
            "%t|%r|%p|%P",
        ]);
        filters.iter().for_each(|filter| {
            command.args(["-t", filter]);
        });
        command.args(["-t", "consumer/ready"]).args(own).args(more);
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut consumer = Self { lines, early: VecDeque::new(), _process: process };
        consumer.settle(port, more).await;
        consumer
    }

    /// Waits until the subscriptions stand: a message that is sent again and again comes in.
    async fn settle(&mut self, port: u16, more: &[&str]) {
        let mut sender = Command::new(program("mosquitto_pub"));
        let port = port.to_string();
        sender.args(["-h", "127.0.0.1", "-p", &port, "-t", "consumer/ready", "-m", "", "--repeat", "100000"]);
        let mut sender =
            sender.args(["--repeat-delay", "0.02"]).args(more).kill_on_drop(true).spawn().unwrap();
        loop {
            let line = self.line().await;
            if line.starts_with("consumer/ready") {
                break;
            }
            // Retained messages come first.
            self.early.push_back(line);
        }
        sender.kill().await.unwrap();
    }

    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        line.expect("nothing came").unwrap().expect("the consumer ended")
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Got {
        loop {
            let line = match self.early.pop_front() {
                Some(line) => line,
                None => self.line().await,
            };
            let mut parts = line.splitn(4, '|').map(str::to_owned);
            let mut part = || parts.next().unwrap_or_default();
            let (topic, retained, payload, properties) = (part(), part() == "1", part(), part());
            if topic == "consumer/ready" {
                continue;
            }
            let pairs = properties.split(' ').filter_map(|pair| pair.split_once(':'));
            let properties = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            return Got { topic, payload, properties, retained };
        }
    }

    /// The next messages.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Got> {
        let mut got = Vec::with_capacity(count);
        while got.len() < count {
            got.push(self.next().await);
        }
        got
    }
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < end, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// QoS 1 and nothing else.
pub(crate) fn at_least_once() -> PublishOptions<'static> {
    PublishOptions { qos: QoS::AtLeastOnce, ..PublishOptions::default() }
}

/// A gateway's broker with one bridge.
pub(crate) struct Site {
    pub(crate) broker: Broker,
    pub(crate) handle: BridgeHandle,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// A bridge that forwards everything below `site` and connects again quickly.
pub(crate) fn config(url: &str, version: Version) -> Config {
    Config {
        version: Some(version),
        forward: vec![Rule(RuleConfig::of("site/#"))],
        ack_timeout: Period::from_millis(500),
        keep_alive: Period::from_secs(5),
        ..Config::to(url.parse().unwrap())
    }
}

impl Site {
    pub(crate) fn start(config: Config) -> Self {
        assert_eq!(config.problems(), Vec::<String>::new());
        Self::start_unchecked(config)
    }

    /// With a configuration that would not be let pass.
    pub(crate) fn start_unchecked(config: Config) -> Self {
        let broker = Broker::new(broker::Config::default());
        let site = Topic::new("site").unwrap();
        let bridge = Bridge::open("cloud", config, &site, &broker, Clock::system(), None).unwrap();
        let (handle, stop) = (bridge.handle(), CancellationToken::new());
        let task = tokio::spawn(bridge.run(stop.clone()));
        Self { broker, handle, stop, task }
    }

    pub(crate) async fn connected(&self) {
        let end = tokio::time::Instant::now() + PATIENCE;
        while self.handle.snapshot().state != State::Connected {
            assert!(tokio::time::Instant::now() < end, "no link: {:?}", self.handle.snapshot());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until everything is acknowledged upstream.
    pub(crate) async fn drained(&self) {
        until("the end of the queue", || self.handle.snapshot().queued == 0).await;
    }

    /// Publishes one message as a device would.
    pub(crate) fn publish(&self, topic: &str, payload: &str) {
        self.publish_as(topic, payload, &at_least_once());
    }

    pub(crate) fn publish_as(&self, topic: &str, payload: &str, options: &PublishOptions<'_>) {
        self.broker.publisher("device").publish(topic, payload.as_bytes(), options).unwrap();
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
        assert_eq!(self.handle.snapshot().state, State::Stopped);
    }
}
