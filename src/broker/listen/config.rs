//! The `broker.listeners` map of the configuration.
//!
//! Absent: reading the files that are named here; `tls` does that, at the start and at every change.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::network::Network;
use super::tls::{Tls, TlsError};
use crate::broker::auth::{LoginMeans, Means};
use crate::broker::config::Config;
use crate::journal::Level;
use crate::model::units::ByteSize;

/// One more place where MQTT clients connect: `{ address: "0.0.0.0:8883", tls: { cert: …, key: … } }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BrokerListener {
    /// Address and port. A listener has either this or `unix`.
    #[schemars(with = "Option<String>")]
    pub address: Option<SocketAddr>,
    /// Path of a Unix socket, open to the gateway's user and group. Its clients count as 127.0.0.1.
    pub unix: Option<PathBuf>,
    /// Serve TLS 1.2 and 1.3 only.
    pub tls: Option<BrokerTls>,
    /// Speak MQTT over WebSocket (with `tls`: WSS) on this path, such as `/mqtt`. A browser is let in from pages of
    /// the same host, and from `origins`; where clients need not log in, that host must be an address or `localhost`.
    pub websocket: Option<String>,
    /// Where else pages may come from that connect over WebSocket, such as `https://panel.example.com`.
    pub origins: Vec<String>,
    /// How clients may log in here. When nothing is said: by everything that there are files for.
    pub login: Option<Vec<LoginMeans>>,
    /// Addresses and networks of proxies, such as `10.0.0.0/8`. When given, nobody else may connect, and every connection
    /// begins with a header of the PROXY protocol v2 (`send-proxy-v2`) that names the client: limits, delays and log use its address.
    #[schemars(with = "Vec<String>")]
    pub proxies: Vec<Network>,
    /// Serve clients that do not log in though there is a `password-file`; only for an address of this machine.
    pub anonymous: bool,
    /// Connections of this listener at one time; `max-connections` of the broker when nothing is said.
    pub max_connections: Option<usize>,
    /// Largest packet accepted here, its header included; `max-packet` of the broker when nothing is said.
    pub max_packet: Option<ByteSize>,
    /// Highest QoS that is served here: 0, 1 or 2; `max-qos` of the broker when nothing is said.
    pub max_qos: Option<u8>,
    /// What an acknowledgement promises here, with `data`; `durability` of the broker when nothing is said.
    pub durability: Option<Level>,
}

/// Certificates of a listener. The files are watched: a change holds for the connections made after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BrokerTls {
    /// PEM file with the server's certificate, then those that lead to its root.
    pub cert: PathBuf,
    /// PEM file with the private key of the certificate.
    pub key: PathBuf,
    /// PEM file with the roots of client certificates. When given, a client may show a certificate.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// PEM file with the revocation lists of `client-ca`. A client certificate on a list, or one whose issuer has no list, is refused.
    #[serde(default)]
    pub crl: Option<PathBuf>,
    /// Check the authorities between a client's certificate and the root against `crl`, too; each of their issuers needs a list then.
    #[serde(default)]
    pub crl_whole_chain: bool,
    /// Refuse every client certificate whose revocation list is out of date. Without it an old list still counts, and the
    /// log warns.
    #[serde(default)]
    pub crl_refuse_outdated: bool,
    /// Refuse clients without a certificate.
    #[serde(default)]
    pub require_client_cert: bool,
    /// Take the user name from the client's certificate; needs `client-ca`. A certificate without it is refused.
    #[serde(default)]
    pub identity: Option<CertificateIdentity>,
}

/// Which part of a client certificate names the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateIdentity {
    /// The common name of the subject.
    Cn,
    /// The first DNS name among the alternative names, else the first e-mail address, else the first URI.
    San,
}

impl BrokerListener {
    /// What is wrong with the listener, one sentence each, without looking into files.
    pub(crate) fn problems(&self, name: &str, config: &Config) -> Vec<String> {
        let (users, tokens) = (config.password_file.is_some(), config.jwt.is_some());
        let mut problems = Vec::new();
        let mut add = |text: &str| problems.push(format!("broker.listeners.{name}: {text}"));
        match (&self.address, &self.unix) {
            (None, None) => add("give it `address: 127.0.0.1:1884` or `unix: /run/iogate/mqtt.sock`"),
            (Some(_), Some(_)) => add("`address` and `unix` exclude each other; make it two listeners"),
            _ => {}
        }
        let local = self.address.is_none_or(|address| address.ip().is_loopback());
        let certified = self.tls.as_ref().is_some_and(|tls| tls.require_client_cert);
        let nobody = self.login.as_ref().is_some_and(|login| login.contains(&LoginMeans::Anonymous));
        if (self.anonymous || nobody) && !local {
            add("anonymous: only on an address of this machine or a Unix socket");
        } else if self.login.is_none() && !local && !users && !tokens && !certified {
            add(
                "everybody who reaches it could publish and subscribe; add `broker.password-file`, `broker.jwt` or `tls.require-client-cert`",
            );
        }
        if let Some(login) = &self.login {
            self.check_login(login, users, tokens, &mut add);
        }
        if self.max_connections == Some(0) {
            add("max-connections: must be at least 1");
        }
        if self.unix.as_deref().is_some_and(|path| !path.is_absolute()) {
            add("unix: must be an absolute path");
        }
        if self.websocket.as_deref().is_some_and(|path| !path.starts_with('/')) {
            add("websocket: the path must begin with `/`, such as /mqtt");
        }
        if self.websocket.is_none() && !self.origins.is_empty() {
            add("origins: are for a listener with `websocket`");
        }
        if let Some(tls) = &self.tls {
            tls.check(&mut add);
        }
        problems
    }
}

impl BrokerListener {
    /// How clients may log in.
    pub(super) fn means(&self, config: &Config) -> Means {
        // A required certificate that names no user still says that the client belongs here.
        let certified =
            self.tls.as_ref().is_some_and(|tls| tls.require_client_cert && tls.identity.is_none());
        let (mut means, certificates) = match &self.login {
            Some(chosen) => (Means::chosen(chosen), chosen.contains(&LoginMeans::Certificate)),
            None => (Means::usual(config.password_file.is_some(), config.jwt.is_some()), true),
        };
        means.anonymous |= self.anonymous || (certificates && certified);
        means
    }

    fn check_login(&self, login: &[LoginMeans], users: bool, tokens: bool, add: &mut impl FnMut(&str)) {
        let has = |means| login.contains(&means);
        let (names, required) =
            self.tls.as_ref().map_or((false, false), |tls| (tls.identity.is_some(), tls.require_client_cert));
        if login.is_empty() {
            add("login: name at least one of password, scram, jwt, certificate and anonymous");
        }
        if !users && (has(LoginMeans::Password) || has(LoginMeans::Scram)) {
            add("login: `password` and `scram` need `broker.password-file`");
        }
        if !tokens && has(LoginMeans::Jwt) {
            add("login: `jwt` needs `broker.jwt`");
        }
        if has(LoginMeans::Certificate) && !names && !required {
            add("login: `certificate` needs `tls.identity` or `tls.require-client-cert`");
        }
        if names && !has(LoginMeans::Certificate) {
            add("tls.identity: takes the user from certificates; add `certificate` to `login`");
        }
        if self.anonymous {
            add("anonymous: stands in `login`, where there is one");
        }
    }

    /// Reads the files that are named here.
    pub(crate) fn check_files(&self) -> Result<(), TlsError> {
        self.tls.as_ref().map_or(Ok(()), |tls| Tls::load(tls).map(|_| ()))
    }
}

impl BrokerTls {
    fn check(&self, add: &mut impl FnMut(&str)) {
        let relative = |path: &Path| !path.is_absolute();
        if relative(&self.cert) || relative(&self.key) {
            add("tls needs `cert` and `key`, both absolute paths of PEM files");
        }
        if self.client_ca.as_deref().is_some_and(relative) || self.crl.as_deref().is_some_and(relative) {
            add("tls.client-ca and tls.crl: must be absolute paths");
        }
        if self.crl.is_none() && (self.crl_whole_chain || self.crl_refuse_outdated) {
            add("tls: `crl-whole-chain` and `crl-refuse-outdated` need `crl`");
        }
        if self.client_ca.is_none()
            && (self.crl.is_some() || self.require_client_cert || self.identity.is_some())
        {
            add("tls: `crl`, `require-client-cert` and `identity` need `client-ca`");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(yaml: &str) -> String {
        serde_yaml::from_str::<BrokerListener>(yaml).unwrap().problems("x", &Config::default()).join("\n")
    }

    #[test]
    fn a_listener_has_one_place() {
        assert_eq!(problems("{ address: 127.0.0.1:0 }"), "");
        assert_eq!(problems("{ unix: /run/mqtt.sock }"), "");
        assert!(problems("{ address: 192.0.2.1:1, anonymous: true }").contains("only on"));
        assert!(problems("{ address: 192.0.2.1:1 }").contains("everybody"));
        assert!(problems("{}").contains("give it `address"));
        assert!(problems("{ address: 127.0.0.1:0, unix: /x }").contains("exclude each other"));
        assert!(problems("{ address: 127.0.0.1:0, websocket: mqtt }").contains("begin with `/`"));
        assert!(problems("{ address: 127.0.0.1:0, origins: [a] }").contains("`websocket`"));
        assert!(problems("{ unix: x }").contains("absolute"));
        assert!(problems("{ address: 127.0.0.1:0, max-connections: 0 }").contains("at least 1"));
        assert!(serde_yaml::from_str::<BrokerListener>("{ adress: 127.0.0.1:0 }").is_err());
    }

    #[test]
    fn means_of_logging_in_need_what_they_are_checked_by() {
        let login = |more: &str| problems(&format!("{{ address: 192.0.2.1:1, {more} }}"));
        assert!(login("login: [password]").contains("`broker.password-file`"));
        assert!(login("login: [scram]").contains("`broker.password-file`"));
        assert!(login("login: [jwt]").contains("`broker.jwt`"));
        assert!(login("login: [certificate]").contains("`tls.identity` or"));
        assert!(login("login: []").contains("at least one"));
        assert!(login("login: [anonymous]").contains("only on"));
        let tls = "tls: { cert: /a, key: /b, client-ca: /c, identity: cn }";
        assert_eq!(login(&format!("login: [certificate], {tls}")), "");
        assert!(login(&format!("login: [password], {tls}")).contains("add `certificate`"));
        assert!(problems("{ unix: /x, login: [anonymous], anonymous: true }").contains("stands in `login`"));
        assert!(serde_yaml::from_str::<BrokerListener>("{ login: [pasword] }").is_err());
        assert!(serde_yaml::from_str::<BrokerListener>("{ proxies: [10.0.0.1/8] }").is_err());
    }

    #[test]
    fn a_listener_accepts_what_it_names_and_else_what_there_is() {
        let means = |yaml: &str| {
            let users = Config { password_file: Some("/users".into()), ..Config::default() };
            serde_yaml::from_str::<BrokerListener>(yaml).unwrap().means(&users)
        };
        assert_eq!(means("{}"), Means { password: true, scram: true, ..Means::default() });
        assert_eq!(means("{ anonymous: true }"), Means { anonymous: true, ..means("{}") });
        assert_eq!(means("{ login: [jwt] }"), Means { jwt: true, ..Means::default() });
        let tls = "tls: { cert: /a, key: /b, client-ca: /c, require-client-cert: true }";
        // Alone a certificate is enough; with a password asked for as well, both are needed.
        assert!(means(&format!("{{ {tls} }}")).anonymous);
        assert!(means(&format!("{{ login: [certificate], {tls} }}")).anonymous);
        assert!(!means(&format!("{{ login: [password], {tls} }}")).anonymous);
    }

    #[test]
    fn client_certificates_need_their_roots() {
        let tls = |more: &str| problems(&format!("{{ address: 127.0.0.1:0, tls: {{ {more} }} }}"));
        assert_eq!(
            tls("cert: /a, key: /b, client-ca: /c, crl: /d, identity: cn, require-client-cert: true"),
            ""
        );
        assert!(tls("cert: /a, key: b").contains("`cert` and `key`"));
        assert!(tls("cert: /a, key: /b, client-ca: c").contains("absolute"));
        for more in ["crl-whole-chain: true", "crl-refuse-outdated: true"] {
            assert!(
                tls(&format!("cert: /a, key: /b, client-ca: /c, {more}")).contains("need `crl`"),
                "{more}"
            );
        }
        for more in ["crl: /d", "identity: san", "require-client-cert: true"] {
            assert!(tls(&format!("cert: /a, key: /b, {more}")).contains("need `client-ca`"), "{more}");
        }
    }
}
