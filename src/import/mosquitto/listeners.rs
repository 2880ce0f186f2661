//! Listeners: where, with which certificates, over what.
//!
//! Invariant: a listener that would be open to the network without a login is put on the loopback address, and one
//! whose certificates cannot be carried over is left out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::Cx;
use super::lines::Directive;
use super::scopes::Section;
use crate::import::report::Subject;
use crate::import::yaml::Yaml;

/// Path of MQTT over WebSocket that clients use by custom; Mosquitto takes any.
const WEBSOCKET_PATH: &str = "/mqtt";

/// The port of MQTT.
const DEFAULT_PORT: u16 = 1883;

/// A listener of Mosquitto.
#[derive(Debug, Default)]
pub(super) struct Listener {
    pub(super) about: Option<Subject>,
    pub(super) place: Place,
    websocket: bool,
    max_connections: Option<u64>,
    max_qos: Option<i64>,
    tls: Tls,
    /// Why it cannot be carried over.
    pub(super) broken: Option<&'static str>,
}

/// How clients log in at a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    /// By everything that there are files for.
    Usual,
    /// So, or not at all.
    OrNot,
    /// By one means of iogate's only.
    Only(&'static str),
}

/// Where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Default for Place {
    fn default() -> Self {
        Self::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)))
    }
}

#[derive(Debug, Default)]
struct Tls {
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    ca: Option<PathBuf>,
    crl: Option<PathBuf>,
    require: bool,
    identity: bool,
}

impl Listener {
    /// What a section says. `None`: the default listener, of which nothing is said.
    pub(super) fn read(cx: &mut Cx<'_>, section: &Section) -> Option<Self> {
        let mut listener = Self::default();
        match &section.head {
            Some(head) => listener.head(cx, head),
            None if section
                .lines
                .iter()
                .any(|line| matches!(line.name.as_str(), "port" | "bind_address")) =>
            {
                // A port alone is one on every address.
                listener.place = Place::Tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT)));
            }
            None => {
                for line in &section.lines {
                    cx.report.dropped(&line.about, "is about the default listener, which nothing opens: there is no `port` and no `bind_address`");
                }
                return None;
            }
        }
        for line in &section.lines {
            listener.line(cx, line);
        }
        listener.check_tls(cx);
        Some(listener)
    }

    fn head(&mut self, cx: &mut Cx<'_>, head: &Directive) {
        self.about = Some(head.about.clone());
        let mut words = head.value.split_whitespace();
        let port = words.next().and_then(|port| port.parse::<u16>().ok());
        match (port, words.next()) {
            (None, _) => {
                self.broken = Some("it names no port");
            }
            (Some(0), Some(path)) if path.starts_with('/') => self.place = Place::Unix(path.into()),
            (Some(0), _) => self.broken = Some("port 0 is for a Unix socket with an absolute path"),
            (Some(port), host) => {
                let ip = host.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |host| address(cx, head, host));
                self.place = Place::Tcp(SocketAddr::new(ip, port));
            }
        }
    }

    fn line(&mut self, cx: &mut Cx<'_>, line: &Directive) {
        self.about.get_or_insert_with(|| line.about.clone());
        match line.name.as_str() {
            "port" => self.port(cx, line),
            "bind_address" => {
                let ip = address(cx, line, &line.value);
                if let Place::Tcp(address) = &mut self.place {
                    address.set_ip(ip);
                }
                cx.report.carried(&line.about, format!("the default listener is on {ip}"));
            }
            "protocol" => self.protocol(cx, line),
            "max_connections" => match line.number(&mut cx.report) {
                Some(1..) => {
                    self.max_connections = line.value.parse().ok();
                    cx.report.carried(&line.about, "max-connections of the listener");
                }
                Some(-1) => {
                    cx.report.same(&line.about, "broker: max-connections limits all listeners together");
                }
                Some(_) => {
                    self.broken = Some("it takes no connections");
                    cx.report.dropped(&line.about, "a listener that takes no connections is left out");
                }
                None => {}
            },
            "socket_domain" => match (line.value.as_str(), &mut self.place) {
                ("ipv6", Place::Tcp(address)) if address.ip() == IpAddr::V4(Ipv4Addr::UNSPECIFIED) => {
                    address.set_ip(std::net::Ipv6Addr::UNSPECIFIED.into());
                    cx.report.changed(&line.about, "the listener is on [::], which also takes IPv4");
                }
                _ => cx.report.carried(&line.about, "the listener's address says it"),
            },
            "max_qos" => match line.number(&mut cx.report) {
                Some(qos @ 0..=2) => {
                    self.max_qos = Some(qos);
                    cx.report.carried(&line.about, "max-qos of the listener");
                }
                Some(_) => cx.report.dropped(&line.about, "not from 0 to 2"),
                None => {}
            },
            "max_topic_alias" | "max_topic_alias_broker" => limit(cx, line),
            _ => self.certificates(cx, line),
        }
    }

    fn port(&mut self, cx: &mut Cx<'_>, line: &Directive) {
        match (line.value.parse::<u16>(), &mut self.place) {
            (Ok(port @ 1..), Place::Tcp(address)) => {
                address.set_port(port);
                cx.report.carried(&line.about, format!("the default listener is on port {port}"));
            }
            _ => cx.report.dropped(&line.about, "no port"),
        }
    }

    fn protocol(&mut self, cx: &mut Cx<'_>, line: &Directive) {
        match line.value.as_str() {
            "mqtt" => cx.report.same(&line.about, "MQTT it is by default"),
            "websockets" => {
                self.websocket = true;
                let what = format!(
                    "websocket: {WEBSOCKET_PATH}; Mosquitto takes any path, and pages of other hosts, which iogate does once `origins` names them"
                );
                cx.report.changed(&line.about, what);
            }
            _ => {
                self.broken = Some("its protocol is not served");
                cx.report.dropped(&line.about, "neither `mqtt` nor `websockets`");
            }
        }
    }

    fn certificates(&mut self, cx: &mut Cx<'_>, line: &Directive) {
        let path = line.path();
        let tls = &mut self.tls;
        let slot = match line.name.as_str() {
            "certfile" => &mut tls.cert,
            "keyfile" => &mut tls.key,
            "cafile" => &mut tls.ca,
            "crlfile" => &mut tls.crl,
            _ => return self.switches(cx, line),
        };
        match path {
            Some(path) => {
                cx.report.carried(&line.about, format!("tls of the listener: {}", path.display()));
                *slot = Some(path);
            }
            None => cx.report.dropped(&line.about, "names no file"),
        }
    }

    fn switches(&mut self, cx: &mut Cx<'_>, line: &Directive) {
        match line.name.as_str() {
            "require_certificate" => {
                if let Some(require) = line.switch(&mut cx.report) {
                    self.tls.require = require;
                    cx.report.carried(&line.about, format!("tls: require-client-cert: {require}"));
                } else {
                    self.broken = Some("whether it requires certificates is not to be read");
                }
            }
            "use_identity_as_username" => {
                if let Some(identity) = line.switch(&mut cx.report) {
                    self.tls.identity = identity;
                    let what = if identity { "tls: identity: cn" } else { "no identity from certificates" };
                    cx.report.carried(&line.about, what);
                }
            }
            "use_subject_as_username" if line.value == "true" => {
                self.broken = Some("its users are whole subjects of certificates, which iogate does not make users of; use the common name");
                cx.report.dropped(&line.about, "iogate takes the common name or a subject alternative name: tls: identity: cn or san");
            }
            "tls_version" if line.value == "tlsv1.2" => cx.report.same(&line.about, "TLS 1.2 and 1.3 are served"),
            "tls_version" => cx.report.changed(&line.about, "TLS 1.2 and 1.3 are served, always both and no older one"),
            "mount_point" => {
                self.broken = Some("its clients see topics below a mount point, which iogate does not have");
                cx.report.dropped(&line.about, "there are no mount points; give its clients topics of their own");
            }
            "clientid_prefixes" => {
                self.broken = Some("it admits clients by their identifier, which iogate does not");
                cx.report.dropped(&line.about, "clients are admitted by users or certificates, not by their identifier");
            }
            "accept_protocol_versions" => cx.report.dropped(&line.about, "MQTT 3.1, 3.1.1 and 5 are served on every listener"),
            "enable_proxy_protocol" | "proxy_protocol_v2_require_tls" | "psk_hint" | "psk_file" => {
                self.broken = Some("it needs what iogate does not carry over: see the line about it");
                cx.report.dropped(&line.about, "not carried over");
            }
            "use_username_as_clientid" if line.value == "true" => cx.report.dropped(&line.about, "clients keep their own identifiers; a session belongs to the user who began it"),
            "bind_interface" => {
                self.broken = Some("it is bound to an interface; name the interface's address instead");
                cx.report.dropped(&line.about, "name the interface's address");
            }
            "capath" => {
                self.tls.ca = None;
                cx.report.dropped(&line.about, "put the folder's certificates into one PEM file and name it as tls: client-ca");
            }
            "http_dir" => cx.report.dropped(&line.about, "the broker serves no files; iogate has a page of its own (web:)"),
            _ if line.value == "false" => cx.report.same(&line.about, "always so"),
            _ => cx.report.dropped(&line.about, "cipher suites, parameters and key stores of TLS are fixed: strong ones only, keys from PEM files"),
        }
    }

    fn check_tls(&mut self, cx: &mut Cx<'_>) {
        let tls = &mut self.tls;
        if tls.cert.is_some() != tls.key.is_some() {
            self.broken = Some("of certificate and key one is missing");
        } else if tls.require && (tls.cert.is_none() || tls.ca.is_none()) {
            self.broken =
                Some("it requires client certificates, and the file with their roots (cafile) is missing");
        } else if tls.identity && !tls.require {
            // Mosquitto asks for no certificate then.
            tls.identity = false;
        }
        if !tls.require {
            tls.ca = None;
            tls.crl = None;
        }
        if let (Some(why), Some(about)) = (self.broken, &self.about) {
            cx.report.dropped(about, format!("the listener is left out: {why}"));
        }
    }

    /// Whether its clients are people of a certificate, so that they need no password.
    pub(super) fn is_certified(&self) -> bool {
        self.tls.require
    }

    /// Whether it takes the user from the certificate.
    pub(super) fn names_users(&self) -> bool {
        self.tls.identity
    }

    /// Whether only this machine reaches it.
    pub(super) fn is_local(&self) -> bool {
        match &self.place {
            Place::Tcp(address) => address.ip().is_loopback(),
            Place::Unix(_) => true,
        }
    }

    /// Takes it off the network.
    pub(super) fn retreat(&mut self) {
        if let Place::Tcp(address) = &mut self.place {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
    }

    /// Its limits, which the broker as a whole can have where it is the only listener.
    pub(super) fn hand_up(&mut self, limits: &mut std::collections::BTreeMap<&'static str, i64>) {
        let most = self.max_connections.take().and_then(|most| i64::try_from(most).ok());
        limits.extend(most.map(|most| ("max-connections", most)));
        limits.extend(self.max_qos.take().map(|qos| ("max-qos", qos)));
    }

    /// Whether it can be the plain `broker.listen`.
    pub(super) fn plain(&self) -> Option<SocketAddr> {
        let limited = self.max_connections.is_some() || self.max_qos.is_some();
        let simple = !self.websocket && !limited && self.tls.cert.is_none();
        match &self.place {
            Place::Tcp(address) if simple => Some(*address),
            _ => None,
        }
    }

    /// A name for it.
    pub(super) fn name(&self) -> String {
        match (&self.place, self.websocket) {
            (Place::Tcp(address), false) => format!("mqtt-{}", address.port()),
            (Place::Tcp(address), true) => format!("websocket-{}", address.port()),
            (Place::Unix(_), _) => "unix".to_owned(),
        }
    }

    /// The entry of `broker.listeners`.
    pub(super) fn yaml(&self, login: Login) -> Yaml {
        let mut entries: Vec<(String, Yaml)> = Vec::new();
        let mut add = |key: &str, value: Yaml| entries.push((key.to_owned(), value));
        match &self.place {
            Place::Tcp(address) => add("address", Yaml::text(address.to_string())),
            Place::Unix(path) => add("unix", Yaml::text(path.display().to_string())),
        }
        if self.websocket {
            add("websocket", Yaml::text(WEBSOCKET_PATH));
        }
        match login {
            Login::Usual => {}
            Login::OrNot => add("anonymous", Yaml::plain(true)),
            Login::Only(means) => add("login", Yaml::List(vec![Yaml::plain(means)])),
        }
        if let Some(most) = self.max_connections {
            add("max-connections", Yaml::plain(most));
        }
        if let Some(qos) = self.max_qos {
            add("max-qos", Yaml::plain(qos));
        }
        if self.tls.cert.is_some() {
            add("tls", self.tls.yaml());
        }
        Yaml::Map(entries)
    }
}

impl Tls {
    fn yaml(&self) -> Yaml {
        let mut entries: Vec<(String, Yaml)> = Vec::new();
        let files = [("cert", &self.cert), ("key", &self.key), ("client-ca", &self.ca), ("crl", &self.crl)];
        for (key, path) in files {
            entries
                .extend(path.as_ref().map(|path| (key.to_owned(), Yaml::text(path.display().to_string()))));
        }
        if self.require {
            entries.push(("require-client-cert".to_owned(), Yaml::plain(true)));
        }
        if self.identity {
            entries.push(("identity".to_owned(), Yaml::plain("cn")));
        }
        Yaml::Map(entries)
    }
}

/// Limits that one listener has in Mosquitto and all have in iogate: the lowest counts.
fn limit(cx: &mut Cx<'_>, line: &Directive) {
    let key = match line.name.as_str() {
        "max_topic_alias" => "topic-alias-maximum",
        _ => "client-topic-aliases",
    };
    match line.number(&mut cx.report) {
        Some(number) if (0..=65_535).contains(&number) => {
            let known = cx.limits.entry(key).or_insert(number);
            *known = number.min(*known);
            cx.report.carried(&line.about, format!("broker: {key}, for all listeners: {known}"));
        }
        Some(_) => cx.report.dropped(&line.about, "not from 0 to 65535"),
        None => {}
    }
}

/// An address that a line names; a host name is not looked up, and stands for this machine only.
fn address(cx: &mut Cx<'_>, line: &Directive, host: &str) -> IpAddr {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse() {
        Ok(ip) => ip,
        Err(_) if host == "localhost" => Ipv4Addr::LOCALHOST.into(),
        Err(_) => {
            cx.report.changed(
                &line.about,
                "a listener of iogate is on an address, not a name: it is put on 127.0.0.1",
            );
            Ipv4Addr::LOCALHOST.into()
        }
    }
}
