//! What people, disks and other programs do to the files.

use std::path::Path;

use super::world::World;
use super::{DIR, Model, Rig, options, packed};
use crate::clock::Clock;
use crate::journal::format::Reason;
use crate::journal::open::{OpenError, open};
use crate::journal::options::{Level, Options};
use crate::journal::shared::Terms;
use crate::journal::survey::{Gap, SurveyError, segment_name};

/// A log of many segments; closed in order, or killed.
fn written(close: bool) -> (World, Model) {
    written_with(close, options())
}

fn written_with(close: bool, options: Options) -> (World, Model) {
    let (world, mut model) = (World::default(), Model::default());
    let mut rig = Rig::open(&world, options);
    for number in 0..50 {
        rig.append(&mut model, Terms::at(Level::Power)).unwrap();
        if number % 3 != 0 {
            rig.settle();
        }
    }
    rig.settle();
    if close {
        rig.close();
    }
    drop(rig);
    world.restart();
    (world, model)
}

/// Opens the log, and checks that everything is there but what the gaps name. Returns them.
fn open_with_gaps(world: &World, model: &mut Model) -> Vec<Gap> {
    let mut rig = Rig::open(world, options());
    let (records, gaps) = rig.read(1);
    for (position, payload) in &model.given {
        let lost = gaps.iter().any(|gap| (gap.from..gap.to).contains(position));
        assert_eq!(records.get(position), (!lost).then_some(payload), "{position}: {gaps:?}");
    }
    assert!(records.keys().all(|position| model.given.contains_key(position)));
    // It goes on behind everything that was ever given.
    let last = rig.append(model, Terms::at(Level::Power)).unwrap();
    rig.settle();
    assert_eq!(rig.read(last).0.len(), 1);
    gaps
}

fn segments(world: &World) -> Vec<String> {
    world.names().into_iter().filter(|name| name.ends_with(".log")).collect()
}

#[test]
fn a_bit_that_flips_anywhere_costs_one_record_at_most() {
    let (world, _) = written(true);
    let files = segments(&world);
    assert!(files.len() > 4);
    let mut len = 0;
    world.edit(&files[2], |bytes| len = bytes.len());
    for byte in 0..len {
        let (world, mut model) = written(true);
        world.edit(&files[2], |bytes| bytes[byte] ^= 1 << (byte % 8));
        let gaps = open_with_gaps(&world, &mut model);
        let lost: u64 = gaps.iter().map(|gap| gap.to - gap.from).sum();
        assert!(lost <= 1, "byte {byte}: {gaps:?}");
        assert!(gaps.iter().all(|gap| gap.reason == Reason::Damaged));
    }
}

#[test]
fn a_bit_that_flips_anywhere_in_packed_records_costs_the_rest_of_their_segment_at_most() {
    let (world, _) = written_with(true, packed(true));
    let files = segments(&world);
    assert!(files.len() > 3, "{files:?}");
    let mut len = 0;
    world.edit(&files[1], |bytes| len = bytes.len());
    for byte in 0..len {
        let (world, mut model) = written_with(true, packed(true));
        world.edit(&files[1], |bytes| bytes[byte] ^= 1 << (byte % 8));
        let gaps = open_with_gaps(&world, &mut model);
        let lost: u64 = gaps.iter().map(|gap| gap.to - gap.from).sum();
        assert!(lost <= 25, "byte {byte}: {gaps:?}");
        assert!(gaps.iter().all(|gap| gap.reason == Reason::Damaged));
    }
    // Not closed: where the log goes on is found by reading on behind the damage, if it is not at the very end.
    let unclosed = || written_with(false, Options { segment_bytes: 4_000, ..packed(true) });
    let (world, _) = unclosed();
    let last = segments(&world).pop().unwrap();
    world.edit(&last, |bytes| len = bytes.len());
    for byte in (0..len - 150).step_by(3) {
        let (world, mut model) = unclosed();
        world.edit(&last, |bytes| bytes[byte] ^= 0x20);
        open_with_gaps(&world, &mut model);
    }
}

#[test]
fn a_file_cut_off_anywhere_costs_what_was_behind() {
    let (world, _) = written(false);
    let last = segments(&world).pop().unwrap();
    let mut len = 0;
    world.edit(&last, |bytes| len = bytes.len());
    for cut in (0..len).step_by(5) {
        let (world, mut model) = written(false);
        world.edit(&last, |bytes| bytes.truncate(cut));
        let before = model.given.len();
        let rig = Rig::open(&world, options());
        let (records, _) = rig.read(1);
        assert!(records.iter().all(|(position, payload)| model.given.get(position) == Some(payload)));
        drop(rig);
        world.restart();
        // What was cut off without a trace cannot be told from what was never written.
        model.given.retain(|position, _| records.contains_key(position));
        assert!(before - model.given.len() < 20);
        assert_eq!(open_with_gaps(&world, &mut model), []);
    }
}

#[test]
fn a_tail_of_zeros_or_noise_is_passed_over() {
    for noise in [vec![0; 5_000], vec![0xFF; 5_000], (0..5_000u32).map(|n| (n * 31 % 251) as u8).collect()] {
        let (world, mut model) = written(false);
        let last = segments(&world).pop().unwrap();
        world.edit(&last, |bytes| bytes.extend_from_slice(&noise));
        let rig = Rig::open(&world, options());
        assert_eq!(rig.recovery.torn_bytes, 5_000);
        assert!(!rig.recovery.clean);
        drop(rig);
        world.restart();
        open_with_gaps(&world, &mut model);
    }
}

#[test]
fn a_segment_that_is_gone_is_a_gap() {
    let (world, mut model) = written(true);
    let files = segments(&world);
    world.drop_file(&files[2]);
    let gaps = open_with_gaps(&world, &mut model);
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0].reason, Reason::Damaged);
    let (world, mut model) = written(true);
    world.drop_file(&files[0]);
    assert_eq!(open_with_gaps(&world, &mut model)[0].reason, Reason::Removed);
}

#[test]
fn half_a_segment_is_read_as_far_as_it_goes() {
    let (world, mut model) = written(true);
    let files = segments(&world);
    world.edit(&files[1], |bytes| bytes.truncate(bytes.len() / 2));
    let gaps = open_with_gaps(&world, &mut model);
    assert_eq!(gaps.len(), 1);
    assert!(gaps[0].to - gaps[0].from < 12, "{gaps:?}");
}

#[test]
fn what_belongs_to_others_is_left_alone_and_what_is_stale_goes() {
    let (world, mut model) = written(true);
    let dir = Path::new(DIR);
    world.put(&dir.join("notes.txt"), b"mine");
    world.put(&dir.join("00000000000000ff.tmp"), b"half");
    world.put(&dir.join("ffffffffffffff00.log"), &[0xAA; 1_000]);
    world.put(&dir.join("0000000000000200.log"), b"");
    open_with_gaps(&world, &mut model);
    let names = world.names();
    assert!(names.contains(&"notes.txt".into()) && names.contains(&"ffffffffffffff00.log".into()));
    assert!(
        !names.contains(&"00000000000000ff.tmp".into()) && !names.contains(&"0000000000000200.log".into())
    );
    assert!(names.contains(&"ffffffffffffff01.log".into()), "{names:?}");
}

#[test]
fn a_newer_version_is_refused_and_not_touched() {
    let (world, _) = written(true);
    let newest = segments(&world).pop().unwrap();
    world.edit(&newest, |bytes| {
        for copy in [0, 64] {
            bytes[copy + 8] = 9;
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(&bytes[copy..copy + 12]);
            hasher.update(&bytes[copy + 16..copy + 64]);
            bytes[copy + 12..copy + 16].copy_from_slice(&hasher.finalize().to_le_bytes());
        }
    });
    let calls = world.calls();
    let refused = open(Path::new(DIR), options(), std::sync::Arc::new(world.clone()), Clock::system());
    let Err(OpenError::Unreadable { error: SurveyError::Newer { version: 9, file }, .. }) = refused else {
        panic!("opened");
    };
    assert_eq!(file, newest);
    assert_eq!(world.calls(), calls);
}

#[test]
fn a_power_cut_is_declared_where_readers_may_have_seen_what_is_gone() {
    for (readers, gaps) in [(Level::Process, 1), (Level::Power, 0)] {
        let (world, model) = written(false);
        let other = Options { boot: [9; 16], readers, ..options() };
        let rig = Rig::open(&world, other);
        assert_eq!(rig.recovery.gaps.len(), gaps, "{:?}", rig.recovery);
        rig.check(&model, 50);
    }
    let (world, _) = written(true);
    let rig = Rig::open(&world, Options { boot: [9; 16], ..options() });
    assert!(rig.recovery.clean && rig.recovery.gaps.is_empty());
    assert!(world.names().contains(&segment_name(0)));
}
