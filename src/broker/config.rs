//! The `broker:` section of the configuration.
//!
//! Every limit has a name, a safe default and a counter in [`Stats`](super::Stats). Without users
//! anybody who reaches a listener is served, so only this machine can reach one then.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::access::check_access_file;
use super::auth::check_file;
use super::auth::jwt::{self, BrokerJwt};
use super::codec::QoS;
use super::listen::{BrokerListener, with_cause};
use crate::journal::{Level, MAX_SYNC_INTERVAL};
use crate::model::units::{ByteSize, Period};

/// The embedded broker: `broker: { listen: 127.0.0.1:1883, max-packet: 1MiB }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Address and port that MQTT clients connect to. Without `password-file` it must be of this machine only.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// More listeners, by their names: other addresses, Unix sockets, TLS.
    pub listeners: IndexMap<String, BrokerListener>,
    /// File with the users and their hashed passwords, written by `iogate passwd`; Mosquitto's are read, too. With it,
    /// clients log in on every listener that is not `anonymous`. It is watched: a change counts at once.
    pub password_file: Option<PathBuf>,
    /// File with the rules who may read and write which topics. What no rule permits is refused; needed as soon as clients
    /// log in. It is watched: a change counts at once.
    pub access_file: Option<PathBuf>,
    /// Clients may log in with a signed token (JWT) in the place of the password; the user name may be left out then.
    pub jwt: Option<BrokerJwt>,
    /// Directory for what shall outlive the program: retained messages, and sessions with what waits for them. Without it
    /// everything ends with the program. It must not be shared with another one.
    pub data: Option<PathBuf>,
    /// What an acknowledgement promises, with `data`: `none`: nothing; `process`: it survives the end of the program in
    /// any way; `power`: it survives a power cut, too, for which every acknowledgement waits for the disk.
    pub durability: Level,
    /// Time between two syncs of the log, which spares the flash memory: at `power` acknowledgements wait so long at
    /// most; those of alarms and commands do not. With 0 a sync begins as soon as the last has ended.
    pub sync_interval: Period,
    /// Size of the log in `data`. When it is reached, messages that must be kept are refused.
    pub max_log_bytes: ByteSize,
    /// Largest packet accepted, its header included. A larger one ends the connection.
    pub max_packet: ByteSize,
    /// Connections at one time.
    pub max_connections: usize,
    /// Connections at one time from one address.
    pub max_connections_per_address: usize,
    /// Connections at one time of one user; clients that did not log in are not counted.
    pub max_connections_per_user: usize,
    /// How long a new connection may take to send its CONNECT.
    pub connect_timeout: Period,
    /// Longest keep-alive; MQTT 5 clients that ask for more, or for none, are told this one.
    pub max_keep_alive: Period,
    /// Sessions, connected or not.
    pub max_sessions: usize,
    /// How long the session of an absent client is kept at most.
    pub max_session_expiry: Period,
    /// Longest client identifier in bytes.
    pub max_client_id: usize,
    /// Subscriptions of one session.
    pub max_subscriptions: usize,
    /// Levels of a topic or filter.
    pub max_topic_levels: usize,
    /// Length of a topic or filter in bytes.
    pub max_topic_length: usize,
    /// Retained messages.
    pub max_retained: usize,
    /// Topics and payloads of all retained messages together.
    pub max_retained_bytes: ByteSize,
    /// QoS 1 and 2 messages that wait for one session.
    pub max_queue_messages: usize,
    /// Bytes that wait for one session: not yet sent, or sent and not yet acknowledged.
    pub max_queue_bytes: ByteSize,
    /// QoS 1 and 2 messages sent to one client and not yet acknowledged; a client may ask for fewer.
    pub max_inflight: u16,
    /// QoS 2 messages that one client may have unfinished.
    pub receive_maximum: u16,
    /// Topic aliases that one client may define.
    pub topic_alias_maximum: u16,
    /// Topic aliases that are used towards one client, if it takes as many.
    pub client_topic_aliases: u16,
    /// Highest QoS that is served: 0, 1 or 2. A lower one is told to MQTT 5 clients, which must keep to it.
    pub max_qos: u8,
    /// Messages per second that one client may publish; 0: as many as it likes. A client that is faster
    /// is read more slowly, and nothing is lost.
    pub max_publish_rate: u32,
    /// What MQTT 5 clients that ask for response information are told, with their client identifier
    /// behind it: `replies` gives `replies/<client-id>`. Without it they are told nothing.
    pub response_prefix: Option<String>,
    /// How often the `$SYS` topics are brought up to date; `0s`: there are none.
    pub sys_interval: Period,
    /// User properties of one message.
    pub max_user_properties: u32,
    /// From so many unsent bytes on, those who publish to a subscriber wait for it...
    pub pause_bytes: ByteSize,
    /// ...for so long; then it counts as slow: nobody waits for it, and what exceeds its queue is dropped.
    pub pause_grace: Period,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 1883)),
            listeners: IndexMap::new(),
            password_file: None,
            data: None,
            durability: Level::Process,
            sync_interval: Period::from_secs(0),
            max_log_bytes: ByteSize(1 << 30),
            access_file: None,
            jwt: None,
            max_packet: ByteSize(1 << 20),
            max_connections: 10_000,
            max_connections_per_address: 10_000,
            max_connections_per_user: 10_000,
            connect_timeout: Period::from_secs(10),
            max_keep_alive: Period::from_secs(65_535),
            max_sessions: 20_000,
            max_session_expiry: Period::from_secs(7 * 24 * 3600),
            max_client_id: 256,
            max_subscriptions: 1_000,
            max_topic_levels: 32,
            max_topic_length: 1_024,
            max_retained: 100_000,
            max_retained_bytes: ByteSize(64 << 20),
            max_queue_messages: 50_000,
            max_queue_bytes: ByteSize(8 << 20),
            max_inflight: 1_000,
            receive_maximum: 1_000,
            topic_alias_maximum: 64,
            client_topic_aliases: 32,
            max_qos: 2,
            max_publish_rate: 0,
            response_prefix: None,
            sys_interval: Period::from_secs(10),
            max_user_properties: 64,
            pause_bytes: ByteSize(256 << 10),
            pause_grace: Period::from_millis(500),
        }
    }
}

/// What is wrong with the limits that a listener has of its own.
fn limit_problems(name: &str, listener: &BrokerListener, logged: bool) -> Vec<String> {
    let packet = listener.max_packet.is_some_and(|size| !PACKETS.contains(&size.0));
    let qos = listener.max_qos.is_some_and(|qos| qos > 2);
    let durability = listener.durability.is_some_and(|level| level > Level::None) && !logged;
    [
        (packet, "max-packet: must lie between 256B and 256MiB"),
        (qos, "max-qos: must be 0, 1 or 2"),
        (durability, "durability: the broker has no `data`: say where its log is to lie"),
    ]
    .into_iter()
    .filter(|(wrong, _)| *wrong)
    .map(|(_, what)| format!("broker.listeners.{name}: {what}"))
    .collect()
}

impl Config {
    /// What is wrong with the section, one sentence each; empty when all is well.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, listener) in &self.listeners {
            problems.extend(listener.problems(name, self));
            problems.extend(limit_problems(name, listener, self.data.is_some()));
        }
        if self.listeners.contains_key(super::listen::PLAIN) {
            problems.push("broker.listeners: the name `listen` is taken by `broker.listen`".into());
        }
        problems.extend(self.jwt.iter().flat_map(BrokerJwt::problems));
        if self.password_file.is_none() && self.jwt.is_none() && !self.listen.ip().is_loopback() {
            problems.push(format!(
                "broker.listen: everybody who reaches {} could publish and subscribe; add `password-file` or `jwt`, or listen on 127.0.0.1",
                self.listen
            ));
        }
        if self.password_file.as_deref().is_some_and(|path| !path.is_absolute()) {
            problems.push("broker.password-file: must be an absolute path".into());
        }
        if self.access_file.as_deref().is_some_and(|path| !path.is_absolute()) {
            problems.push("broker.access-file: must be an absolute path".into());
        }
        if self.access_file.is_none() && self.authenticates() && !self.tokens_suffice() {
            problems.push(NO_RULES.into());
        }
        if self.data.as_deref().is_some_and(|path| !path.is_absolute()) {
            problems.push("broker.data: must be an absolute path".into());
        }
        if self.max_log_bytes.0 < 16 << 20 {
            problems.push("broker.max-log-bytes: must be at least 16MiB".into());
        }
        problems.extend(same_place(self));
        let mut positive = |name: &str, value: u64| {
            if value == 0 {
                problems.push(format!("broker.{name}: must be at least 1"));
            }
        };
        positive("max-connections", self.max_connections as u64);
        positive("max-connections-per-address", self.max_connections_per_address as u64);
        positive("max-connections-per-user", self.max_connections_per_user as u64);
        positive("max-sessions", self.max_sessions as u64);
        positive("max-client-id", self.max_client_id as u64);
        positive("max-subscriptions", self.max_subscriptions as u64);
        positive("max-topic-levels", self.max_topic_levels as u64);
        positive("max-topic-length", self.max_topic_length as u64);
        positive("max-inflight", self.max_inflight.into());
        positive("receive-maximum", self.receive_maximum.into());
        if self.max_topic_levels > 128 {
            problems.push("broker.max-topic-levels: at most 128".into());
        }
        if !PACKETS.contains(&self.max_packet.0) {
            problems.push("broker.max-packet: must lie between 256B and 256MiB".into());
        }
        if self.max_queue_bytes.0 < self.pause_bytes.0 {
            problems.push("broker.max-queue-bytes: must not be smaller than pause-bytes".into());
        }
        if self.max_qos > 2 {
            problems.push("broker.max-qos: must be 0, 1 or 2".into());
        }
        if let Some(Err(what)) = self.response_prefix.as_deref().map(super::topic::check_name) {
            problems.push(format!("broker.response-prefix: {what}"));
        }
        if self.sync_interval.0 > MAX_SYNC_INTERVAL {
            problems.push("broker.sync-interval: must be at most 1m".into());
        }
        if self.connect_timeout.0.is_zero() {
            problems.push("broker.connect-timeout: must be longer than 0s".into());
        }
        problems
    }

    /// Whether the broker can tell one client from another, by a password or a certificate.
    pub(super) fn authenticates(&self) -> bool {
        let certified = |listener: &BrokerListener| {
            listener.tls.as_ref().is_some_and(|tls| tls.require_client_cert || tls.identity.is_some())
        };
        self.password_file.is_some() || self.jwt.is_some() || self.listeners.values().any(certified)
    }

    /// Whether clients log in by tokens only, and those say what they may do.
    fn tokens_suffice(&self) -> bool {
        let grants = self.jwt.as_ref().is_some_and(BrokerJwt::grants);
        grants && !Self { jwt: None, ..self.clone() }.authenticates()
    }

    /// What is wrong with the files that the section names, one sentence each. Reads them.
    #[must_use]
    pub fn file_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(Err(error)) = self.password_file.as_deref().map(check_file) {
            problems.push(format!("broker.password-file: {}", with_cause(&error)));
        }
        if let Some(Err(error)) = self.access_file.as_deref().map(check_access_file) {
            problems.push(format!("broker.access-file: {}", with_cause(&error)));
        }
        if let Some(Err(error)) = self.jwt.as_ref().map(jwt::check_files) {
            problems.push(format!("broker.jwt: {}", with_cause(&error)));
        }
        for (name, listener) in &self.listeners {
            if let Err(error) = listener.check_files() {
                problems.push(format!("broker.listeners.{name}: {}", with_cause(&error)));
            }
        }
        problems
    }

    /// The longest keep-alive in whole seconds, as MQTT counts it.
    pub(super) fn max_keep_alive_secs(&self) -> u16 {
        u16::try_from(self.max_keep_alive.0.as_secs()).unwrap_or(u16::MAX).max(1)
    }

    /// The limit of a session's life, in seconds below the value that stands for "for ever".
    pub(super) fn max_session_expiry_secs(&self) -> u32 {
        u32::try_from(self.max_session_expiry.0.as_secs()).unwrap_or(u32::MAX - 1).min(u32::MAX - 1)
    }

    /// The highest QoS that is served.
    pub(super) fn highest_qos(&self) -> QoS {
        QoS::from_bits(self.max_qos).unwrap_or(QoS::ExactlyOnce)
    }

    /// How long publishers wait for one subscriber.
    pub(super) fn grace(&self) -> Duration {
        self.pause_grace.0
    }
}

/// What `max-packet` may be, in bytes.
const PACKETS: std::ops::RangeInclusive<u64> = 256..=(256 << 20);

/// Said when clients log in and nothing grants them anything.
const NO_RULES: &str = "broker.access-file: clients log in, and nothing says what they may do. This file lets all of them do everything; \
    name it as `access-file: /etc/iogate/access.yaml`:\neveryone:\n  read: [\"#\", $SYS/#]\n  write: [\"#\"]";

/// A sentence for every listener on the address of one before it.
fn same_place(config: &Config) -> Vec<String> {
    let mut taken = vec![config.listen];
    let mut problems = Vec::new();
    for (name, listener) in &config.listeners {
        let Some(address) = listener.address else { continue };
        if address.port() != 0 && taken.contains(&address) {
            problems
                .push(format!("broker.listeners.{name}: another listener has the address {address} already"));
        }
        taken.push(address);
    }
    problems
}

/// A configured size as a length in memory.
pub(super) fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_zeros_are_not() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let config = Config { max_sessions: 0, max_packet: ByteSize(1), ..Config::default() };
        assert_eq!(config.problems().len(), 2);
    }

    #[test]
    fn reads_what_a_person_writes_and_refuses_unknown_keys() {
        let config: Config = serde_yaml::from_str("{ listen: 127.0.0.1:0, max-packet: 2KiB }").unwrap();
        assert_eq!((config.listen.port(), config.max_packet), (0, ByteSize(2048)));
        assert!(serde_yaml::from_str::<Config>("{ max-paket: 2KiB }").is_err());
    }
}
