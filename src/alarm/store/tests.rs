//! The store on a real disk: what was written is there again, a damaged file stops nothing, a full queue loses no state.

use super::*;
use crate::alarm::instance::Alarm;
use crate::alarm::instance::tests::rule;
use crate::alarm::life::Manner;
use crate::alarm::rule::Rule;
use crate::clock::Clock;
use crate::model::{AlarmChange, AlarmState};

fn boot() -> Boot {
    Boot::read(&Clock::system()).unwrap()
}

fn hot() -> Rule {
    rule(0, 0, Manner::default())
}

/// An alarm that has been raised, and that event.
fn raised(name: &str, boot: &Boot) -> (Alarm, AlarmEvent) {
    let rule = hot();
    let alarm = Alarm::new(&rule, boot.now.mono);
    let mut status = alarm.status(&rule);
    status.name = name.into();
    let (change, from) = (AlarmChange::Raised, AlarmState::Normal);
    let (by, comment) = (Some("kim".into()), None);
    (alarm, AlarmEvent { change, at: boot.now, from, by, comment, status })
}

fn all() -> AlarmQuery {
    AlarmQuery { limit: 1_000, ..AlarmQuery::default() }
}

#[tokio::test]
async fn states_and_events_are_there_again() {
    let (directory, boot) = (tempfile::tempdir().unwrap(), boot());
    let (alarm, event) = raised("hot", &boot);
    let (store, saved) = Store::open(directory.path()).unwrap();
    assert!(saved.states.is_empty());
    let state = Saved::of(&hot(), &alarm, &boot, boot.now);
    store.put(&"hot".into(), state.clone(), Some(&event));
    store.put(&"cold".into(), state.clone(), None);
    store.put(&"cold".into(), state.clone(), Some(&raised("cold", &boot).1));
    store.written().await.unwrap().unwrap();
    let journal = store.journal(&all()).unwrap();
    let names: Vec<&str> = journal.iter().map(|entry| &*entry.alarm).collect();
    assert_eq!(names, ["cold", "hot"], "the newest first");
    assert_eq!((journal[1].event.as_str(), journal[1].by.as_deref()), ("raised", Some("kim")));
    let older = AlarmQuery { before: Some(journal[0].id), ..all() };
    assert_eq!(store.journal(&older).unwrap(), journal[1..]);
    let of_cold = AlarmQuery { alarm: Some("cold".into()), ..all() };
    assert_eq!(store.journal(&of_cold).unwrap(), journal[..1]);
    let returned = AlarmQuery { event: Some("returned".into()), ..all() };
    assert!(store.journal(&returned).unwrap().is_empty());
    let at = boot.now.unix_us;
    let of = |from, to| {
        store.journal(&AlarmQuery { from_us: Some(from), to_us: Some(to), ..all() }).unwrap().len()
    };
    assert_eq!((of(at, at), of(at, at + 1), of(at + 1, i64::MAX)), (0, 2, 0));
    assert_eq!(store.told_since(at).unwrap(), [], "what left it normal asked for nothing");
    let first = FirstOut { alarm: "hot".into(), unix_us: at };
    store.put_first_out(&"press".into(), Some(&first));
    store.put_first_out(&"oven".into(), Some(&first));
    store.put_first_out(&"oven".into(), None);
    // What is left when it is closed is written, too.
    store.put(&"late".into(), state.clone(), None);
    drop(store);
    let (store, saved) = Store::open(directory.path()).unwrap();
    assert_eq!(saved.states.len(), 3);
    assert_eq!(saved.states["hot"], state);
    assert_eq!(store.journal(&all()).unwrap(), journal);
    assert_eq!(saved.first_out, HashMap::from([("press".into(), ("hot".into(), at))]));
}

#[tokio::test]
async fn an_event_has_its_number_before_it_is_written_and_what_was_told_is_kept() {
    let (directory, boot) = (tempfile::tempdir().unwrap(), boot());
    let (alarm, event) = raised("hot", &boot);
    let state = || Saved::of(&hot(), &alarm, &boot, boot.now);
    let (store, kept) = Store::open(directory.path()).unwrap();
    assert_eq!((kept.newest, kept.told.len()), (0, 0));
    let numbers = [(); 3].map(|()| store.put(&"hot".into(), state(), Some(&event)));
    assert_eq!(numbers, [Some(1), Some(2), Some(3)]);
    assert_eq!(store.put(&"hot".into(), state(), None), None);
    store.put_told(&"duty".into(), 1);
    drop(store);
    let (store, kept) = Store::open(directory.path()).unwrap();
    assert_eq!((kept.newest, kept.told), (3, HashMap::from([("duty".into(), 1)])));
    assert_eq!(store.put(&"hot".into(), state(), Some(&event)), Some(4), "no number comes twice");
    store.written().await.unwrap().unwrap();
    let numbers = |limit| store.behind(1, limit).unwrap().iter().map(|entry| entry.id).collect::<Vec<_>>();
    assert_eq!((numbers(10), numbers(2)), (vec![2, 3, 4], vec![3, 4]));
}

#[tokio::test]
async fn a_file_of_the_first_version_is_taken_over() {
    let (directory, boot) = (tempfile::tempdir().unwrap(), boot());
    let (store, _) = Store::open(directory.path()).unwrap();
    let mut event = raised("hot", &boot).1;
    event.status.state = AlarmState::ActiveUnacknowledged;
    store.put(&"hot".into(), Saved::of(&hot(), &raised("hot", &boot).0, &boot, boot.now), Some(&event));
    drop(store);
    let old = rusqlite::Connection::open(directory.path().join(FILE)).unwrap();
    old.execute_batch("DROP TABLE first_out; DROP TABLE told; PRAGMA user_version = 1").unwrap();
    drop(old);
    let (store, saved) = Store::open(directory.path()).unwrap();
    assert_eq!((saved.states.len(), store.journal(&all()).unwrap().len()), (1, 1));
    let told = store.told_since(boot.now.unix_us).unwrap();
    assert_eq!(told, [("hot".into(), boot.now.unix_us / 60_000_000, 1)]);
}

#[tokio::test]
async fn a_damaged_file_is_put_aside_and_one_of_the_future_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    std::fs::write(&path, "this was a database once, before the power went".repeat(100)).unwrap();
    let (store, saved) = Store::open(directory.path()).unwrap();
    assert!(saved.states.is_empty());
    assert!(directory.path().join("alarms.sqlite.damaged").exists());
    store.written().await.unwrap().unwrap();
    drop(store);
    let future = rusqlite::Connection::open(&path).unwrap();
    future.pragma_update(None, "user_version", 99).unwrap();
    drop(future);
    assert!(matches!(Store::open(directory.path()), Err(StoreError::Unusable(_))));
    assert!(Store::open(&directory.path().join("nowhere")).is_err());
}

#[tokio::test]
async fn a_full_queue_drops_events_and_counts_them_but_keeps_every_state() {
    let (directory, boot) = (tempfile::tempdir().unwrap(), boot());
    let (store, _) = Store::open(directory.path()).unwrap();
    // Somebody else holds the file, so that nothing can be written.
    let other = rusqlite::Connection::open(directory.path().join(FILE)).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let (alarm, event) = raised("hot", &boot);
    let state = Saved::of(&hot(), &alarm, &boot, boot.now);
    let refused = store.written();
    let count = 2 * MAX_WAITING + 10;
    for number in 0..count {
        store.put(&format!("alarm-{}", number % 50).into(), state.clone(), Some(&event));
    }
    assert!(store.dropped() > 0);
    // What was asked for before there was anything to write is safe at once; this is not.
    let _ = refused.await;
    assert!(store.written().await.unwrap().unwrap_err().contains("locked"));
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    let dropped = store.dropped();
    drop(store);
    let (store, saved) = Store::open(directory.path()).unwrap();
    assert_eq!(saved.states.len(), 50);
    assert_eq!(count as u64 - dropped, count_of(&store), "what was not dropped is there");
}

fn count_of(store: &Store) -> u64 {
    let connection = rusqlite::Connection::open(&store.path).unwrap();
    connection.query_row("SELECT count(*) FROM journal", [], |row| row.get::<_, i64>(0)).unwrap() as u64
}
