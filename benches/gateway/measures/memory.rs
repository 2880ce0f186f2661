//! What the program takes when little happens, and how soon it is at work.

use std::thread;
use std::time::Duration;

use super::{PATIENCE, Setup};
use crate::Outcome;
use crate::device::{Device, Values};
use crate::figures::{Goal, Row, ms, percentile};
use crate::mosquitto::Mosquitto;
use crate::plant::{POINTS_FILTER, Payload, Plant};
use crate::process::{Memory, free_address};
use crate::subscriber::Subscriber;

/// Megabytes (of 1,000,000 bytes) that the gateway may hold.
const MEMORY_GOAL_MB: f64 = 12.0;
/// Milliseconds from the program's start to its first message.
const START_GOAL_MS: f64 = 150.0;

/// About what the demonstration has: 60 points on three connections, once a second.
fn small(device: &Device) -> Plant {
    let plant = Plant::thousand(device.address, Duration::from_secs(1), 0, Payload::Json);
    Plant { connections: 3, requests: 2, registers: 10, stride: 100, ..plant }
}

/// Resident memory with 60 points, page, broker and one subscriber.
pub(crate) fn memory(setup: &Setup) -> Outcome<Vec<Row>> {
    let with_gateway = || {
        let device = Device::start(Values::Rolling, false)?;
        let plant = small(&device);
        let mut gateway = plant.gateway(&setup.program, Some(free_address()?))?;
        let subscriber = Subscriber::count(gateway.broker, POINTS_FILTER, 0, PATIENCE)?;
        subscriber.wait_for(plant.points(), PATIENCE)?;
        thread::sleep(setup.fast);
        gateway.process.check()?;
        gateway.process.memory()
    };
    let with_raw_loop = || {
        let device = Device::start(Values::Rolling, false)?;
        let plant = small(&device);
        let broker = Mosquitto::start()?;
        let subscriber = Subscriber::count(broker.address, POINTS_FILTER, 0, PATIENCE)?;
        let raw_loop = plant.raw_loop(Some(broker.address))?;
        subscriber.wait_for(plant.points(), PATIENCE)?;
        thread::sleep(setup.fast);
        let (a, b) = (raw_loop.memory()?, broker.process.memory()?);
        Ok(Memory {
            rss_kib: a.rss_kib + b.rss_kib,
            pss_kib: a.pss_kib + b.pss_kib,
            anonymous_kib: a.anonymous_kib + b.anonymous_kib,
        })
    };
    let (gateway, baseline) = setup.alternate(with_gateway, with_raw_loop)?;
    let row = |what: &str, figure: fn(&Memory) -> u64, goal| Row {
        what: format!("memory with 60 points @ 1 s, {what}"),
        unit: "MB",
        ours: gateway.iter().map(|memory| megabytes(figure(memory))).collect(),
        baseline: baseline.iter().map(|memory| megabytes(figure(memory))).collect(),
        against: "this bench as raw loop + Mosquitto",
        goal,
    };
    Ok(vec![
        row("resident (RSS)", |memory| memory.rss_kib, Goal::AtMost(MEMORY_GOAL_MB)),
        row("proportional (PSS)", |memory| memory.pss_kib, Goal::AtMost(MEMORY_GOAL_MB)),
        row("of it not backed by a file", |memory| memory.anonymous_kib, Goal::None),
    ])
}

fn megabytes(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}

/// From the start of the process to the first message of a point at a subscriber that keeps trying.
pub(crate) fn start(setup: &Setup) -> Outcome<Vec<Row>> {
    let (mut gateway, mut baseline) = (Vec::new(), Vec::new());
    for _ in 0..setup.starts {
        gateway.push(gateway_start(setup)?);
        baseline.push(raw_loop_start()?);
    }
    let row = |what: &str, share: f64, goal| Row {
        what: format!("start to first message, {what} of {} starts", setup.starts),
        unit: "ms",
        ours: vec![percentile(&gateway, share)],
        baseline: vec![percentile(&baseline, share)],
        against: "raw loop and Mosquitto started together",
        goal,
    };
    Ok(vec![row("median", 0.5, Goal::AtMost(START_GOAL_MS)), row("slowest", 1.0, Goal::None)])
}

fn gateway_start(setup: &Setup) -> Outcome<f64> {
    let device = Device::start(Values::Rolling, false)?;
    let gateway = small(&device).gateway(&setup.program, Some(free_address()?))?;
    first_message(gateway.broker, gateway.process.spawned)
}

fn raw_loop_start() -> Outcome<f64> {
    let device = Device::start(Values::Rolling, false)?;
    let broker = Mosquitto::start()?;
    let _raw_loop = small(&device).raw_loop(Some(broker.address))?;
    first_message(broker.address, broker.process.spawned)
}

fn first_message(broker: std::net::SocketAddr, from: std::time::Instant) -> Outcome<f64> {
    let (first, arrived) = std::sync::mpsc::channel();
    let tell = move |message: &crate::subscriber::Message<'_>| {
        let _ = first.send(message.at);
    };
    let _subscriber = Subscriber::watch(broker, POINTS_FILTER, 0, PATIENCE, tell)?;
    Ok(ms(arrived.recv_timeout(PATIENCE)?.saturating_duration_since(from)))
}
