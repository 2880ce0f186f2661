//! The points of one channel, how they move, what is wrong with them, and what can be done to them by hand.
//!
//! Pure but for its lock: time comes in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::cell::{Cell, Held};
use crate::driver::text::Extract;
use crate::model::{Behaviour, Conversion, Motion, PointId, PointTable, Value};
use crate::simulate::StartError;
use crate::simulate::fault::{Effects, Fault, FaultError, Faults, Limit};
use crate::simulate::unit::UnitCounts;
use crate::simulate::world::{behaviour_of, output_of, seed_of};

/// One point as its driver plans it.
pub(in crate::simulate) struct Planned<'a, W> {
    pub(in crate::simulate) id: PointId,
    pub(in crate::simulate) wiring: W,
    pub(in crate::simulate) extract: &'a Extract,
    pub(in crate::simulate) conversion: &'a Conversion,
}

/// The devices of one channel.
#[derive(Debug)]
pub(in crate::simulate) struct Station<W> {
    start: Instant,
    /// How long the other side waits for an answer.
    timeout: Duration,
    /// The form of a fault that such devices have, or why they cannot have it.
    suits: fn(Fault) -> Result<Fault, FaultError>,
    state: Mutex<State<W>>,
}

/// What changes of them.
#[derive(Debug)]
pub(in crate::simulate) struct State<W> {
    pub(in crate::simulate) cells: Vec<Cell<W>>,
    pub(in crate::simulate) counts: UnitCounts,
    faults: Faults,
    frozen_at: Option<Duration>,
}

/// What can be done to devices by hand, whatever they speak.
pub(in crate::simulate) trait Operated: fmt::Debug + Send + Sync {
    /// Makes them faulty.
    ///
    /// # Errors
    /// When they cannot have such a fault.
    fn fault(&self, fault: Fault, limit: Limit, now: Instant) -> Result<(), FaultError>;

    /// Makes them sound.
    fn clear(&self);

    /// What is wrong with them, in words.
    fn describe(&self, now: Instant) -> Vec<String>;

    /// What they counted.
    fn counts(&self) -> UnitCounts;

    /// Whether one of them has the point.
    fn has(&self, point: PointId) -> bool;

    /// Holds a point at a value, or at a text that stands for none.
    ///
    /// # Errors
    /// When it is neither.
    fn set(&self, point: PointId, text: &str) -> Result<(), String>;

    /// Lets a point move by itself again.
    ///
    /// # Errors
    /// When there is no such point.
    fn release(&self, point: PointId) -> Result<(), String>;

    /// The value of a point and its text on the wire.
    fn look(&self, point: PointId, now: Instant) -> Option<(Option<Value>, Option<Value>)>;
}

impl<W> Station<W> {
    /// Devices with these points.
    ///
    /// # Errors
    /// When a behaviour does not suit its point, or depends on an output of another channel.
    pub(in crate::simulate) fn new<'a>(
        points: &PointTable,
        planned: impl IntoIterator<Item = Planned<'a, W>>,
        (behaviours, seed): (&BTreeMap<PointId, Behaviour>, u64),
        timeout: Duration,
        suits: fn(Fault) -> Result<Fault, FaultError>,
    ) -> Result<Self, StartError> {
        let mut cells: Vec<Cell<W>> = Vec::new();
        for planned in planned {
            let point = points.get(planned.id);
            let conversion = Conversion { range: None, ..planned.conversion.clone() };
            let behaviour = behaviour_of(point, &conversion, behaviours);
            let unsuited = |problem| StartError::Behaviour { point: Arc::clone(&point.name), problem };
            let mut motion =
                Motion::new(&behaviour, point.kind, seed_of(seed, point.id)).map_err(unsuited)?;
            cells.push(Cell {
                id: point.id,
                name: point.name.split_once('/').map_or(&*point.name, |(_, own)| own).into(),
                kind: point.kind,
                unit: point.unit.as_deref().unwrap_or_default().to_owned(),
                wiring: planned.wiring,
                extract: planned.extract.clone(),
                conversion,
                range: point.range,
                now: motion.at(Duration::ZERO, 0.0),
                motion,
                depends: output_of(points, point, behaviours)?,
                held: None,
            });
        }
        let here = |output: PointId| cells.iter().any(|cell| cell.id == output);
        if let Some(cell) = cells.iter().find(|cell| cell.depends.is_some_and(|output| !here(output))) {
            let problem = "it can depend on outputs of its own channel only".into();
            return Err(StartError::Behaviour { point: Arc::clone(&points.get(cell.id).name), problem });
        }
        let (faults, counts) = (Faults::default(), UnitCounts::default());
        let state = State { cells, faults, counts, frozen_at: None };
        Ok(Self { start: Instant::now(), timeout, suits, state: Mutex::new(state) })
    }

    /// The devices as they are asked something now, and what becomes of the answer; `None`: none is given.
    pub(in crate::simulate) fn asked(&self, now: Instant) -> Option<(MutexGuard<'_, State<W>>, Effects)> {
        self.lock().counts.requests += 1;
        self.speaks(now)
    }

    /// The same where nobody asks and the devices speak by themselves.
    pub(in crate::simulate) fn speaks(&self, now: Instant) -> Option<(MutexGuard<'_, State<W>>, Effects)> {
        let mut state = self.lock();
        let effects = state.faults.effects(&[], self.timeout, now);
        if effects.dead {
            return None;
        }
        self.advance(&mut state, now);
        Some((state, effects))
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance(&self, state: &mut State<W>, now: Instant) {
        let since = now.saturating_duration_since(self.start);
        let time = if state.faults.frozen(now) { *state.frozen_at.get_or_insert(since) } else { since };
        if time == since {
            state.frozen_at = None;
        }
        for place in 0..state.cells.len() {
            let drive = state.cells[place].depends.map_or(0.0, |output| state.drive(output));
            let cell = &mut state.cells[place];
            cell.now = cell.motion.at(time, drive);
        }
    }
}

impl<W: fmt::Debug + Send> Operated for Station<W> {
    fn fault(&self, fault: Fault, limit: Limit, now: Instant) -> Result<(), FaultError> {
        let fault = (self.suits)(fault)?;
        self.lock().faults.add(fault, limit, now)
    }

    fn clear(&self) {
        self.lock().faults.clear();
    }

    fn describe(&self, now: Instant) -> Vec<String> {
        self.lock().faults.describe(now)
    }

    fn counts(&self) -> UnitCounts {
        self.lock().counts
    }

    fn has(&self, point: PointId) -> bool {
        self.lock().cells.iter().any(|cell| cell.id == point)
    }

    fn set(&self, point: PointId, text: &str) -> Result<(), String> {
        let mut state = self.lock();
        let cell = state.cell(point)?;
        if cell.extract.missing.iter().any(|missing| missing == text) {
            cell.held = Some(Held::Missing(text.to_owned()));
            return Ok(());
        }
        let value = Value::parse(text, cell.kind)?;
        cell.conversion.invert(&value, false).map_err(|error| error.to_string())?;
        cell.held = Some(Held::Value(value));
        Ok(())
    }

    fn release(&self, point: PointId) -> Result<(), String> {
        self.lock().cell(point)?.held = None;
        Ok(())
    }

    fn look(&self, point: PointId, now: Instant) -> Option<(Option<Value>, Option<Value>)> {
        let mut state = self.lock();
        self.advance(&mut state, now);
        let cell = state.cell(point).ok()?;
        let value = match &cell.held {
            Some(Held::Missing(_)) => None,
            _ => Some(cell.value()),
        };
        Some((value, Some(Value::from(cell.text().as_str()))))
    }
}

impl<W> State<W> {
    fn cell(&mut self, point: PointId) -> Result<&mut Cell<W>, String> {
        let found = self.cells.iter_mut().find(|cell| cell.id == point);
        found.ok_or_else(|| "no simulated device has the point".to_owned())
    }

    /// An output's state as other points see it: 0 for off to 1 for on; of a number, its share of the range.
    fn drive(&self, output: PointId) -> f64 {
        let Some(cell) = self.cells.iter().find(|cell| cell.id == output) else { return 0.0 };
        match (cell.value(), cell.range) {
            (Value::Bool(state), _) => f64::from(u8::from(state)),
            (value, Some((low, high))) if high > low => {
                value.as_f64().map_or(0.0, |number| ((number - low) / (high - low)).clamp(0.0, 1.0))
            }
            (value, _) => f64::from(u8::from(value.as_f64().is_some_and(|number| number != 0.0))),
        }
    }

    /// Counts one write.
    pub(in crate::simulate) fn written(&mut self) {
        self.counts.writes += 1;
    }
}
