//! What is done with a unit when it comes online: it is asked what it is, written what it needs, and where it is
//! a SunSpec device, searched for its models.
//!
//! One exchange at a time, between writes and polls. Invariants: nothing is set up on a unit that is the wrong
//! one; a survey never keeps a unit from being polled, and points without a place are never read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Opener, Owner, probe};
use crate::driver::heartbeat::BEAT;
use crate::driver::modbus::planner::{Block, Group, device_groups};
use crate::driver::modbus::quirks::Probe;
use crate::driver::modbus::sunspec::{BASES, Binding, Chain, Step, Walk};
use crate::driver::modbus::wire::{Answer, Ask, ExchangeError};
use crate::driver::modbus::{Device, Plan, Point};
use crate::driver::schedule::EntryId;
use crate::model::{Reading, Reason};

/// The pause after a survey that was left without an answer, at first and at last; it doubles.
const AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(600));

/// The longest such pause of a device with a watchdog, which guards nothing until it is armed.
const ARM_AGAIN: Duration = Duration::from_secs(30);

/// So many points are named in a message, the rest counted.
const MAX_NAMED: usize = 4;

/// How far a survey has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Identify(usize),
    Node(usize),
    Setup(usize),
    Arm(usize),
    Walk(Walk),
    Done,
}

/// The survey of one unit.
#[derive(Debug, Clone)]
pub(super) struct Survey {
    stage: Stage,
    due: Instant,
    pause: Duration,
    /// It is another device than its profile's.
    wrong: bool,
    /// A question of this round was left without an answer.
    unanswered: bool,
    complaints: Vec<String>,
    /// The models that were found last.
    chain: Option<Chain>,
}

impl Survey {
    pub(super) fn new(device: &Device, now: Instant) -> Self {
        let mut survey = Self {
            stage: Stage::Done,
            due: now,
            pause: AGAIN.0,
            wrong: false,
            unanswered: false,
            complaints: Vec::new(),
            chain: None,
        };
        survey.begin(device, now);
        survey
    }

    /// From the start: the unit has come online.
    pub(super) fn begin(&mut self, device: &Device, now: Instant) {
        self.stage = Stage::Identify(0);
        self.due = now;
        (self.wrong, self.unanswered) = (false, false);
        self.complaints.clear();
        self.skip(device);
    }

    /// Only its watchdog is armed again, unless the survey is on its way there.
    pub(super) fn arm_again(&mut self, device: &Device, now: Instant) {
        if matches!(self.stage, Stage::Arm(_) | Stage::Walk(_) | Stage::Done) {
            self.stage = Stage::Arm(0);
            (self.due, self.unanswered) = (now, false);
            self.skip(device);
        }
    }

    /// When it goes on; `None` when it is done.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.stage != Stage::Done).then_some(self.due)
    }

    /// Leaves out the stages of which the device has nothing.
    fn skip(&mut self, device: &Device) {
        if let Stage::Identify(at) = self.stage
            && at >= device.identify.len()
        {
            self.stage = Stage::Node(0);
        }
        if let Stage::Node(at) = self.stage
            && device.node.as_ref().is_none_or(|node| at >= node.asks().len())
        {
            self.stage = Stage::Setup(0);
        }
        if let Stage::Setup(at) = self.stage
            && (at >= device.setup.len() || self.wrong)
        {
            self.stage = Stage::Arm(0);
        }
        if let Stage::Arm(at) = self.stage
            && (device.watchdog.as_ref().is_none_or(|watchdog| at >= watchdog.arm.len()) || self.wrong)
        {
            self.stage = if device.is_sunspec() { Stage::Walk(Walk::default()) } else { Stage::Done };
        }
    }

    /// The request of this step.
    fn ask(&self, device: &Device) -> Option<Ask> {
        match &self.stage {
            Stage::Identify(at) => device.identify.get(*at).map(Probe::ask),
            Stage::Node(at) => device.node.as_ref()?.asks().into_iter().nth(*at),
            Stage::Setup(at) => device.setup.get(*at).cloned(),
            Stage::Arm(at) => device.watchdog.as_ref()?.arm.get(*at).cloned(),
            Stage::Walk(walk) => Some(walk.ask()),
            Stage::Done => None,
        }
    }

    /// What the answer to it means; a chain where one was found or is known to be missing.
    fn answered(&mut self, device: &Device, result: &Result<Answer, ExchangeError>) -> Option<Chain> {
        let lost = matches!(result, Err(ExchangeError::Timeout | ExchangeError::Malformed(_)));
        self.unanswered |= lost;
        match &mut self.stage {
            Stage::Identify(at) => {
                let complaint = device.identify.get(*at).and_then(|probe| match result {
                    Ok(answer) => {
                        let found = probe.complaint(&device.model, answer.raw(&probe.register, 0).as_ref());
                        self.wrong |= found.is_some();
                        found
                    }
                    Err(ExchangeError::Exception(_)) => {
                        let reason = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
                        Some(format!("whether this is a {} cannot be told: {reason}", device.model))
                    }
                    Err(_) => None,
                });
                self.complaints.extend(complaint);
                *at += 1;
            }
            Stage::Node(at) => {
                let found = match (result, &device.node) {
                    (Ok(answer), Some(node)) => node.complaint(*at, answer),
                    (Err(error @ ExchangeError::Exception(_)), _) => {
                        Some(format!("which modules the node has cannot be told: {error}"))
                    }
                    _ => None,
                };
                self.wrong |= found.is_some();
                self.complaints.extend(found);
                *at += 1;
            }
            Stage::Setup(at) => {
                if let Err(error) = result {
                    self.complaints.push(format!("write {} of its setup failed: {error}", *at + 1));
                }
                *at += 1;
            }
            Stage::Arm(at) => match result {
                Ok(_) => *at += 1,
                Err(error) => {
                    self.complaints.push(format!("write {} that arms its watchdog failed: {error}", *at + 1));
                    // What is behind it would start a watchdog that is not set up. It is tried again.
                    self.unanswered = true;
                    *at = usize::MAX;
                }
            },
            Stage::Walk(walk) => {
                let words = match result {
                    Ok(Answer::Words(words)) => <[u16; 2]>::try_from(words.as_slice()).ok(),
                    _ => None,
                };
                let chain = match walk.answered(words) {
                    Step::More => return None,
                    Step::Found(chain) => chain,
                    Step::Nothing => Chain::new(),
                };
                self.stage = Stage::Done;
                return Some(chain);
            }
            Stage::Done => {}
        }
        self.skip(device);
        None
    }

    /// After a round in which something was left without an answer: another one, later.
    fn round_over(&mut self, device: &Device, now: Instant) {
        if self.stage == Stage::Done && self.unanswered {
            self.begin(device, now);
            self.due = now + self.pause;
            let longest = if device.watchdog.is_some() { ARM_AGAIN } else { AGAIN.1 };
            self.pause = (self.pause * 2).min(longest);
        } else if self.stage == Stage::Done {
            self.pause = AGAIN.0;
        }
    }
}

/// What to ask a SunSpec unit of which nothing else is known yet, to see whether it is there.
pub(super) fn first_asks(plan: &Plan) -> impl Iterator<Item = (usize, Ask)> + '_ {
    let devices = plan.devices.iter().enumerate().filter(|(_, device)| device.is_sunspec());
    devices.map(|(index, _)| (index, Walk::default().ask()))
}

/// What is said of points that the device does not have.
fn missing(bound: &Device, chain: &Chain) -> Option<String> {
    let absent =
        |point: &&Point| point.rules.model.as_ref().is_some_and(|model| model.state == Binding::Absent);
    let lacking: Vec<_> = bound.points.iter().filter(absent).collect();
    if lacking.is_empty() {
        return None;
    }
    let points = match lacking.len() {
        1 => "1 point is".to_owned(),
        several => format!("{several} points are"),
    };
    if chain.is_empty() {
        return Some(format!(
            "no SunSpec device: there are no models at {}, {} or {}; {points} not available",
            BASES[0], BASES[1], BASES[2]
        ));
    }
    let mut wanted: Vec<String> = Vec::new();
    for model in lacking.iter().filter_map(|point| point.rules.model.as_ref()) {
        let numbers: Vec<String> = model.models.iter().map(ToString::to_string).collect();
        let word = match model.instance {
            1 => numbers.join(" or "),
            nth => format!("{} (number {nth})", numbers.join(" or ")),
        };
        if !wanted.contains(&word) {
            wanted.push(word);
        }
    }
    let more = wanted.len().saturating_sub(MAX_NAMED);
    wanted.truncate(MAX_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let has: Vec<String> = chain.iter().map(|model| model.id.to_string()).collect();
    Some(format!(
        "{points} not available: model {}{more} is missing or too short; the device has the models {}",
        wanted.join(", "),
        has.join(", ")
    ))
}

impl<O: Opener> Owner<O> {
    /// The unit whose survey goes on now, or when the next one does.
    pub(super) fn next_survey(&self, now: Instant) -> Result<usize, Option<Instant>> {
        let waiting = self.surveys.iter().enumerate().filter(|(device, _)| self.health.is_polled(*device));
        let next = waiting.filter_map(|(device, survey)| Some((survey.due()?, device))).min();
        match next {
            Some((due, device)) if due <= now => Ok(device),
            Some((due, _)) => Err(Some(due)),
            None => Err(None),
        }
    }

    /// One step of a unit's survey.
    pub(super) async fn survey(&mut self, device: usize) {
        let original = Arc::clone(&self.original);
        let this = &original.devices[device];
        let Some(ask) = self.surveys[device].ask(this) else { return };
        let asked = self.surveys[device].stage.clone();
        let arming = matches!(asked, Stage::Arm(_));
        let begun = self.context.clock.mono();
        if arming && !self.is_arbiter_alive(begun) {
            self.surveys[device].due = begun + BEAT;
            return;
        }
        let result = self.ask(device, &ask).await;
        if arming && result.is_err() {
            self.lose_guard(device);
        }
        if let Err(ExchangeError::Down(reason)) = &result {
            if self.fruitless > 1 {
                self.lost(reason);
            }
            return;
        }
        let now = self.context.clock.mono();
        if self.surveys[device].stage != asked {
            // This very answer brought the unit online, and its survey began anew.
            return;
        }
        if let Some(chain) = self.surveys[device].answered(this, &result) {
            let retry = chain.is_empty() && self.surveys[device].unanswered;
            self.bind(device, chain, retry, now);
        }
        if arming && result.is_ok() && !matches!(self.surveys[device].stage, Stage::Arm(_)) {
            self.armed(device, now);
        }
        if self.surveys[device].due().is_none() {
            self.tell(device);
        }
        self.surveys[device].round_over(this, now);
    }

    /// Puts the points of models where the device has them.
    fn bind(&mut self, device: usize, chain: Chain, retry: bool, now: Instant) {
        if retry {
            return;
        }
        let bound = self.original.devices[device].bound(&chain);
        self.surveys[device].complaints.extend(missing(&bound, &chain));
        let at = self.context.clock.stamp();
        let absent = bound.points.iter().filter(|point| !point.is_bound());
        self.readings.extend(absent.map(|point| Reading::bad(point.id, Reason::NotAvailable, at)));
        self.flush();
        if self.surveys[device].chain.as_ref() == Some(&chain) {
            return;
        }
        let models: Vec<String> = chain.iter().map(|model| model.id.to_string()).collect();
        let base = chain.first().map_or(0, |first| first.start.saturating_sub(2));
        if !chain.is_empty() {
            tracing::info!(
                channel = %self.plan.name, device = %bound.name, base, models = models.join(", "), "SunSpec models found"
            );
        }
        self.surveys[device].chain = Some(chain);
        let groups = device_groups(device, &bound);
        let mut plan = Plan::clone(&self.plan);
        plan.devices[device] = bound;
        self.plan = Arc::new(plan);
        self.replace_groups(device, groups, now);
    }

    /// New groups for a unit in the place of its old ones.
    fn replace_groups(&mut self, device: usize, groups: Vec<Group>, now: Instant) {
        for index in 0..self.jobs.len() {
            if self.jobs[index].as_ref().is_some_and(|job| job.block.device == device) {
                self.schedule.remove(EntryId::of(index));
                self.jobs[index] = None;
            }
        }
        let mut free: Vec<usize> =
            (0..self.groups.len()).filter(|index| self.groups[*index].device() == device).collect();
        let mut blocks: Vec<(usize, Block)> = Vec::new();
        for group in groups {
            let new = group.blocks();
            let index = match free.pop() {
                Some(index) => {
                    self.groups[index] = group;
                    index
                }
                None => {
                    self.groups.push(group);
                    self.groups.len() - 1
                }
            };
            blocks.extend(new.into_iter().map(|block| (index, block)));
        }
        let asks = probe::candidates(self.plan.devices.len(), blocks.iter().map(|(_, block)| block));
        if let Some(own) = asks.into_iter().nth(device).filter(|own| !own.is_empty()) {
            self.probes[device] = own;
        }
        self.add_jobs(blocks, now);
    }

    /// Says what is odd about a device: once in the log, and in its state until it is over.
    fn tell(&self, device: usize) {
        let complaints = &self.surveys[device].complaints;
        let text = (!complaints.is_empty()).then(|| complaints.join("; "));
        let (name, stats) = (&self.plan.devices[device].name, &self.context.stats.devices[device]);
        if !stats.set_notice(text.as_deref()) {
            return;
        }
        match text {
            Some(text) => tracing::warn!(channel = %self.plan.name, device = %name, "{text}"),
            None => {
                tracing::info!(channel = %self.plan.name, device = %name, "the device is as its profile says");
            }
        }
    }

    /// A unit has come online: its survey begins anew.
    pub(super) fn survey_again(&mut self, device: usize) {
        let now = self.context.clock.mono();
        self.surveys[device].begin(&self.original.devices[device], now);
    }

    /// Why a point that has no place cannot be used.
    pub(super) fn unbound(&self, device: usize, point: usize) -> Option<Reason> {
        let point = &self.plan.devices[device].points[point];
        (!point.is_bound()).then_some(match point.rules.model.as_ref().map(|model| model.state) {
            Some(Binding::Absent) => Reason::NotAvailable,
            _ => Reason::NotYetRead,
        })
    }
}
