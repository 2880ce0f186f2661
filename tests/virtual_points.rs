//! Computed points of a whole configuration: from readings on the bus to totals that outlive restarts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use iogate::bus::{Bus, Latest};
use iogate::clock::Clock;
use iogate::config::{self, Plan, Surroundings};
use iogate::driver::{ChannelContext, ChannelStats, Services, WriteJob, WriteQueue, virtual_points};
use iogate::model::{CommandId, Outcome, Quality, Reading, Reason, Stamp, Value};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

const CONFIG: &str = "
site: plant
channels:
  plc: { modbus-tcp: { address: 192.0.2.10 } }
  computed: { virtual: { save-every: 1s } }
devices:
  press:
    channel: plc
    poll: 5s
    points:
      temperature: { input: 0, type: i16, unit: °C }
      humidity: { input: 1, unit: '%' }
      power: { input: 2, type: f32, unit: W }
      fan: { discrete: 1 }
  line:
    channel: computed
    points:
      dew-point: { dew-point: { temperature: press/temperature, humidity: press/humidity }, scale: 1, round: 1 }
      margin: { formula: 't - dew', inputs: { t: press/temperature, dew: line/dew-point } }
      wet: { formula: margin < 3, inputs: { margin: line/margin } }
      energy: { energy: press/power, scale: 0.001, unit: kWh, access: rw, safe: none }
      starts: { count-edges: { of: press/fan } }
";

/// The computed channel of the configuration at work; the others are the test's own hand.
struct Bench {
    plan: Plan,
    context: ChannelContext,
    begun: Stamp,
    task: tokio::task::JoinHandle<()>,
}

impl Bench {
    fn start(state: &Path) -> Self {
        let plan =
            config::load_str(CONFIG, "test.yaml", &Surroundings::none()).unwrap_or_else(|r| panic!("{r}"));
        let driver = &plan.channels.iter().find(|channel| &*channel.name == "computed").unwrap().driver;
        assert!(driver.get::<virtual_points::Plan>().is_some());
        let context = ChannelContext {
            bus: Bus::new(Arc::clone(&plan.points), Vec::new()),
            writes: Arc::new(WriteQueue::default()),
            stats: Arc::new(ChannelStats::new("computed".into(), driver.device_names())),
            clock: Clock::system(),
            services: Services { state: Some(state.to_path_buf()), ..Services::default() },
            shutdown: CancellationToken::new(),
        };
        let task = tokio::spawn(driver.channel().run(context.clone()));
        Self { plan, begun: context.clock.stamp(), context, task }
    }

    fn latest(&self, point: &str) -> Latest {
        self.context.bus.latest(self.plan.points.by_name(point).unwrap().id)
    }

    /// A reading so many seconds from the start.
    fn reading(&self, point: &str, value: impl Into<Value>, seconds: u64) -> Reading {
        let at = Stamp { mono: self.begun.mono + Duration::from_secs(seconds), ..self.begun };
        Reading::good(self.plan.points.by_name(point).unwrap().id, value.into(), at)
    }

    fn publish<const N: usize>(&self, mut readings: [Reading; N]) {
        self.context.bus.publish(&mut readings);
    }

    async fn until(&self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let news = self.context.bus.subscribe(1024);
        let wait = async {
            while !wanted(self) {
                news.recv(&mut Vec::new()).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} does not come"));
    }

    async fn until_computing(&self) {
        self.until("the begin", |this| this.latest("line/starts").value.is_some()).await;
    }

    async fn stop(self) {
        self.context.shutdown.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn a_chain_of_points_follows_its_inputs() {
    let state = tempfile::tempdir().unwrap();
    let bench = Bench::start(state.path());
    bench.until_computing().await;
    bench
        .publish([bench.reading("press/temperature", 20_i64, 0), bench.reading("press/humidity", 50_i64, 0)]);
    bench.until("the chain", |this| this.latest("line/wet").quality.is_good()).await;
    assert_eq!(bench.latest("line/dew-point").value, Some(Value::Float(9.3)));
    assert_eq!(bench.latest("line/margin").value, Some(Value::Float(20.0 - 9.3)));
    assert_eq!(bench.latest("line/wet").value, Some(Value::Bool(false)));
    assert_eq!(bench.latest("line/wet").at, bench.latest("press/humidity").at);
    bench.publish([bench.reading("press/humidity", 95_i64, 1)]);
    bench.until("wet", |this| this.latest("line/wet").value == Some(Value::Bool(true))).await;
    let point = bench.plan.points.by_name("press/humidity").unwrap().id;
    bench.publish([Reading::bad(point, Reason::SensorFault, bench.context.clock.stamp())]);
    bench.until("the fault", |this| !this.latest("line/wet").quality.is_usable()).await;
    for name in ["line/dew-point", "line/margin", "line/wet"] {
        assert_eq!(bench.latest(name).quality, Quality::Bad(Reason::SensorFault), "{name}");
    }
    assert_eq!(bench.latest("line/wet").value, Some(Value::Bool(true)), "the last value stands");
    bench.stop().await;
}

#[tokio::test]
async fn a_computed_point_is_as_slow_as_its_inputs() {
    let plan = config::load_str(CONFIG, "test.yaml", &Surroundings::none()).unwrap();
    assert_eq!(plan.points.by_name("line/wet").unwrap().poll, Duration::from_secs(5));
}

#[tokio::test]
async fn totals_outlive_a_stop_and_a_crash_and_can_be_set() {
    let state = tempfile::tempdir().unwrap();
    let bench = Bench::start(state.path());
    bench.until_computing().await;
    bench.publish([bench.reading("press/power", 2000.0, 0), bench.reading("press/fan", false, 0)]);
    bench.publish([bench.reading("press/power", 2000.0, 3600), bench.reading("press/fan", true, 1)]);
    bench.until("the energy", |this| this.latest("line/energy").value == Some(Value::Float(2.0))).await;
    bench.until("the start", |this| this.latest("line/starts").value == Some(Value::Int(1))).await;
    bench.stop().await;

    let bench = Bench::start(state.path());
    bench.until_computing().await;
    assert_eq!(bench.latest("line/energy").value, Some(Value::Float(2.0)));
    assert_eq!(
        bench.latest("line/energy").quality,
        Quality::Bad(Reason::NotYetRead),
        "nothing is measured yet"
    );
    assert_eq!(bench.latest("line/starts").value, Some(Value::Int(1)));
    bench.publish([bench.reading("press/power", 1000.0, 0)]);
    let (reply, outcome) = oneshot::channel();
    let point = bench.plan.points.by_name("line/energy").unwrap().id;
    let deadline = bench.context.clock.mono() + PATIENCE;
    bench.context.writes.push(WriteJob {
        id: CommandId(1),
        point,
        setpoint: Value::Float(10.0),
        deadline,
        reply: reply.into(),
    });
    assert_eq!(outcome.await.unwrap(), Outcome::Verified { read_back: Value::Float(10.0) });
    // Saved by and by, so that not even a crash loses it.
    let file = state.path().join("totals/computed.json");
    let saved = async {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        while !std::fs::read_to_string(&file).is_ok_and(|text| text.contains("10000")) {
            looks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, saved).await.expect("the total is saved");
    bench.task.abort();

    let bench = Bench::start(state.path());
    bench.until_computing().await;
    assert_eq!(bench.latest("line/energy").value, Some(Value::Float(10.0)));
    bench.stop().await;
}
