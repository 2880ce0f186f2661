//! Messages a second, and what each costs the broker.

use super::Setup;
use crate::Outcome;
use crate::figures::{Goal, Row};
use crate::flow::{self, Shape};
use crate::servers::Serving;

/// A flow with its name and how many times Mosquitto's throughput it is to reach; 0: no goal.
type Case = (&'static str, Shape, f64);

const ONE: Shape = Shape::one_to_one(0);

pub(crate) fn one_to_one(setup: &Setup) -> Outcome<Vec<Row>> {
    cases(
        setup,
        Serving::Plain,
        &[
            ("1→1 QoS 0", ONE, 20.0),
            ("1→1 QoS 1", Shape::one_to_one(1), 3.5),
            ("1→1 QoS 1, window 20", Shape { window: 20, ..Shape::one_to_one(1) }, 3.5),
            ("1→1 QoS 2", Shape::one_to_one(2), 0.0),
        ],
    )
}

pub(crate) fn one_to_fifty(setup: &Setup) -> Outcome<Vec<Row>> {
    let shape = |qos| Shape { subscribers: 50, qos, ..ONE };
    cases(setup, Serving::Plain, &[("1→50 QoS 0", shape(0), 30.0), ("1→50 QoS 1", shape(1), 8.0)])
}

pub(crate) fn fifty_to_one(setup: &Setup) -> Outcome<Vec<Row>> {
    let shape = |qos| Shape { publishers: 50, qos, window: 20, ..ONE };
    cases(setup, Serving::Plain, &[("50→1 QoS 0", shape(0), 10.0), ("50→1 QoS 1", shape(1), 8.0)])
}

pub(crate) fn fifty_to_fifty(setup: &Setup) -> Outcome<Vec<Row>> {
    let shape = |qos| Shape { publishers: 50, subscribers: 50, pairs: true, qos, window: 20, ..ONE };
    cases(setup, Serving::Plain, &[("50→50 QoS 0", shape(0), 0.0), ("50→50 QoS 1", shape(1), 0.0)])
}

pub(crate) fn payloads(setup: &Setup) -> Outcome<Vec<Row>> {
    let shape = |payload, qos| Shape { payload, qos, ..ONE };
    cases(
        setup,
        Serving::Plain,
        &[
            ("1→1 QoS 0, 64 B", shape(64, 0), 0.0),
            ("1→1 QoS 0, 1 kB", shape(1_024, 0), 0.0),
            ("1→1 QoS 0, 64 kB", shape(65_536, 0), 0.0),
            ("1→1 QoS 1, 64 B", shape(64, 1), 0.0),
            ("1→1 QoS 1, 1 kB", shape(1_024, 1), 0.0),
            ("1→1 QoS 1, 64 kB", shape(65_536, 1), 0.0),
        ],
    )
}

pub(crate) fn tls(setup: &Setup) -> Outcome<Vec<Row>> {
    let cases_of_it = [("TLS 1→1 QoS 0", ONE, 0.0), ("TLS 1→1 QoS 1", Shape::one_to_one(1), 0.0)];
    cases(setup, Serving::Tls, &cases_of_it)
}

pub(crate) fn websocket(setup: &Setup) -> Outcome<Vec<Row>> {
    let cases_of_it = [("WebSocket 1→1 QoS 0", ONE, 0.0), ("WebSocket 1→1 QoS 1", Shape::one_to_one(1), 0.0)];
    cases(setup, Serving::WebSocket, &cases_of_it)
}

fn cases(setup: &Setup, serving: Serving, cases: &[Case]) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for &(name, shape, times) in cases {
        let figures = setup.alternate(|side| {
            let broker = setup.start(side, serving)?;
            flow::run(&broker.target, &broker.process, shape, setup.time)
                .map_err(|error| format!("{name}, {side:?}: {error}").into())
        })?;
        let goal = if times > 0.0 { Goal::TimesAtLeast(times) } else { Goal::None };
        rows.push(setup.row(name, "msg/s", &figures, |flow| flow.per_s, goal));
        rows.push(setup.row(format!("{name}, CPU"), "µs/msg", &figures, |flow| flow.cpu_us, Goal::None));
    }
    Ok(rows)
}
