//! Two DS18B20 on a simulated bus master, read by the kernel's own `w1_therm`.

use std::path::Path;
use std::time::Duration;

use iogate::model::Reason;

use crate::stage::{Stage, load, parameter, prompt, until_there};

const FIRST: &str = "28-a45100000001";

/// The module says raw/16 °C; the kernel prints the milli-degrees of that.
const CONFIG: &str = "
channels: { probes: { onewire: {} } }
defaults: { poll: 200ms }
devices:
  warm: { channel: probes, onewire-id: 28-a45100000001, onewire-resolution: 9, points: { t: { onewire: temperature } } }
  cold: { channel: probes, onewire-id: 28-a45100000002, points: { t: { onewire: temperature } } }
  gone: { channel: probes, onewire-id: 28-0000deadbeef, points: { t: { onewire: temperature } } }
";

#[tokio::test]
#[ignore = "runs in the user-mode kernel"]
async fn ds18b20_with_faults_and_replug() {
    load("w1_sim");
    until_there(&Path::new("/sys/bus/w1/devices").join(FIRST), true);
    let stage = Stage::start(CONFIG).await;
    stage.number("warm/t", 21.5, 0.001).await;
    stage.number("cold/t", -10.125, 0.001).await;
    stage.bad("gone/t", Reason::NoConnection).await;

    // The power-on value is no temperature.
    parameter("w1_sim", "temp_mc", "85000,-10125");
    stage.bad("warm/t", Reason::NotAvailable).await;
    parameter("w1_sim", "temp_mc", "21500,-10125");
    stage.number("warm/t", 21.5, 0.001).await;

    parameter("w1_sim", "bad_crc", "1");
    let reading = stage.bad("warm/t", Reason::MalformedReply).await;
    assert_eq!(reading.value.and_then(|value| value.as_f64()), Some(21.5), "the last good value stays");
    parameter("w1_sim", "bad_crc", "0");
    stage.number("warm/t", 21.5, 0.001).await;

    parameter("w1_sim", "gone", "1");
    stage.bad("warm/t", Reason::NoConnection).await;
    parameter("w1_sim", "gone", "0");
    let took = stage.number("warm/t", 21.5, 0.001).await;
    println!("1-Wire: back {took:?} after the replug");
    prompt(took, Duration::from_secs(2));
    stage.stop().await;
}
