//! Simulated devices in a process of their own, and the driver's channels of the same configuration here.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use iogate::bus::{Bus, Latest};
use iogate::clock::Clock;
use iogate::config::{self, Plan, Surroundings};
use iogate::driver::{ChannelContext, ChannelStats, DriverPlan, Services, WriteJob, WriteQueue};
use iogate::model::{CommandId, Outcome, Quality, Reading, Reason, Value};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How long to wait for something that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration that must be right.
#[track_caller]
pub(crate) fn plan(yaml: &str) -> Plan {
    config::load_str(yaml, "test.yaml", &Surroundings::none()).unwrap_or_else(|report| panic!("{report}"))
}

/// `iogate simulate` with a configuration.
pub(crate) struct Double {
    process: Child,
    control: BufReader<TcpStream>,
    endpoints: serde_json::Value,
    _directory: tempfile::TempDir,
}

impl Double {
    pub(crate) fn start(yaml: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (config, endpoints) =
            (directory.path().join("config.yaml"), directory.path().join("endpoints.json"));
        std::fs::write(&config, yaml).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_iogate"))
            .args(["simulate", "--control", "127.0.0.1:0", "-c"])
            .arg(&config)
            .arg("--endpoints")
            .arg(&endpoints)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut told = lines.map(Result::unwrap).take_while(|line| !line.contains("`help`"));
        let address = told.find_map(|line| line.strip_prefix("control  ").map(str::to_owned)).unwrap();
        let control = BufReader::new(TcpStream::connect(address).unwrap());
        let endpoints = read_json(&endpoints);
        Self { process, control, endpoints, _directory: directory }
    }

    /// Gives a command, which must succeed, and returns what it prints.
    pub(crate) fn tell(&mut self, command: &str) -> String {
        self.control.get_mut().write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        loop {
            let mut line = String::new();
            assert!(self.control.read_line(&mut line).unwrap() > 0, "the double has ended");
            match line.trim_end() {
                "ok" => return answer,
                text if text.starts_with("error: ") => panic!("{command}: {text}"),
                _ => answer.push_str(&line),
            }
        }
    }

    pub(crate) fn endpoint(&self, channel: &str) -> String {
        self.endpoints[channel].as_str().unwrap().to_owned()
    }
}

fn read_json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

impl Drop for Double {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The channels of a configuration at work.
pub(crate) struct Running {
    plan: Plan,
    pub(crate) bus: Arc<Bus>,
    contexts: Vec<ChannelContext>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Running {
    /// Starts every channel of a plan, led to where the double serves the channel of the same name.
    pub(crate) fn start(plan: Plan, double: &Double) -> Self {
        Self::lead(plan, |channel| double.endpoint(channel))
    }

    /// Starts every channel of a plan, led to an endpoint.
    pub(crate) fn lead(plan: Plan, endpoint: impl Fn(&str) -> String) -> Self {
        let lead = |driver: &DriverPlan, channel: &str| driver.with_endpoint(&endpoint(channel));
        Self::run(plan, lead)
    }

    /// Starts every channel of a plan where the plan says.
    pub(crate) fn as_configured(plan: Plan) -> Self {
        Self::run(plan, |driver, _| driver.clone())
    }

    fn run(plan: Plan, lead: impl Fn(&DriverPlan, &str) -> DriverPlan) -> Self {
        let bus = Bus::new(Arc::clone(&plan.points), Vec::new());
        let (mut contexts, mut tasks) = (Vec::new(), Vec::new());
        for channel in &plan.channels {
            let driver = lead(&channel.driver, &channel.name);
            let context = ChannelContext {
                bus: Arc::clone(&bus),
                writes: Arc::new(WriteQueue::default()),
                stats: Arc::new(ChannelStats::new(Arc::clone(&channel.name), driver.device_names())),
                clock: Clock::system(),
                services: Services::default(),
                shutdown: CancellationToken::new(),
            };
            tasks.push(tokio::spawn(driver.channel().run(context.clone())));
            contexts.push(context);
        }
        Self { plan, bus, contexts, tasks }
    }

    pub(crate) fn context(&self, channel: usize) -> &ChannelContext {
        &self.contexts[channel]
    }

    pub(crate) fn latest(&self, point: &str) -> Latest {
        let point = self.plan.points.by_name(point).unwrap_or_else(|| panic!("no point {point}"));
        self.bus.latest(point.id)
    }

    /// Waits until `wanted`, looking after every reading.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let news = self.bus.subscribe(4096);
        let mut readings: Vec<Reading> = Vec::new();
        let wait = async {
            while !wanted(self) {
                readings.clear();
                news.recv(&mut readings).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            let held = self.bus.snapshot();
            panic!("{what} did not come; {:?} …", &held[..held.len().min(10)]);
        }
    }

    /// Waits until a point holds a good reading of this value.
    pub(crate) async fn until_value(&self, point: &str, value: impl Into<Value>) {
        let value = value.into();
        let holds = |this: &Self| {
            let latest = this.latest(point);
            latest.quality.is_good() && latest.value.as_ref() == Some(&value)
        };
        self.until(&format!("{point} = {value}"), holds).await;
    }

    /// Waits until a point is bad for this reason.
    pub(crate) async fn until_bad(&self, point: &str, reason: Reason) {
        let bad = |this: &Self| this.latest(point).quality == Quality::Bad(reason);
        self.until(&format!("{point} bad ({reason})"), bad).await;
    }

    pub(crate) async fn write(&self, point: &str, setpoint: impl Into<Value>) -> Outcome {
        let point = self.plan.points.by_name(point).unwrap();
        let place = self.plan.channels.iter().position(|channel| channel.name == point.channel).unwrap();
        let context = &self.contexts[place];
        let (reply, outcome) = oneshot::channel();
        context.writes.push(WriteJob {
            id: CommandId(1),
            point: point.id,
            setpoint: setpoint.into(),
            deadline: context.clock.mono() + PATIENCE,
            reply: reply.into(),
        });
        tokio::time::timeout(PATIENCE, outcome).await.expect("the write is answered").unwrap()
    }

    /// Stops the channels, which must return by themselves.
    pub(crate) async fn stop(self) {
        for context in &self.contexts {
            context.shutdown.cancel();
        }
        for task in self.tasks {
            tokio::time::timeout(PATIENCE, task).await.expect("the channel stops").unwrap();
        }
    }
}
