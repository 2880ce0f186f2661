//! The buffer on the disk: what was appended comes back, across restarts and with segments dropped.

use proptest::prelude::*;

use super::*;
use crate::bridge::backlog::What;
use crate::model::units::{ByteSize, Period};

fn limits(size: u64, on_full: OnFull) -> Buffer {
    Buffer { size: ByteSize(size), age: Period::from_secs(10_000), on_full, ..Buffer::default() }
}

fn open(directory: &Path, limits: &Buffer, stream: u64) -> Journal {
    Journal::open(directory, limits, StreamId(stream), &Clock::system()).unwrap()
}

/// Waits until everything appended can be read.
fn written(backlog: &Journal) {
    backlog.log.wait(Level::Process, backlog.log.next() - 1).unwrap();
}

/// Numbers of messages, and of what is missing.
fn read(reader: &mut dyn Reader) -> (Vec<u64>, Vec<(u64, u64)>) {
    let (mut messages, mut gaps) = (Vec::new(), Vec::new());
    while let Some(item) = reader.next().unwrap() {
        match item.what {
            What::Message(_) => messages.push(item.seq),
            What::Gap(count, _) => gaps.push((item.seq, count)),
        }
    }
    (messages, gaps)
}

#[test]
fn stream_numbers_and_cursor_outlive_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(10 << 20, OnFull::DropOldest);
    let backlog = open(folder.path(), &limits, 7);
    for _ in 0..10 {
        backlog.append(b"x", false).unwrap();
    }
    written(&backlog);
    let mut reader = backlog.reader(backlog.cursor());
    let fourth = (0..4).map(|_| reader.next().unwrap().unwrap()).last().unwrap();
    backlog.pass(fourth.after);
    // Whoever reads has the log, too.
    drop((reader, backlog));
    let backlog = open(folder.path(), &limits, 8);
    assert_eq!((backlog.stream(), backlog.cursor().seq, backlog.end().seq), (StreamId(7), 5, 11));
    assert_eq!(backlog.append(b"y", false).map(|place| place.seq), Ok(11));
    backlog.leave_out(5, Why::Thinned, false).unwrap();
    assert_eq!(backlog.append(b"z", false).map(|place| place.seq), Ok(17));
    written(&backlog);
    let (messages, gaps) = read(&mut *backlog.reader(backlog.cursor()));
    assert_eq!((messages, gaps), ([(5..12).collect(), vec![17]].concat(), vec![(12, 5)]));
    assert_eq!(backlog.depth().messages, 13);
    let again = Journal::open(folder.path(), &limits, StreamId(9), &Clock::system());
    assert!(again.err().unwrap().to_string().contains("another process has this log open"));
}

/// What does not become smaller in the log.
fn noise() -> Vec<u8> {
    std::iter::repeat_with(|| fastrand::u8(..)).take(1_000).collect()
}

#[test]
fn dropped_segments_show_as_a_gap_and_a_full_buffer_refuses_if_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let backlog = open(folder.path(), &limits(256 << 10, OnFull::DropOldest), 1);
    for _ in 0..1000 {
        while backlog.append(&noise(), false).is_err() {
            written(&backlog);
        }
        written(&backlog);
    }
    let (messages, gaps) = read(&mut *backlog.reader(backlog.cursor()));
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!((gaps[0].0, gaps[0].1 + messages.len() as u64), (1, 1000));
    assert!(backlog.fullness() < 1.5);

    let folder = tempfile::tempdir().unwrap();
    let backlog = open(folder.path(), &limits(256 << 10, OnFull::Refuse), 1);
    let mut taken = 0;
    for _ in 0..1000 {
        taken += u64::from(backlog.append(&noise(), false).is_ok());
        written(&backlog);
    }
    assert!((200..300).contains(&taken), "{taken}");
    let (messages, gaps) = read(&mut *backlog.reader(backlog.cursor()));
    assert_eq!((messages.len() as u64, gaps), (taken, vec![]));
    // Once everything is passed and on the disk, there is room again.
    backlog.pass(backlog.end());
    backlog.maintain();
    backlog.log.wait(Level::Process, backlog.log.next() - 1).unwrap();
    drop(backlog);
    let backlog = open(folder.path(), &limits(256 << 10, OnFull::Refuse), 1);
    assert_eq!(backlog.depth().messages, 0);
}

#[tokio::test]
async fn whoever_waits_is_woken_once_something_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let backlog = open(folder.path(), &limits(10 << 20, OnFull::DropOldest), 1);
    // What the start notes wakes nobody later.
    written(&backlog);
    let mut reader = backlog.reader(backlog.cursor());
    for round in 0..200 {
        assert_eq!(reader.next().unwrap(), None);
        let arrived = backlog.arrived(reader.place());
        let early = tokio::time::timeout(Duration::from_millis(1), backlog.arrived(reader.place())).await;
        assert!(early.is_err(), "woken for nothing in round {round}");
        backlog.append(b"x", false).unwrap();
        arrived.await;
        assert!(reader.next().unwrap().is_some());
        backlog.pass(reader.place());
        backlog.maintain();
        written(&backlog);
        // The cursor's record is passed over and wakes nobody again.
        assert_eq!(reader.next().unwrap(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn restarts_lose_nothing_and_give_no_number_twice(steps in prop::collection::vec((0u8..4, 1u64..30), 1..25)) {
        let folder = tempfile::tempdir().unwrap();
        let limits = limits(10 << 20, OnFull::DropOldest);
        let mut backlog = open(folder.path(), &limits, 1);
        let (mut next, mut passed) = (1, 1);
        for (what, count) in steps {
            match what {
                0 => {
                    for _ in 0..count {
                        prop_assert_eq!(backlog.append(b"x", false).map(|place| place.seq), Ok(next));
                        next += 1;
                    }
                }
                1 => {
                    backlog.leave_out(count, Why::Refused, false).unwrap();
                    next += count;
                }
                2 => {
                    written(&backlog);
                    let mut reader = backlog.reader(backlog.cursor());
                    for _ in 0..count {
                        let Some(item) = reader.next().unwrap() else { break };
                        prop_assert_eq!(item.seq, passed);
                        passed = item.after.seq;
                        backlog.pass(item.after);
                    }
                }
                _ => {
                    drop(backlog);
                    backlog = open(folder.path(), &limits, 2);
                    prop_assert_eq!(backlog.stream(), StreamId(1));
                }
            }
            prop_assert_eq!((backlog.cursor().seq, backlog.end().seq), (passed, next));
        }
        written(&backlog);
        let (messages, gaps) = read(&mut *backlog.reader(backlog.cursor()));
        let missing: u64 = gaps.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(messages.len() as u64 + missing, next - passed);
    }
}

/// A record that was taken in at this time.
fn taken_in(unix_us: i64) -> Vec<u8> {
    let (topic, payload, properties) = ("t", &b"x"[..], &b""[..]);
    let mut bytes = Vec::new();
    Record { topic, payload, properties, retain: false, expiry_s: None, unix_us }.encode(&mut bytes);
    bytes
}

#[test]
fn the_oldest_that_waits_has_its_time_also_after_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(1 << 20, OnFull::Refuse);
    let backlog = open(folder.path(), &limits, 7);
    assert_eq!(backlog.depth().oldest_us, None);
    let places: Vec<_> =
        (1..=5).map(|hour| backlog.append(&taken_in(hour * 3_600_000_000), false).unwrap()).collect();
    written(&backlog);
    backlog.pass(places[2]);
    assert_eq!(backlog.depth().oldest_us, Some(3 * 3_600_000_000));
    drop(backlog);
    let backlog = open(folder.path(), &limits, 7);
    assert_eq!(backlog.depth().oldest_us, Some(3 * 3_600_000_000), "from the log");
    backlog.append(&taken_in(6 * 3_600_000_000), false).unwrap();
    backlog.pass(Place { position: backlog.log.next() - 1, seq: 6 });
    assert_eq!(backlog.depth().oldest_us, Some(6 * 3_600_000_000), "of this run");
}
