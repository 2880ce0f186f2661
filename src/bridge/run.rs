//! A bridge at work: connects, carries messages, pauses after failures, and tells how it stands.
//!
//! Absent: what is sent and how answers are taken (`pump`, `link`). Invariant: the task ends only when it is told to;
//! whatever the network does, it tries again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::backlog::{self, Backlog, BufferError};
use super::client::dial::dial;
use super::client::error::LinkError;
use super::client::packet::Hello;
use super::config::{Config, Url};
use super::deadletter::DeadLetters;
use super::downlink::{Downlink, MAX_PACKET};
use super::intake::Intake;
use super::link::{Ended, Link, Manner};
use super::mapping::Mapping;
use super::names::Names;
use super::prepare::Preparer;
use super::pump::{Make, Pump, wire};
use super::status::{Snapshot, State, Status};
use crate::backoff::Backoff;
use crate::broker::{Broker, InvalidTopic, LocalPublisher, PublishOptions, QoS, TapHandle};
use crate::clock::Clock;
use crate::model::Topic;

/// Pauses between attempts: short, so that messages flow again within a second of the broker's return.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(900));

/// The longest pause when somebody must change something first.
const LONG_PAUSE: Duration = Duration::from_secs(30);

/// How often the status is published.
const STATUS_PERIOD: Duration = Duration::from_secs(5);

/// Messages from upstream that may be unacknowledged.
const RECEIVE_MAXIMUM: u16 = 100;

/// Why a bridge cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// A rule's filter is none.
    #[error("a rule cannot be used: {0}")]
    Rule(#[from] InvalidTopic),
    /// The buffer cannot be opened.
    #[error("the buffer of the bridge `{bridge}` cannot be opened")]
    Buffer {
        /// The bridge.
        bridge: String,
        /// Why.
        source: BufferError,
    },
}

/// A bridge, ready to run.
pub struct Bridge {
    config: Config,
    names: Names,
    clock: Clock,
    pump: Pump,
    handle: BridgeHandle,
    publisher: Option<LocalPublisher>,
    topics: StatusTopics,
    intake: Arc<Intake>,
    /// Takes messages in for as long as the bridge exists.
    _tap: TapHandle,
}

/// Where a bridge tells how it stands.
#[derive(Default)]
struct StatusTopics {
    site: String,
    sys: String,
    /// As Mosquitto tells it of its bridges: `1` or `0`.
    connection: String,
}

impl StatusTopics {
    fn new(name: &str, site: String) -> Self {
        let sys = format!("$SYS/broker/bridge/{name}");
        Self { site, sys, connection: format!("$SYS/broker/connection/{name}/state") }
    }
}

/// Tells how a bridge stands. Cheap to clone.
#[derive(Clone)]
pub struct BridgeHandle {
    name: Arc<str>,
    status: Arc<Status>,
    backlog: Arc<dyn Backlog>,
    clock: Clock,
    url: Arc<str>,
    capacity: u64,
}

impl BridgeHandle {
    /// The address that is tried first.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many bytes may wait.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The bridge's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it stands now.
    ///
    /// May read a little from the disk.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now_us = self.clock.stamp().unix_us;
        self.status.snapshot(self.backlog.stream(), self.backlog.depth(), now_us)
    }
}

impl Bridge {
    /// A bridge whose buffer lies in the directory that its configuration names, else in `bridges/<name>` of the state
    /// directory, else in memory.
    ///
    /// # Errors
    /// The buffer cannot be opened.
    pub fn open(
        name: &str,
        config: Config,
        site: &Topic,
        broker: &Broker,
        clock: Clock,
        state: Option<&Path>,
    ) -> Result<Self, BridgeError> {
        let directory = config.buffer.directory.clone();
        let directory = directory.or_else(|| Some(state?.join("bridges").join(name)));
        let backlog = backlog::open(directory.as_deref(), &config.buffer, &clock)
            .map_err(|source| BridgeError::Buffer { bridge: name.to_owned(), source })?;
        Ok(Self::new(name, config, site, broker, clock, backlog)?)
    }

    /// Wires a bridge to the broker. From here on messages are taken in, whether or not it runs.
    ///
    /// # Errors
    /// A rule's filter is none.
    fn new(
        name: &str,
        config: Config,
        site: &Topic,
        broker: &Broker,
        clock: Clock,
        backlog: Arc<dyn Backlog>,
    ) -> Result<Self, InvalidTopic> {
        let origin: Arc<str> = format!("bridge/{name}").into();
        let own = format!("{site}/gateway/bridge/{name}");
        let names = Names::new(site.as_str(), name);
        let status = Arc::new(Status::default());
        let mapping = Mapping::new(&config);
        let stream = backlog.stream();
        let intake = Arc::new(Intake::new(
            Arc::clone(&backlog),
            Arc::clone(&origin),
            config.buffer.on_full,
            clock.clone(),
            Arc::clone(&status),
        ));
        let filters: Vec<&str> = mapping.local_filters().collect();
        // A stream that begins starts with what is known already.
        let tap = broker.tap(&filters, intake.clone(), backlog.end().seq == 1)?;
        let client_id = names.client_id(&config);
        let preparer = Preparer::new(&config, mapping.clone(), stream, &client_id, &own);
        let letters =
            DeadLetters { publisher: broker.publisher(&origin), topic: format!("{own}/dead-letter"), stream };
        let pump = Pump::new(Make {
            config: &config,
            backlog: Arc::clone(&backlog),
            preparer,
            downlink: Downlink::new(&config, mapping, broker, &origin),
            letters,
            status: Arc::clone(&status),
        });
        let (url, capacity) = (config.url.to_string().into(), config.buffer.size.0);
        let handle = BridgeHandle { name: name.into(), status, backlog, clock: clock.clone(), url, capacity };
        let publisher = Some(broker.publisher(&origin));
        Ok(Self {
            config,
            names,
            clock,
            pump,
            handle,
            publisher,
            topics: StatusTopics::new(name, own),
            intake,
            _tap: tap,
        })
    }

    /// Tells how the bridge stands, while it runs and after.
    #[must_use]
    pub fn handle(&self) -> BridgeHandle {
        self.handle.clone()
    }

    /// Carries messages until it is stopped.
    pub async fn run(mut self, stop: CancellationToken) {
        let (handle, intake) = (self.handle(), Arc::clone(&self.intake));
        let (topics, publisher) = (std::mem::take(&mut self.topics), self.publisher.take());
        let told = async {
            match publisher {
                Some(publisher) => tell(handle.clone(), publisher, topics, intake).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.carry(&stop) => {}
            () = told => {}
        }
        self.intake.declare();
        handle.status.enter(State::Stopped, self.clock.stamp().unix_us);
    }

    async fn carry(&mut self, stop: &CancellationToken) {
        let urls: Vec<Url> = self.config.urls().cloned().collect();
        let mut short = Backoff::new(PAUSE.0, PAUSE.1);
        let mut long = Backoff::new(PAUSE.1, LONG_PAUSE);
        let status = Arc::clone(&self.pump.status);
        let connect_every = self.config.limits().connect_every;
        for url in urls.iter().cycle() {
            if stop.is_cancelled() {
                return;
            }
            status.enter(State::Connecting, self.clock.stamp().unix_us);
            let (begun, before) = (self.clock.mono(), status.acknowledged.get() + status.accepted.get());
            let ended = tokio::select! {
                ended = self.connection(url, stop) => ended,
                // A link that is up ends in order by itself.
                () = stop_while_connecting(stop, &status) => return,
            };
            let mut pause = match ended {
                Ok(Ended::Stopped) => return,
                Ok(Ended::Renew) => Duration::ZERO,
                Err(error) => {
                    if status.acknowledged.get() + status.accepted.get() > before {
                        short.reset();
                        long.reset();
                    }
                    if status.failed(error.to_string()) {
                        tracing::warn!(bridge = &*self.handle.name, url = %url, reason = %error, "the link upstream is down");
                    }
                    let backoff = if error.needs_somebody() { &mut long } else { &mut short };
                    backoff.pause(fastrand::f64())
                }
            };
            pause = pause.max((begun + connect_every).saturating_duration_since(self.clock.mono()));
            if pause.is_zero() {
                continue;
            }
            status.enter(State::Waiting, self.clock.stamp().unix_us);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One connection from its beginning to its end.
    async fn connection(&mut self, url: &Url, stop: &CancellationToken) -> Result<Ended, LinkError> {
        let (hello, renew_after) = hello(&self.names, &self.config, url, &self.clock).await?;
        let stream = dial(&self.config, url, &mut |_, _| {}).await?;
        let link = Link::open(stream, wire(self.config.version()), &hello).await?;
        self.pump.connected(&link.welcome);
        self.pump.status.connections.add(1);
        self.pump.status.enter(State::Connected, self.clock.stamp().unix_us);
        tracing::info!(bridge = &*self.handle.name, url = %url, "the link upstream is up");
        let manner = Manner {
            clock: &self.clock,
            keep_alive: self.config.keep_alive.0,
            ack_timeout: self.config.ack_timeout.0,
            filters_at_once: self.config.limits().filters_at_once,
            renew_after,
            stop,
        };
        link.run(&mut self.pump, &manner).await
    }
}

/// Ends when the bridge is stopped before the broker has let it in.
async fn stop_while_connecting(stop: &CancellationToken, status: &Status) {
    stop.cancelled().await;
    if status.is(State::Connected) {
        std::future::pending::<()>().await;
    }
}

/// What is said at the beginning of a connection, and when its token must be renewed.
pub(crate) async fn hello(
    names: &Names,
    config: &Config,
    url: &Url,
    clock: &Clock,
) -> Result<(Hello, Option<Duration>), LinkError> {
    let now_s = u64::try_from(clock.stamp().unix_us / 1_000_000).unwrap_or_default();
    let client_id = names.client_id(config);
    let (names, asked, place) = (names.clone(), config.clone(), url.clone());
    let login = tokio::task::spawn_blocking(move || names.login(&asked, &place, now_s)).await;
    let login = login.map_err(|error| LinkError::Protocol { what: error.to_string() })??;
    let hello = Hello {
        client_id,
        user: login.user,
        password: login.password,
        keep_alive_s: u16::try_from(config.keep_alive.0.as_secs()).unwrap_or(u16::MAX),
        max_packet: MAX_PACKET as u32,
        receive_maximum: RECEIVE_MAXIMUM,
    };
    Ok((hello, login.renew_after))
}

/// Publishes how the bridge stands, when it changes and now and then.
async fn tell(
    handle: BridgeHandle,
    mut publisher: LocalPublisher,
    topics: StatusTopics,
    intake: Arc<Intake>,
) {
    let mut ticks = tokio::time::interval(STATUS_PERIOD);
    let mut last = None;
    let options = PublishOptions { qos: QoS::AtLeastOnce, retain: true, ..PublishOptions::default() };
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = handle.status.changed.notified() => {}
        }
        intake.declare();
        handle.status.measure(handle.clock.mono());
        let backlog = Arc::clone(&handle.backlog);
        // It may wait for the disk.
        if tokio::task::spawn_blocking(move || backlog.maintain()).await.is_err() {
            tracing::error!(bridge = handle.name(), "the buffer cannot be tidied up");
        }
        let snapshot = handle.snapshot();
        if last.as_ref() == Some(&snapshot) {
            continue;
        }
        let connected = if snapshot.state == State::Connected { "1" } else { "0" };
        let body = serde_json::to_vec(&snapshot).unwrap_or_default();
        let places =
            [(&topics.site, &*body), (&topics.sys, &*body), (&topics.connection, connected.as_bytes())];
        for (topic, body) in places {
            if let Err(error) = publisher.publish(topic, body, &options) {
                tracing::error!(%error, topic, "the status of a bridge cannot be published");
            }
        }
        last = Some(snapshot);
    }
}
