//! Runs every rule on every reading, and the delays between readings.
//!
//! The engine observes the bus in line. Actions and listeners are called under its lock, so that a change
//! by a reading and a change by a timer can never reach an output in the wrong order; a listener therefore
//! must not ask the engine back. Invariant: the action of a raised alarm is held until the same alarm clears.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::rule::{Change, Rule, State};
use crate::bus::Observer;
use crate::clock::Clock;
use crate::command::Commander;
use crate::model::{AlarmState, AlarmStatus, PointTable, Reading};

/// Told of every change that people should see: raised, cleared, pending, withdrawn.
pub type Listener = Box<dyn Fn(&AlarmStatus) + Send + Sync>;

/// All alarms of a gateway.
pub struct Engine {
    rules: Vec<Rule>,
    /// Indices into `rules`, by point.
    by_point: Vec<Vec<u32>>,
    states: Mutex<Vec<State>>,
    commander: Commander,
    clock: Clock,
    listeners: Vec<Listener>,
    timer_changed: Notify,
}

impl Engine {
    /// An engine for these rules.
    #[must_use]
    pub fn new(
        rules: Vec<Rule>,
        points: &PointTable,
        commander: Commander,
        clock: Clock,
        listeners: Vec<Listener>,
    ) -> Self {
        let mut by_point = vec![Vec::new(); points.len()];
        for (index, rule) in (0u32..).zip(&rules) {
            by_point[rule.point.index()].push(index);
        }
        let states = Mutex::new(vec![State::default(); rules.len()]);
        Self { rules, by_point, states, commander, clock, listeners, timer_changed: Notify::new() }
    }

    /// Every alarm as it stands now, in the order of the configuration.
    #[must_use]
    pub fn status(&self) -> Vec<AlarmStatus> {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        self.rules.iter().zip(states.iter()).map(|(rule, state)| status_of(rule, state)).collect()
    }

    /// Raises pending alarms when their delay has passed. Runs until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        loop {
            let next = self.next_due();
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.timer_changed.notified() => {}
                () = sleep_until(next), if next.is_some() => self.tick(),
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.iter().filter_map(|state| state.due).min()
    }

    fn tick(&self) {
        let now = self.clock.stamp();
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        for (rule, state) in self.rules.iter().zip(states.iter_mut()) {
            if let Some(change) = rule.tick(state, now) {
                self.tell(rule, change, &status_of(rule, state));
            }
        }
    }

    fn tell(&self, rule: &Rule, change: Change, status: &AlarmStatus) {
        match change {
            Change::Raised => {
                for action in &rule.actions {
                    self.commander.hold(action.output, &rule.name, action.value.clone());
                }
            }
            Change::Cleared => {
                for action in &rule.actions {
                    self.commander.release(action.output, &rule.name);
                }
            }
            Change::Pending | Change::Withdrawn => self.timer_changed.notify_one(),
        }
        log(rule, change, status);
        for listener in &self.listeners {
            listener(status);
        }
    }
}

impl Observer for Engine {
    fn observe(&self, readings: &[Reading]) {
        let watched =
            |reading: &&Reading| self.by_point.get(reading.point.index()).is_some_and(|r| !r.is_empty());
        if !readings.iter().any(|reading| watched(&reading)) {
            return;
        }
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        for reading in readings.iter().filter(watched) {
            for index in &self.by_point[reading.point.index()] {
                let index = *index as usize;
                let (rule, state) = (&self.rules[index], &mut states[index]);
                if let Some(change) = rule.step(state, reading) {
                    self.tell(rule, change, &status_of(rule, state));
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

fn status_of(rule: &Rule, state: &State) -> AlarmStatus {
    AlarmStatus {
        name: Arc::clone(&rule.name),
        point: rule.point,
        severity: rule.severity,
        state: state.state,
        condition: state.condition.map(super::rule::Condition::word),
        value: state.value.clone(),
        since: state.since,
        message: Arc::clone(&rule.message),
    }
}

fn log(rule: &Rule, change: Change, status: &AlarmStatus) {
    let value = status.value.as_ref().map(ToString::to_string).unwrap_or_default();
    match change {
        Change::Raised => tracing::warn!(
            alarm = &*rule.name,
            condition = status.condition,
            value,
            "alarm raised: {}",
            rule.message
        ),
        Change::Cleared => tracing::info!(alarm = &*rule.name, value, "alarm cleared"),
        Change::Pending | Change::Withdrawn => {
            debug_assert_ne!(status.state, AlarmState::Active);
            tracing::debug!(alarm = &*rule.name, value, ?change, "alarm condition");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::driver::WriteQueue;
    use crate::model::point::tests::point;
    use crate::model::{Access, Outcome, Point, PointId, Severity, Value, ValueKind};

    fn hot_rule() -> Rule {
        Rule {
            name: "hot".into(),
            point: PointId(0),
            high: Some(60.0),
            low: None,
            hysteresis: 5.0,
            on_delay: Duration::from_secs(2),
            severity: Severity::High,
            message: "too hot".into(),
            actions: vec![super::super::rule::Action { output: PointId(1), value: Value::Bool(true) }],
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_raised_alarm_holds_its_output_until_it_clears() {
        let fan =
            Point { kind: ValueKind::Bool, access: Access::Rw, safe: Some(false.into()), ..point("fan") };
        let points = Arc::new(PointTable::new(vec![point("t"), fan]));
        let queue = Arc::new(WriteQueue::default());
        let clock = Clock::system();
        let commander = Commander::new(points.clone(), vec![queue.clone(); 2], clock.clone());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        let listener: Listener = Box::new(move |status| sink.lock().unwrap().push(status.state));
        let engine = Arc::new(Engine::new(
            vec![hot_rule()],
            &points,
            commander.clone(),
            clock.clone(),
            vec![listener],
        ));
        let shutdown = CancellationToken::new();
        let (timers, stop) = (engine.clone(), shutdown.clone());
        tokio::spawn(async move { timers.run(stop).await });
        let (keeper, stop) = (commander.clone(), shutdown.clone());
        tokio::spawn(async move { keeper.run(stop).await });

        let mut written = Vec::new();
        let read =
            |value: f64| engine.observe(&[Reading::good(PointId(0), Value::Float(value), clock.stamp())]);
        let take = async |written: &mut Vec<Value>| loop {
            if let Some(job) = queue.pop(clock.mono()) {
                written.push(job.setpoint.clone());
                let read_back = job.setpoint.clone();
                return job.finish(Outcome::Verified { read_back });
            }
            queue.pushed().await;
        };
        take(&mut written).await;
        read(61.0);
        take(&mut written).await;
        assert_eq!(commander.holder(PointId(1)).as_deref(), Some("hot"));
        assert_eq!(engine.status()[0].state, AlarmState::Active);
        read(55.0);
        take(&mut written).await;
        assert_eq!(written, [Value::Bool(false), Value::Bool(true), Value::Bool(false)]);
        assert_eq!(*seen.lock().unwrap(), [AlarmState::Pending, AlarmState::Active, AlarmState::Normal]);
        shutdown.cancel();
    }
}
