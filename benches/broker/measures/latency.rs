//! How long a message takes, when little else happens and under background.

use std::thread;
use std::time::Duration;

use super::{Setup, Side};
use crate::figures::{Goal, Row, percentile};
use crate::flow::{self, Shape};
use crate::servers::Serving;
use crate::{Outcome, probe};

/// How many times Mosquitto's 99th percentile ours may be.
const GOAL: f64 = 1.25;
/// The background's head start, and how much longer it lasts.
const AROUND: Duration = Duration::from_millis(300);

const BACKGROUND: Shape = Shape {
    publishers: 10,
    subscribers: 10,
    qos: 1,
    payload: 100,
    window: 100,
    pairs: true,
    rate: Some(20_000),
    count: None,
    kept: false,
    prefix: "background",
};

pub(crate) fn measure(setup: &Setup) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, background) in [("500/s", false), ("500/s beside 20,000/s", true)] {
        let figures = setup.alternate(|side| round(setup, side, background))?;
        for (share, goal) in [(0.5, Goal::None), (0.99, Goal::TimesAtMost(GOAL)), (0.999, Goal::None)] {
            let what = format!("latency at {name}, QoS 1, p{}", share * 100.0);
            rows.push(setup.row(what, "µs", &figures, |delays| percentile(delays, share), goal));
        }
    }
    Ok(rows)
}

fn round(setup: &Setup, side: Side, background: bool) -> Outcome<Vec<f64>> {
    let broker = setup.start(side, Serving::Plain)?;
    let time = setup.time * 3;
    if !background {
        return probe::run(&broker.target, time);
    }
    thread::scope(|scope| {
        let flow = scope.spawn(|| flow::run(&broker.target, &broker.process, BACKGROUND, time + 2 * AROUND));
        thread::sleep(AROUND);
        let delays = probe::run(&broker.target, time);
        flow.join().map_err(|_| "the background's thread panicked")??;
        delays
    })
}
