//! The window against a model: a broker that acknowledges in any order, and a link that breaks at any time.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Event {
    /// The source has so many more messages.
    Produce(u8),
    /// So many messages are sent.
    Send(u8),
    /// The broker acknowledges one of what it has: which one.
    Ack(u8),
    /// An acknowledgement of something that is not in flight.
    Stray(u16),
    /// The link breaks.
    Cut,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (1u8..20).prop_map(Event::Produce),
        6 => (1u8..10).prop_map(Event::Send),
        8 => any::<u8>().prop_map(Event::Ack),
        1 => any::<u16>().prop_map(Event::Stray),
        1 => Just(Event::Cut),
    ]
}

/// What stands between the window and the subscribers behind the broker.
#[derive(Default)]
struct Model {
    produced: u32,
    taken: u32,
    passed: u32,
    /// Sent on this link and not acknowledged.
    at_broker: Vec<(u16, u32)>,
    received: Vec<u32>,
}

impl Model {
    fn send(&mut self, window: &mut Window<u32>, now: Instant) {
        while window.has_room() && self.taken < self.produced {
            window.push(self.taken);
            self.taken += 1;
        }
        if let Some((id, content)) = window.next_to_send() {
            let content = *content;
            assert!(!self.at_broker.iter().any(|(other, _)| *other == id), "the identifier {id} is in use");
            self.at_broker.push((id, content));
            self.received.push(content);
            window.mark_sent(now);
        }
    }

    fn pass(&mut self, window: &mut Window<u32>) {
        while let Some(content) = window.pass() {
            assert_eq!(content, self.passed, "passed out of order");
            assert!(
                !self.at_broker.iter().any(|(_, other)| *other == content),
                "passed before its acknowledgement"
            );
            self.passed += 1;
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_and_order_is_kept(limit in 1u16..12, granted in 1u16..12, events in prop::collection::vec(event(), 1..300)) {
        let (mut window, mut model) = (Window::new(limit), Model::default());
        let now = Instant::now();
        window.connected(granted);
        for event in events {
            match event {
                Event::Produce(count) => model.produced += u32::from(count),
                Event::Send(count) => (0..count).for_each(|_| model.send(&mut window, now)),
                Event::Ack(which) if !model.at_broker.is_empty() => {
                    let (id, content) = model.at_broker.remove(usize::from(which) % model.at_broker.len());
                    prop_assert_eq!(window.acknowledge(id, now), Some(&content));
                    model.pass(&mut window);
                }
                Event::Ack(_) => {}
                Event::Stray(id) => {
                    let known = model.at_broker.iter().any(|(other, _)| *other == id);
                    prop_assert!(known || window.acknowledge(id, now).is_none());
                }
                Event::Cut => {
                    model.at_broker.clear();
                    prop_assert!(!window.disconnected(false));
                    window.connected(granted);
                }
            }
            prop_assert!(window.len() <= usize::from(limit) && window.in_flight() <= usize::from(granted));
            prop_assert_eq!(window.in_flight(), model.at_broker.len());
        }
        // Once the link stays, everything arrives.
        while model.passed < model.produced {
            model.send(&mut window, now);
            if let Some((id, _)) = model.at_broker.pop() {
                window.acknowledge(id, now);
                model.pass(&mut window);
            }
        }
        in_order(&model.received, model.produced);
    }
}

/// All were received, and a number smaller than the one before it is only met where a link broke: from there on
/// everything follows again, so the first arrivals are in order.
fn in_order(received: &[u32], produced: u32) {
    let mut next = 0;
    for &number in received {
        assert!(number <= next, "{number} arrived before {next}");
        next = next.max(number + 1);
    }
    assert_eq!(next, produced);
}

#[test]
fn identifiers_wrap_and_stay_apart_from_those_of_subscriptions() {
    let mut window = Window::new(3);
    let now = Instant::now();
    window.connected(3);
    for number in 0..200_000u32 {
        window.push(number);
        let (id, _) = window.next_to_send().unwrap();
        assert!((1..=LAST_ID).contains(&id));
        window.mark_sent(now);
        assert_eq!(window.acknowledge(id, now), Some(&number));
        assert_eq!(window.pass(), Some(number));
    }
}

#[test]
fn the_deadline_moves_with_progress_but_not_for_ever() {
    let (mut window, start, second) = (Window::new(10), Instant::now(), Duration::from_secs(1));
    window.connected(10);
    assert_eq!(window.ack_deadline(second), None);
    for number in 0..3 {
        window.push(number);
        window.next_to_send().unwrap();
        window.mark_sent(start);
    }
    assert_eq!(window.ack_deadline(second), Some(start + second));
    window.acknowledge(2, start + second / 2);
    assert_eq!(window.ack_deadline(second), Some(start + second * 3 / 2));
    window.acknowledge(3, start + second * 10);
    assert_eq!(window.ack_deadline(second), Some(start + second * STUCK_FACTOR));
}

#[test]
fn a_message_that_kills_every_link_is_given_up_and_no_other() {
    let mut window = Window::new(10);
    window.push("poison");
    window.push("good");
    let now = Instant::now();
    let mut rounds = 0;
    loop {
        window.connected(10);
        let alone = window.suspects_front();
        let mut sent = 0;
        while window.next_to_send().is_some() {
            window.mark_sent(now);
            sent += 1;
        }
        assert_eq!(sent, if alone { 1 } else { 2 });
        rounds += 1;
        if window.disconnected(alone) {
            break;
        }
        assert!(rounds < 100);
    }
    assert_eq!((rounds, window.front()), (SUSPECT_AFTER + STRIKES, Some(&"poison")));
    window.replace_front("declared");
    window.connected(10);
    for wanted in ["declared", "good"] {
        let (id, content) = window.next_to_send().unwrap();
        assert_eq!(*content, wanted);
        window.mark_sent(now);
        window.acknowledge(id, now).unwrap();
        assert_eq!(window.pass(), Some(wanted));
    }
}

#[test]
fn what_is_refused_is_replaced_in_its_place() {
    let mut window = Window::new(10);
    let now = Instant::now();
    window.connected(10);
    for content in ["a", "b", "c"] {
        window.push(content);
        window.next_to_send().unwrap();
        window.mark_sent(now);
    }
    assert_eq!(window.acknowledge(2, now), Some(&"b"));
    window.send_instead(2, "gap");
    assert_eq!(window.next_to_send(), Some((2, &mut "gap")));
    window.mark_sent(now);
    assert_eq!(window.next_to_send(), None, "c is on its way already");
    for (id, content) in [(1, "a"), (3, "c"), (2, "gap")] {
        assert_eq!(window.acknowledge(id, now), Some(&content));
    }
    assert_eq!((window.pass(), window.pass(), window.pass()), (Some("a"), Some("gap"), Some("c")));
}

#[test]
fn a_bad_link_alone_gives_nothing_up() {
    let mut window = Window::new(10);
    window.push(1);
    for _ in 0..1000 {
        window.connected(10);
        if window.next_to_send().is_some() {
            window.mark_sent(Instant::now());
        }
        assert!(!window.disconnected(false));
    }
}
