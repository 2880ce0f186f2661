//! The `bridges:` map of the configuration.
//!
//! Absent: files and networks; what is named here is read and reached when the bridge connects. Invariant: a
//! [`Config`] without [`Config::problems`] can be run as it stands.

mod buffer;
mod fit;
mod login;
mod rule;
mod url;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

pub use buffer::{Backfill, Buffer, LiveFirst, OnFull, Rate};
pub use fit::{BatchConfig, Oversize};
pub use login::{Jwt, JwtAlgorithm, Sas, SecretFile, Tls, Token};
pub use rule::{Retain, Rule, RuleConfig};
pub use url::{Proxy, Scheme, Url};

use super::profile::{Limits, Profile};
use crate::journal::MAX_SYNC_INTERVAL;
use crate::model::units::{ByteSize, Period};

/// The client identifier when nothing is said: unique as long as no two gateways of a site share a host name.
pub const DEFAULT_CLIENT_ID: &str = "{site}-{host}-{bridge}";

/// The most rules of one direction.
const MAX_RULES: usize = 1_000;

/// One upstream broker: `{ url: "mqtts://broker.example.com:8883", forward: ["busan/factory/#"] }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Off leaves the bridge out.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Where the broker is: mqtt, mqtts, ws or wss.
    pub url: Url,
    /// Other addresses of the same broker, tried in turn when the one before does not answer.
    #[serde(default)]
    pub fallback: Vec<Url>,
    /// What kind of broker it is: sets limits, defaults and the form of topics.
    #[serde(default)]
    pub profile: Profile,
    /// Version of MQTT; the newest that the profile's broker speaks when nothing is said.
    #[serde(default)]
    pub version: Option<Version>,
    /// Client identifier. `{site}` (with `-` for `/`), `{host}` and `{bridge}` are filled in.
    #[serde(default = "default_client_id")]
    pub client_id: String,
    /// User name; `{site}`, `{host}`, `{bridge}` and `{client-id}` are filled in. The profile `azure-iot-hub` makes its own.
    #[serde(default)]
    pub user: Option<String>,
    /// Password, by the file that holds it.
    #[serde(default)]
    pub password: Option<SecretFile>,
    /// A token in the place of the password.
    #[serde(default)]
    pub token: Option<Token>,
    /// TLS of mqtts and wss. Without it, the server's certificate must lead to a root of the system.
    #[serde(default)]
    pub tls: Tls,
    /// An HTTP proxy that the connection goes through (CONNECT).
    #[serde(default)]
    pub proxy: Option<Proxy>,
    /// How often a silent link is probed; shorter where the broker asks for it.
    #[serde(default = "a_minute")]
    pub keep_alive: Period,
    /// How long an acknowledgement may take before the link counts as dead.
    #[serde(default = "default_ack_timeout")]
    pub ack_timeout: Period,
    /// Messages sent and not yet acknowledged; fewer where the broker asks for it.
    #[serde(default = "default_window")]
    #[schemars(range(min = 1, max = 10_000))]
    pub window: u16,
    /// What goes upstream: filters of local topics, or their long form.
    #[serde(default)]
    pub forward: Vec<Rule>,
    /// What comes from upstream: filters that are subscribed there, or their long form. Whoever may publish there can set outputs whose `…/set` topics match.
    #[serde(default)]
    pub accept: Vec<Rule>,
    /// How stream and number of a message are told, by which a consumer drops duplicates and sees gaps.
    #[serde(default)]
    pub sequence: SequenceMark,
    /// What waits while the broker cannot be reached.
    #[serde(default)]
    pub buffer: Buffer,
    /// What is sent first when it can be reached again.
    #[serde(default)]
    pub backfill: Backfill,
    /// Sends several messages as one, on `<site>/gateway/bridge/<name>/batch`; the more wait, the more go at once.
    #[serde(default)]
    pub batch: Option<BatchConfig>,
    /// What becomes of a message that is larger than the broker takes.
    #[serde(default)]
    pub oversize: Oversize,
    /// Limits that differ from the profile's.
    #[serde(default)]
    pub limits: LimitsConfig,
}

/// A version of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.
    V5,
}

/// How stream and number of a message are told upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SequenceMark {
    /// With MQTT 5 by the user properties `stream`, `seq` and `historical`; with 3.1.1 not at all.
    #[default]
    Properties,
    /// As fields `stream`, `seq` and `historical` of payloads that are JSON objects; other payloads stay as they are.
    Json,
    /// Not at all.
    Off,
}

/// Limits of the upstream broker, where they differ from those of the profile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LimitsConfig {
    /// Largest payload. What is larger goes to the dead-letter topic.
    pub payload: Option<ByteSize>,
    /// Bytes of a topic.
    pub topic_bytes: Option<u16>,
    /// Levels of a topic.
    pub topic_levels: Option<u16>,
    /// Messages per second.
    pub rate: Option<Rate>,
    /// Bytes of topics and payloads per second.
    pub bytes_per_second: Option<ByteSize>,
}

fn yes() -> bool {
    true
}

fn default_client_id() -> String {
    DEFAULT_CLIENT_ID.into()
}

fn a_minute() -> Period {
    Period::from_secs(60)
}

fn default_ack_timeout() -> Period {
    Period::from_secs(20)
}

fn default_window() -> u16 {
    100
}

impl Config {
    /// A bridge to this address with nothing else said.
    #[must_use]
    pub fn to(url: Url) -> Self {
        Self {
            enabled: true,
            url,
            fallback: Vec::new(),
            profile: Profile::default(),
            version: None,
            client_id: default_client_id(),
            user: None,
            password: None,
            token: None,
            tls: Tls::default(),
            proxy: None,
            keep_alive: a_minute(),
            ack_timeout: default_ack_timeout(),
            window: default_window(),
            forward: Vec::new(),
            accept: Vec::new(),
            sequence: SequenceMark::default(),
            buffer: Buffer::default(),
            backfill: Backfill::default(),
            batch: None,
            oversize: Oversize::default(),
            limits: LimitsConfig::default(),
        }
    }

    /// The version of MQTT that is spoken.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version.unwrap_or(self.profile.versions()[0])
    }

    /// The addresses, in the order in which they are tried.
    pub fn urls(&self) -> impl Iterator<Item = &Url> {
        std::iter::once(&self.url).chain(&self.fallback)
    }

    /// What the broker takes: the profile's limits, those of the configuration over them.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let (profile, own) = (self.profile.limits(), &self.limits);
        Limits {
            payload: own.payload.map_or(profile.payload, |size| size.0),
            topic_bytes: own.topic_bytes.map_or(profile.topic_bytes, usize::from),
            topic_levels: own.topic_levels.map_or(profile.topic_levels, usize::from),
            rate: own.rate.map(|rate| rate.0).or(profile.rate),
            bytes_rate: own.bytes_per_second.map(|size| size.0).or(profile.bytes_rate),
            ..profile
        }
    }

    /// What is wrong with the bridge, one sentence each, the key in front; empty when all is well.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        self.check_address(&mut problems);
        self.check_login(&mut problems);
        self.check_numbers(&mut problems);
        self.check_rules(&mut problems);
        problems
    }

    fn check_address(&self, problems: &mut Vec<String>) {
        let profile = self.profile.word();
        for url in self.urls() {
            if !self.profile.takes(url.scheme) {
                problems.push(format!("url: `{profile}` is reached by TLS only; use mqtts:// or wss://"));
            }
        }
        if self.tls != Tls::default() && !self.urls().any(|url| url.scheme.is_secure()) {
            problems.push(format!("tls: `{}` uses no TLS; write mqtts:// or wss://", self.url));
        }
        if let Some(version) = self.version.filter(|version| !self.profile.versions().contains(version)) {
            problems.push(format!("version: `{profile}` does not speak MQTT {}", version.word()));
        }
        problems.extend(self.tls.problems());
    }

    fn check_login(&self, problems: &mut Vec<String>) {
        let mut add = |text: &str| problems.push(text.to_owned());
        if self.password.is_some() && self.token.is_some() {
            add("token: it stands in the place of the password; give one of them");
        }
        let named = self.user.is_some() || self.profile == Profile::AzureIotHub;
        if self.password.is_some() && !named && self.version() == Version::V311 {
            add("user: MQTT 3.1.1 takes a password only with a user name");
        }
        for (key, text) in [("client-id", Some(&self.client_id)), ("user", self.user.as_ref())] {
            if let Some(why) = text.and_then(|text| template_problem(text, key)) {
                add(&format!("{key}: {why}"));
            }
        }
        if let Some(password) = &self.password {
            problems.extend(login::relative("password", &password.file));
        }
        problems.extend(self.token.iter().flat_map(Token::problems));
    }

    fn check_numbers(&self, problems: &mut Vec<String>) {
        let mut add = |text: String| problems.push(text);
        let longest = self.profile.longest_keep_alive().min(std::time::Duration::from_secs(65_535));
        if self.keep_alive < Period::from_secs(1) || self.keep_alive.0 > longest {
            add(format!("keep-alive: must be 1s … {}", Period(longest)));
        }
        if self.ack_timeout < Period::from_millis(100) || self.ack_timeout > Period::from_secs(3600) {
            add("ack-timeout: must be 100ms … 1h".into());
        }
        if !(1..=10_000).contains(&self.window) {
            add("window: must be 1 … 10000".into());
        }
        if self.buffer.size < ByteSize(64 << 10) {
            add("buffer: `size` must be at least 64KiB".into());
        }
        problems.extend(self.batch.iter().flat_map(BatchConfig::problems));
        if let Some(directory) = &self.buffer.directory {
            problems.extend(login::relative("buffer.directory", directory));
        }
        let mut add = |text: String| problems.push(text);
        if self.buffer.age < Period::from_secs(1) {
            add("buffer: `age` must be at least 1s".into());
        }
        if self.buffer.sync_interval.0 > MAX_SYNC_INTERVAL {
            add("buffer: `sync-interval` must be at most 1m".into());
        }
    }

    fn check_rules(&self, problems: &mut Vec<String>) {
        if self.forward.is_empty() && self.accept.is_empty() {
            problems.push(
                "forward: the bridge carries nothing; add `forward:` or `accept:`, such as [\"busan/#\"]"
                    .into(),
            );
        }
        for (key, rules) in [("forward", &self.forward), ("accept", &self.accept)] {
            if rules.len() > MAX_RULES {
                problems.push(format!("{key}: more than {MAX_RULES} rules"));
            }
            problems.extend(rules.iter().flat_map(|rule| rule.0.problems(key)));
        }
        let most = self.profile.limits().subscriptions;
        if self.accept.len() > most {
            problems.push(format!("accept: the broker takes {most} subscriptions"));
        }
    }
}

/// What is wrong with a text that holds `{…}`.
fn template_problem(text: &str, key: &str) -> Option<String> {
    let mut rest = text;
    if text.is_empty() {
        return Some("is empty".into());
    }
    while let Some((_, tail)) = rest.split_once('{') {
        let Some((name, tail)) = tail.split_once('}') else { return Some("a `{` without its `}`".into()) };
        let known = matches!(name, "site" | "host" | "bridge") || (key == "user" && name == "client-id");
        if !known {
            return Some(format!("`{{{name}}}` is not known; there are {{site}}, {{host}} and {{bridge}}"));
        }
        rest = tail;
    }
    None
}

impl Version {
    /// The version as people write it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::V311 => "3.1.1",
            Self::V5 => "5",
        }
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "5" | "5.0" => Ok(Self::V5),
            "3.1.1" => Ok(Self::V311),
            other => {
                Err(serde::de::Error::custom(format!("there is no MQTT version `{other}`; use 5 or 3.1.1")))
            }
        }
    }
}

impl JsonSchema for Version {
    fn schema_name() -> Cow<'static, str> {
        "MqttVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ["3.1.1", "5", 5], "description": "Version of MQTT: 5 or 3.1.1." })
    }
}

#[cfg(test)]
mod tests;
