//! The program itself in the kernel: it publishes what all buses have, and soon.
//!
//! `IOGATE_HIL_PROGRAM` names another build of it than the one that the tests were built with: a release build,
//! when times are to mean something.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use crate::ear::Ear;
use crate::sim::Chip;
use crate::stage::{Process, load, until_there};

const DUMMY: &str = "/sys/kernel/config/iio/devices/dummy/rack";

/// How many edges are timed.
const EDGES: usize = 400;

/// Starts the program, with a broker on a free port and its state in memory: what this machine's disk costs would be
/// the whole kernel's time in there.
pub(crate) fn start(channels_and_devices: &str) -> (Process, SocketAddr, tempfile::TempDir) {
    let folder = tempfile::tempdir_in("/run").unwrap();
    let config = folder.path().join("iogate.yaml");
    let head = "site: hil\nbroker: { listen: 127.0.0.1:0 }\nweb: { enabled: off }\n";
    fs::write(&config, format!("{head}{channels_and_devices}")).unwrap();
    let (process, mqtt) = Process::listening(&config, Some(folder.path()));
    (process, mqtt, folder)
}

/// Every bus under one program, and a client that hears all of them.
#[tokio::test]
#[ignore = "runs in the user-mode kernel"]
async fn the_program_publishes_what_every_bus_has() {
    let chip = Chip::new("program", &["DOOR", "", "BUSY"], Some(2));
    load("i2c_sim");
    load("w1_sim");
    until_there(std::path::Path::new("/sys/bus/w1/devices/28-a45100000001"), true);
    fs::create_dir(DUMMY).unwrap();
    let (mut program, mqtt, _folder) = start(
        "
defaults: { poll: 200ms }
channels: { pins: { gpio: { chip: program } }, onboard: { i2c: { bus: /dev/i2c-0 } }, probes: { onewire: {} }, kernel: { iio: {} } }
devices:
  board: { channel: pins, points: { door: { gpio: DOOR }, busy: { gpio: BUSY } } }
  room: { channel: onboard, i2c-chip: sht3x, points: { t: { i2c: temperature } } }
  none: { channel: onboard, i2c-chip: bme280, points: { p: { i2c: pressure } } }
  probe: { channel: probes, onewire-id: 28-a45100000001, points: { t: { onewire: temperature } } }
  gone: { channel: probes, onewire-id: 28-0000deadbeef, points: { t: { onewire: temperature } } }
  rack: { channel: kernel, iio-name: rack, points: { v: { iio: voltage0 }, no: { iio: temp } } }
",
    );
    let good = |payload: &str| payload.contains(r#""quality":"good""#);
    let bad = |payload: &str| payload.contains(r#""quality":"bad","reason":"no-connection""#);
    for topic in ["hil/board/door", "hil/room/t", "hil/probe/t", "hil/rack/v"] {
        // What is retained comes again to each.
        println!("program: {topic} {}", Ear::new(mqtt).until(topic, good));
    }
    for topic in ["hil/board/busy", "hil/none/p", "hil/gone/t", "hil/rack/no"] {
        Ear::new(mqtt).until(topic, bad);
    }
    let mut ear = Ear::new(mqtt);
    chip.pull(0, true);
    ear.until("hil/board/door", |payload| payload.contains(r#""value":true"#));
    assert!(program.0.try_wait().unwrap().is_none(), "it still runs");
    drop(program);
    fs::remove_dir(DUMMY).unwrap();
}

/// From the kernel's time of an edge, which the message holds in milliseconds, to the message at a client.
#[tokio::test]
#[ignore = "runs in the user-mode kernel"]
async fn an_edge_reaches_a_client_of_the_program() {
    let chip = Chip::new("clocked", &["DOOR"], None);
    let devices = "
channels: { pins: { gpio: { chip: clocked } } }
devices: { board: { channel: pins, points: { door: { gpio: DOOR } } } }
";
    let (program, mqtt, _folder) = start(devices);
    let mut ear = Ear::new(mqtt);
    ear.until("hil/board/door", |payload| payload.contains(r#""value":false"#));
    let mut times: Vec<Duration> = Vec::new();
    for edge in 0..EDGES {
        let up = edge % 2 == 0;
        chip.pull(0, up);
        let payload = ear.until("hil/board/door", |payload| payload.contains(&format!(r#""value":{up}"#)));
        let now = SystemTime::now();
        let message: serde_json::Value = serde_json::from_str(&payload).unwrap();
        let at: jiff::Timestamp = message["time"].as_str().unwrap().parse().unwrap();
        times.push(now.duration_since(SystemTime::from(at)).unwrap_or_default());
    }
    tell("program: edge to MQTT client over TCP, to a millisecond too much", times);
    drop(program);
}

/// The same way without a gateway: an edge is a byte in a pipe, one thread waits for it and sends it over TCP.
#[test]
#[ignore = "runs in the user-mode kernel"]
fn the_yardstick_of_this_kernel() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.set_nodelay(true).unwrap();
    let (mut wait, mut edge) = std::io::pipe().unwrap();
    let relay = std::thread::spawn(move || {
        let mut byte = [0];
        while wait.read(&mut byte).unwrap() == 1 {
            server.write_all(&byte).unwrap();
        }
    });
    let mut times = Vec::new();
    for _ in 0..EDGES {
        let begun = Instant::now();
        edge.write_all(&[1]).unwrap();
        client.read_exact(&mut [0]).unwrap();
        times.push(begun.elapsed());
        // As far apart as gpio-sim's interrupts are.
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(edge);
    relay.join().unwrap();
    tell("yardstick: pipe to thread to TCP client", times);
}

/// The edge itself without a gateway: one thread waits for the line's edges and sends each one's time over TCP.
#[test]
#[ignore = "runs in the user-mode kernel"]
fn the_yardstick_with_the_line_itself() {
    use std::io::{Read, Write};
    let chip = Chip::new("bare", &["DOOR"], None);
    let found = gpiocdev::find_named_line("DOOR").unwrap();
    let mut request = gpiocdev::Request::builder();
    request.with_found_line(&found).with_edge_detection(gpiocdev::line::EdgeDetection::BothEdges);
    let request = request.request().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.set_nodelay(true).unwrap();
    let relay = std::thread::spawn(move || {
        for _ in 0..EDGES {
            let edge = request.read_edge_event().unwrap();
            server.write_all(&edge.timestamp_ns.to_ne_bytes()).unwrap();
        }
    });
    let mut times = Vec::new();
    for edge in 0..EDGES {
        chip.pull(0, edge % 2 == 0);
        let mut at = [0; 8];
        client.read_exact(&mut at).unwrap();
        times.push(monotonic() - Duration::from_nanos(u64::from_ne_bytes(at)));
    }
    relay.join().unwrap();
    tell("yardstick: edge to thread to TCP client", times);
}

/// Now, on the clock of the kernel's edges.
pub(crate) fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec.try_into().unwrap(), now.tv_nsec.try_into().unwrap())
}

pub(crate) fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let (half, most) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    eprintln!("{what}: p50 {half:?}, p99 {most:?}, max {:?}", times[times.len() - 1]);
}
