//! What `iogate check` predicts of a serial line against what the simulated line is then found to carry.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

use std::time::Duration;

use iogate::clock::Clock;
use iogate::config::{self, Plan, Surroundings};
use iogate::driver::modbus;
use iogate::gateway::Gateway;
use iogate::simulate::{Options, Simulation};

/// How long the line is watched: some hundred exchanges at 9600 baud.
const WINDOW: Duration = Duration::from_secs(10);

fn load(yaml: &str) -> Plan {
    config::load_str(yaml, "line.yaml", &Surroundings::none()).unwrap_or_else(|report| panic!("{report}"))
}

/// A line with three devices of different habits: one block, scattered registers, coils.
const LINE: &str = "
site: budget
channels:
  line: { modbus-rtu: { port: /dev/ttyUSB0, baud: 9600 } }
devices:
  meter:
    channel: line
    unit: 1
    topic: meter
    poll: 500ms
    points:
      v{n}: { repeat: 1..20, input: 0, step: 2, type: f32 }
  climate:
    channel: line
    unit: 2
    topic: climate
    poll: 250ms
    max-gap: 0
    points:
      temperature: { input: 1, type: i16, scale: 0.1 }
      humidity: { input: 100, type: u16, scale: 0.1 }
  relays:
    channel: line
    unit: 3
    topic: relays
    poll: 200ms
    points:
      in{n}: { repeat: 1..8, discrete: 0 }
broker: { listen: 127.0.0.1:0 }
web: { enabled: false }
";

#[tokio::test(flavor = "multi_thread")]
async fn the_predicted_line_time_is_what_the_line_carries() {
    let mut plan = load(LINE);
    let line: &modbus::Plan = plan.channels[0].driver.get().unwrap();
    let predicted = line.budget().line_time_share;
    assert!((0.3..0.95).contains(&predicted), "a line that is busy but not full: {predicted}");

    let drivers = vec![plan.channels[0].driver.clone()];
    let options = Options::default();
    let simulation = Simulation::start(&plan.points, &drivers, &plan.behaviours, &options);
    let simulation = simulation.await.expect("simulated");
    plan.channels[0].driver = simulation.redirect(&drivers[0]);
    let gateway = Gateway::start(plan, Clock::system()).await.expect("started");

    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = (simulation.load("line").expect("served"), tokio::time::Instant::now());
    tokio::time::sleep_until(before.1 + WINDOW).await;
    let after = simulation.load("line").expect("served");
    let busy = after.busy().saturating_sub(before.0.busy());
    let measured = busy.as_secs_f64() / before.1.elapsed().as_secs_f64();

    let unsafe_outputs = gateway.stop().await;
    simulation.stop().await;
    assert!(unsafe_outputs.is_empty());
    let error = (predicted / measured - 1.0).abs();
    assert!(error <= 0.10, "predicted {predicted:.3}, measured {measured:.3}: off by {:.1} %", error * 100.0);
}

#[test]
fn a_poll_set_that_cannot_fit_is_refused_with_what_would() {
    let crowded = LINE.replace("poll: 500ms", "poll: 50ms");
    let report = config::load_str(&crowded, "line.yaml", &Surroundings::none()).expect_err("it cannot fit");
    let text = report.to_string();
    assert!(text.contains("line.yaml:4:3") && text.contains("line"), "{text}");
    assert!(
        text.contains('%') && text.contains("baud"),
        "it says how much too much and what would fit: {text}"
    );
}
