//! CPU time per point: 1,000 points that change at every read, read and published once a second with QoS 1
//! to one subscriber with QoS 1. The broker's CPU time is included, the device's and subscriber's is not.

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

const PERIOD: Duration = Duration::from_secs(1);
const QOS: u8 = 1;
/// Microseconds of CPU time per point that the gateway and its broker may take.
const GOAL_US: f64 = 3.0;

/// Measures it with both payload forms; the raw loop publishes bare values.
pub(crate) fn measure(setup: &Setup) -> Outcome<Vec<Row>> {
    let mut json = Vec::new();
    let gateway_raw = || with_gateway(setup, Payload::Raw);
    let both = || {
        json.push(with_gateway(setup, Payload::Json)?);
        with_raw_loop(setup)
    };
    let (raw, baseline) = setup.alternate(gateway_raw, both)?;
    let row = |what: &str, gateway| Row {
        what: format!("CPU per point, 1,000 points @ 1 s, QoS 1, broker included, {what}"),
        unit: "µs",
        ours: gateway,
        baseline: baseline.clone(),
        against: "raw loop + rumqttc + Mosquitto, bare values",
        goal: Goal::AtMost(GOAL_US),
    };
    Ok(vec![row("bare values", raw), row("JSON", json)])
}

fn with_gateway(setup: &Setup, payload: Payload) -> Outcome<f64> {
    let device = Device::start(Values::Rolling, false)?;
    let plant = Plant::thousand(device.address, PERIOD, QOS, payload);
    let mut gateway = plant.gateway(&setup.program, None)?;
    let subscriber = Subscriber::count(gateway.broker, POINTS_FILTER, QOS, PATIENCE)?;
    per_point(setup, &plant, &subscriber, &mut [&mut gateway.process])
}

fn with_raw_loop(setup: &Setup) -> Outcome<f64> {
    let device = Device::start(Values::Rolling, false)?;
    let plant = Plant::thousand(device.address, PERIOD, QOS, Payload::Raw);
    let mut broker = Mosquitto::start()?;
    let subscriber = Subscriber::count(broker.address, POINTS_FILTER, QOS, PATIENCE)?;
    let mut raw_loop = plant.raw_loop(Some(broker.address))?;
    per_point(setup, &plant, &subscriber, &mut [&mut raw_loop, &mut broker.process])
}

/// CPU time of all processes over the points that reached the subscriber meanwhile, in microseconds.
fn per_point(
    setup: &Setup,
    plant: &Plant,
    subscriber: &Subscriber,
    processes: &mut [&mut Process],
) -> Outcome<f64> {
    subscriber.wait_for(plant.points(), PATIENCE)?;
    thread::sleep(setup.warm_up);
    let (cpu_before, count_before) = (cpu_ns(processes)?, subscriber.received());
    let began = Instant::now();
    thread::sleep(setup.slow);
    let (cpu_after, count_after) = (cpu_ns(processes)?, subscriber.received());
    let delivered = count_after - count_before;
    let due = plant.points() as f64 * began.elapsed().as_secs_f64() / PERIOD.as_secs_f64();
    // A period more or less may fall into the window.
    if (delivered as f64 - due).abs() > plant.points() as f64 * 1.1 {
        return Err(format!("{delivered} messages were delivered where {due:.0} were due").into());
    }
    Ok((cpu_after - cpu_before) as f64 / 1e3 / delivered as f64)
}
