//! Functions beside the four tables, against pymodbus and against the simulator: identification (43/14), exception
//! status (7), functions of one vendor.

use iogate::config::{self, Plan, Surroundings};
use iogate::driver::modbus;
use iogate::model::{Outcome, Reason, Value};
use iogate::simulate::{Options, Simulation};

use super::bench::Running;
use super::profiles::{number, until_notice};
use super::pymodbus::{Peer, functions_server};

const DEVICE: &str = "
    points:
      vendor: { identification: 0, once: on }
      revision: { identification: 2, poll: 200ms }
      name: { identification: 4, poll: 200ms }
      status: { function: 7 }
      status-bit: { function: 7, bit: 3 }
      zero: { holding: 0 }
      first: { function: 0x66, reply-bytes: 4, type: u16 }
      second: { function: 0x66, reply-bytes: 4, reply-at: 2, type: u16 }
      low: { function: 0x66, reply-bytes: 4, reply-at: 3, type: i8 }
      reset: { function: 0x42, reply-bytes: 0, access: w, safe: none }
      amount: { function: 0x65, function-data: [1, 2], reply-bytes: 1, type: u16, access: w, safe: none }
      unknown: { function: 0x55, reply-bytes: 0, access: w, safe: none }
";

/// The device on this channel.
pub(crate) fn plan(channel: &str, device: &str) -> Plan {
    let text = format!(
        "site: s\nchannels: {{ c: {channel} }}\ndevices:\n  device:\n    channel: c\n    poll: 50ms{device}"
    );
    config::load_str(&text, "test", &Surroundings::none()).unwrap_or_else(|report| panic!("{report}"))
}

pub(crate) fn run(plan: &Plan) -> Running {
    let driver = plan.channels[0].driver.get::<modbus::Plan>().unwrap();
    Running::start(driver.transport.clone(), driver.devices.clone())
}

pub(crate) fn on_pymodbus(kind: &str, device: &str) -> (Peer, Running, Plan) {
    let (peer, port) = functions_server(kind);
    let plan = plan(&format!("{{ modbus-{kind}: {{ address: '127.0.0.1:{port}' }} }}"), device);
    let running = run(&plan);
    (peer, running, plan)
}

pub(crate) async fn reads(running: &Running, plan: &Plan, point: &str, wanted: impl Into<Value>) {
    let (id, wanted) = (number(plan, point), Some(wanted.into()));
    running.until(point, |this| this.latest(id).value == wanted).await;
}

async fn asks_and_commands(kind: &str) {
    let (_peer, running, plan) = on_pymodbus(kind, DEVICE);
    reads(&running, &plan, "vendor", Value::Text("Example Works".into())).await;
    reads(&running, &plan, "revision", Value::Text("1.24".into())).await;
    reads(&running, &plan, "status", 0i64).await;
    reads(&running, &plan, "status-bit", Value::Bool(false)).await;
    reads(&running, &plan, "zero", 100i64).await;
    reads(&running, &plan, "first", 101i64).await;
    reads(&running, &plan, "second", 102i64).await;
    reads(&running, &plan, "low", 102i64).await;
    running.until_bad(number(&plan, "name"), Reason::DeviceException(2)).await;
    assert_eq!(running.write(number(&plan, "reset"), Value::Bool(true)).await, Outcome::Confirmed);
    reads(&running, &plan, "zero", 0i64).await;
    assert_eq!(running.write(number(&plan, "amount"), 40_000i64).await, Outcome::Confirmed);
    reads(&running, &plan, "first", 40_000i64).await;
    let refused = running.write(number(&plan, "reset"), Value::Bool(false)).await;
    assert!(matches!(&refused, Outcome::Rejected(why) if why.contains("given by on")), "{refused:?}");
    let unknown = running.write(number(&plan, "unknown"), Value::Bool(true)).await;
    assert!(matches!(&unknown, Outcome::Failed(_)), "{unknown:?}");
    running.stop().await;
}

#[tokio::test]
async fn functions_over_tcp() {
    asks_and_commands("tcp").await;
}

#[tokio::test]
async fn functions_in_rtu_frames() {
    asks_and_commands("rtu-over-tcp").await;
}

/// A device is known, or found to be another, by what it says of itself.
#[tokio::test]
async fn a_device_is_told_by_its_identification() {
    let points = "    points: { zero: { holding: 0 } }\n";
    let device = format!("\n    probe: [{{ identification: 1, contains: EX-300 }}]\n{points}");
    let (_peer, running, _plan) = on_pymodbus("tcp", &device);
    until_notice(&running, "wrong device: device has `EX-300` in identification 1, this one has `EX-200`")
        .await;
    running.stop().await;
    let device = format!("\n    probe: [{{ identification: 1, contains: EX-2 }}]\n{points}");
    let (_peer, running, plan) = on_pymodbus("tcp", &device);
    reads(&running, &plan, "zero", 100i64).await;
    assert_eq!(running.context.stats.devices[0].notice(), None);
    running.stop().await;
}

/// The simulator answers what the points and probes name, and refuses the rest.
#[tokio::test]
async fn the_simulator_serves_functions() {
    let device = format!(
        "\n    probe: [{{ identification: 1, contains: EX-2 }}, {{ identification: 0x80, contains: K07 }}]{}",
        DEVICE.replace("{ function: 7 }", "{ function: 7, simulate: { constant: 32 } }")
    );
    let planned = plan("{ modbus-tcp: { address: '192.0.2.1' } }", &device);
    let drivers: Vec<_> = planned.channels.iter().map(|channel| channel.driver.clone()).collect();
    let options = Options::default();
    let simulation =
        Simulation::start(&planned.points, &drivers, &planned.behaviours, &options).await.unwrap();
    let address = simulation.endpoint("c").unwrap().to_owned();
    let planned = plan(&format!("{{ modbus-tcp: {{ address: '{address}' }} }}"), &device);
    let running = run(&planned);
    reads(&running, &planned, "status", 32i64).await;
    running.until_good(number(&planned, "vendor")..number(&planned, "status") + 1).await;
    assert_eq!(running.context.stats.devices[0].notice(), None, "the probes hold");
    assert_eq!(running.write(number(&planned, "reset"), Value::Bool(true)).await, Outcome::Confirmed);
    assert_eq!(running.write(number(&planned, "amount"), 7i64).await, Outcome::Confirmed);
    running.stop().await;
    simulation.stop().await;
}
