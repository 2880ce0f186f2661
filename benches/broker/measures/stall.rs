//! A subscriber that stops reading while 30,000 messages of 1 kB come for it, beside one that reads.

use std::time::Duration;

use super::{Setup, Side};
use crate::Outcome;
use crate::figures::{Goal, Row};
use crate::flow::{self, Shape};
use crate::servers::Serving;
use crate::wire::Wire;

const MESSAGES: u64 = 30_000;
/// Megabytes that one session may hold: `max-queue-bytes` as shipped.
const SESSION: f64 = 8.0 * 1_048_576.0 / 1e6;
/// The flow ends by its count; this only bounds it.
const AT_MOST: Duration = Duration::from_secs(60);

/// What a round shows.
struct Stalled {
    /// Megabytes more than before, at the worst moment.
    peak_mb: f64,
    per_s: f64,
}

pub(crate) fn measure(setup: &Setup) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for qos in [0, 1] {
        let figures = setup.alternate(|side| round(setup, side, qos))?;
        let what = |what: &str| format!("stalled QoS {qos} subscriber, {what}");
        // The stalled one, and the other one whenever it is late.
        let goal = Goal::AtMost(2.0 * SESSION);
        rows.push(setup.row(what("memory at most"), "MB", &figures, |stalled| stalled.peak_mb, goal));
        let what = what("to the other one");
        rows.push(setup.row(what, "msg/s", &figures, |stalled| stalled.per_s, Goal::None));
    }
    Ok(rows)
}

fn round(setup: &Setup, side: Side, qos: u8) -> Outcome<Stalled> {
    let broker = setup.start(side, Serving::Plain)?;
    let mut stalled = Wire::open(&broker.target, "stalled", None)?;
    stalled.subscribe("bench/#", qos)?;
    let before = broker.process.memory()?.rss_kib;
    let shape = Shape { payload: 1_024, count: Some(MESSAGES), ..Shape::one_to_one(qos) };
    let flow = flow::run(&broker.target, &broker.process, shape, AT_MOST)?;
    let peak = broker.process.peak_rss_kib()?;
    Ok(Stalled { peak_mb: (peak - before.min(peak)) as f64 * 1024.0 / 1e6, per_s: flow.per_s })
}
