//! Serves the page with a made-up plant, for work on the page itself:
//! `cargo run --example web-preview -- [ADDRESS] [EXTRA-POINTS]`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a tool for developers")]

#[allow(dead_code, reason = "shared with the tests, each of which uses a part of it")]
mod plant;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use iogate::driver::LinkState;
use iogate::model::{
    Access, AlarmFigures, AlarmGroup, AlarmOverview, AlarmState, FirstOut, Point, PointId, Quality, Reading,
    Reason, Severity, Value, ValueKind,
};
use iogate::web::Config;

use plant::{Plant, number, switch};

fn labelled(point: Point, label: &str, channel: &str) -> Point {
    Point { label: Some(label.into()), channel: channel.into(), ..point }
}

fn points(extra: usize) -> Vec<Point> {
    let speed = Point {
        access: Access::Rw,
        range: Some((0.0, 100.0)),
        ..number("press", "fan-speed", "manufacture/press/fan-speed", "%")
    };
    let mode = Point { kind: ValueKind::Text, ..number("press", "mode", "manufacture/press/mode", "") };
    let count =
        Point { kind: ValueKind::Integer, ..number("press", "cycles", "manufacture/press/cycles", "") };
    let reset = Point { access: Access::W, ..switch("meter", "reset", "energy/meter/reset") };
    let mut points = vec![
        labelled(
            number("press", "temperature", "manufacture/press/temperature", "°C"),
            "Platen temperature",
            "plc",
        ),
        labelled(
            number("press", "pressure", "manufacture/press/pressure", "kPa"),
            "Hydraulic pressure",
            "plc",
        ),
        labelled(switch("press", "fan", "manufacture/press/fan"), "Fan coil", "plc"),
        labelled(speed, "Fan speed", "plc"),
        labelled(mode, "Operating mode", "plc"),
        labelled(count, "Cycles since start", "plc"),
        labelled(
            number("climate", "temperature", "assembly/climate/temperature", "°C"),
            "조립 라인 온도",
            "line-1",
        ),
        labelled(
            number("climate", "humidity", "assembly/climate/humidity", "%RH"),
            "조립 라인 습도",
            "line-1",
        ),
        labelled(number("barometer", "pressure", "assembly/barometer", "hPa"), "Barometer", "line-1"),
        labelled(number("co2", "co2", "packaging/co2", "ppm"), "CO₂", "line-1"),
        labelled(number("tank", "level", "packaging/tank/level", "%"), "Glue tank level", "line-2"),
        labelled(switch("tank", "valve", "packaging/tank/valve"), "Glue tank inlet valve", "line-2"),
        labelled(number("meter", "power", "energy/meter/power", "kW"), "Active power", "plc"),
        labelled(number("meter", "energy", "energy/meter/energy", "kWh"), "Energy", "plc"),
        labelled(reset, "Reset energy counter", "plc"),
    ];
    for i in 0..extra {
        let (device, topic) = (format!("rack-{}", i / 100), format!("racks/rack-{}/in-{}", i / 100, i % 100));
        points.push(Point {
            channel: "racks".into(),
            ..number(&device, &format!("in-{}", i % 100), &topic, "V")
        });
    }
    points
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let extra = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let plant = Arc::new(Plant::new(points(extra)));
    plant.bring_online();
    let page = plant.serve_on(&address, Config::default()).await;
    println!("http://{}", page.address);
    plant.alarm("press-too-hot", 0, Severity::Critical, AlarmState::Normal, None);
    plant.alarm(
        "co2-high",
        9,
        Severity::Warning,
        AlarmState::ActiveUnacknowledged,
        Some(Value::Float(1240.0)),
    );
    plant.alarm("tank-low", 10, Severity::High, AlarmState::Shelved, Some(Value::Float(11.5)));
    plant.alarm("power-high", 12, Severity::Info, AlarmState::Normal, None);
    preview_flood(&plant);
    plant.broker.lock().unwrap().listen = Some("127.0.0.1:1883".into());
    let fan = Arc::new(AtomicBool::new(false));
    let writes = operate(&plant, &fan);
    simulate(&plant, &fan, extra).await;
    writes.abort();
}

/// A busy day of alarms.
fn preview_flood(plant: &Plant) {
    for minute in 0..180 {
        let alarm = ["press-too-hot", "co2-high", "tank-low"][minute as usize % 3];
        plant.happened(
            alarm,
            ["raised", "acknowledged", "returned", "shelved"][minute as usize / 3 % 4],
            minute,
        );
    }
    let mut alarms = plant.alarms.lock().unwrap();
    if let Some(alarm) = alarms.iter_mut().find(|alarm| &*alarm.name == "co2-high") {
        (alarm.chattering, alarm.shelve_offer) = (true, Some(Duration::from_secs(3600)));
        alarm.first_of = vec!["packaging".into()];
    }
    let first = FirstOut { alarm: "co2-high".into(), unix_us: plant.clock.stamp().unix_us };
    let group = AlarmGroup { name: "packaging".into(), first_out: Some(first), unacknowledged: 1, active: 1 };
    let figures = AlarmFigures {
        last_10_minutes: 14,
        last_hour: 31,
        last_day: 208,
        peak: 22,
        flooded: Duration::from_secs(1_500),
        standing: 2,
        shelved: 1,
        chattering: 1,
        most_frequent: vec![("co2-high".into(), 120), ("press-too-hot".into(), 64), ("tank-low".into(), 24)],
        ..AlarmFigures::default()
    };
    *plant.overview.lock().unwrap() = AlarmOverview { figures, groups: vec![group] };
}

/// Takes writes over after the time that a device needs; the valve's device is dead.
fn operate(plant: &Arc<Plant>, fan: &Arc<AtomicBool>) -> tokio::task::JoinHandle<()> {
    use iogate::model::Outcome;
    let (plant, fan) = (Arc::clone(plant), Arc::clone(fan));
    tokio::spawn(async move {
        loop {
            plant.writes.pushed().await;
            while let Some(job) = plant.writes.pop(plant.clock.mono()) {
                tokio::time::sleep(Duration::from_millis(150)).await;
                let outcome = match job.point.0 {
                    11 => Outcome::Failed("no answer from tank in time".into()),
                    14 => Outcome::Confirmed,
                    point => {
                        if point == 2 {
                            fan.store(job.setpoint == Value::Bool(true), Relaxed);
                        }
                        plant.read(point, job.setpoint.clone());
                        Outcome::Verified { read_back: job.setpoint.clone() }
                    }
                };
                job.finish(outcome);
            }
        }
    })
}

async fn simulate(plant: &Plant, fan: &AtomicBool, extra: usize) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let (mut temperature, mut hot, mut n) = (52.0_f64, false, 0_u64);
    plant.read(10, 11.5);
    plant.read(11, false);
    loop {
        tick.tick().await;
        n += 1;
        temperature += if fan.load(Relaxed) { -1.3 } else { 0.8 };
        temperature = temperature.clamp(35.0, 75.0);
        if hot != (temperature > if hot { 55.0 } else { 60.0 }) {
            hot = !hot;
            let state = if hot { AlarmState::ActiveUnacknowledged } else { AlarmState::Normal };
            plant.alarm("press-too-hot", 0, Severity::Critical, state, Some(Value::Float(temperature)));
        }
        steps(plant, n, temperature, fan.load(Relaxed));
        counters(plant, n);
        let at = plant.clock.stamp();
        let mut batch: Vec<_> = (0..extra)
            .map(|i| {
                Reading::good(PointId(15 + i as u32), Value::Float(((n + i as u64) % 240) as f64 / 10.0), at)
            })
            .collect();
        plant.bus.publish(&mut batch);
    }
}

fn steps(plant: &Plant, n: u64, temperature: f64, fan: bool) {
    let t = n as f64;
    let round = |value: f64, digits: i32| (value * 10_f64.powi(digits)).round() / 10_f64.powi(digits);
    plant.read(0, round(temperature, 1));
    plant.read(1, round(640.0 + 25.0 * (t / 9.0).sin(), 1));
    plant.read(2, fan);
    if n == 1 {
        plant.read(3, 40.0);
    } else {
        let speed = plant.bus.latest(PointId(3)).value.unwrap_or(Value::Float(0.0));
        plant.read(3, speed);
    }
    plant.read(4, if n % 40 < 30 { "Running" } else { "Heating" });
    plant.read(5, i64::try_from(18_204 + n / 3).unwrap());
    plant.read(6, round(22.4 + (t / 30.0).sin(), 2));
    plant.read(7, round(48.0 + 4.0 * (t / 47.0).cos(), 1));
    plant.read(8, round(1012.6 + (t / 90.0).sin(), 2));
    plant.read(9, round(1240.0 + 30.0 * (t / 20.0).sin(), 0));
    plant.fail(10, Reason::Timeout);
    plant.fail(11, Reason::Timeout);
    if n % 30 < 20 {
        plant.read(12, round(84.0 + 9.0 * (t / 11.0).sin(), 2));
    } else {
        plant.degrade(12, Quality::Uncertain(Reason::Saturated));
    }
    plant.read(13, round(48_210.0 + t * 0.024, 2));
}

fn counters(plant: &Plant, n: u64) {
    for (c, channel) in plant.channels.iter().enumerate() {
        channel.busy_us.fetch_add(120_000 + 210_000 * c as u64, Relaxed);
        for device in &channel.devices {
            device.requests.fetch_add(4, Relaxed);
            if &*device.name == "tank" {
                device.link.set(LinkState::Offline);
                device.timeouts.fetch_add(1, Relaxed);
                continue;
            }
            for i in 0..4 {
                let us = (900 + 800 * c as u64) * (1 + (n * 7 + i * 13) % 11) / 3;
                device.record_round_trip(Duration::from_micros(us));
            }
            let now = u64::try_from(plant.clock.stamp().unix_us).unwrap();
            device.last_answer_unix_us.store(now, Relaxed);
        }
    }
    let mut broker = plant.broker.lock().unwrap();
    (broker.clients, broker.messages_in, broker.messages_out) = (3, 14 * n, 42 * n);
}
