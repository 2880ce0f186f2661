//! What people write about SNMP agents in the configuration.
//!
//! Every struct here is one section; unknown keys are refused by the loader. No key means something else here
//! than in another driver's sections. Absent: what is made of a value (`text::config`).

use schemars::JsonSchema;
use serde::Deserialize;

use super::syntax::Syntax;
use crate::model::Secret;
use crate::model::units::Period;

/// An SNMP agent: `ups: { snmp: { address: 192.0.2.40, community: file:/etc/iogate/ups } }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SnmpConfig {
    /// Host and port, such as `192.0.2.40`. Without a port, 161.
    pub address: String,
    /// The version: `v1`, `v2c` or `v3`. With `user`, `v3`; otherwise `v2c` when left out.
    #[serde(default)]
    pub version: Option<Version>,
    /// The community of versions 1 and 2c, which is sent as it is; `public` when left out.
    #[serde(default)]
    pub community: Option<Secret>,
    /// The community for writes with versions 1 and 2c; `community` when left out.
    #[serde(default)]
    pub write_community: Option<Secret>,
    /// The user of version 3.
    #[serde(default)]
    pub user: Option<UserConfig>,
    /// How long to wait for each answer.
    #[serde(default = "SnmpConfig::default_timeout")]
    pub timeout: Period,
    /// How often a request that got no answer is sent again: UDP may lose it. A write is never sent again.
    #[serde(default = "SnmpConfig::default_retries")]
    pub retries: u8,
    /// How many objects are asked for at once. An agent for which that is too much is asked for fewer.
    #[serde(default = "SnmpConfig::default_max_objects")]
    pub max_objects: u16,
}

/// A version of SNMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "SnmpVersion")]
pub enum Version {
    /// SNMP version 1 (RFC 1157).
    #[serde(rename = "v1")]
    V1,
    /// SNMP version 2c (RFC 1901, RFC 3416).
    #[serde(rename = "v2c")]
    V2c,
    /// SNMP version 3 with the user-based security model (RFC 3414).
    #[serde(rename = "v3")]
    V3,
}

impl Version {
    /// As it is written.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2c => "v2c",
            Self::V3 => "v3",
        }
    }
}

/// Who the gateway is to an agent of version 3, and how that is proved.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "SnmpUser")]
pub struct UserConfig {
    /// The user's name.
    pub name: String,
    /// The password that messages are authenticated with, of 8 characters or more; without it, nothing is
    /// authenticated.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The hash that authenticates: `sha256` (RFC 7860), `sha512`, `sha1` or `md5` (RFC 3414).
    #[serde(default)]
    pub auth: AuthHash,
    /// The password that messages are encrypted with, of 8 characters or more; without it, nothing is encrypted.
    #[serde(default)]
    pub privacy_password: Option<Secret>,
    /// How messages are encrypted: `aes128` (RFC 3826), `aes256` (as Cisco and net-snmp do) or `des` (RFC 3414).
    #[serde(default)]
    pub privacy: Cipher,
    /// The context; the agent's own when left out.
    #[serde(default)]
    pub context: Option<String>,
}

/// A hash that authenticates messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "SnmpAuth")]
pub enum AuthHash {
    /// HMAC-192-SHA-256 (RFC 7860).
    #[default]
    Sha256,
    /// HMAC-384-SHA-512 (RFC 7860).
    Sha512,
    /// HMAC-SHA-96 (RFC 3414).
    Sha1,
    /// HMAC-MD5-96 (RFC 3414).
    Md5,
}

/// A cipher for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "SnmpPrivacy")]
pub enum Cipher {
    /// AES-128 in CFB mode (RFC 3826).
    #[default]
    Aes128,
    /// AES-256 in CFB mode, with the key extension of Cisco's devices.
    Aes256,
    /// DES in CBC mode (RFC 3414), for old devices.
    Des,
}

/// What SNMP adds to a device's section.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(rename = "SnmpDevice")]
pub struct DeviceConfig {
    /// The password that items of an SNMP device's `write-session` and `write-session-end` without a `value` are set to.
    pub write_password: Option<Secret>,
    /// What an SNMP device wants to be set before every write, one object after the other, such as a password. When
    /// one of them fails, the write is not sent.
    pub write_session: Vec<SessionItem>,
    /// What is set after every write, one object after the other. A failure is logged; the write stands.
    pub write_session_end: Vec<SessionItem>,
}

/// An object that is set around writes.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "SnmpSessionItem")]
pub struct SessionItem {
    /// The number of the instance.
    pub oid: String,
    /// What it is set to; the device's `write-password` when left out.
    #[serde(default)]
    pub value: Option<Secret>,
    /// The type of the object; `text` when left out.
    #[serde(default, rename = "type")]
    pub syntax: Syntax,
}

/// What SNMP adds to a point.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(rename = "SnmpPoint")]
pub struct PointConfig {
    /// The number of an instance, such as `1.3.6.1.2.1.33.1.2.4.0`.
    pub oid: Option<String>,
    /// For counters: `total` of what has been counted, over their ends and the agent's restarts, or the `rate`
    /// per second. The raw count when left out.
    pub counts: Option<Counter>,
    /// The type of the object that is set; that of the object as it was read when left out. A point that is only
    /// written, or is set elsewhere (`set-oid`), needs it.
    pub snmp_type: Option<Syntax>,
    /// The number of the instance that is set, where it is another one than `oid`.
    pub set_oid: Option<String>,
}

/// What of a counter is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "SnmpCounts")]
pub enum Counter {
    /// All that has been counted since the first reading.
    Total,
    /// How much is counted in a second.
    Rate,
}

impl SnmpConfig {
    const fn default_timeout() -> Period {
        Period::from_secs(1)
    }

    const fn default_retries() -> u8 {
        1
    }

    const fn default_max_objects() -> u16 {
        16
    }

    /// The version that is spoken.
    #[must_use]
    pub fn spoken(&self) -> Version {
        let usual = if self.user.is_some() { Version::V3 } else { Version::V2c };
        self.version.unwrap_or(usual)
    }
}
