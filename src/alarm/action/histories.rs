//! Long random histories of actions: readings, people, devices that confirm late, waits, restarts and reboots.
//!
//! A witness who knows only what was done to the outputs, and when, checks after every step: what has begun lasted its
//! `at-least`; nothing began within its pause; a pulse ended, and came once for each occasion and never by a restart; whatever
//! else ended did so when its release condition held, or its alarm was taken out. CI takes some thousands of steps;
//! `IOGATE_ALARM_STEPS=5000000 cargo nextest run --lib alarm::action::histories` takes millions.

use fastrand::Rng;

use super::*;
use crate::alarm::detect::Formula;
use crate::alarm::histories::steps;
use crate::alarm::instance::Alarm;
use crate::alarm::instance::tests::enabled_rule;
use crate::alarm::life::Manner;
use crate::alarm::rule::Rule;
use crate::alarm::store::{Boot, Saved};
use crate::model::expression::parse;
use crate::model::{AlarmAction, AlarmChange, Quality, Reading, Reason, Stamp};

/// Steps of one history; then another one begins with another rule.
const HISTORY: u64 = 1_000;

/// The place of the input that release conditions look at.
const RELEASE: usize = 2;

#[derive(Debug, Clone, Copy)]
enum Step {
    Read(f64),
    /// A reading of the enabling input or of the release condition; `None`: a bad one.
    Switch(usize, Option<bool>),
    Act(AlarmAction),
    Confirm(usize),
    /// Seconds.
    Wait(u64),
    Restart(u64),
    Reboot(u64),
}

fn step(rng: &mut Rng, actions: usize) -> Step {
    let act = |rng: &mut Rng| match rng.u8(0..9) {
        0..=3 => AlarmAction::Acknowledge,
        4 => AlarmAction::Shelve(SECOND * rng.u32(1..200)),
        5 => AlarmAction::Unshelve,
        6 => AlarmAction::TakeOut,
        _ => AlarmAction::PutBack,
    };
    match rng.u8(0..100) {
        0..=29 => Step::Read(f64::from(rng.u32(400..1_000)) / 10.0),
        30..=34 => {
            Step::Switch(1, *rng.choice(&[Some(true), Some(true), Some(false), None]).unwrap_or(&None))
        }
        35..=44 => Step::Switch(RELEASE, *rng.choice(&[Some(true), Some(false), None]).unwrap_or(&None)),
        45..=56 => Step::Act(act(rng)),
        57..=74 => Step::Confirm(rng.usize(0..actions)),
        75..=93 => Step::Wait(rng.u64(0..40)),
        94..=97 => Step::Restart(rng.u64(0..60)),
        _ => Step::Reboot(rng.u64(0..60)),
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn any_action(rng: &mut Rng, number: u32) -> Action {
    let until = || {
        let (mut expression, _) = parse("on", &["on"]).unwrap();
        expression.move_inputs(&[RELEASE]);
        Formula { expression, uses: [RELEASE].into() }
    };
    let whens = [When::Raised, When::Unacknowledged, When::Acknowledged, When::Cleared];
    let mut some = |most: u32| if rng.bool() { SECOND * rng.u32(1..most) } else { Duration::ZERO };
    let (at_least, pause) = (some(30), some(50));
    let pulse = rng.bool().then(|| SECOND * rng.u32(1..20));
    Action {
        when: whens[rng.usize(0..4)],
        at_least: if pulse.is_some() { Duration::ZERO } else { at_least },
        pause,
        until: (pulse.is_none() && rng.bool()).then(until),
        pulse,
        ..Action::plain(PointId(10 + number), format!("test/o{number}").into(), Value::Bool(true))
    }
}

fn any_rule(rng: &mut Rng) -> Rule {
    let plain = enabled_rule();
    let mut delays = plain.delays;
    (delays.on, delays.off) = (SECOND * rng.u32(0..4), SECOND * rng.u32(0..4));
    let actions = (0..3).map(|number| any_action(rng, number)).collect();
    let inputs = vec![PointId(0), PointId(1), PointId(2)];
    let manner = Manner { latch: rng.bool(), automatic: rng.bool() };
    Rule { delays, manner, actions, inputs, ..plain }
}

/// What is seen of one output, by the seconds of a clock that never stands still.
#[derive(Debug, Clone, Copy, Default)]
struct Witness {
    begun: Option<u64>,
    confirmed: Option<u64>,
    ended: Option<u64>,
    /// Something has happened that begins it, since it began last.
    occasion: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    begun: u64,
    ended: u64,
    outlasted: u64,
    paused: u64,
    over_while_away: u64,
}

struct World {
    rule: Rule,
    alarm: Alarm,
    boot: Boot,
    boots: u64,
    /// The moment of this boot at second 0 of the witnesses.
    base: Instant,
    now: u64,
    /// What the alarm was when somebody was told last.
    life: Life,
    seen: [Witness; 3],
    released: Option<bool>,
    counts: Counts,
}

impl World {
    fn new(rule: Rule) -> Self {
        let base = Instant::now();
        let boot = Boot { id: "0".into(), since: Duration::ZERO, now: Stamp { mono: base, unix_us: 0 } };
        let alarm = Alarm::new(&rule, base);
        let (life, seen) = (Life::default(), [Witness::default(); 3]);
        let (released, counts) = (None, Counts::default());
        Self { rule, alarm, boot, boots: 0, base, now: 0, life, seen, released, counts }
    }

    fn stamp(&self) -> Stamp {
        Stamp { mono: self.base + SECOND * self.now as u32, unix_us: 0 }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Read(value) => self.take(0, Some(Value::Float(value))),
            Step::Switch(place, on) => {
                if place == RELEASE {
                    self.released = on;
                }
                self.take(place, on.map(Value::Bool));
            }
            Step::Act(action) => {
                let now = self.stamp();
                self.with(|alarm, rule, tell| {
                    let _ = alarm.operate(rule, action, ("kim".into(), None), now, tell);
                });
            }
            Step::Confirm(number) => self.confirm(number),
            Step::Wait(seconds) => self.wait(seconds),
            Step::Restart(seconds) => self.restart(seconds, false),
            Step::Reboot(seconds) => self.restart(seconds, true),
        }
        self.check();
    }

    fn take(&mut self, place: usize, value: Option<Value>) {
        let quality = if value.is_some() { Quality::Good } else { Quality::Bad(Reason::Timeout) };
        let reading = Reading { point: PointId(0), value, quality, at: self.stamp() };
        self.alarm.take(&self.rule, place, &reading);
        self.look();
    }

    /// Time passes, and the engine looks whenever it was to.
    fn wait(&mut self, seconds: u64) {
        let end = self.now + seconds;
        while let Some(due) = self.alarm.due(&self.rule, self.stamp().mono) {
            let at = (due - self.base).as_secs();
            if at > end {
                break;
            }
            assert!(at > self.now, "what is due is looked at once");
            self.now = at;
            self.look();
            self.check();
        }
        self.now = end;
        self.look();
    }

    fn look(&mut self) {
        let now = self.stamp();
        self.with(|alarm, rule, tell| alarm.look(rule, now, tell));
    }

    /// Does something to the alarm as the engine does: the actions follow every change, and then the time.
    fn with(&mut self, act: impl FnOnce(&mut Alarm, &Rule, crate::alarm::instance::Tell<'_>)) {
        let (now, stamp) = (self.now, self.stamp().mono);
        let Self { rule, alarm, life, seen, counts, released, .. } = self;
        let mut tell = |alarm: &mut Alarm, change: AlarmChange, _| {
            for (action, witness) in rule.actions.iter().zip(seen.iter_mut()) {
                witness.occasion |= occasion(action.when, change, life, &alarm.life);
            }
            *life = alarm.life;
            follow(alarm, rule, seen, counts, *released, (now, stamp));
        };
        act(alarm, rule, &mut tell);
        follow(alarm, rule, seen, counts, *released, (now, stamp));
    }

    fn confirm(&mut self, number: usize) {
        let (now, output) = (self.stamp().mono, self.rule.actions[number].output);
        let witness = &mut self.seen[number];
        let news = self.alarm.confirm(&self.rule, output, now);
        if witness.begun.is_some() && witness.confirmed.is_none() {
            assert!(news);
            witness.confirmed = Some(self.now);
        }
        self.look();
    }

    /// Ends the program, and begins it anew with what is on the disk.
    fn restart(&mut self, seconds: u64, reboot: bool) {
        let text =
            serde_json::to_string(&Saved::of(&self.rule, &self.alarm, &self.boot, self.stamp())).unwrap();
        self.now += seconds;
        if reboot {
            self.boots += 1;
        }
        // How old a boot is matters to nothing but the time between two writes within it.
        let since = Duration::from_secs(self.now);
        self.boot = Boot { id: self.boots.to_string().into(), since, now: self.stamp() };
        self.alarm = Alarm::new(&self.rule, self.stamp().mono);
        let saved: Saved = serde_json::from_str(&text).unwrap();
        assert!(saved.restore(&self.rule, &mut self.alarm, &self.boot), "{text}");
        for (number, witness) in self.seen.iter_mut().enumerate() {
            let (action, held) = (&self.rule.actions[number], self.alarm.actions[number].held);
            let Some(begun) = witness.begun else {
                assert_eq!(held, None, "it begins by a restart");
                continue;
            };
            let from = *witness.confirmed.get_or_insert(begun);
            match action.pulse {
                Some(pulse) if reboot || from + pulse.as_secs() <= self.now => {
                    assert_eq!(held, None, "its end has passed");
                    let ended = if reboot { self.now } else { from + pulse.as_secs() };
                    (witness.begun, witness.confirmed, witness.ended) = (None, None, Some(ended));
                    self.counts.over_while_away += 1;
                }
                _ => assert!(held.is_some(), "it goes on"),
            }
        }
        self.life = self.alarm.life;
        self.released = None;
        self.look();
    }

    /// What must hold after every step.
    fn check(&self) {
        let (now, mono) = (self.now, self.stamp().mono);
        for ((action, running), witness) in self.rule.actions.iter().zip(&*self.alarm.actions).zip(&self.seen)
        {
            assert_eq!(running.held.is_some(), witness.begun.is_some());
            if let (Some(pulse), Some(from)) = (action.pulse, witness.confirmed) {
                assert!(now < from + pulse.as_secs(), "a pulse ends");
            }
            let rests = running.free.is_some_and(|free| mono < free);
            if action.pulse.is_none() && action.when.asks(&self.alarm.life) {
                assert!(running.held.is_some() || rests, "it is asked for, and not done");
            }
        }
    }
}

/// Whether a change begins an action, told from the states alone.
fn occasion(when: When, change: AlarmChange, before: &Life, after: &Life) -> bool {
    let comes = |asks: fn(&Life) -> bool| !asks(before) && asks(after);
    match when {
        When::Raised => comes(Life::holds),
        When::Unacknowledged => comes(|life| life.state().is_unacknowledged()),
        When::Acknowledged => change == AlarmChange::Acknowledged,
        When::Cleared => before.holds() && !after.holds() && !after.suppressed && !after.out_of_service,
    }
}

/// Lets the actions follow, and judges what they do.
fn follow(
    alarm: &mut Alarm,
    rule: &Rule,
    seen: &mut [Witness; 3],
    counts: &mut Counts,
    released: Option<bool>,
    (now, stamp): (u64, Instant),
) {
    let life = alarm.life;
    alarm.act(rule, stamp, &mut |action, turn| {
        let witness = &mut seen[action.output.index() - 10];
        let asks = action.when.asks(&life);
        match turn {
            Turn::Begin => {
                assert_eq!(witness.begun, None, "it has begun already");
                let rested = witness.ended.is_none_or(|ended| now >= ended + action.pause.as_secs());
                assert!(rested, "it begins within its pause: {witness:?} {action:?}");
                counts.paused += u64::from(witness.ended == Some(now - action.pause.as_secs().min(now)));
                assert!(witness.occasion || (asks && action.pulse.is_none()), "nothing begins it");
                (witness.begun, witness.confirmed, witness.occasion) = (Some(now), None, false);
                counts.begun += 1;
            }
            Turn::End => {
                let begun = witness.begun.expect("it has begun");
                let lasted = now - witness.confirmed.unwrap_or(begun);
                match action.pulse {
                    Some(pulse) if witness.confirmed.is_some() => assert!(lasted >= pulse.as_secs()),
                    Some(_) => assert!(life.out_of_service || (!asks && lasted >= PATIENCE.as_secs())),
                    None => {
                        assert!(!asks && lasted >= action.at_least.as_secs(), "it ends too early");
                        let free = action.until.is_none() || released == Some(true) || life.out_of_service;
                        assert!(free, "it ends before its release condition holds");
                        counts.outlasted += 1;
                    }
                }
                let ended = Witness { ended: Some(now), ..Witness::default() };
                *witness = ended;
                counts.ended += 1;
            }
        }
    });
    for (running, witness) in alarm.actions.iter().zip(seen.iter_mut()) {
        // What happens while it lasts is part of it, and what was left out is not owed any more.
        witness.occasion &= running.held.is_none() && running.owed;
    }
}

#[test]
fn no_long_history_breaks_the_promises_of_an_action() {
    let (mut left, mut seed, mut sum) = (steps(), 1, Counts::default());
    while left > 0 {
        let mut rng = Rng::with_seed(seed);
        let mut world = World::new(any_rule(&mut rng));
        for number in 0..HISTORY.min(left) {
            let step = step(&mut rng, world.rule.actions.len());
            let run = std::panic::AssertUnwindSafe(|| world.step(step));
            if let Err(panic) = std::panic::catch_unwind(run) {
                eprintln!("seed {seed}, step {number}: {step:?} of {:?}", world.rule.actions);
                std::panic::resume_unwind(panic);
            }
        }
        let Counts { begun, ended, outlasted, paused, over_while_away } = world.counts;
        sum.begun += begun;
        sum.ended += ended;
        sum.outlasted += outlasted;
        sum.paused += paused;
        sum.over_while_away += over_while_away;
        (left, seed) = (left.saturating_sub(HISTORY), seed + 1);
    }
    let Counts { begun, ended, outlasted, paused, over_while_away } = sum;
    for (what, count) in [
        ("begun", begun),
        ("ended", ended),
        ("outlasted", outlasted),
        ("paused", paused),
        ("over while away", over_while_away),
    ] {
        assert!(count > 0, "{what}: never; the histories show nothing of it");
    }
}
