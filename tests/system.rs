//! The figures of the machine that the test runs on, through the driver's own channel.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

use std::sync::Arc;
use std::time::Duration;

use iogate::bus::Bus;
use iogate::clock::Clock;
use iogate::config::{self, Surroundings};
use iogate::driver::{ChannelContext, ChannelStats, LinkState, Services, WriteQueue};
use tokio_util::sync::CancellationToken;

const CONFIG: &str = "
site: plant
channels: { box: { system: {} } }
devices:
  box:
    channel: box
    poll: 100ms
    points:
      cpu: { figure: cpu-used }
      load: { figure: load-1 }
      memory: { figure: memory-used }
      disk: { figure: disk-used }
      uptime: { figure: uptime, scale: 0.5 }
";

#[tokio::test]
async fn the_figures_of_this_machine_are_read_again_and_again() {
    let plan = config::load_str(CONFIG, "test.yaml", &Surroundings::none()).unwrap_or_else(|r| panic!("{r}"));
    let driver = &plan.channels[0].driver;
    let context = ChannelContext {
        bus: Bus::new(Arc::clone(&plan.points), Vec::new()),
        writes: Arc::new(WriteQueue::default()),
        stats: Arc::new(ChannelStats::new("box".into(), driver.device_names())),
        clock: Clock::system(),
        services: Services::default(),
        shutdown: CancellationToken::new(),
    };
    let news = context.bus.subscribe(1024);
    let task = tokio::spawn(driver.channel().run(context.clone()));
    let latest = |name: &str| context.bus.latest(plan.points.by_name(name).unwrap().id);
    let names = ["box/cpu", "box/load", "box/memory", "box/disk", "box/uptime"];
    let all = async {
        while !names.iter().all(|name| latest(name).quality.is_good()) {
            news.recv(&mut Vec::new()).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("all figures are good");
    for name in &names[..1] {
        let used = latest(name).value.unwrap().as_f64().unwrap();
        assert!((0.0..=100.0).contains(&used), "{name} {used}");
    }
    let (uptime, told) = (latest("box/uptime").value.unwrap().as_f64().unwrap(), system_uptime());
    assert!((uptime * 2.0 - told).abs() < 60.0, "{uptime} {told}");
    assert_eq!(context.stats.devices[0].link.get(), LinkState::Online);
    context.shutdown.cancel();
    task.await.unwrap();
}

/// As another reader of the same file sees it.
fn system_uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}
