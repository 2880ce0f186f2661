//! The measures, one file each. Each returns the rows of the result that it is for.

mod cpu;
mod latency;
mod line;
mod memory;
mod throughput;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::Outcome;
use crate::figures::Row;

/// How long a broker may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// A measure: how it is called on the command line, and what does it.
type Measure = (&'static str, fn(&Setup) -> Outcome<Vec<Row>>);

/// All of them, in the order in which they run.
pub(crate) const MEASURES: [Measure; 7] = [
    ("cpu", cpu::measure),
    ("throughput", throughput::measure),
    ("jitter", latency::jitter),
    ("latency", latency::change_to_mqtt),
    ("line", line::measure),
    ("memory", memory::memory),
    ("start", memory::start),
];

/// How thoroughly to measure.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The gateway's program.
    pub(crate) program: PathBuf,
    /// Alternating rounds of gateway and baseline.
    rounds: usize,
    /// How long a round lasts in which something happens once a second.
    slow: Duration,
    /// How long a round lasts in which much happens.
    fast: Duration,
    /// What is left out at the start of a round.
    warm_up: Duration,
    /// Starts of the program.
    starts: usize,
}

impl Setup {
    /// What figures are quoted from.
    pub(crate) fn full(program: PathBuf) -> Self {
        Self {
            program,
            rounds: 3,
            slow: Duration::from_secs(20),
            fast: Duration::from_secs(6),
            warm_up: Duration::from_secs(2),
            starts: 15,
        }
    }

    /// Enough to see that everything works.
    pub(crate) fn quick(program: PathBuf) -> Self {
        Self {
            program,
            rounds: 1,
            slow: Duration::from_secs(2),
            fast: Duration::from_secs(1),
            warm_up: Duration::from_secs(1),
            starts: 3,
        }
    }

    /// Measures gateway and baseline in turn and returns the figures of each.
    fn alternate<T>(
        &self,
        mut gateway: impl FnMut() -> Outcome<T>,
        mut baseline: impl FnMut() -> Outcome<T>,
    ) -> Outcome<(Vec<T>, Vec<T>)> {
        let mut figures = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            figures.0.push(gateway()?);
            figures.1.push(baseline()?);
        }
        Ok(figures)
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} rounds of gateway and baseline in turn, {:?} or {:?} each after {:?}; {} starts",
            self.rounds, self.slow, self.fast, self.warm_up, self.starts
        )
    }
}
