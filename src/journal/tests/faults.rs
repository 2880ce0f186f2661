//! Every single call failing once, and a stop at every single call.

use proptest::prelude::*;

use super::world::{Fault, World};
use super::{BOOT, Model, Rig, options, packed};
use crate::journal::options::{Level, OnFull, Options};
use crate::journal::shared::{AppendError, Terms};
use crate::journal::snapshot::SnapshotWriter;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

/// Appends at every level, with segments, syncs and removals in between. Ends early when the world stops.
/// Returns what was promised: written up to, synced up to.
fn work(rig: &mut Rig, world: &World, model: &mut Model) -> (u64, u64) {
    let pin = rig.writer.shared.add_pin(1);
    for step in 0..24u32 {
        let terms = match step % 5 {
            0 => Terms::at(Level::Power).urgently(),
            1 | 2 => Terms::at(Level::Power),
            _ => Terms::at(Level::Process),
        };
        // What is refused was not acknowledged.
        let _ = rig.append(model, terms.essential());
        if step % 4 != 3 {
            rig.turn();
        }
        if world.stopped() {
            break;
        }
    }
    rig.writer.shared.drop_pin(pin);
    (rig.reached(Level::Process), rig.reached(Level::Power))
}

fn calls_of_a_run(pack: bool) -> u64 {
    let (world, mut model) = (World::default(), Model::default());
    let mut rig = Rig::open(&world, packed(pack));
    work(&mut rig, &world, &mut model);
    rig.close();
    world.calls()
}

#[test]
fn every_call_may_fail_once_and_nothing_is_lost() {
    for pack in [false, true] {
        each_call_fails_once(pack);
    }
}

fn each_call_fails_once(pack: bool) {
    let calls = calls_of_a_run(pack);
    assert!(calls > 40, "{calls}");
    for code in [EIO, ENOSPC, EROFS] {
        for call in 0..calls {
            let (world, mut model) = (World::default(), Model::default());
            world.fault(call, Fault::Error(code));
            let mut rig = Rig::open(&world, packed(pack));
            work(&mut rig, &world, &mut model);
            rig.settle();
            let last = *model.given.keys().last().unwrap();
            assert_eq!(rig.reached(Level::Process), last, "call {call}");
            assert_eq!(rig.writer.shared.stats().trouble, 0);
            rig.check(&model, last);
            assert_eq!(rig.read(1).1, [], "call {call}");
            // As the disk has it, once everything is synced.
            let sealed = rig.append(&mut model, Terms::at(Level::Power)).unwrap();
            rig.settle();
            assert_eq!(rig.reached(Level::Power), sealed);
            drop(rig);
            world.power_cycle(&mut fastrand::Rng::with_seed(call));
            Rig::open(&world, Options { boot: [2; 16], ..packed(pack) }).check(&model, sealed);
        }
    }
}

#[test]
fn a_stop_at_every_call_keeps_what_was_promised() {
    for pack in [false, true] {
        a_stop_at_each_call(pack);
    }
}

fn a_stop_at_each_call(pack: bool) {
    let calls = calls_of_a_run(pack);
    for call in 0..calls {
        for seed in 0..12 {
            let (world, mut model) = (World::default(), Model::default());
            world.fault(call, Fault::Stop);
            let mut rig = Rig::open(&world, packed(pack));
            let (written, synced) = work(&mut rig, &world, &mut model);
            drop(rig);
            let boot = if seed == 0 { BOOT } else { [2; 16] };
            if seed == 0 {
                world.restart();
            } else {
                world.power_cycle(&mut fastrand::Rng::with_seed(seed));
            }
            let promised = if seed == 0 { written } else { synced };
            let mut rig = Rig::open(&world, Options { boot, ..packed(pack) });
            rig.check(&model, promised);
            // What nobody could have seen may be given again, and nothing else.
            let again = model.given.split_off(&rig.recovery.next);
            assert!(again.keys().all(|position| *position > written));
            // It goes on, and gives no position again.
            let (_, synced) = work(&mut rig, &world, &mut model);
            assert!(synced > promised);
            rig.check(&model, promised);
            let records = rig.read(rig.recovery.next).0;
            for (position, payload) in model.given.range(rig.recovery.next..=synced) {
                assert_eq!(records.get(position), Some(payload), "call {call} seed {seed}");
            }
        }
    }
}

#[test]
fn a_snapshot_is_whole_or_not_there() {
    let run = |world: &World, faults: bool| {
        let mut model = Model::default();
        let mut rig = Rig::open(world, options());
        let mut done = 0;
        for position in [3, 6, 9] {
            rig.append(&mut model, Terms::at(Level::Power).essential()).unwrap();
            rig.turn();
            let shared = std::sync::Arc::clone(&rig.writer.shared);
            let written = SnapshotWriter::new(shared, position).and_then(|mut snapshot| {
                snapshot.push(1, &[format!("state {position}").as_bytes()])?;
                snapshot.push(2, &[&[7; 100]])?;
                snapshot.finish()
            });
            assert!(faults || written.is_ok());
            if written.is_ok() {
                done = position;
            }
        }
        done
    };
    let world = World::default();
    assert_eq!(run(&world, false), 9);
    let calls = world.calls();
    for call in 0..calls {
        for seed in 0..8 {
            let world = World::default();
            world.fault(call, if seed % 2 == 0 { Fault::Error(EIO) } else { Fault::Stop });
            let done = run(&world, true);
            world.power_cycle(&mut fastrand::Rng::with_seed(seed));
            let rig = Rig::open(&world, Options { boot: [2; 16], ..options() });
            let shared = &rig.writer.shared;
            let mut records = Vec::new();
            let loaded = crate::journal::snapshot::load(
                &*shared.files,
                &shared.dir,
                &shared.log,
                &rig.recovery.snapshots,
                |kind, payload| records.push((kind, payload.to_vec())),
            )
            .unwrap();
            assert!(loaded.position >= done && loaded.lost == 0, "{loaded:?} after {done}, call {call}");
            if loaded.position > 1 {
                let state = format!("state {}", loaded.position).into_bytes();
                assert_eq!(records, [(1, state), (2, vec![7; 100])]);
            }
            assert!(rig.recovery.next >= loaded.position);
        }
    }
}

#[test]
fn a_full_disk_refuses_until_there_is_room() {
    let (world, mut model) = (World::default(), Model::default());
    let mut rig = Rig::open(&world, options());
    for room in (300..3_000).step_by(37) {
        world.set_room(Some(room));
        let refused = (0..200).find_map(|_| {
            let refused = rig.append(&mut model, Terms::at(Level::Power)).err();
            rig.turn();
            refused
        });
        assert_eq!(refused, Some(AppendError::Full));
        rig.check(&model, rig.reached(Level::Process));
    }
    world.set_room(None);
    rig.settle();
    let last = *model.given.keys().last().unwrap();
    assert_eq!(rig.reached(Level::Power), last);
    rig.append(&mut model, Terms::at(Level::Power)).unwrap();
    rig.settle();
    rig.check(&model, last + 1);
    assert!(rig.writer.shared.stats().refused_full >= 70);
}

#[test]
fn a_full_disk_takes_more_where_the_oldest_may_go() {
    let (world, mut model) = (World::default(), Model::default());
    let limits = Options { on_full: OnFull::DropOldest, ..options() };
    let mut rig = Rig::open(&world, limits);
    world.set_room(Some(3_000));
    for _ in 0..300 {
        rig.append(&mut model, Terms::at(Level::Power)).unwrap();
        rig.settle();
    }
    let (records, gaps) = rig.read(1);
    assert!(gaps.len() == 1 && records.len() > 10, "{gaps:?}");
    assert_eq!(records.last_key_value(), model.given.last_key_value());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn faults_and_stops_of_any_kind_in_any_order(
        faults in prop::collection::vec((0u64..80, prop::sample::select(vec![EIO, ENOSPC])), 0..6),
        stops in prop::collection::vec((0u64..80, any::<u64>(), any::<bool>()), 1..5),
        readers in prop::sample::select(vec![Level::Process, Level::Power]),
        pack: bool,
    ) {
        let (world, mut model) = (World::default(), Model::default());
        let (mut promised_kill, mut promised_power, mut seen) = (0, 0, 0);
        let mut boot = BOOT;
        for (stop, seed, power) in stops {
            let start = world.calls();
            for (call, code) in &faults {
                world.fault(start + call, Fault::Error(*code));
            }
            world.fault(start + stop, Fault::Stop);
            let mut rig = Rig::open(&world, Options { boot, readers, ..packed(pack) });
            // What readers do not see yet is checked once it is synced.
            if readers == Level::Process {
                rig.check(&model, promised_kill.max(promised_power));
            }
            let again = model.given.split_off(&rig.recovery.next);
            model.doubtful.retain(|position| *position < rig.recovery.next);
            prop_assert!(again.keys().all(|position| *position > seen));
            let (written, synced) = work(&mut rig, &world, &mut model);
            drop(rig);
            seen = if readers == Level::Power { synced } else { written };
            if power {
                world.power_cycle(&mut fastrand::Rng::with_seed(seed));
                boot[0] = boot[0].wrapping_add(1);
                promised_power = synced;
                promised_kill = synced;
                model.doubtful.extend(model.given.range(synced + 1..).map(|(position, _)| *position));
            } else {
                world.restart();
                promised_kill = written;
                promised_power = promised_power.max(synced);
                if !faults.is_empty() {
                    // Their sync may have failed before the process was killed: the next one cannot know that
                    // the system has given up the pages. They were never promised to survive the power.
                    model.doubtful.extend(model.given.range(synced + 1..).map(|(position, _)| *position));
                }
            }
        }
        let mut rig = Rig::open(&world, Options { boot, readers, ..packed(pack) });
        model.given.split_off(&rig.recovery.next);
        rig.settle();
        rig.check(&model, promised_kill.max(promised_power));
    }
}
