//! The owner against scripted units on a paused clock: what goes wrong on lines, and that no wrong value
//! ever comes of it. Every register of a fake unit holds its own address, so a value that belongs to
//! another point shows.

mod guard;
mod outputs;

use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

use tokio::io::{DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::bus::{Bus, Observer};
use crate::clock::Clock;
use crate::driver::modbus::fixtures::{Memory, Reaction, device, frame, point, rtu_plan, serve, tcp_plan};
use crate::driver::modbus::register::Table;
use crate::driver::{ChannelStats, Services, WriteJob, WriteQueue};
use crate::model::{CommandId, Outcome, PointTable, Quality, Reason, Value};
use crate::transport::{BoxStream, OpenError, Pace};

/// Streams that the test hands out; refuses while there is none.
struct Streams(mpsc::UnboundedReceiver<DuplexStream>);

impl Opener for Streams {
    async fn open(&mut self) -> Result<(BoxStream, Pace), OpenError> {
        match self.0.try_recv() {
            Ok(stream) => Ok((Box::new(stream), Pace::Runtime)),
            Err(_) => Err(OpenError::Connect { address: "test".into(), reason: "refused".into() }),
        }
    }
}

/// Keeps every reading.
#[derive(Default)]
struct Record(Mutex<Vec<Reading>>);

impl Observer for Record {
    fn observe(&self, readings: &[Reading]) {
        self.0.lock().unwrap().extend_from_slice(readings);
    }
}

/// A running owner.
struct Bench {
    context: ChannelContext,
    record: Arc<Record>,
    streams: mpsc::UnboundedSender<DuplexStream>,
    framing: Framing,
}

impl Bench {
    fn start(plan: Plan) -> Self {
        let count: usize = plan.devices.iter().map(|device| device.points.len()).sum();
        let table = (0..count).map(|i| crate::model::point::tests::point(&i.to_string())).collect();
        let record = Arc::new(Record::default());
        let bus = Bus::new(Arc::new(PointTable::new(table)), vec![record.clone()]);
        let names: Vec<Arc<str>> = plan.devices.iter().map(|device| device.name.clone()).collect();
        let context = ChannelContext {
            bus,
            writes: Arc::new(WriteQueue::default()),
            stats: Arc::new(ChannelStats::new("line".into(), names)),
            clock: Clock::system(),
            services: Services::default(),
            shutdown: CancellationToken::new(),
        };
        let (streams, receiver) = mpsc::unbounded_channel();
        let framing = if matches!(plan.transport, Transport::Tcp(_)) { Framing::Tcp } else { Framing::Rtu };
        tokio::spawn(Owner::new(Arc::new(plan), context.clone(), Streams(receiver)).run());
        Self { context, record, streams, framing }
    }

    /// Plugs in another side; it lives until it closes or the returned handle is aborted.
    fn plug(&self, react: impl FnMut(u8, &[u8]) -> Reaction + Send + 'static) -> tokio::task::JoinHandle<()> {
        let (ours, theirs) = duplex(4096);
        self.streams.send(ours).unwrap();
        tokio::spawn(serve(theirs, self.framing, react))
    }

    async fn run(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn quality(&self, point: u32) -> Quality {
        self.context.bus.latest(PointId(point)).quality
    }

    fn good_values(&self, point: u32) -> Vec<Value> {
        let record = self.record.0.lock().unwrap();
        let of_point = record.iter().filter(|r| r.point == PointId(point) && r.quality.is_good());
        of_point.map(|reading| reading.value.clone().unwrap()).collect()
    }

    /// Whether every good reading of these points holds the address that the point reads.
    fn assert_no_foreign_value(&self, addresses: &[u16]) {
        for reading in self.record.0.lock().unwrap().iter().filter(|reading| reading.quality.is_good()) {
            let address = i64::from(addresses[reading.point.index()]);
            assert_eq!(reading.value, Some(Value::Int(address)), "{reading:?}");
        }
    }

    fn write(&self, point: u32, setpoint: impl Into<Value>) -> oneshot::Receiver<Outcome> {
        let (reply, outcome) = oneshot::channel();
        let deadline = self.context.clock.mono() + Duration::from_secs(2);
        let setpoint = setpoint.into();
        self.context.writes.push(WriteJob {
            id: CommandId(1),
            point: PointId(point),
            setpoint,
            deadline,
            reply: reply.into(),
        });
        outcome
    }
}

const S: Duration = Duration::from_secs(1);

fn unit(name: &str, number: u8, addresses: &[u16]) -> super::super::Device {
    let mut unit = device(name, number);
    unit.max_gap = 0;
    unit.points = addresses.iter().map(|address| point(Table::Holding, *address, "u16")).collect();
    unit
}

#[tokio::test(start_paused = true)]
async fn points_are_read_in_their_period() {
    let mut slow = unit("a", 1, &[0, 1, 2, 100]);
    slow.points[3].poll = 5 * S;
    let bench = Bench::start(tcp_plan(vec![slow]));
    let mut memory = Memory::default();
    bench.plug(move |_, pdu| Reaction::Reply(memory.answer(pdu)));
    bench.run(20 * S + S / 2).await;
    bench.assert_no_foreign_value(&[0, 1, 2, 100]);
    let counts: Vec<usize> = (0..4).map(|point| bench.good_values(point).len()).collect();
    assert!(counts[..3].iter().all(|count| (20..=22).contains(count)), "{counts:?}");
    assert!((4..=6).contains(&counts[3]), "{counts:?}");
    assert_eq!(bench.context.stats.devices[0].link.get(), LinkState::Online);
    assert_eq!(bench.context.stats.missed_polls.load(Ordering::Relaxed), 0);
    bench.context.shutdown.cancel();
}

#[tokio::test(start_paused = true)]
async fn one_illegal_register_does_not_take_its_neighbours_down() {
    let addresses: Vec<u16> = (0..40).collect();
    let bench = Bench::start(tcp_plan(vec![unit("a", 1, &addresses)]));
    let refused = Arc::new(AtomicU32::new(0));
    let (mut memory, counter) = (Memory::default(), refused.clone());
    bench.plug(move |_, pdu| {
        let (start, count) = (u16::from_be_bytes([pdu[1], pdu[2]]), u16::from_be_bytes([pdu[3], pdu[4]]));
        if (start..start + count).contains(&17) {
            counter.fetch_add(1, Ordering::Relaxed);
            return Reaction::Reply(vec![pdu[0] | 0x80, 2]);
        }
        Reaction::Reply(memory.answer(pdu))
    });
    bench.run(S / 2).await;
    for point in 0..40 {
        let expected = if point == 17 { Quality::Bad(Reason::DeviceException(2)) } else { Quality::Good };
        assert_eq!(bench.quality(point), expected, "point {point} within the first cycle");
    }
    let searching = refused.load(Ordering::Relaxed);
    bench.run(600 * S).await;
    let asked_again = refused.load(Ordering::Relaxed) - searching;
    assert!(
        (6..=9).contains(&asked_again),
        "the hole is remembered and tried ever more rarely: {asked_again}"
    );
    bench.assert_no_foreign_value(&addresses);
}

#[tokio::test(start_paused = true)]
async fn answers_that_do_not_fit_are_never_values() {
    let addresses = [5, 50, 500];
    for plan in [tcp_plan(vec![unit("a", 7, &addresses)]), rtu_plan(vec![unit("a", 7, &addresses)])] {
        let bench = Bench::start(plan);
        let framing = bench.framing;
        // Every fifth answer is a foreign one in another disguise; connections that are dropped come back.
        let turn = Arc::new(AtomicU32::new(0));
        for _ in 0..200 {
            let (mut memory, turn) = (Memory::default(), turn.clone());
            bench.plug(move |unit, pdu| {
                let turn = turn.fetch_add(1, Ordering::Relaxed);
                let good = memory.answer(pdu);
                let foreign = vec![3, 2, 0xDE, 0xAD];
                let head = [0xAB, 0xCD, 0, 0];
                match turn {
                    turn if turn % 5 != 4 => Reaction::Reply(good),
                    turn if turn / 5 % 4 == 0 => Reaction::Raw(frame(framing, unit + 1, &head, &foreign)),
                    turn if turn / 5 % 4 == 1 => Reaction::Reply(vec![4, 2, 0xDE, 0xAD]),
                    turn if turn / 5 % 4 == 2 => Reaction::Reply(vec![3, 4, 0xDE, 0xAD, 0xDE, 0xAD]),
                    _ => Reaction::Raw(frame(framing, unit, &head, &foreign)[..4].to_vec()),
                }
            });
        }
        bench.run(60 * S).await;
        bench.assert_no_foreign_value(&addresses);
        for point in 0..3 {
            assert!(bench.good_values(point).len() > 20, "{framing:?}: point {point} goes on");
        }
        assert!(bench.context.stats.devices[0].malformed.load(Ordering::Relaxed) > 10);
    }
}

#[tokio::test(start_paused = true)]
async fn late_answers_of_every_lateness_never_reach_another_point() {
    let addresses = [5, 50, 500, 5000];
    for late_ms in [110, 150, 300, 371, 400, 480, 510, 560, 700, 900, 980, 1010, 1040, 1060, 1080, 1500, 2050]
    {
        let bench =
            Bench::start(rtu_plan(vec![unit("a", 7, &addresses[..2]), unit("b", 8, &addresses[2..])]));
        let (mut memory, mut turn) = (Memory::default(), 0);
        bench.plug(move |unit, pdu| {
            turn += 1;
            let reply = memory.answer(pdu);
            if unit == 7 && turn % 5 == 0 {
                Reaction::Late(Duration::from_millis(late_ms), reply)
            } else {
                Reaction::Reply(reply)
            }
        });
        bench.run(120 * S).await;
        bench.assert_no_foreign_value(&addresses);
        assert!(bench.good_values(2).len() > 30, "late by {late_ms} ms: unit b goes on");
    }
}

/// Polls of unit 1 within `window` on a line with `dead` silent units beside it.
async fn polls_beside(dead: u8, window: Duration) -> usize {
    let mut plan = vec![unit("live", 1, &[3])];
    plan[0].points[0].poll = Duration::ZERO;
    plan.extend((0..dead).map(|i| unit(&format!("dead-{i}"), i + 2, &[3])));
    let bench = Bench::start(rtu_plan(plan));
    let mut memory = Memory::default();
    // 8 characters there, 7 back and some thinking: 20 ms at 9600 bit/s.
    bench.plug(move |unit, pdu| match unit {
        1 => Reaction::Late(Duration::from_millis(20), memory.answer(pdu)),
        _ => Reaction::Silence,
    });
    bench.run(window).await;
    bench.context.shutdown.cancel();
    bench.good_values(0).len()
}

#[tokio::test(start_paused = true)]
async fn twenty_nine_dead_units_cost_the_live_one_at_most_a_twentieth() {
    let alone = polls_beside(0, 120 * S).await;
    let beside = polls_beside(29, 120 * S).await;
    assert!(alone > 4000, "{alone}");
    assert!(beside * 100 >= alone * 95, "{beside} polls beside dead units, {alone} alone");
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_returns_is_seen_within_seconds() {
    let plan = rtu_plan(vec![unit("a", 1, &[1]), unit("b", 2, &[2])]);
    let bench = Bench::start(plan);
    let dead = Arc::new(AtomicU32::new(0));
    let (mut memory, switch) = (Memory::default(), dead.clone());
    bench.plug(move |unit, pdu| match unit {
        2 if switch.load(Ordering::Relaxed) == 1 => Reaction::Silence,
        _ => Reaction::Reply(memory.answer(pdu)),
    });
    bench.run(40 * S).await;
    assert_eq!(bench.quality(1), Quality::Good);
    dead.store(1, Ordering::Relaxed);
    bench.run(2 * S).await;
    assert_eq!(bench.quality(1), Quality::Bad(Reason::Timeout));
    bench.run(30 * S).await;
    assert_eq!(bench.context.stats.devices[1].link.get(), LinkState::Offline);
    assert_eq!(bench.quality(0), Quality::Good);
    dead.store(0, Ordering::Relaxed);
    bench.run(6 * S).await;
    assert_eq!(bench.quality(1), Quality::Good);
    assert_eq!(bench.context.stats.devices[1].link.get(), LinkState::Online);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_told_and_opened_again_within_two_seconds() {
    for plan in [tcp_plan(vec![unit("a", 1, &[1, 9])]), rtu_plan(vec![unit("a", 1, &[1, 9])])] {
        let bench = Bench::start(plan);
        for _ in 0..3 {
            let mut memory = Memory::default();
            let device = bench.plug(move |_, pdu| Reaction::Reply(memory.answer(pdu)));
            bench.run(2 * S).await;
            assert_eq!((bench.quality(0), bench.quality(1)), (Quality::Good, Quality::Good));
            device.abort();
            bench.run(30 * S).await;
            assert_eq!(bench.quality(0), Quality::Bad(Reason::NoConnection));
            assert_eq!(bench.context.stats.link.get(), LinkState::Offline);
        }
        assert_eq!(bench.context.stats.reconnects.load(Ordering::Relaxed), 2);
        bench.assert_no_foreign_value(&[1, 9]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_closes_idle_connections_is_read_without_a_gap() {
    let bench = Bench::start(tcp_plan(vec![unit("a", 1, &[1])]));
    for _ in 0..30 {
        let (mut memory, mut answered) = (Memory::default(), false);
        bench.plug(move |_, pdu| {
            // Cut in the middle of the second answer.
            if std::mem::replace(&mut answered, true) {
                return Reaction::Close(vec![0, 1, 0]);
            }
            Reaction::Reply(memory.answer(pdu))
        });
    }
    bench.run(15 * S).await;
    let record = bench.record.0.lock().unwrap();
    assert!(record.len() > 10);
    assert!(record.iter().all(|reading| reading.quality.is_good()), "{record:?}");
}

#[tokio::test(start_paused = true)]
async fn the_budget_foretells_how_busy_the_line_will_be() {
    let mut unit = unit("a", 1, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100]);
    for point in &mut unit.points {
        point.poll = Duration::from_millis(100);
    }
    let plan = rtu_plan(vec![unit]);
    let foretold = plan.budget().line_time_share;
    assert!((0.5..0.8).contains(&foretold), "{foretold}");
    let bench = Bench::start(plan);
    let mut memory = Memory::default();
    // 9600 bit/s, 10 bits a character; the unit waits for the silence that ends the request.
    bench.plug(move |_, pdu| {
        let reply = memory.answer(pdu);
        let characters = 8 + 3 + reply.len() as u32;
        Reaction::Late(Duration::from_nanos(1_041_667) * characters + Duration::from_micros(3_646), reply)
    });
    bench.run(60 * S).await;
    let measured = bench.context.stats.busy_us.load(Ordering::Relaxed) as f64 / 60e6;
    assert!((measured / foretold - 1.0).abs() < 0.1, "measured {measured}, foretold {foretold}");
}

#[tokio::test(start_paused = true)]
async fn late_answers_of_one_shape_never_reach_another_point() {
    let addresses = [5, 50, 500];
    for late_ms in (110..800).step_by(45) {
        for every in [4, 7] {
            let bench = Bench::start(rtu_plan(vec![unit("a", 7, &addresses)]));
            let (mut memory, mut turn) = (Memory::default(), 0);
            bench.plug(move |_, pdu| {
                turn += 1;
                let reply = memory.answer(pdu);
                match turn % every {
                    0 => Reaction::Late(Duration::from_millis(late_ms), reply),
                    // What it was asked meanwhile has passed it by.
                    1 => Reaction::Silence,
                    _ => Reaction::Reply(reply),
                }
            });
            bench.run(30 * S).await;
            bench.assert_no_foreign_value(&addresses);
        }
    }
}
