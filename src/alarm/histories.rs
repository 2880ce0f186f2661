//! Long random histories of alarms: readings, bad readings, people, waits, clock jumps, restarts and reboots.
//!
//! Checked after every step: an active alarm was annunciated since it came, unless something keeps it silent; a bad
//! reading clears nothing; what was acknowledged is not new after a restart; the wall clock matters to nothing but a
//! shelf over a reboot; and an offer to shelve is made exactly while an alarm chatters and is heard. CI takes some
//! thousands of steps of each kind; `IOGATE_ALARM_STEPS=5000000 cargo nextest run --lib alarm::histories` takes millions.

use std::time::{Duration, Instant};

use fastrand::Rng;

use super::delay::Delays;
use super::flood::Chattering;
use super::instance::Alarm;
use super::instance::tests::enabled_rule;
use super::life::Manner;
use super::rule::Rule;
use super::store::{Boot, Saved};
use crate::model::{AlarmAction, AlarmChange, AlarmState, PointId, Quality, Reading, Reason, Stamp, Value};

/// Steps of one history; then another one begins with another rule.
const HISTORY: u64 = 2_000;

/// How many steps are taken when nobody says otherwise.
const STEPS: u64 = 20_000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Read(f64),
    Lose,
    /// A reading of the enabling input; `None`: a bad one.
    Enable(Option<bool>),
    Act(AlarmAction),
    /// Seconds.
    Wait(u64),
    /// The wall clock is set.
    Jump(i64),
    /// The program ends and begins again after so many seconds.
    Restart(u64),
    /// The machine does.
    Reboot(u64),
}

fn step(rng: &mut Rng, reboots: bool) -> Step {
    let act = |rng: &mut Rng| match rng.u8(0..8) {
        0..=2 => AlarmAction::Acknowledge,
        3 => AlarmAction::Shelve(Duration::from_secs(rng.u64(1..400))),
        4 => AlarmAction::Unshelve,
        5 => AlarmAction::TakeOut,
        _ => AlarmAction::PutBack,
    };
    match rng.u8(0..100) {
        0..=44 => Step::Read(f64::from(rng.u32(400..1_000)) / 10.0),
        45..=56 => Step::Lose,
        57..=64 => Step::Enable(*rng.choice(&[Some(true), Some(true), Some(false), None]).unwrap_or(&None)),
        65..=79 => Step::Act(act(rng)),
        80..=92 => Step::Wait(rng.u64(0..120)),
        93..=95 => Step::Jump(rng.i64(-2_000_000_000..2_000_000_000)),
        96..=98 => Step::Restart(rng.u64(0..200)),
        _ if reboots => Step::Reboot(rng.u64(0..200)),
        _ => Step::Wait(0),
    }
}

/// A rule with an enabling condition, and everything else as chance will have it.
fn any_rule(rng: &mut Rng) -> Rule {
    let manner = Manner { latch: rng.bool(), automatic: rng.bool() };
    let [within, calm, shelve_for] = [60, 150, 300].map(Duration::from_secs);
    let chattering =
        Chattering { activations: rng.usize(2..6), within, calm, shelve_for, shelve: rng.bool() };
    let (on, off) = (Duration::from_secs(rng.u64(0..40)), Duration::from_secs(rng.u64(0..40)));
    let short = rng.bool();
    Rule {
        delays: if short { Delays::default() } else { Delays { on, off } },
        manner,
        chattering: rng.bool().then_some(chattering),
        ..enabled_rule()
    }
}

/// One alarm in a machine with two clocks, and what its people have heard.
struct World {
    rule: Rule,
    alarm: Alarm,
    boot: Boot,
    boots: u64,
    /// Seconds since this boot.
    uptime: u64,
    /// When this boot began, by the time that only the test knows.
    base: Instant,
    unix_s: i64,
    /// The last reading of the watched point was bad.
    blind: bool,
    heard: bool,
    acknowledged: bool,
    told: Vec<(AlarmChange, AlarmState)>,
}

impl World {
    fn new(rule: Rule) -> Self {
        let base = Instant::now();
        let now = Stamp { mono: base, unix_us: 0 };
        let boot = Boot { id: "0".into(), since: Duration::ZERO, now };
        let alarm = Alarm::new(&rule, base);
        let (heard, acknowledged, blind, told) = (false, false, false, Vec::new());
        Self { rule, alarm, boot, boots: 0, uptime: 0, base, unix_s: 0, blind, heard, acknowledged, told }
    }

    fn now(&self) -> Stamp {
        Stamp { mono: self.base + Duration::from_secs(self.uptime), unix_us: self.unix_s * 1_000_000 }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Read(value) => self.take(0, Value::Float(value), Quality::Good),
            Step::Lose => self.take(0, Value::Float(0.0), Quality::Bad(Reason::Timeout)),
            Step::Enable(Some(on)) => self.take(1, on.into(), Quality::Good),
            Step::Enable(None) => self.take(1, false.into(), Quality::Bad(Reason::Timeout)),
            Step::Act(action) => self.act(action),
            Step::Wait(seconds) => {
                self.pass(seconds);
                self.look();
            }
            Step::Jump(seconds) => self.unix_s = self.unix_s.saturating_add(seconds),
            Step::Restart(seconds) => self.restart(seconds, false),
            Step::Reboot(seconds) => self.restart(seconds, true),
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.uptime += seconds;
        self.unix_s += seconds as i64;
    }

    fn take(&mut self, place: usize, value: Value, quality: Quality) {
        let reading = Reading { point: PointId(0), value: Some(value), quality, at: self.now() };
        if place == 0 {
            self.blind = !quality.is_good();
        }
        self.alarm.take(&self.rule, place, &reading);
        self.look();
    }

    fn look(&mut self) {
        let now = self.now();
        let (told, heard, acknowledged) = (&mut self.told, &mut self.heard, &mut self.acknowledged);
        let mut tell = |alarm: &mut Alarm, change, _| note(alarm, change, told, heard, acknowledged);
        self.alarm.look(&self.rule, now, &mut tell);
    }

    fn act(&mut self, action: AlarmAction) {
        let now = self.now();
        let (told, heard, acknowledged) = (&mut self.told, &mut self.heard, &mut self.acknowledged);
        let mut tell = |alarm: &mut Alarm, change, _| note(alarm, change, told, heard, acknowledged);
        let before = self.alarm.life;
        if self.alarm.operate(&self.rule, action, ("kim".into(), None), now, &mut tell).is_err() {
            assert_eq!(self.alarm.life, before, "a refused action changes nothing");
        }
    }

    /// Ends the program, and begins it anew with what is on the disk.
    fn restart(&mut self, seconds: u64, reboot: bool) {
        let text =
            serde_json::to_string(&Saved::of(&self.rule, &self.alarm, &self.boot, self.now())).unwrap();
        let before = self.alarm.clone();
        self.pass(seconds);
        if reboot {
            (self.boots, self.uptime, self.base) = (self.boots + 1, 5, Instant::now());
        }
        let id = self.boots.to_string().into();
        self.boot = Boot { id, since: Duration::from_secs(self.uptime), now: self.now() };
        self.alarm = Alarm::new(&self.rule, self.now().mono);
        let saved: Saved = serde_json::from_str(&text).unwrap();
        assert!(saved.restore(&self.rule, &mut self.alarm, &self.boot), "{text}");
        assert_eq!(
            (self.alarm.life.phase, self.alarm.life.suppressed),
            (before.life.phase, before.life.suppressed)
        );
        assert_eq!(self.alarm.life.out_of_service, before.life.out_of_service);
        assert_eq!(self.alarm.life.shelved_until.is_some(), before.life.shelved_until.is_some());
        assert_eq!(self.alarm.delay.counts, before.delay.counts);
        assert_eq!(self.alarm.chatter.is(), before.chatter.is());
        // The first look may end what time ends; nothing that was there comes anew.
        let told = self.told.len();
        self.look();
        for (change, state) in &self.told[told..] {
            let new = matches!(change, AlarmChange::Raised | AlarmChange::Escalated);
            assert!(!(new && before.life.active()), "{state:?}: it was active already");
        }
        if before.life.state() == AlarmState::ActiveAcknowledged {
            assert_eq!(self.alarm.life.state(), AlarmState::ActiveAcknowledged, "it was acknowledged");
        }
    }

    /// What must hold after every step.
    fn check(&self, step: Step, before: &Alarm) {
        let (life, state) = (self.alarm.life, self.alarm.life.state());
        assert_eq!(life.active(), self.alarm.delay.counts.is_some(), "condition and life agree");
        if life.active() && !life.silent() {
            assert!(self.heard, "active without annunciation");
            assert!(life.holds(), "active without its outputs");
        }
        if state == AlarmState::ActiveAcknowledged {
            assert!(self.acknowledged, "nobody has acknowledged it");
        }
        let passive = matches!(step, Step::Lose | Step::Wait(_) | Step::Jump(_)) && self.blind;
        if passive && !life.suppressed && !before.life.suppressed && before.delay.counts.is_some() {
            assert_eq!(self.alarm.delay.counts, before.delay.counts, "a bad reading moved it");
        }
        let status = self.alarm.status(&self.rule);
        assert_eq!(status.shelve_offer.is_some(), status.chattering && !state.is_silent());
        assert!(self.rule.chattering.is_some() || !status.chattering);
        let due = self.alarm.due(&self.rule, self.now().mono);
        let late = due.is_some_and(|due| due <= self.now().mono);
        assert!(!late || matches!(step, Step::Jump(_) | Step::Act(_)), "something is overdue");
    }
}

/// Notes what people hear, and which of it they acknowledge.
fn note(
    alarm: &Alarm,
    change: AlarmChange,
    told: &mut Vec<(AlarmChange, AlarmState)>,
    heard: &mut bool,
    acknowledged: &mut bool,
) {
    let state = alarm.life.state();
    told.push((change, state));
    match state {
        AlarmState::ActiveUnacknowledged => (*heard, *acknowledged) = (true, false),
        AlarmState::ActiveAcknowledged => *acknowledged |= change == AlarmChange::Acknowledged,
        _ => {}
    }
    if !alarm.life.active() {
        (*heard, *acknowledged) = (false, false);
    }
}

pub(in crate::alarm) fn steps() -> u64 {
    std::env::var("IOGATE_ALARM_STEPS").map_or(STEPS, |text| text.parse().expect("a number of steps"))
}

#[test]
fn no_long_history_breaks_the_rules() {
    let (mut left, mut seed, mut told) = (steps(), 1, [0u64; AlarmChange::ALL.len()]);
    while left > 0 {
        let mut rng = Rng::with_seed(seed);
        let mut world = World::new(any_rule(&mut rng));
        for number in 0..HISTORY.min(left) {
            let step = step(&mut rng, true);
            let before = world.alarm.clone();
            let run = std::panic::AssertUnwindSafe(|| {
                world.step(step);
                world.check(step, &before);
            });
            if let Err(panic) = std::panic::catch_unwind(run) {
                eprintln!("seed {seed}, step {number}: {step:?} of {:?}", world.rule);
                std::panic::resume_unwind(panic);
            }
        }
        for (change, _) in &world.told {
            told[AlarmChange::ALL.iter().position(|own| own == change).unwrap()] += 1;
        }
        (left, seed) = (left.saturating_sub(HISTORY), seed + 1);
    }
    for (change, count) in AlarmChange::ALL.iter().zip(told) {
        assert!(count > 0, "{} never happened: the histories show nothing of it", change.word());
    }
}

#[test]
fn the_wall_clock_matters_to_nothing_within_a_boot() {
    let (mut left, mut seed) = (steps() / 2, 1_000_000);
    while left > 0 {
        let mut rng = Rng::with_seed(seed);
        let any = any_rule(&mut rng);
        let (mut calm, mut wild) = (World::new(any.clone()), World::new(any));
        for number in 0..HISTORY.min(left) {
            let step = step(&mut rng, false);
            wild.step(step);
            if !matches!(step, Step::Jump(_)) {
                calm.step(step);
            }
            assert_eq!(
                calm.alarm.life.state(),
                wild.alarm.life.state(),
                "seed {seed}, step {number}: {step:?}"
            );
            assert_eq!(calm.told, wild.told, "seed {seed}, step {number}: {step:?}");
        }
        (left, seed) = (left.saturating_sub(HISTORY), seed + 1);
    }
}
