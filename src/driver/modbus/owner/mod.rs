//! The owner task of one channel: the only one that touches its line.
//!
//! Its turns: watchdogs of devices, then writes, then a probe if one is allowed, then the poll whose turn it is, else it waits
//! for whichever comes first. `poll` reads and publishes, `probe` finds units again, `write` serves
//! commands, `open` opens the line, `survey` asks units that come online what they are, `guard` feeds their watchdogs. Invariant: no failure of a device or of the line ends the task.

mod confirm;
mod count;
mod guard;
mod open;
mod poll;
mod probe;
mod survey;
mod write;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::beside::Beside;
use super::health::{Change, Health, Probe};
use super::planner::{Block, Group, groups};
use super::wake::Wake;
use super::watchdog::Guard;
use super::wire::ask::Shape;
use super::wire::link::Terms;
use super::wire::{Answer, Ask, ExchangeError, Framing, Link, Timing};
use super::{Plan, Register, Transport};
use crate::backoff::Backoff;
use crate::driver::schedule::{EntryId, Schedule, Turn};
use crate::driver::{ChannelContext, DeviceStats, LinkState};
use crate::model::{PointId, Reading};

pub(super) use open::{Opener, PlanOpener};
use survey::Survey;

/// Pauses between attempts to open a line: short, so that what comes back is seen within two seconds.
const REOPEN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// After so many writes one poll that is due goes first, so that a flood of commands blinds nobody.
const MAX_WRITES_IN_ROW: u32 = 16;

/// One request of the poll set on its way through the schedule.
struct Job {
    group: usize,
    block: Block,
    /// The exception that has been reported for it and still stands.
    fault: Option<u8>,
    /// When a refused block is tried again.
    retry: Duration,
    /// A point of it could not be told yet, because a register beside it had not been read.
    withheld: bool,
}

/// Where a point is.
#[derive(Clone, Copy)]
struct Place {
    device: usize,
    point: usize,
}

/// The owner and all it knows.
pub(super) struct Owner<O> {
    /// The plan with the points of models where they were found.
    plan: Arc<Plan>,
    /// The plan as it is configured.
    original: Arc<Plan>,
    context: ChannelContext,
    opener: O,
    framing: Framing,
    timing: Timing,
    link: Option<Link>,
    backoff: Backoff,
    /// How often the line was opened since the last answer.
    fruitless: u32,
    /// The log says that the channel is down.
    reported_down: bool,
    groups: Vec<Group>,
    jobs: Vec<Option<Job>>,
    schedule: Schedule,
    health: Health,
    probes: Vec<Vec<Ask>>,
    /// By device, the answers that did not come and may still be under way on a serial line.
    missing: Vec<Vec<Shape>>,
    places: HashMap<PointId, Place>,
    surveys: Vec<Survey>,
    /// By device, its own watchdog.
    guards: Vec<Option<Guard>>,
    /// Devices whose watchdog did not take its last feed.
    unfed: HashSet<usize>,
    /// Watchdogs are not fed because the arbiter is silent.
    starving: bool,
    /// By device, what the registers beside its points held.
    beside: Vec<HashMap<Register, Beside>>,
    readings: Vec<Reading>,
    writes_in_row: u32,
    /// Writes that another register has to confirm.
    waiting: Vec<confirm::Waiting>,
    counters: count::Counters,
    /// By device, when it was spoken to last.
    spoken: Vec<Option<Instant>>,
}

impl<O: Opener> Owner<O> {
    pub(super) fn new(plan: Arc<Plan>, context: ChannelContext, opener: O) -> Self {
        let now = context.clock.mono();
        let groups = groups(&plan);
        let blocks: Vec<(usize, Block)> = groups
            .iter()
            .enumerate()
            .flat_map(|(group, points)| points.blocks().into_iter().map(move |block| (group, block)))
            .collect();
        let mut probes = probe::candidates(plan.devices.len(), blocks.iter().map(|(_, block)| block));
        for (device, ask) in survey::first_asks(&plan) {
            if probes[device].is_empty() {
                probes[device].push(ask);
            }
        }
        let surveys = plan.devices.iter().map(|device| Survey::new(device, now)).collect();
        let guards = plan.devices.iter().map(|device| device.watchdog.as_ref().map(Guard::new)).collect();
        let places = plan.devices.iter().enumerate().flat_map(|(device, unit)| {
            let points = unit.points.iter().enumerate();
            points.map(move |(point, this)| (this.id, Place { device, point }))
        });
        let framing = match plan.transport {
            Transport::Tcp(_) => Framing::Tcp,
            Transport::Rtu(_) | Transport::RtuOverTcp(_) => Framing::Rtu,
            Transport::Ascii(_) => Framing::Ascii,
        };
        let timing = Timing::of(&plan.transport);
        let missing = vec![Vec::new(); plan.devices.len()];
        let places = places.collect();
        let mut owner = Self {
            framing,
            timing,
            link: None,
            backoff: Backoff::new(REOPEN.0, REOPEN.1),
            fruitless: 0,
            reported_down: false,
            groups,
            jobs: Vec::new(),
            schedule: Schedule::default(),
            health: Health::new(probes.iter().map(|asks: &Vec<Ask>| !asks.is_empty()), now),
            missing,
            probes,
            places,
            surveys,
            guards,
            unfed: HashSet::new(),
            starving: false,
            beside: vec![HashMap::new(); plan.devices.len()],
            readings: Vec::new(),
            writes_in_row: 0,
            waiting: Vec::new(),
            counters: count::Counters::open(&plan, context.services.state.as_deref(), now),
            spoken: vec![None; plan.devices.len()],
            original: Arc::clone(&plan),
            plan,
            context,
            opener,
        };
        owner.add_jobs(blocks, now);
        owner
    }

    /// Runs until the channel is told to stop.
    pub(super) async fn run(mut self) {
        let shutdown = self.context.shutdown.clone();
        while !shutdown.is_cancelled() {
            if self.is_open() {
                self.turn().await;
            } else {
                self.open().await;
            }
            self.counters.save_when_due(&self.plan.name, self.context.clock.mono()).await;
        }
        self.disarm().await;
        self.counters.save(&self.plan.name).await;
    }

    fn is_open(&self) -> bool {
        self.link.as_ref().is_some_and(|link| !link.is_spent())
    }

    async fn turn(&mut self) {
        let now = self.context.clock.mono();
        let feed = match self.next_feed(now) {
            Ok(device) => return self.feed(device).await,
            Err(due) => due,
        };
        if let Some(device) = self.unarmed(now) {
            return self.survey(device).await;
        }
        let turn = self.schedule.next(now);
        let crowded = self.writes_in_row >= MAX_WRITES_IN_ROW && matches!(turn, Turn::Run(_));
        if !crowded && let Some(job) = self.context.writes.pop(now) {
            self.writes_in_row = self.writes_in_row.saturating_add(1);
            self.write(job).await;
            return;
        }
        self.writes_in_row = 0;
        let look = self.next_look();
        if look.is_some_and(|due| due <= now) {
            return self.look().await;
        }
        let probe = self.health.next_probe(now);
        if let Probe::Now(device) = probe {
            self.probe(device).await;
            return;
        }
        let survey = match self.next_survey(now) {
            Ok(device) => return self.survey(device).await,
            Err(due) => due,
        };
        let poll = match turn {
            Turn::Run(id) => return self.poll(id).await,
            Turn::Wait(due) => Some(due),
            Turn::Idle => None,
        };
        let probe = match probe {
            Probe::At(at) => Some(at),
            Probe::Now(_) | Probe::None => None,
        };
        let until = [poll, probe, survey, look, feed, self.counters.due()].into_iter().flatten().min();
        let sleep = async {
            match until {
                Some(moment) => tokio::time::sleep_until(moment.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            () = self.context.writes.pushed() => {}
            () = self.context.shutdown.cancelled() => {}
        }
    }

    /// One exchange with everything that it teaches: counters, health, what may still be under way.
    async fn exchange(&mut self, device: usize, ask: &Ask, terms: Terms) -> Result<Answer, ExchangeError> {
        let Some(link) = &mut self.link else {
            return Err(ExchangeError::Down("the line is not open".into()));
        };
        let this = &self.plan.devices[device];
        let begun = self.context.clock.mono();
        let alone = |wake: &&Wake| self.spoken[device].is_none_or(|last| begun - last >= wake.after);
        if let Some(wake) = this.wake.as_ref().filter(alone) {
            link.wake(&wake.bytes, wake.pause).await?;
        }
        self.spoken[device] = Some(begun);
        let result = link.exchange(this.unit, ask, terms).await;
        link.rest(this.pause);
        let busy = link.take_busy();
        let now = self.context.clock.mono();
        self.context.stats.busy_us.fetch_add(busy.as_micros() as u64, Ordering::Relaxed);
        self.count(device, &result, now - begun);
        match &result {
            Ok(_) if terms.broadcast => {}
            Ok(_) | Err(ExchangeError::Exception(_)) => self.missing[device].clear(),
            Err(ExchangeError::Expired) => {}
            // A serial port that is opened again at once may still bring the answer to what went out before.
            Err(ExchangeError::Timeout | ExchangeError::Malformed(_) | ExchangeError::Down(_)) => {
                let (missing, shape) = (&mut self.missing[device], ask.shape());
                if !missing.contains(&shape) {
                    missing.push(shape);
                }
            }
        }
        if !terms.broadcast {
            self.judge(device, ask, &result, begun, now, busy);
        }
        result
    }

    fn count(&self, device: usize, result: &Result<Answer, ExchangeError>, took: Duration) {
        let stats = &self.context.stats.devices[device];
        let add = |counter: &std::sync::atomic::AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        match result {
            Err(ExchangeError::Expired) => return,
            Err(ExchangeError::Timeout) => add(&stats.timeouts),
            Err(ExchangeError::Malformed(_)) => add(&stats.malformed),
            Err(ExchangeError::Exception(_)) => add(&stats.exceptions),
            Ok(_) | Err(ExchangeError::Down(_)) => 0,
        };
        add(&stats.requests);
        if matches!(result, Ok(_) | Err(ExchangeError::Exception(_))) {
            stats.record_round_trip(took);
            let at = self.context.clock.stamp().unix_us;
            stats.last_answer_unix_us.store(u64::try_from(at).unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// What an exchange says about the unit's health.
    fn judge(
        &mut self,
        device: usize,
        ask: &Ask,
        result: &Result<Answer, ExchangeError>,
        begun: Instant,
        now: Instant,
        busy: Duration,
    ) {
        let change = match result {
            // A gateway answers for a unit behind it that is dead (Application Protocol 1.1b3, section 7).
            Err(ExchangeError::Exception(10 | 11) | ExchangeError::Timeout | ExchangeError::Malformed(_)) => {
                self.health.failed(device, busy, now)
            }
            Ok(_) | Err(ExchangeError::Exception(_)) => {
                self.line_works();
                let frame = |pdu: usize| self.timing.answer(self.framing, pdu);
                let sending = frame(ask.pdu_len()) + frame(ask.answer_pdu_len());
                self.health.answered(device, (now - begun).saturating_sub(sending), now)
            }
            Err(ExchangeError::Down(_) | ExchangeError::Expired) => Change::None,
        };
        match change {
            Change::None => return,
            Change::Online => self.device_online(device),
            Change::Offline => self.device_offline(device, result),
        }
        self.rest_or_run(device, now);
    }

    /// An answer came: whatever was wrong with the line is over.
    fn line_works(&mut self) {
        if self.fruitless > 0 {
            self.fruitless = 0;
            self.backoff.reset();
        }
        if std::mem::take(&mut self.reported_down) {
            tracing::info!(channel = %self.plan.name, "channel works again");
        }
    }

    fn device_online(&mut self, device: usize) {
        self.survey_again(device);
        if self.device_stats(device).link.set(LinkState::Online) != LinkState::Online {
            let name = &self.plan.devices[device].name;
            tracing::info!(channel = %self.plan.name, device = %name, "device online");
        }
    }

    fn device_offline(&mut self, device: usize, result: &Result<Answer, ExchangeError>) {
        let Err(error) = result else { return };
        self.lose_guard(device);
        if self.device_stats(device).link.set(LinkState::Offline) != LinkState::Offline {
            let name = &self.plan.devices[device].name;
            tracing::warn!(channel = %self.plan.name, device = %name, reason = %error, "device offline");
        }
        self.publish_device_bad(device, poll::reason_of(error));
    }

    fn device_stats(&self, device: usize) -> &DeviceStats {
        &self.context.stats.devices[device]
    }

    /// Lets the polls of a device rest while it is silent.
    fn rest_or_run(&mut self, device: usize, now: Instant) {
        let active = self.health.is_polled(device);
        for (index, job) in self.jobs.iter().enumerate() {
            if let Some(job) = job
                && job.block.device == device
                && !job.block.hole
            {
                self.schedule.set_active(EntryId::of(index), active, now);
            }
        }
    }

    /// Whether the line outlives a lost answer; a connection does not.
    fn keeps_line(&self) -> bool {
        matches!(self.plan.transport, Transport::Rtu(_) | Transport::Ascii(_))
    }

    fn terms(&self, device: usize) -> Terms {
        let device = &self.plan.devices[device];
        let broadcast = self.plan.transport.is_broadcast(device.unit);
        Terms { timeout: device.timeout, not_after: None, broadcast, short_recovery: false }
    }
}

#[cfg(test)]
mod tests;
