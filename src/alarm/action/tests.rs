//! Actions by themselves: each time and each condition that they know.

use super::*;
use crate::alarm::life::Manner;

const SECOND: Duration = Duration::from_secs(1);

/// One action at an alarm that people and the plant move.
struct Bench {
    action: Action,
    manner: Manner,
    life: Life,
    running: Running,
    released: bool,
    start: Instant,
}

impl Bench {
    fn new(action: Action) -> Self {
        let (manner, life, running) = (Manner::default(), Life::default(), Running::default());
        Self { action, manner, life, running, released: true, start: Instant::now() }
    }

    fn at(&self, second: u64) -> Instant {
        self.start + second as u32 * SECOND
    }

    fn look(&mut self, second: u64) -> Option<Turn> {
        let (now, released) = (self.at(second), self.released);
        self.running.step(&self.action, &self.life, || released, now)
    }

    fn happens(&mut self, second: u64, event: Event) -> Option<Turn> {
        let before = self.life;
        self.life.step(self.manner, event).unwrap();
        self.running.happen(&self.action, event, &before, &self.life);
        self.look(second)
    }

    fn confirm(&mut self, second: u64) -> bool {
        let now = self.at(second);
        self.running.confirm(&self.action, now)
    }

    fn due(&self, second: u64) -> Option<u64> {
        let due = self.running.due(&self.action, &self.life, self.at(second))?;
        Some((due - self.start).as_secs())
    }
}

fn plain() -> Action {
    Action::plain(PointId(1), "press/fan".into(), Value::Bool(true))
}

use Event::{Acknowledge, Came, PutBack, Shelve, Suppress, TakeOut, Unshelve, Went, Worsened};
use Turn::{Begin, End};

#[test]
fn the_plain_kind_lasts_as_long_as_the_alarm_is_active_or_latched() {
    let mut bench = Bench::new(plain());
    assert_eq!(bench.happens(0, Came), Some(Begin));
    assert_eq!(bench.happens(1, Acknowledge), None);
    let shelf = Shelve(bench.at(100));
    assert_eq!(bench.happens(2, shelf), None, "a shelf keeps people from being called");
    assert_eq!(bench.happens(3, Went), Some(End));
    let mut latching = Bench { manner: Manner { latch: true, automatic: false }, ..Bench::new(plain()) };
    assert_eq!(latching.happens(0, Came), Some(Begin));
    assert_eq!(latching.happens(1, Went), None);
    assert_eq!(latching.happens(2, Acknowledge), Some(End));
    assert_eq!(latching.happens(3, Came), Some(Begin));
    assert_eq!(latching.happens(4, Suppress), Some(End), "by design");
}

#[test]
fn a_horn_sounds_while_somebody_has_to_acknowledge() {
    let mut horn = Bench::new(Action { when: When::Unacknowledged, ..plain() });
    assert_eq!(horn.happens(0, Came), Some(Begin));
    assert_eq!(horn.happens(1, Acknowledge), Some(End));
    assert_eq!(horn.happens(2, Worsened), Some(Begin));
    assert_eq!(horn.happens(3, Went), None, "nobody has said that they have heard");
    let shelf = Shelve(horn.at(100));
    assert_eq!(horn.happens(4, shelf), Some(End), "a shelf makes it silent");
    assert_eq!(horn.happens(5, Came), None);
    assert_eq!(horn.happens(6, Unshelve), Some(Begin));
    assert_eq!(horn.happens(7, TakeOut), Some(End));
    assert_eq!(horn.happens(8, PutBack), Some(Begin), "it is told anew");
}

#[test]
fn acknowledgement_and_clearance_are_moments_that_begin_something() {
    let mut lamp = Bench::new(Action { when: When::Acknowledged, ..plain() });
    assert_eq!(lamp.happens(0, Came), None);
    assert_eq!(lamp.happens(1, Acknowledge), Some(Begin));
    assert_eq!(lamp.happens(2, Went), Some(End));
    lamp.happens(3, Came);
    lamp.happens(4, Went);
    assert_eq!(lamp.happens(5, Acknowledge), None, "it is over as it begins");
    lamp.action.at_least = 10 * SECOND;
    lamp.happens(6, Came);
    lamp.happens(7, Went);
    assert_eq!(lamp.happens(8, Acknowledge), Some(Begin));
    assert_eq!((lamp.look(17), lamp.look(18)), (None, Some(End)));
    let mut purge = Bench::new(Action { when: When::Cleared, pulse: Some(10 * SECOND), ..plain() });
    assert_eq!(purge.happens(0, Came), None);
    assert_eq!(purge.happens(1, TakeOut), None, "it has not gone");
    assert_eq!(purge.happens(2, PutBack), None);
    assert_eq!(purge.happens(3, Went), Some(Begin));
    assert!(purge.confirm(4));
    assert_eq!(purge.happens(5, Came), None);
    assert_eq!((purge.look(13), purge.look(14)), (None, Some(End)));
}

#[test]
fn the_least_time_counts_from_the_confirmation_and_outlasts_the_alarm() {
    let mut bench = Bench::new(Action { at_least: 10 * SECOND, ..plain() });
    bench.happens(0, Came);
    assert!(bench.confirm(3));
    assert!(!bench.confirm(4), "once");
    assert_eq!(bench.due(4), None, "nothing ends while the alarm asks for it");
    assert_eq!(bench.happens(5, Went), None);
    assert_eq!(bench.due(5), Some(13));
    assert_eq!(bench.happens(6, TakeOut), None, "equipment does not care who has taken what out");
    assert_eq!((bench.look(12), bench.look(13)), (None, Some(End)));
}

#[test]
fn nothing_begins_again_within_the_pause_but_what_is_still_asked_for_begins_after_it() {
    let mut bench = Bench::new(Action { pause: 10 * SECOND, ..plain() });
    assert_eq!(bench.happens(0, Came), Some(Begin));
    assert_eq!(bench.happens(1, Went), Some(End));
    assert_eq!(bench.happens(2, Came), None);
    assert_eq!(bench.due(2), Some(11));
    assert_eq!((bench.look(10), bench.look(11)), (None, Some(Begin)));
    assert_eq!(bench.happens(12, Went), Some(End));
    bench.happens(13, Came);
    bench.happens(14, Went);
    assert_eq!(bench.look(30), None, "nobody asks for it any more");
}

#[test]
fn a_pulse_ends_and_comes_again_only_with_the_next_occasion() {
    let mut bench = Bench::new(Action { pulse: Some(5 * SECOND), ..plain() });
    assert_eq!(bench.happens(0, Came), Some(Begin));
    assert!(bench.confirm(2));
    assert_eq!(bench.happens(3, Went), None, "it lasts its time");
    assert_eq!(bench.happens(4, Came), None, "it is under way");
    assert_eq!(bench.due(4), Some(7));
    assert_eq!(bench.look(7), Some(End));
    assert_eq!(bench.look(1_000), None, "the alarm stands as it stood");
    bench.happens(1_001, Went);
    assert_eq!(bench.happens(1_002, Came), Some(Begin));
    assert_eq!(bench.happens(1_003, TakeOut), Some(End), "what has not begun is left out");
}

#[test]
fn a_pulse_waits_for_its_device_while_it_is_asked_for_and_a_minute_at_least() {
    let mut bench = Bench::new(Action { pulse: Some(5 * SECOND), ..plain() });
    bench.happens(0, Came);
    assert_eq!((bench.look(3_600), bench.due(3_600)), (None, None));
    assert_eq!(bench.happens(3_601, Went), Some(End));
    bench.happens(4_000, Came);
    assert_eq!(bench.happens(4_001, Went), None);
    assert_eq!(bench.due(4_001), Some(4_060));
    assert!(bench.confirm(4_059));
    assert_eq!((bench.look(4_063), bench.look(4_064)), (None, Some(End)));
}

#[test]
fn a_release_condition_holds_on_until_somebody_takes_the_alarm_out() {
    let mut bench = Bench { released: false, ..Bench::new(Action { at_least: 5 * SECOND, ..plain() }) };
    bench.happens(0, Came);
    assert_eq!(bench.happens(1, Went), None);
    assert_eq!(bench.look(100), None);
    assert_eq!(bench.due(100), None, "only a reading or a person can end it");
    bench.released = true;
    assert_eq!(bench.look(101), Some(End));
    bench.released = false;
    bench.happens(102, Came);
    bench.happens(103, Went);
    assert_eq!(bench.happens(110, TakeOut), Some(End));
}
