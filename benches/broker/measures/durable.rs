//! What acknowledgements cost that promise something: iogate with a log, against Mosquitto without any.
//!
//! The subscriber's session is kept, so every message goes through the log, and so does how far it has come.

use std::fs::File;
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use super::{Setup, Side};
use crate::Outcome;
use crate::figures::{Goal, Row, percentile};
use crate::flow::{self, Shape};
use crate::mqtt::Template;
use crate::servers::Serving;
use crate::wire::{Target, Wire};

/// Messages per second of the probe for latency.
const PACE: u32 = 200;

const FIFTY: Shape = Shape { publishers: 50, window: 20, kept: true, ..Shape::one_to_one(1) };
const ONE: Shape = Shape { window: 20, kept: true, ..Shape::one_to_one(1) };

pub(crate) fn measure(setup: &Setup) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    let cases = [
        ("50→1, window 20", FIFTY, "power", 4.0),
        ("50→1, window 20", FIFTY, "process", 0.0),
        ("1→1, window 20", ONE, "power", 0.5),
        ("1→1, window 20", ONE, "process", 0.0),
    ];
    for (name, shape, level, times) in cases {
        let figures = setup.alternate(|side| {
            let broker = setup.start(side, Serving::Logged(level))?;
            let before = broker.process.written()?;
            let flow = flow::run(&broker.target, &broker.process, shape, setup.time)?;
            let messages = flow.per_s * setup.time.as_secs_f64();
            Ok((flow.per_s, (broker.process.written()? - before) as f64 / messages))
        })?;
        let goal = if times > 0.0 { Goal::TimesAtLeast(times) } else { Goal::None };
        rows.push(setup.row(format!("{name}, {level}"), "msg/s", &figures, |flow| flow.0, goal));
        rows.push(setup.row(
            format!("{name}, {level}: written"),
            "B/msg",
            &figures,
            |flow| flow.1,
            Goal::None,
        ));
    }
    let figures = setup.alternate(|side| latencies(setup, side))?;
    for share in [0.5, 0.99] {
        let what = |what: &str| format!("{what}, p{}", share * 100.0);
        let row = |name: &str, of: fn(&Delays) -> &[f64]| {
            setup.row(what(name), "µs", &figures, |delays| percentile(of(delays), share), Goal::None)
        };
        rows.push(row("PUBACK at power, 200/s", |delays| &delays.acks));
        rows.push(row("fdatasync of 4 KiB appended, same disk", |delays| &delays.syncs));
    }
    Ok(rows)
}

/// Microseconds.
struct Delays {
    acks: Vec<f64>,
    syncs: Vec<f64>,
}

fn latencies(setup: &Setup, side: Side) -> Outcome<Delays> {
    let broker = setup.start(side, Serving::Logged("power"))?;
    let count = (setup.time.as_secs_f64() * 3.0 * f64::from(PACE)) as u64;
    let syncs = syncs(&mut File::create(broker.folder.path().join("probe"))?, count)?;
    Ok(Delays { acks: acks(&broker.target, count)?, syncs })
}

fn paced(count: u64, mut each: impl FnMut(u64) -> Outcome) -> Outcome<Vec<f64>> {
    let (began, mut delays) = (Instant::now(), Vec::new());
    for number in 0..count {
        let due = began + Duration::from_secs(number) / PACE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let start = Instant::now();
        each(number)?;
        delays.push(start.elapsed().as_nanos() as f64 / 1e3);
    }
    Ok(delays)
}

/// How long the disk takes.
fn syncs(file: &mut File, count: u64) -> Outcome<Vec<f64>> {
    paced(count, |_| {
        file.write_all(&[7; 4096])?;
        Ok(file.sync_data()?)
    })
}

/// From a message to its PUBACK, while it waits for a subscriber that is absent.
fn acks(target: &Target, count: u64) -> Outcome<Vec<f64>> {
    Wire::open_kept(target, "absent")?.subscribe("probe/line-1/point", 1)?;
    let mut wire = Wire::open(target, "probe-publisher", None)?;
    let template = Template::new("probe/line-1/point", 0, 1, 100);
    let mut packet = Vec::new();
    paced(count, |number| {
        packet.clear();
        template.put(&mut packet, number);
        wire.send(&packet)?;
        match wire.answer()?.as_slice() {
            [0x40, 2, ..] => Ok(()),
            other => Err(format!("instead of a PUBACK: {other:?}").into()),
        }
    })
}
