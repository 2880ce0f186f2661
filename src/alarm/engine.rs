//! Runs every rule on every reading, the delays between readings, and what people want of alarms.
//!
//! The engine observes the bus in line. Actions and listeners are called under its lock, so that a change
//! by a reading and a change by a timer can never reach an output in the wrong order; a listener therefore
//! must not ask the engine back. Evaluating a reading allocates nothing as long as no alarm changes.
//! Invariant: an output is held for an alarm exactly while its life says so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::index::Index;
use super::instance::Alarm;
use super::rule::Rule;
use super::store::{Boot, Saved, Store, Written};
use super::timers::Timers;
use crate::bus::Observer;
use crate::clock::Clock;
use crate::command::Commander;
use crate::model::{
    AlarmChange, AlarmEvent, AlarmQuery, AlarmRecord, AlarmRefusal, AlarmRequest, AlarmState, AlarmStatus,
    AlarmTarget, PointTable, Reading, Stamp,
};

/// The longest comment and name of a person, in bytes.
pub const MAX_WORDS: usize = 1024;

/// Told of every change.
pub type Listener = Box<dyn Fn(&AlarmEvent) + Send + Sync>;

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
        let mut alarms = Alarms { all: Vec::with_capacity(rules.len()), timers: Timers::new(rules.len()) };
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
    pub fn with_store(mut self, store: Store, saved: &HashMap<String, Saved>, boot: Boot) -> Self {
        let mut state = self.lock();
        for (place, rule) in self.rules.iter().enumerate() {
            let Some(saved) = saved.get(&*rule.name) else { continue };
            let alarm = &mut state.all[place];
            if !saved.restore(rule, alarm, &boot) {
                tracing::warn!(alarm = &*rule.name, "its stored state makes no sense; it begins anew");
                continue;
            }
            alarm.held = alarm.life.holds();
            for action in rule.actions.iter().filter(|_| alarm.held) {
                self.commander.hold(action.output, &rule.name, action.value.clone());
            }
            let due = alarm.due(rule, boot.now.mono);
            state.timers.set(place, due);
        }
        drop(state);
        self.store = Some((store, boot));
        self
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
        self.rules.iter().zip(&self.lock().all).map(|(rule, alarm)| alarm.status(rule)).collect()
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

    /// Does what somebody wants, to all alarms that are meant. Returns how they stand after it.
    ///
    /// # Errors
    /// Why nothing was done at all.
    pub fn operate(&self, request: &AlarmRequest) -> Result<Vec<AlarmStatus>, AlarmRefusal> {
        let long = |text: &str| text.len() > MAX_WORDS || text.chars().any(char::is_control);
        if request.by.trim().is_empty() || long(&request.by) || request.comment.as_deref().is_some_and(long) {
            let why =
                format!("say who you are; name and comment are single lines of up to {MAX_WORDS} bytes");
            return Err(AlarmRefusal::Request(why));
        }
        let now = self.clock.stamp();
        let mut state = self.lock();
        match &request.target {
            AlarmTarget::Alarm(name) => {
                let place = self.by_name.get(name.as_str()).copied();
                let place = place.ok_or_else(|| AlarmRefusal::Unknown(format!("alarm `{name}`")))?;
                self.act(&mut state, place, request, now)
                    .map(|status| vec![status])
                    .map_err(AlarmRefusal::State)
            }
            AlarmTarget::Group(name) => {
                let belongs = |rule: &Rule| rule.groups.iter().any(|group| **group == **name);
                let places = (0..self.rules.len()).filter(|place| belongs(&self.rules[*place]));
                let (mut done, mut refused) = (Vec::new(), None);
                for place in places {
                    match self.act(&mut state, place, request, now) {
                        Ok(status) => done.push(status),
                        Err(why) => refused = refused.or(Some(why)),
                    }
                }
                match refused {
                    _ if !done.is_empty() => Ok(done),
                    Some(why) => Err(AlarmRefusal::State(why)),
                    None => Err(AlarmRefusal::Unknown(format!("group `{name}`"))),
                }
            }
        }
    }

    fn act(
        &self,
        state: &mut Alarms,
        place: usize,
        request: &AlarmRequest,
        now: Stamp,
    ) -> Result<AlarmStatus, String> {
        let (rule, alarm) = (&self.rules[place], &mut state.all[place]);
        let who = (Arc::clone(&request.by), request.comment.clone());
        let mut tell = |alarm: &mut Alarm, change, from| self.tell(rule, alarm, change, from, now);
        alarm.operate(rule, request.action, who, now, &mut tell)?;
        let status = alarm.status(rule);
        self.remind(state, place, now.mono);
        Ok(status)
    }

    fn lock(&self) -> MutexGuard<'_, Alarms> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, state: &mut Alarms, place: usize, now: Stamp) {
        let rule = &self.rules[place];
        let mut tell = |alarm: &mut Alarm, change, from| self.tell(rule, alarm, change, from, now);
        state.all[place].look(rule, now, &mut tell);
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

    fn tell(&self, rule: &Rule, alarm: &mut Alarm, change: AlarmChange, from: AlarmState, at: Stamp) {
        let holds = alarm.life.holds();
        if holds != alarm.held {
            alarm.held = holds;
            for action in &rule.actions {
                match holds {
                    true => self.commander.hold(action.output, &rule.name, action.value.clone()),
                    false => self.commander.release(action.output, &rule.name),
                }
            }
        }
        // What was told when it came stays, also after it went: the value of the return stands beside it.
        if alarm.delay.counts.is_some() {
            alarm.message = alarm.fill(rule, &self.points);
        }
        let status = alarm.status(rule);
        let (by, comment) = (alarm.by.clone(), alarm.comment.clone());
        let event = AlarmEvent { change, at, from, by, comment, status };
        log(&event);
        if let Some((store, boot)) = &self.store {
            store.put(&rule.name, Saved::of(alarm, boot, at), (!change.is_passing()).then_some(&event));
        }
        for listener in &self.listeners {
            listener(&event);
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
                let rule = &self.rules[place];
                let mut tell = |alarm: &mut Alarm, change, from| self.tell(rule, alarm, change, from, now);
                if state.all[place].look_if_touched(rule, now, &mut tell) {
                    self.remind(state, place, now.mono);
                }
            }
        }
    }
}

async fn sleep_until(moment: Option<Instant>) {
    if let Some(moment) = moment {
        tokio::time::sleep_until(moment.into()).await;
    }
}

fn log(event: &AlarmEvent) {
    let AlarmStatus { name, condition, value, message, state, .. } = &event.status;
    let value = value.as_ref().map(ToString::to_string).unwrap_or_default();
    let (by, state) = (event.by.as_deref(), state.word());
    match event.change {
        AlarmChange::Raised | AlarmChange::Escalated => {
            let message = message.any().map_or("", |text| text);
            tracing::warn!(
                alarm = &**name,
                condition,
                value,
                state,
                "alarm {}: {message}",
                event.change.word()
            );
        }
        change if change.is_passing() => {
            tracing::debug!(alarm = &**name, value, "alarm {}", change.word());
        }
        change => tracing::info!(alarm = &**name, value, state, by, "alarm {}", change.word()),
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
