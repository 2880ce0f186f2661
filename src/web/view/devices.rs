//! Channels and devices as the API shows them.
//!
//! Invariant: counters are told as they stand, only the load is a rate.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;

use super::{OutputView, rfc3339};
use crate::bus::Latest;
use crate::command::status::OutputStatus;
use crate::driver::stats::ROUND_TRIP_EDGES_US;
use crate::driver::{ChannelStats, DeviceStats, LinkState};
use crate::model::PointTable;
use crate::web::meter::Rates;

/// All channels.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::web) struct DevicesView<'a> {
    /// Upper edges of the classes of `roundTrips`; the last class is open.
    round_trip_edges_us: [u64; ROUND_TRIP_EDGES_US.len()],
    window_seconds: f64,
    channels: Vec<ChannelView<'a>>,
    /// The outputs that somebody holds, or that are still to be written.
    outputs: Vec<OutputView<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ChannelView<'a> {
    name: &'a str,
    state: LinkState,
    /// Share of `windowSeconds` in which the line was busy, 0 to 1.
    load: f64,
    busy_seconds: f64,
    reconnects: u64,
    missed_polls: u64,
    devices: Vec<DeviceView<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeviceView<'a> {
    name: &'a str,
    state: LinkState,
    points: u64,
    points_not_good: u64,
    requests: u64,
    timeouts: u64,
    exceptions: u64,
    malformed: u64,
    writes: u64,
    mean_round_trip_us: Option<u64>,
    round_trips: Vec<u64>,
    last_answer: Option<String>,
    /// What is odd about the device: it is another one than its profile's, or lacks what is read of it.
    notice: Option<String>,
}

/// The devices of which something is odd, in Prometheus' text form (0.0.4).
#[must_use]
pub(in crate::web) fn notice_metrics(channels: &[Arc<ChannelStats>]) -> String {
    let mut out = String::from(
        "# HELP iogate_device_notice Whether the device is another one than its profile's, or lacks what is read of it.\n# TYPE iogate_device_notice gauge\n",
    );
    let escape = |name: &str| name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    for channel in channels {
        for device in &channel.devices {
            let (name, own, odd) =
                (escape(&channel.name), escape(&device.name), u8::from(device.notice().is_some()));
            // Writing to a String cannot fail.
            let _ = writeln!(out, "iogate_device_notice{{channel=\"{name}\",device=\"{own}\"}} {odd}");
        }
    }
    out
}

impl<'a> DevicesView<'a> {
    /// The view of `channels`; `latest` is a snapshot of the bus in the order of `points`.
    #[must_use]
    pub(in crate::web) fn new(
        channels: &'a [Arc<ChannelStats>],
        points: &PointTable,
        latest: &[Latest],
        rates: &Rates,
    ) -> Self {
        let loads = rates.load.iter().copied().chain(std::iter::repeat(0.0));
        let channel = |(stats, load): (&'a Arc<ChannelStats>, f64)| ChannelView {
            name: &stats.name,
            state: stats.link.get(),
            load,
            busy_seconds: stats.busy_us.load(Relaxed) as f64 / 1e6,
            reconnects: stats.reconnects.load(Relaxed),
            missed_polls: stats.missed_polls.load(Relaxed),
            devices: stats.devices.iter().map(|device| device_view(device, points, latest)).collect(),
        };
        Self {
            round_trip_edges_us: ROUND_TRIP_EDGES_US,
            window_seconds: rates.window.as_secs_f64(),
            channels: channels.iter().zip(loads).map(channel).collect(),
            outputs: Vec::new(),
        }
    }

    /// The same with the outputs that are not simply as somebody has set them.
    #[must_use]
    pub(in crate::web) fn with_outputs(
        mut self,
        outputs: &'a [OutputStatus],
        points: &'a PointTable,
    ) -> Self {
        let told = outputs.iter().filter(|own| own.due || !own.slots.is_empty());
        self.outputs = told.map(|own| OutputView::new(own, points)).collect();
        self
    }
}

fn device_view<'a>(stats: &'a DeviceStats, points: &PointTable, latest: &[Latest]) -> DeviceView<'a> {
    let (mut count, mut not_good) = (0, 0);
    for (point, latest) in points.iter().zip(latest).filter(|(point, _)| point.device == stats.name) {
        count += 1;
        not_good += u64::from(point.access.readable() && !latest.quality.is_good());
    }
    let answered = stats.last_answer_unix_us.load(Relaxed);
    DeviceView {
        name: &stats.name,
        state: stats.link.get(),
        points: count,
        points_not_good: not_good,
        requests: stats.requests.load(Relaxed),
        timeouts: stats.timeouts.load(Relaxed),
        exceptions: stats.exceptions.load(Relaxed),
        malformed: stats.malformed.load(Relaxed),
        writes: stats.writes.load(Relaxed),
        mean_round_trip_us: stats
            .mean_round_trip()
            .map(|mean| u64::try_from(mean.as_micros()).unwrap_or(u64::MAX)),
        round_trips: stats.round_trips(),
        last_answer: (answered > 0).then(|| rfc3339(i64::try_from(answered).unwrap_or(i64::MAX))),
        notice: stats.notice().map(|notice| notice.to_string()),
    }
}
