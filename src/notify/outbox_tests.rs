//! What waits for a notifier: limits, digests, retries, and that nothing is lost without being counted.

use proptest::prelude::*;

use super::super::wanted::tests::event;
use super::*;
use crate::model::{AlarmChange, AlarmState, Severity};

const MINUTE: Duration = Duration::from_secs(60);

fn raised(name: &str) -> AlarmEvent {
    event(name, AlarmChange::Raised, AlarmState::ActiveUnacknowledged, Severity::High)
}

/// Takes the next message, as if it had arrived.
fn sent(outbox: &mut Outbox, now: Instant) -> Letter {
    let letter = outbox.take(now).unwrap();
    outbox.sent();
    letter
}

#[test]
fn a_few_events_go_one_by_one_and_a_flood_goes_as_one() {
    let start = Instant::now();
    let mut outbox = Outbox::new(3, 3 * MINUTE, start);
    outbox.put(&raised("a"), None);
    assert!(matches!(sent(&mut outbox, start), Letter::One(event) if &*event.status.name == "a"));
    for number in 0..250 {
        outbox.put(&raised(&format!("b{}", number % 30)), None);
    }
    outbox.put(&event("b0", AlarmChange::Returned, AlarmState::ReturnedUnacknowledged, Severity::High), None);
    let Letter::Many(digest) = sent(&mut outbox, start) else { panic!("one message for all of it") };
    assert_eq!((digest.came, digest.returned, digest.worst), (250, 1, Some(Severity::High)));
    assert_eq!(digest.named.len(), super::super::digest::MAX_NAMED);
    outbox.put(&raised("c"), None);
    assert!(matches!(sent(&mut outbox, start), Letter::One(_)));
    outbox.put(&raised("d"), None);
    outbox.put(&raised("e"), None);
    assert_eq!(outbox.take(start), Err(Some(start + MINUTE)), "the limit is reached");
    assert!(matches!(sent(&mut outbox, start + MINUTE), Letter::Many(digest) if digest.came == 2));
    assert_eq!(outbox.take(start + MINUTE), Err(None));
    let counts = Counts { sent: 4, digests: 2, ..Counts::default() };
    assert_eq!(outbox.counts(), counts);
}

#[test]
fn what_fails_is_tried_again_and_dropped_only_when_that_is_of_no_use() {
    let start = Instant::now();
    let mut outbox = Outbox::new(3, MINUTE, start);
    outbox.put(&raised("a"), None);
    outbox.put(&raised("b"), None);
    let letter = outbox.take(start).unwrap();
    assert!(!outbox.failed(false, 0.0, start));
    assert_eq!(outbox.take(start), Err(Some(start + PAUSE.0)));
    assert_eq!(outbox.take(start + PAUSE.0).unwrap(), letter, "the same again, without another token");
    assert!(!outbox.failed(false, 0.0, start + PAUSE.0));
    assert_eq!(outbox.take(start + PAUSE.0), Err(Some(start + 3 * PAUSE.0)), "twice as long");
    assert!(outbox.failed(true, 0.0, start + 3 * PAUSE.0), "it will never go");
    assert!(matches!(outbox.take(start + 3 * PAUSE.0), Ok(Letter::One(event)) if &*event.status.name == "b"));
    assert!(outbox.failed(false, 0.0, start + 3 * PAUSE.0 + MAX_AGE), "nobody wants to know any more");
    assert_eq!(outbox.counts(), Counts { failed: 4, dropped: 2, ..Counts::default() });
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8),
    Pass(u16),
    Send,
    Fail(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u8>().prop_map(Step::Put),
        2 => (0u16..400).prop_map(Step::Pass),
        2 => Just(Step::Send),
        1 => any::<bool>().prop_map(Step::Fail),
    ]
}

proptest! {
    /// Every event is told, waits or is counted as dropped; and no more messages go than the limit lets through.
    #[test]
    fn nothing_is_lost_and_the_limit_holds(
        steps in prop::collection::vec(step(), 1..300), messages in 1u32..6,
    ) {
        let (start, within) = (Instant::now(), MINUTE * messages);
        let mut outbox = Outbox::new(messages, within, start);
        let (mut now, mut put, mut told) = (start, 0u64, 0u64);
        let mut begun: Vec<Instant> = Vec::new();
        let mut in_hand = false;
        for step in steps {
            match step {
                Step::Put(number) => for name in 0..number {
                    put += 1;
                    outbox.put(&raised(&name.to_string()), Some(put as i64));
                },
                Step::Pass(seconds) => now += Duration::from_secs(u64::from(seconds)),
                Step::Send | Step::Fail(_) => {
                    let Ok(letter) = outbox.take(now) else { continue };
                    if !std::mem::replace(&mut in_hand, true) {
                        begun.push(now);
                    }
                    match step {
                        Step::Fail(lasting) => in_hand = !outbox.failed(lasting, 0.5, now),
                        _ => {
                            told += letter.events();
                            outbox.sent();
                            in_hand = false;
                        }
                    }
                }
            }
            let counts = outbox.counts();
            prop_assert_eq!(told + counts.waiting + counts.dropped, put);
            prop_assert_eq!(outbox.through().unwrap_or(0) as u64, told + counts.dropped, "what is behind it waits");
            prop_assert!(outbox.waiting.len() <= MAX_WAITING);
            let recent = begun.iter().filter(|then| now.duration_since(**then) < within).count();
            prop_assert!(recent <= 2 * messages as usize, "{} of {}", recent, messages);
        }
    }
}
