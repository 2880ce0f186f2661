//! The section `web` of the configuration.
//!
//! Absent: users and TLS. Until there are users, only a loopback page may send commands unless the
//! configuration says otherwise in so many words.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the page listens when the configuration does not say.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// How many live streams may be open at once when the configuration does not say.
pub const DEFAULT_MAX_STREAMS: u16 = 32;

/// The local web page and its API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// Whether there is a page at all.
    pub enabled: bool,
    /// Address and port to listen on. A loopback address keeps the page on this machine.
    pub listen: SocketAddr,
    /// Whether commands may be sent from the page. Without it: only when `listen` is a loopback address.
    pub control: Option<bool>,
    /// Further host names by which browsers may reach the page, for example behind a reverse proxy. Once
    /// one is named, or when `listen` is a loopback address, requests for other host names are refused.
    pub hosts: Vec<String>,
    /// How many live streams (open pages) there may be at once.
    pub max_streams: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: DEFAULT_LISTEN,
            control: None,
            hosts: Vec::new(),
            max_streams: DEFAULT_MAX_STREAMS,
        }
    }
}

impl Config {
    /// Whether a page that listens on `address` may send commands.
    #[must_use]
    pub fn control_on(&self, address: IpAddr) -> bool {
        self.control.unwrap_or_else(|| address.to_canonical().is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loopback_page_sends_commands_unless_told_otherwise() {
        let unsaid = Config::default();
        for (address, expected) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("0.0.0.0", false),
            ("192.0.2.1", false),
        ] {
            assert_eq!(unsaid.control_on(address.parse().unwrap()), expected, "{address}");
        }
        let yes = Config { control: Some(true), ..Config::default() };
        assert!(yes.control_on("192.0.2.1".parse().unwrap()));
        let no = Config { control: Some(false), ..Config::default() };
        assert!(!no.control_on("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_section_is_read_with_its_defaults_and_unknown_keys_are_refused() {
        let config: Config = serde_yaml::from_str("listen: 192.0.2.1:80\nmax-streams: 4\n").unwrap();
        assert_eq!(config.listen, "192.0.2.1:80".parse().unwrap());
        assert_eq!((config.enabled, config.control, config.max_streams), (true, None, 4));
        assert!(serde_yaml::from_str::<Config>("port: 80\n").is_err());
    }
}
