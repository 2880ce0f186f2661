//! Watchdogs of devices through a running owner: when they are armed, fed and disarmed.

use super::*;
use crate::driver::modbus::quirks::Probe;
use crate::driver::modbus::watchdog::Watchdog;
use crate::driver::modbus::wire::Ask;
use crate::model::Access;

const ARM: [(u16, u16); 2] = [(100, 30), (101, 1)];
const DISARM: (u16, u16) = (101, 0);
const FEED: u16 = 102;

fn guarded(mut unit: super::super::super::Device) -> super::super::super::Device {
    let write = |(address, word)| Ask::WriteRegister { address, word };
    unit.watchdog = Some(Watchdog {
        arm: ARM.map(write).to_vec(),
        feed: vec![write((FEED, 1)), write((FEED, 2))],
        every: S,
        disarm: vec![write(DISARM)],
    });
    unit
}

/// The writes that a unit has seen, and when.
type Seen = Arc<Mutex<Vec<(Instant, (u16, u16))>>>;

fn watch(bench: &Bench, seen: &Seen) -> tokio::task::JoinHandle<()> {
    let (seen, clock, mut memory) = (seen.clone(), bench.context.clock.clone(), Memory::default());
    bench.plug(move |_, pdu| {
        if pdu[0] == 6 {
            let pair = |at: usize| u16::from_be_bytes([pdu[at], pdu[at + 1]]);
            seen.lock().unwrap().push((clock.mono(), (pair(1), pair(3))));
        }
        Reaction::Reply(memory.answer(pdu))
    })
}

fn writes(seen: &Seen) -> Vec<(u16, u16)> {
    seen.lock().unwrap().iter().map(|(_, write)| *write).collect()
}

fn feeds(seen: &Seen) -> Vec<(Instant, u16)> {
    let seen = seen.lock().unwrap();
    seen.iter().filter(|(_, write)| write.0 == FEED).map(|(at, write)| (*at, write.1)).collect()
}

/// An arbiter that lives until it is aborted.
fn arbiter(bench: &Bench) -> tokio::task::JoinHandle<()> {
    let context = bench.context.clone();
    tokio::spawn(async move {
        loop {
            context.writes.heartbeat.beat(context.clock.mono());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
}

fn losses(bench: &Bench) -> u64 {
    bench.context.stats.devices[0].link.losses()
}

#[tokio::test(start_paused = true)]
async fn it_is_armed_fed_in_turn_and_disarmed_when_the_outputs_are_safe() {
    for safe in [true, false] {
        let bench = Bench::start(tcp_plan(vec![guarded(unit("a", 1, &[5]))]));
        let (seen, _arbiter) = (Seen::default(), arbiter(&bench));
        watch(&bench, &seen);
        bench.run(10 * S + S / 2).await;
        assert_eq!(writes(&seen)[..2], ARM);
        let fed = feeds(&seen);
        assert!((10..=11).contains(&fed.len()), "{fed:?}");
        assert!(
            fed.iter().enumerate().all(|(turn, (_, word))| usize::from(*word) == turn % 2 + 1),
            "{fed:?}"
        );
        assert!(fed.windows(2).all(|pair| pair[1].0 - pair[0].0 <= S + S / 5), "{fed:?}");
        assert_eq!(losses(&bench), 1, "outputs are written again once it is armed");
        if safe {
            bench.context.writes.heartbeat.left_safe();
        }
        bench.context.shutdown.cancel();
        bench.run(S).await;
        assert_eq!(writes(&seen).contains(&DISARM), safe);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_arbiter_feeds_nobody_and_costs_the_outputs() {
    let bench = Bench::start(tcp_plan(vec![guarded(unit("a", 1, &[5]))]));
    let seen = Seen::default();
    watch(&bench, &seen);
    bench.run(5 * S).await;
    assert_eq!(writes(&seen), [], "nothing is armed before there is anybody");
    assert!(!bench.good_values(0).is_empty(), "it is read all the same");
    let first = arbiter(&bench);
    bench.run(5 * S).await;
    first.abort();
    bench.run(S + S / 2).await;
    let (before, told) = (writes(&seen).len(), losses(&bench));
    let last = feeds(&seen).last().unwrap().1;
    bench.run(60 * S).await;
    assert_eq!(writes(&seen).len(), before, "polls go on, feeding does not");
    assert_eq!(losses(&bench), told);
    let _second = arbiter(&bench);
    bench.run(3 * S).await;
    assert_eq!(writes(&seen)[before..before + 3], [ARM[0], ARM[1], (FEED, 3 - last)]);
    assert_eq!(losses(&bench), told + 2, "lost, and once more when it is armed");
}

#[tokio::test(start_paused = true)]
async fn every_connection_arms_it_and_a_long_silence_is_a_loss() {
    let bench = Bench::start(tcp_plan(vec![guarded(unit("a", 1, &[5]))]));
    let (seen, _arbiter) = (Seen::default(), arbiter(&bench));
    let first = watch(&bench, &seen);
    bench.run(3 * S).await;
    let armings = |seen: &Seen| writes(seen).iter().filter(|write| **write == ARM[1]).count();
    assert_eq!((armings(&seen), losses(&bench)), (1, 1));
    let second = watch(&bench, &seen);
    first.abort();
    bench.run(3 * S).await;
    assert_eq!((armings(&seen), losses(&bench)), (2, 1), "it came back at once and dropped nothing");
    second.abort();
    bench.run(20 * S).await;
    let told = losses(&bench);
    assert!(told > 1, "it is offline");
    watch(&bench, &seen);
    bench.run(3 * S).await;
    assert_eq!((armings(&seen), losses(&bench)), (3, told + 1));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_armed_is_not_fed_and_says_so() {
    let bench = Bench::start(tcp_plan(vec![guarded(unit("a", 1, &[5]))]));
    let (_arbiter, seen) = (arbiter(&bench), Seen::default());
    let (log, clock, mut memory) = (seen.clone(), bench.context.clock.clone(), Memory::default());
    bench.plug(move |_, pdu| {
        if pdu[0] != 6 {
            return Reaction::Reply(memory.answer(pdu));
        }
        log.lock().unwrap().push((clock.mono(), (u16::from_be_bytes([pdu[1], pdu[2]]), 0)));
        Reaction::Reply(vec![0x86, 2])
    });
    bench.run(120 * S).await;
    let tried = writes(&seen);
    assert!(
        tried.iter().all(|(address, _)| *address == ARM[0].0),
        "what is behind it is not written: {tried:?}"
    );
    assert!((4..=7).contains(&tried.len()), "it is tried again, now and then: {tried:?}");
    let notice = bench.context.stats.devices[0].notice().unwrap();
    assert!(notice.contains("write 1 that arms its watchdog failed"), "{notice}");
}

#[tokio::test(start_paused = true)]
async fn the_wrong_device_is_not_armed() {
    let mut other = guarded(unit("a", 1, &[5]));
    let config: crate::driver::modbus::DeviceConfig =
        serde_yaml::from_str("{ probe: [{ holding: 7, is: [1234] }] }").unwrap();
    other.identify = config.probes().unwrap();
    assert_eq!(other.identify.iter().map(Probe::ask).count(), 1);
    let bench = Bench::start(tcp_plan(vec![other]));
    let (seen, _arbiter) = (Seen::default(), arbiter(&bench));
    watch(&bench, &seen);
    bench.run(30 * S).await;
    assert_eq!(writes(&seen), []);
    assert!(bench.context.stats.devices[0].notice().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_line_full_of_polls_and_writes_feeds_in_time() {
    let addresses: Vec<u16> = (0..40).collect();
    let mut busy = guarded(unit("a", 1, &addresses));
    for point in &mut busy.points {
        (point.access, point.poll) = (Access::Rw, Duration::ZERO);
    }
    let bench = Bench::start(rtu_plan(vec![busy, unit("dead", 2, &[9])]));
    let (seen, _arbiter) = (Seen::default(), arbiter(&bench));
    let (log, clock, mut memory) = (seen.clone(), bench.context.clock.clone(), Memory::default());
    bench.plug(move |unit, pdu| {
        if unit != 1 {
            return Reaction::Silence;
        }
        if pdu[0] == 6 {
            let pair = |at: usize| u16::from_be_bytes([pdu[at], pdu[at + 1]]);
            log.lock().unwrap().push((clock.mono(), (pair(1), pair(3))));
        }
        Reaction::Reply(memory.answer(pdu))
    });
    bench.run(S).await;
    let mut outcomes = Vec::new();
    for round in 0..600_u32 {
        outcomes.extend((0..40).map(|point| bench.write(point, i64::from(round % 100))));
        bench.run(S / 10).await;
    }
    let fed = feeds(&seen);
    assert!(fed.len() >= 50, "{}", fed.len());
    let longest = fed.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
    assert!(longest < 2 * S, "{longest:?}");
    assert_eq!(losses(&bench), 1);
    assert!(writes(&seen).len() > 600, "the line was full of writes: {}", writes(&seen).len());
}
