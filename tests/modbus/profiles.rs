//! Devices by their profiles, over real connections: SunSpec models found in pymodbus, wrong devices told from
//! right ones, registers that scale and judge others, and toggles, which only the simulator knows.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use iogate::config::{self, Plan, Surroundings};
use iogate::driver::modbus::{self, Transport};
use iogate::model::{Outcome, Quality, Reason, Value};
use iogate::simulate::{Options, Simulation};

use super::bench::{PATIENCE, Running};
use super::pymodbus::{Peer, map_server};

type Registers = BTreeMap<String, BTreeMap<u16, Vec<u16>>>;

#[derive(Debug, serde::Deserialize)]
struct Case {
    registers: Registers,
    expect: BTreeMap<String, serde_json::Value>,
}

fn case(profile: &str) -> Case {
    let name = format!("tests/profiles/{}.yaml", profile.replace('/', "-"));
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

/// A device of the profile with all of its points, on this server.
fn start(profile: &str, address: &str) -> (Running, Plan) {
    let plan =
        config::profile_trial(profile, &Surroundings::none()).unwrap_or_else(|report| panic!("{report}"));
    let driver = plan.channels[0].driver.get::<modbus::Plan>().unwrap();
    let tcp = serde_json::from_value(serde_json::json!({ "address": address })).unwrap();
    (Running::start(Transport::Tcp(tcp), driver.devices.clone()), plan)
}

fn on_pymodbus(profile: &str, registers: &Registers) -> (Peer, Running, Plan) {
    let (peer, port) = map_server(&serde_json::to_string(registers).unwrap());
    let (running, plan) = start(profile, &format!("127.0.0.1:{port}"));
    (peer, running, plan)
}

pub(crate) fn number(plan: &Plan, name: &str) -> u32 {
    plan.points.iter().find(|point| point.name.ends_with(&format!("/{name}"))).unwrap().id.0
}

/// Waits for what is said of the device.
pub(crate) async fn until_notice(running: &Running, words: &str) {
    let begun = Instant::now();
    let device = &running.context.stats.devices[0];
    while !device.notice().is_some_and(|notice| notice.contains(words)) {
        assert!(begun.elapsed() < PATIENCE, "`{words}` is not said; {:?}", device.notice());
        tokio::task::yield_now().await;
    }
}

/// Everything that a profile's case expects is read from pymodbus by the driver itself.
async fn reads_its_case(profile: &str) {
    let case = case(profile);
    let (_peer, running, plan) = on_pymodbus(profile, &case.registers);
    for (name, wanted) in &case.expect {
        let point = number(&plan, name);
        let fits = |this: &Running| {
            let latest = this.latest(point);
            match (wanted, &latest.value, latest.quality) {
                (serde_json::Value::Number(wanted), Some(value), Quality::Good) => {
                    let wanted = wanted.as_f64().unwrap();
                    value.as_f64().is_some_and(|value| (value - wanted).abs() <= 1e-9 * wanted.abs().max(1.0))
                }
                (serde_json::Value::String(wanted), Some(Value::Text(text)), Quality::Good) => {
                    **text == **wanted
                }
                (serde_json::Value::Bool(wanted), Some(Value::Bool(state)), Quality::Good) => state == wanted,
                (serde_json::Value::Object(bad), _, Quality::Bad(reason)) => bad["bad"] == reason.code(),
                _ => false,
            }
        };
        running.until(&format!("{profile}: {name} = {wanted}"), fits).await;
    }
    assert_eq!(running.context.stats.devices[0].notice(), None, "{profile}");
    running.stop().await;
}

#[tokio::test]
async fn sunspec_models_are_found_and_read() {
    for profile in ["sunspec/inverter", "sunspec/meter-float", "sunspec/mppt", "sunspec/inverter-controls"] {
        reads_its_case(profile).await;
    }
}

#[tokio::test]
async fn meters_and_inputs_are_read_by_their_profiles() {
    for profile in ["eastron/sdm630", "carlo-gavazzi/em340", "moxa/e1240", "siemens/pac2200"] {
        reads_its_case(profile).await;
    }
}

/// The chain stands at another base, and lacks the model of the inputs.
#[tokio::test]
async fn a_chain_without_the_model_makes_its_points_unavailable() {
    let mut registers = Registers::new();
    let mut words = vec![0x5375, 0x6E53, 1, 66];
    words.extend([0u16; 66]);
    words.extend([103, 50]);
    words.extend([0u16; 50]);
    words.extend([0xFFFF, 0]);
    registers.entry("holding".into()).or_default().insert(50_000, words);
    let (_peer, running, plan) = on_pymodbus("sunspec/mppt", &registers);
    until_notice(&running, "model 160 is missing or too short; the device has the models 1, 103").await;
    running.until_bad(number(&plan, "current-1"), Reason::NotAvailable).await;
    running.until_good(number(&plan, "serial")..number(&plan, "serial") + 1).await;
    running.stop().await;
}

#[tokio::test]
async fn a_device_without_any_chain_is_said_to_be_none() {
    let registers = Registers::from([("holding".into(), BTreeMap::from([(40_000, vec![1, 2, 3, 4])]))]);
    let (_peer, running, plan) = on_pymodbus("sunspec/meter", &registers);
    until_notice(&running, "no SunSpec device: there are no models at 40000, 50000 or 0").await;
    running.until_bad(number(&plan, "power"), Reason::NotAvailable).await;
    running.stop().await;
}

/// A wrong device is named together with the right one, and is read all the same.
#[tokio::test]
async fn a_wrong_device_is_named_and_still_polled() {
    let mut case = case("moxa/e1240");
    let name = case.registers.get_mut("input").unwrap().get_mut(&5000).unwrap();
    // The last character of E1240 becomes another.
    let last = name.iter_mut().find(|word| **word == u16::from_be_bytes([b'0', 0])).unwrap();
    *last = u16::from_be_bytes([b'2', 0]);
    let (_peer, running, plan) = on_pymodbus("moxa/e1240", &case.registers);
    until_notice(
        &running,
        "wrong device: moxa/e1240 has `E1240` in input 5000, this one has `ioLogik E1242`",
    )
    .await;
    running.until_good(number(&plan, "value-0")..number(&plan, "value-0") + 1).await;
    running.stop().await;
}

/// A device by the text of its section, on pymodbus with ten registers that hold their addresses.
fn described(device: &str) -> (Peer, Running, Plan) {
    let registers = Registers::from([("holding".into(), BTreeMap::from([(0, (0..10).collect())]))]);
    let (peer, port) = map_server(&serde_json::to_string(&registers).unwrap());
    let text = format!(
        "site: s\nchannels: {{ c: {{ modbus-tcp: {{ address: '127.0.0.1:{port}' }} }} }}\ndevices:\n  device:\n    channel: c\n    poll: 50ms\n{device}"
    );
    let plan =
        config::load_str(&text, "test", &Surroundings::none()).unwrap_or_else(|report| panic!("{report}"));
    let driver = plan.channels[0].driver.get::<modbus::Plan>().unwrap();
    let running = Running::start(driver.transport.clone(), driver.devices.clone());
    (peer, running, plan)
}

const POINTS: &str = "    points:
      five: { holding: 5 }
      seven: { holding: 7 }
      locked: { holding: 6, access: rw, safe: none, before: [{ holding: 7, words: [1000] }] }
      narrow: { holding: 8, access: rw, safe: none, accepts: [3..4] }
";

#[tokio::test]
async fn setups_and_unlocking_writes_go_first() {
    let setup = "    probe: [{ holding: 1, is: [1] }]\n    setup: [{ holding: 5, words: [77] }]\n";
    let (_peer, running, plan) = described(&format!("{setup}{POINTS}"));
    let [five, seven, locked, narrow] = ["five", "seven", "locked", "narrow"].map(|name| number(&plan, name));
    running.until("the setup", |this| this.latest(five).value == Some(Value::Int(77))).await;
    running.until("its own number", |this| this.latest(seven).value == Some(Value::Int(7))).await;
    assert_eq!(running.write(locked, 9i64).await, Outcome::Verified { read_back: Value::Int(9) });
    running.until("the key", |this| this.latest(seven).value == Some(Value::Int(1000))).await;
    let refused = running.write(narrow, 5i64).await;
    assert!(matches!(&refused, Outcome::Rejected(why) if why.contains("3..4 only")), "{refused:?}");
    assert_eq!(running.write(narrow, 4i64).await, Outcome::Verified { read_back: Value::Int(4) });
    running.stop().await;
}

#[tokio::test]
async fn nothing_is_set_up_on_a_wrong_device() {
    let setup = "    probe: [{ holding: 1, is: [2] }]\n    setup: [{ holding: 5, words: [77] }]\n";
    let (_peer, running, plan) = described(&format!("{setup}{POINTS}"));
    until_notice(&running, "wrong device: device has 2 in holding 1, this one has 1").await;
    let five = number(&plan, "five");
    running.until_good(five..five + 1).await;
    assert_eq!(running.latest(five).value, Some(Value::Int(5)));
    assert_eq!(running.context.stats.devices[0].writes.load(std::sync::atomic::Ordering::Relaxed), 0);
    running.stop().await;
}

/// A register that tells the scale of others, in another table of requests than they, and one that is not there.
#[tokio::test]
async fn scales_and_presence_come_from_other_registers() {
    let points = "    points:
      scaled: { holding: 4, scale-by: { holding: 9, poll: 200ms, codes: { 9: { scale: 0.5 } } } }
      hundreds: { holding: 3, exponent: 2 }
      gone: { holding: 4, when: { holding: 0, is: [1] } }
      unread: { holding: 4, when: { holding: 99, is: [1] } }
";
    let (_peer, running, plan) = described(points);
    let [scaled, hundreds, gone, unread] =
        ["scaled", "hundreds", "gone", "unread"].map(|name| number(&plan, name));
    running.until("a scaled value", |this| this.latest(scaled).value == Some(Value::Float(2.0))).await;
    running.until("a power of ten", |this| this.latest(hundreds).value == Some(Value::Float(300.0))).await;
    running.until_bad(gone, Reason::NotAvailable).await;
    running.until_bad(unread, Reason::DeviceException(2)).await;
    assert_eq!(running.latest(unread).value, None, "nothing is assumed");
    running.stop().await;
}

/// The simulator serves a relay board with its toggles, and refuses them elsewhere.
#[tokio::test]
async fn a_toggle_turns_its_relay_over() {
    let profile = "waveshare/relay-8ch";
    let plan = config::profile_trial(profile, &Surroundings::none()).unwrap();
    let drivers: Vec<_> = plan.channels.iter().map(|channel| channel.driver.clone()).collect();
    let simulation =
        Simulation::start(&plan.points, &drivers, &plan.behaviours, &Options::default()).await.unwrap();
    let address = simulation.endpoint("device").unwrap().to_owned();
    let (running, plan) = start(profile, &address);
    let (relay, toggle, pulse) =
        (number(&plan, "relay-3"), number(&plan, "toggle-3"), number(&plan, "pulse-3"));
    running.until("relay 3 off", |this| this.latest(relay).value == Some(Value::Bool(false))).await;
    assert_eq!(running.write(toggle, 0x5500i64).await, Outcome::Confirmed);
    running.until("relay 3 on", |this| this.latest(relay).value == Some(Value::Bool(true))).await;
    let refused = running.write(toggle, 1i64).await;
    assert!(matches!(&refused, Outcome::Rejected(why) if why.contains("21760")), "{refused:?}");
    assert_eq!(running.write(pulse, Value::Float(1.5)).await, Outcome::Confirmed, "15 hundreds of a second");
    running.stop().await;
}
