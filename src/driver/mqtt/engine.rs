//! What messages mean: pure, with time handed in.
//!
//! A value is good when its device has just said it. One that the broker had kept from before the start is
//! uncertain (`stale`) until the device speaks; one that is older than it may be is bad (`stale`); those of a
//! device that is gone are bad (`no-connection`) until their next value comes. A message that says nothing about
//! a point (its JSON has nothing at the pointer) changes nothing. Invariant: no reading is made of anything but
//! what a device has said.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Mqtt, Plan, Wiring};
use crate::driver::entry::{Driver, Wired};
use crate::driver::messages::Arrived;
use crate::driver::text::Reply;
use crate::model::{PointId, Quality, Reading, Reason, Stamp};

/// What became of messages, besides readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The device at this place has spoken after it was not known to be there.
    Here(usize),
    /// It is gone.
    Gone(usize),
    /// It has said something that is no value of one of its points, for this reason.
    Nonsense(usize, Reason),
    /// It has said a value.
    Said(usize),
}

/// What is known of the devices of a channel.
pub(super) struct Engine {
    plan: Arc<Plan>,
    devices: Vec<Device>,
    points: Vec<Point>,
    listeners: HashMap<Arc<str>, Vec<Listener>>,
    longest: usize,
    /// When the first value may become too old.
    next: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum Listener {
    Value(usize),
    Availability(usize),
}

struct Device {
    /// Whether it is there; `None` when nothing tells.
    here: Option<bool>,
}

struct Point {
    device: usize,
    place: usize,
    /// When it was said last, or since when nothing was.
    heard: Instant,
    /// Whether it is told already that it is too old, or gone.
    told: bool,
    /// Whether it has had a value.
    said: bool,
}

impl Engine {
    /// Nothing is known yet.
    pub(super) fn new(plan: &Arc<Plan>, now: Instant) -> Self {
        let mut engine = Self {
            devices: plan.devices.iter().map(|_| Device { here: None }).collect(),
            points: Vec::new(),
            listeners: HashMap::new(),
            longest: usize::try_from(plan.config.max_message.0).unwrap_or(usize::MAX),
            next: None,
            plan: Arc::clone(plan),
        };
        for (device, this) in plan.devices.iter().enumerate() {
            for (place, point) in this.points.iter().enumerate() {
                let Some(topic) = &point.wiring.topic else { continue };
                let listener = Listener::Value(engine.points.len());
                engine.listeners.entry(Arc::clone(topic)).or_default().push(listener);
                engine.points.push(Point { device, place, heard: now, told: false, said: false });
                engine.may_age(now, point.wiring.max_age);
            }
            for own in Mqtt::device_topics(&this.config) {
                let listener = Listener::Availability(device);
                engine.listeners.entry(own.topic).or_default().push(listener);
            }
        }
        engine
    }

    /// Takes one message.
    pub(super) fn take(
        &mut self,
        message: &Arrived<'_>,
        now: Stamp,
        readings: &mut Vec<Reading>,
        changes: &mut Vec<Change>,
    ) {
        // An empty message that is to be kept takes away what was kept; nobody has said anything by it.
        if message.retain && message.payload.is_empty() {
            return;
        }
        let Some(listeners) = self.listeners.get(message.topic).cloned() else { return };
        let at = stamp_of(message, now);
        let short = message.payload.len() <= self.longest;
        let text = short.then(|| std::str::from_utf8(message.payload).ok()).flatten();
        let reply = text.map(|text| Reply::new(text.to_owned()));
        for listener in listeners {
            match listener {
                Listener::Value(point) => {
                    self.value(point, reply.as_ref(), message.kept, at, readings, changes);
                }
                Listener::Availability(device) => {
                    let Some(reply) = &reply else { continue };
                    self.availability(device, reply, message.kept, at, readings, changes);
                }
            }
        }
    }

    fn value(
        &mut self,
        place: usize,
        reply: Option<&Reply>,
        kept: bool,
        at: Stamp,
        readings: &mut Vec<Reading>,
        changes: &mut Vec<Change>,
    ) {
        let device = self.points[place].device;
        let point = self.wired(place);
        let (id, max_age) = (point.id, point.wiring.max_age);
        let result = match reply {
            Some(reply) if !point.wiring.extract.concerns(reply) => return,
            Some(reply) => point.wiring.extract.value(reply),
            None => Err(Reason::MalformedReply),
        };
        let (value, mut quality) = match result {
            Ok(raw) => point.conversion.apply(&raw),
            Err(reason) => (None, Quality::Bad(reason)),
        };
        if kept {
            // A device that is known to be gone has nothing to say from before.
            if self.devices[device].here == Some(false) {
                return;
            }
            if quality.is_good() {
                quality = Quality::Uncertain(Reason::Stale);
            }
        } else {
            self.here(device, changes);
            changes.push(match quality {
                Quality::Bad(reason @ (Reason::MalformedReply | Reason::Undecodable)) => {
                    Change::Nonsense(device, reason)
                }
                _ => Change::Said(device),
            });
        }
        let own = &mut self.points[place];
        (own.heard, own.told, own.said) = (at.mono, false, true);
        self.may_age(at.mono, max_age);
        readings.push(Reading { point: id, value, quality, at });
    }

    fn availability(
        &mut self,
        device: usize,
        reply: &Reply,
        kept: bool,
        at: Stamp,
        readings: &mut Vec<Reading>,
        changes: &mut Vec<Change>,
    ) {
        let config = &self.plan.devices[device].config;
        let Some(availability) = &config.mqtt_availability else { return };
        let word = reply.word(availability.json.as_deref());
        if word.as_deref() != Some(availability.offline.as_str()) {
            // Kept from before, it says nothing about now; and a device that is back has said no value yet.
            if !kept && word.is_some() {
                self.here(device, changes);
            }
            return;
        }
        if self.devices[device].here == Some(false) {
            return;
        }
        self.devices[device].here = Some(false);
        changes.push(Change::Gone(device));
        for place in 0..self.points.len() {
            if self.points[place].device == device {
                self.points[place].told = true;
                readings.push(Reading::bad(self.wired(place).id, Reason::NoConnection, at));
            }
        }
    }

    fn here(&mut self, device: usize, changes: &mut Vec<Change>) {
        if self.devices[device].here != Some(true) {
            self.devices[device].here = Some(true);
            changes.push(Change::Here(device));
        }
    }

    /// When there is something to do although nobody says anything.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.next
    }

    /// Makes values bad that have become too old.
    pub(super) fn age(&mut self, now: Stamp, readings: &mut Vec<Reading>, changes: &mut Vec<Change>) {
        self.next = None;
        for place in 0..self.points.len() {
            let Some(max_age) = self.wired(place).wiring.max_age.filter(|_| !self.points[place].told) else {
                continue;
            };
            let end = self.points[place].heard + max_age;
            if end > now.mono {
                self.next = Some(self.next.map_or(end, |next| next.min(end)));
                continue;
            }
            self.points[place].told = true;
            readings.push(Reading::bad(self.wired(place).id, Reason::Stale, now));
            self.judge(self.points[place].device, changes);
        }
    }

    /// Messages were lost, nobody knows which: every value may have been followed by another one. Each is uncertain
    /// until its device says it again.
    pub(super) fn lost(&self, now: Stamp, readings: &mut Vec<Reading>) {
        let doubtful =
            (0..self.points.len()).filter(|place| self.points[*place].said && !self.points[*place].told);
        readings.extend(doubtful.map(|place| Reading {
            point: self.wired(place).id,
            value: None,
            quality: Quality::Uncertain(Reason::Stale),
            at: now,
        }));
    }

    /// A device all of whose values are too old is gone, where nothing else tells.
    fn judge(&mut self, device: usize, changes: &mut Vec<Change>) {
        let silent = self.plan.devices[device].config.mqtt_availability.is_none()
            && self.points.iter().filter(|point| point.device == device).all(|point| point.told);
        if silent && self.devices[device].here != Some(false) {
            self.devices[device].here = Some(false);
            changes.push(Change::Gone(device));
        }
    }

    /// Whether a device is known to be gone.
    pub(super) fn is_gone(&self, device: usize) -> bool {
        self.devices[device].here == Some(false)
    }

    /// All points that are read.
    pub(super) fn ids(&self) -> impl Iterator<Item = PointId> {
        (0..self.points.len()).map(|place| self.wired(place).id)
    }

    fn wired(&self, place: usize) -> &Wired<Wiring> {
        let point = &self.points[place];
        &self.plan.devices[point.device].points[point.place]
    }

    fn may_age(&mut self, heard: Instant, max_age: Option<Duration>) {
        let end = max_age.map(|age| heard + age);
        self.next = match (self.next, end) {
            (Some(next), Some(end)) => Some(next.min(end)),
            (next, end) => next.or(end),
        };
    }
}

/// When a message came, on both clocks.
fn stamp_of(message: &Arrived<'_>, now: Stamp) -> Stamp {
    let before = now.mono.saturating_duration_since(message.at);
    let mono = now.mono.checked_sub(before).unwrap_or(now.mono);
    let unix_us = now.unix_us.saturating_sub(i64::try_from(before.as_micros()).unwrap_or(i64::MAX));
    Stamp { mono, unix_us }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
pub(super) mod tests;
