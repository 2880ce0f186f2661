//! Both ways of sending, against all numbers.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::bridge::backlog::{Memory, What};
use crate::bridge::config::{Buffer, LiveFirst, Rate};
use crate::bridge::sequence::StreamId;
use crate::clock::Clock;

fn backlog() -> Memory {
    Memory::new(StreamId(1), Buffer::default(), Clock::with_wall(|| 0))
}

const LIVE_FIRST: Backfill = Backfill::LiveFirst(LiveFirst { rate: Rate(10) });

#[derive(Debug, Clone)]
enum Event {
    Append(u8),
    LinkUp,
    Send(u8),
    Wait(u16),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1u8..20).prop_map(Event::Append),
        2 => Just(Event::LinkUp),
        6 => (1u8..20).prop_map(Event::Send),
        2 => (1u16..2000).prop_map(Event::Wait),
    ]
}

proptest! {
    #[test]
    fn each_number_is_handed_out_once_and_in_order_of_its_lane(events in prop::collection::vec(event(), 1..100), live_first: bool, lag in 0usize..8) {
        let backlog = backlog();
        let backfill = if live_first { LIVE_FIRST } else { Backfill::OldestFirst };
        let mut feed = Feed::new(&backlog, backfill);
        let mut now = Instant::now();
        let (mut seen, mut passed) = (BTreeSet::new(), BTreeSet::new());
        let mut last = [0, 0];
        let mut waiting = VecDeque::new();
        let drain = [Event::Wait(1000), Event::Send(u8::MAX)].into_iter().cycle().take(5000);
        for event in events.into_iter().chain(drain) {
            match event {
                Event::Append(count) => for _ in 0..count { backlog.append(b"x", false).unwrap(); },
                Event::LinkUp => feed.link_up(&backlog),
                Event::Wait(ms) => now += Duration::from_millis(ms.into()),
                Event::Send(count) => for _ in 0..count {
                    let Next::Item(lane, item) = feed.next(now, true).unwrap() else { break };
                    prop_assert!(matches!(item.what, What::Message(_)));
                    prop_assert!(seen.insert(item.seq), "{} twice", item.seq);
                    let before = &mut last[usize::from(lane == Lane::Historical)];
                    prop_assert!(*before < item.seq, "{} after {before}", item.seq);
                    *before = item.seq;
                    waiting.push_back((lane, item));
                },
            }
            while waiting.len() > lag {
                let Some((lane, item)) = waiting.pop_front() else { break };
                passed.insert(item.seq);
                let cursor = feed.pass(lane, item.seq, item.after);
                prop_assert!((1..cursor.seq).all(|seq| passed.contains(&seq)), "{cursor:?} passes what was not");
                backlog.pass(cursor);
            }
        }
        for (lane, item) in waiting {
            backlog.pass(feed.pass(lane, item.seq, item.after));
        }
        prop_assert_eq!(seen.len() as u64, backlog.end().seq - 1);
        prop_assert_eq!(backlog.cursor(), backlog.end());
        prop_assert!(!feed.is_filling_in());
    }
}

#[test]
fn older_messages_keep_to_their_rate_and_live_ones_overtake_them() {
    let backlog = backlog();
    for _ in 0..100 {
        backlog.append(b"old", false).unwrap();
    }
    let mut feed = Feed::new(&backlog, LIVE_FIRST);
    feed.link_up(&backlog);
    backlog.append(b"new", false).unwrap();
    let start = Instant::now();
    let mut now = start;
    let Next::Item(Lane::Live, item) = feed.next(now, true).unwrap() else { panic!("live first") };
    assert_eq!(item.seq, 101);
    let mut sent = 0;
    while now < start + Duration::from_secs(5) {
        match feed.next(now, true).unwrap() {
            Next::Item(Lane::Historical, _) => sent += 1,
            Next::Later(at) => now = at,
            other => panic!("{other:?}"),
        }
    }
    assert!((49..=52).contains(&sent), "{sent} in five seconds at 10/s");
    assert_eq!(feed.next(now, false).unwrap(), Next::Nothing, "without room nothing older goes");
}
