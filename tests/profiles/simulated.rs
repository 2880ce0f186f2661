//! Every profile is served by the simulator, and the driver reads all of its points there.

use std::sync::Arc;
use std::time::Duration;

use iogate::bus::Bus;
use iogate::clock::Clock;
use iogate::config::{self, Plan};
use iogate::driver::{ChannelContext, ChannelStats, Services, WriteQueue, mqtt};
use iogate::gateway::Gateway;
use iogate::model::{Quality, Reading, Reason};
use iogate::simulate::{Options, Simulation, serves};
use tokio_util::sync::CancellationToken;

/// Longer than a loaded machine takes for the first readings of one device.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn every_profile_is_served_by_the_simulator() {
    let names: Vec<String> = config::shipped_profiles().collect();
    for name in &names {
        let plan = config::profile_device(name, &crate::around()).unwrap_or_else(|report| panic!("{report}"));
        let driver = &plan.channels[0].driver;
        assert_eq!(serves(driver), Ok(true), "{name}");
        match driver.get::<mqtt::Plan>() {
            Some(_) => by_the_gateway(name, plan).await,
            None => by_the_driver(name, &plan).await,
        }
    }
    assert!(names.len() >= 60, "{} profiles", names.len());
}

/// The driver alone reads the simulated device.
async fn by_the_driver(name: &str, plan: &Plan) {
    let drivers = [plan.channels[0].driver.clone()];
    let simulation =
        Simulation::start(&plan.points, &drivers, &plan.behaviours, &Options::default()).await.unwrap();
    let driver = simulation.redirect(&drivers[0]);
    let context = ChannelContext {
        bus: Bus::new(Arc::clone(&plan.points), Vec::new()),
        writes: Arc::new(WriteQueue::default()),
        stats: Arc::new(ChannelStats::new("device".into(), driver.device_names())),
        clock: Clock::system(),
        services: Services::default(),
        shutdown: CancellationToken::new(),
    };
    let task = tokio::spawn(driver.channel().run(context.clone()));
    all_read(name, plan, &context.bus).await;
    assert_eq!(context.stats.devices[0].notice(), None, "{name}: the simulated device is the right one");
    context.shutdown.cancel();
    task.await.unwrap();
    simulation.stop().await;
}

/// A device that publishes by itself needs a broker, and the driver what the gateway does for it.
async fn by_the_gateway(name: &str, mut plan: Plan) {
    plan.broker.listen = "127.0.0.1:0".parse().unwrap();
    plan.web.enabled = false;
    let (points, behaviours) = (Arc::clone(&plan.points), plan.behaviours.clone());
    let drivers = [plan.channels[0].driver.clone()];
    let copy = config::profile_device(name, &crate::around()).unwrap();
    let gateway = Gateway::start(plan, Clock::system()).await.unwrap();
    let options = Options { mqtt: Some(gateway.mqtt), ..Options::default() };
    let simulation = Simulation::start(&points, &drivers, &behaviours, &options).await.unwrap();
    all_read(name, &copy, &gateway.bus).await;
    // Its outputs go to their safe states first, and the device confirms them.
    assert_eq!(gateway.stop().await, Vec::<Arc<str>>::new(), "{name}: outputs that are not safe");
    simulation.stop().await;
}

/// Waits until every point has been read; what reads as reserved number at rest counts, too.
async fn all_read(name: &str, plan: &Plan, bus: &Arc<Bus>) {
    let read = |quality: Quality| match quality {
        Quality::Good | Quality::Bad(Reason::NotAvailable | Reason::SensorFault | Reason::OutOfRange) => true,
        Quality::Uncertain(_) | Quality::Bad(_) => false,
    };
    let waiting = || {
        let unread = plan.points.iter().filter(|point| point.access.readable());
        let mut unread = unread.filter(|point| !read(bus.latest(point.id).quality));
        unread.next().map(|point| (point.name.clone(), bus.latest(point.id).quality))
    };
    let news = bus.subscribe(4096);
    let mut readings: Vec<Reading> = Vec::new();
    let wait = async {
        while waiting().is_some() {
            readings.clear();
            news.recv(&mut readings).await;
        }
    };
    if tokio::time::timeout(PATIENCE, wait).await.is_err() {
        panic!("{name}: {:?} was not read", waiting());
    }
}
