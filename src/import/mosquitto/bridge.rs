//! Bridges: sections `connection`, made into `bridges:`.
//!
//! Invariant: a bridge that would trust a server which Mosquitto would not, or that cannot log in as before, is left out.

use std::path::PathBuf;

use super::Cx;
use super::lines::Directive;
use super::scopes::Section;
use super::topics::{Direction, rules};
use crate::import::NewFile;
use crate::import::report::Report;
use crate::import::yaml::Yaml;

/// The port when an address names none.
const DEFAULT_PORT: u16 = 1883;

/// Folders in which the roots of the system are.
const SYSTEM_ROOTS: [&str; 4] =
    ["/etc/ssl/certs", "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs", "/etc/ssl/cert.pem"];

#[derive(Default)]
struct Bridge {
    name: String,
    addresses: Vec<(String, u16)>,
    secure: bool,
    keys: Vec<(&'static str, Yaml)>,
    tls: Vec<(&'static str, Yaml)>,
    topics: Vec<Directive>,
    keeps_retain: bool,
    password: Option<String>,
    versioned: bool,
    broken: Option<&'static str>,
}

/// A bridge as an entry of `bridges:` with the file of its password.
pub(super) fn made(cx: &mut Cx<'_>, section: &Section) -> Option<(String, Yaml, Option<NewFile>)> {
    let head = section.head.as_ref()?;
    let mut bridge = Bridge { name: slug(&head.value), keeps_retain: true, ..Bridge::default() };
    for line in &section.lines {
        bridge.line(line, &mut cx.report);
    }
    let (forward, accept) = bridge.rules(cx);
    let broken = bridge.broken.or(match () {
        () if bridge.name.is_empty() => Some("it has no name"),
        () if bridge.addresses.is_empty() => Some("it has no address"),
        () if bridge.password.is_some() && !bridge.keys.iter().any(|(key, _)| *key == "user") => {
            Some("it has a password and no user name")
        }
        () if bridge.tls.iter().filter(|(key, _)| matches!(*key, "cert" | "key")).count() % 2 == 1 => {
            Some("of certificate and key one is missing")
        }
        () if forward.is_empty() && accept.is_empty() => Some("it carries no topic"),
        () => None,
    });
    if let Some(why) = broken {
        cx.report.dropped(&head.about, format!("the bridge is left out: {why}"));
        return None;
    }
    cx.report.carried(&head.about, format!("bridges: {}", bridge.name));
    let file = bridge.password.take().map(|password| {
        let name = format!("{}.password", bridge.name);
        bridge.keys.push((
            "password",
            Yaml::Map(vec![("file".into(), Yaml::text(cx.target.folder.join(&name).display().to_string()))]),
        ));
        NewFile { name, text: password + "\n", secret: true }
    });
    Some((bridge.name.clone(), bridge.yaml(forward, accept), file))
}

impl Bridge {
    fn line(&mut self, line: &Directive, report: &mut Report) {
        let value = line.value.as_str();
        match line.name.as_str() {
            "address" | "addresses" => self.address(line, report),
            "topic" => self.topics.push(line.clone()),
            "remote_username" | "username" => self.text("user", line, report),
            "remote_clientid" | "clientid" => self.text("client-id", line, report),
            "remote_password" | "password" => {
                self.password = Some(line.value.clone());
                report.carried(&line.about, "into a file of its own, which only its owner can read");
            }
            "keepalive_interval" => match line.number(report) {
                Some(secs @ 5..=65_535) => {
                    self.keys.push(("keep-alive", Yaml::plain(format!("{secs}s"))));
                    report.carried(&line.about, format!("keep-alive: {secs}s"));
                }
                Some(_) => report.dropped(&line.about, "Mosquitto takes 5 to 65535 seconds"),
                None => {}
            },
            "bridge_max_packet_size" => match line.number(report) {
                Some(0) => report.same(&line.about, "no limit but the upstream broker's own"),
                Some(bytes @ 1..=268_435_456) => {
                    self.keys.push((
                        "limits",
                        Yaml::Map(vec![("payload".into(), Yaml::plain(format!("{bytes}B")))]),
                    ));
                    report.changed(
                        &line.about,
                        format!("limits: payload: {bytes}B; payloads are limited, not whole packets"),
                    );
                }
                Some(_) => report.dropped(&line.about, "out of range"),
                None => {}
            },
            "bridge_protocol_version" => self.version(line, report),
            "bridge_outgoing_retain" => {
                if let Some(keeps) = line.switch(report) {
                    self.keeps_retain = keeps;
                    report.carried(
                        &line.about,
                        if keeps { "retain: keep" } else { "retain: clear of what is forwarded" },
                    );
                }
            }
            "start_type" if value == "automatic" => report.same(&line.about, "the bridge starts by itself"),
            "start_type" => report.changed(&line.about, "the bridge starts by itself and stays connected"),
            name if name.starts_with("bridge_") => self.security(line, report),
            _ => plain(line, report),
        }
    }

    fn text(&mut self, key: &'static str, line: &Directive, report: &mut Report) {
        if line.value.is_empty() || line.value.contains(['{', '}']) {
            self.broken =
                Some("its login cannot be written down: `{` and `}` stand for names that iogate fills in");
            return report.dropped(&line.about, "empty, or with `{` or `}` in it");
        }
        self.keys.retain(|(known, _)| *known != key);
        self.keys.push((key, Yaml::text(line.value.clone())));
        report.carried(&line.about, format!("{key} of the bridge"));
    }

    fn address(&mut self, line: &Directive, report: &mut Report) {
        for word in line.value.split_whitespace() {
            let (host, port) = match word.rsplit_once(':') {
                // An IPv6 address without a port has colons of its own.
                Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()),
                _ => (word, Some(DEFAULT_PORT)),
            };
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let sane = !host.is_empty()
                && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
            match port {
                Some(port @ 1..) if sane => self.addresses.push((host.to_owned(), port)),
                _ => return report.dropped(&line.about, format!("`{word}` is no host with a port")),
            }
        }
        report.carried(&line.about, "url of the bridge; further addresses as `fallback`");
    }

    fn version(&mut self, line: &Directive, report: &mut Report) {
        let version = match line.value.as_str() {
            "mqttv50" => "5",
            "mqttv311" | "mqttv31" => "3.1.1",
            _ => return report.dropped(&line.about, "neither mqttv50, mqttv311 nor mqttv31"),
        };
        self.versioned = true;
        self.keys.push(("version", Yaml::text(version)));
        match line.value == "mqttv31" {
            true => report.changed(&line.about, "version: 3.1.1, the oldest that a bridge speaks"),
            false => report.carried(&line.about, format!("version: {version}")),
        }
    }

    fn security(&mut self, line: &Directive, report: &mut Report) {
        let path = line.path().unwrap_or_default();
        let file = |path: &PathBuf| Yaml::text(path.display().to_string());
        match line.name.as_str() {
            "bridge_cafile" | "bridge_capath" if SYSTEM_ROOTS.contains(&line.value.trim_end_matches('/')) => {
                self.secure = true;
                report.carried(&line.about, "the roots of the system, which is the default");
            }
            "bridge_cafile" => {
                self.secure = true;
                self.tls.push(("ca", file(&path)));
                report.carried(&line.about, format!("tls: ca: {}", path.display()));
            }
            "bridge_capath" => {
                self.broken =
                    Some("the roots that it trusts are a folder; put them into one PEM file (bridge_cafile)");
                report.dropped(
                    &line.about,
                    "put the folder's certificates into one PEM file and name it as tls: ca",
                );
            }
            "bridge_certfile" | "bridge_keyfile" => {
                let key = if line.name == "bridge_certfile" { "cert" } else { "key" };
                self.tls.push((key, file(&path)));
                report.carried(&line.about, format!("tls: {key}: {}", path.display()));
            }
            "bridge_alpn" => {
                self.tls.push(("alpn", Yaml::List(vec![Yaml::text(line.value.clone())])));
                report.carried(&line.about, "tls: alpn");
            }
            "bridge_insecure" if line.value == "true" => {
                report.dropped(
                    &line.about,
                    "the server's name is always checked; tls: server-name says another one",
                );
            }
            "bridge_insecure" | "bridge_attempt_unsubscribe" | "bridge_require_ocsp"
                if line.value == "false" =>
            {
                report.same(&line.about, "always so");
            }
            "bridge_tls_version" if line.value == "tlsv1.2" => {
                report.same(&line.about, "TLS 1.2 and 1.3 are spoken");
            }
            "bridge_tls_version" => {
                report.changed(&line.about, "TLS 1.2 and 1.3 are spoken, always both and no older one");
            }
            "bridge_identity" | "bridge_psk" => {
                self.broken = Some("it proves itself by a pre-shared key, which iogate does not do");
                report.dropped(&line.about, "use a certificate or a password");
            }
            "bridge_attempt_unsubscribe" => {
                report.same(&line.about, "the session upstream is a new one with every connection");
            }
            "bridge_require_ocsp" => {
                self.broken = Some(
                    "it asks for a proof that the certificate is not revoked (OCSP), which iogate does not check",
                );
                report.dropped(&line.about, "pin the server's key instead: tls: pin");
            }
            _ => report.dropped(&line.about, "not carried over: a bridge has no such setting"),
        }
    }

    fn rules(&mut self, cx: &mut Cx<'_>) -> (Vec<Yaml>, Vec<Yaml>) {
        let (mut forward, mut accept) = (Vec::new(), Vec::new());
        for line in std::mem::take(&mut self.topics) {
            for (direction, rule) in rules(&line, self.keeps_retain, &mut cx.report) {
                match direction {
                    Direction::Out => forward.push(rule),
                    Direction::In => accept.push(rule),
                }
            }
        }
        (forward, accept)
    }

    fn yaml(self, forward: Vec<Yaml>, accept: Vec<Yaml>) -> Yaml {
        let scheme = if self.secure { "mqtts" } else { "mqtt" };
        let url = |(host, port): &(String, u16)| {
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            format!("{scheme}://{host}:{port}")
        };
        let urls: Vec<String> = self.addresses.iter().map(url).collect();
        let mut entries: Vec<(String, Yaml)> = vec![("url".into(), Yaml::text(urls[0].clone()))];
        if urls.len() > 1 {
            entries.push(("fallback".into(), Yaml::texts(&urls[1..])));
        }
        if !self.versioned {
            // What Mosquitto speaks when nothing is said.
            entries.push(("version".into(), Yaml::text("3.1.1")));
        }
        if !self.keys.iter().any(|(key, _)| *key == "client-id") {
            entries.push(("client-id".into(), Yaml::text("{host}.{bridge}")));
        }
        entries.extend(self.keys.into_iter().map(|(key, value)| (key.to_owned(), value)));
        if self.secure && !self.tls.is_empty() {
            entries.push((
                "tls".into(),
                Yaml::Map(self.tls.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            ));
        }
        for (key, rules) in [("forward", forward), ("accept", accept)] {
            if !rules.is_empty() {
                entries.push((key.to_owned(), Yaml::List(rules)));
            }
        }
        Yaml::Map(entries)
    }
}

fn plain(line: &Directive, report: &mut Report) {
    let off = line.value == "false";
    match line.name.as_str() {
        "cleansession" | "local_cleansession" => {
            report.same(&line.about, "what waits is kept in iogate's own buffer and sent after an outage");
        }
        "local_clientid" | "local_username" | "local_password" => {
            report.same(&line.about, "the bridge is a part of the broker and needs no login to it");
        }
        "restart_timeout" => report.same(&line.about, "pauses between attempts grow by themselves"),
        "round_robin" if off => {
            report.same(&line.about, "addresses are tried in turn when the one before does not answer");
        }
        "round_robin" => {
            report.changed(&line.about, "another address is tried only when the one before does not answer");
        }
        "notifications" | "notifications_local_only" | "notification_topic" if off => {
            report.same(&line.about, "nothing is told upstream");
        }
        "notifications" | "notifications_local_only" | "notification_topic" => {
            report.dropped(&line.about, "$SYS/broker/connection/…/state is not published; see docs for how the state of a bridge is told");
        }
        "try_private" => report.dropped(
            &line.about,
            "iogate connects as an ordinary client; do not carry the same topics in both directions",
        ),
        "threshold" | "idle_timeout" => report.dropped(&line.about, "the bridge stays connected"),
        _ => report.dropped(&line.about, "not carried over: a bridge has no such setting"),
    }
}

/// A name that can stand in file names and topics.
fn slug(name: &str) -> String {
    let sane = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(sane).collect::<String>().trim_matches('-').to_owned()
}
