//! Every kind of link under one gateway: one that is cut costs no other a reading, and is read again when it is back.

use std::time::{Duration, Instant};

use iogate::model::{Quality, Reading};

use super::site::Site;

/// How soon what comes back is to be seen, where the machine is said to be quiet (`IOGATE_QUIET`).
const SOON: Duration = Duration::from_secs(2);

const CONFIG: &str = "
defaults: { poll: 50ms }
channels:
  modbus: { modbus-tcp: { address: '192.0.2.1:502', timeout: 500ms } }
  line: { ascii-serial: { port: /dev/null, baud: 115200, timeout: 500ms } }
  socket: { ascii-tcp: { address: '192.0.2.1:4001', timeout: 500ms } }
  grams: { ascii-udp: { address: '192.0.2.1:1025', timeout: 500ms } }
  web: { http: { address: 192.0.2.1, timeout: 500ms } }
  agent: { snmp: { address: 192.0.2.40, timeout: 500ms, retries: 0 } }
  broker: { mqtt: {} }
  bus: { i2c: { bus: /dev/i2c-1 } }
devices:
  m: { channel: modbus, points: { v: { input: 0, simulate: { constant: 1 } } } }
  l: { channel: line, points: { v: { ask: V, simulate: { constant: 1 } } } }
  s: { channel: socket, points: { v: { ask: V, simulate: { constant: 1 } } } }
  g: { channel: grams, points: { v: { ask: V, simulate: { constant: 1 } } } }
  w: { channel: web, points: { v: { get: /v, simulate: { constant: 1 } } } }
  a: { channel: agent, points: { v: { oid: 1.3.6.1.4.1.99999.1.0, simulate: { constant: 1 } } } }
  b:
    channel: broker
    mqtt-name: b
    mqtt-availability: { topic: '{device}/there' }
    points: { v: { mqtt: '{device}/v', simulate: { constant: 1 } } }
  i: { channel: bus, i2c-chip: sht3x, points: { v: { i2c: temperature, simulate: { constant: 1 } } } }
";

/// Each channel with its point.
const LINKS: [(&str, &str); 8] = [
    ("modbus", "m/v"),
    ("line", "l/v"),
    ("socket", "s/v"),
    ("grams", "g/v"),
    ("web", "w/v"),
    ("agent", "a/v"),
    ("broker", "b/v"),
    ("bus", "i/v"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_cut_costs_no_other_a_reading_and_comes_back() {
    let site = Site::new(CONFIG).await;
    for (_, point) in LINKS {
        site.until(point, |latest| latest.quality.is_good()).await;
    }
    for (channel, point) in LINKS {
        let id = site.gateway.bus.points().by_name(point).unwrap().id;
        let news = site.gateway.bus.subscribe(100_000);
        site.order(&format!("unplug {channel}"));
        site.until(point, |latest| matches!(latest.quality, Quality::Bad(_))).await;
        site.order(&format!("plug {channel}"));
        let begun = Instant::now();
        site.until(point, |latest| latest.quality.is_good()).await;
        let took = begun.elapsed();
        println!("links: {channel} back {took:?} after it was plugged in");
        let quiet = std::env::var_os("IOGATE_QUIET").is_some_and(|value| !value.is_empty());
        assert!(!quiet || took < SOON, "{channel}: {took:?}");
        let mut readings: Vec<Reading> = Vec::new();
        news.recv(&mut readings).await;
        let others = readings.iter().filter(|reading| reading.point != id);
        // What is late on a machine that is busy with something else is no fault of the link.
        let bad = others.filter(|reading| quiet && !reading.quality.is_good()).count();
        assert_eq!(bad, 0, "{channel} was cut");
    }
    site.stop().await;
}
