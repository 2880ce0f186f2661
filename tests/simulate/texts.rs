//! Simulated instruments, agents and MQTT devices under the gateway and under other people's clients.

use std::process::{Command, Stdio};

use iogate::bus::Latest;
use iogate::model::{Outcome, Reason, Value};

use super::site::Site;

/// A scale on a serial line, a module with checksums behind TCP, a sensor in datagrams, a transmitter that streams.
const INSTRUMENTS: &str = "
defaults: { poll: 50ms }
channels:
  line: { ascii-serial: { port: /dev/null, baud: 115200, timeout: 2s } }
  server: { ascii-tcp: { address: '192.0.2.1:4001', timeout: 2s } }
  grams: { ascii-udp: { address: '192.0.2.1:1025', timeout: 2s } }
  stream: { ascii-tcp: { address: '192.0.2.2:4001' } }
devices:
  scale:
    channel: line
    busy-replies: [S I]
    error-replies: [ES]
    points:
      weight: { ask: SI, columns: [4, 13], unit: g, simulate: { constant: 12.5 } }
      stable: { ask: SI, regex: '^S (.)', as: state, on-word: S, off-word: D, simulate: { constant: on } }
      lamp: { ask: L, as: state, access: rw, safe: off, send: 'L {value}', on-word: 'ON', off-word: 'OFF' }
  module:
    channel: server
    terminator: cr
    checksum: sum
    echoes: on
    points:
      t: { ask: '#01', columns: [1, 7], simulate: { constant: -3.25 } }
      u: { ask: '#01', columns: [8, 14], simulate: { constant: 7 } }
  sensor:
    channel: grams
    terminator: nul
    charset: latin-1
    points: { t: { ask: 'T?', suffix: ' °C', simulate: { constant: 21.5 } } }
  hygro:
    channel: stream
    points:
      rh: { listen: 'RH=', regex: 'RH= *([-0-9.]+) %RH', poll: 100ms, simulate: { constant: 45 } }
      t: { listen: 'RH=', regex: 'T= *([-0-9.]+)', poll: 100ms, simulate: { constant: 20.5 } }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instruments_answer_stream_take_commands_and_fail() {
    let site = Site::new(INSTRUMENTS).await;
    for (point, value) in [
        ("scale/weight", Value::Float(12.5)),
        ("scale/stable", Value::Bool(true)),
        ("module/t", Value::Float(-3.25)),
        ("module/u", Value::Float(7.0)),
        ("sensor/t", Value::Float(21.5)),
        ("hygro/rh", Value::Float(45.0)),
        ("hygro/t", Value::Float(20.5)),
    ] {
        site.good(point, value).await;
    }
    let read_back = Value::Bool(true);
    assert_eq!(site.give("scale/lamp", Value::Bool(true)).await, Outcome::Verified { read_back });
    site.order("set scale/weight 7.25");
    site.good("scale/weight", Value::Float(7.25)).await;
    for (fault, target, point, reason) in [
        ("dead", "scale", "scale/weight", Reason::Timeout),
        ("corrupt", "server", "module/t", Reason::MalformedReply),
        ("short", "module", "module/u", Reason::MalformedReply),
        ("cut", "module", "module/t", Reason::NoConnection),
        ("dead", "sensor", "sensor/t", Reason::Timeout),
    ] {
        site.order(&format!("fault {target} {fault}"));
        site.bad(point, reason).await;
        site.order(&format!("clear {target}"));
        site.until(point, |latest| latest.quality.is_good()).await;
    }
    for (channel, point) in [("line", "scale/weight"), ("server", "module/t"), ("stream", "hygro/t")] {
        site.order(&format!("unplug {channel}"));
        site.bad(point, Reason::NoConnection).await;
        site.order(&format!("plug {channel}"));
        site.until(point, |latest| latest.quality.is_good()).await;
    }
    assert!(site.devices.execute(&"fault scale exception 2".parse().unwrap()).is_err());
    assert!(site.devices.counts("scale").unwrap().answers > 0);
    assert!(site.devices.execute(&"list".parse().unwrap()).unwrap().contains("hygro  sound"));
    site.stop().await;
}

const AGENT: &str = "
defaults: { poll: 50ms }
channels: { ups: { snmp: { address: 192.0.2.40, community: secret, timeout: 2s } } }
devices:
  ups:
    channel: ups
    write-password: open sesame
    write-session: [{ oid: 1.3.6.1.4.1.99999.1.1 }]
    points:
      name: { oid: 1.3.6.1.2.1.33.1.1.1.0, as: text, simulate: { constant: Maker } }
      charge: { oid: 1.3.6.1.2.1.33.1.2.4.0, simulate: { constant: 87 } }
      volts: { oid: 1.3.6.1.2.1.33.1.2.5.0, scale: 0.1, simulate: { constant: 27.5 } }
      outlet: { oid: 1.3.6.1.4.1.99999.2.1, as: state, access: rw, safe: off }
      limit: { oid: 1.3.6.1.4.1.99999.2.2, scale: 0.1, access: rw, safe: none, snmp-type: unsigned }
      label: { oid: 1.3.6.1.4.1.99999.2.3, as: text, access: rw, safe: none, snmp-type: text }
      packets: { oid: 1.3.6.1.2.1.2.2.1.11.1, as: integer, counts: total, simulate: { count: { every: 1ms } } }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_read_and_walked() {
    let site = Site::new(AGENT).await;
    site.good("ups/charge", Value::Float(87.0)).await;
    site.good("ups/volts", Value::Float(27.5)).await;
    site.good("ups/name", Value::from("Maker")).await;
    for (point, value) in [
        ("ups/outlet", Value::Bool(true)),
        ("ups/limit", Value::Float(25.0)),
        ("ups/label", Value::from("rack 7")),
        ("ups/outlet", Value::Bool(false)),
    ] {
        let outcome = site.give(point, value.clone()).await;
        assert!(matches!(outcome, Outcome::Verified { .. }), "{point}: {outcome:?}");
        site.good(point, value).await;
    }
    let counts =
        |latest: &Latest| latest.value.as_ref().and_then(Value::as_f64).is_some_and(|total| total > 0.0);
    site.until("ups/packets", counts).await;
    site.order("fault ups dead");
    site.bad("ups/charge", Reason::Timeout).await;
    site.order("clear ups");
    site.good("ups/charge", Value::Float(87.0)).await;

    let agent = site.devices.endpoint("ups").unwrap().to_owned();
    let ask = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(["-Oqn", "-r", "0"]).args(arguments);
        let output = command.output().expect("net-snmp's programs are installed by tests/peers.sh");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    };
    let walk = |version: &'static str, agent: String| {
        move || {
            let program = if version == "1" { "snmpwalk" } else { "snmpbulkwalk" };
            // Nobody answers in the version that it does not speak.
            let patience = if version == "1" { "1" } else { "20" };
            ask(program, &["-t", patience, "-v", version, "-c", "secret", &agent, "1.3.6.1.2.1"])
        }
    };
    for version in ["1", "2c"] {
        // An agent speaks one version, as many small devices do.
        let text = tokio::task::spawn_blocking(walk(version, agent.clone())).await.unwrap();
        let told = [".1.3.6.1.2.1.1.1.0", ".1.3.6.1.2.1.33.1.2.4.0 87", ".1.3.6.1.2.1.33.1.2.5.0 275"];
        let all = told.iter().all(|line| text.contains(line));
        assert_eq!(all, version == "2c", "{text}");
    }
    let address = agent.clone();
    let locked = tokio::task::spawn_blocking(move || {
        let object = "1.3.6.1.4.1.99999.2.1";
        ask("snmpset", &["-t", "20", "-v", "2c", "-c", "secret", &address, object, "i", "1"])
    });
    assert!(locked.await.unwrap().contains("noAccess"), "the session comes first");
    let missing = tokio::task::spawn_blocking(move || {
        ask("snmpget", &["-t", "20", "-v", "2c", "-c", "secret", &agent, "1.3.6.1.2.1.1.5.0"])
    });
    assert!(missing.await.unwrap().contains("No Such Instance"));
    site.stop().await;
}

const PLUG: &str = "
channels: { devices: { mqtt: {} } }
devices:
  plug:
    channel: devices
    mqtt-name: plug-7
    mqtt-availability: { topic: 'tele/{device}/LWT', offline: Offline }
    points:
      power: { mqtt: 'stat/{device}/POWER', as: state, on-word: 'ON', off-word: 'OFF', access: rw, safe: off, mqtt-set: { topic: 'cmnd/{device}/POWER' } }
      load: { mqtt: 'tele/{device}/SENSOR', json: /ENERGY/Power, simulate: { constant: 42 } }
      volts: { mqtt: 'tele/{device}/SENSOR', json: /ENERGY/Voltage, simulate: { constant: 230 } }
  adam:
    channel: devices
    mqtt-name: 00D0C9AABBCC
    mqtt-availability: { topic: 'Advantech/{device}/Device_Status', offline: disconnect, json: /status }
    points: { door: { mqtt: 'Advantech/{device}/data', json: /di1, as: state, simulate: { constant: on } } }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mqtt_devices_publish_take_commands_and_leave_a_will() {
    let site = Site::new(PLUG).await;
    site.good("plug/load", Value::Float(42.0)).await;
    site.good("plug/volts", Value::Float(230.0)).await;
    site.good("adam/door", Value::Bool(true)).await;
    let read_back = Value::Bool(true);
    assert_eq!(site.give("plug/power", Value::Bool(true)).await, Outcome::Verified { read_back });
    site.order("set plug/load 1500");
    site.good("plug/load", Value::Float(1500.0)).await;
    site.order("unplug devices");
    for point in ["plug/load", "plug/power", "adam/door"] {
        site.bad(point, Reason::NoConnection).await;
    }
    site.order("plug devices");
    for point in ["plug/load", "plug/power", "adam/door"] {
        site.until(point, |latest| latest.quality.is_good()).await;
    }
    site.stop().await;
}

/// What the program says when it is asked to simulate a profile.
fn first_line(profile: &str) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iogate"));
    let command = command.args(["simulate", "--profile", profile]);
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(&mut process.stdin.take().unwrap(), b"quit\n").unwrap();
    let output = process.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
    (text, output.status.code())
}

#[test]
fn a_profile_of_every_kind_is_served_by_the_program() {
    for (profile, kind) in [
        ("tasmota/plug", "mqtt  broker 127.0.0.1:1883"),
        ("rfc1628/ups", "snmp  127.0.0.1:"),
        ("mettler-toledo/mt-sics", "ascii-tcp  127.0.0.1:"),
        ("wut/57730", "http  127.0.0.1:"),
    ] {
        let (line, code) = first_line(profile);
        assert!(line.contains(kind) && code == Some(0), "{profile}: {line} {code:?}");
    }
}

#[test]
fn what_is_not_simulated_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("agent.yaml");
    let agent =
        "channels: { ups: { snmp: { address: 192.0.2.40, user: { name: reader, password: longenough } } } }";
    let device = "devices: { ups: { channel: ups, points: { charge: { oid: 1.3.6.1.2.1.33.1.2.4.0 } } } }";
    std::fs::write(&config, format!("site: s\n{agent}\n{device}\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_iogate"));
    let output = command.args(["simulate", "-c"]).arg(&config).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("versions 1 and 2c only"), "{text}");
}
