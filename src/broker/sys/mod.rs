//! `$SYS`: the broker's state as retained messages, under the names that Mosquitto's users know.
//!
//! Published only when a value changes. Absent: memory figures, which the web page's metrics have.
//! Invariant: the names and units are those of mosquitto(8); what they count is said in `docs/broker.md`.

mod load;

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::store::Report;
use super::{Broker, InvalidTopic, PublishOptions, QoS, Stats};
use load::Loads;

/// Root of all names.
const ROOT: &str = "$SYS/broker/";

/// What the broker calls itself.
const VERSION: &str = concat!("iogate ", env!("CARGO_PKG_VERSION"));

/// What is found by looking at every session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Census {
    connected: u64,
    total: u64,
    /// The most that `total` has been.
    maximum: u64,
    /// Messages that wait for clients.
    queued: u64,
}

impl Broker {
    /// Publishes `$SYS` every `sys-interval` until `shutdown` is cancelled; returns at once if that is 0.
    pub async fn publish_sys(&self, shutdown: CancellationToken) {
        let interval = self.core.config.sys_interval.0;
        if interval.is_zero() {
            return;
        }
        let start = Instant::now();
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut state = Publisher::new(self, start);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = shutdown.cancelled() => return,
            }
            if let Err(error) = state.publish(Instant::now()) {
                tracing::error!(%error, "a name below $SYS is no topic");
            }
        }
    }

    fn census(&self, before: Census) -> Census {
        let mut census = Census { maximum: before.maximum, ..Census::default() };
        for session in self.core.registry.all() {
            let state = super::sync::lock(&session.state);
            census.total += 1;
            census.connected += u64::from(state.link.is_some());
            census.queued += state.waiting().0 as u64;
        }
        census.maximum = census.maximum.max(census.total);
        census
    }
}

struct Publisher<'b> {
    broker: &'b Broker,
    publisher: super::LocalPublisher,
    start: Instant,
    last: Instant,
    census: Census,
    loads: Loads,
    /// What was published last, by name.
    known: HashMap<String, (super::TopicHandle, String)>,
}

impl<'b> Publisher<'b> {
    fn new(broker: &'b Broker, start: Instant) -> Self {
        let publisher = broker.publisher("$SYS");
        let (census, loads) = (Census::default(), Loads::new(&broker.stats()));
        Self { broker, publisher, start, last: start, census, loads, known: HashMap::new() }
    }

    /// Publishes what has changed.
    fn publish(&mut self, now: Instant) -> Result<(), InvalidTopic> {
        let stats = self.broker.stats();
        self.census = self.broker.census(self.census);
        self.loads.update(&stats, now - self.last);
        self.last = now;
        let mut values = values(&stats, self.census, now - self.start);
        self.loads.report(|name, value| values.push((name, value)));
        values.extend(self.broker.core.store.iter().flat_map(|store| log_values(&store.report())));
        let mut changed = Vec::new();
        for (name, value) in values {
            match self.known.get_mut(&name) {
                Some((_, known)) if *known == value => continue,
                Some((topic, known)) => {
                    changed.push((topic.clone(), value.clone()));
                    *known = value;
                }
                None => {
                    let topic = self.publisher.topic(&format!("{ROOT}{name}"))?;
                    changed.push((topic.clone(), value.clone()));
                    self.known.insert(name, (topic, value));
                }
            }
        }
        // Mosquitto's are of QoS 2, so that a subscriber decides.
        let options = PublishOptions { qos: QoS::ExactlyOnce, retain: true, ..PublishOptions::default() };
        let mut batch = self.publisher.batch();
        for (topic, value) in &changed {
            batch.publish(topic, value.as_bytes(), &options);
        }
        batch.commit();
        Ok(())
    }
}

/// Everything but the loads, without the root.
fn values(stats: &Stats, census: Census, uptime: Duration) -> Vec<(String, String)> {
    let stored = stats.retained + census.queued;
    let dropped = stats.dropped_queue_full + stats.dropped_too_large + stats.dropped_expired;
    let mut values = vec![
        ("version".to_owned(), VERSION.to_owned()),
        ("uptime".to_owned(), format!("{} seconds", uptime.as_secs())),
    ];
    let numbers = [
        ("clients/connected", census.connected),
        ("clients/active", census.connected),
        ("clients/disconnected", census.total - census.connected),
        ("clients/inactive", census.total - census.connected),
        ("clients/total", census.total),
        ("clients/maximum", census.maximum),
        ("clients/expired", stats.sessions_expired),
        ("messages/received", stats.packets_in),
        ("messages/sent", stats.packets_out + stats.messages_out),
        ("messages/stored", stored),
        ("store/messages/count", stored),
        ("store/messages/bytes", stats.retained_bytes),
        ("publish/messages/received", stats.messages_in),
        ("publish/messages/sent", stats.messages_out),
        ("publish/messages/dropped", dropped),
        ("publish/bytes/received", stats.payload_bytes_in),
        ("publish/bytes/sent", stats.payload_bytes_out),
        ("bytes/received", stats.bytes_in),
        ("bytes/sent", stats.bytes_out),
        ("retained messages/count", stats.retained),
        ("subscriptions/count", stats.subscriptions),
        ("shared_subscriptions/count", stats.shared_subscriptions),
    ];
    let numbers = numbers.into_iter().chain(refusals(stats));
    values.extend(numbers.map(|(name, number)| (name.to_owned(), number.to_string())));
    values
}

/// What limits and rules kept away. Mosquitto has no names for these.
fn refusals(stats: &Stats) -> [(&'static str, u64); 19] {
    [
        ("refused/connections", stats.connections_refused),
        ("refused/user-connections", stats.user_connections_refused),
        ("refused/connects", stats.connects_refused),
        ("refused/late-connects", stats.connects_late),
        ("refused/logins", stats.logins_refused),
        ("refused/sessions", stats.sessions_refused),
        ("refused/subscriptions", stats.subscriptions_refused),
        ("refused/publishes", stats.publishes_refused),
        ("refused/retained", stats.retained_refused),
        ("denied/subscriptions", stats.subscriptions_denied),
        ("denied/publishes", stats.publishes_denied),
        ("denied/messages", stats.withheld),
        ("dropped/queue-full", stats.dropped_queue_full),
        ("dropped/too-large", stats.dropped_too_large),
        ("dropped/expired", stats.dropped_expired),
        ("ended/protocol-errors", stats.protocol_errors),
        ("ended/packets-too-large", stats.packets_too_large),
        ("ended/keep-alive", stats.keep_alive_timeouts),
        ("slowed/publishers", stats.throttled),
    ]
}

/// How the log stands, and what it wrote. Mosquitto has no names for these.
fn log_values(log: &Report) -> Vec<(String, String)> {
    let Report { stats, message_bytes } = log;
    let state = match stats.trouble {
        0 => "ok",
        1 => "full",
        _ => "failing",
    };
    let numbers = [
        ("log/bytes", stats.bytes),
        ("log/waiting", stats.last.saturating_sub(stats.written)),
        ("log/records", stats.records),
        ("log/refused", stats.refused_full + stats.refused_failing + stats.refused_busy),
        ("log/syncs", stats.syncs),
        ("log/failures", stats.write_failures + stats.sync_failures),
        // What was to be written, by what it is about, and what was written for it.
        ("log/messages/bytes", *message_bytes),
        ("log/progress/bytes", stats.payload_bytes.saturating_sub(*message_bytes)),
        ("log/written/records", stats.bytes_written),
        ("log/written/snapshots", stats.snapshot_bytes_written),
        ("log/written/pages", stats.page_bytes_written),
    ];
    let mut values = vec![("log/state".to_owned(), state.to_owned())];
    values.extend(numbers.map(|(name, number)| (name.to_owned(), number.to_string())));
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_name_is_a_topic_of_its_own() {
        let mut names = values(&Stats::default(), Census::default(), Duration::ZERO);
        let mut loads = Loads::new(&Stats::default());
        loads.update(&Stats::default(), Duration::from_secs(10));
        loads.report(|name, value| names.push((name, value)));
        names.extend(log_values(&Report::default()));
        let topics: HashSet<_> = names.iter().map(|(name, _)| format!("{ROOT}{name}")).collect();
        assert_eq!(topics.len(), names.len());
        for topic in &topics {
            super::super::topic::check_name(topic).unwrap();
        }
    }
}
