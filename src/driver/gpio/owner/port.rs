//! One line with the points that are read from it and written to it.
//!
//! Invariant: a point of a line that is not open is bad, with the reason in the log once.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gpiocdev::line::EdgeDetection;

use super::RETRY;
use crate::driver::entry::Wired;
use crate::driver::gpio::config::{Edge, Measure, Wiring};
use crate::driver::gpio::find::LineId;
use crate::driver::gpio::line::{Line, Role, Seen, Setup};
use crate::driver::gpio::meter::{Frequency, Meter};
use crate::driver::gpio::store::Store;
use crate::driver::local::Fault;
use crate::model::{self, Conversion, PointId, Reading, Reason, Stamp, Value};

/// One line.
pub(super) struct Port {
    id: LineId,
    setup: Setup,
    members: Vec<Member>,
    line: Option<Line>,
    fault: Option<Fault>,
    just_failed: bool,
    retry_at: Option<Instant>,
    /// When a pulse ends.
    pulse_end: Option<Instant>,
    seen: Vec<Seen>,
}

/// One point of a line.
pub(super) struct Member {
    id: PointId,
    name: Arc<str>,
    pub(super) device: usize,
    measure: Measure,
    edge: Edge,
    pub(super) readable: bool,
    pub(super) pulse: Option<Duration>,
    pub(super) conversion: Conversion,
    poll: Duration,
    due: Instant,
    meter: Meter,
    frequency: Frequency,
}

/// The shortest time between two polls of a line.
const SHORTEST: Duration = Duration::from_millis(1);

/// What a line is that the kernel has taken away.
pub(super) fn gone() -> Fault {
    Fault::Absent("the chip has gone".into())
}

impl Port {
    pub(super) fn new(id: LineId) -> Self {
        let direction = Role::Input(EdgeDetection::RisingEdge);
        let setup = Setup { active_low: false, bias: None, debounce: None, drive: None, direction };
        Self {
            id,
            setup,
            members: Vec::new(),
            line: None,
            fault: None,
            just_failed: false,
            retry_at: None,
            pulse_end: None,
            seen: Vec::new(),
        }
    }

    /// Adds a point; returns its place.
    pub(super) fn add(
        &mut self,
        device: usize,
        known: &model::Point,
        point: &Wired<Wiring>,
        store: &Store,
        now: Instant,
    ) -> usize {
        let (wiring, setup) = (&point.wiring, &mut self.setup);
        setup.active_low |= wiring.active_low.unwrap_or(false);
        setup.bias = setup.bias.or(wiring.bias);
        setup.debounce = setup.debounce.or(wiring.debounce);
        setup.drive = setup.drive.or(wiring.drive);
        setup.direction = match (setup.direction, wiring.output) {
            (_, true) => {
                let safe = known.safe.as_ref().and_then(|safe| point.conversion.invert(safe, true).ok());
                Role::Output(safe.and_then(|raw| raw.as_bool()))
            }
            (output @ Role::Output(_), false) => output,
            (Role::Input(before), false) => {
                let own = wiring.edges();
                let first = self.members.is_empty();
                Role::Input(if first || before == own { own } else { EdgeDetection::BothEdges })
            }
        };
        self.members.push(Member {
            id: point.id,
            name: Arc::clone(&known.name),
            device,
            measure: wiring.measure,
            edge: wiring.edge,
            readable: point.access.readable(),
            pulse: wiring.pulse,
            conversion: point.conversion.clone(),
            poll: point.poll.max(SHORTEST),
            due: now,
            meter: Meter::new(store.get(&known.name)),
            frequency: Frequency::default(),
        });
        self.members.len() - 1
    }

    pub(super) fn member(&self, place: usize) -> &Member {
        &self.members[place]
    }

    pub(super) fn belongs_to(&self, device: usize) -> bool {
        self.members.iter().any(|member| member.device == device)
    }

    pub(super) const fn is_open(&self) -> bool {
        self.line.is_some()
    }

    /// Whether it tells edges.
    pub(super) fn listens(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.edges)
    }

    /// The file that tells them.
    pub(super) fn file(&self) -> Option<BorrowedFd<'_>> {
        self.line.as_ref().filter(|line| line.edges).map(|line| line.request.as_fd())
    }

    /// When it next has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        let polls = self.members.iter().filter(|member| member.readable).map(|member| member.due);
        let filter = self.line.as_ref().and_then(Line::due);
        polls.chain(filter).chain(self.retry_at).chain(self.pulse_end).min()
    }

    /// Opens the line where it is not and its time has come. Says whether that changed anything.
    pub(super) fn try_to_open(&mut self, now: Stamp, readings: &mut Vec<Reading>) -> bool {
        if self.line.is_some() || self.retry_at.is_some_and(|retry| retry > now.mono) {
            return false;
        }
        match Line::open(&self.id, &self.setup) {
            Ok(line) => {
                if self.fault.take().is_some() {
                    tracing::info!(line = %self.id, "line works again");
                }
                self.retry_at = None;
                for member in &mut self.members {
                    member.meter.restart();
                    member.due = now.mono;
                }
                self.line = Some(line);
                true
            }
            Err(fault) => {
                self.fail(fault, now, readings);
                true
            }
        }
    }

    /// The line does not work: it is let go and tried again later.
    pub(super) fn fail(&mut self, fault: Fault, now: Stamp, readings: &mut Vec<Reading>) {
        (self.line, self.pulse_end) = (None, None);
        self.retry_at = Some(now.mono + RETRY);
        if self.fault.as_ref() != Some(&fault) {
            tracing::warn!(line = %self.id, reason = %fault, "line fails");
            let bad = self.members.iter().filter(|member| member.readable);
            readings.extend(bad.map(|member| Reading::bad(member.id, fault.reason(), now)));
            self.fault = Some(fault);
        }
        self.just_failed = true;
    }

    /// Whether it has failed since it was last asked.
    pub(super) const fn has_just_failed(&mut self) -> bool {
        std::mem::replace(&mut self.just_failed, false)
    }

    /// Takes in the edges that wait, if there are any.
    pub(super) fn edges(
        &mut self,
        stamp: impl Fn(u64) -> Stamp,
        readings: &mut Vec<Reading>,
    ) -> Result<(), Fault> {
        let Some(line) = &mut self.line else { return Ok(()) };
        self.seen.clear();
        line.take(&mut self.seen)?;
        let both = self.setup.direction == Role::Input(EdgeDetection::BothEdges);
        let seen = std::mem::take(&mut self.seen);
        for edge in &seen {
            if let Some(filter) = &mut line.filter {
                filter.edge(edge.state, stamp(edge.at_ns).mono);
                continue;
            }
            self.members.iter_mut().for_each(|member| member.edge(*edge, both, stamp(edge.at_ns), readings));
        }
        if let Some(last) = seen.last() {
            // Totals are told once per batch, so that an alarm on one acts at once, too.
            let at = stamp(last.at_ns);
            let counters =
                self.members.iter().filter(|member| member.readable && member.measure == Measure::Count);
            readings.extend(counters.map(|member| member.reading(&Value::from(member.meter.total()), at)));
        }
        self.seen = seen;
        Ok(())
    }

    /// What its time has come for: ends of pulses, the filter, polls. Returns the devices that were polled.
    pub(super) fn poll(&mut self, now: Stamp, monotonic_ns: u64, readings: &mut Vec<Reading>) -> Vec<usize> {
        let mut polled = Vec::new();
        if let Err(fault) = self.end_pulse(now.mono).and_then(|()| {
            self.settle(now, monotonic_ns, readings);
            self.poll_members(now, monotonic_ns, readings, &mut polled)
        }) {
            self.fail(fault, now, readings);
        }
        polled
    }

    fn end_pulse(&mut self, now: Instant) -> Result<(), Fault> {
        if let Some(line) = self.line.as_mut().filter(|_| self.pulse_end.is_some_and(|end| end <= now)) {
            self.pulse_end = None;
            line.drive(false)?;
        }
        Ok(())
    }

    /// A state that has stood long enough is an edge.
    fn settle(&mut self, now: Stamp, at_ns: u64, readings: &mut Vec<Reading>) {
        let filter = self.line.as_mut().and_then(|line| line.filter.as_mut());
        let Some(state) = filter.and_then(|filter| filter.settle(now.mono)) else { return };
        for member in &mut self.members {
            member.meter.restart();
            member.edge(Seen { state, number: 0, at_ns }, true, now, readings);
        }
    }

    fn poll_members(
        &mut self,
        now: Stamp,
        monotonic_ns: u64,
        readings: &mut Vec<Reading>,
        polled: &mut Vec<usize>,
    ) -> Result<(), Fault> {
        let edges = self.listens();
        for member in self.members.iter_mut().filter(|member| member.readable && member.due <= now.mono) {
            while member.due <= now.mono {
                member.due += member.poll.max(now.mono.saturating_duration_since(member.due));
            }
            let Some(line) = &self.line else {
                let reason = self.fault.as_ref().map_or(Reason::NoConnection, Fault::reason);
                readings.push(Reading::bad(member.id, reason, now));
                continue;
            };
            let raw = match member.measure {
                Measure::State => Value::Bool(line.value()?),
                // Edges that nobody tells cannot be counted.
                _ if !edges => {
                    readings.push(Reading::bad(member.id, Reason::NotAvailable, now));
                    continue;
                }
                Measure::Count => Value::from(member.meter.total()),
                Measure::Frequency => Value::Float(member.frequency.read(monotonic_ns)),
                Measure::Rate => Value::Float(60.0 * member.frequency.read(monotonic_ns)),
            };
            polled.push(member.device);
            readings.push(member.reading(&raw, now));
        }
        Ok(())
    }

    /// Sets the output; `pulse` ends by itself.
    pub(super) fn drive(&mut self, state: bool, pulse: Option<Duration>, now: Instant) -> Result<(), Fault> {
        let Some(line) = &mut self.line else {
            return Err(self.fault.clone().unwrap_or_else(gone));
        };
        line.drive(state)?;
        self.pulse_end = pulse.filter(|_| state).map(|pulse| now + pulse);
        Ok(())
    }

    /// The state that the line has; it goes to every point that reads it.
    pub(super) fn read_back(&mut self, now: Stamp, readings: &mut Vec<Reading>) -> Result<bool, Fault> {
        let line = self.line.as_ref().ok_or_else(gone)?;
        let state = line.value()?;
        let reading =
            self.members.iter().filter(|member| member.readable && member.measure == Measure::State);
        readings.extend(reading.map(|member| member.reading(&Value::Bool(state), now)));
        Ok(state)
    }

    /// The totals that have to be kept.
    pub(super) fn totals(&self, mut keep: impl FnMut(&str, u64)) {
        for member in self.members.iter().filter(|member| member.measure == Measure::Count) {
            keep(&member.name, member.meter.total());
        }
    }

    /// The stop: a pulse under way ends now.
    pub(super) fn end(&mut self) {
        if let Some(line) = self.line.as_mut().filter(|_| self.pulse_end.is_some())
            && let Err(fault) = line.drive(false)
        {
            tracing::error!(line = %self.id, reason = %fault, "a pulse could not be ended");
        }
    }
}

impl Member {
    fn edge(&mut self, edge: Seen, both: bool, at: Stamp, readings: &mut Vec<Reading>) {
        let counted = match self.edge {
            Edge::Both => true,
            Edge::Rising => edge.state,
            Edge::Falling => !edge.state,
        };
        let share = if both && self.edge != Edge::Both { 2 } else { 1 };
        match self.measure {
            Measure::State if self.readable => readings.push(self.reading(&Value::Bool(edge.state), at)),
            Measure::State => {}
            Measure::Count | Measure::Frequency | Measure::Rate => {
                let before = self.meter.dropped;
                let edges = self.meter.edge(edge.number, counted, share);
                if self.meter.dropped > before {
                    let dropped = self.meter.dropped - before;
                    tracing::warn!(point = %self.name, dropped, "edges came too fast for the kernel's buffer; they are counted by number");
                }
                if edges > 0 {
                    self.frequency.edges(edges, edge.at_ns);
                }
            }
        }
    }

    fn reading(&self, raw: &Value, at: Stamp) -> Reading {
        let (value, quality) = self.conversion.apply(raw);
        Reading { point: self.id, value, quality, at }
    }
}
