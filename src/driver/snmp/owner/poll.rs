//! Polls: the objects of one request, and a reading for each of its points.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use async_snmp::Value as Snmp;

use super::{ABSENT, Owner};
use crate::driver::snmp::planner::Job;
use crate::driver::snmp::wire::{Answer, Failure};
use crate::driver::snmp::{Oid, Point, Syntax, config, value};
use crate::driver::text::extract::Reply;
use crate::model::{Reading, Reason, Stamp, Value};

/// How long the agent has run (RFC 3418, sysUpTime.0): asked for together with counters.
const UPTIME: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 3, 0];

impl Owner {
    /// Runs the poll at this place.
    pub(super) async fn poll(&mut self, place: usize) {
        let job = self.tasks[place].job.clone();
        let plan = Arc::clone(&self.plan);
        let device = &plan.devices[job.device];
        let now = self.context.clock.mono();
        self.absent.retain(|_, until| *until > now);
        let points = job.points.iter().map(|point| &device.points[*point]);
        let (absent, mut wanted): (Vec<&Point>, Vec<&Point>) =
            points.partition(|point| self.absent.contains_key(&point.id));
        let at = self.context.clock.stamp();
        self.readings.extend(absent.iter().map(|point| Reading::bad(point.id, Reason::NotAvailable, at)));
        let mut fault = None;
        while !wanted.is_empty() && fault.is_none() {
            let rest = wanted.split_off(wanted.len().min(self.most));
            fault = self.poll_some(&job, wanted).await;
            let at = self.context.clock.stamp();
            if let Some(failure) = &fault {
                let reason = failure.reason();
                self.readings.extend(rest.iter().map(|point| Reading::bad(point.id, reason, at)));
            }
            wanted = rest;
        }
        self.flush();
        self.report(place, fault);
    }

    /// Asks for these points; those that the agent refuses by name cost the others nothing but another request.
    async fn poll_some(&mut self, job: &Job, mut wanted: Vec<&Point>) -> Option<Failure> {
        while !wanted.is_empty() {
            let counts = self.has_uptime && wanted.iter().any(|point| point.wiring.counter.is_some());
            let uptime = Oid::from_slice(&UPTIME);
            let asked: Vec<Oid> =
                wanted.iter().map(|point| point.wiring.oid.clone()).chain(counts.then_some(uptime)).collect();
            let result = self.exchange(job.device, &asked).await;
            let at = self.context.clock.stamp();
            match result {
                Ok(answer) => {
                    if let Some(most) = answer.most {
                        self.shrink(most);
                    }
                    self.take(&wanted, answer, at);
                    return None;
                }
                // An agent of version 1 refuses what it does not have; this it can do without.
                Err(Failure::Object { place, .. }) if counts && place == wanted.len() => {
                    self.has_uptime = false;
                }
                Err(Failure::Object { place, status }) if place < wanted.len() => {
                    let point = wanted.remove(place);
                    let name = &self.context.bus.points().get(point.id).name;
                    tracing::warn!(channel = %self.plan.name, point = %name, oid = %point.wiring.oid, %status, "the agent does not have the object");
                    self.absent.insert(point.id, at.mono + ABSENT);
                    self.readings.push(Reading::bad(point.id, Reason::NotAvailable, at));
                }
                Err(failure) => {
                    let reason = failure.reason();
                    self.readings.extend(wanted.iter().map(|point| Reading::bad(point.id, reason, at)));
                    return Some(failure);
                }
            }
        }
        None
    }

    /// The agent could not answer so many at once; from now on it is not asked to.
    fn shrink(&mut self, most: usize) {
        let most = most.max(1);
        if most < self.most {
            tracing::info!(channel = %self.plan.name, objects = most, "the agent cannot answer more objects at once");
            self.most = most;
        }
    }

    /// A reading for each point. Values are found by their objects, wherever they stand in the answer.
    fn take(&mut self, wanted: &[&Point], answer: Answer, at: Stamp) {
        let values: HashMap<Oid, Snmp> = answer.values.into_iter().collect();
        let uptime = values.get(&Oid::from_slice(&UPTIME)).and_then(|value| match value {
            Snmp::TimeTicks(ticks) => Some(*ticks),
            _ => None,
        });
        for point in wanted {
            let reading = self.reading(point, values.get(&point.wiring.oid), uptime, at);
            self.readings.push(reading);
        }
    }

    /// What a point's value means.
    pub(super) fn reading(
        &mut self,
        point: &Point,
        found: Option<&Snmp>,
        uptime: Option<u32>,
        at: Stamp,
    ) -> Reading {
        if let Some(value) = found.filter(|_| point.wiring.writing.is_some()) {
            match Syntax::of(value) {
                Some(syntax) => self.syntaxes.insert(point.id, syntax),
                None => self.syntaxes.remove(&point.id),
            };
        }
        let raw = found.ok_or(Reason::MalformedReply).and_then(|value| match point.wiring.counter {
            Some(counter) => self.counted(point, counter, value, uptime, at.mono),
            None => point.wiring.extract.value(&Reply::new(value::text(value)?.into_owned())),
        });
        match raw {
            Ok(raw) => {
                let (value, quality) = point.conversion.apply(&raw);
                Reading { point: point.id, value, quality, at }
            }
            Err(reason) => Reading::bad(point.id, reason, at),
        }
    }

    /// What is wanted of a counter.
    fn counted(
        &mut self,
        point: &Point,
        counter: config::Counter,
        value: &Snmp,
        uptime: Option<u32>,
        at: Instant,
    ) -> Result<Value, Reason> {
        let (count, bits) = value::count(value)?;
        let step = self.followers.entry(point.id).or_default().step(count, bits, uptime, at);
        #[allow(clippy::cast_precision_loss, reason = "exact up to 2^53, and a part in 10^16 beyond")]
        let counted = step.counted as f64;
        match counter {
            config::Counter::Rate => {
                let seconds = step.seconds.ok_or(Reason::NotAvailable)?;
                Ok(Value::Float(counted / seconds))
            }
            config::Counter::Total => {
                let points = Arc::clone(self.context.bus.points());
                let name = &*points.get(point.id).name;
                let total = self.totals.get(name).unwrap_or(0.0) + counted;
                self.totals.set(name, total);
                Ok(Value::Float(total))
            }
        }
    }

    /// Logs what is wrong with a request once, until it changes or ends. A silent agent is reported elsewhere.
    fn report(&mut self, place: usize, failure: Option<Failure>) {
        let failure = failure.filter(|failure| matches!(failure, Failure::Status(_) | Failure::Malformed(_)));
        let device = &self.plan.devices[self.tasks[place].job.device].name;
        let before = std::mem::replace(&mut self.tasks[place].fault, failure.clone());
        match (before, failure) {
            (before, Some(failure)) if before.as_ref() != Some(&failure) => {
                tracing::warn!(channel = %self.plan.name, device = %device, reason = %failure, "request refused");
            }
            (Some(_), None) if !self.reach.is_down() => {
                tracing::info!(channel = %self.plan.name, device = %device, "request answered again");
            }
            _ => {}
        }
    }
}
