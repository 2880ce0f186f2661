//! Measures what alarms cost: 10,000 of them on 100,000 points that are read every second.
//!
//! `cargo bench --bench alarms`: CPU time per reading and as a share of one core, and allocations, while no
//! alarm changes and while a hundred of them come and go every second.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at once, and prints")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use iogate::alarm::delay::Delays;
use iogate::alarm::detect::{Detector, Formula, Grade, Limits, Rate, Reference};
use iogate::alarm::life::Manner;
use iogate::alarm::text::Message;
use iogate::alarm::{Engine, Rule};
use iogate::bus::Observer;
use iogate::clock::Clock;
use iogate::command::Commander;
use iogate::driver::WriteQueue;
use iogate::model::expression::parse;
use iogate::model::{
    Access, Deadband, PayloadFormat, Point, PointId, PointTable, PublishPolicy, Reading, ReportPolicy,
    Severity, Stamp, Texts, Topic, Value, ValueKind,
};

const POINTS: u32 = 100_000;
const ALARMS: u32 = 10_000;
const BATCH: usize = 100;
const ROUNDS: u32 = 20;

/// Counts what is allocated.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is handed on to the system's allocator as it came; only a number is counted besides.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps the promises of `alloc`, which are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of `dealloc`, which are the same.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn point(number: u32) -> Point {
    Point {
        id: PointId(number),
        name: format!("plant/p{number}").into(),
        device: "plant".into(),
        channel: "line".into(),
        topic: Topic::join(&["site", "plant", &format!("p{number}")]).unwrap(),
        kind: ValueKind::Float,
        unit: None,
        label: None,
        access: Access::R,
        range: None,
        report: ReportPolicy { deadband: Deadband::None, always: false, max_silence: None },
        publish: PublishPolicy { format: PayloadFormat::Json, qos: 0, retain: true, uncertain: false },
        poll: Duration::from_secs(1),
        safe: None,
        tolerance: 0.0,
        output: iogate::model::OutputRules::default(),
    }
}

/// Alarms spread over the points, two thirds of them on limits, the rest of the other kinds.
fn rule(number: u32) -> Rule {
    let own = PointId(number * (POINTS / ALARMS));
    let next = PointId(own.0 + 1);
    let limits = Limits {
        high_high: Some(90.0),
        high: Some(80.0),
        low: Some(10.0),
        hysteresis: 2.0,
        ..Limits::default()
    };
    let within = Duration::from_secs(60);
    let (inputs, detector) = match number % 12 {
        0 => {
            (vec![own], Detector::Rate(Rate { rise: Some(50.0), fall: Some(50.0), within, hysteresis: 1.0 }))
        }
        1 => (vec![own, next], Detector::Deviation { limits, from: Reference::Input }),
        2 => {
            let (expression, _) = parse("a > 80 and b > 80", &["a", "b"]).unwrap();
            (vec![own, next], Detector::Formula(Formula { expression, uses: [0, 1].into() }))
        }
        3 => (vec![own], Detector::Quality { inputs: 1, grade: Grade::NotGood, stale: Some(within) }),
        _ => (vec![own], Detector::Limits(limits)),
    };
    Rule {
        name: format!("alarm-{number}").into(),
        inputs,
        device: None,
        detector,
        enabled: None,
        delays: Delays { on: Duration::ZERO, off: Duration::ZERO },
        manner: Manner::default(),
        severity: Severity::Warning,
        extreme: Severity::Critical,
        class: None,
        groups: Arc::new([]),
        chattering: None,
        message: Message::plain("beyond its limit"),
        help: Texts::default(),
        actions: vec![],
        implied: false,
    }
}

fn engine() -> Engine {
    let points = Arc::new(PointTable::new((0..POINTS).map(point).collect()));
    let queue = Arc::new(WriteQueue::default());
    let clock = Clock::system();
    let commander = Commander::new(Arc::clone(&points), vec![queue; POINTS as usize], clock.clone());
    Engine::new((0..ALARMS).map(rule).collect(), points, commander, clock, vec![])
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

/// Seconds of the plant, `moving` alarms coming or going in each. Readings are made beforehand and not counted.
fn measure(engine: &Engine, name: &str, moving: u32) {
    let (mut spent, mut allocated) = (Duration::ZERO, 0);
    let start = Instant::now();
    for round in 0..ROUNDS {
        let at = Stamp { mono: start + Duration::from_secs(u64::from(round)), unix_us: 0 };
        let value = |id: u32| match id / 10 {
            // The fifth of every twelve alarms is one on limits.
            alarm if alarm % 12 == 4 && alarm / 12 < moving && round % 2 == 0 => 85.0,
            alarm => 20.0 + f64::from((alarm * 7 + round) % 50),
        };
        let readings: Vec<Reading> =
            (0..POINTS).map(|id| Reading::good(PointId(id), Value::Float(value(id)), at)).collect();
        let (before, allocations) = (cpu(), ALLOCATIONS.load(Relaxed));
        for batch in readings.chunks(BATCH) {
            engine.observe(batch);
        }
        if round > 0 {
            spent += cpu() - before;
            allocated += ALLOCATIONS.load(Relaxed) - allocations;
        }
    }
    let rounds = f64::from(ROUNDS - 1);
    let seconds = spent.as_secs_f64() / rounds;
    println!(
        "{name:<28} {:>6.1} ns per reading  {:>6.3} % of one core at 1 s  {:>8.1} allocations per second",
        seconds * 1e9 / f64::from(POINTS),
        seconds * 100.0,
        allocated as f64 / rounds,
    );
}

fn main() {
    let engine = engine();
    println!("{ALARMS} alarms on {POINTS} points, batches of {BATCH}");
    measure(&engine, "no alarm changes", 0);
    measure(&engine, "100 come or go every second", 100);
}
