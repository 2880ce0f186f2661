//! All buses under one gateway: a failing neighbour costs nobody anything, and faults cost no threads.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use iogate::model::Reason;

use crate::sim::Chip;
use crate::stage::{Stage, load, parameter, prompt, until_there};

const DUMMY: &str = "/sys/kernel/config/iio/devices/dummy/all";

/// How often everything is unplugged and plugged in again.
const CYCLES: u32 = 10;

const CONFIG: &str = "
defaults: { poll: 100ms }
channels: { pins: { gpio: { chip: all } }, onboard: { i2c: { bus: /dev/i2c-0 } }, probes: { onewire: {} }, kernel: { iio: {} } }
devices:
  board: { channel: pins, points: { door: { gpio: DOOR }, none: { gpio: NOWHERE } } }
  room: { channel: onboard, i2c-chip: sht3x, points: { t: { i2c: temperature } } }
  wet: { channel: onboard, i2c-chip: bme280, points: { p: { i2c: pressure } } }
  air: { channel: onboard, i2c-chip: scd4x, points: { co2: { i2c: co2 } } }
  warm: { channel: probes, onewire-id: 28-a45100000001, onewire-resolution: 9, points: { t: { onewire: temperature } } }
  gone: { channel: probes, onewire-id: 28-0000deadbeef, points: { t: { onewire: temperature } } }
  lost: { channel: probes, onewire-id: 28-0000deadbee0, points: { t: { onewire: temperature } } }
  rack: { channel: kernel, iio-name: all, points: { v: { iio: voltage0 }, no: { iio: temp } } }
  nobody: { channel: kernel, iio-name: nobody, points: { v: { iio: voltage0 } } }
";

/// The names of this process's threads that belong to buses.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    let mut names: Vec<String> = names
        .map(|name| name.trim().to_owned())
        .filter(|name| name.starts_with("bus ") || name.starts_with("gpio "))
        .collect();
    names.sort();
    names
}

async fn all_good(stage: &Stage) {
    stage.state("board/door", false).await;
    stage.number("room/t", 23.45, 0.01).await;
    stage.number("warm/t", 21.5, 0.001).await;
    stage.wait("rack/v", |reading| reading.quality.is_good()).await;
}

#[tokio::test]
#[ignore = "runs in the user-mode kernel"]
async fn failing_sensors_slow_nobody_and_faults_cost_no_threads() {
    let chip = Chip::new("all", &["DOOR"], None);
    load("i2c_sim");
    load("w1_sim");
    parameter("i2c_sim", "temp_mc", "23450");
    parameter("w1_sim", "temp_mc", "21500,-10125");
    until_there(Path::new("/sys/bus/w1/devices/28-a45100000001"), true);
    fs::create_dir(DUMMY).unwrap();
    let stage = Stage::start(CONFIG).await;
    all_good(&stage).await;
    for point in ["board/none", "wet/p", "air/co2", "gone/t", "lost/t", "rack/no", "nobody/v"] {
        stage.bad(point, Reason::NoConnection).await;
    }
    for point in ["room/t", "warm/t", "rack/v", "board/door"] {
        let begun = Instant::now();
        for _ in 0..20 {
            stage.wait(point, |reading| reading.quality.is_good()).await;
        }
        let each = begun.elapsed() / 20;
        println!("buses: {point} every {each:?} beside failing ones, 100 ms wanted");
        prompt(each, Duration::from_millis(if point == "warm/t" { 130 } else { 110 }));
    }
    let before = threads();
    assert_eq!(before.len(), 4, "{before:?}");
    for _ in 0..CYCLES {
        parameter("i2c_sim", "nack", "1");
        parameter("w1_sim", "gone", "1");
        chip.plug(false);
        fs::remove_dir(DUMMY).unwrap();
        for point in ["room/t", "warm/t", "board/door", "rack/v"] {
            stage.bad(point, Reason::NoConnection).await;
        }
        assert_eq!(threads(), before);
        parameter("i2c_sim", "nack", "0");
        parameter("w1_sim", "gone", "0");
        chip.plug(true);
        fs::create_dir(DUMMY).unwrap();
        let begun = Instant::now();
        all_good(&stage).await;
        println!("buses: all back {:?} after they were plugged in", begun.elapsed());
        prompt(begun.elapsed(), Duration::from_secs(2));
        assert_eq!(threads(), before);
    }
    stage.stop().await;
    fs::remove_dir(DUMMY).unwrap();
}
