//! How much of a serial line is used, flat out, against what the line allows.
//!
//! 100 % is one exchange after the other with both frames at the line's speed, the slave's silence before
//! its answer and the master's before its next request. More than that is only reached by a master that
//! does not keep the silence; so breaches are counted.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::{PATIENCE, Setup};
use crate::Outcome;
use crate::figures::{Goal, Row};
use crate::line::{Line, shortest_exchange};
use crate::plant::{POINTS_FILTER, Payload, Plant, Wire};
use crate::process::Process;
use crate::subscriber::Subscriber;

const BAUD: u32 = 19_200;
/// Registers per request: a sensor's few and a meter's many.
const SIZES: [u16; 2] = [10, 100];
/// Percent of the line that the gateway is to use.
const GOAL: f64 = 97.0;

/// What one round shows, in percent.
struct Round {
    used: f64,
    too_early: f64,
}

/// Measures it with short and long answers.
pub(crate) fn measure(setup: &Setup) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for registers in SIZES {
        let with_gateway = || {
            let line = Line::start(BAUD)?;
            let mut gateway = plant(&line, registers).gateway(&setup.program, None)?;
            let _subscriber = Subscriber::count(gateway.broker, POINTS_FILTER, 0, PATIENCE)?;
            round(setup, &line, registers, &mut gateway.process)
        };
        let with_raw_loop = || {
            let line = Line::start(BAUD)?;
            let mut raw_loop = plant(&line, registers).raw_loop(None)?;
            round(setup, &line, registers, &mut raw_loop)
        };
        let (gateway, baseline) = setup.alternate(with_gateway, with_raw_loop)?;
        let row = |what: &str, figure: fn(&Round) -> f64, goal| Row {
            what: format!("RTU line at {BAUD} baud, {registers} registers per request, {what}"),
            unit: "%",
            ours: gateway.iter().map(figure).collect(),
            baseline: baseline.iter().map(figure).collect(),
            against: "raw tokio-modbus loop",
            goal,
        };
        rows.push(row("used", |round| round.used, Goal::AtLeast(GOAL)));
        rows.push(row("requests before the silence was over", |round| round.too_early, Goal::None));
    }
    Ok(rows)
}

fn plant(line: &Line, registers: u16) -> Plant {
    Plant {
        wire: Wire::Rtu(line.port.clone(), BAUD),
        connections: 1,
        requests: 1,
        registers,
        stride: registers,
        period: Duration::ZERO,
        qos: 0,
        payload: Payload::Raw,
    }
}

fn round(setup: &Setup, line: &Line, registers: u16, process: &mut Process) -> Outcome<Round> {
    next_answer(line)?;
    thread::sleep(setup.warm_up);
    // From the end of one answer to the end of another: whole exchanges only.
    let (began, before, early_before) = next_answer(line)?;
    thread::sleep(setup.slow);
    let (ended, after, early_after) = next_answer(line)?;
    process.check()?;
    let exchanges = (after - before) as f64;
    let shortest = shortest_exchange(BAUD, registers).as_secs_f64();
    Ok(Round {
        used: exchanges * shortest / (ended - began).as_secs_f64() * 100.0,
        too_early: (early_after - early_before) as f64 / exchanges * 100.0,
    })
}

/// Waits for the end of the next answer. Returns when it was, and how many answers and breaches there were.
fn next_answer(line: &Line) -> Outcome<(Instant, u64, u64)> {
    let before = line.traffic.answered.load(Ordering::Relaxed);
    let end = Instant::now() + PATIENCE;
    loop {
        let now = Instant::now();
        let answered = line.traffic.answered.load(Ordering::Relaxed);
        if answered > before {
            return Ok((now, answered, line.traffic.too_early.load(Ordering::Relaxed)));
        }
        if now > end {
            return Err("nobody asks the slave".into());
        }
        thread::sleep(Duration::from_micros(100));
    }
}
