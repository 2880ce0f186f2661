//! The log on a real file system, with its thread: waiting, kill -9, a full disk, and `iogate log`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

#[path = "broker_disk/small.rs"]
mod small;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use iogate::clock::Clock;
use iogate::journal::{AppendError, Disk, Entry, Journal, Level, Options, Recovery, Terms};

use small::Small;

fn open(dir: &Path, options: Options) -> (Journal, Recovery) {
    Journal::open(dir, options, Arc::new(Disk), Clock::system()).unwrap()
}

fn read(journal: &Journal) -> BTreeMap<u64, Vec<u8>> {
    let (mut reader, mut found) = (journal.reader(1), BTreeMap::new());
    while reader
        .read(1 << 20, |entry| match entry {
            Entry::Record { position, payload, .. } => {
                assert!(found.insert(position, payload.to_vec()).is_none());
            }
            Entry::Gap(gap) => panic!("{gap:?}"),
        })
        .unwrap()
    {}
    found
}

fn iogate(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_iogate")).args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_wait_and_few_syncs_serve_them() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, recovery) = open(dir.path(), Options::default());
    assert_eq!((recovery.next, recovery.clean), (1, true));
    let tasks: Vec<_> = (0..200u32)
        .map(|task| {
            let journal = journal.clone();
            tokio::spawn(async move {
                let waiting = journal.waiting();
                for step in 0..20u32 {
                    let payload = [task.to_le_bytes(), step.to_le_bytes()].concat();
                    let position = journal.append(1, &[&payload], Terms::at(Level::Power)).unwrap();
                    poll_fn(|cx| waiting.poll(cx, Level::Power, position)).await.unwrap();
                    assert!(journal.reached(Level::Power) >= position);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let stats = journal.stats();
    assert_eq!((stats.records, stats.synced), (4_000, 4_000));
    assert!(stats.syncs < 2_000, "{stats:?}");
    assert_eq!(read(&journal).len(), 4_000);
    journal.close();
    assert_eq!(journal.append(1, &[], Terms::default()), Err(AppendError::Closed));
    drop(journal);
    let (journal, recovery) = open(dir.path(), Options::default());
    assert!(recovery.clean && recovery.gaps.is_empty(), "{recovery:?}");
    assert_eq!(read(&journal).len(), 4_000);
}

#[test]
fn the_tool_reads_a_log_that_is_being_written_and_finds_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    assert!(!iogate(&["log", "list", path]).0);
    let (journal, _) = open(dir.path(), Options { segment_bytes: 4_096, ..Options::default() });
    for n in 0..500 {
        let last = journal.append(3, &[format!("reading {n}").as_bytes()], Terms::default()).unwrap();
        if n % 100 == 0 {
            journal.wait(Level::Process, last).unwrap();
        }
    }
    journal.wait(Level::Process, 500).unwrap();
    let mut snapshot = journal.snapshot(200).unwrap();
    snapshot.push(1, &[b"state"]).unwrap();
    snapshot.finish().unwrap();
    let (sound, text) = iogate(&["log", "verify", path]);
    assert!(sound && text.contains("500 records"), "{text}");
    let (_, text) = iogate(&["log", "dump", path, "--from", "7", "--to", "8"]);
    assert_eq!(text, "7 kind 3 9 bytes: reading 6\n8 kind 3 9 bytes: reading 7\n");
    let (_, text) = iogate(&["log", "export", path, "--to", "1"]);
    assert_eq!(text, "{\"position\":1,\"kind\":3,\"payload\":\"cmVhZGluZyAw\"}\n");
    drop(journal);
    let (journal, _) = open(dir.path(), Options::default());
    let last = journal.append(3, &[b"behind the damage"], Terms::default()).unwrap();
    journal.wait(Level::Process, last).unwrap();
    drop(journal);
    let (_, text) = iogate(&["log", "list", path]);
    assert!(text.contains("closed") && text.contains("snapshot before                  200"), "{text}");
    let first = dir.path().join("0000000000000000.log");
    let mut bytes = std::fs::read(&first).unwrap();
    bytes[140] ^= 1;
    std::fs::write(&first, bytes).unwrap();
    let (sound, text) = iogate(&["log", "verify", path]);
    // The records of one pack hold together.
    assert!(!sound && text.contains("gap: positions 1 to ") && text.contains("missing (damaged)"), "{text}");
    assert!(text.contains("1 records"), "{text}");
}

/// What cannot be compressed.
fn noise() -> [u8; 1_000] {
    std::array::from_fn(|_| fastrand::u8(..))
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let Some(small) = Small::mount() else { return eprintln!("not run: mounting is not allowed here") };
    let dir = small.path().join("log");
    let options = || Options { segment_bytes: 64 << 10, max_pending_bytes: 32 << 10, ..Options::default() };
    let mut kept = 0;
    for round in 0..20usize {
        let (journal, recovery) = open(&dir, options());
        assert_eq!(recovery.gaps, []);
        small.fill(20_000 * round);
        let refused = loop {
            match journal.append(1, &[&noise()], Terms::at(Level::Power)) {
                Ok(_) | Err(AppendError::Busy) => std::thread::yield_now(),
                Err(error) => break error,
            }
        };
        assert_eq!(refused, AppendError::Full);
        assert!(journal.reached(Level::Power) >= kept);
        // Room comes: the log drops what nobody needs, and what waited is written.
        small.free();
        let last = journal.next() - 1;
        let pin = journal.pin(journal.reached(Level::Power));
        journal.wait(Level::Power, last).unwrap();
        kept = last;
        drop((pin, journal));
    }
}
