//! Lines of gpio-sim under the gateway: edges, outputs, counters, faults.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use iogate::model::{Origin, Outcome, Reason, Value};

use crate::sim::Chip;
use crate::stage::{PATIENCE, Process, Stage, prompt};

/// How many edges are timed.
const EDGES: usize = 400;

#[tokio::test]
#[ignore = "runs in the user-mode kernel"]
async fn inputs_tell_edges_and_one_bad_line_costs_no_other() {
    let chip = Chip::new("inputs", &["DOOR", "BELT", "BUSY", "", "FAN"], Some(2));
    chip.pull(1, true);
    let stage = Stage::start(
        "
channels: { pins: { gpio: { chip: inputs } } }
devices:
  board:
    channel: pins
    points:
      door: { gpio: DOOR }
      belt: { gpio: 1, active-low: on, debounce: 30ms }
      busy: { gpio: BUSY }
      none: { gpio: NOWHERE }
      opened: { gpio: DOOR, measure: count }
      fan: { gpio: FAN, access: rw, safe: off }
alarms:
  open: { point: board/opened, high: 1, then: { board/fan: on } }
",
    )
    .await;
    stage.state("board/door", false).await;
    stage.state("board/belt", false).await;
    stage.bad("board/busy", Reason::NoConnection).await;
    stage.bad("board/none", Reason::NoConnection).await;

    // An edge is seen at once, and its alarm acts at once: long before the poll.
    assert!(!chip.level(4), "there was no edge yet");
    let begun = Instant::now();
    chip.pull(0, true);
    stage.state("board/door", true).await;
    chip.until(4, true).await;
    println!("GPIO: edge to alarm to output in {:?}", begun.elapsed());
    chip.pull(0, false);
    stage.state("board/door", false).await;

    // A bounce does not count, a rest of 30 ms does.
    let bounced = bounce(&chip, &stage).await;
    let (reading, _) = stage.wait("board/belt", |reading| reading.value == Some(Value::Bool(true))).await;
    let rested = reading.at.mono.saturating_duration_since(bounced);
    // The kernel counts the 30 ms in ticks of 10 ms, and counts them late where its host let it wait.
    assert!(rested >= Duration::from_millis(10), "debounced for {rested:?} only");

    // The whole chip goes and comes back.
    chip.plug(false);
    stage.bad("board/door", Reason::NoConnection).await;
    chip.plug(true);
    let took = stage.state("board/door", false).await;
    println!("GPIO: back {took:?} after the chip");
    prompt(took, Duration::from_secs(2));
    stage.stop().await;
}

/// Lets the belt's line bounce, and ends with it down. A bounce during which this thread rested for so long that the
/// line rested, too, is none: it is made again. Returns the moment before the last change.
async fn bounce(chip: &Chip, stage: &Stage) -> Instant {
    loop {
        let begun = Instant::now();
        for _ in 0..4 {
            chip.pull(1, false);
            chip.pull(1, true);
        }
        let last = Instant::now();
        chip.pull(1, false);
        if begun.elapsed() < Duration::from_millis(20) {
            return last;
        }
        stage.state("board/belt", true).await;
        chip.pull(1, true);
        stage.state("board/belt", false).await;
    }
}

#[tokio::test]
#[ignore = "runs in the user-mode kernel"]
async fn outputs_are_safe_at_start_and_stop_pulse_and_read_back() {
    let chip = Chip::new("outputs", &["VALVE", "BELL", "LAMP"], None);
    let stage = Stage::start(
        "
channels: { pins: { gpio: { chip: outputs } } }
devices:
  board:
    channel: pins
    points:
      valve: { gpio: VALVE, access: rw, safe: on }
      bell: { gpio: BELL, access: w, safe: off, pulse: 150ms }
      lamp: { gpio: LAMP, access: rw, safe: off, active-low: on }
",
    )
    .await;
    stage.state("board/valve", true).await;
    chip.until(0, true).await;
    chip.until(2, true).await;
    let give = |point: &str, state: bool| {
        let id = stage.gateway.bus.points().by_name(point).unwrap().id;
        let deadline = Instant::now() + PATIENCE;
        stage.gateway.commander.submit(id, Value::Bool(state), Origin::Gateway, deadline)
    };
    assert_eq!(
        give("board/valve", false).outcome().await,
        Outcome::Verified { read_back: Value::Bool(false) }
    );
    assert!(!chip.level(0));
    assert_eq!(give("board/lamp", true).outcome().await, Outcome::Verified { read_back: Value::Bool(true) });
    assert!(!chip.level(2), "it is active low");
    let begun = Instant::now();
    assert_eq!(give("board/bell", true).outcome().await, Outcome::Confirmed);
    let rings = chip.level(1);
    // Who looks later than that may find that it has rung.
    assert!(rings || begun.elapsed() >= Duration::from_millis(150), "the bell does not ring");
    chip.until(1, false).await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(150), "a pulse of {took:?}");
    println!("GPIO: a pulse of 150 ms took {took:?}");
    stage.stop().await;
}

#[tokio::test]
#[ignore = "runs in the user-mode kernel"]
async fn counters_go_on_after_a_restart_and_frequency_is_measured() {
    let chip = Chip::new("counters", &["FLOW"], None);
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "
channels: {{ pins: {{ gpio: {{ totals: {} }} }} }}
defaults: {{ poll: 50ms }}
devices:
  meter:
    channel: pins
    points:
      total: {{ gpio: FLOW, measure: count }}
      litres: {{ gpio: FLOW, measure: count, scale: 0.5, unit: l }}
      pulses: {{ gpio: FLOW, measure: frequency }}
      level: {{ gpio: FLOW }}
",
        folder.path().display()
    );
    let stage = Stage::start(&yaml).await;
    stage.number("meter/total", 0.0, 0.0).await;
    // One edge after the other: what gpio-sim does between two ticks of its clock is one interrupt.
    let begun = Instant::now();
    for total in 1..=20_u32 {
        chip.pull(0, true);
        stage.number("meter/total", f64::from(total), 0.0).await;
        chip.pull(0, false);
        stage.state("meter/level", false).await;
    }
    let own = 20.0 / begun.elapsed().as_secs_f64();
    let measured = |reading: &iogate::model::Reading| {
        reading.value.as_ref().and_then(Value::as_f64).is_some_and(|hertz| hertz > 0.0)
    };
    let (reading, _) = stage.wait("meter/pulses", measured).await;
    println!("GPIO: {own:.1} pulses per second are {:?} Hz", reading.value);
    stage.number("meter/litres", 10.0, 0.0).await;
    stage.stop().await;

    let stage = Stage::start(&yaml).await;
    stage.number("meter/total", 20.0, 0.0).await;
    chip.pull(0, true);
    stage.number("meter/total", 21.0, 0.0).await;
    stage.stop().await;
}

/// The gateway as a process of its own, killed while an output is on.
#[tokio::test]
#[ignore = "runs in the user-mode kernel"]
async fn an_output_is_safe_again_after_a_crash() {
    let chip = Chip::new("crash", &["DOOR", "FAN"], None);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("iogate.yaml");
    let yaml = "
site: hil
broker: { listen: 127.0.0.1:0 }
web: { enabled: off }
channels: { pins: { gpio: { chip: crash } } }
devices:
  board:
    channel: pins
    points:
      opened: { gpio: DOOR, measure: count }
      fan: { gpio: FAN, access: rw, safe: off }
alarms:
  open: { point: board/opened, high: 1, then: { board/fan: on } }
";
    fs::write(&config, yaml).unwrap();
    // The line stands high until the gateway pulls it down: then the gateway runs.
    chip.pull(1, true);
    let mut gateway = Process::start(&config);
    chip.until(1, false).await;
    chip.pull(0, true);
    chip.until(1, true).await;
    gateway.0.kill().unwrap();
    gateway.0.wait().unwrap();
    // Whatever the line is while nobody holds it, the gateway brings it to its safe state.
    chip.pull(1, true);
    let mut gateway = Process::start(&config);
    chip.until(1, false).await;
    let pid = rustix::process::Pid::from_child(&gateway.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(gateway.0.wait().unwrap().success());
}

/// From the kernel's time of an edge to the bytes at an MQTT client on a TCP connection. The time before that
/// is gpio-sim's own: it raises its interrupt with the next tick of the clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in the user-mode kernel"]
async fn an_edge_reaches_an_mqtt_client_soon() {
    let chip = Chip::new("latency", &["DOOR"], None);
    let yaml = "
channels: { pins: { gpio: { chip: latency } } }
devices: { board: { channel: pins, points: { door: { gpio: DOOR, payload: raw } } } }
";
    let stage = Stage::start(yaml).await;
    stage.state("board/door", false).await;
    let mut client = TcpStream::connect(stage.gateway.mqtt).unwrap();
    client.set_nodelay(true).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    // MQTT 3.1.1: CONNECT with a clean session as `h`, SUBSCRIBE to # at QoS 0.
    client.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01h").unwrap();
    client.write_all(b"\x82\x06\x00\x01\x00\x01#\x00").unwrap();
    let file = chip.pull_file(0);
    let (bus, door) =
        (stage.gateway.bus.clone(), stage.gateway.bus.points().by_name("board/door").unwrap().id);
    let measure = tokio::task::spawn_blocking(move || {
        let mut times = Vec::new();
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        for edge in 0..EDGES {
            let (pull, word) =
                if edge % 2 == 0 { ("pull-up", "doortrue") } else { ("pull-down", "doorfalse") };
            seen.clear();
            fs::write(&file, pull).unwrap();
            // Only the payload of this edge holds the word; polls in between repeat the former state.
            while !seen.windows(word.len()).any(|part| part == word.as_bytes()) {
                let read = client.read(&mut buffer).unwrap();
                assert!(read > 0, "the broker hung up");
                seen.extend_from_slice(&buffer[..read]);
            }
            let now = Instant::now();
            times.push(now - bus.latest(door).at.unwrap().mono);
        }
        times
    });
    let mut times = measure.await.unwrap();
    times.sort_unstable();
    println!(
        "GPIO: edge to MQTT client over TCP: p50 {:?}, p99 {:?}, max {:?}",
        times[EDGES / 2],
        times[EDGES * 99 / 100],
        times[EDGES - 1]
    );
    stage.stop().await;
}
