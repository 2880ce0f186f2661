//! The measures, one file each. Each returns the rows of the result that it is for.

mod clients;
mod durable;
pub(crate) mod inside;
mod latency;
mod memory;
mod stall;
mod throughput;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::Outcome;
use crate::command::Asked;
use crate::figures::{Goal, Row};
use crate::servers::{Broker, Materials, Serving};

/// A measure: how it is called on the command line, and what does it.
type Measure = (&'static str, fn(&Setup) -> Outcome<Vec<Row>>);

/// All of them, in the order in which they run.
pub(crate) const MEASURES: [Measure; 15] = [
    ("1to1", throughput::one_to_one),
    ("1to50", throughput::one_to_fifty),
    ("50to1", throughput::fifty_to_one),
    ("50to50", throughput::fifty_to_fifty),
    ("payloads", throughput::payloads),
    ("tls", throughput::tls),
    ("websocket", throughput::websocket),
    ("inside", inside::measure),
    ("latency", latency::measure),
    ("memory", memory::measure),
    ("stall", stall::measure),
    ("storm", clients::storm),
    ("halfopen", clients::half_open),
    ("login", clients::login),
    ("durable", durable::measure),
];

/// How thoroughly to measure, and what.
pub(crate) struct Setup {
    iogate: PathBuf,
    /// Another build of iogate as the baseline; `None`: Mosquitto.
    against: Option<PathBuf>,
    materials: Materials,
    /// Alternating rounds of iogate and baseline.
    rounds: usize,
    /// How long a round publishes.
    time: Duration,
}

/// Which of the two brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Iogate,
    Baseline,
}

impl Setup {
    pub(crate) fn new(asked: &Asked) -> Outcome<Self> {
        let rounds = asked.option("--rounds").map(str::parse).transpose()?;
        let (default, time) = if asked.quick { (1, 500) } else { (5, 2_000) };
        Ok(Self {
            iogate: asked.option("--iogate").unwrap_or(env!("CARGO_BIN_EXE_iogate")).into(),
            against: asked.option("--against").map(PathBuf::from),
            materials: Materials::make()?,
            rounds: rounds.unwrap_or(default).max(1),
            time: Duration::from_millis(time),
        })
    }

    /// Starts one of the two.
    fn start(&self, side: Side, serving: Serving) -> Outcome<Broker> {
        match (side, &self.against) {
            (Side::Iogate, _) => self.materials.iogate(&self.iogate, serving),
            (Side::Baseline, Some(program)) => self.materials.iogate(program, serving),
            (Side::Baseline, None) => self.materials.mosquitto(serving),
        }
    }

    /// Measures both in turn and returns the figures of each.
    fn alternate<T>(&self, mut measure: impl FnMut(Side) -> Outcome<T>) -> Outcome<(Vec<T>, Vec<T>)> {
        let mut figures = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            figures.0.push(measure(Side::Iogate)?);
            figures.1.push(measure(Side::Baseline)?);
        }
        Ok(figures)
    }

    /// A row of the result.
    fn row<T>(
        &self,
        what: impl Into<String>,
        unit: &'static str,
        (ours, baseline): &(Vec<T>, Vec<T>),
        figure: impl Fn(&T) -> f64,
        goal: Goal,
    ) -> Row {
        Row {
            what: what.into(),
            unit,
            ours: ours.iter().map(&figure).collect(),
            baseline: baseline.iter().map(&figure).collect(),
            against: if self.against.is_some() { "another build" } else { "Mosquitto" },
            goal,
        }
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rounds of iogate and baseline in turn, {:?} each", self.rounds, self.time)
    }
}
