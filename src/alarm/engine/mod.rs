//! Runs every rule on every reading, the delays between readings, and what people want of alarms.
//!
//! The engine observes the bus in line. Actions and listeners are called under its lock, so that a change
//! by a reading and a change by a timer can never reach an output in the wrong order; a listener therefore
//! must not ask the engine back. Evaluating a reading allocates nothing as long as no alarm changes.
//! `operate` does what people want, `act` what alarms do to outputs, `tell` passes on what has changed.
//! Invariant: an output is held for an alarm exactly while its action says so.

mod act;
mod operate;
mod tell;
mod untold;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::flood::{Groups, Rates};
use super::index::Index;
use super::instance::Alarm;
use super::rule::Rule;
use super::store::{Boot, Kept, Saved, Store, Written};
use super::timers::Timers;
use crate::bus::Observer;
use crate::clock::Clock;
use crate::command::Commander;
use crate::model::{
    AlarmFigures, AlarmNews, AlarmOverview, AlarmQuery, AlarmRecord, AlarmState, AlarmStatus, PointTable,
    Reading, Stamp,
};

/// Told of every change.
pub type Listener = Box<dyn Fn(AlarmNews<'_>) + Send + Sync>;

/// How far the counts go back.
const DAY: Duration = Duration::from_secs(24 * 3600);

pub use operate::MAX_WORDS;

/// All alarms of a gateway.
pub struct Engine {
    rules: Vec<Rule>,
    points: Arc<PointTable>,
    index: Index,
    by_name: HashMap<Arc<str>, usize>,
    /// Indices into `rules`, by device.
    by_device: HashMap<Arc<str>, Vec<usize>>,
    state: Mutex<Alarms>,
    commander: Commander,
    clock: Clock,
    listeners: Vec<Listener>,
    timer_changed: Notify,
    store: Option<(Store, Boot)>,
}

struct Alarms {
    /// In the order of the rules.
    all: Vec<Alarm>,
    /// When each must be looked at; may be too early, never too late.
    timers: Timers,
    flood: Flood,
}

/// What is known of many alarms together.
struct Flood {
    groups: Groups,
    rates: Rates,
}

impl Engine {
    /// An engine for these rules.
    #[must_use]
    pub fn new(
        rules: Vec<Rule>,
        points: Arc<PointTable>,
        commander: Commander,
        clock: Clock,
        listeners: Vec<Listener>,
    ) -> Self {
        let index = Index::new(&rules, points.len());
        let now = clock.mono();
        let mut by_device: HashMap<Arc<str>, Vec<usize>> = HashMap::new();
        for (place, rule) in rules.iter().enumerate() {
            if let Some(device) = &rule.device {
                by_device.entry(Arc::clone(device)).or_default().push(place);
            }
        }
        let by_name = rules.iter().enumerate().map(|(place, rule)| (Arc::clone(&rule.name), place)).collect();
        let flood = Flood { groups: Groups::new(&rules), rates: Rates::new(now) };
        let mut alarms =
            Alarms { all: Vec::with_capacity(rules.len()), timers: Timers::new(rules.len()), flood };
        for (place, rule) in rules.iter().enumerate() {
            let mut alarm = Alarm::new(rule, now);
            alarm.message = alarm.fill(rule, &points);
            alarms.timers.set(place, alarm.due(rule, now));
            alarms.all.push(alarm);
        }
        let state = Mutex::new(alarms);
        let timer_changed = Notify::new();
        Self {
            rules,
            points,
            index,
            by_name,
            by_device,
            state,
            commander,
            clock,
            listeners,
            timer_changed,
            store: None,
        }
    }

    /// The same engine with a store: alarms stand as they stood, and their outputs are held again.
    #[must_use]
    pub fn with_store(mut self, store: Store, kept: &Kept, boot: Boot) -> Self {
        let mut state = self.lock();
        for (place, rule) in self.rules.iter().enumerate() {
            let Some(saved) = kept.states.get(&*rule.name) else { continue };
            let alarm = &mut state.all[place];
            if !saved.restore(rule, alarm, &boot) {
                tracing::warn!(alarm = &*rule.name, "its stored state makes no sense; it begins anew");
                continue;
            }
            self.resume(rule, alarm, boot.now.mono);
            if !saved.is_of(&boot) {
                // What is left of its times counts from here, also if the program is killed before anything else happens.
                store.put(&rule.name, Saved::of(rule, alarm, &boot, boot.now), None);
            }
            let due = alarm.due(rule, boot.now.mono);
            state.timers.set(place, due);
        }
        let Alarms { all, flood, .. } = &mut *state;
        let statuses = self.rules.iter().zip(&*all).map(|(rule, alarm)| alarm.status(rule));
        let first =
            |group: &str| kept.first_out.get(group).map(|(alarm, unix_us)| (alarm.as_str(), *unix_us));
        flood.groups.restore(statuses, first);
        self.recall(&mut flood.rates, &store, &boot);
        drop(state);
        self.store = Some((store, boot));
        self
    }

    /// Counts what the journal knows of the last day. Where the wall clock has jumped it may know of less.
    fn recall(&self, rates: &mut Rates, store: &Store, boot: &Boot) {
        let day = i64::try_from(DAY.as_micros()).unwrap_or(i64::MAX);
        let told = match store.told_since(boot.now.unix_us.saturating_sub(day)) {
            Ok(told) => told,
            Err(error) => return tracing::warn!(%error, "the counts of alarms begin anew"),
        };
        let now = boot.now.unix_us.div_euclid(60_000_000);
        for (alarm, minute, count) in told {
            let ago = u64::try_from(now - minute).map(|minutes| Duration::from_secs(60 * minutes));
            if let (Some(place), Ok(ago)) = (self.by_name.get(alarm.as_str()), ago) {
                rates.seed(*place, ago, count);
            }
        }
    }

    /// Tells when every change so far is stored; `None` when nothing is.
    #[must_use]
    pub fn stored(&self) -> Option<Written> {
        self.store.as_ref().map(|(store, _)| store.written())
    }

    /// Events from the journal, the newest first. Waits for the disk.
    ///
    /// # Errors
    /// Why there are none to be had.
    pub fn journal(&self, query: &AlarmQuery) -> Result<Vec<AlarmRecord>, String> {
        match &self.store {
            Some((store, _)) => store.journal(query).map_err(|error| error.to_string()),
            None => Err("there is no journal: the gateway has no state directory".into()),
        }
    }

    /// Every alarm as it stands now, in the order of the configuration.
    #[must_use]
    pub fn status(&self) -> Vec<AlarmStatus> {
        let state = self.lock();
        let alarms = self.rules.iter().zip(&state.all).enumerate();
        alarms.map(|(place, (rule, alarm))| status(&state.flood.groups, place, rule, alarm)).collect()
    }

    /// What is known of all of them together.
    #[must_use]
    pub fn overview(&self) -> AlarmOverview {
        let journal_dropped = self.store.as_ref().map_or(0, |(store, _)| store.dropped());
        let now = self.clock.mono();
        let state = self.lock();
        let groups = state.flood.groups.all().to_vec();
        let counts = state.flood.rates.counts(now);
        let name = |(place, count): (usize, u64)| (Arc::clone(&self.rules[place].name), count);
        let mut figures = AlarmFigures {
            last_10_minutes: counts.ten_minutes,
            last_hour: counts.hour,
            last_day: counts.day,
            peak: counts.peak,
            flooded: counts.flooded,
            total: counts.total,
            most_frequent: counts.most.into_iter().map(name).collect(),
            journal_dropped,
            ..AlarmFigures::default()
        };
        for alarm in &state.all {
            let stands = alarm.life.state();
            figures.standing += usize::from(alarm.life.active() && !stands.is_silent());
            figures.unacknowledged += usize::from(stands.is_unacknowledged());
            figures.chattering += usize::from(alarm.chatter.is());
            match stands {
                AlarmState::Shelved => figures.shelved += 1,
                AlarmState::Suppressed => figures.suppressed += 1,
                AlarmState::OutOfService => figures.out_of_service += 1,
                _ => {}
            }
        }
        AlarmOverview { figures, groups }
    }

    /// Looks at alarms whose delays or shelves end. Runs until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        loop {
            let next = self.lock().timers.next();
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.timer_changed.notified() => {}
                () = sleep_until(next), if next.is_some() => self.tick(),
            }
        }
    }

    fn tick(&self) {
        let now = self.clock.stamp();
        let mut state = self.lock();
        while let Some(place) = state.timers.due(now.mono) {
            self.look(&mut state, place, now);
            let due = state.all[place].due(&self.rules[place], now.mono);
            state.timers.set(place, due);
        }
    }

    /// Takes in whether a device answers.
    pub fn link(&self, device: &str, online: bool) {
        let Some(places) = self.by_device.get(device) else { return };
        let now = self.clock.stamp();
        let mut state = self.lock();
        for place in places {
            state.all[*place].take_link(&self.rules[*place], online);
            self.look(&mut state, *place, now);
            self.remind(&mut state, *place, now.mono);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Alarms> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, state: &mut Alarms, place: usize, now: Stamp) {
        let Alarms { all, flood, .. } = state;
        let mut tell = |alarm: &mut Alarm, change, from| self.tell(flood, place, alarm, change, from, now);
        all[place].look(&self.rules[place], now, &mut tell);
        self.follow(state, place, now);
    }

    /// Sees to it that an alarm is looked at in time. A moment that has become too late is left: looking too
    /// early costs less than setting it at every reading.
    fn remind(&self, state: &mut Alarms, place: usize, now: Instant) {
        let Some(due) = state.all[place].due(&self.rules[place], now) else { return };
        if state.timers.get(place).is_none_or(|set| due < set) {
            let before = state.timers.next();
            state.timers.set(place, Some(due));
            if state.timers.next() != before {
                self.timer_changed.notify_one();
            }
        }
    }
}

impl Observer for Engine {
    fn observe(&self, readings: &[Reading]) {
        let watched = |reading: &Reading| !self.index.watchers(reading.point.index()).is_empty();
        let Some(first) = readings.iter().position(watched) else { return };
        let readings = &readings[first..];
        let mut state = self.lock();
        let state = &mut *state;
        for reading in readings {
            for watcher in self.index.watchers(reading.point.index()) {
                let place = watcher.alarm as usize;
                state.all[place].take(&self.rules[place], watcher.place as usize, reading);
            }
        }
        for reading in readings {
            let now = reading.at;
            for watcher in self.index.watchers(reading.point.index()) {
                let place = watcher.alarm as usize;
                let Alarms { all, flood, .. } = &mut *state;
                let mut tell =
                    |alarm: &mut Alarm, change, from| self.tell(flood, place, alarm, change, from, now);
                if all[place].look_if_touched(&self.rules[place], now, &mut tell) {
                    self.follow(state, place, now);
                    self.remind(state, place, now.mono);
                }
            }
        }
    }
}

/// How an alarm stands, with the groups that it leads.
fn status(groups: &Groups, place: usize, rule: &Rule, alarm: &Alarm) -> AlarmStatus {
    let mut status = alarm.status(rule);
    status.first_of = groups.led_by(place, &rule.name).cloned().collect();
    status
}

async fn sleep_until(moment: Option<Instant>) {
    if let Some(moment) = moment {
        tokio::time::sleep_until(moment.into()).await;
    }
}

#[cfg(test)]
mod act_tests;
#[cfg(test)]
mod tests;
