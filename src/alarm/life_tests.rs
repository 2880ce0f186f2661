//! The table of docs/alarms.md, cell by cell, and invariants over random lives.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const PLAIN: Manner = Manner { latch: false, automatic: false };
const LATCHING: Manner = Manner { latch: true, automatic: false };
const AUTOMATIC: Manner = Manner { latch: false, automatic: true };

fn life(phase: Phase) -> Life {
    Life { phase, ..Life::default() }
}

/// Every event with its name in the table.
fn events() -> Vec<(&'static str, Event)> {
    let until = Instant::now() + Duration::from_secs(60);
    vec![
        ("comes", Event::Came),
        ("worsens", Event::Worsened),
        ("goes", Event::Went),
        ("acknowledge", Event::Acknowledge),
        ("shelve", Event::Shelve(until)),
        ("unshelve, or its end", Event::Unshelve),
        ("enabling condition goes", Event::Suppress),
        ("enabling condition comes", Event::Unsuppress),
        ("take out", Event::TakeOut),
        ("put back", Event::PutBack),
    ]
}

/// A life in each state; those that are silent have something active behind them.
fn in_state(state: AlarmState) -> Life {
    let now = Instant::now();
    match state {
        AlarmState::Normal => life(Phase::Normal),
        AlarmState::ActiveUnacknowledged => life(Phase::Unacknowledged),
        AlarmState::ActiveAcknowledged => life(Phase::Acknowledged),
        AlarmState::ReturnedUnacknowledged => life(Phase::Returned),
        AlarmState::Latched => life(Phase::Latched),
        AlarmState::Shelved => Life { shelved_until: Some(now), ..life(Phase::Acknowledged) },
        AlarmState::Suppressed => Life { suppressed: true, ..life(Phase::Acknowledged) },
        AlarmState::OutOfService => Life { out_of_service: true, ..life(Phase::Acknowledged) },
    }
}

/// The rows of the table in docs/alarms.md: state, then one cell per event of [`events`].
fn table() -> Vec<(String, Vec<String>)> {
    let text = include_str!("../../docs/alarms.md");
    let begin = text.find("| State |").expect("the document holds the table");
    let rows = text[begin..].lines().take_while(|line| line.starts_with('|')).skip(2);
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    rows.map(cells).map(|mut row| (row.remove(0), row)).collect()
}

#[test]
fn every_cell_of_the_documents_table_is_what_happens() {
    let table: HashMap<String, Vec<String>> = table().into_iter().collect();
    assert_eq!(table.len(), AlarmState::ALL.len());
    for state in AlarmState::ALL {
        let row = &table[state.word()];
        assert_eq!(row.len(), events().len(), "{}", state.word());
        for (cell, (name, event)) in row.iter().zip(events()) {
            let mut after = in_state(state);
            let told = match after.step(PLAIN, event) {
                Ok(()) => after.state().word(),
                Err(Meaningless) => "–",
            };
            assert_eq!(cell, told, "{} when it {name}", state.word());
            if told == "–" {
                assert_eq!(after, Life { shelved_until: after.shelved_until, ..in_state(state) });
            }
        }
    }
}

#[test]
fn a_latch_stays_until_it_is_acknowledged() {
    for phase in [Phase::Unacknowledged, Phase::Acknowledged] {
        let mut own = life(phase);
        own.step(LATCHING, Event::Went).unwrap();
        assert_eq!(own.state(), AlarmState::Latched);
        assert!(own.holds() && !own.active());
        own.step(LATCHING, Event::Came).unwrap();
        assert_eq!(own.state(), AlarmState::ActiveUnacknowledged);
        own.step(LATCHING, Event::Went).unwrap();
        own.step(LATCHING, Event::Acknowledge).unwrap();
        assert_eq!(own.state(), AlarmState::Normal);
        assert!(!own.holds());
    }
}

#[test]
fn an_automatic_one_returns_to_normal_by_itself() {
    let mut own = life(Phase::Unacknowledged);
    own.step(AUTOMATIC, Event::Went).unwrap();
    assert_eq!(own.state(), AlarmState::Normal);
}

#[test]
fn what_came_and_went_in_silence_asks_nobody_and_what_is_active_after_it_is_told_anew() {
    let until = Instant::now();
    let begin_and_end = [
        (Event::Shelve(until), Event::Unshelve),
        (Event::Suppress, Event::Unsuppress),
        (Event::TakeOut, Event::PutBack),
    ];
    for (begin, end) in begin_and_end {
        let mut own = life(Phase::Normal);
        own.step(PLAIN, begin).unwrap();
        own.step(PLAIN, Event::Came).unwrap();
        assert_eq!(own.step(PLAIN, Event::Acknowledge), Err(Meaningless), "nobody has heard of it");
        own.step(PLAIN, Event::Went).unwrap();
        own.step(PLAIN, end).unwrap();
        assert_eq!(own.state(), AlarmState::Normal);

        let mut own = life(Phase::Acknowledged);
        own.step(PLAIN, begin).unwrap();
        own.step(PLAIN, end).unwrap();
        assert_eq!(own.state(), AlarmState::ActiveUnacknowledged);
        let mut own = life(Phase::Latched);
        own.step(LATCHING, begin).unwrap();
        own.step(LATCHING, end).unwrap();
        assert_eq!(own.state(), AlarmState::Latched, "silence resets no latch");
    }
}

#[test]
fn a_shelf_keeps_the_outputs_and_the_other_silences_let_them_go() {
    assert!(in_state(AlarmState::Shelved).holds());
    assert!(!in_state(AlarmState::Suppressed).holds());
    assert!(!in_state(AlarmState::OutOfService).holds());
    for state in AlarmState::ALL {
        let own = in_state(state);
        assert!(!own.active() || own.silent() || own.holds(), "{state:?}");
    }
}

fn event() -> impl Strategy<Value = Event> {
    (0..events().len()).prop_map(|which| events()[which].1)
}

proptest! {
    #[test]
    fn no_life_breaks_the_rules(steps in prop::collection::vec(event(), 0..200), latch: bool, automatic: bool) {
        let manner = Manner { latch, automatic };
        let mut own = Life::default();
        for event in steps {
            let before = own;
            let meant = own.step(manner, event).is_ok();
            prop_assert!(meant || own == before, "a refused event changes nothing");
            // Never active without annunciation, unless somebody or something wants silence.
            if own.active() && !own.silent() {
                prop_assert!(matches!(own.state(), AlarmState::ActiveUnacknowledged | AlarmState::ActiveAcknowledged));
            }
            // Only an operator acknowledges.
            if own.state() == AlarmState::ActiveAcknowledged && before.state() != own.state() {
                prop_assert_eq!(event, Event::Acknowledge);
            }
            // A latch is let go by an operator or by coming back only.
            if before.phase == Phase::Latched && own.phase != Phase::Latched {
                prop_assert!(matches!(event, Event::Acknowledge | Event::Came));
            }
            // Active is what came and has not gone.
            match event {
                Event::Came => prop_assert!(own.active()),
                Event::Went => prop_assert!(!own.active()),
                _ => prop_assert_eq!(own.active(), before.active()),
            }
        }
    }
}
