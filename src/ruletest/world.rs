//! One case from its beginning to its end, in a world of its own.
//!
//! Invariant: at each moment everything that follows from it happens before anybody looks or acts, and before
//! time goes on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::stand_in::{LEAST_POLL, StandIn, Surroundings};
use super::{AlarmSeen, CannotRun, Happened, MAX_EVENTS, MAX_READINGS};
use crate::alarm::Engine;
use crate::alarm::engine::Listener;
use crate::bus::{Bus, Observer};
use crate::clock::Clock;
use crate::command::{Commander, DEFAULT_DEADLINE};
use crate::config::Plan;
use crate::config::cases::{Act, Case, Deed, Signal};
use crate::driver::virtual_points;
use crate::driver::{ChannelContext, ChannelStats, Services, WriteQueue};
use crate::gateway::stale;
use crate::model::{AlarmEvent, AlarmNews, AlarmRequest, AlarmTarget, Origin, Outcome, PointTable};

/// Where the wall clock of every case begins: 2026-01-01T00:00:00Z, in microseconds since 1970.
const WALL_START_US: i64 = 1_767_225_600_000_000;

/// How often everybody else may go on before the moment counts as over: many times the longest way from a
/// reading by way of computed points, alarm, keeper, queue and read-back to another alarm.
const TURNS: u32 = 256;

/// Who does what the case has people do.
const SOMEBODY: &str = "rule test";

/// Lives through a case.
///
/// # Errors
/// It cannot be run at all.
pub fn live(plan: &Plan, case: &Case) -> Result<Happened, CannotRun> {
    let readings = estimate(plan, case);
    if readings > MAX_READINGS {
        return Err(CannotRun::TooLong(readings));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    // What the gateway would log of made-up alarms is no news.
    let silence = tracing::subscriber::NoSubscriber::default();
    Ok(tracing::subscriber::with_default(silence, || {
        runtime.block_on(async { World::new(plan, case).live(case).await })
    }))
}

/// How many readings the case comes to, about.
fn estimate(plan: &Plan, case: &Case) -> u64 {
    let mut points: Vec<_> = case.given.iter().map(|given| given.point).collect();
    points.extend(plan.points.iter().filter(|point| point.access.writable()).map(|point| point.id));
    points.sort_unstable();
    points.dedup();
    let polls = |poll: Duration| case.until.as_millis() / poll.max(LEAST_POLL).as_millis().max(1);
    let total: u128 = points.iter().map(|point| polls(plan.points.get(*point).poll)).sum();
    u64::try_from(total).unwrap_or(u64::MAX).saturating_add(case.given.len() as u64)
}

struct World {
    bus: Arc<Bus>,
    alarms: Arc<Engine>,
    commander: Commander,
    clock: Clock,
    begun: Instant,
    happened: Arc<Mutex<Happened>>,
    started: CancellationToken,
    shutdown: CancellationToken,
}

/// Something that the case has somebody do, or look at, at a moment.
enum Moment<'a> {
    Deed(usize, &'a Deed),
    /// The places of the point and the moment in `values`.
    Look(usize),
}

impl World {
    /// Builds the world and starts everything in it.
    fn new(plan: &Plan, case: &Case) -> Self {
        let begun = tokio::time::Instant::now();
        let wall =
            move || i64::try_from(begun.elapsed().as_micros()).map_or(i64::MAX, |us| WALL_START_US + us);
        let clock = Clock::with_wall(wall);
        let begun = begun.into_std();
        let queues: Vec<Arc<WriteQueue>> = plan.channels.iter().map(|_| Arc::default()).collect();
        let place = |channel: &str| plan.channels.iter().position(|known| &*known.name == channel);
        let orphan = Arc::new(WriteQueue::default());
        let queue_of = |channel: &str| place(channel).map_or(&orphan, |place| &queues[place]);
        let by_point = plan.points.iter().map(|point| Arc::clone(queue_of(&point.channel))).collect();
        let control = plan.control.clone();
        let commander = Commander::with_control(Arc::clone(&plan.points), by_point, clock.clone(), control);
        let happened = Arc::new(Mutex::new(Happened::default()));
        let listener = listener(Arc::clone(&happened), begun, Arc::clone(&plan.points));
        let alarms = Arc::new(Engine::new(
            plan.alarms.clone(),
            Arc::clone(&plan.points),
            commander.clone(),
            clock.clone(),
            vec![listener],
        ));
        alarms.attend();
        let observers: Vec<Arc<dyn Observer>> = vec![Arc::new(commander.clone()), alarms.clone()];
        let bus = Bus::new(Arc::clone(&plan.points), observers);
        let (started, shutdown) = (CancellationToken::new(), CancellationToken::new());
        let world = Self { bus, alarms, commander, clock, begun, happened, started, shutdown };
        world.start(plan, case, &queues);
        world
    }

    fn start(&self, plan: &Plan, case: &Case, queues: &[Arc<WriteQueue>]) {
        let (commander, alarms) = (self.commander.clone(), Arc::clone(&self.alarms));
        let stop = self.shutdown.clone();
        tokio::spawn(async move { commander.run(stop).await });
        let stop = self.shutdown.clone();
        tokio::spawn(async move { alarms.run(stop).await });
        tokio::spawn(stale::watch(Arc::clone(&self.bus), self.clock.clone(), self.shutdown.clone()));
        for (channel, writes) in plan.channels.iter().zip(queues) {
            for device in channel.driver.device_names() {
                self.alarms.link(&device, true);
            }
            if channel.driver.get::<virtual_points::Plan>().is_some() {
                let stats = ChannelStats::new(Arc::clone(&channel.name), channel.driver.device_names());
                let context = ChannelContext {
                    bus: Arc::clone(&self.bus),
                    writes: Arc::clone(writes),
                    stats: Arc::new(stats),
                    clock: self.clock.clone(),
                    services: Services::default(),
                    shutdown: self.shutdown.clone(),
                };
                tokio::spawn(channel.driver.channel().run(context));
                continue;
            }
            let around = Surroundings {
                bus: Arc::clone(&self.bus),
                alarms: Arc::clone(&self.alarms),
                commander: self.commander.clone(),
                clock: self.clock.clone(),
                begun: self.begun,
                happened: Arc::clone(&self.happened),
                started: self.started.clone(),
                shutdown: self.shutdown.clone(),
            };
            let points = plan.points.iter().filter(|point| point.channel == channel.name);
            tokio::spawn(StandIn::new(around, Arc::clone(writes), points, case).run());
        }
    }

    async fn live(self, case: &Case) -> Happened {
        settle().await;
        *self.happened() = Happened { values: vec![Vec::new(); case.values.len()], ..Happened::default() };
        self.started.cancel();
        let mut moments: Vec<(Duration, Moment<'_>)> =
            case.deeds.iter().enumerate().map(|(place, deed)| (deed.at, Moment::Deed(place, deed))).collect();
        let looks = case.values.iter().enumerate();
        let looks = looks.flat_map(|(place, (_, list))| {
            list.iter().map(move |expected| (expected.at, Moment::Look(place)))
        });
        moments.extend(looks);
        moments.sort_by_key(|(at, _)| *at);
        let mut outcomes = Vec::new();
        for (at, moment) in moments {
            self.reach(at).await;
            match moment {
                Moment::Deed(place, deed) => {
                    outcomes.extend(self.act(place, deed));
                    settle().await;
                }
                Moment::Look(place) => self.look(case, place),
            }
        }
        // What lies late within the tolerance still counts.
        self.reach(case.until + case.tolerance).await;
        self.shutdown.cancel();
        for (place, wanted, outcome) in outcomes {
            let told = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.conclude(place, wanted, told);
        }
        std::mem::take(&mut *self.happened())
    }

    /// Goes on to a moment, and through all that happens at it.
    async fn reach(&self, at: Duration) {
        tokio::time::sleep_until((self.begun + at).into()).await;
        settle().await;
    }

    /// Does what somebody does; a command's outcome comes later.
    fn act(&self, place: usize, deed: &Deed) -> Option<Pending> {
        match &deed.act {
            Act::Alarm(name, action) => {
                let request = AlarmRequest {
                    target: AlarmTarget::Alarm(name.to_string()),
                    action: *action,
                    by: SOMEBODY.into(),
                    comment: None,
                };
                if let Err(refusal) = self.alarms.operate(&request) {
                    self.happened().deeds.push((place, format!("refused: {refusal}")));
                }
                None
            }
            Act::Write(point, value, wanted) => {
                let deadline = self.clock.mono() + DEFAULT_DEADLINE;
                let origin = Origin::Mqtt(SOMEBODY.into());
                let ticket = self.commander.submit(*point, value.clone(), origin, deadline);
                let told = Arc::new(Mutex::new(None));
                let teller = Arc::clone(&told);
                tokio::spawn(async move {
                    let outcome = ticket.outcome().await;
                    *teller.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                });
                Some((place, *wanted, told))
            }
        }
    }

    /// Compares a command's outcome with the one that is wanted.
    fn conclude(&self, place: usize, wanted: Option<&'static str>, told: Option<Outcome>) {
        let problem = match (wanted, told) {
            (_, None) => Some("the test ended before the command did".to_owned()),
            (None, Some(outcome)) => (!outcome.succeeded()).then(|| outcome.to_string()),
            (Some(wanted), Some(outcome)) => {
                (outcome.code() != wanted).then(|| format!("expected {wanted}, is {outcome}"))
            }
        };
        if let Some(problem) = problem {
            self.happened().deeds.push((place, problem));
        }
    }

    fn look(&self, case: &Case, place: usize) {
        let latest = self.bus.latest(case.values[place].0);
        let signal = match latest.at {
            Some(_) => Signal::Reads(latest.value, latest.quality),
            None => Signal::Silent,
        };
        self.happened().values[place].push(signal);
    }

    fn happened(&self) -> MutexGuard<'_, Happened> {
        self.happened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command under way: its place in `deeds`, the wanted outcome, and where the outcome will be.
type Pending = (usize, Option<&'static str>, Arc<Mutex<Option<Outcome>>>);

/// Lets everything happen that follows from this moment. Time stands still meanwhile: somebody is always ready.
async fn settle() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

fn listener(happened: Arc<Mutex<Happened>>, begun: Instant, points: Arc<PointTable>) -> Listener {
    Box::new(move |news| {
        let AlarmNews::Event(event, _) = news else { return };
        let status = &event.status;
        if event.from == status.state {
            return;
        }
        let mut happened = happened.lock().unwrap_or_else(PoisonError::into_inner);
        if happened.alarms.len() == MAX_EVENTS {
            happened.overflowed = true;
            return;
        }
        happened.alarms.push(AlarmSeen {
            at: event.at.mono.saturating_duration_since(begun),
            name: Arc::clone(&status.name),
            state: status.state,
            why: why(event, &points),
        });
    })
}

/// What led to a change, for people.
fn why(event: &AlarmEvent, points: &PointTable) -> String {
    let mut why = event.change.word().to_owned();
    if let Some(condition) = event.status.condition {
        why.push_str(&format!(" ({condition})"));
    }
    if let (Some(value), None) = (&event.status.value, &event.by) {
        let unit = event.status.point.and_then(|point| points.get(point).unit.clone());
        why.push_str(&format!(" at {}", super::text::value(value)));
        why.extend(unit.map(|unit| format!(" {unit}")));
    }
    why
}
