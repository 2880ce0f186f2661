//! Tests of the arbiter: the table of docs/control.md, and random histories against a model of few words.

use ControlClass::{Alarm, Automatic, Interlock, Manual, Remote};
use proptest::prelude::*;

use super::*;

fn claim(class: ControlClass, owner: &str, holds: bool) -> Claim {
    Claim { class, owner: owner.into(), holds }
}

fn slot(class: ControlClass, owner: &str, value: i64, until: Option<Instant>) -> Slot {
    let priority = USUAL_PRIORITY;
    Slot { class, priority, owner: owner.into(), value: Some(Value::Int(value)), until, reason: None }
}

fn output() -> Output {
    Output::new(Some(Value::Int(0)), ControlOrder::default())
}

fn target(output: &Output) -> Option<i64> {
    match output.target() {
        Some(Value::Int(number)) => Some(*number),
        None => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn releasing_hands_the_output_to_the_next_in_line() {
    let mut output = output();
    let now = Instant::now();
    assert_eq!(target(&output), Some(0), "the safe state before the first command");
    output.settle(&claim(Remote, "cloud", false), Value::Int(1));
    output.hold(slot(Remote, "cloud", 2, None));
    output.hold(slot(Interlock, "air", 6, None));
    output.hold(slot(Automatic, "plc", 3, None));
    output.hold(slot(Manual, "panel", 5, None));
    output.hold(slot(Alarm, "hot", 4, None));
    for (class, owner, expected) in [
        (Interlock, "air", 6),
        (Manual, "panel", 5),
        (Alarm, "hot", 4),
        (Automatic, "plc", 3),
        (Remote, "cloud", 2),
    ] {
        assert_eq!(target(&output), Some(expected));
        assert!(output.release(class, owner));
    }
    assert_eq!(target(&output), Some(1), "the setpoint under all slots");
    output.hold(slot(Alarm, "hot", 4, None));
    output.stop();
    assert_eq!(target(&output), Some(0));
    assert!(output.admit(&claim(Manual, "panel", true), now).unwrap_err().contains("stopping"));
}

#[test]
fn an_expired_controlling_slot_gives_way_to_the_next_or_to_the_safe_state() {
    let (mut output, now) = (output(), Instant::now());
    let second = Duration::from_secs(1);
    output.settle(&claim(Manual, "panel", false), Value::Int(9));
    output.hold(slot(Alarm, "hot", 4, None));
    output.hold(slot(Manual, "panel", 5, Some(now + second)));
    assert!(!output.advance(now));
    assert_eq!((target(&output), output.next_end()), (Some(5), Some(now + second)));
    assert!(output.advance(now + second));
    assert_eq!(target(&output), Some(4), "the alarm holds it still");
    output.release(Alarm, "hot");
    assert_eq!(target(&output), Some(9), "let go of, not fallen silent");
    output.hold(slot(Automatic, "plc", 3, Some(now + 2 * second)));
    assert!(output.advance(now + 2 * second));
    assert_eq!(target(&output), Some(0), "whoever was in charge is silent: the safe state");
}

#[test]
fn a_refusal_names_the_holder_for_how_long_and_why() {
    let (mut output, now) = (output(), Instant::now());
    output.hold(slot(Remote, "mqtt client cloud", 1, Some(now + Duration::from_millis(1500))));
    let refusal = |output: &Output, claim: &Claim| output.admit(claim, now).unwrap_err();
    assert_eq!(refusal(&output, &claim(Manual, "panel", false)), "held by mqtt client cloud, for 2 s more");
    assert!(output.admit(&claim(Manual, "panel", true), now).is_ok(), "people may take it");
    assert!(output.admit(&claim(Remote, "mqtt client cloud", false), now).is_ok(), "it is their own");
    assert!(
        output.admit(&claim(Remote, "mqtt client other", true), now).is_err(),
        "first come, first served"
    );
    let reason = Some("`flow` is bad (timeout)".into());
    output.hold(Slot { reason, ..slot(Interlock, "air", 0, None) });
    for holds in [false, true] {
        let refused = refusal(&output, &claim(Manual, "panel", holds));
        assert_eq!(refused, "interlock `air` stands against it: `flow` is bad (timeout)");
    }
}

#[test]
fn people_take_over_from_each_other_and_an_interlock_may_leave_the_output_as_it_is() {
    let (mut output, now) = (output(), Instant::now());
    output.hold(slot(Manual, "page 1", 5, Some(now + Duration::from_secs(9))));
    assert!(output.admit(&claim(Manual, "page 2", false), now).is_ok());
    output.settle(&claim(Manual, "page 2", false), Value::Int(7));
    assert_eq!(target(&output), Some(7));
    assert!(output.next_end().is_some(), "it still ends when it was to end");
    output.hold(Slot { value: None, ..slot(Interlock, "air", 0, None) });
    assert_eq!(target(&output), Some(0), "it is made safe once");
    output.begin();
    assert_eq!(target(&output), None);
    output.stop();
    assert_eq!(target(&output), Some(0));
}

#[test]
fn the_configured_order_counts() {
    let order = ControlOrder::new(&[Interlock, Alarm, Manual, Automatic, Remote]).unwrap();
    let (mut output, now) = (Output::new(None, order), Instant::now());
    output.hold(slot(Alarm, "hot", 4, None));
    assert!(output.admit(&claim(Manual, "panel", true), now).unwrap_err().contains("alarm `hot`"));
    output.hold(slot(Manual, "panel", 5, None));
    assert_eq!(target(&output), Some(4));
}

#[test]
fn among_alarms_the_smaller_number_has_the_output_and_among_equal_ones_the_first() {
    let mut output = output();
    let take = |output: &mut Output, owner: &str, priority, value| {
        output.hold(Slot { priority, ..slot(Alarm, owner, value, None) })
    };
    assert!(take(&mut output, "warm", 8, 1));
    assert!(!take(&mut output, "warmer", 8, 2), "the first of equal ones has it");
    assert!(take(&mut output, "fire", 1, 3));
    assert!(!take(&mut output, "smoke", 2, 4));
    assert_eq!(target(&output), Some(3));
    output.hold(slot(Manual, "panel", 9, None));
    assert_eq!(target(&output), Some(9), "a class counts more than any priority");
    output.release(Manual, "panel");
    for (owner, next) in [("fire", 4), ("smoke", 1), ("warm", 2), ("warmer", 0)] {
        assert!(output.release(Alarm, owner));
        assert_eq!(target(&output), Some(next));
    }
    take(&mut output, "warm", 8, 1);
    take(&mut output, "fire", 9, 3);
    assert!(take(&mut output, "fire", 1, 3), "a slot that counts more than before goes ahead");
    assert_eq!((target(&output), output.slots().len()), (Some(3), 2));
}

/// What may happen to an output.
#[derive(Debug, Clone)]
enum Step {
    Hold { class: usize, owner: u8, lasts: Option<u8> },
    Release { class: usize, owner: u8 },
    Set { class: usize, owner: u8 },
    Wait(u8),
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    let who = || (0..5usize, 0..3u8);
    prop_oneof![
        4 => (who(), prop::option::of(0..40u8)).prop_map(|((class, owner), lasts)| Step::Hold { class, owner, lasts }),
        2 => who().prop_map(|(class, owner)| Step::Release { class, owner }),
        2 => who().prop_map(|(class, owner)| Step::Set { class, owner }),
        4 => (0..20u8).prop_map(Step::Wait),
        1 => Just(Step::Forget),
    ]
}

/// Only alarms differ in it.
fn priority(class: usize, owner: u8) -> u8 {
    if ControlClass::ALL[class] == Alarm { USUAL_PRIORITY - owner } else { USUAL_PRIORITY }
}

/// The same rules as a flat list that is looked through anew every time.
#[derive(Default)]
struct Model {
    /// Class, owner, value, end, age.
    live: Vec<(usize, u8, i64, Option<u64>, u64)>,
    setpoint: Option<i64>,
}

impl Model {
    fn place(&self, class: usize, owner: u8) -> Option<usize> {
        self.live.iter().position(|slot| slot.0 == class && (class == 1 || slot.1 == owner))
    }

    fn top(&self) -> Option<&(usize, u8, i64, Option<u64>, u64)> {
        self.live.iter().min_by_key(|slot| (slot.0, priority(slot.0, slot.1), slot.4))
    }

    fn wait(&mut self, now: u64) {
        let silent = self.top().is_some_and(|top| top.3.is_some_and(|end| end <= now));
        self.live.retain(|slot| slot.3.is_none_or(|end| end > now));
        if silent && self.live.is_empty() {
            self.setpoint = None;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Two thousand histories of up to 200 steps: some 200,000 steps of every run of the tests.
    #[test]
    fn the_holder_is_always_the_highest_live_slot(steps in prop::collection::vec(step(), 0..200)) {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let (mut output, mut model) = (output(), Model::default());
        let mut now = 0;
        for (value, step) in (1..).zip(steps) {
            match step {
                Step::Hold { class, owner, lasts } => {
                    let kind = ControlClass::ALL[class];
                    let admitted = output.admit(&claim(kind, &owner.to_string(), true), at(now)).is_ok();
                    let own = model.place(class, owner);
                    let free = model.live.iter().all(|slot| {
                        slot.0 > class || (slot.0 == class && (class == 1 || slot.1 == owner))
                    });
                    prop_assert_eq!(admitted, free);
                    // Alarms and interlocks ask nobody, and wait their turn.
                    if !admitted && matches!(kind, Manual | Automatic | Remote) {
                        continue;
                    }
                    let end = lasts.map(|lasts| now + u64::from(lasts) + 1);
                    let slot = slot(kind, &owner.to_string(), value, end.map(at));
                    output.hold(Slot { priority: priority(class, owner), ..slot });
                    match own {
                        Some(own) => {
                            let age = model.live[own].4;
                            model.live[own] = (class, owner, value, end, age);
                        }
                        None => model.live.push((class, owner, value, end, value as u64)),
                    }
                }
                Step::Release { class, owner } => {
                    output.release(ControlClass::ALL[class], &owner.to_string());
                    if let Some(place) = model.place(class, owner) {
                        model.live.remove(place);
                    }
                }
                Step::Set { class, owner } => {
                    let claim = claim(ControlClass::ALL[class], &owner.to_string(), false);
                    let own = model.place(class, owner);
                    let free = model.live.len() == usize::from(own.is_some());
                    prop_assert_eq!(output.admit(&claim, at(now)).is_ok(), free);
                    if free {
                        output.settle(&claim, Value::Int(value));
                        match own {
                            Some(own) => model.live[own].2 = value,
                            None => model.setpoint = Some(value),
                        }
                    }
                }
                Step::Wait(ms) => {
                    now += u64::from(ms);
                    output.advance(at(now));
                    model.wait(now);
                }
                Step::Forget => {
                    output.forget();
                    model.setpoint = None;
                }
            }
            let expected = model.top().map(|top| top.2).or(model.setpoint).unwrap_or(0);
            prop_assert_eq!(target(&output), Some(expected));
            prop_assert!(output.next_end().is_none_or(|end| end > at(now)), "an expired slot holds nothing");
            prop_assert_eq!(output.slots().len(), model.live.len());
            let ranks: Vec<usize> = output.slots().iter().map(|slot| slot.class as usize).collect();
            prop_assert!(ranks.is_sorted());
        }
    }
}
