//! Polls: one block read, decoded and published; refusals narrowed down.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::count::Counters;
use super::{Job, Opener, Owner};
use crate::driver::modbus::beside::{Beside, Now, judge};
use crate::driver::modbus::planner::{Block, Step, Target};
use crate::driver::modbus::wire::{Answer, ExchangeError};
use crate::driver::modbus::{Device, Point, Register};
use crate::driver::schedule::EntryId;
use crate::model::{Quality, Reading, Reason, Stamp};

/// When a refused register is tried again at first, and at last: it may come into being when the device
/// has started up or was set up anew.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(600));

/// When a block is read again of which a point could not be told because a register beside it had not been read yet.
const SOON: Duration = Duration::from_millis(250);

/// When a block that is read seldom is tried again after it failed: what is read once must not wait a week.
const SLOW_AGAIN: Duration = Duration::from_secs(10);

impl<O: Opener> Owner<O> {
    /// Runs the job whose turn it is.
    pub(super) async fn poll(&mut self, id: EntryId) {
        let Some(mut job) = self.jobs.get_mut(id.index()).and_then(Option::take) else {
            self.schedule.remove(id);
            return;
        };
        let begun = self.context.clock.mono();
        let result = self.ask(job.block.device, &job.block.ask()).await;
        let now = self.context.clock.mono();
        let step = match &result {
            Ok(answer) => self.read(&mut job, answer),
            Err(error) => self.failed(&mut job, error),
        };
        let group = job.group;
        match step {
            Step::Replan => {
                self.jobs[id.index()] = Some(job);
                self.replan(group, now);
                return;
            }
            Step::Split(halves) => {
                self.schedule.remove(id);
                let halves = *halves;
                self.add_jobs(halves.map(|block| (group, block)), now);
                return;
            }
            Step::Keep => {}
        }
        if matches!(result, Err(ExchangeError::Down(_))) {
            // It keeps its turn: the line is opened and the request sent again.
        } else if job.block.hole {
            job.retry = (job.retry * 2).min(RETRY.1);
            self.schedule.defer(id, now + job.retry, job.retry);
        } else {
            let missed = self.schedule.done(id, begun, now);
            self.context.stats.missed_polls.fetch_add(missed, Ordering::Relaxed);
            let period = job.block.period;
            let sooner = match (std::mem::take(&mut job.withheld), result.is_err()) {
                (true, _) => Some(SOON),
                (false, true) => Some(SLOW_AGAIN),
                (false, false) => None,
            };
            let rest = self.health.rest(job.block.device, now - begun).map(|rest| rest.max(period));
            if let Some(pause) = rest.or(sooner.filter(|pause| *pause < period)) {
                self.schedule.defer(id, now + pause, period);
            }
        }
        self.jobs[id.index()] = Some(job);
    }

    fn read(&mut self, job: &mut Job, answer: &Answer) -> Step {
        let at = self.context.clock.stamp();
        let device = job.block.device;
        remember(&job.block, answer, &mut self.beside[device]);
        let (plan, beside) = (&self.plan.devices[device], &self.beside[device]);
        job.withheld = decode(plan, &job.block, answer, at, (beside, &mut self.counters), &mut self.readings);
        self.flush();
        if job.fault.take().is_some() {
            let (name, block) = (&self.plan.devices[job.block.device].name, &job.block);
            let (table, address, count) = (block.table.word(), block.start, block.count);
            tracing::info!(channel = %self.plan.name, device = %name, table, address, count, "request answered again");
        }
        self.groups[job.group].answered(&job.block)
    }

    fn failed(&mut self, job: &mut Job, error: &ExchangeError) -> Step {
        if let ExchangeError::Down(reason) = error {
            // A connection that was closed while idle is opened again without a word; one that brings no
            // answer is lost.
            if self.fruitless > 1 {
                self.lost(reason);
            }
            return Step::Keep;
        }
        if let ExchangeError::Exception(2 | 3) = error {
            let step = self.groups[job.group].refused(&job.block);
            if matches!(step, Step::Split(_)) {
                return step;
            }
            self.block_bad(&job.block, reason_of(error));
            self.report(job, error);
            return step;
        }
        self.block_bad(&job.block, reason_of(error));
        if matches!(error, ExchangeError::Exception(_)) {
            self.report(job, error);
        }
        Step::Keep
    }

    /// Logs an exception once, until it changes or ends.
    fn report(&self, job: &mut Job, error: &ExchangeError) {
        let ExchangeError::Exception(code) = error else { return };
        if job.fault.replace(*code) == Some(*code) {
            return;
        }
        let (name, block) = (&self.plan.devices[job.block.device].name, &job.block);
        let (table, address, count) = (block.table.word(), block.start, block.count);
        tracing::warn!(
            channel = %self.plan.name, device = %name, table, address, count, reason = %error, "request refused"
        );
    }

    /// New requests for a group of which something was learned.
    fn replan(&mut self, group: usize, now: Instant) {
        let mut faults = Vec::new();
        for index in 0..self.jobs.len() {
            if self.jobs[index].as_ref().is_some_and(|job| job.group == group) {
                self.schedule.remove(EntryId::of(index));
                faults.extend(self.jobs[index].take().and_then(|job| Some((job.block.start, job.fault?))));
            }
        }
        let blocks: Vec<_> = self.groups[group].blocks().into_iter().map(|block| (group, block)).collect();
        self.add_jobs(blocks, now);
        for job in self.jobs.iter_mut().flatten().filter(|job| job.group == group && job.block.hole) {
            job.fault = faults.iter().find(|(start, _)| *start == job.block.start).map(|(_, fault)| *fault);
        }
    }

    pub(super) fn add_jobs(&mut self, blocks: impl IntoIterator<Item = (usize, Block)>, now: Instant) {
        let blocks: Vec<(usize, Block)> = blocks.into_iter().collect();
        let periods: Vec<Duration> = blocks.iter().map(|(_, block)| block.period).collect();
        let ids = self.schedule.add_spread(&periods, now);
        for (id, (group, block)) in ids.into_iter().zip(blocks) {
            if block.hole {
                self.schedule.defer(id, now + RETRY.0, RETRY.0);
            } else {
                self.schedule.set_active(id, self.health.is_polled(block.device), now);
            }
            if self.jobs.len() <= id.index() {
                self.jobs.resize_with(id.index() + 1, || None);
            }
            self.jobs[id.index()] = Some(Job { group, block, fault: None, retry: RETRY.0, withheld: false });
        }
    }

    fn block_bad(&mut self, block: &Block, reason: Reason) {
        let at = self.context.clock.stamp();
        let points = &self.plan.devices[block.device].points;
        for member in &block.members {
            match member.target {
                Target::Point(point) => self.readings.push(Reading::bad(points[point].id, reason, at)),
                Target::Companion(register) => {
                    self.beside[block.device].insert(register, Beside::Bad(reason));
                }
            }
        }
        self.flush();
    }

    pub(super) fn publish_device_bad(&mut self, device: usize, reason: Reason) {
        let at = self.context.clock.stamp();
        let readable = self.plan.devices[device].points.iter().filter(|point| point.access.readable());
        self.readings.extend(readable.map(|point| Reading::bad(point.id, reason, at)));
        self.flush();
    }

    pub(super) fn flush(&mut self) {
        self.context.bus.publish(&mut self.readings);
        self.readings.clear();
    }
}

/// What a failed exchange says about the points that it was to read.
pub(super) const fn reason_of(error: &ExchangeError) -> Reason {
    match error {
        ExchangeError::Timeout | ExchangeError::Expired => Reason::Timeout,
        ExchangeError::Malformed(_) => Reason::MalformedReply,
        ExchangeError::Exception(code) => Reason::DeviceException(*code),
        ExchangeError::Down(_) => Reason::NoConnection,
    }
}

/// Keeps what the registers beside points hold.
fn remember(block: &Block, answer: &Answer, beside: &mut HashMap<Register, Beside>) {
    for member in &block.members {
        if let Target::Companion(register) = member.target {
            let raw = answer.raw(&register, block.offset(member));
            beside.insert(register, raw.map_or(Beside::Bad(Reason::Undecodable), Beside::Raw));
        }
    }
}

/// Turns the contents of a block into readings; a point of which something is not known yet gets none. Returns
/// whether there was such a point.
fn decode(
    device: &Device,
    block: &Block,
    answer: &Answer,
    at: Stamp,
    (beside, counters): (&HashMap<Register, Beside>, &mut Counters),
    out: &mut Vec<Reading>,
) -> bool {
    let mut withheld = false;
    for member in &block.members {
        let Target::Point(point) = member.target else { continue };
        let point = &device.points[point];
        let now = now_of(point, beside);
        let reading = match (answer.raw(&point.register, block.offset(member)), &point.rules.count) {
            (None, _) => Some((None, Quality::Bad(Reason::Undecodable))),
            (Some(raw), Some(count)) if now == Now::Own => {
                // The first reading of a rate tells nothing, and a second one at once would tell little more.
                out.extend(counters.take(point, count, &raw, at.mono).map(|(value, quality)| Reading {
                    point: point.id,
                    value,
                    quality,
                    at,
                }));
                continue;
            }
            (Some(raw), _) => now.apply(&raw, &point.conversion),
        };
        withheld |= reading.is_none();
        out.extend(reading.map(|(value, quality)| Reading { point: point.id, value, quality, at }));
    }
    withheld
}

/// How a point is to be converted, by what is known of the registers beside it.
pub(super) fn now_of(point: &Point, beside: &HashMap<Register, Beside>) -> Now {
    if point.rules.companions.is_empty() {
        return Now::Own;
    }
    judge(&point.rules.companions, &point.conversion, |register| {
        beside.get(register).unwrap_or(&Beside::Unread)
    })
}

impl<O> Owner<O> {
    /// The plan, independent of the borrow of the owner.
    pub(super) fn plan(&self) -> Arc<crate::driver::modbus::Plan> {
        Arc::clone(&self.plan)
    }
}
