//! The difference between what was expected and what happened, by hand and at random.

use proptest::prelude::*;

use super::*;
use crate::config::Place;
use crate::model::AlarmState;

fn expected(ms: u64, state: AlarmState) -> Expected<AlarmState> {
    let place = Place { file: "a.yaml".into(), line: 7, column: 1, text: String::new(), length: 1 };
    Expected { at: Duration::from_millis(ms), what: state, place }
}

/// A case that ends after ten minutes.
fn case() -> Case {
    Case {
        name: "case".into(),
        place: expected(0, NORMAL).place,
        given: Vec::new(),
        links: Vec::new(),
        deeds: Vec::new(),
        alarms: Vec::new(),
        writes: Vec::new(),
        values: Vec::new(),
        only: false,
        until: Duration::from_secs(600),
        tolerance: Duration::from_millis(10),
    }
}

const RAISED: AlarmState = AlarmState::ActiveUnacknowledged;
const NORMAL: AlarmState = AlarmState::Normal;

fn compare(wanted: &[(u64, AlarmState)], seen: &[(u64, AlarmState)]) -> Option<String> {
    let wanted: Vec<_> = wanted.iter().map(|(ms, state)| expected(*ms, *state)).collect();
    let seen: Vec<_> = seen.iter().map(|(ms, state)| (Duration::from_millis(*ms), state, "raised")).collect();
    differ("alarm hot", &wanted, &seen, &case())
}

#[test]
fn what_agrees_within_the_tolerance_is_no_difference() {
    assert_eq!(compare(&[(1000, RAISED)], &[(1010, RAISED)]), None);
    assert_eq!(compare(&[], &[]), None);
    assert!(compare(&[(1000, RAISED)], &[(1011, RAISED)]).is_some());
    assert_eq!(compare(&[(600_000, RAISED)], &[(600_010, RAISED)]), None, "late, but within the tolerance");
    assert_eq!(compare(&[], &[(600_001, RAISED)]), None, "it lies behind the end");
}

#[test]
fn a_difference_shows_what_is_missing_and_what_came_instead() {
    let text = compare(&[(1000, RAISED), (60_000, NORMAL)], &[(1000, RAISED), (5000, NORMAL)]).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(
        lines,
        [
            "alarm hot",
            "    1s         active-unacknowledged    raised",
            "  - 1m         normal                   expected (a.yaml:7)",
            "  + 5s         normal                   raised",
        ]
    );
}

#[test]
fn a_long_difference_is_cut() {
    let seen: Vec<_> = (0..500).map(|at| (at * 1000, RAISED)).collect();
    let text = compare(&[], &seen).unwrap();
    assert!(text.ends_with("… and 460 more lines"), "{text}");
    assert_eq!(text.lines().count(), 42);
}

proptest! {
    #[test]
    fn pairs_rise_and_every_one_fits(left in prop::collection::vec(0u8..4, 0..30), right in prop::collection::vec(0u8..4, 0..30)) {
        let found = pairs(left.len(), right.len(), |a, b| left[a] == right[b]);
        prop_assert!(found.iter().all(|(a, b)| left[*a] == right[*b]));
        prop_assert!(found.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 < two[1].1));
        if left == right {
            prop_assert_eq!(found.len(), left.len());
        }
    }

    #[test]
    fn nothing_differs_exactly_when_both_are_the_same(
        wanted in prop::collection::vec((0u64..5, any::<bool>()), 0..12),
        seen in prop::collection::vec((0u64..5, any::<bool>()), 0..12),
    ) {
        let series = |list: &[(u64, bool)]| {
            list.iter().map(|(s, raised)| (s * 1000, if *raised { RAISED } else { NORMAL })).collect::<Vec<_>>()
        };
        prop_assert_eq!(compare(&series(&wanted), &series(&seen)).is_none(), wanted == seen);
    }
}
