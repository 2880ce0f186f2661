//! Alarms over a restart: within a boot, over a reboot, and with a wall clock that jumps.

use proptest::prelude::*;

use super::*;
use crate::alarm::flood::Chattering;
use crate::alarm::instance::tests::rule;
use crate::alarm::life::Manner;
use crate::model::{AlarmAction, AlarmState, PointId, Reading};

const SECOND: i64 = 1_000_000;

/// A boot of this name, `since` seconds old when the run begins, at this wall time.
fn boot(id: &str, since: u64, unix_s: i64) -> Boot {
    let now = Stamp { mono: Instant::now(), unix_us: unix_s * SECOND };
    Boot { id: id.into(), since: Duration::from_secs(since), now }
}

fn after(boot: &Boot, seconds: u64) -> Stamp {
    let wall = i64::try_from(seconds).unwrap() * SECOND;
    Stamp { mono: boot.now.mono + Duration::from_secs(seconds), unix_us: boot.now.unix_us + wall }
}

fn read(alarm: &mut Alarm, rule: &Rule, at: Stamp, value: f64) {
    alarm.take(rule, 0, &Reading::good(PointId(0), Value::Float(value), at));
    alarm.look(rule, at, &mut |_, _, _| {});
}

/// Writes an alarm at `at`, and reads it back in another run.
fn restart(alarm: &Alarm, rule: &Rule, (run, at): (&Boot, Stamp), next: &Boot) -> Alarm {
    let text = serde_json::to_string(&Saved::of(rule, alarm, run, at)).unwrap();
    let mut again = Alarm::new(rule, next.now.mono);
    assert!(serde_json::from_str::<Saved>(&text).unwrap().restore(rule, &mut again, next));
    again
}

#[test]
fn an_acknowledged_alarm_is_not_new_again() {
    let rule = rule(0, 0, Manner::default());
    let first = boot("a", 100, 1_000);
    let mut alarm = Alarm::new(&rule, first.now.mono);
    read(&mut alarm, &rule, after(&first, 1), 61.5);
    let who = ("kim".into(), Some("seen".into()));
    alarm.operate(&rule, AlarmAction::Acknowledge, who, after(&first, 2), &mut |_, _, _| {}).unwrap();
    // The wall clock starts from 1970 after the reboot.
    let second = boot("b", 5, 0);
    let mut again = restart(&alarm, &rule, (&first, after(&first, 2)), &second);
    assert_eq!(again.life.state(), AlarmState::ActiveAcknowledged);
    let status = again.status(&rule);
    assert_eq!(
        (status.by.as_deref(), status.value, status.condition),
        (Some("kim"), Some(Value::Float(61.5)), Some("high"))
    );
    assert_eq!(status.since.unwrap().unix_us, 1_002 * SECOND);
    let mut told = Vec::new();
    again.look(&rule, after(&second, 1), &mut |_, change, _| told.push(change));
    again.take(&rule, 0, &Reading::good(PointId(0), Value::Float(62.0), after(&second, 2)));
    again.look(&rule, after(&second, 2), &mut |_, change, _| told.push(change));
    assert!(told.is_empty(), "{told:?}");
    read(&mut again, &rule, after(&second, 3), 20.0);
    assert_eq!(again.life.state(), AlarmState::Normal);
}

#[test]
fn a_running_on_delay_goes_on() {
    let rule = rule(60, 0, Manner::default());
    let first = boot("a", 1_000, 1_000);
    let mut alarm = Alarm::new(&rule, first.now.mono);
    read(&mut alarm, &rule, after(&first, 10), 61.0);
    // Killed and started again 30 s later, while somebody set the wall clock back by years.
    let second = boot("a", 1_040, -1_000_000);
    let again = restart(&alarm, &rule, (&first, after(&first, 10)), &second);
    assert_eq!(again.delay.due(), Some(second.now.mono + Duration::from_secs(30)));
    let late = boot("a", 2_000, 0);
    let mut again = restart(&alarm, &rule, (&first, after(&first, 10)), &late);
    again.look(&rule, late.now, &mut |_, _, _| {});
    assert_eq!(again.life.state(), AlarmState::ActiveUnacknowledged, "it was over while nobody looked");
    // After a reboot nobody knows what the plant did: what was left is left still.
    let reboot = boot("b", 7, 5_000);
    let again = restart(&alarm, &rule, (&first, after(&first, 10)), &reboot);
    assert_eq!(again.delay.due(), Some(reboot.now.mono + Duration::from_secs(60)));
}

#[test]
fn a_shelf_ends_in_its_time_and_never_later_than_a_day() {
    let rule = rule(0, 0, Manner::default());
    let first = boot("a", 0, 1_000);
    let mut alarm = Alarm::new(&rule, first.now.mono);
    let shelve = AlarmAction::Shelve(Duration::from_secs(3600));
    alarm.operate(&rule, shelve, ("kim".into(), None), first.now, &mut |_, _, _| {}).unwrap();
    let end = |next: &Boot| {
        let again = restart(&alarm, &rule, (&first, first.now), next);
        again.life.shelved_until.unwrap() - next.now.mono
    };
    assert_eq!(end(&boot("a", 600, 0)), Duration::from_secs(3000));
    assert_eq!(end(&boot("b", 5, 1_900)), Duration::from_secs(2700), "by the wall clock");
    assert_eq!(end(&boot("b", 5, 0)), Duration::from_secs(3600), "which has jumped back");
    assert_eq!(end(&boot("b", 5, 900_000)), Duration::ZERO);
}

#[test]
fn what_makes_no_alarm_is_refused() {
    let rule = rule(0, 0, Manner::default());
    let boot = boot("a", 0, 0);
    let fresh = || Alarm::new(&rule, boot.now.mono);
    let saved = Saved::of(&rule, &fresh(), &boot, boot.now);
    for wrong in [
        Saved { phase: Phase::Unacknowledged, ..saved.clone() },
        Saved { counts: Some("high".into()), ..saved.clone() },
        Saved { counts: Some("hot".into()), phase: Phase::Acknowledged, ..saved.clone() },
        Saved { pending: Some(("hot".into(), 1)), ..saved.clone() },
    ] {
        let mut alarm = fresh();
        assert!(!wrong.restore(&rule, &mut alarm, &boot), "{wrong:?}");
        assert_eq!((alarm.life, alarm.delay), (fresh().life, fresh().delay));
    }
    let mut alarm = fresh();
    let endless = Saved { suppressed: true, shelf_us: Some(u64::MAX), ..saved };
    assert!(endless.restore(&rule, &mut alarm, &boot));
    assert!(!alarm.life.suppressed, "nothing would ever end it");
    assert_eq!(alarm.life.shelved_until, Some(boot.now.mono + MAX_SHELF));
}

proptest! {
    /// A restart at any moment of any history changes neither the state nor what comes of the readings after it.
    #[test]
    fn a_restart_within_a_boot_is_not_noticed(
        values in prop::collection::vec(0.0f64..100.0, 1..40), at in 0usize..40, on in 0u64..6, latch: bool,
        acknowledge in prop::collection::vec(any::<bool>(), 40), wall in -1_000_000i64..1_000_000,
    ) {
        let rule = rule(on, 0, Manner { latch, automatic: false });
        let first = boot("a", 50, 1_000);
        let (mut run, mut alarm) = (first.clone(), Alarm::new(&rule, first.now.mono));
        let mut never = alarm.clone();
        for (second, value) in values.into_iter().enumerate() {
            let seconds = second as u64;
            let now = after(&first, seconds);
            if second == at {
                let mut next = boot("a", 50 + seconds, wall);
                // The next run counts its own monotonic time from where the first one stands.
                next.now.mono = now.mono;
                alarm = restart(&alarm, &rule, (&run, now), &next);
                run = next;
            }
            for own in [&mut alarm, &mut never] {
                read(own, &rule, now, value);
                if acknowledge[second] {
                    let _ = own.operate(&rule, AlarmAction::Acknowledge, ("kim".into(), None), now, &mut |_, _, _| {});
                }
            }
            prop_assert_eq!(alarm.life, never.life, "second {}", second);
            prop_assert_eq!(alarm.delay, never.delay);
            prop_assert_eq!(&alarm.value, &never.value);
        }
    }

    #[test]
    fn no_text_panics(text in ".*") {
        let _ = serde_json::from_str::<Saved>(&text);
    }
}

#[test]
fn an_alarm_that_chatters_is_not_taken_for_calm_by_a_restart() {
    let second = Duration::from_secs(1);
    let set = Chattering {
        activations: 2,
        within: 10 * second,
        calm: 60 * second,
        shelve_for: second,
        shelve: false,
    };
    let rule = Rule { chattering: Some(set), ..rule(0, 0, Manner::default()) };
    let first = boot("a", 100, 1_000);
    let mut alarm = Alarm::new(&rule, first.now.mono);
    for at in [1, 3] {
        read(&mut alarm, &rule, after(&first, at), 61.5);
        read(&mut alarm, &rule, after(&first, at + 1), 20.0);
    }
    assert!(alarm.chatter.is());
    let later = boot("a", 130, 0);
    let again = restart(&alarm, &rule, (&first, after(&first, 4)), &later);
    assert_eq!(again.chatter.until, Some(later.now.mono + 33 * second), "60 s from second 103 of the boot");
    let rebooted = boot("b", 5, 0);
    let again = restart(&alarm, &rule, (&first, after(&first, 4)), &rebooted);
    assert_eq!(again.chatter.until, Some(rebooted.now.mono + 59 * second));
    // What an older version has written knows nothing of it.
    let mut old = serde_json::to_value(Saved::of(&rule, &alarm, &first, after(&first, 4))).unwrap();
    for key in ["calm_us", "declined"] {
        old.as_object_mut().unwrap().remove(key);
    }
    let mut again = Alarm::new(&rule, later.now.mono);
    assert!(serde_json::from_value::<Saved>(old).unwrap().restore(&rule, &mut again, &later));
    assert!(!again.chatter.is());
}
