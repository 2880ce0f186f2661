//! Measures the log: rate of appending at each level, syncs, bytes per record, and the start with a large log.
//!
//! `cargo bench --bench journal [-- DIR]`: in a temporary directory of the system unless told otherwise.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at once, and prints")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use iogate::clock::Clock;
use iogate::journal::{AppendError, Disk, Journal, Level, Options, Terms};

/// Payload of a record, in bytes.
const PAYLOAD: usize = 100;

/// Size of the log that is opened again, in bytes.
const LARGE: u64 = 1 << 30;

fn open(dir: &Path) -> Journal {
    let options = Options { max_bytes: 4 << 30, ..Options::default() };
    Journal::open(dir, options, Arc::new(Disk), Clock::system()).unwrap().0
}

fn append(journal: &Journal, payload: &[u8], terms: Terms) -> u64 {
    loop {
        match journal.append(1, &[payload], terms) {
            Ok(position) => return position,
            Err(AppendError::Busy) => std::thread::yield_now(),
            Err(error) => unreachable!("{error}"),
        }
    }
}

/// `threads` appenders, each of which waits when `window` of its records are not yet durable.
fn measure(dir: &Path, level: Level, threads: usize, window: usize, each: usize) {
    let journal = open(dir);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for step in 1..=each {
                    let position = append(&journal, &[7; PAYLOAD], Terms::at(level));
                    if step % window == 0 {
                        journal.wait(level, position).unwrap();
                    }
                }
            });
        }
    });
    journal.wait(level, journal.next() - 1).unwrap();
    let (seconds, stats) = (start.elapsed().as_secs_f64(), journal.stats());
    println!(
        "{level:?}, {threads} threads, window {window}: {:.0} records/s, {} writes, {} syncs ({:.0} us each), {:.1} bytes written per record, {:.1} in pages",
        stats.records as f64 / seconds,
        stats.writes,
        stats.syncs,
        if level == Level::Power { seconds * 1e6 / stats.syncs.max(1) as f64 } else { 0.0 },
        stats.bytes_written as f64 / stats.records as f64,
        stats.page_bytes_written as f64 / stats.records as f64,
    );
}

fn main() {
    let root = std::env::args().nth(1).filter(|arg| !arg.starts_with('-')).map(PathBuf::from);
    let temporary = tempfile::tempdir_in(root.unwrap_or_else(std::env::temp_dir)).unwrap();
    for (at, (level, threads, window, each)) in [
        (Level::None, 1, 1, 1_000_000),
        (Level::Process, 1, 1, 50_000),
        (Level::Process, 1, 20, 400_000),
        (Level::Process, 50, 20, 20_000),
        (Level::Power, 1, 1, 2_000),
        (Level::Power, 1, 20, 40_000),
        (Level::Power, 50, 20, 4_000),
    ]
    .into_iter()
    .enumerate()
    {
        measure(&temporary.path().join(at.to_string()), level, threads, window, each);
    }
    let large = temporary.path().join("large");
    let journal = open(&large);
    while journal.stats().bytes < LARGE {
        append(&journal, &[7; 1_000], Terms::default());
    }
    drop(journal);
    start_with(&large, "closed in order");
    // Without its last seal the log was not closed.
    let mut segments: Vec<_> =
        std::fs::read_dir(&large).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|ending| ending == "log"));
    segments.sort();
    let last = std::fs::File::options().write(true).open(segments.last().unwrap()).unwrap();
    last.set_len(last.metadata().unwrap().len() - 5).unwrap();
    start_with(&large, "not closed");
}

fn start_with(dir: &Path, how: &str) {
    let start = Instant::now();
    let journal = open(dir);
    println!(
        "start with {} MB, {how}: {:.1} ms",
        journal.stats().bytes >> 20,
        start.elapsed().as_secs_f64() * 1e3
    );
}
