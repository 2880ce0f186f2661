//! Bridges as the API shows them, and as metrics.
//!
//! Absent: bridges themselves, of which the page knows only this. Invariant: no secret stands in it.

use std::fmt::Write as _;

use serde::Serialize;

use super::rfc3339;

/// One link to an upstream broker.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BridgeView {
    /// Its name.
    pub name: String,
    /// The address that is tried first.
    pub url: String,
    /// `connecting`, `connected`, `waiting` or `stopped`.
    pub state: &'static str,
    /// Since when, in milliseconds since 1970.
    #[serde(serialize_with = "as_rfc3339")]
    pub since: i64,
    /// Why the link is down, in words.
    pub last_error: Option<String>,
    /// What the upstream broker refuses though the link is up.
    pub warning: Option<String>,
    /// The stream of its messages: 16 hex digits.
    pub stream: String,
    /// Messages that wait.
    pub queued: u64,
    /// Bytes that wait.
    pub queued_bytes: u64,
    /// How many bytes may wait.
    pub capacity_bytes: u64,
    /// Age of the oldest message that waits.
    pub oldest_seconds: u64,
    /// Messages taken in per second of late.
    pub taken_in_per_second: f64,
    /// Messages acknowledged upstream per second of late.
    pub acknowledged_per_second: f64,
    /// What was counted since the start.
    #[serde(flatten)]
    pub counts: BridgeCounts,
    /// The gap that was declared last.
    pub last_gap: Option<GapView>,
}

/// What a bridge counts since the start of the gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BridgeCounts {
    /// Messages taken in.
    pub taken_in: u64,
    /// Messages left out because the buffer was full or filling up.
    pub left_out: u64,
    /// Messages acknowledged upstream.
    pub acknowledged: u64,
    /// Payload bytes of them.
    pub acknowledged_bytes: u64,
    /// Messages sent once more.
    pub resent: u64,
    /// Gaps declared.
    pub gaps: u64,
    /// Messages that they miss.
    pub missing: u64,
    /// Messages put onto the dead-letter topic.
    pub dead_letters: u64,
    /// Messages accepted from upstream.
    pub accepted: u64,
    /// Messages from upstream that were refused.
    pub refused: u64,
    /// Connections made.
    pub connections: u64,
}

/// Numbers of a stream that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GapView {
    /// The first one.
    pub from: u64,
    /// The last one.
    pub to: u64,
    /// How many.
    pub count: u64,
    /// Why.
    pub why: &'static str,
}

fn as_rfc3339<S: serde::Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(ms.saturating_mul(1000)))
}

/// Name, kind and meaning of a metric, and how it is read.
type Metric = (&'static str, &'static str, &'static str, fn(&BridgeView) -> f64);

const METRICS: [Metric; 17] = [
    ("connected", "gauge", "Whether the upstream broker has let the bridge in.", |b| {
        f64::from(u8::from(b.state == "connected"))
    }),
    ("queued_messages", "gauge", "Messages that wait.", |b| b.queued as f64),
    ("queued_bytes", "gauge", "Bytes that wait.", |b| b.queued_bytes as f64),
    ("capacity_bytes", "gauge", "Bytes that may wait.", |b| b.capacity_bytes as f64),
    ("oldest_seconds", "gauge", "Age of the oldest message that waits.", |b| b.oldest_seconds as f64),
    ("taken_in_total", "counter", "Messages taken in.", |b| b.counts.taken_in as f64),
    ("left_out_total", "counter", "Messages left out for want of room.", |b| b.counts.left_out as f64),
    ("acknowledged_total", "counter", "Messages acknowledged upstream.", |b| b.counts.acknowledged as f64),
    ("acknowledged_bytes_total", "counter", "Payload bytes acknowledged upstream.", |b| {
        b.counts.acknowledged_bytes as f64
    }),
    ("resent_total", "counter", "Messages sent once more.", |b| b.counts.resent as f64),
    ("gaps_total", "counter", "Gaps declared.", |b| b.counts.gaps as f64),
    ("missing_total", "counter", "Messages declared missing.", |b| b.counts.missing as f64),
    ("dead_letters_total", "counter", "Messages that cannot be sent.", |b| b.counts.dead_letters as f64),
    ("accepted_total", "counter", "Messages accepted from upstream.", |b| b.counts.accepted as f64),
    ("refused_total", "counter", "Messages from upstream refused.", |b| b.counts.refused as f64),
    ("connections_total", "counter", "Connections made.", |b| b.counts.connections as f64),
    ("since_seconds", "gauge", "When the state was entered, in seconds since 1970.", |b| {
        b.since as f64 / 1000.0
    }),
];

/// The metrics of all bridges in Prometheus' text form (0.0.4).
#[must_use]
pub(in crate::web) fn metrics(bridges: &[BridgeView]) -> String {
    let mut out = String::new();
    for (name, kind, meaning, value) in METRICS {
        let _ = writeln!(out, "# HELP iogate_bridge_{name} {meaning}\n# TYPE iogate_bridge_{name} {kind}");
        for bridge in bridges {
            let label = bridge.name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = writeln!(out, "iogate_bridge_{name}{{bridge=\"{label}\"}} {}", value(bridge));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_lines_that_prometheus_reads() {
        let bridge =
            BridgeView { name: "a\"b".into(), state: "connected", queued: 7, ..BridgeView::default() };
        let text = metrics(&[bridge, BridgeView { name: "c".into(), ..BridgeView::default() }]);
        for line in [
            "# TYPE iogate_bridge_queued_messages gauge",
            r#"iogate_bridge_queued_messages{bridge="a\"b"} 7"#,
            r#"iogate_bridge_connected{bridge="c"} 0"#,
            "# TYPE iogate_bridge_acknowledged_total counter",
        ] {
            assert!(text.lines().any(|got| got == line), "{line} is missing in:\n{text}");
        }
        assert_eq!(text.lines().count(), METRICS.len() * 4);
    }

    #[test]
    fn a_view_reads_as_documented() {
        let view = BridgeView { since: 1_500, ..BridgeView::default() };
        let json = serde_json::to_value(view).unwrap();
        assert_eq!(json["since"], "1970-01-01T00:00:01.500Z");
        for key in ["queuedBytes", "takenInPerSecond", "deadLetters", "lastGap", "missing"] {
            assert!(json.get(key).is_some(), "{key}");
        }
    }
}
