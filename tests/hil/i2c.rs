//! An SHT3x on a simulated adapter that knows plain I2C transfers.

use std::time::Duration;

use iogate::model::Reason;

use crate::stage::{Stage, load, parameter, prompt};

const CONFIG: &str = "
channels: { onboard: { i2c: { bus: /dev/i2c-0 } }, other: { i2c: { bus: /dev/i2c-9 } } }
defaults: { poll: 100ms }
devices:
  room: { channel: onboard, i2c-chip: sht3x, points: { t: { i2c: temperature }, rh: { i2c: humidity } } }
  none: { channel: onboard, i2c-chip: bme280, points: { p: { i2c: pressure } } }
  lost: { channel: other, i2c-chip: sht4x, points: { t: { i2c: temperature } } }
";

#[tokio::test]
#[ignore = "runs in the user-mode kernel"]
async fn an_sht3x_with_wrong_checksums_and_without_acknowledge() {
    load("i2c_sim");
    let stage = Stage::start(CONFIG).await;
    stage.number("room/t", 23.45, 0.01).await;
    stage.number("room/rh", 51.2, 0.01).await;
    stage.bad("none/p", Reason::NoConnection).await;
    stage.bad("lost/t", Reason::NoConnection).await;

    parameter("i2c_sim", "bad_crc", "1");
    let reading = stage.bad("room/t", Reason::MalformedReply).await;
    assert!(reading.value.is_some_and(|value| value.as_f64().is_some_and(|t| (t - 23.45).abs() < 0.01)));
    parameter("i2c_sim", "bad_crc", "0");
    stage.number("room/t", 23.45, 0.01).await;

    parameter("i2c_sim", "nack", "1");
    stage.bad("room/rh", Reason::NoConnection).await;
    parameter("i2c_sim", "temp_mc", "-12000");
    parameter("i2c_sim", "nack", "0");
    let took = stage.number("room/t", -12.0, 0.01).await;
    println!("I2C: back {took:?} after the replug");
    prompt(took, Duration::from_secs(2));
    stage.stop().await;
}
