//! One alarm: what it remembers, its delays and its life, and how events move all of them. Pure.
//!
//! Readings are taken ([`Alarm::take`]) and then looked at ([`Alarm::look`]); people act by
//! [`Alarm::operate`]. Every change is told in its order, with the state before. Invariant: the condition
//! that counts and the life cycle agree: the alarm is active exactly while a condition counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::action::{self, Action, Running};
use super::delay::{Delay, Turn};
use super::detect::{Condition, Detector, Memory, Reference, Sight};
use super::flood::Chatter;
use super::life::{Event, Life};
use super::rule::Rule;
use super::text::Values;
use crate::model::units::Period;
use crate::model::{
    AlarmAction, AlarmChange, AlarmState, AlarmStatus, PointId, PointTable, Reading, Stamp, Texts, Value,
};

/// The longest time for which an alarm can be put aside; who needs longer takes it out of service.
pub const MAX_SHELF: Duration = Duration::from_secs(24 * 3600);

/// Who has shelved an alarm that chatters, where no person has.
const ITSELF: &str = "gateway";

/// What is told of a change: the alarm after it, what it was, and the state before.
pub type Tell<'a> = &'a mut dyn FnMut(&mut Alarm, AlarmChange, AlarmState);

/// One alarm at work.
#[derive(Debug, Clone)]
pub struct Alarm {
    memory: Memory,
    /// The condition and the delay that runs.
    pub delay: Delay,
    /// Where it stands.
    pub life: Life,
    /// The value at the last change of the condition.
    pub value: Option<Value>,
    /// When the state last changed.
    pub since: Option<Stamp>,
    /// When the shelf ends by the wall clock of when it was shelved, for people only.
    pub shelved_until_us: Option<i64>,
    /// Who acted last, while that lasts.
    pub by: Option<Arc<str>>,
    /// What that person said.
    pub comment: Option<Arc<str>>,
    /// What was told last.
    pub message: Texts,
    /// Whether it chatters.
    pub chatter: Chatter,
    /// How its actions stand, in the order of the rule.
    pub actions: Box<[Running]>,
    /// Somebody acts at this moment; what is told otherwise is the plant's and the clock's doing.
    pub acting: bool,
    blind: bool,
    touched: bool,
}

impl Alarm {
    /// A new alarm, about which nothing is known. Silence counts from `now`.
    #[must_use]
    pub fn new(rule: &Rule, now: Instant) -> Self {
        let mut memory = Memory::new(&rule.detector, rule.inputs.len());
        memory.begin(now);
        Self {
            memory,
            delay: Delay::default(),
            life: Life::default(),
            value: None,
            since: None,
            shelved_until_us: None,
            by: None,
            comment: None,
            message: Texts::default(),
            chatter: Chatter::default(),
            actions: vec![Running::default(); rule.actions.len()].into(),
            acting: false,
            blind: false,
            touched: false,
        }
    }

    /// Takes in a reading of the input at `place`; it counts at the next look.
    pub fn take(&mut self, rule: &Rule, place: usize, reading: &Reading) {
        rule.detector.take(&mut self.memory, place, reading);
        self.touched = true;
    }

    /// Takes in whether the device answers.
    pub fn take_link(&mut self, rule: &Rule, online: bool) {
        rule.detector.take_link(&mut self.memory, online);
    }

    /// Looks when something has been taken in since the last time.
    pub fn look_if_touched(&mut self, rule: &Rule, now: Stamp, tell: Tell<'_>) -> bool {
        std::mem::take(&mut self.touched) && {
            self.look(rule, now, tell);
            true
        }
    }

    /// Looks at what is remembered, and lets time pass.
    pub fn look(&mut self, rule: &Rule, now: Stamp, tell: Tell<'_>) {
        if self.life.shelved_until.is_some_and(|until| until <= now.mono) {
            self.unshelve(rule, now, tell);
        }
        if self.chatter.calm(now.mono) {
            self.note(AlarmChange::Calmed, tell);
        }
        match rule.enabled.as_ref().and_then(|enabled| enabled.truth(&self.memory)) {
            Some(false) if !self.life.suppressed => self.suppress(rule, now, tell),
            Some(true) if self.life.suppressed => {
                // What has moved before does not count: the plant was meant to stand still.
                self.memory.restart(now.mono);
                self.happen(rule, Event::Unsuppress, AlarmChange::Unsuppressed, now, tell);
            }
            _ => {}
        }
        if self.life.suppressed {
            return;
        }
        let sight = rule.detector.look(&mut self.memory, self.delay.counts, now.mono);
        self.blind = sight == Sight::Blind && self.memory.number(0).is_some();
        let before = self.delay.counts;
        if let Some(turn) = self.delay.step(rule.delays, sight, now.mono) {
            self.turn(rule, turn, before, now, tell);
        }
    }

    /// When to look again though nothing may come.
    #[must_use]
    pub fn due(&self, rule: &Rule, now: Instant) -> Option<Instant> {
        let watched = match self.life.suppressed {
            true => None,
            false => rule.detector.due(&self.memory, self.delay.counts, now),
        };
        let actions = rule.actions.iter().zip(&*self.actions);
        let acting = actions.filter_map(|(action, running)| running.due(action, &self.life, now)).min();
        let moments = [self.delay.due(), self.life.shelved_until, self.chatter.until, watched, acting];
        moments.into_iter().flatten().min()
    }

    /// Lets its actions follow its life and the time. Says whether any of them stands differently.
    pub fn act(&mut self, rule: &Rule, now: Instant, turn: &mut dyn FnMut(&Action, action::Turn)) -> bool {
        let Self { memory, life, actions, .. } = self;
        let mut moved = false;
        for (action, running) in rule.actions.iter().zip(actions.iter_mut()) {
            let before = *running;
            let released = || action.until.as_ref().is_none_or(|until| until.truth(memory) == Some(true));
            if let Some(next) = running.step(action, life, released, now) {
                turn(action, next);
            }
            moved |= *running != before;
        }
        moved
    }

    /// A device has confirmed what the alarm wants of an output. Says whether that was news.
    pub fn confirm(&mut self, rule: &Rule, output: PointId, now: Instant) -> bool {
        let mut actions = rule.actions.iter().zip(self.actions.iter_mut());
        let own = actions.find(|(action, _)| action.output == output);
        own.is_some_and(|(action, running)| running.confirm(action, now))
    }

    fn turn(&mut self, rule: &Rule, turn: Turn, before: Option<Condition>, now: Stamp, tell: Tell<'_>) {
        self.value = self.memory.value().cloned();
        let worse = |next| before.is_some_and(|before| before.worsens_to(next));
        match turn {
            Turn::Pending => self.note(AlarmChange::Pending, tell),
            Turn::Withdrawn => self.note(AlarmChange::Withdrawn, tell),
            Turn::Came(_) => {
                // Counted first, so that what is told of its coming knows of it.
                let begins = rule.chattering.is_some_and(|set| self.chatter.count(&set, now.mono));
                self.happen(rule, Event::Came, AlarmChange::Raised, now, tell);
                self.after_activation(rule, begins, now, tell);
            }
            Turn::Became(next) if worse(next) => {
                self.happen(rule, Event::Worsened, AlarmChange::Escalated, now, tell);
            }
            Turn::Became(_) => self.note(AlarmChange::Eased, tell),
            Turn::Went => self.happen(rule, Event::Went, AlarmChange::Returned, now, tell),
        }
    }

    /// Tells that it chatters from now on, and puts it aside where that is wanted of those that do.
    fn after_activation(&mut self, rule: &Rule, begins: bool, now: Stamp, tell: Tell<'_>) {
        let Some(set) = rule.chattering else { return };
        if begins {
            self.note(AlarmChange::Chattering, tell);
        }
        if set.shelve && self.chatter.is() && !self.chatter.declined && !self.life.silent() {
            let why = format!("it came {} times within {}", set.activations, Period(set.within));
            let who = (Arc::from(ITSELF), Some(why.into()));
            // An alarm that is not silent can be shelved, and the time was checked with the configuration.
            let _ = self.operate(rule, AlarmAction::Shelve(set.shelve_for), who, now, tell);
        }
    }

    fn suppress(&mut self, rule: &Rule, now: Stamp, tell: Tell<'_>) {
        self.happen(rule, Event::Suppress, AlarmChange::Suppressed, now, tell);
        let counted = self.delay.counts.is_some();
        self.delay = Delay::default();
        self.blind = false;
        if counted {
            self.happen(rule, Event::Went, AlarmChange::Returned, now, tell);
        }
    }

    fn unshelve(&mut self, rule: &Rule, now: Stamp, tell: Tell<'_>) {
        self.shelved_until_us = None;
        self.happen(rule, Event::Unshelve, AlarmChange::Unshelved, now, tell);
    }

    /// What somebody wants.
    ///
    /// # Errors
    /// Why it has no meaning now; then nothing has changed.
    pub fn operate(
        &mut self,
        rule: &Rule,
        action: AlarmAction,
        who: (Arc<str>, Option<Arc<str>>),
        now: Stamp,
        tell: Tell<'_>,
    ) -> Result<(), String> {
        let (event, change) = match action {
            AlarmAction::Acknowledge => (Event::Acknowledge, AlarmChange::Acknowledged),
            AlarmAction::Shelve(time) if time.is_zero() || time > MAX_SHELF => {
                return Err(format!("an alarm is shelved for up to {} h", MAX_SHELF.as_secs() / 3600));
            }
            AlarmAction::Shelve(time) => (Event::Shelve(now.mono + time), AlarmChange::Shelved),
            AlarmAction::Unshelve => (Event::Unshelve, AlarmChange::Unshelved),
            AlarmAction::TakeOut => (Event::TakeOut, AlarmChange::TakenOut),
            AlarmAction::PutBack => (Event::PutBack, AlarmChange::PutBack),
        };
        let mut after = self.life;
        if after.step(rule.manner, event).is_err() {
            return Err(format!("`{}` is {}: {}", rule.name, self.life.state().word(), refusal(action)));
        }
        (self.by, self.comment) = (Some(who.0), who.1);
        match action {
            AlarmAction::Shelve(time) => {
                let time_us = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
                self.shelved_until_us = Some(now.unix_us.saturating_add(time_us));
            }
            AlarmAction::Unshelve => {
                self.shelved_until_us = None;
                self.chatter.declined = self.chatter.is();
            }
            _ => {}
        }
        self.acting = true;
        self.happen(rule, event, change, now, tell);
        self.acting = false;
        Ok(())
    }

    /// Lets an event happen that has a meaning now, and tells it.
    fn happen(&mut self, rule: &Rule, event: Event, change: AlarmChange, now: Stamp, tell: Tell<'_>) {
        let (before, from) = (self.life, self.life.state());
        if self.life.step(rule.manner, event).is_err() {
            return;
        }
        for (action, running) in rule.actions.iter().zip(self.actions.iter_mut()) {
            running.happen(action, event, &before, &self.life);
        }
        if self.life.state() != from || change == AlarmChange::Escalated || self.since.is_none() {
            self.since = Some(now);
        }
        let lasts = matches!(
            self.life.state(),
            AlarmState::ActiveAcknowledged | AlarmState::Shelved | AlarmState::OutOfService
        );
        let by_person = matches!(
            event,
            Event::Acknowledge | Event::Shelve(_) | Event::Unshelve | Event::TakeOut | Event::PutBack
        );
        if !lasts && !by_person {
            (self.by, self.comment) = (None, None);
        }
        tell(self, change, from);
        if !lasts {
            (self.by, self.comment) = (None, None);
        }
    }

    /// Tells a change that leaves the life as it is.
    fn note(&mut self, change: AlarmChange, tell: Tell<'_>) {
        let state = self.life.state();
        tell(self, change, state);
    }

    /// The message as it is now.
    #[must_use]
    pub fn fill(&self, rule: &Rule, points: &PointTable) -> Texts {
        let point = rule.subject().map(|id| points.get(id));
        let condition = self.delay.counts;
        let number = |number: Option<f64>| number.map(|number| Value::Float(number).to_string());
        let value = self.value.as_ref().or_else(|| self.memory.value());
        let subject = point.map(|point| point.label.as_ref().unwrap_or(&point.name));
        let values: Values = [
            value.map(ToString::to_string),
            point.and_then(|point| point.unit.as_deref()).map(str::to_owned),
            number(limit(&rule.detector, condition)),
            number(self.reference(rule)),
            condition.map(|condition| condition.word().to_owned()),
            subject.or(rule.device.as_ref()).map(ToString::to_string),
            Some(rule.name.to_string()),
        ];
        rule.message.fill(&values)
    }

    fn reference(&self, rule: &Rule) -> Option<f64> {
        match &rule.detector {
            Detector::Deviation { from: Reference::Fixed(number), .. } => Some(*number),
            Detector::Deviation { from: Reference::Input, .. } => self.memory.number(1),
            _ => None,
        }
    }

    /// Whether it chatters, and somebody hears it.
    fn offers(&self) -> bool {
        self.chatter.is() && !self.life.silent()
    }

    /// The alarm as it stands, but for the groups that it leads.
    #[must_use]
    pub fn status(&self, rule: &Rule) -> AlarmStatus {
        AlarmStatus {
            name: Arc::clone(&rule.name),
            point: rule.subject(),
            device: rule.device.clone(),
            severity: rule.severity(self.delay.counts),
            class: rule.class.clone(),
            groups: Arc::clone(&rule.groups),
            state: self.life.state(),
            active: self.life.active(),
            pending: self.delay.runs.is_some(),
            blind: self.blind,
            condition: self.delay.counts.map(Condition::word),
            value: self.value.clone(),
            since: self.since,
            shelved_until_us: self.shelved_until_us,
            message: self.message.clone(),
            help: rule.help.clone(),
            by: self.by.clone(),
            comment: self.comment.clone(),
            chattering: self.chatter.is(),
            shelve_offer: rule.chattering.map(|set| set.shelve_for).filter(|_| self.offers()),
            first_of: Vec::new(),
        }
    }
}

/// The limit that a condition is about.
fn limit(detector: &Detector, condition: Option<Condition>) -> Option<f64> {
    match (detector, condition?) {
        (Detector::Limits(limits), condition) => limits.limit(condition),
        (Detector::Deviation { limits, .. }, Condition::Above) => limits.high,
        (Detector::Deviation { limits, .. }, Condition::Below) => limits.low.map(f64::abs),
        (Detector::Rate(rate), Condition::Rising) => rate.rise,
        (Detector::Rate(rate), Condition::Falling) => rate.fall,
        _ => None,
    }
}

const fn refusal(action: AlarmAction) -> &'static str {
    match action {
        AlarmAction::Acknowledge => "there is nothing to acknowledge",
        AlarmAction::Shelve(_) => "put it back into service first",
        AlarmAction::Unshelve => "it is not shelved",
        AlarmAction::TakeOut => "it is so already",
        AlarmAction::PutBack => "it is in service",
    }
}

#[cfg(test)]
#[path = "instance_tests.rs"]
pub(in crate::alarm) mod tests;
