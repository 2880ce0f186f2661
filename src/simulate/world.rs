//! All simulated devices together, so that a value of one can depend on an output of another.
//!
//! Absent: frames, lines and waiting. Invariant: at most one unit is locked at a time.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::StartError;
use super::cell::{Cell, Drive};
use super::fault::Span;
use super::pdu::Request;
use super::unit::{Answer, Unit};
use crate::driver::modbus;
use crate::model::{Access, Behaviour, Conversion, Motion, Point, PointId, PointTable, Value};

/// The devices of all channels.
#[derive(Debug)]
pub(super) struct World {
    start: Instant,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    number: u8,
    unit: Mutex<Unit>,
    /// What others depend on.
    outputs: Vec<Output>,
}

#[derive(Debug)]
struct Output {
    point: PointId,
    written_at: Span,
    /// Unit index and point of those that depend on it.
    dependents: Vec<(usize, PointId)>,
}

impl World {
    /// The devices of `plans` in their order, unit after unit.
    ///
    /// # Errors
    /// When a behaviour does not suit its point or names an output that is not there.
    pub(super) fn new(
        points: &PointTable,
        plans: &[&modbus::Plan],
        behaviours: &BTreeMap<PointId, Behaviour>,
        seed: u64,
        strict: bool,
    ) -> Result<Self, StartError> {
        let plans: Vec<modbus::Plan> = plans.iter().map(|plan| plan.with_example_chains()).collect();
        let devices = || plans.iter().flat_map(|plan| &plan.devices);
        let mut drives: HashMap<PointId, Arc<Drive>> = HashMap::new();
        let mut dependents: HashMap<PointId, Vec<(usize, PointId)>> = HashMap::new();
        for (index, device) in devices().enumerate() {
            for point in &device.points {
                if let Some(output) = output_of(points, points.get(point.id), behaviours)? {
                    drives.entry(output).or_default();
                    dependents.entry(output).or_default().push((index, point.id));
                }
            }
        }
        let mut members = Vec::new();
        for device in devices() {
            let mut cells = Vec::with_capacity(device.points.len());
            for planned in &device.points {
                let point = points.get(planned.id);
                let mut cell = cell(point, planned, behaviours, seed)?;
                cell.depends = output_of(points, point, behaviours)?.and_then(|id| drives.get(&id).cloned());
                cell.drive = drives.get(&planned.id).cloned();
                cells.push(cell);
            }
            let outputs = device.points.iter().filter_map(|point| {
                let register = &point.register;
                let (table, address, count) =
                    (register.write_table(), register.write_address, register.width());
                let dependents = dependents.remove(&point.id)?;
                Some(Output { point: point.id, written_at: Span { table, address, count }, dependents })
            });
            let outputs = outputs.collect();
            members.push(Member {
                number: device.unit,
                unit: Mutex::new(Unit::new(device, cells, strict)),
                outputs,
            });
        }
        Ok(Self { start: Instant::now(), members })
    }

    /// How many devices there are.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// A device, by its place.
    pub(super) fn unit(&self, index: usize) -> MutexGuard<'_, Unit> {
        self.members[index].unit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time since the start, which is what behaviours count from.
    #[must_use]
    pub(super) fn time(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }

    /// Answers a PDU as the unit numbered `number` among `units`; silence when there is none.
    pub(super) fn serve(&self, units: Range<usize>, number: u8, pdu: &[u8], now: Instant) -> Option<Answer> {
        let index = units.into_iter().find(|index| self.members[*index].number == number)?;
        self.around_write(index, pdu, now, |unit, time| unit.serve(pdu, time, now))
    }

    /// Carries out a write in all of `units`.
    pub(super) fn broadcast(&self, units: Range<usize>, pdu: &[u8], now: Instant) {
        for index in units {
            self.around_write(index, pdu, now, |unit, time| unit.broadcast(pdu, time, now));
        }
    }

    /// What depends on an output lives up to the moment of the write under its old state.
    fn around_write<T>(
        &self,
        index: usize,
        pdu: &[u8],
        now: Instant,
        serve: impl FnOnce(&mut Unit, Duration) -> T,
    ) -> T {
        let time = self.time(now);
        let outputs = &self.members[index].outputs;
        let written = match Request::parse(pdu) {
            Ok(request) if !outputs.is_empty() => request.written(),
            _ => None,
        };
        let Some((table, address, count)) = written else {
            return serve(&mut self.unit(index), time);
        };
        let written = Span { table, address, count };
        let touched = || outputs.iter().filter(|output| output.written_at.touches(&written));
        touched().for_each(|output| self.advance(output, time));
        let answer = serve(&mut self.unit(index), time);
        touched().for_each(|output| self.advance(output, time));
        answer
    }

    fn advance(&self, output: &Output, time: Duration) {
        for (index, point) in &output.dependents {
            self.unit(*index).advance(*point, time);
        }
    }

    /// Changes a point by hand with `change`, then lets those that depend on it see it.
    ///
    /// # Errors
    /// What `change` says, or that no simulated device has the point.
    pub(super) fn change(
        &self,
        point: PointId,
        now: Instant,
        change: impl FnOnce(&mut Unit, Duration) -> Result<(), String>,
    ) -> Result<(), String> {
        let index = self.home(point).ok_or("no simulated device has the point")?;
        let time = self.time(now);
        let outputs = || self.members[index].outputs.iter().filter(|output| output.point == point);
        outputs().for_each(|output| self.advance(output, time));
        let done = change(&mut self.unit(index), time);
        outputs().for_each(|output| self.advance(output, time));
        done
    }

    /// The value of a point and the raw number behind it.
    #[must_use]
    pub(super) fn look(&self, point: PointId, now: Instant) -> Option<(Option<Value>, Option<Value>)> {
        self.unit(self.home(point)?).look(point, self.time(now), now)
    }

    /// The device that has the point.
    #[must_use]
    pub(super) fn home(&self, point: PointId) -> Option<usize> {
        (0..self.members.len()).find(|index| self.unit(*index).span_of(point).is_some())
    }
}

/// The behaviour of a point, declared or resting.
pub(super) fn behaviour_of(
    point: &Point,
    conversion: &Conversion,
    behaviours: &BTreeMap<PointId, Behaviour>,
) -> Behaviour {
    behaviours.get(&point.id).cloned().unwrap_or_else(|| {
        let names: Vec<&str> = conversion.enumeration.iter().map(|(_, name)| &**name).collect();
        Behaviour::resting(point.kind, point.range, point.safe.as_ref(), &names)
    })
}

/// The output that a point's behaviour depends on.
pub(super) fn output_of(
    points: &PointTable,
    point: &Point,
    behaviours: &BTreeMap<PointId, Behaviour>,
) -> Result<Option<PointId>, StartError> {
    let Some(name) = behaviours.get(&point.id).and_then(Behaviour::output) else {
        return Ok(None);
    };
    let unknown = || StartError::Behaviour {
        point: Arc::clone(&point.name),
        problem: format!("there is no point `{name}` to depend on"),
    };
    points.by_name(name).map(|output| Some(output.id)).ok_or_else(unknown)
}

/// Every point has its own course; which one is decided by the common seed and its place in the table.
pub(super) const fn seed_of(seed: u64, point: PointId) -> u64 {
    seed ^ (point.0 as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn cell(
    point: &Point,
    planned: &modbus::Point,
    behaviours: &BTreeMap<PointId, Behaviour>,
    seed: u64,
) -> Result<Cell, StartError> {
    let conversion = Conversion { range: None, ..planned.conversion.clone() };
    let behaviour = behaviour_of(point, &conversion, behaviours);
    let motion = Motion::new(&behaviour, point.kind, seed_of(seed, point.id))
        .map_err(|problem| StartError::Behaviour { point: Arc::clone(&point.name), problem })?;
    Ok(Cell {
        id: point.id,
        register: planned.register,
        conversion,
        kind: point.kind,
        range: point.range,
        writable: matches!(planned.access, Access::Rw | Access::W),
        motion,
        depends: None,
        drive: None,
        held: false,
        lead: planned.rules.lead.len(),
        apart: None,
    })
}
