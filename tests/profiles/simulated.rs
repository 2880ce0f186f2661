//! Every profile is served by the simulator, and the driver reads all of its points there.

use std::sync::Arc;
use std::time::Duration;

use iogate::bus::Bus;
use iogate::clock::Clock;
use iogate::config;
use iogate::driver::{ChannelContext, ChannelStats, Services, WriteQueue, ascii, modbus, mqtt, snmp};
use iogate::model::{Quality, Reading, Reason};
use iogate::simulate::{Options, Simulation};
use tokio_util::sync::CancellationToken;

/// Longer than a loaded machine takes for the first readings of one device.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn every_profile_is_served_by_the_simulator() {
    let mut served = 0;
    for name in config::shipped_profiles() {
        let plan =
            config::profile_device(&name, &crate::around()).unwrap_or_else(|report| panic!("{report}"));
        let drivers: Vec<_> = plan.channels.iter().map(|channel| channel.driver.clone()).collect();
        let tried_elsewhere = drivers[0].get::<ascii::Plan>().is_some()
            || drivers[0].get::<mqtt::Plan>().is_some()
            || drivers[0].get::<snmp::Plan>().is_some();
        // These are tried against the devices themselves.
        if tried_elsewhere {
            continue;
        }
        let options = Options::default();
        let simulation = Simulation::start(&plan.points, &drivers, &plan.behaviours, &options).await.unwrap();
        served += 1;
        if drivers[0].get::<modbus::Plan>().is_some() {
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
            all_read(&name, &plan, &context).await;
            assert_eq!(
                context.stats.devices[0].notice(),
                None,
                "{name}: the simulated device is the right one"
            );
            context.shutdown.cancel();
            task.await.unwrap();
        }
        simulation.stop().await;
    }
    assert!(served >= 60, "{served} profiles were served");
}

/// Waits until every point has been read; what reads as reserved number at rest counts, too.
async fn all_read(name: &str, plan: &config::Plan, context: &ChannelContext) {
    let read = |quality: Quality| match quality {
        Quality::Good | Quality::Bad(Reason::NotAvailable | Reason::SensorFault | Reason::OutOfRange) => true,
        Quality::Uncertain(_) | Quality::Bad(_) => false,
    };
    let waiting = || {
        let unread = plan.points.iter().filter(|point| point.access.readable());
        let mut unread = unread.filter(|point| !read(context.bus.latest(point.id).quality));
        unread.next().map(|point| (point.name.clone(), context.bus.latest(point.id).quality))
    };
    let news = context.bus.subscribe(4096);
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
