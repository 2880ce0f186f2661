//! Directives that are about the broker as a whole.
//!
//! Invariant: a limit of Mosquitto that means "none" becomes the greatest that iogate has.

use super::Cx;
use super::lines::Directive;
use crate::import::report::Report;
use crate::import::yaml::Yaml;

/// The largest packet that iogate takes, in bytes.
const MAX_PACKET: i64 = 256 << 20;

/// The smallest limit of a packet.
const MIN_PACKET: i64 = 256;

/// What a packet may hold beside its payload where only payloads are limited: a topic and properties.
const AROUND_PAYLOAD: i64 = 2_048;

/// How many messages may wait at once by default in iogate, in bytes: `pause-bytes` must not exceed it.
const DEFAULT_PAUSE: i64 = 256 << 10;

/// Translates the directives; returns the keys of the section `broker`.
pub(super) fn keys(cx: &mut Cx<'_>, lines: &[Directive]) -> Vec<(String, Yaml)> {
    let mut keys = Vec::new();
    for line in lines {
        match line.name.as_str() {
            "max_inflight_messages"
            | "max_keepalive"
            | "max_packet_size"
            | "max_queued_bytes"
            | "max_queued_messages"
            | "message_size_limit"
            | "sys_interval" => number(cx, line, &mut keys),
            "persistent_client_expiration" => expiration(cx, line, &mut keys),
            "retain_available" => {
                match line.switch(&mut cx.report) {
                    Some(true) => cx.report.same(&line.about, "retained messages are kept"),
                    Some(false) => {
                        keys.push(("max-retained".into(), Yaml::plain(0)));
                        cx.report.changed(&line.about, "broker: max-retained: 0; clients are not told beforehand, but nothing is retained");
                    }
                    None => {}
                }
            }
            _ => plain(cx, line),
        }
    }
    // The last of several lines counts, as in Mosquitto.
    let mut last: Vec<(String, Yaml)> = Vec::new();
    for (key, value) in keys.into_iter().rev() {
        if !last.iter().any(|(known, _)| *known == key) {
            last.push((key, value));
        }
    }
    last.reverse();
    last
}

fn number(cx: &mut Cx<'_>, line: &Directive, keys: &mut Vec<(String, Yaml)>) {
    let Some(number) = line.number(&mut cx.report) else { return };
    let mut set = |key: &str, value: String| keys.push((key.to_owned(), Yaml::plain(value)));
    let report = &mut cx.report;
    match line.name.as_str() {
        _ if number < 0 => report.dropped(&line.about, "a negative number"),
        "max_inflight_messages" => {
            let most = if number == 0 { 65_535 } else { number.min(65_535) };
            set("max-inflight", most.to_string());
            set("receive-maximum", most.to_string());
            report.carried(&line.about, format!("broker: max-inflight and receive-maximum: {most}"));
        }
        "max_keepalive" if number > 0 => {
            let secs = number.min(65_535);
            set("max-keep-alive", format!("{secs}s"));
            report.carried(&line.about, format!("broker: max-keep-alive: {secs}s"));
        }
        "max_packet_size" | "message_size_limit" if number > 0 => {
            let payload = line.name == "message_size_limit";
            let wanted = if payload { number.saturating_add(AROUND_PAYLOAD) } else { number };
            let bytes = wanted.clamp(MIN_PACKET, MAX_PACKET);
            set("max-packet", format!("{bytes}B"));
            let told = format!("broker: max-packet: {bytes}B");
            match payload || bytes != wanted {
                true => report.changed(
                    &line.about,
                    format!("{told}; iogate limits whole packets, from {MIN_PACKET}B to 256MiB"),
                ),
                false => report.carried(&line.about, told),
            }
        }
        "message_size_limit" => {
            set("max-packet", format!("{MAX_PACKET}B"));
            report.carried(&line.about, "broker: max-packet: the most there is");
        }
        "max_queued_bytes" if number > 0 => {
            set("max-queue-bytes", format!("{number}B"));
            if number < DEFAULT_PAUSE {
                set("pause-bytes", format!("{number}B"));
            }
            report.carried(&line.about, format!("broker: max-queue-bytes: {number}B"));
        }
        "max_queued_messages" if number > 0 => {
            set("max-queue-messages", number.to_string());
            report.carried(&line.about, format!("broker: max-queue-messages: {number}"));
        }
        "max_queued_bytes" | "max_queued_messages" => {
            report.changed(
                &line.about,
                "iogate has always a limit; its own stays (broker: max-queue-messages and max-queue-bytes)",
            );
        }
        "sys_interval" => {
            set("sys-interval", format!("{number}s"));
            report.carried(&line.about, format!("broker: sys-interval: {number}s"));
        }
        _ => report.dropped(&line.about, "Mosquitto does not take 0 here"),
    }
}

/// `14d`, and months and years as Mosquitto counts them: 30 and 365 days.
fn expiration(cx: &mut Cx<'_>, line: &Directive, keys: &mut Vec<(String, Yaml)>) {
    let unit = line.value.chars().last().unwrap_or_default();
    let hours = match unit {
        'h' => 1,
        'd' => 24,
        'w' => 7 * 24,
        'm' => 30 * 24,
        'y' => 365 * 24,
        _ => 0_u64,
    };
    let count = line.value.strip_suffix(unit).and_then(|number| number.trim().parse::<u64>().ok());
    let hours =
        count.and_then(|count| count.checked_mul(hours)).filter(|hours| (1..=1_000_000).contains(hours));
    match hours {
        Some(hours) => {
            keys.push(("max-session-expiry".into(), Yaml::plain(format!("{hours}h"))));
            cx.report.carried(&line.about, format!("broker: max-session-expiry: {hours}h"));
        }
        None => cx.report.dropped(&line.about, "write a number with h, d, w, m or y"),
    }
}

/// Directives that have no key: what iogate does instead.
fn plain(cx: &mut Cx<'_>, line: &Directive) {
    let report = &mut cx.report;
    match (line.name.as_str(), line.value.as_str()) {
        ("per_listener_settings", _) => report.carried(&line.about, "settings are looked at as it says"),
        ("allow_zero_length_clientid" | "set_tcp_nodelay", "true") => report.same(&line.about, "always so"),
        (
            "queue_qos0_messages"
            | "upgrade_outgoing_qos"
            | "allow_duplicate_messages"
            | "use_username_as_clientid"
            | "retain_expiry_interval",
            "false",
        )
        | ("max_inflight_bytes" | "memory_limit", "0") => report.same(&line.about, "always so"),
        ("check_retain_source", _) => {
            report.same(&line.about, "a retained message is given to those who may read it now");
        }
        ("pid_file" | "user", _) => {
            report.same(&line.about, "the service manager's matter: systemd runs iogate as its own user");
        }
        ("log_dest", "stderr" | "syslog" | "stdout" | "none") => {
            report.same(&line.about, "the log goes to standard error, under systemd to the journal");
        }
        ("log_dest", _) => report.dropped(
            &line.about,
            "the log goes to standard error, under systemd to the journal: journalctl -u iogate",
        ),
        (
            "log_type"
            | "log_facility"
            | "log_timestamp"
            | "log_timestamp_format"
            | "connection_messages"
            | "websockets_log_level",
            _,
        ) => {
            report.dropped(&line.about, "what is logged, and how, say --log and --log-format");
        }
        ("auto_id_prefix", _) => {
            report.dropped(&line.about, "client identifiers that iogate assigns have no prefix");
        }
        ("allow_zero_length_clientid", _) => {
            report.dropped(&line.about, "clients may leave the choice of their identifier to iogate");
        }
        _ => absent(report, line),
    }
}

/// Directives of what iogate does not have, and what there is in its place.
fn absent(report: &mut Report, line: &Directive) {
    match (line.name.as_str(), line.value.as_str()) {
        ("psk_file", _) => report.dropped(
            &line.about,
            "pre-shared keys are not served; give the clients certificates or passwords",
        ),
        ("auth_plugin" | "plugin" | "global_plugin" | "plugin_load", _) => {
            report.dropped(
                &line.about,
                "there are no plugins; users and rules stand in `password-file` and `access-file`",
            );
        }
        (name, _)
            if name.starts_with("auth_opt_")
                || name.starts_with("plugin_opt_")
                || name.starts_with("auth_plugin_") =>
        {
            report.dropped(&line.about, "belongs to a plugin, and there are none");
        }
        ("max_inflight_bytes", _) => {
            report
                .dropped(&line.about, "what is sent and unacknowledged counts into broker: max-queue-bytes");
        }
        ("memory_limit", _) => report.dropped(
            &line.about,
            "limits are set one by one: max-connections, max-sessions, max-retained-bytes, max-queue-bytes",
        ),
        ("queue_qos0_messages", _) => report
            .dropped(&line.about, "messages of QoS 0 do not wait for absent clients; subscribe with QoS 1"),
        ("upgrade_outgoing_qos", _) => report.dropped(
            &line.about,
            "a message has the lower QoS of publisher and subscription, as the specification demands",
        ),
        ("allow_duplicate_messages", _) => report.same(
            &line.about,
            "a client with overlapping subscriptions gets one copy, with all their identifiers",
        ),
        ("set_tcp_nodelay", _) => report.same(&line.about, "answers are gathered and then sent at once"),
        ("websockets_headers_size", _) => {
            report.same(&line.about, "the head of a WebSocket request is limited");
        }
        (name, _) if name.starts_with("bridge_") => {
            report.dropped(&line.about, "stands before any `connection`");
        }
        _ => report.dropped(
            &line.about,
            "not known as a directive of Mosquitto 2; look whether anything is needed in its place",
        ),
    }
}
