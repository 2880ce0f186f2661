//! The kernel's simple dummy of an Industrial I/O device.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use iogate::model::Reason;

use crate::stage::{Stage, prompt};

const DUMMY: &str = "/sys/kernel/config/iio/devices/dummy/cabinet";

const CONFIG: &str = "
channels: { kernel: { iio: {} } }
defaults: { poll: 100ms }
devices:
  cabinet:
    channel: kernel
    iio-name: cabinet
    points:
      single: { iio: voltage0 }
      pair: { iio: voltage1-voltage2 }
      missing: { iio: temp }
";

fn folder() -> PathBuf {
    let devices = fs::read_dir("/sys/bus/iio/devices").unwrap().flatten().map(|entry| entry.path());
    let named =
        |path: &PathBuf| fs::read_to_string(path.join("name")).is_ok_and(|name| name.trim() == "cabinet");
    devices.into_iter().find(named).unwrap()
}

/// What the files of the channel come to, in volts.
fn volts(channel: &str, shared: &str) -> f64 {
    let number = |name: String| -> Option<f64> {
        fs::read_to_string(folder().join(name)).ok().map(|text| text.trim().parse().unwrap())
    };
    let own =
        |part: &str| number(format!("in_{channel}_{part}")).or_else(|| number(format!("in_{shared}_{part}")));
    (own("raw").unwrap() + own("offset").unwrap_or(0.0)) * own("scale").unwrap_or(1.0) / 1000.0
}

#[tokio::test]
#[ignore = "runs in the user-mode kernel"]
async fn a_dummy_is_read_unplugged_and_found_again() {
    fs::create_dir(DUMMY).unwrap();
    let stage = Stage::start(CONFIG).await;
    let (single, pair) = (volts("voltage0", "voltage"), volts("voltage1-voltage2", "voltage-voltage"));
    assert!(single != 0.0 && pair != 0.0, "{single} {pair}");
    stage.number("cabinet/single", single, 1e-9).await;
    stage.number("cabinet/pair", pair, 1e-9).await;
    stage.bad("cabinet/missing", Reason::NoConnection).await;
    fs::remove_dir(DUMMY).unwrap();
    stage.bad("cabinet/single", Reason::NoConnection).await;
    fs::create_dir(DUMMY).unwrap();
    let took = stage.number("cabinet/single", single, 1e-9).await;
    println!("IIO: back {took:?} after the replug");
    prompt(took, Duration::from_secs(2));
    stage.stop().await;
    fs::remove_dir(DUMMY).unwrap();
}
