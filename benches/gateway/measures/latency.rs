//! How punctual polls are, and how soon a change is known.
//!
//! Jitter is measured at the device: how far requests arrive from the grid of their period. The time from a
//! change to its message is measured from the moment at which the register changed to the moment at which
//! the subscriber has the message; on average half a period of it is waiting for the next poll.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{PATIENCE, Setup};
use crate::Outcome;
use crate::device::{Device, Record, Values};
use crate::figures::{Goal, Row, median, ms, percentile};
use crate::mosquitto::Mosquitto;
use crate::plant::{POINTS_FILTER, Payload, Plant, Wire};
use crate::process::Process;
use crate::subscriber::{Message, Subscriber};

const PERIOD: Duration = Duration::from_millis(100);
/// Registers change this often: longer than the period, so that every value is seen, and no multiple of it,
/// so that changes fall everywhere between two polls.
const CHANGES: Duration = Duration::from_millis(137);
/// Requests per period, for jitter. More than 50 would be refused: the gateway counts with 2 ms for each.
const REQUESTS: u16 = 40;
/// Registers in one request, for the time from a change to its message.
const REGISTERS: u16 = 50;
/// Registers between two requests that keep a master from joining them.
const APART: u16 = 200;
/// Milliseconds that polls may be off their grid, and that a message may need beyond the period.
const GOAL_MS: f64 = 2.0;

/// How far polls arrive from the grid of their period: 40 requests every 100 ms on one connection.
pub(crate) fn jitter(setup: &Setup) -> Outcome<Vec<Row>> {
    let plant = |device: &Device| Plant {
        wire: Wire::Tcp(device.address),
        connections: 1,
        requests: REQUESTS,
        registers: 1,
        stride: APART,
        period: PERIOD,
        qos: 0,
        payload: Payload::Raw,
    };
    let with_gateway = || {
        let device = Device::start(Values::Rolling, true)?;
        let mut gateway = plant(&device).gateway(&setup.program, None)?;
        let _subscriber = Subscriber::count(gateway.broker, POINTS_FILTER, 0, PATIENCE)?;
        deviations(setup, &device, &mut gateway.process)
    };
    let with_raw_loop = || {
        let device = Device::start(Values::Rolling, true)?;
        let mut raw_loop = plant(&device).raw_loop(None)?;
        deviations(setup, &device, &mut raw_loop)
    };
    let (gateway, baseline) = setup.alternate(with_gateway, with_raw_loop)?;
    let row = |what: &str, share: f64, goal| Row {
        what: format!("poll jitter {what}, 40 requests every 100 ms"),
        unit: "ms",
        ours: gateway.iter().map(|round| percentile(round, share)).collect(),
        baseline: baseline.iter().map(|round| percentile(round, share)).collect(),
        against: "raw loop with tokio's interval",
        goal,
    };
    Ok(vec![
        row("p50", 0.5, Goal::None),
        row("p99", 0.99, Goal::AtMost(GOAL_MS)),
        row("max", 1.0, Goal::None),
    ])
}

/// How far each request of a round arrived from its grid, in milliseconds.
fn deviations(setup: &Setup, device: &Device, process: &mut Process) -> Outcome<Vec<f64>> {
    let end = Instant::now() + PATIENCE;
    while device.record.requests() < u64::from(REQUESTS) {
        if Instant::now() > end {
            return Err("the device was not polled".into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(setup.warm_up);
    device.record.take_arrivals();
    thread::sleep(setup.slow);
    process.check()?;
    let mut by_address: HashMap<u16, Vec<Instant>> = HashMap::new();
    for (address, at) in device.record.take_arrivals() {
        by_address.entry(address).or_default().push(at);
    }
    let due = setup.slow.as_secs_f64() / PERIOD.as_secs_f64();
    if by_address.len() != usize::from(REQUESTS) {
        return Err(format!("{} addresses were polled instead of {REQUESTS}", by_address.len()).into());
    }
    if let Some(few) = by_address.values().map(Vec::len).find(|polls| (*polls as f64) < due * 0.9 - 1.0) {
        return Err(format!("a point was polled {few} times where {due:.0} were due").into());
    }
    Ok(by_address.values().flat_map(|arrivals| from_grid(arrivals)).collect())
}

/// Distances from the grid that fits best: its phase is the median of all arrivals. A poll that was left
/// out leaves a gap, which is no deviation of the others.
fn from_grid(arrivals: &[Instant]) -> Vec<f64> {
    let Some(first) = arrivals.first() else { return Vec::new() };
    let period = ms(PERIOD);
    let mut turn = 0.0;
    let mut last = 0.0;
    let residuals: Vec<f64> = arrivals
        .iter()
        .map(|at| {
            let since = ms(at.duration_since(*first));
            turn += ((since - last) / period).round();
            last = since;
            since - turn * period
        })
        .collect();
    let phase = median(&residuals);
    residuals.iter().map(|residual| (residual - phase).abs()).collect()
}

/// Milliseconds from a change, and from the first answer that carried it, to the subscriber.
#[derive(Default)]
struct Delays {
    from_change: Vec<f64>,
    from_answer: Vec<f64>,
}

/// From the change of a register to its message: 50 registers in one request every 100 ms.
pub(crate) fn change_to_mqtt(setup: &Setup) -> Outcome<Vec<Row>> {
    let plant = |device: &Device| Plant {
        wire: Wire::Tcp(device.address),
        connections: 1,
        requests: 1,
        registers: REGISTERS,
        stride: REGISTERS,
        period: PERIOD,
        qos: 1,
        payload: Payload::Raw,
    };
    let values = Values::Clocked { every: CHANGES };
    let with_gateway = || {
        let device = Device::start(values, false)?;
        let mut gateway = plant(&device).gateway(&setup.program, None)?;
        delays(setup, &device, gateway.broker, &mut gateway.process)
    };
    let with_raw_loop = || {
        let device = Device::start(values, false)?;
        let broker = Mosquitto::start()?;
        let mut raw_loop = plant(&device).raw_loop(Some(broker.address))?;
        delays(setup, &device, broker.address, &mut raw_loop)
    };
    let (gateway, baseline) = setup.alternate(with_gateway, with_raw_loop)?;
    let row = |what: &str, share: f64, figures: fn(&Delays) -> &[f64], goal| Row {
        what: format!("{what}, 100 ms period, QoS 1"),
        unit: "ms",
        ours: gateway.iter().map(|round| percentile(figures(round), share)).collect(),
        baseline: baseline.iter().map(|round| percentile(figures(round), share)).collect(),
        against: "raw loop + rumqttc + Mosquitto",
        goal,
    };
    let change: fn(&Delays) -> &[f64] = |delays| &delays.from_change;
    let answer: fn(&Delays) -> &[f64] = |delays| &delays.from_answer;
    Ok(vec![
        row("change to MQTT p50", 0.5, change, Goal::None),
        row("change to MQTT p99", 0.99, change, Goal::AtMost(ms(PERIOD) + GOAL_MS)),
        row("answer to MQTT p50", 0.5, answer, Goal::None),
        row("answer to MQTT p99", 0.99, answer, Goal::None),
    ])
}

fn delays(
    setup: &Setup,
    device: &Device,
    broker: std::net::SocketAddr,
    process: &mut Process,
) -> Outcome<Delays> {
    let delays = Arc::new(Mutex::new(Delays::default()));
    let (sink, record) = (Arc::clone(&delays), Arc::clone(&device.record));
    let note = move |message: &Message<'_>| note(&record, message, &sink);
    let subscriber = Subscriber::watch(broker, POINTS_FILTER, 1, PATIENCE, note)?;
    subscriber.wait_for(u64::from(REGISTERS), PATIENCE)?;
    thread::sleep(setup.warm_up);
    std::mem::take(&mut *delays.lock().unwrap_or_else(PoisonError::into_inner));
    thread::sleep(setup.slow);
    process.check()?;
    let delays = std::mem::take(&mut *delays.lock().unwrap_or_else(PoisonError::into_inner));
    let due = setup.slow.as_secs_f64() / CHANGES.as_secs_f64() * f64::from(REGISTERS);
    if (delays.from_change.len() as f64) < due * 0.9 {
        return Err(format!("{} of {due:.0} changes were published", delays.from_change.len()).into());
    }
    Ok(delays)
}

fn note(record: &Record, message: &Message<'_>, sink: &Mutex<Delays>) {
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u16>().ok();
    let register =
        message.topic.rsplit(|byte| *byte == b'/').next().and_then(|level| level.strip_prefix(b"p"));
    let (Some(register), Some(value)) = (register.and_then(number), number(message.payload)) else { return };
    if message.retained {
        return;
    }
    let since = |from: Instant| ms(message.at.saturating_duration_since(from));
    let mut delays = sink.lock().unwrap_or_else(PoisonError::into_inner);
    delays.from_change.extend(record.changed_at(register, value).map(since));
    delays.from_answer.extend(record.first_told(register, value).map(since));
}
