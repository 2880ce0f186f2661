//! Writes through a running owner: what reaches the wire, and what its sender is told.

use std::collections::HashMap;

use super::*;
use crate::driver::modbus::register::{BitField, RawType, WriteMethod};
use crate::model::Access;

/// A plan of one unit with a writable point of each kind.
fn outputs() -> Plan {
    let mut one = unit("a", 1, &[10, 20, 30, 40]);
    one.points.push(point(Table::Coil, 3, "bool"));
    for point in &mut one.points {
        point.access = Access::Rw;
    }
    one.points[0].conversion.linear = crate::model::conversion::Linear::Scale { scale: 0.1, offset: 0.0 };
    one.points[1].register.raw = RawType::F32;
    for (index, write) in [(2, WriteMethod::Auto), (3, WriteMethod::Mask)] {
        one.points[index].register.raw = RawType::Bool;
        one.points[index].register.bits = Some(BitField { shift: 4, width: 1 });
        one.points[index].write = write;
    }
    tcp_plan(vec![one])
}

#[tokio::test(start_paused = true)]
async fn outputs_of_every_kind_are_written_and_read_back() {
    let bench = Bench::start(outputs());
    let memory = Arc::new(Mutex::new(Memory::default()));
    let functions = Arc::new(Mutex::new(HashMap::<u8, u32>::new()));
    let (shared, seen) = (memory.clone(), functions.clone());
    bench.plug(move |_, pdu| {
        *seen.lock().unwrap().entry(pdu[0]).or_default() += 1;
        Reaction::Reply(shared.lock().unwrap().answer(pdu))
    });
    bench.run(S).await;
    let verified = |value: Value| Ok(Outcome::Verified { read_back: value });
    assert_eq!(bench.write(0, 21.53).await, verified(Value::Float(21.5)), "the nearest that fits");
    assert_eq!(bench.write(1, 23.4).await, verified(Value::Float(23.4)));
    memory.lock().unwrap().set_word(30, 0xFFEF);
    memory.lock().unwrap().set_word(40, 0xFFEF);
    assert_eq!(bench.write(2, true).await, verified(Value::Bool(true)));
    assert_eq!(bench.write(3, true).await, verified(Value::Bool(true)));
    assert_eq!(bench.write(4, false).await, verified(Value::Bool(false)));
    assert!(matches!(bench.write(0, 1e9).await, Ok(Outcome::Rejected(_))));
    assert!(matches!(bench.write(1, "warm").await, Ok(Outcome::Rejected(_))));
    let memory = memory.lock().unwrap();
    assert_eq!((memory.word(10), memory.word(20), memory.word(21)), (215, 0x41BB, 0x3333));
    assert_eq!((memory.word(30), memory.word(40), memory.coil(3)), (0xFFFF, 0xFFFF, false));
    let functions = functions.lock().unwrap();
    let count = |function: u8| functions.get(&function).copied().unwrap_or(0);
    assert_eq!((count(5), count(6), count(16), count(22)), (1, 2, 1, 1));
    assert_eq!(bench.good_values(4).last(), Some(&Value::Bool(false)), "the read-back is a reading");
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_lost_is_read_back_and_never_repeated() {
    let bench = Bench::start(outputs());
    let writes = Arc::new(AtomicU32::new(0));
    for _ in 0..10 {
        let (mut memory, counter) = (Memory::default(), writes.clone());
        memory.set_word(10, 0);
        bench.plug(move |_, pdu| {
            let reply = memory.answer(pdu);
            match pdu[0] {
                6 if counter.fetch_add(1, Ordering::Relaxed) == 1 => Reaction::Reply(vec![0x86, 4]),
                6 => Reaction::Silence,
                _ => Reaction::Reply(reply),
            }
        });
    }
    bench.run(S).await;
    // On a new connection the fake unit is a new one, which has not been written to.
    assert_eq!(bench.write(0, 21.5).await, Ok(Outcome::Mismatch { read_back: Value::Float(0.0) }));
    assert_eq!(writes.load(Ordering::Relaxed), 1);
    assert!(
        matches!(bench.write(0, 22.0).await, Ok(Outcome::Failed(reason)) if reason.contains("exception 4"))
    );
    assert_eq!(writes.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lost_echo_of_a_write_that_took_is_verified() {
    let mut plan = rtu_plan(vec![unit("a", 1, &[10])]);
    plan.devices[0].points[0].access = Access::Rw;
    let bench = Bench::start(plan);
    let mut memory = Memory::default();
    bench.plug(move |_, pdu| {
        let reply = memory.answer(pdu);
        if pdu[0] == 6 { Reaction::Late(Duration::from_millis(200), reply) } else { Reaction::Reply(reply) }
    });
    bench.run(S).await;
    assert_eq!(bench.write(0, 77i64).await, Ok(Outcome::Verified { read_back: Value::Int(77) }));
    assert_eq!(bench.context.stats.devices[0].writes.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn writes_to_silent_units_and_down_channels_end_with_a_reason() {
    let mut plan = tcp_plan(vec![unit("a", 1, &[10])]);
    plan.devices[0].points[0].access = Access::Rw;
    let bench = Bench::start(plan);
    bench.run(3 * S).await;
    assert!(matches!(bench.write(0, 1i64).await, Ok(Outcome::Failed(reason)) if reason.contains("down")));
    for _ in 0..1000 {
        bench.plug(|_, _| Reaction::Silence);
    }
    bench.run(10 * S).await;
    assert!(matches!(bench.write(0, 1i64).await, Ok(Outcome::Failed(reason)) if reason.contains("offline")));
    assert_eq!(bench.quality(0), Quality::Bad(Reason::Timeout));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_commands_goes_first_but_blinds_nobody() {
    let mut one = unit("a", 1, &[]);
    one.points = (0..48).map(|address| point(Table::Coil, address, "bool")).collect();
    for point in &mut one.points {
        point.access = Access::Rw;
        point.poll = Duration::from_millis(1);
    }
    let bench = Bench::start(tcp_plan(vec![one]));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (mut memory, requests) = (Memory::default(), seen.clone());
    bench.plug(move |_, pdu| {
        requests.lock().unwrap().push((pdu[0], pdu[4]));
        Reaction::Late(Duration::from_millis(5), memory.answer(pdu))
    });
    bench.run(S).await;
    let outcomes: Vec<_> = (0..48).map(|point| bench.write(point, true)).collect();
    seen.lock().unwrap().clear();
    for outcome in outcomes {
        assert_eq!(outcome.await, Ok(Outcome::Verified { read_back: Value::Bool(true) }));
    }
    let seen = seen.lock().unwrap();
    let (first, last) =
        (seen.iter().position(|r| r.0 == 5).unwrap(), seen.iter().rposition(|r| r.0 == 5).unwrap());
    let polls = seen[first..last].iter().filter(|request| **request == (1, 48)).count();
    assert_eq!(polls, 2, "after 16 and after 32 writes");
    assert!(first <= 1, "the flood overtakes what is not yet on the line");
}
