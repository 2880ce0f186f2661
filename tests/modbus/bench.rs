//! A driver running on a real socket or pty, and what its points hold.

use std::sync::Arc;
use std::time::Duration;

use iogate::bus::{Bus, Latest};
use iogate::clock::Clock;
use iogate::driver::modbus::config::{DeviceConfig, PointConfig};
use iogate::driver::modbus::{Device, Plan, Point, Rules, Transport};
use iogate::driver::{Channel, ChannelContext, ChannelStats, Services, WriteJob, WriteQueue};
use iogate::model::{
    Access, CommandId, Conversion, Deadband, Outcome, PayloadFormat, PointId, PointTable, PublishPolicy,
    Quality, Reading, Reason, ReportPolicy, Topic, Value, ValueKind,
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How long to wait for something that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A unit with points that are written as in a configuration file; every point is polled each 50 ms, and
/// writable where its table is.
pub(crate) fn unit(name: &str, number: u8, points: &[&str]) -> Device {
    let config: DeviceConfig = serde_json::from_value(serde_json::json!({ "unit": number })).unwrap();
    let point = |json: &&str| {
        let written: PointConfig = serde_json::from_str(json).unwrap();
        let writable = written.coil.is_some() || written.holding.is_some();
        let (register, write) = written.register(&config, writable).unwrap();
        Point {
            id: PointId(0),
            register,
            conversion: Conversion::default(),
            poll: Duration::from_millis(50),
            access: if writable { Access::Rw } else { Access::R },
            write,
            tolerance: 0.0,
            rules: Rules::default(),
        }
    };
    Device {
        watchdog: None,
        name: name.into(),
        unit: number,
        max_registers: config.max_registers,
        max_bits: config.max_bits,
        max_gap: config.max_gap,
        timeout: Duration::from_millis(500),
        pause: Duration::ZERO,
        wake: None,
        node: None,
        model: name.into(),
        identify: config.probes().unwrap(),
        setup: config.writes(&config.setup, "setup").unwrap(),
        models: Vec::new(),
        points: points.iter().map(point).collect(),
    }
}

/// A running channel.
pub(crate) struct Running {
    pub(crate) context: ChannelContext,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Starts the owner task of a channel; point ids are given in order.
    pub(crate) fn start(transport: Transport, devices: Vec<Device>) -> Self {
        Self::serve(transport, devices, Services::default())
    }

    /// The same, with what the gateway does for drivers.
    pub(crate) fn serve(transport: Transport, mut devices: Vec<Device>, services: Services) -> Self {
        for (id, point) in (0..).zip(devices.iter_mut().flat_map(|device| &mut device.points)) {
            point.id = PointId(id);
        }
        let count = devices.iter().map(|device| device.points.len()).sum();
        let names: Vec<Arc<str>> = devices.iter().map(|device| device.name.clone()).collect();
        let table = PointTable::new((0..count).map(|i: usize| model_point(&i.to_string())).collect());
        let context = ChannelContext {
            bus: Bus::new(Arc::new(table), Vec::new()),
            writes: Arc::new(WriteQueue::default()),
            stats: Arc::new(ChannelStats::new("line".into(), names)),
            clock: Clock::system(),
            services,
            shutdown: CancellationToken::new(),
        };
        let plan = Arc::new(Plan { name: "line".into(), transport, devices });
        let task = tokio::spawn(plan.run(context.clone()));
        Self { context, task }
    }

    pub(crate) fn latest(&self, point: u32) -> Latest {
        self.context.bus.latest(PointId(point))
    }

    /// Waits until a point satisfies `wanted`, looking at every reading.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let news = self.context.bus.subscribe(4096);
        let mut readings: Vec<Reading> = Vec::new();
        let wait = async {
            while !wanted(self) {
                readings.clear();
                news.recv(&mut readings).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            let held = self.context.bus.snapshot();
            panic!("{what} did not come; {:?} …", &held[..held.len().min(10)]);
        }
    }

    pub(crate) async fn until_good(&self, points: std::ops::Range<u32>) {
        let good = |this: &Self| points.clone().all(|point| this.latest(point).quality.is_good());
        self.until("good readings", good).await;
    }

    pub(crate) async fn until_bad(&self, point: u32, reason: Reason) {
        let bad = |this: &Self| this.latest(point).quality == Quality::Bad(reason);
        self.until("a bad reading", bad).await;
    }

    pub(crate) fn values(&self, points: std::ops::Range<u32>) -> Vec<Value> {
        points.map(|point| self.latest(point).value.unwrap()).collect()
    }

    pub(crate) async fn write(&self, point: u32, setpoint: impl Into<Value>) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        let (deadline, setpoint) = (self.context.clock.mono() + PATIENCE, setpoint.into());
        self.context.writes.push(WriteJob {
            id: CommandId(1),
            point: PointId(point),
            setpoint,
            deadline,
            reply: reply.into(),
        });
        outcome.await.unwrap()
    }

    /// Stops the channel, which must return by itself.
    pub(crate) async fn stop(self) {
        self.context.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("the channel stops").unwrap();
    }
}

fn model_point(name: &str) -> iogate::model::Point {
    iogate::model::Point {
        id: PointId(0),
        name: format!("unit/{name}").into(),
        device: "unit".into(),
        channel: "line".into(),
        topic: Topic::join(&["site", "unit", name]).unwrap(),
        kind: ValueKind::Float,
        unit: None,
        label: None,
        access: Access::Rw,
        range: None,
        report: ReportPolicy { deadband: Deadband::None, always: false, max_silence: None },
        publish: PublishPolicy { format: PayloadFormat::Json, qos: 0, retain: true, uncertain: false },
        poll: Duration::from_millis(50),
        safe: None,
        tolerance: 0.0,
        output: iogate::model::OutputRules::default(),
    }
}
