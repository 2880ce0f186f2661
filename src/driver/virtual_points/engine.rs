//! From readings to computed readings.
//!
//! Pure: no clock is read; time comes with the readings. Readings that come together are taken as one state
//! of the plant, until one point comes a second time: so a sum over one poll is computed once and is never
//! half old, and yet no reading of a point is passed over. Invariant: points are computed after those that
//! they are computed from, and each at most once per state.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::dew_point::{DewPoint, dew_point};
use super::{Form, Plan, Point};
use crate::model::expression::Kind;
use crate::model::{PointId, Quality, Reading, Reason, Stamp, Value};

const SECONDS_PER_HOUR: f64 = 3600.0;

/// The computed points of one channel and what they are computed from.
pub(super) struct Engine {
    /// In an order in which each stands behind those that it is computed from.
    nodes: Vec<Node>,
    slots: Vec<Slot>,
    slot_of: HashMap<PointId, usize>,
    touched: bool,
}

/// A point that something is computed from.
struct Slot {
    number: Option<f64>,
    quality: Quality,
    at: Option<Stamp>,
    touched: bool,
}

/// A computed point.
struct Node {
    point: Point,
    /// The slots of its inputs.
    inputs: Vec<usize>,
    /// The slot of the point itself, when others are computed from it.
    output: Option<usize>,
    total: Total,
}

/// A total, and the last usable reading of what it grows by.
#[derive(Default)]
struct Total {
    sum: f64,
    before: Option<(f64, Instant)>,
}

impl Engine {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut slots = Vec::new();
        let mut slot_of = HashMap::new();
        let points = || plan.devices.iter().flat_map(|device| &device.points);
        for input in points().flat_map(|point| &point.inputs) {
            slot_of.entry(*input).or_insert_with(|| {
                let unread = Quality::Bad(Reason::NotYetRead);
                slots.push(Slot { number: None, quality: unread, at: None, touched: false });
                slots.len() - 1
            });
        }
        let nodes = in_order(points().collect()).into_iter().map(|point| Node {
            inputs: point.inputs.iter().filter_map(|input| slot_of.get(input).copied()).collect(),
            output: slot_of.get(&point.id).copied(),
            point: point.clone(),
            total: Total::default(),
        });
        Self { nodes: nodes.collect(), slots, slot_of, touched: false }
    }

    /// The points of other channels that something is computed from.
    pub(super) fn sources(&self) -> Vec<PointId> {
        let own = |point: &PointId| self.nodes.iter().any(|node| node.point.id == *point);
        self.slot_of.keys().filter(|point| !own(point)).copied().collect()
    }

    /// Takes in readings, in their order, and adds what is computed from them to `out`.
    pub(super) fn take(&mut self, readings: &[Reading], out: &mut Vec<Reading>) {
        for reading in readings {
            let Some(place) = self.slot_of.get(&reading.point).copied() else { continue };
            if self.slots[place].touched {
                self.settle(out);
            }
            self.put(place, reading);
        }
        self.settle(out);
    }

    /// The totals with the names of their points.
    pub(super) fn totals(&self) -> impl Iterator<Item = (&str, f64)> {
        let totals = self.nodes.iter().filter(|node| node.point.form.is_total());
        totals.map(|node| (&*node.point.name, node.total.sum))
    }

    /// Sets a total, as it is before scale and offset, and tells it; `None` when there is no such total.
    pub(super) fn set_total(&mut self, point: PointId, sum: f64, at: Stamp) -> Option<Reading> {
        let place =
            self.nodes.iter().position(|node| node.point.id == point && node.point.form.is_total())?;
        self.nodes[place].total.sum = sum;
        let quality = self.worst(place);
        let (value, own) = self.nodes[place].shown();
        Some(Reading { point, value, quality: worse(quality, own), at })
    }

    fn put(&mut self, place: usize, reading: &Reading) {
        let slot = &mut self.slots[place];
        slot.number = reading.value.as_ref().and_then(Value::as_f64);
        slot.quality = reading.quality;
        slot.at = Some(reading.at);
        slot.touched = true;
        self.touched = true;
    }

    /// Computes whatever has a new input.
    fn settle(&mut self, out: &mut Vec<Reading>) {
        if !std::mem::take(&mut self.touched) {
            return;
        }
        for place in 0..self.nodes.len() {
            if !self.nodes[place].inputs.iter().any(|input| self.slots[*input].touched) {
                continue;
            }
            let Some(reading) = self.compute(place) else { continue };
            if let Some(output) = self.nodes[place].output {
                self.put(output, &reading);
            }
            out.push(reading);
        }
        self.touched = false;
        self.slots.iter_mut().for_each(|slot| slot.touched = false);
    }

    /// The point's new reading; `None` while none of its inputs has ever been read.
    fn compute(&mut self, place: usize) -> Option<Reading> {
        let mut quality = self.worst(place);
        let node = &mut self.nodes[place];
        let point = node.point.id;
        let stamps = node.inputs.iter().filter_map(|input| self.slots[*input].at);
        // The newest: from then on the value is what it is.
        let at = stamps.max_by_key(|stamp| stamp.mono)?;
        if node.point.form.is_total() {
            let number = node.inputs.first().and_then(|input| self.slots[*input].number);
            if !node.total.grow(&node.point.form, number.filter(|_| quality.is_usable()), at.mono) {
                quality = worse(quality, Quality::Bad(Reason::Undecodable));
            }
            let (value, own) = node.shown();
            return Some(Reading { point, value, quality: worse(quality, own), at });
        }
        if let Quality::Bad(reason) = quality {
            return Some(Reading::bad(point, reason, at));
        }
        let numbers: Option<Vec<f64>> = node.inputs.iter().map(|input| self.slots[*input].number).collect();
        let (value, own) = match numbers.map(|numbers| raw(&node.point.form, &numbers)) {
            Some((Some(raw), own)) => {
                let (value, converted) = node.point.conversion.apply(&raw);
                (value, worse(own, converted))
            }
            Some((None, own)) => (None, own),
            None => (None, Quality::Bad(Reason::Undecodable)),
        };
        Some(Reading { point, value, quality: worse(quality, own), at })
    }

    /// The worst quality of a point's inputs; of equal ones the first.
    fn worst(&self, place: usize) -> Quality {
        let inputs = self.nodes[place].inputs.iter().map(|input| self.slots[*input].quality);
        inputs.fold(Quality::Good, worse)
    }
}

impl Node {
    /// The total as its point shows it.
    fn shown(&self) -> (Option<Value>, Quality) {
        let raw = match self.point.form {
            Form::Edges(_) => Value::Int(self.total.sum as i64),
            _ => Value::Float(self.total.sum),
        };
        self.point.conversion.apply(&raw)
    }
}

impl Total {
    /// Takes in a reading; `None` is one that cannot be used. False when it should have been a state and is none.
    fn grow(&mut self, form: &Form, number: Option<f64>, at: Instant) -> bool {
        let Some(number) = number else {
            // What happened in the meantime is not known; that a state has changed will still be seen.
            if !matches!(form, Form::Edges(_)) {
                self.before = None;
            }
            return true;
        };
        if form.wants_states() && number != 0.0 && number != 1.0 {
            self.before = None;
            return false;
        }
        if let Some((before, since)) = self.before.replace((number, at)) {
            let hours = at.saturating_duration_since(since).as_secs_f64() / SECONDS_PER_HOUR;
            self.sum += match form {
                Form::Energy => (before + number) / 2.0 * hours,
                // A state holds until the next reading.
                Form::RunTime => before * hours,
                Form::Edges(edge) => f64::from(u8::from(edge.counts(before, number))),
                _ => 0.0,
            };
        }
        true
    }
}

impl super::config::Edge {
    fn counts(self, before: f64, now: f64) -> bool {
        match self {
            Self::Rising => now > before,
            Self::Falling => now < before,
            Self::Both => now != before,
        }
    }
}

/// What comes of usable inputs.
fn raw(form: &Form, inputs: &[f64]) -> (Option<Value>, Quality) {
    let sum = || inputs.iter().sum::<f64>();
    let number = match form {
        Form::Sum => Some(sum()),
        Form::Difference => inputs.first().zip(inputs.get(1)).map(|(a, b)| a - b),
        Form::Average => Some(sum() / inputs.len() as f64),
        Form::Minimum => inputs.iter().copied().reduce(f64::min),
        Form::Maximum => inputs.iter().copied().reduce(f64::max),
        Form::DewPoint => {
            let pair = inputs.first().zip(inputs.get(1));
            return match pair.map_or(DewPoint::None, |(t, humidity)| dew_point(*t, *humidity)) {
                DewPoint::Sure(found) => (Some(Value::Float(found)), Quality::Good),
                DewPoint::Doubtful(found) => {
                    (Some(Value::Float(found)), Quality::Uncertain(Reason::OutOfRange))
                }
                DewPoint::None => (None, Quality::Bad(Reason::OutOfRange)),
            };
        }
        Form::Formula(expression, Kind::Condition) => {
            let state = expression.value(inputs).and_then(|state| Value::Float(state).as_bool());
            return match state {
                Some(state) => (Some(Value::Bool(state)), Quality::Good),
                None => (None, Quality::Bad(Reason::Undecodable)),
            };
        }
        Form::Formula(expression, _) => expression.value(inputs),
        Form::Energy | Form::RunTime | Form::Edges(_) => None,
    };
    match number.filter(|number| number.is_finite()) {
        Some(number) => (Some(Value::Float(number)), Quality::Good),
        None => (None, Quality::Bad(Reason::Undecodable)),
    }
}

/// The worse of two; of equal ones the first.
fn worse(one: Quality, other: Quality) -> Quality {
    let rank = |quality: &Quality| match quality {
        Quality::Good => 0,
        Quality::Uncertain(_) => 1,
        Quality::Bad(_) => 2,
    };
    if rank(&other) > rank(&one) { other } else { one }
}

/// The points with each behind those that it is computed from.
fn in_order(points: Vec<&Point>) -> Vec<&Point> {
    let mut waiting = points;
    let mut sorted: Vec<&Point> = Vec::with_capacity(waiting.len());
    loop {
        let blocked: HashSet<PointId> = waiting.iter().map(|point| point.id).collect();
        let (ready, rest): (Vec<&Point>, Vec<&Point>) =
            waiting.into_iter().partition(|point| !point.inputs.iter().any(|input| blocked.contains(input)));
        let stuck = ready.is_empty();
        sorted.extend(ready);
        if stuck || rest.is_empty() {
            // A validated plan has no cycle, so nothing is left when nothing moves.
            sorted.extend(rest);
            return sorted;
        }
        waiting = rest;
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
