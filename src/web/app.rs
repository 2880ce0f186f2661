//! What all requests share, and one look at the gateway from which answers are made.
//!
//! Absent: HTTP. Invariant: an answer is made from one [`State`], so its parts fit together.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use serde::Serialize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::hub::Hub;
use super::meter::{Meter, Rates, Sample};
use super::view::{AlarmView, BrokerView, DevicesView, PageView, PointView, StatusView, Tally, rfc3339};
use super::{Config, Context};
use crate::bus::Latest;
use crate::command::status::OutputStatus;
use crate::model::AlarmStatus;

/// What is counted about the page itself.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Live streams refused at the limit.
    pub(super) streams_refused: AtomicU64,
    /// New snapshots for slow streams.
    pub(super) streams_lagged: AtomicU64,
    /// Connections refused at the limit.
    pub(super) connections_refused: AtomicU64,
}

/// What all requests share.
pub(super) struct App {
    /// What the gateway gave.
    pub(super) context: Context,
    /// Whether commands are taken.
    pub(super) control: bool,
    /// Places for live streams.
    pub(super) streams: Arc<Semaphore>,
    /// How many places there are.
    pub(super) max_streams: usize,
    /// The source of live events.
    pub(super) hub: Hub,
    /// Counters.
    pub(super) counters: Counters,
    /// Ends every stream.
    pub(super) shutdown: CancellationToken,
    meter: Meter,
}

/// The gateway at one moment, from which views are made.
pub(super) struct State {
    latest: Vec<Latest>,
    rates: Rates,
    broker: BrokerView,
    alarms: Vec<AlarmStatus>,
    outputs: Vec<OutputStatus>,
    now: Instant,
}

/// Everything that a page shows, the first event of a stream.
#[derive(Serialize)]
pub(super) struct Snapshot<'a> {
    status: StatusView<'a>,
    devices: DevicesView<'a>,
    alarms: Vec<AlarmView<'a>>,
    points: Vec<PointView<'a>>,
}

impl App {
    /// The shared state of a page that listens on `address`.
    pub(super) fn new(
        context: Context,
        config: &Config,
        address: IpAddr,
        hub: Hub,
        shutdown: CancellationToken,
    ) -> Self {
        let start = Sample {
            at: context.started.mono,
            readings: 0,
            messages: 0,
            busy_us: vec![0; context.channels.len()],
        };
        let max_streams = usize::from(config.max_streams);
        Self {
            control: config.control_on(address),
            streams: Arc::new(Semaphore::new(max_streams)),
            max_streams,
            hub,
            counters: Counters::default(),
            shutdown,
            meter: Meter::new(start),
            context,
        }
    }

    /// Looks at everything once.
    pub(super) fn state(&self) -> State {
        let context = &self.context;
        let (broker, now) = ((context.broker)(), context.clock.mono());
        let sample = Sample {
            at: now,
            readings: context.bus.published(),
            messages: broker.messages_in.saturating_add(broker.messages_out),
            busy_us: context.channels.iter().map(|channel| channel.busy_us.load(Relaxed)).collect(),
        };
        let rates = self.meter.rates(&sample);
        let (latest, outputs) = (context.bus.snapshot(), context.commander.status());
        State { latest, rates, broker, alarms: self.alarms(), outputs, now }
    }

    /// Every alarm as it stands.
    pub(super) fn alarms(&self) -> Vec<AlarmStatus> {
        (self.context.alarms)()
    }

    /// Alarms as the API shows them.
    pub(super) fn alarm_views<'a>(&'a self, alarms: &'a [AlarmStatus]) -> Vec<AlarmView<'a>> {
        alarms.iter().map(|alarm| AlarmView::new(alarm, self.context.bus.points())).collect()
    }
}

impl State {
    /// Every point with its latest value.
    pub(super) fn points<'a>(&'a self, app: &'a App) -> Vec<PointView<'a>> {
        let points = app.context.bus.points().iter().zip(&self.latest);
        points.map(|(point, latest)| PointView::new(point, latest, self.now)).collect()
    }

    /// Channels and devices.
    pub(super) fn devices<'a>(&'a self, app: &'a App) -> DevicesView<'a> {
        let context = &app.context;
        let points = context.bus.points();
        DevicesView::new(&context.channels, points, &self.latest, &self.rates)
            .with_outputs(&self.outputs, points)
    }

    /// The gateway as a whole.
    pub(super) fn status<'a>(&'a self, app: &'a App) -> StatusView<'a> {
        let context = &app.context;
        let now = context.clock.stamp();
        let count = |wanted: fn(&AlarmStatus) -> bool| self.alarms.iter().filter(|own| wanted(own)).count();
        StatusView {
            site: context.site.as_str(),
            version: context.version,
            time: rfc3339(now.unix_us),
            started: rfc3339(context.started.unix_us),
            uptime_seconds: now.mono.saturating_duration_since(context.started.mono).as_secs_f64(),
            ready: (context.ready)(),
            control: app.control,
            points: Tally::new(context.bus.points(), &self.latest),
            readings: context.bus.published(),
            readings_per_second: self.rates.readings,
            alarms_active: count(|alarm| alarm.active && !alarm.state.is_silent()),
            alarms_unacknowledged: count(|alarm| alarm.state.is_unacknowledged()),
            broker: self.broker.clone(),
            messages_per_second: self.rates.messages,
            page: PageView {
                streams: app.max_streams - app.streams.available_permits(),
                max_streams: app.max_streams,
                streams_refused: app.counters.streams_refused.load(Relaxed),
                streams_lagged: app.counters.streams_lagged.load(Relaxed),
                connections_refused: app.counters.connections_refused.load(Relaxed),
            },
        }
    }

    /// Everything at once.
    pub(super) fn snapshot<'a>(&'a self, app: &'a App) -> Snapshot<'a> {
        Snapshot {
            status: self.status(app),
            devices: self.devices(app),
            alarms: app.alarm_views(&self.alarms),
            points: self.points(app),
        }
    }
}
