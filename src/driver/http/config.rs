//! What people write about HTTP devices in the configuration.
//!
//! Every struct here is one section; unknown keys are refused by the loader, which knows the field names
//! from these types. No key means something else here than in another driver's sections, because points of
//! all drivers share one schema. Absent: anything that is common to all drivers.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::Secret;
use crate::model::units::{ByteSize, Period};

/// An HTTP device: `climate: { http: { address: 192.0.2.20 } }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpConfig {
    /// Host and port, such as `192.0.2.20` or `192.0.2.20:8080`. Without a port, 80; with `tls`, 443.
    pub address: String,
    /// Speak HTTPS.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Who the gateway is to the device.
    #[serde(default)]
    pub login: Option<LoginConfig>,
    /// How long a request and its whole answer may take.
    #[serde(default = "HttpConfig::default_timeout")]
    pub timeout: Period,
    /// How long to wait for the connection to stand.
    #[serde(default = "HttpConfig::default_connect_timeout")]
    pub connect_timeout: Period,
    /// A pause after every answer, for devices that need one.
    #[serde(default)]
    pub pause: Period,
    /// The largest answer that is taken in.
    #[serde(default = "HttpConfig::default_max_response")]
    pub max_response: ByteSize,
}

/// How the device proves who it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TlsConfig {
    /// A PEM file with the certificates that are trusted; those of the system when left out.
    pub ca: Option<PathBuf>,
}

/// A user of the device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LoginConfig {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// How the password is shown: `digest` never sends it; `basic` sends it with every request.
    #[serde(default)]
    pub scheme: Scheme,
}

/// How a password is shown to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// By a hash with the device's own challenge (RFC 7616, SHA-256 or MD5).
    #[default]
    Digest,
    /// As it is (RFC 7617).
    Basic,
}

/// What HTTP adds to a device's section.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DeviceConfig {
    /// Headers of every request to this device.
    pub headers: IndexMap<String, String>,
    /// A page that tells the model: a wrong device gives a warning that names both.
    pub identify: Option<IdentifyConfig>,
    /// The password of a W&T Web-IO, its parameter `PW=`; none when left out.
    pub wut_password: Option<Secret>,
    /// The terminals that a W&T Web-IO of this model has; another list in its `/portinfo` gives a warning.
    pub wut_ports: Option<PortsConfig>,
}

/// A page by which a device is known.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct IdentifyConfig {
    /// The page.
    pub page: String,
    /// A text that it holds where the device is the right one.
    pub contains: String,
}

/// How many terminals of each kind a W&T Web-IO has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PortsConfig {
    /// Analog inputs and sensors.
    pub analog_in: Option<u16>,
    /// Analog outputs.
    pub analog_out: Option<u16>,
    /// Digital inputs.
    pub digital_in: Option<u16>,
    /// Digital outputs and relays.
    pub digital_out: Option<u16>,
}

/// What HTTP adds to a point: a request in whose answer the value stands, or a terminal of a W&T Web-IO.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PointConfig {
    /// The path that is fetched, such as `/status?id=0`. Points with the same request share it.
    pub get: Option<String>,
    /// The path that `body` is posted to.
    pub post: Option<String>,
    /// What is posted.
    pub body: Option<String>,
    /// The media type of `body`, such as `application/json`.
    pub content_type: Option<String>,
    /// How the point is written.
    pub set: Option<SetConfig>,
    /// An analog input or sensor of a W&T Web-IO, counted from 1.
    pub analog_in: Option<u16>,
    /// An analog output of a W&T Web-IO, counted from 1.
    pub analog_out: Option<u16>,
    /// A digital input of a W&T Web-IO, counted from 0.
    pub digital_in: Option<u16>,
    /// A digital output of a W&T Web-IO, counted from 0.
    pub digital_out: Option<u16>,
    /// A counter of a W&T Web-IO, counted from 0.
    pub counter: Option<u16>,
}

/// How a point is written: a request in which `{value}` stands for the setpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SetConfig {
    /// The path that is fetched.
    pub get: Option<String>,
    /// The path that `body` is posted to.
    pub post: Option<String>,
    /// The path that `body` is put to.
    pub put: Option<String>,
    /// What is sent.
    pub body: Option<String>,
    /// The media type of `body`; `application/x-www-form-urlencoded` when left out.
    pub content_type: Option<String>,
    /// What `{value}` is for on; `on` when left out.
    pub on: Option<String>,
    /// What `{value}` is for off; `off` when left out.
    pub off: Option<String>,
    /// Write numbers with a decimal comma.
    pub decimal_comma: bool,
}

impl HttpConfig {
    const fn default_timeout() -> Period {
        Period::from_secs(3)
    }

    const fn default_connect_timeout() -> Period {
        Period::from_secs(3)
    }

    const fn default_max_response() -> ByteSize {
        ByteSize(64 << 10)
    }
}
