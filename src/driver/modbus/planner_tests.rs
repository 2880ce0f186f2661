//! Tests of the planner: what is read together, and how refusals are narrowed down.

use proptest::prelude::*;

use super::*;
use crate::driver::modbus::fixtures::{device, point, tcp_plan};
use crate::model::Access;

const SECOND: Duration = Duration::from_secs(1);

fn spans(blocks: &[Block]) -> Vec<(u16, u16)> {
    blocks.iter().map(|block| (block.start, block.count)).collect()
}

#[test]
fn neighbours_are_read_together_within_gap_and_length() {
    let mut unit = device("d", 1);
    for address in [0, 1, 2, 10, 19, 100] {
        unit.points.push(point(Table::Holding, address, "u16"));
    }
    unit.points.push(point(Table::Holding, 101, "f64"));
    let of = |unit: Device| spans(&groups(&tcp_plan(vec![unit])).remove(0).blocks());
    assert_eq!(of(unit), [(0, 20), (100, 5)]);
    let mut strict = device("d", 1);
    (strict.max_gap, strict.max_registers) = (0, 4);
    for address in [0, 1, 2, 3, 4, 6] {
        strict.points.push(point(Table::Holding, address, "u16"));
    }
    strict.points.push(point(Table::Holding, 7, "f64"));
    assert_eq!(of(strict), [(0, 4), (4, 1), (6, 1), (7, 4)]);
}

#[test]
fn nothing_reads_across_registers_that_must_be_left_alone() {
    let mut unit = device("d", 1);
    for address in [0, 1, 3, 5, 7] {
        unit.points.push(point(Table::Holding, address, "u16"));
    }
    unit.points[1].access = Access::W;
    unit.points[3].register.read_to_clear = true;
    unit.points[0].access = Access::Rw;
    unit.points[0].register.write_address = 6;
    let blocks = groups(&tcp_plan(vec![unit])).remove(0).blocks();
    assert_eq!(spans(&blocks), [(0, 1), (3, 1), (5, 1), (7, 1)]);
}

#[test]
fn periods_tables_and_broadcast_units_are_kept_apart() {
    let mut unit = device("d", 1);
    unit.points.push(point(Table::Holding, 0, "u16"));
    unit.points.push(point(Table::Input, 0, "u16"));
    unit.points.push(point(Table::Holding, 1, "u16"));
    unit.points[2].poll = SECOND * 5;
    let plan = tcp_plan(vec![unit]);
    assert_eq!(groups(&plan).len(), 3);
    let mut all = device("all", 0);
    all.points.push(point(Table::Coil, 0, "bool"));
    let mut plan = tcp_plan(vec![all]);
    assert_eq!(groups(&plan).len(), 1, "unit 0 is an ordinary one on Modbus TCP");
    plan.transport = crate::driver::modbus::Transport::Rtu(serde_json::from_str(r#"{"port": "p"}"#).unwrap());
    assert!(groups(&plan).is_empty());
}

/// Plays a device that refuses every read which touches `illegal` or is longer than `longest`, until
/// nothing changes; returns the final blocks and how many requests were refused on the way.
fn learn(group: &mut Group, illegal: &[u16], longest: u16) -> (Vec<Block>, usize) {
    let refuses = |block: &Block| {
        let end = block.start + block.count;
        block.count > longest || illegal.iter().any(|address| (block.start..end).contains(address))
    };
    let (mut blocks, mut refusals) = (group.blocks(), 0);
    let mut quiet = 0;
    // Round robin, as on a line; a new plan replaces every block at once.
    for turn in 0..20_000 {
        let index = turn % blocks.len();
        let block = blocks[index].clone();
        let step = if refuses(&block) {
            refusals += usize::from(!block.hole);
            group.refused(&block)
        } else if block.hole {
            Step::Keep
        } else {
            group.answered(&block)
        };
        quiet += 1;
        match step {
            Step::Keep => {}
            Step::Split(halves) => {
                quiet = 0;
                blocks.splice(index..=index, *halves);
            }
            Step::Replan => {
                quiet = 0;
                blocks = group.blocks();
            }
        }
        if quiet > 2 * blocks.len() {
            return (blocks, refusals);
        }
    }
    panic!("the search does not end");
}

fn group_of(addresses: &[u16], max_gap: u16) -> Group {
    let mut unit = device("d", 1);
    unit.max_gap = max_gap;
    unit.points = addresses.iter().map(|address| point(Table::Holding, *address, "u16")).collect();
    groups(&tcp_plan(vec![unit])).remove(0)
}

#[test]
fn one_illegal_register_is_isolated_and_its_neighbours_read_together_again() {
    let addresses: Vec<u16> = (0..50).collect();
    let mut group = group_of(&addresses, 8);
    let (blocks, refusals) = learn(&mut group, &[17], 125);
    assert_eq!(spans(&blocks), [(0, 17), (17, 1), (18, 32)]);
    assert_eq!(blocks.iter().map(|block| block.hole).collect::<Vec<_>>(), [false, true, false]);
    assert!(refusals <= 7, "{refusals} requests to find one of 50");
    assert_eq!(group.answered(&blocks[1]), Step::Replan, "the register has come into being");
    assert_eq!(spans(&group.blocks()), [(0, 50)]);
}

#[test]
fn an_illegal_gap_and_a_device_that_likes_short_reads_are_learned() {
    let mut group = group_of(&[0, 1, 2, 5, 6, 7], 8);
    assert_eq!(spans(&learn(&mut group, &[3], 125).0), [(0, 3), (5, 3)]);
    let addresses: Vec<u16> = (0..64).collect();
    let mut group = group_of(&addresses, 8);
    let (blocks, _) = learn(&mut group, &[], 16);
    assert!(blocks.iter().all(|block| block.count <= 16 && !block.hole));
    assert_eq!(blocks.len(), 4);
}

#[test]
fn bits_of_one_register_stand_and_fall_together() {
    let mut unit = device("d", 1);
    for bit in 0..3 {
        let mut one = point(Table::Input, 4, "bool");
        one.register.bits = Some(crate::driver::modbus::register::BitField { shift: bit, width: 1 });
        unit.points.push(one);
    }
    let mut group = groups(&tcp_plan(vec![unit])).remove(0);
    let (blocks, refusals) = learn(&mut group, &[4], 125);
    assert_eq!((blocks.len(), blocks[0].members.len(), blocks[0].hole, refusals), (1, 3, true, 1));
}

proptest! {
    #[test]
    fn every_point_is_in_exactly_one_block_and_no_block_is_too_long(
        addresses in prop::collection::btree_set(0u16..300, 1..60), max_gap in 0u16..20, max in 4u16..=125,
        kinds in prop::collection::vec(prop::sample::select(vec!["u16", "u32", "f64"]), 60),
    ) {
        let mut unit = device("d", 1);
        (unit.max_gap, unit.max_registers) = (max_gap, max);
        // Each address on a grid of four, so that no two points overlap.
        unit.points = addresses.iter().zip(&kinds).map(|(address, kind)| point(Table::Holding, address * 4, kind)).collect();
        let count = unit.points.len();
        let blocks = groups(&tcp_plan(vec![unit])).remove(0).blocks();
        let mut seen: Vec<usize> = blocks.iter().flat_map(|block| block.members.iter().filter_map(|member| match member.target { Target::Point(point) => Some(point), Target::Companion(_) => None })).collect();
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..count).collect::<Vec<_>>());
        for block in &blocks {
            prop_assert!(block.count <= max);
            for member in &block.members {
                prop_assert!(member.address >= block.start && member.address + member.width <= block.start + block.count);
            }
        }
    }

    #[test]
    fn whatever_is_refused_every_legal_point_ends_in_a_block_that_is_answered(
        addresses in prop::collection::btree_set(0u16..120, 1..50), illegal in prop::collection::vec(0u16..120, 0..12), longest in 3u16..125,
    ) {
        let addresses: Vec<u16> = addresses.into_iter().collect();
        let mut group = group_of(&addresses, 8);
        let (blocks, _) = learn(&mut group, &illegal, longest);
        for block in &blocks {
            for member in &block.members {
                prop_assert_eq!(block.hole, illegal.contains(&member.address), "address {}", member.address);
            }
        }
    }
}
