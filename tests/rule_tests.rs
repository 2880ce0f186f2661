//! `iogate test` as a technician uses it: the shipped demo, rules that were damaged, mistakes in tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

use std::path::Path;
use std::process::Command;

const DEMO: &str = include_str!("../config/demo.yaml");

/// What `iogate` says, and its exit code.
fn iogate(arguments: &[&str], folder: &Path) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_iogate"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.code().expect("it ends by itself"), text(&output.stdout), text(&output.stderr))
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// The report without the time that the machine took.
fn steady(report: &str) -> String {
    match report.rsplit_once(" in ") {
        Some((head, _)) => head.to_owned(),
        None => report.to_owned(),
    }
}

#[test]
fn the_demo_passes_its_tests() {
    let folder = folder(&[("demo.yaml", DEMO)]);
    let (code, out, err) = iogate(&["test", "demo.yaml"], folder.path());
    assert_eq!(code, 0, "{out}{err}");
    assert!(steady(&out).ends_with("5 tests: 5 passed, 0 failed; 13h16m1s of plant time"), "{out}");
}

#[test]
fn without_its_hysteresis_the_demo_fails_and_says_what_came_when() {
    let line = "    hysteresis: 5 # it clears at 55, so that it does not flutter\n";
    assert!(DEMO.contains(line));
    let damaged = DEMO.replace(line, "");
    let folder = folder(&[("demo.yaml", &damaged)]);
    let (code, out, _) = iogate(&["test", "demo.yaml", "--only", "a hot platen"], folder.path());
    assert_eq!(code, 1, "{out}");
    let shown: Vec<&str> = out.lines().map(str::trim_end).collect();
    let at = |part: &str| 1 + damaged.lines().position(|line| line.contains(part)).unwrap();
    let expected = [
        &format!(
            "FAIL  a hot platen switches the fan on until it has cooled to 55 °C (demo.yaml:{})",
            at("a hot platen")
        ),
        "      alarm press-too-hot",
        "          1m2s       active-unacknowledged    raised (high) at 61 °C",
        &format!("        - 8m         returned-unacknowledged  expected (demo.yaml:{})", at("8m: returned")),
        "        + 3m         returned-unacknowledged  returned at 58 °C",
        "      writes to press/fan",
        "          1m2s       on",
        &format!("        - 8m         off                      expected (demo.yaml:{})", at("8m: off")),
        "        + 3m         off",
    ];
    assert_eq!(shown[..expected.len()], expected, "{out}");
    assert!(steady(&out).ends_with("1 test: 0 passed, 1 failed; 1h of plant time"), "{out}");
}

const SITE: &str = "\
site: s
channels: { plc: { modbus-tcp: { address: 192.0.2.1 } }, sums: { virtual: {} } }
devices:
  tank:
    channel: plc
    points:
      inflow: { input: 0, type: u16, range: [0, 100] }
      outflow: { input: 1, type: u16 }
      mode: { input: 2, enum: { 0: Idle, 1: Run } }
      valve: { coil: 0, access: rw, safe: on }
      horn: { coil: 1, access: rw, safe: off }
  balance:
    channel: sums
    points:
      gain: { difference: [tank/inflow, tank/outflow] }
alarms:
  leak: { point: balance/gain, high: 20, hysteresis: 5, on-delay: 10s, latch: true, then: { tank/valve: off } }
  silent: { device: tank, on-delay: 5s, then: { tank/horn: on } }
  old: { point: tank/inflow, quality: bad, stale: 1m }
  surge: { point: tank/inflow, rate: { rise: 30, within: 16s } }
";

#[test]
fn everything_that_a_rule_can_see_can_be_given() {
    let tests = "\
tests:
  computed points raise alarms that latch, and commands wait:
    given: { tank/inflow: { 0s: 10, 1m: 31 }, tank/outflow: { 0s: 10, 2m: 30 } }
    do:
      1m30s: { write: tank/valve, value: on, outcome: rejected }
      2m30s: [{ acknowledge: leak }]
      3m: { write: tank/valve, value: off }
    expect:
      alarms: { leak: { 1m10s: active-unacknowledged, 2m: latched, 2m30s: normal } }
      writes: { tank/valve: { 1m10s: off, 2m30s: on, 3m: off } }
      values: { balance/gain: { 1m: 21, 2m: 1 } }
    only: on
    until: 10m
  a silent device rings once it was silent for 5 s, and gets what it missed when it is back:
    given: { tank/inflow: 10 }
    devices: { tank: { 1m: offline, 2m: online } }
    expect:
      alarms: { silent: { 1m5s: active-unacknowledged, 2m: returned-unacknowledged } }
      values: { tank/inflow: { 59s: 10, 1m: { quality: bad }, 2m: 10 } }
  no readings are bad ones after 10 s:
    given: { tank/inflow: { 0s: 10, 1m: { quality: silent }, 5m: 10 } }
    expect:
      alarms: { old: { 1m10s: active-unacknowledged, 5m: returned-unacknowledged } }
      values: { tank/inflow: { 1m5s: 10, 1m12s: { quality: bad, reason: stale } } }
    tolerance: 1s
  a rise is seen:
    given: { tank/inflow: { 0s: 10, 1m: 45 }, tank/mode: run }
    do: { 2m: { shelve: surge, for: 1h }, 1h1m: { take-out: surge } }
    expect:
      alarms: { surge: { 1m: active-unacknowledged, 1m17s: returned-unacknowledged, 2m: shelved, 1h1m: out-of-service } }
      values: { tank/mode: { 1s: Run } }
    tolerance: 2s
";
    let folder = folder(&[("site.yaml", SITE), ("site.test.yaml", tests), ("other.test.yaml", "nonsense")]);
    let (code, out, err) = iogate(&["test", "site.yaml", "--timeline"], folder.path());
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("4 tests: 4 passed"), "{out}");
    assert!(out.contains("1m10s      write tank/valve               off"), "{out}");
}

#[test]
fn mistakes_in_tests_have_a_place_and_advice() {
    let tests = "\
tests:
  wrong:
    given: { tank/inflw: 1, tank/outflow: { soon: 1 }, balance/gain: 3, tank/mode: Rum, tank/inflow: 101 }
    do: { 1m: { shelve: leak }, 2m: { acknowledge: lek }, 3m: { write: tank/inflow, value: 1 } }
    expect:
      alarms: { leak: { 1m: raised } }
      writes: { tank/valve: { 1m: maybe } }
    onyl: on
  nothing: { given: { tank/inflow: 1 } }
  short: { given: { tank/inflow: { 1h: 1 } }, only: on, until: 1m }
";
    let folder = folder(&[("site.yaml", SITE), ("site.test.yaml", tests)]);
    let (code, out, err) = iogate(&["test", "site.yaml"], folder.path());
    assert_eq!((code, &*out), (3, ""), "{err}");
    for part in [
        "unknown key `onyl`",
        "--> site.test.yaml:8:5",
        "did you mean `only`?",
        "expects nothing",
        "ends before 1h",
        "did you mean `tank/inflow`?",
        "`soon` is not a period",
        "`balance/gain` is computed and cannot be given",
        "did you mean `Run`?",
        "101 is outside the range 0 … 100",
        "for how long is it shelved?",
        "did you mean `leak`?",
        "`tank/inflow` is no output",
        "`raised` is not the state of an alarm",
        "`maybe` is not on/off",
        "--> site.test.yaml:3:14",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
}

#[test]
fn no_tests_and_damaged_files_are_no_success() {
    let folder = folder(&[("site.yaml", SITE)]);
    let (code, _, err) = iogate(&["test", "site.yaml"], folder.path());
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("there are no tests") && err.contains("site.test.yaml"), "{err}");
    std::fs::write(folder.path().join("site.test.yaml"), "tests: { a: { only: on }\n").unwrap();
    assert_eq!(iogate(&["test", "site.yaml"], folder.path()).0, 3);
    std::fs::write(folder.path().join("site.test.yaml"), "tests: { a: { only: on } }\nsite: x\n").unwrap();
    let (code, _, err) = iogate(&["test", "site.yaml"], folder.path());
    assert_eq!(code, 3);
    assert!(err.contains("unknown key `site`"), "{err}");
    std::fs::write(folder.path().join("site.test.yaml"), "tests: { a: { only: on } }\n").unwrap();
    assert_eq!(iogate(&["test", "site.yaml"], folder.path()).0, 0);
    let (code, _, err) = iogate(&["test", "site.yaml", "--only", "b"], folder.path());
    assert_eq!(code, 3);
    assert!(err.contains("none of 1 test is meant"), "{err}");
}

const SIMULATED: &str = "\
site: s
web: { listen: 127.0.0.1:0 }
broker: { listen: 127.0.0.1:0 }
defaults: { poll: 200ms }
channels: { plc: { modbus-tcp: { address: 192.0.2.1 } }, sums: { virtual: {} } }
devices:
  press:
    channel: plc
    points:
      temperature: { input: 0, type: i16, scale: 0.1, unit: °C, simulate: { steps: { values: [40, 40, 40, 40, 70.5, 58], every: 4s } } }
      fan: { coil: 0, access: rw, safe: off }
  double:
    channel: sums
    points:
      heat: { formula: 2 * t, inputs: { t: press/temperature } }
alarms:
  hot: { point: press/temperature, high: 60, hysteresis: 5, on-delay: 1s, then: { press/fan: on } }
  hotter: { point: double/heat, high: 130, acknowledge: automatic }
";

/// A gateway of this program on simulated devices, in this process.
async fn gateway() -> (iogate::gateway::Gateway, iogate::simulate::Simulation) {
    use iogate::{clock::Clock, config, gateway::Gateway, simulate};
    let mut plan = config::load_str(SIMULATED, "site.yaml", &config::Surroundings::none()).unwrap();
    let drivers: Vec<_> = plan.channels.iter().map(|channel| channel.driver.clone()).collect();
    let options = simulate::Options::default();
    let simulation =
        simulate::Simulation::start(&plan.points, &drivers, &plan.behaviours, &options).await.unwrap();
    for channel in &mut plan.channels {
        channel.driver = simulation.redirect(&channel.driver);
    }
    (Gateway::start(plan, Clock::system()).await.unwrap(), simulation)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_running_gateway_did_is_recorded_and_passes() {
    use iogate::model::AlarmState;
    let (gateway, simulation) = gateway().await;
    // An alarm that is not normal at the beginning is left out, so the recording waits for a quiet moment.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    let quiet = |gateway: &iogate::gateway::Gateway| {
        gateway.alarms.status().iter().all(|alarm| alarm.state == AlarmState::Normal && !alarm.pending)
    };
    while gateway.bus.published() == 0 || !quiet(&gateway) {
        assert!(std::time::Instant::now() < deadline, "the plant never rests");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let url = format!("http://{}", gateway.web.unwrap());
    let site = folder(&[("site.yaml", SIMULATED)]);
    let path = site.path().to_owned();
    let recorded = tokio::task::spawn_blocking(move || {
        let arguments = ["record", "site.yaml", "--url", &url, "--for", "30s", "-o", "site.monday.test.yaml"];
        let (code, out, err) = iogate(&arguments, &path);
        let text = std::fs::read_to_string(path.join("site.monday.test.yaml")).unwrap_or_default();
        assert_eq!(code, 0, "{out}{err}{text}");
        assert!(text.contains("active-unacknowledged") && text.contains("press/fan:"), "{text}");
        assert!(!text.contains("double/heat:"), "what is computed is computed anew: {text}");
        let (code, out, err) = iogate(&["test", "site.yaml"], &path);
        assert_eq!(code, 0, "{out}{err}{text}");
        assert!(out.contains("1 test: 1 passed"), "{out}");
        // The recording shows what it is for: another limit is another behaviour.
        std::fs::write(path.join("site.yaml"), SIMULATED.replace("high: 60", "high: 75")).unwrap();
        let (code, out, _) = iogate(&["test", "site.yaml"], &path);
        assert_eq!(code, 1, "{out}");
        let (code, _, err) = iogate(&arguments, &path);
        assert_eq!(code, 1, "{err}");
        assert!(err.contains("is there already"), "{err}");
    });
    recorded.await.unwrap();
    gateway.stop().await;
    simulation.stop().await;
}

/// A press whose alarms do more than hold an output.
const ACTIONS: &str = r#"
site: s
channels:
  plc: { modbus-tcp: { address: 192.0.2.1 } }
devices:
  press:
    channel: plc
    points:
      temperature: { input: 0, type: i16, scale: 0.1 }
      fan: { coil: 0, access: rw, safe: off }
      horn: { coil: 1, access: rw, safe: off }
      purge: { coil: 2, access: rw, safe: off }
      trip: { coil: 3, access: rw, safe: off, momentary: 500ms }
      mode: { holding: 0, enum: { 0: idle, 1: low, 2: high }, access: rw, safe: idle }
alarms:
  warm:
    point: press/temperature
    high: 60
    inputs: { t: press/temperature }
    then:
      press/fan: { value: on, at-least: 2m, pause: 1m, until: "t < 40" }
      press/horn: { value: on, when: unacknowledged }
      press/purge: { value: on, when: cleared, pulse: 30s }
      press/trip: on
      press/mode: low
  hot:
    point: press/temperature
    high: 80
    acknowledge: automatic
    then: { press/mode: { value: high, priority: 1 } }
tests:
  every action has its time:
    given:
      press/temperature: { 0s: 20, 10s: 61, 20s: 85, 30s: 70, 1m: 50, 3m: 39, 3m30s: 61 }
    do:
      15s: { acknowledge: warm }
    expect:
      alarms:
        warm: { 10s: active-unacknowledged, 15s: active-acknowledged, 1m: normal, 3m30s: active-unacknowledged }
        hot: { 20s: active-unacknowledged, 30s: normal }
      writes:
        press/fan: { 10s: on, 3m: off, 4m: on }
        press/horn: { 10s: on, 15s: off, 3m30s: on }
        press/purge: { 1m: on, 1m30s: off }
        press/trip: { 10s: on, 10.5s: off, 3m30s: on, 3m30.5s: off }
        press/mode: { 10s: low, 20s: high, 30s: low, 1m: idle, 3m30s: low }
    only: on
    until: 5m
  taking out of service ends what a release condition holds, but not the least time:
    given: { press/temperature: { 0s: 20, 10s: 61, 20s: 50 } }
    do: { 1m: { take-out: warm } }
    expect:
      writes: { press/fan: { 10s: on, 2m10s: off } }
    until: 10m
"#;

#[test]
fn actions_keep_their_times_on_the_virtual_clock() {
    let folder = folder(&[("site.yaml", ACTIONS)]);
    let (code, out, err) = iogate(&["test", "site.yaml"], folder.path());
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("2 tests: 2 passed"), "{out}");
    for (line, without) in [
        (", at-least: 2m", "at-least"),
        (", pause: 1m", "pause"),
        (", until: \"t < 40\"", "until"),
        (", priority: 1", "priority"),
    ] {
        let mut damaged = ACTIONS.replace(line, "");
        if without == "until" {
            damaged = damaged.replace("    inputs: { t: press/temperature }\n", "");
        }
        std::fs::write(folder.path().join("site.yaml"), &damaged).unwrap();
        let (code, out, err) = iogate(&["test", "site.yaml"], folder.path());
        assert_eq!(code, 1, "nothing shows that `{without}` is missing: {out}{err}");
    }
}
