//! One simulated host: its points, how they move, what is wrong with it, and its answers.
//!
//! Pure but for its lock: a request and the time go in, an answer comes out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::StartError;
use super::super::fault::{Effects, Fault, FaultError, Faults, Limit};
use super::super::unit::UnitCounts;
use super::super::world::{behaviour_of, output_of, seed_of};
use super::wire::{Answer, Asked};
use super::{generic, web_io};
use crate::driver::http::extract::{Form, Suffix};
use crate::driver::http::{Plan, Wiring};
use crate::model::{Behaviour, Conversion, Motion, PointId, PointTable, Value, ValueKind};

/// One simulated host.
#[derive(Debug)]
pub(in crate::simulate) struct Host {
    /// The channel's plan.
    pub(super) plan: Arc<Plan>,
    start: Instant,
    state: Mutex<State>,
}

/// What changes of it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) cells: Vec<Cell>,
    faults: Faults,
    counts: UnitCounts,
    frozen_at: Option<Duration>,
}

/// One point as the host holds it.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) id: PointId,
    /// The point's own name, without its device's.
    pub(super) name: Arc<str>,
    pub(super) kind: ValueKind,
    pub(super) unit: String,
    pub(super) wiring: Wiring,
    /// From values to raw ones; it has no range: a device knows nothing of ours.
    pub(super) conversion: Conversion,
    range: Option<(f64, f64)>,
    motion: Motion,
    /// The output that it depends on.
    depends: Option<PointId>,
    now: Value,
    held: Option<Held>,
}

/// What a point was set to.
#[derive(Debug, Clone)]
enum Held {
    Value(Value),
    /// A text that stands for no value.
    Missing(String),
}

impl Host {
    /// The host that a plan describes.
    ///
    /// # Errors
    /// When a behaviour does not suit its point, or depends on an output of another channel.
    pub(in crate::simulate) fn new(
        points: &PointTable,
        plan: &Arc<Plan>,
        behaviours: &BTreeMap<PointId, Behaviour>,
        seed: u64,
    ) -> Result<Self, StartError> {
        let wired: Vec<_> = plan.devices.iter().flat_map(|device| &device.points).collect();
        let mut cells = Vec::with_capacity(wired.len());
        for planned in &wired {
            let point = points.get(planned.id);
            let conversion = Conversion { range: None, ..planned.conversion.clone() };
            let behaviour = behaviour_of(point, &conversion, behaviours);
            let unsuited = |problem| StartError::Behaviour { point: Arc::clone(&point.name), problem };
            let mut motion =
                Motion::new(&behaviour, point.kind, seed_of(seed, point.id)).map_err(unsuited)?;
            let depends = output_of(points, point, behaviours)?;
            if depends.is_some_and(|output| !wired.iter().any(|other| other.id == output)) {
                let problem = "an HTTP point can depend on outputs of its own channel only".into();
                return Err(StartError::Behaviour { point: Arc::clone(&point.name), problem });
            }
            cells.push(Cell {
                id: point.id,
                name: point.name.split_once('/').map_or(&*point.name, |(_, own)| own).into(),
                kind: point.kind,
                unit: point.unit.as_deref().unwrap_or_default().to_owned(),
                wiring: planned.wiring.clone(),
                conversion,
                range: point.range,
                now: motion.at(Duration::ZERO, 0.0),
                motion,
                depends,
                held: None,
            });
        }
        let state =
            State { cells, faults: Faults::default(), counts: UnitCounts::default(), frozen_at: None };
        Ok(Self { plan: Arc::clone(plan), start: Instant::now(), state: Mutex::new(state) })
    }

    /// Answers one request; `None` stays silent.
    pub(super) fn serve(&self, asked: &Asked, now: Instant) -> Option<(Answer, Effects)> {
        let mut state = self.lock();
        state.counts.requests += 1;
        let effects = state.faults.effects(&[], self.plan.config.timeout.0, now);
        if effects.dead {
            return None;
        }
        self.advance(&mut state, now);
        let web_io = self.plan.devices.iter().any(crate::driver::http::Device::is_web_io);
        let answer = match effects.status {
            Some(status) => Answer::status(status),
            None => self
                .model_page(asked)
                .or_else(|| {
                    web_io.then(|| web_io::answer(&self.plan, &mut state, asked, effects.prefix)).flatten()
                })
                .unwrap_or_else(|| generic::answer(&mut state, asked)),
        };
        state.counts.answers += 1;
        state.counts.exceptions += u64::from(answer.code >= 400);
        Some((answer, effects))
    }

    /// The page by which a device is known.
    fn model_page(&self, asked: &Asked) -> Option<Answer> {
        let known = self.plan.devices.iter().filter_map(|device| device.config.identify.as_ref());
        let page = known.into_iter().find(|identify| identify.page == asked.target)?;
        Some(Answer::utf8("text/plain", page.contains.clone()))
    }

    /// Makes it faulty.
    ///
    /// # Errors
    /// When HTTP has no such fault.
    pub(in crate::simulate) fn fault(
        &self,
        fault: Fault,
        limit: Limit,
        now: Instant,
    ) -> Result<(), FaultError> {
        let fault = match fault {
            Fault::Exception { code, at: None } => Fault::Status(u16::from(code)),
            Fault::WrongUnit
            | Fault::WrongFunction
            | Fault::WrongTransaction
            | Fault::WrongEcho
            | Fault::Exception { .. } => return Err(FaultError::NotHere("HTTP has nothing of that kind")),
            other => other,
        };
        self.lock().faults.add(fault, limit, now)
    }

    /// Makes it sound.
    pub(in crate::simulate) fn clear(&self) {
        self.lock().faults.clear();
    }

    /// What is wrong with it, in words.
    pub(in crate::simulate) fn describe(&self, now: Instant) -> Vec<String> {
        self.lock().faults.describe(now)
    }

    /// What it counted.
    pub(in crate::simulate) fn counts(&self) -> UnitCounts {
        self.lock().counts
    }

    /// Whether it has the point.
    pub(in crate::simulate) fn has(&self, point: PointId) -> bool {
        self.lock().cells.iter().any(|cell| cell.id == point)
    }

    /// Holds a point at a value, or at a text that stands for none.
    ///
    /// # Errors
    /// When it is neither.
    pub(in crate::simulate) fn set(&self, point: PointId, text: &str) -> Result<(), String> {
        let mut state = self.lock();
        let cell = state.cell(point)?;
        if cell.wiring.extract.missing.iter().any(|missing| missing == text) {
            cell.held = Some(Held::Missing(text.to_owned()));
            return Ok(());
        }
        let value = Value::parse(text, cell.kind)?;
        cell.conversion.invert(&value, false).map_err(|error| error.to_string())?;
        cell.held = Some(Held::Value(value));
        Ok(())
    }

    /// Lets a point move by itself again.
    ///
    /// # Errors
    /// When there is no such point.
    pub(in crate::simulate) fn release(&self, point: PointId) -> Result<(), String> {
        self.lock().cell(point)?.held = None;
        Ok(())
    }

    /// The value of a point and its text on the wire.
    pub(in crate::simulate) fn look(
        &self,
        point: PointId,
        now: Instant,
    ) -> Option<(Option<Value>, Option<Value>)> {
        let mut state = self.lock();
        self.advance(&mut state, now);
        let cell = state.cell(point).ok()?;
        let value = match &cell.held {
            Some(Held::Missing(_)) => None,
            _ => Some(cell.value()),
        };
        Some((value, Some(Value::from(cell.text().as_str()))))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance(&self, state: &mut State, now: Instant) {
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

impl State {
    fn cell(&mut self, point: PointId) -> Result<&mut Cell, String> {
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
    pub(super) fn written(&mut self) {
        self.counts.writes += 1;
    }
}

impl Cell {
    /// Its value now.
    pub(super) fn value(&self) -> Value {
        match &self.held {
            Some(Held::Value(value)) => value.clone(),
            _ => self.now.clone(),
        }
    }

    /// The raw value now, where there is one.
    pub(super) fn raw(&self) -> Option<Value> {
        match &self.held {
            Some(Held::Missing(_)) => None,
            _ => self.conversion.invert(&self.value(), false).ok(),
        }
    }

    /// Takes a raw value that was written.
    pub(super) fn write(&mut self, raw: &Value) {
        if let Some(value) = self.conversion.apply(raw).0 {
            self.held = Some(Held::Value(value));
        }
    }

    /// The text that the device prints for it.
    pub(super) fn text(&self) -> String {
        if let Some(Held::Missing(text)) = &self.held {
            return text.clone();
        }
        let Some(raw) = self.raw() else { return String::new() };
        match (&self.wiring.extract.form, &raw) {
            (Form::Number { comma, suffix }, raw) => {
                let number = plain_number(raw.as_f64().unwrap_or(0.0));
                let number = if *comma { number.replace('.', ",") } else { number };
                match suffix {
                    Suffix::None => number,
                    Suffix::Any => format!("{number}{}", self.unit),
                    Suffix::Exact(text) => format!("{number}{text}"),
                }
            }
            (Form::State { on: Some(on), off: Some(off) }, Value::Bool(state)) => {
                if *state { on } else { off }.clone()
            }
            (Form::State { .. }, Value::Bool(state)) => if *state { "on" } else { "off" }.to_owned(),
            (Form::HexBit(bit), Value::Bool(state)) => format!("{:X}", u64::from(*state) << (bit & 63)),
            (Form::Hex, Value::Int(number)) => format!("{number:X}"),
            (_, raw) => raw.to_string(),
        }
    }
}

/// At most three decimals, as devices of this class print.
fn plain_number(number: f64) -> String {
    let text = format!("{number:.3}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}
