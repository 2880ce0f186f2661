//! Which listener or bridge a directive belongs to.
//!
//! As Mosquitto 2: what stands before the first `listener` is about the default listener, what stands behind one is
//! about that one, and what stands behind `connection` about that bridge. Invariant: every directive goes into exactly one
//! scope.

use super::lines::Directive;

/// Directives that are about a listener.
const LISTENER: [&str; 31] = [
    "accept_protocol_versions",
    "bind_interface",
    "cafile",
    "capath",
    "certfile",
    "ciphers",
    "ciphers_tls1.3",
    "clientid_prefixes",
    "crlfile",
    "dhparamfile",
    "disable_client_cert_date_checks",
    "enable_proxy_protocol",
    "http_dir",
    "keyfile",
    "max_connections",
    "max_qos",
    "max_topic_alias",
    "max_topic_alias_broker",
    "mount_point",
    "protocol",
    "psk_hint",
    "require_certificate",
    "socket_domain",
    "tls_engine",
    "tls_engine_kpass_sha1",
    "tls_keyform",
    "tls_version",
    "use_identity_as_username",
    "use_subject_as_username",
    "use_username_as_clientid",
    "proxy_protocol_v2_require_tls",
];

/// Directives that are about a listener with `per_listener_settings true`, and about all otherwise.
const SECURITY: [&str; 5] =
    ["acl_file", "allow_anonymous", "password_file", "psk_file", "allow_zero_length_clientid"];

/// Directives that are about a bridge.
const BRIDGE: [&str; 24] = [
    "address",
    "addresses",
    "cleansession",
    "clientid",
    "idle_timeout",
    "keepalive_interval",
    "local_cleansession",
    "local_clientid",
    "local_password",
    "local_username",
    "notification_topic",
    "notifications",
    "notifications_local_only",
    "password",
    "remote_clientid",
    "remote_password",
    "remote_username",
    "restart_timeout",
    "round_robin",
    "start_type",
    "threshold",
    "topic",
    "try_private",
    "username",
];

/// What the directives of one listener or bridge say.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// The directive that opens it; `None`: the default listener.
    pub(super) head: Option<Directive>,
    pub(super) lines: Vec<Directive>,
}

/// All directives by what they are about.
#[derive(Debug)]
pub(super) struct Scopes {
    pub(super) global: Vec<Directive>,
    /// The default listener is the first.
    pub(super) listeners: Vec<Section>,
    pub(super) bridges: Vec<Section>,
}

/// Sorts directives.
pub(super) fn sort(lines: Vec<Directive>) -> Scopes {
    let per_listener = lines.iter().any(|line| line.name == "per_listener_settings" && line.value == "true");
    let mut scopes = Scopes { global: Vec::new(), listeners: vec![Section::default()], bridges: Vec::new() };
    for line in lines {
        let name = line.name.as_str();
        let of_listener = LISTENER.contains(&name) || (per_listener && SECURITY.contains(&name));
        if name == "listener" {
            scopes.listeners.push(Section { head: Some(line), lines: Vec::new() });
        } else if name == "connection" {
            scopes.bridges.push(Section { head: Some(line), lines: Vec::new() });
        } else if matches!(name, "port" | "bind_address") {
            scopes.listeners[0].lines.push(line);
        } else if name.starts_with("bridge_") || BRIDGE.contains(&name) {
            match scopes.bridges.last_mut() {
                Some(bridge) => bridge.lines.push(line),
                None => scopes.global.push(line),
            }
        } else if of_listener && let Some(listener) = scopes.listeners.last_mut() {
            listener.lines.push(line);
        } else {
            scopes.global.push(line);
        }
    }
    scopes
}
