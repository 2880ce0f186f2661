//! Addresses of upstream brokers and proxies as people write them: `mqtts://broker.example.com:8883`.
//!
//! Absent: name resolution, user names and passwords inside an address (they would stand in a file that everybody
//! reads). Invariant: what is printed reads back as the same address.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// What carries MQTT to the upstream broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// TCP without TLS; port 1883.
    Mqtt,
    /// TCP with TLS; port 8883.
    Mqtts,
    /// WebSocket; port 80.
    Ws,
    /// WebSocket with TLS; port 443.
    Wss,
}

impl Scheme {
    const ALL: [Self; 4] = [Self::Mqtt, Self::Mqtts, Self::Ws, Self::Wss];

    /// The word before `://`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// The port when none is written.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Mqtt => 1883,
            Self::Mqtts => 8883,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Mqtts | Self::Wss)
    }

    /// Whether MQTT travels in WebSocket frames.
    #[must_use]
    pub const fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

/// Where an upstream broker is: scheme, host, port, and for WebSocket a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    /// What carries MQTT.
    pub scheme: Scheme,
    /// Host name or address; an IPv6 address without its brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Path of the WebSocket, beginning with `/`; empty for the others.
    pub path: String,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no address of a broker; write mqtts://broker.example.com:8883 (mqtt, mqtts, ws or wss)"
            )
        };
        let (word, rest) = text.split_once("://").ok_or_else(wrong)?;
        let scheme = Scheme::ALL.into_iter().find(|scheme| scheme.word() == word).ok_or_else(wrong)?;
        let (place, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        no_login(place)?;
        let (host, port) =
            host_and_port(place, scheme.default_port()).map_err(|why| format!("`{text}`: {why}"))?;
        let path = match (scheme.is_websocket(), path) {
            (true, "" | "/") => "/mqtt".to_owned(),
            (true, path) if path.bytes().all(|byte| byte.is_ascii_graphic()) => path.to_owned(),
            (false, "" | "/") => String::new(),
            (true, _) => return Err(format!("`{text}`: the path holds a blank or a letter outside ASCII")),
            (false, _) => return Err(format!("`{text}`: a path belongs to ws and wss only")),
        };
        Ok(Self { scheme, host, port, path })
    }
}

/// Refuses an address with a login, and does not repeat it.
fn no_login(place: &str) -> Result<(), String> {
    match place.contains('@') {
        true => Err("user and password stand at keys of their own, not in the address".into()),
        false => Ok(()),
    }
}

/// Splits `host:port`, `[::1]:port` or `host`.
fn host_and_port(place: &str, default: u16) -> Result<(String, u16), String> {
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').or((!rest.is_empty()).then_some(""))),
        None => place.rsplit_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if host.is_empty() || !host.chars().all(plain) || (host.contains(':') && !place.starts_with('[')) {
        return Err("the host must be a name or an address (an IPv6 address in brackets)".into());
    }
    let port = match port {
        None => default,
        Some(text) => text.parse().ok().filter(|port| *port != 0).ok_or("the port must be 1 … 65535")?,
    };
    Ok((host.to_owned(), port))
}

fn write_place(f: &mut fmt::Formatter<'_>, scheme: &str, host: &str, port: u16) -> fmt::Result {
    match host.contains(':') {
        true => write!(f, "{scheme}://[{host}]:{port}"),
        false => write!(f, "{scheme}://{host}:{port}"),
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, self.scheme.word(), &self.host, self.port)?;
        f.write_str(&self.path)
    }
}

/// An HTTP proxy that passes connections on when asked by CONNECT: `http://192.0.2.8:3128`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl FromStr for Proxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        let rest = rest.filter(|rest| !rest.contains('/'));
        let rest = rest.ok_or_else(|| format!("`{text}` is no proxy; write http://192.0.2.8:3128"))?;
        no_login(rest)?;
        let (host, port) = host_and_port(rest, 3128).map_err(|why| format!("`{text}`: {why}"))?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, "http", &self.host, self.port)
    }
}

macro_rules! read_from_text {
    ($type:ty, $name:literal, $pattern:literal, $description:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $description })
            }
        }
    };
}

pub(super) use read_from_text;

read_from_text!(
    Url,
    "BrokerUrl",
    r"^(mqtts?|wss?)://[^\s@]+$",
    "Address of a broker: mqtt://, mqtts://, ws:// or wss://, host, port and for WebSocket a path."
);
read_from_text!(
    Proxy,
    "ProxyUrl",
    r"^http://[^\s/@]+/?$",
    "Address of an HTTP proxy, such as http://192.0.2.8:3128."
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_read_as_written() {
        for (text, printed) in [
            ("mqtt://broker.example.com", "mqtt://broker.example.com:1883"),
            ("mqtts://192.0.2.1:443/", "mqtts://192.0.2.1:443"),
            ("wss://a.example.com", "wss://a.example.com:443/mqtt"),
            ("ws://[::1]:8080/x/y", "ws://[::1]:8080/x/y"),
        ] {
            assert_eq!(text.parse::<Url>().unwrap().to_string(), printed);
        }
        assert_eq!("http://192.0.2.8/".parse::<Proxy>().unwrap().to_string(), "http://192.0.2.8:3128");
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_reason() {
        for (text, why) in [
            ("broker.example.com", "mqtts://"),
            ("tcp://a", "mqtts://"),
            ("mqtt://user:word@a", "keys of their own"),
            ("mqtt://", "host"),
            ("mqtt://::1:1883", "brackets"),
            ("mqtt://a:0", "1 … 65535"),
            ("mqtt://[::1]x", "1 … 65535"),
            ("mqtt://a/path", "ws and wss"),
            ("ws://a/a b", "blank"),
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        for text in ["https://a", "http://a/b", "http://u@a"] {
            assert!(text.parse::<Proxy>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(host in "[a-z0-9]{1,8}(\\.[a-z]{1,3})?", port in 1u16.., kind in 0usize..4) {
            let scheme = Scheme::ALL[kind];
            let path = if scheme.is_websocket() { "/p".to_owned() } else { String::new() };
            let url = Url { scheme, host, port, path };
            prop_assert_eq!(url.to_string().parse(), Ok(url));
        }

        #[test]
        fn no_text_panics(text in "(mqtts?://|wss?://)?[a\\[\\]:@/1-9]*|.*") {
            let _ = (text.parse::<Url>(), text.parse::<Proxy>());
        }
    }
}
