//! A gateway with simulated devices.

use std::sync::Arc;
use std::time::{Duration, Instant};

use iogate::bus::{Latest, Subscription};
use iogate::clock::Clock;
use iogate::config::{self, Plan, Surroundings};
use iogate::gateway::Gateway;
use iogate::model::{Origin, Outcome, Quality, Reason, Value};
use iogate::simulate::{Options, Simulation};

/// Far more than anything here takes on a machine that is busy with something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway with simulated devices.
pub(crate) struct Site {
    pub(crate) gateway: Gateway,
    /// All but those that connect to the broker.
    pub(crate) devices: Simulation,
    /// Those that do.
    clients: Simulation,
    pub(crate) readings: Subscription,
}

fn plan(yaml: &str) -> Plan {
    let yaml = format!("site: s\nbroker: {{ listen: 127.0.0.1:0 }}\nweb: {{ enabled: off }}\n{yaml}");
    config::load_str(&yaml, "test.yaml", &Surroundings::none()).unwrap_or_else(|report| panic!("{report}"))
}

impl Site {
    /// The devices, the gateway led to them, and the devices that connect to its broker.
    pub(crate) async fn new(yaml: &str) -> Self {
        let mut plan = plan(yaml);
        let drivers: Vec<_> = plan.channels.iter().map(|channel| channel.driver.clone()).collect();
        let (clients, others): (Vec<_>, Vec<_>) =
            drivers.into_iter().partition(|driver| driver.get::<iogate::driver::mqtt::Plan>().is_some());
        let (points, behaviours) = (Arc::clone(&plan.points), plan.behaviours.clone());
        let devices = Simulation::start(&points, &others, &behaviours, &Options::default()).await.unwrap();
        for channel in &mut plan.channels {
            channel.driver = devices.redirect(&channel.driver);
        }
        let gateway = Gateway::start(plan, Clock::system()).await.unwrap();
        let readings = gateway.bus.subscribe(100_000);
        let options = Options { mqtt: Some(gateway.mqtt), ..Options::default() };
        let clients = Simulation::start(&points, &clients, &behaviours, &options).await.unwrap();
        Self { gateway, devices, clients, readings }
    }

    /// Waits until the point is as it should be.
    pub(crate) async fn until(&self, point: &str, fits: impl Fn(&Latest) -> bool) {
        let id = self.gateway.bus.points().by_name(point).unwrap().id;
        let mut batch = Vec::new();
        let search = async {
            while !fits(&self.gateway.bus.latest(id)) {
                batch.clear();
                self.readings.recv(&mut batch).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        found.unwrap_or_else(|_| panic!("{point}: {:?}", self.gateway.bus.latest(id)));
    }

    pub(crate) async fn good(&self, point: &str, value: Value) {
        self.until(point, |latest| latest.quality.is_good() && latest.value.as_ref() == Some(&value)).await;
    }

    pub(crate) async fn bad(&self, point: &str, reason: Reason) {
        self.until(point, |latest| latest.quality == Quality::Bad(reason)).await;
    }

    pub(crate) async fn give(&self, point: &str, value: Value) -> Outcome {
        let id = self.gateway.bus.points().by_name(point).unwrap().id;
        let deadline = Instant::now() + PATIENCE;
        self.gateway.commander.submit(id, value, Origin::Gateway, deadline).outcome().await
    }

    pub(crate) fn order(&self, line: &str) {
        let command = line.parse().unwrap();
        let done = self.devices.execute(&command).or_else(|_| self.clients.execute(&command));
        done.unwrap_or_else(|error| panic!("{line}: {error}"));
    }

    pub(crate) async fn stop(self) {
        assert_eq!(self.gateway.stop().await, Vec::<Arc<str>>::new());
        self.devices.stop().await;
        self.clients.stop().await;
    }
}
