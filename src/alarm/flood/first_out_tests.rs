//! First-outs over random histories, against what has been seen of them.

use proptest::prelude::*;

use super::*;
use crate::alarm::instance::Alarm;
use crate::alarm::instance::tests::rule;
use crate::alarm::life::Manner;

const ALARMS: usize = 5;

/// Alarms `a0` …; the even ones in `even`, all in `all`.
fn rules() -> Vec<Rule> {
    let groups = |place: usize| -> Vec<Arc<str>> {
        if place.is_multiple_of(2) {
            vec!["even".into(), "all".into(), "all".into()]
        } else {
            vec!["all".into()]
        }
    };
    let one = |place: usize| Rule {
        name: format!("a{place}").into(),
        groups: groups(place).into(),
        ..rule(0, 0, Manner::default())
    };
    (0..ALARMS).map(one).collect()
}

fn status(rules: &[Rule], place: usize, state: AlarmState, active: bool) -> AlarmStatus {
    let alarm = Alarm::new(&rules[place], std::time::Instant::now());
    AlarmStatus { state, active, ..alarm.status(&rules[place]) }
}

fn first(groups: &Groups, name: &str) -> Option<String> {
    let group = groups.all().iter().find(|group| *group.name == *name).unwrap();
    group.first_out.as_ref().map(|first| first.alarm.to_string())
}

#[test]
fn the_first_stays_until_nothing_of_the_group_asks() {
    let rules = rules();
    let mut groups = Groups::new(&rules);
    let step = |groups: &mut Groups, place, state, active| {
        let mut told = Vec::new();
        let status = status(&rules, place, state, active);
        groups.step(place, &status, place as i64, |group, moved| told.push((group.name.to_string(), moved)));
        told
    };
    use AlarmState::{ActiveAcknowledged, ActiveUnacknowledged, Normal, ReturnedUnacknowledged, Shelved};
    assert_eq!(step(&mut groups, 1, ActiveUnacknowledged, true), [("all".into(), true)]);
    assert_eq!(
        step(&mut groups, 2, ActiveUnacknowledged, true),
        [("all".into(), false), ("even".into(), true)]
    );
    assert_eq!((first(&groups, "all"), first(&groups, "even")), (Some("a1".into()), Some("a2".into())));
    assert_eq!(groups.led_by(2, "a2").map(|name| &**name).collect::<Vec<_>>(), ["even"]);
    step(&mut groups, 1, ReturnedUnacknowledged, false);
    step(&mut groups, 1, Normal, false);
    assert_eq!(
        first(&groups, "all").as_deref(),
        Some("a1"),
        "it is gone and acknowledged, but the other is not"
    );
    step(&mut groups, 2, Shelved, true);
    assert_eq!((first(&groups, "all"), first(&groups, "even")), (None, None));
    step(&mut groups, 2, ActiveUnacknowledged, true);
    assert_eq!(first(&groups, "all").as_deref(), Some("a2"));
    step(&mut groups, 2, ActiveAcknowledged, true);
    assert_eq!(first(&groups, "even"), None);
    assert_eq!(groups.all()[1].active, 1);
}

#[test]
fn a_first_out_that_is_not_known_any_more_is_the_eldest() {
    let rules = rules();
    let at = |unix_us| crate::model::Stamp { mono: std::time::Instant::now(), unix_us };
    let states = |place: usize| {
        let state = if place == 3 { AlarmState::Normal } else { AlarmState::ActiveUnacknowledged };
        AlarmStatus { since: Some(at(100 - place as i64)), ..status(&rules, place, state, place != 3) }
    };
    let mut groups = Groups::new(&rules);
    groups.restore((0..ALARMS).map(states), |group| (group == "even").then_some(("a2", 7)));
    assert_eq!((first(&groups, "all"), first(&groups, "even")), (Some("a4".into()), Some("a2".into())));
    let mut groups = Groups::new(&rules);
    let calm = |place| status(&rules, place, AlarmState::Normal, false);
    groups.restore((0..ALARMS).map(calm), |_| Some(("a2", 7)));
    assert_eq!(first(&groups, "even"), None, "nothing of it asks any more");
}

proptest! {
    #[test]
    fn a_group_has_the_first_out_that_it_should_have(
        steps in prop::collection::vec((0..ALARMS, 0usize..8, any::<bool>()), 1..200),
    ) {
        let rules = rules();
        let (mut groups, mut states) = (Groups::new(&rules), [AlarmState::Normal; ALARMS]);
        let mut expected: [Option<usize>; 2] = [None; 2];
        for (now, (place, state, active)) in (0i64..).zip(steps) {
            states[place] = AlarmState::ALL[state];
            let status = status(&rules, place, states[place], active);
            groups.step(place, &status, now, |_, _| {});
            for (group, belongs) in [(0, &(|_| true) as &dyn Fn(usize) -> bool), (1, &|place| place % 2 == 0)] {
                let asks = |place: &usize| belongs(*place) && states[*place].is_unacknowledged();
                let asking = (0..ALARMS).filter(asks).count();
                if asking == 0 {
                    expected[group] = None;
                } else if expected[group].is_none() && belongs(place) && states[place] == AlarmState::ActiveUnacknowledged {
                    expected[group] = Some(place);
                }
                prop_assert_eq!(groups.all()[group].unacknowledged, asking);
                let first = groups.all()[group].first_out.as_ref().map(|first| first.alarm.to_string());
                prop_assert_eq!(first, expected[group].map(|place| format!("a{place}")));
            }
        }
    }
}
