//! Tests of the walk along a chain and of what is bound to it.

use proptest::prelude::*;

use super::*;
use crate::driver::modbus::fixtures::{device, point};

/// Walks a device whose registers are these, and says what came of it and what was read.
fn walk(read: impl Fn(u16) -> Option<[u16; 2]>) -> (Step, Vec<u16>) {
    let mut walk = Walk::default();
    let mut asked = Vec::new();
    loop {
        let Ask::Read { address, .. } = walk.ask() else { panic!("a walk only reads") };
        asked.push(address);
        match walk.answered(read(address)) {
            Step::More => {}
            step => return (step, asked),
        }
    }
}

fn model(id: u16, start: u16, length: u16) -> Model {
    Model { id, start, length }
}

#[test]
fn the_chain_is_followed_from_the_first_base_that_has_it() {
    let (step, asked) = walk(|address| match address {
        50_000 => Some(MARK),
        50_002 => Some([1, 66]),
        50_070 => Some([103, 50]),
        50_122 => Some([END, 0]),
        _ => None,
    });
    assert_eq!(step, Step::Found(vec![model(1, 50_002, 66), model(103, 50_070, 50)]));
    assert_eq!(asked, [40_000, 50_000, 50_002, 50_070, 50_122]);
    assert_eq!(walk(|_| Some([0, 0])).0, Step::Nothing);
    assert_eq!(walk(|_| None).1, BASES);
}

#[test]
fn a_chain_without_an_end_ends_all_the_same() {
    let endless = walk(|address| Some(if address == 40_000 { MARK } else { [7, 0] }));
    let Step::Found(chain) = endless.0 else { panic!("found") };
    assert_eq!(chain.len(), MAX_MODELS);
    let beyond = walk(|address| Some(if address == 40_000 { MARK } else { [7, 60_000] }));
    assert_eq!(beyond.0, Step::Found(vec![model(7, 40_002, 60_000)]));
    let cut = walk(|address| match address {
        40_000 => Some(MARK),
        40_002 => Some([1, 65]),
        _ => None,
    });
    assert_eq!(cut.0, Step::Found(vec![model(1, 40_002, 65)]));
}

fn member(models: &[u16], instance: u8, address: u16, raw: &str) -> Point {
    let mut point = point(Table::Holding, address, raw);
    point.rules.model = Some(Membership { models: models.to_vec(), instance, state: Binding::Unknown });
    point
}

#[test]
fn points_are_bound_where_they_fit() {
    let mut unit = device("inverter", 1);
    unit.points = vec![
        member(&[101, 102, 103], 1, 14, "i16"),
        member(&[160], 1, 2, "u16"),
        member(&[103], 2, 14, "i16"),
        member(&[103], 1, 51, "u32"),
        point(Table::Holding, 9, "u16"),
    ];
    let bound = unit.bound(&[model(1, 40_002, 66), model(103, 40_070, 50)]);
    assert_eq!(bound.points[0].register.address, 40_084);
    let places: Vec<bool> = bound.points.iter().map(Point::is_bound).collect();
    assert_eq!(places, [true, false, false, false, true], "no model 160, no second 103, one beyond the end");
    assert_eq!(bound.points[4].register.address, 9);
    let example = unit.bound(&unit.example_chain());
    assert!(example.points.iter().all(Point::is_bound));
    let words = Device::chain_words(&example.models);
    assert_eq!(words[0], (40_000, MARK.to_vec()));
    assert_eq!(words[1], (40_002, vec![1, 66]));
    assert_eq!(words.last().unwrap().1, [END, 0]);
}

proptest! {
    /// Whatever a device holds, a walk ends, and every model of it lies behind the one before.
    #[test]
    fn every_walk_ends(words in proptest::collection::vec((any::<u16>(), 0u16..2_000), 1..40), at in 0usize..3) {
        let base = BASES[at];
        let (step, asked) = walk(|address| match address.checked_sub(base) {
            Some(0) => Some(MARK),
            Some(offset) => words.get(usize::from(offset) % words.len()).map(|(id, length)| [*id, *length]),
            None => None,
        });
        prop_assert!(asked.len() <= MAX_MODELS + 5);
        if let Step::Found(chain) = step {
            prop_assert!(chain.windows(2).all(|two| two[1].start > two[0].start));
        }
    }
}
