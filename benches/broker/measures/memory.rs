//! What idle clients cost.
//!
//! Proportional resident memory of the broker's process before and after, once it has had time to settle.
//! Buffers that the kernel holds for sockets belong to no process and are not counted, for nobody.

use std::thread;
use std::time::Duration;

use super::{Setup, Side};
use crate::Outcome;
use crate::crowd::{Crowd, Manner};
use crate::figures::{Goal, Row};
use crate::servers::{Broker, Serving};
use crate::wire::Wire;

/// Bytes that an idle connection with one subscription may cost.
const PER_CONNECTION: f64 = 3_000.0;
/// Megabytes of a broker without clients.
const EMPTY: f64 = 6.0;
/// Time to settle.
const SETTLE: Duration = Duration::from_secs(1);

/// Megabytes empty, bytes per connection with 1,000 and with 5,000 of them.
type Figures = [f64; 3];

pub(crate) fn measure(setup: &Setup) -> Outcome<Vec<Row>> {
    let plain = setup.alternate(|side| round(setup, side))?;
    let tls = setup.alternate(|side| tls(setup, side))?;
    let row = |what: &str, unit, at: usize, goal| {
        setup.row(what, unit, &plain, |figures: &Figures| figures[at], goal)
    };
    Ok(vec![
        row("memory, no clients", "MB", 0, Goal::AtMost(EMPTY)),
        row("memory per idle connection, 1,000", "bytes", 1, Goal::AtMost(PER_CONNECTION)),
        row("memory per idle connection, 5,000", "bytes", 2, Goal::AtMost(PER_CONNECTION)),
        setup.row("memory per idle TLS connection, 1,000", "bytes", &tls, |&bytes| bytes, Goal::None),
    ])
}

fn round(setup: &Setup, side: Side) -> Outcome<Figures> {
    let broker = setup.start(side, Serving::Plain)?;
    let empty = settled(&broker)?;
    let manner = Manner { login: None, subscribes: true };
    let mut crowd = Crowd::default();
    let mut per_connection = |total: usize| -> Outcome<f64> {
        while crowd.len() < total {
            crowd.add(broker.target.address, 500, manner)?;
        }
        Ok((settled(&broker)? - empty) / total as f64)
    };
    Ok([empty / 1e6, per_connection(1_000)?, per_connection(5_000)?])
}

/// Bytes per connection, each with one subscription.
fn tls(setup: &Setup, side: Side) -> Outcome<f64> {
    const COUNT: usize = 1_000;
    let broker = setup.start(side, Serving::Tls)?;
    let empty = settled(&broker)?;
    let mut clients = Vec::new();
    for number in 0..COUNT {
        let mut wire = Wire::open(&broker.target, &format!("tls-{number}"), None)?;
        wire.subscribe(&format!("crowd/{number}/topic"), 0)?;
        clients.push(wire);
    }
    Ok((settled(&broker)? - empty) / clients.len() as f64)
}

/// Bytes, after a moment.
fn settled(broker: &Broker) -> Outcome<f64> {
    thread::sleep(SETTLE);
    Ok(broker.process.memory()?.pss_kib as f64 * 1024.0)
}
