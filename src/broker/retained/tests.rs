//! Retained messages are kept, replaced, found, limited and let go of.

use super::*;
use crate::broker::topic;
use proptest::prelude::*;

fn message<'a>(topic: &'a str, payload: &'a [u8], publisher: &'a Arc<str>, now: Instant) -> Incoming<'a> {
    Incoming {
        topic,
        shared_topic: None,
        payload,
        qos: QoS::AtMostOnce,
        retain: true,
        dup: false,
        kept: false,
        forward: &[],
        expires: None,
        publisher,
        received: now,
        urgent: false,
    }
}

fn selected(store: &Retained, filter: &str, now: Instant) -> Vec<String> {
    let mut names = Vec::new();
    store.select(filter, &mut |slot| {
        names.extend(slot.with(now, |_| slot.topic.to_string()));
    });
    names.sort();
    names
}

#[test]
fn keeps_replaces_deletes_and_counts() {
    let (store, counters) = (Retained::new(&Config::default()), Counters::default());
    let (me, now) = (Arc::from("me"), Instant::now());
    store.put(&message("a/b", b"one", &me, now), &counters).unwrap();
    store.put(&message("a/b", b"longer", &me, now), &counters).unwrap();
    store.put(&message("a", b"x", &me, now), &counters).unwrap();
    let stats = counters.snapshot();
    assert_eq!((stats.retained, stats.retained_bytes), (2, 9 + 2));
    assert_eq!(store.slot("a/b").with(now, |kept| kept.payload.clone()), Some(b"longer".to_vec()));
    store.put(&message("a/b", b"", &me, now), &counters).unwrap();
    store.put(&message("a", b"", &me, now), &counters).unwrap();
    let stats = counters.snapshot();
    assert_eq!((stats.retained, stats.retained_bytes), (0, 0));
    assert!(read(&store.tree).is_empty());
}

#[test]
fn a_slot_that_is_held_survives_deletion() {
    let (store, counters) = (Retained::new(&Config::default()), Counters::default());
    let (me, now) = (Arc::from("me"), Instant::now());
    let slot = store.slot("p/q");
    store.put_slot(&slot, &message("p/q", b"1", &me, now), &counters).unwrap();
    store.put(&message("p/q", b"", &me, now), &counters).unwrap();
    store.put_slot(&slot, &message("p/q", b"2", &me, now), &counters).unwrap();
    assert_eq!(selected(&store, "p/+", now), ["p/q"]);
}

#[test]
fn limits_refuse_until_something_expires() {
    let config = Config { max_retained: 1, ..Config::default() };
    let (store, counters) = (Retained::new(&config), Counters::default());
    let (me, now) = (Arc::from("me"), Instant::now());
    let later = now + Duration::from_secs(5);
    let first = Incoming { expires: Some(now + Duration::from_secs(2)), ..message("a", b"1", &me, now) };
    store.put(&first, &counters).unwrap();
    assert_eq!(store.put(&message("b", b"1", &me, now), &counters), Err(Full));
    assert_eq!(selected(&store, "#", now), ["a"]);
    assert_eq!(selected(&store, "#", later), Vec::<String>::new());
    store.put(&message("b", b"1", &me, later), &counters).unwrap();
    assert_eq!(counters.snapshot().retained_refused, 1);
}

#[test]
fn what_has_expired_is_let_go_without_a_full_store() {
    let (store, counters) = (Retained::new(&Config::default()), Counters::default());
    let (me, now) = (Arc::from("me"), Instant::now());
    for (topic, seconds) in [("a/b", Some(2)), ("a/c", Some(9)), ("a", None)] {
        let expires = seconds.map(|seconds| now + Duration::from_secs(seconds));
        store.put(&Incoming { expires, ..message(topic, b"1", &me, now) }, &counters).unwrap();
    }
    for (seconds, left) in [(1, 3), (5, 2), (10, 1), (11, 1)] {
        store.expire(now + Duration::from_secs(seconds), &counters, |_| {});
        assert_eq!(counters.snapshot().retained, left, "after {seconds} s");
    }
    let stats = counters.snapshot();
    assert_eq!((stats.retained_expired, stats.retained_bytes), (2, 2));
    assert!(read(&store.tree).find("a/b").is_none() && read(&store.tree).find("a").is_some());
    assert!(!store.fading.load(Relaxed));
}

proptest! {
    #[test]
    fn selects_what_matching_one_by_one_selects(
        names in proptest::collection::btree_set("[$a-b]{1,2}(/[a-b]{0,2}){0,3}", 0..12),
        filter in "(([a-b]{1,2}|\\+)/){0,3}([$a-b]{1,2}|\\+|#)",
    ) {
        let (store, counters) = (Retained::new(&Config::default()), Counters::default());
        let (me, now) = (Arc::from("me"), Instant::now());
        for name in &names {
            store.put(&message(name, b"1", &me, now), &counters).unwrap();
        }
        let expected: Vec<_> =
            names.iter().filter(|name| topic::matches(&filter, name)).cloned().collect();
        prop_assert_eq!(selected(&store, &filter, now), expected);
    }
}
