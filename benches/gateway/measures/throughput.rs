//! Points a second, flat out: read without a pause, published with QoS 0, received by one subscriber.
//!
//! Device, subscriber, gateway and brokers share the machine's cores. Delivered is what the subscriber
//! counted; what was read and did not get there was dropped on the way, and its share is told.

use std::thread;
use std::time::{Duration, Instant};

use super::{PATIENCE, Setup};
use crate::Outcome;
use crate::device::{Device, Values};
use crate::figures::{Goal, Row};
use crate::mosquitto::Mosquitto;
use crate::plant::{POINTS_FILTER, Payload, Plant};
use crate::process::{Process, cpu_ns};
use crate::subscriber::Subscriber;

/// Connections that are polled at the same time: enough to keep both cores busy.
const CONNECTIONS: u16 = 4;
/// Points per second that the gateway is to read, publish and deliver.
const GOAL: f64 = 500_000.0;

/// What one round shows.
struct Round {
    delivered_per_s: f64,
    polled_per_s: f64,
    cpu_us: f64,
}

/// Measures it with both payload forms; the raw loop publishes bare values, or nothing.
pub(crate) fn measure(setup: &Setup) -> Outcome<Vec<Row>> {
    let (mut json, mut polled) = (Vec::new(), Vec::new());
    let others = || {
        json.push(with_gateway(setup, Payload::Json)?);
        polled.push(polling_only(setup)?);
        with_raw_loop(setup)
    };
    let (raw, baseline) = setup.alternate(|| with_gateway(setup, Payload::Raw), others)?;
    let figures = |rounds: &[Round], figure: fn(&Round) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
    let row = |what: &str, unit, gateway: &[Round], figure: fn(&Round) -> f64, goal| Row {
        what: format!("flat out, QoS 0, {what}"),
        unit,
        ours: figures(gateway, figure),
        baseline: figures(&baseline, figure),
        against: "raw loop + rumqttc + Mosquitto, bare values",
        goal,
    };
    let dropped = |round: &Round| (1.0 - round.delivered_per_s / round.polled_per_s).max(0.0) * 100.0;
    let mut polls = row("polled, bare values", "points/s", &raw, |round| round.polled_per_s, Goal::None);
    polls.baseline = polled;
    polls.against = "raw loop that publishes nothing";
    Ok(vec![
        row("delivered, bare values", "points/s", &raw, |round| round.delivered_per_s, Goal::AtLeast(GOAL)),
        row("delivered, JSON", "points/s", &json, |round| round.delivered_per_s, Goal::AtLeast(GOAL)),
        polls,
        row("dropped, bare values", "%", &raw, dropped, Goal::None),
        row("dropped, JSON", "%", &json, dropped, Goal::None),
        row("CPU per point, bare values", "µs", &raw, |round| round.cpu_us, Goal::None),
        row("CPU per point, JSON", "µs", &json, |round| round.cpu_us, Goal::None),
    ])
}

fn plant(device: &Device, payload: Payload) -> Plant {
    Plant { connections: CONNECTIONS, ..Plant::thousand(device.address, Duration::ZERO, 0, payload) }
}

fn with_gateway(setup: &Setup, payload: Payload) -> Outcome<Round> {
    let device = Device::start(Values::Rolling, false)?;
    let mut gateway = plant(&device, payload).gateway(&setup.program, None)?;
    let subscriber = Subscriber::count(gateway.broker, POINTS_FILTER, 0, PATIENCE)?;
    round(setup, &device, &subscriber, &mut [&mut gateway.process])
}

fn with_raw_loop(setup: &Setup) -> Outcome<Round> {
    let device = Device::start(Values::Rolling, false)?;
    let mut broker = Mosquitto::start()?;
    let subscriber = Subscriber::count(broker.address, POINTS_FILTER, 0, PATIENCE)?;
    let mut raw_loop = plant(&device, Payload::Raw).raw_loop(Some(broker.address))?;
    round(setup, &device, &subscriber, &mut [&mut raw_loop, &mut broker.process])
}

fn round(
    setup: &Setup,
    device: &Device,
    subscriber: &Subscriber,
    processes: &mut [&mut Process],
) -> Outcome<Round> {
    subscriber.wait_for(1, PATIENCE)?;
    thread::sleep(setup.warm_up);
    let before = (cpu_ns(processes)?, subscriber.received(), device.record.points());
    let began = Instant::now();
    thread::sleep(setup.fast);
    let took = began.elapsed().as_secs_f64();
    let after = (cpu_ns(processes)?, subscriber.received(), device.record.points());
    let delivered = (after.1 - before.1) as f64;
    Ok(Round {
        delivered_per_s: delivered / took,
        polled_per_s: (after.2 - before.2) as f64 / took,
        cpu_us: (after.0 - before.0) as f64 / 1e3 / delivered,
    })
}

/// The raw loop reads and decodes only.
fn polling_only(setup: &Setup) -> Outcome<f64> {
    let device = Device::start(Values::Rolling, false)?;
    let mut raw_loop = plant(&device, Payload::Raw).raw_loop(None)?;
    thread::sleep(setup.warm_up);
    let before = device.record.points();
    let began = Instant::now();
    thread::sleep(setup.fast);
    let polled = device.record.points() - before;
    raw_loop.check()?;
    Ok(polled as f64 / began.elapsed().as_secs_f64())
}
