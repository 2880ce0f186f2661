//! The log against a file system that fails and crashes at every single call.

mod damage;
mod faults;
pub(super) mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::open::{Recovery, open};
use super::options::{Level, Options};
use super::reader::{Entry, Reader};
use super::shared::{AppendError, Terms};
use super::survey::Gap;
use super::writer::{Turn, Writer};
use crate::clock::Clock;
use world::World;

const DIR: &str = "/log";
const BOOT: [u8; 16] = [1; 16];

/// Small segments, so that few records are many files.
fn options() -> Options {
    Options { segment_bytes: 400, max_unsynced_bytes: 200, boot: BOOT, pack: false, ..Options::default() }
}

/// As above, with packed records.
fn packed(pack: bool) -> Options {
    Options { pack, ..options() }
}

/// A log without a thread, and what was appended to it.
struct Rig {
    writer: Writer,
    recovery: Recovery,
}

/// What a run has been promised, across restarts.
#[derive(Default)]
struct Model {
    given: BTreeMap<u64, Vec<u8>>,
    /// Positions that a power cut may have taken.
    doubtful: BTreeSet<u64>,
    counter: u32,
}

impl Rig {
    fn open(world: &World, options: Options) -> Self {
        let clock = Clock::with_wall(|| 1_000_000);
        let (writer, recovery) = open(Path::new(DIR), options, Arc::new(world.clone()), clock).unwrap();
        Self { writer, recovery }
    }

    fn append(&self, model: &mut Model, terms: Terms) -> Result<u64, AppendError> {
        model.counter += 1;
        let payload =
            format!("{:>width$}", model.counter, width = 5 + model.counter as usize % 40).into_bytes();
        let position = self.writer.shared.append(7, &[&payload], terms)?;
        assert_eq!(model.given.insert(position, payload), None, "a position was given twice");
        Ok(position)
    }

    fn turn(&mut self) -> Turn {
        self.writer.hurry();
        self.writer.turn()
    }

    /// Turns until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..50 {
            if self.turn() == Turn::Sleep(None) {
                return;
            }
        }
        panic!("the writer does not come to rest");
    }

    fn reached(&self, level: Level) -> u64 {
        self.writer.shared.marks.reached(level)
    }

    fn close(&mut self) {
        self.writer.shared.close();
        while self.turn() != Turn::Ended {}
    }

    /// Everything from a position on, checked: in order, nothing twice, nothing left out.
    fn read(&self, from: u64) -> (BTreeMap<u64, Vec<u8>>, Vec<Gap>) {
        let mut reader = Reader::new(Arc::clone(&self.writer.shared), from);
        let (mut records, mut gaps, mut next) = (BTreeMap::new(), Vec::new(), from);
        while reader
            .read(100, |entry| match entry {
                Entry::Record { position, payload, .. } => {
                    assert_eq!(position, next);
                    next = position + 1;
                    records.insert(position, payload.to_vec());
                }
                Entry::Gap(gap) => {
                    assert!(gap.from == next && gap.to > next, "{gap:?} at {next}");
                    next = gap.to;
                    gaps.push(gap);
                }
            })
            .unwrap()
        {}
        (records, gaps)
    }

    /// Everything promised is there, and nothing that was never given.
    fn check(&self, model: &Model, promised: u64) {
        let (records, gaps) = self.read(1);
        for (position, payload) in &records {
            assert_eq!(model.given.get(position), Some(payload), "invented at {position}");
        }
        let certain = |position: &u64| !model.doubtful.contains(position);
        for (position, payload) in model.given.range(..=promised).filter(|(position, _)| certain(position)) {
            assert_eq!(records.get(position), Some(payload), "lost {position} of {promised}; gaps {gaps:?}");
        }
    }
}

#[test]
fn what_is_appended_is_read_in_order_over_segments_and_restarts() {
    let (world, mut model) = (World::default(), Model::default());
    for round in 0..5 {
        let mut rig = Rig::open(&world, options());
        assert!(rig.recovery.clean, "{:?}", rig.recovery);
        for step in 0..30 {
            let level = if step % 7 == 0 { Level::Power } else { Level::Process };
            let position = rig.append(&mut model, Terms::at(level)).unwrap();
            if step % 3 == 0 {
                rig.settle();
                assert!(rig.reached(level) >= position);
            }
        }
        rig.settle();
        rig.check(&model, u64::MAX);
        assert_eq!(rig.read(1).1, []);
        if round % 2 == 0 {
            rig.close();
        } else {
            rig.close();
            assert_eq!(rig.append(&mut model, Terms::default()), Err(AppendError::Closed));
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_written() {
    let (world, mut model) = (World::default(), Model::default());
    for _ in 0..20 {
        let mut rig = Rig::open(&world, options());
        assert_eq!(rig.recovery.gaps, []);
        for _ in 0..9 {
            rig.append(&mut model, Terms::at(Level::Process)).unwrap();
            rig.settle();
        }
        let written = rig.reached(Level::Process);
        assert_eq!(written, *model.given.keys().last().unwrap());
        drop(rig);
        world.restart();
        Rig::open(&world, options()).check(&model, written);
    }
}

#[test]
fn a_log_belongs_to_one_process() {
    let world = World::default();
    let _rig = Rig::open(&world, options());
    let again = open(Path::new(DIR), options(), Arc::new(world.clone()), Clock::system());
    assert!(matches!(again, Err(super::OpenError::InUse { .. })));
}

#[test]
fn what_does_not_fit_is_refused() {
    let world = World::default();
    let limits = Options { max_bytes: 2_000, max_pending_bytes: 300, ..options() };
    let mut rig = Rig::open(&world, limits);
    let mut model = Model::default();
    let busy = (0..100).find_map(|_| rig.append(&mut model, Terms::default()).err());
    assert_eq!(busy, Some(AppendError::Busy));
    let full = (0..100).find_map(|_| {
        rig.settle();
        rig.append(&mut model, Terms::default()).err()
    });
    assert_eq!(full, Some(AppendError::Full));
    rig.append(&mut model, Terms::default().essential()).unwrap();
    let stats = rig.writer.shared.stats();
    assert_eq!((stats.refused_busy, stats.refused_full), (1, 1));
    assert_eq!(
        rig.writer.shared.append(super::FIRST_OWN_KIND, &[], Terms::default()),
        Err(AppendError::Unfit)
    );
    // Whoever needs nothing any more makes room.
    rig.settle();
    let pin = rig.writer.shared.add_pin(stats.last + 1);
    rig.settle();
    rig.append(&mut model, Terms::default()).unwrap();
    rig.writer.shared.drop_pin(pin);
    assert!(rig.writer.shared.stats().segments_removed > 1);
    assert!(rig.read(1).1[0].reason == super::Reason::Removed);
}

#[test]
fn the_oldest_goes_where_the_owner_says_so() {
    let world = World::default();
    let limits = Options { max_bytes: 2_000, on_full: super::OnFull::DropOldest, ..options() };
    let mut rig = Rig::open(&world, limits);
    let mut model = Model::default();
    for _ in 0..300 {
        rig.append(&mut model, Terms::default()).unwrap();
        rig.settle();
    }
    let stats = rig.writer.shared.stats();
    assert!(stats.bytes <= 2_500 && stats.segments_dropped > 5, "{stats:?}");
    let (records, gaps) = rig.read(1);
    assert_eq!(gaps.len(), 1);
    assert_eq!(records.len() as u64 + stats.records_dropped, 300);
}
