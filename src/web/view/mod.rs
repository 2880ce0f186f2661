//! What the API says: the forms of points, devices, alarms and the gateway's own state.
//!
//! Pure: everything is built from what the caller passes in. Invariant: ages come from monotonic time and
//! stay right when the wall clock is set; times are wall time in RFC 3339, UTC, milliseconds.

mod alarms;
mod bridges;
mod devices;
mod flood;
mod outputs;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

use crate::bus::Latest;
use crate::model::{Access, Point, PointTable, Quality, Reason, Value, ValueKind};

pub(super) use alarms::AlarmView;
pub(super) use bridges::metrics;
pub use bridges::{BridgeCounts, BridgeView, GapView};
pub(super) use devices::{DevicesView, notice_metrics};
pub(super) use flood::{OverviewView, flood_metrics, notifier_metrics};
pub(super) use outputs::{OutputView, output_metrics};

/// One point and its latest value.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::web) struct PointView<'a> {
    id: u32,
    name: &'a str,
    device: &'a str,
    channel: &'a str,
    topic: &'a str,
    label: Option<&'a str>,
    kind: &'static str,
    unit: Option<&'a str>,
    access: Access,
    range: Option<(f64, f64)>,
    poll_ms: u64,
    value: Option<&'a Value>,
    quality: &'static str,
    reason: Option<String>,
    /// When `value` was read.
    time: Option<String>,
    age_ms: Option<u64>,
}

impl<'a> PointView<'a> {
    /// The view of `point` at `now`.
    #[must_use]
    pub(in crate::web) fn new(point: &'a Point, latest: &'a Latest, now: Instant) -> Self {
        Self {
            id: point.id.0,
            name: &point.name,
            device: &point.device,
            channel: &point.channel,
            topic: point.topic.as_str(),
            label: point.label.as_deref(),
            kind: kind(point.kind),
            unit: point.unit.as_deref(),
            access: point.access,
            range: point.range,
            poll_ms: millis(point.poll),
            value: latest.value.as_ref(),
            quality: latest.quality.class(),
            reason: latest.quality.reason().map(|reason| reason.to_string()),
            time: latest.value_at.map(|at| rfc3339(at.unix_us)),
            age_ms: latest.value_at.map(|at| millis(now.saturating_duration_since(at.mono))),
        }
    }
}

/// Appends one point's news to a list in the making: `[id,value,ageMs]`, and `,quality,reason` when not good.
pub(in crate::web) fn write_reading(id: u32, latest: &Latest, now: Instant, out: &mut Vec<u8>) {
    out.push(b'[');
    out.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
    out.push(b',');
    match &latest.value {
        Some(value) => value.write_json(out),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b',');
    match latest.value_at {
        Some(at) => {
            let age = millis(now.saturating_duration_since(at.mono));
            out.extend_from_slice(itoa::Buffer::new().format(age).as_bytes());
        }
        None => out.extend_from_slice(b"null"),
    }
    if let Some(reason) = latest.quality.reason() {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(latest.quality.class().as_bytes());
        out.extend_from_slice(b"\",\"");
        out.extend_from_slice(reason.to_string().as_bytes());
        out.push(b'"');
    }
    out.push(b']');
}

/// What the embedded broker counts.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokerView {
    /// Where it listens; `None` when it takes no network clients.
    pub listen: Option<String>,
    /// Connected network clients.
    pub clients: u64,
    /// Messages taken in since the start, from clients and from the gateway itself.
    pub messages_in: u64,
    /// Messages given out to subscribers since the start.
    pub messages_out: u64,
}

/// How many there are of each.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::web) struct Tally {
    total: u64,
    good: u64,
    uncertain: u64,
    bad: u64,
    not_yet_read: u64,
}

impl Tally {
    /// Counts points by quality. Points that are never read do not count.
    #[must_use]
    pub(in crate::web) fn new(points: &PointTable, latest: &[Latest]) -> Self {
        let mut tally = Self::default();
        for (_, latest) in points.iter().zip(latest).filter(|(point, _)| point.access.readable()) {
            tally.total += 1;
            match latest.quality {
                Quality::Good => tally.good += 1,
                Quality::Uncertain(_) => tally.uncertain += 1,
                Quality::Bad(Reason::NotYetRead) => tally.not_yet_read += 1,
                Quality::Bad(_) => tally.bad += 1,
            }
        }
        tally
    }
}

/// Open live streams and connections.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::web) struct PageView {
    /// Live streams open now.
    pub(in crate::web) streams: usize,
    /// How many there may be.
    pub(in crate::web) max_streams: usize,
    /// Live streams refused because there were that many.
    pub(in crate::web) streams_refused: u64,
    /// How often a live stream was too slow and was given everything anew.
    pub(in crate::web) streams_lagged: u64,
    /// Connections refused because too many were open.
    pub(in crate::web) connections_refused: u64,
}

/// The gateway as a whole.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::web) struct StatusView<'a> {
    /// The root of every topic.
    pub(in crate::web) site: &'a str,
    /// The program's version.
    pub(in crate::web) version: &'a str,
    /// Now, by the gateway's clock.
    pub(in crate::web) time: String,
    /// When the gateway started.
    pub(in crate::web) started: String,
    /// For how long it has run.
    pub(in crate::web) uptime_seconds: f64,
    /// Whether everything has been started.
    pub(in crate::web) ready: bool,
    /// Whether the page may send commands.
    pub(in crate::web) control: bool,
    /// Points by quality.
    pub(in crate::web) points: Tally,
    /// Readings since the start.
    pub(in crate::web) readings: u64,
    /// Readings per second of late.
    pub(in crate::web) readings_per_second: f64,
    /// Alarms that are active and neither shelved, suppressed nor out of service.
    pub(in crate::web) alarms_active: usize,
    /// Alarms that somebody has to acknowledge.
    pub(in crate::web) alarms_unacknowledged: usize,
    /// The embedded broker.
    pub(in crate::web) broker: BrokerView,
    /// Broker messages, in and out, per second of late.
    pub(in crate::web) messages_per_second: f64,
    /// The page itself.
    pub(in crate::web) page: PageView,
}

/// Wall time as RFC 3339 with milliseconds; a time that no calendar holds is given as the epoch.
#[must_use]
pub(in crate::web) fn rfc3339(unix_us: i64) -> String {
    let time = Timestamp::from_microsecond(unix_us).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}

/// Whole milliseconds.
#[must_use]
pub(in crate::web) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const fn kind(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Bool => "bool",
        ValueKind::Integer => "integer",
        ValueKind::Float => "float",
        ValueKind::Text => "text",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::Stamp;
    use crate::model::point::tests::point;

    fn latest(value: Option<Value>, quality: Quality, at: Instant) -> Latest {
        let at = value.is_some().then_some(Stamp { mono: at, unix_us: 1_700_000_000_123_456 });
        Latest { value, quality, at, value_at: at }
    }

    #[test]
    fn a_point_is_told_with_its_value_age_and_reason() {
        let start = Instant::now();
        let points = PointTable::new(vec![point("a")]);
        let latest = latest(Some(Value::Float(1.5)), Quality::Bad(Reason::DeviceException(2)), start);
        let view = PointView::new(&points.iter().as_slice()[0], &latest, start + Duration::from_millis(1500));
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["value"], json!(1.5));
        assert_eq!(json["quality"], "bad");
        assert_eq!(json["reason"], "device-exception 2");
        assert_eq!(json["time"], "2023-11-14T22:13:20.123Z");
        assert_eq!(json["ageMs"], 1500);
        assert_eq!(json["topic"], "site/test/a");
    }

    #[test]
    fn points_are_tallied_by_quality() {
        let mut writable = point("w");
        writable.access = Access::W;
        let points = PointTable::new(vec![point("a"), point("b"), point("c"), writable]);
        let now = Instant::now();
        let all = [
            latest(Some(Value::Int(1)), Quality::Good, now),
            latest(Some(Value::Int(1)), Quality::Bad(Reason::Timeout), now),
            Latest::default(),
            Latest::default(),
        ];
        let tally = Tally::new(&points, &all);
        assert_eq!(tally, Tally { total: 3, good: 1, uncertain: 0, bad: 1, not_yet_read: 1 });
    }

    #[test]
    fn a_time_outside_the_calendar_is_the_epoch() {
        assert_eq!(rfc3339(i64::MAX), "1970-01-01T00:00:00.000Z");
    }

    proptest! {
        #[test]
        fn a_reading_in_short_form_is_json(id: u32, text in ".*", good: bool, age_ms in 0u64..1 << 40) {
            let now = Instant::now() + Duration::from_millis(age_ms);
            let quality = if good { Quality::Good } else { Quality::Uncertain(Reason::Saturated) };
            let latest = latest(Some(Value::from(text.as_str())), quality, now - Duration::from_millis(age_ms));
            let mut out = Vec::new();
            write_reading(id, &latest, now, &mut out);
            let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
            let expected = if good { json!([id, text, age_ms]) } else { json!([id, text, age_ms, "uncertain", "saturated"]) };
            prop_assert_eq!(read, expected);
        }
    }
}
