//! What counts for points besides their registers, against pymodbus and the simulator: writes that another register
//! confirms, commands with parameters, counters, presence by version, reads by another function, a node's modules.

use iogate::config::Plan;
use iogate::driver::{Services, modbus};
use iogate::model::{Outcome, Reason, Value};
use iogate::simulate::{Options, Simulation};

use super::bench::Running;
use super::functions::{on_pymodbus, plan, reads, run};
use super::profiles::{number, until_notice};
use super::pymodbus::functions_server;

const WRITES: &str = "
    points:
      five: { holding: 5 }
      six: { holding: 6 }
      seven: { holding: 7 }
      answer: { holding: 5, access: rw, safe: none }
      patient: { holding: 3, access: w, safe: none, confirm: [{ holding: 5, is: [9], within: 60s, every: 50ms }] }
      hasty: { holding: 1, access: w, safe: none, confirm: [{ holding: 4, is: [9], within: 300ms, every: 50ms }] }
      refused: { holding: 9, access: w, safe: none, confirm: [{ holding: 4, is: [9], refused: { 104: not now } }] }
      own: { holding: 2, access: w, safe: none, type: i16, scale: 0.5, confirm: [{ holding: 2 }] }
      command: { holding: 8, access: w, safe: none, lead: [2008, 0], after: [{ holding: 0, words: [77] }], confirm: [{ holding: 0, is: [77] }, { holding: 6, is: [2008] }] }
";

async fn is(running: &Running, plan: &Plan, point: &str, setpoint: impl Into<Value>, wanted: Outcome) {
    assert_eq!(running.write(number(plan, point), setpoint).await, wanted, "{point}");
}

#[tokio::test]
async fn a_write_waits_for_the_register_that_confirms_it() {
    let (_peer, running, plan) = on_pymodbus("tcp", WRITES);
    reads(&running, &plan, "five", 105i64).await;
    // While one write waits, others are made and polls go on: one of them brings the answer.
    let first = running.write(number(&plan, "patient"), 1i64);
    let answer = async {
        reads(&running, &plan, "seven", 107i64).await;
        is(&running, &plan, "answer", 9i64, Outcome::Verified { read_back: Value::Int(9) }).await;
    };
    assert_eq!(tokio::join!(first, answer).0, Outcome::Confirmed);
    let late = running.write(number(&plan, "hasty"), 1i64).await;
    assert!(matches!(&late, Outcome::Failed(why) if why.contains("holding 4 holds 104")), "{late:?}");
    let refused = running.write(number(&plan, "refused"), 1i64).await;
    assert!(matches!(&refused, Outcome::Failed(why) if why.contains("refuses: not now")), "{refused:?}");
    is(&running, &plan, "own", Value::Float(-2.5), Outcome::Verified { read_back: Value::Float(-2.5) }).await;
    running.stop().await;
}

#[tokio::test]
async fn a_newer_write_ends_the_wait_of_the_former_one() {
    let (_peer, running, plan) = on_pymodbus("rtu-over-tcp", WRITES);
    reads(&running, &plan, "five", 105i64).await;
    let first = running.write(number(&plan, "patient"), 1i64);
    let second = async {
        // The first one has been made when nothing of it is in the queue and the device counts it.
        let writes = &running.context.stats.devices[0].writes;
        while writes.load(std::sync::atomic::Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let second = running.write(number(&plan, "patient"), 2i64);
        let answer = running.write(number(&plan, "answer"), 9i64);
        tokio::join!(second, answer).0
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first, second), (Outcome::Superseded, Outcome::Confirmed));
    running.stop().await;
}

#[tokio::test]
async fn a_command_goes_out_with_its_parameter_in_one_write() {
    let (_peer, running, plan) = on_pymodbus("tcp", WRITES);
    is(&running, &plan, "command", 4i64, Outcome::Confirmed).await;
    reads(&running, &plan, "six", 2008i64).await;
    reads(&running, &plan, "seven", 0i64).await;
    running.stop().await;
}

const COUNTERS: &str = "
    points:
      raw: { holding: 1 }
      total: { holding: 1, counting: total, scale: 0.1, unit: m³ }
      rate: { holding: 1, counting: rate }
      grown: { holding: 1, counting: delta }
      put: { function: 0x65, function-data: [1, 2], reply-bytes: 1, type: u16, access: w, safe: none }
";

#[tokio::test]
async fn counters_go_on_over_roll_overs_resets_and_restarts() {
    let state = tempfile::tempdir().unwrap();
    let (_peer, port) = functions_server("tcp");
    let plan = plan(&format!("{{ modbus-tcp: {{ address: '127.0.0.1:{port}' }} }}"), COUNTERS);
    let driver = plan.channels[0].driver.get::<modbus::Plan>().unwrap();
    let start = || {
        let services = Services { state: Some(state.path().into()), ..Services::default() };
        Running::serve(driver.transport.clone(), driver.devices.clone(), services)
    };
    let running = start();
    // 101 at first; then up, reset, up again, and over the end.
    reads(&running, &plan, "total", Value::Float(10.1)).await;
    for (put, total) in
        [(30_000i64, 3_000.0), (50, 3_005.0), (30_000, 6_000.0), (60_000, 9_000.0), (10, 9_554.6)]
    {
        is(&running, &plan, "put", put, Outcome::Confirmed).await;
        reads(&running, &plan, "total", Value::Float(total)).await;
    }
    let growing = |this: &Running| this.latest(number(&plan, "grown")).value == Some(Value::Int(0));
    running.until("nothing grows", growing).await;
    reads(&running, &plan, "rate", Value::Float(0.0)).await;
    running.stop().await;
    // What is counted while the gateway is off is not lost.
    let other = run(&plan);
    is(&other, &plan, "put", 20i64, Outcome::Confirmed).await;
    other.stop().await;
    let running = start();
    reads(&running, &plan, "total", Value::Float(9_555.6)).await;
    running.stop().await;
}

const PRESENCE: &str = "
    points:
      there: { holding: 0, when: { identification: 2, from: 1.24 } }
      older: { holding: 0, when: { identification: 2, before: 1.24 } }
      later: { holding: 0, when: { identification: 2, from: 1.25 } }
      model: { holding: 0, when: { identification: 1, contains: EX } }
      high: { holding: 1, type: i8, bits: [8, 15] }
      by-four: { holding: 9, read-function: 4 }
";

#[tokio::test]
async fn points_are_there_by_version_and_model() {
    let (_peer, running, plan) = on_pymodbus("tcp", PRESENCE);
    reads(&running, &plan, "there", 100i64).await;
    reads(&running, &plan, "model", 100i64).await;
    running.until_bad(number(&plan, "older"), Reason::NotAvailable).await;
    running.until_bad(number(&plan, "later"), Reason::NotAvailable).await;
    reads(&running, &plan, "high", 0i64).await;
    reads(&running, &plan, "by-four", 109i64).await;
    running.stop().await;
}

/// A device on the simulator, and the driver that reads it there.
async fn simulated(device: &str) -> (Simulation, Running, Plan) {
    let planned = plan("{ modbus-tcp: { address: '192.0.2.1' } }", device);
    let drivers: Vec<_> = planned.channels.iter().map(|channel| channel.driver.clone()).collect();
    let options = Options::default();
    let simulation =
        Simulation::start(&planned.points, &drivers, &planned.behaviours, &options).await.unwrap();
    let address = simulation.endpoint("c").unwrap().to_owned();
    let planned = plan(&format!("{{ modbus-tcp: {{ address: '{address}' }} }}"), device);
    let running = run(&planned);
    (simulation, running, planned)
}

#[tokio::test]
async fn the_simulator_serves_commands_and_other_functions() {
    let (simulation, running, plan) = simulated(
        "
    points:
      shown: { holding: 9, read-function: 4, access: rw, safe: none }
      signed: { holding: 10, type: i8, bits: [8, 15], access: rw, safe: none }
      late: { holding: 0, when: { input: 50, type: text, length: 8, from: 2.1 } }
      command: { holding: 8, access: w, safe: none, lead: [2008, 0], after: [{ holding: 20, words: [77] }], confirm: [{ holding: 30, is: [5] }] }
",
    )
    .await;
    is(&running, &plan, "shown", 7i64, Outcome::Verified { read_back: Value::Int(7) }).await;
    is(&running, &plan, "signed", -9i64, Outcome::Verified { read_back: Value::Int(-9) }).await;
    is(&running, &plan, "command", 4i64, Outcome::Confirmed).await;
    running.until_good(number(&plan, "late")..number(&plan, "late") + 1).await;
    running.stop().await;
    simulation.stop().await;
}

const NODE: &str = "
    modules: [4AI, 8DI, 4DO, 2AO]
    points:
      level: { module: 1, module-channel: 3, type: i16 }
      input-{n}: { repeat: 1..8, module: 2 }
      valve: { module: 3, module-channel: 2, access: rw, safe: off }
      speed: { module: 4, module-channel: 2, access: rw, safe: 0 }
";

#[tokio::test]
async fn the_modules_of_a_node_tell_its_process_image() {
    let (simulation, running, plan) = simulated(NODE).await;
    running.until_good(number(&plan, "level")..number(&plan, "valve")).await;
    is(&running, &plan, "valve", true, Outcome::Verified { read_back: Value::Bool(true) }).await;
    is(&running, &plan, "speed", 900i64, Outcome::Verified { read_back: Value::Int(900) }).await;
    assert_eq!(running.context.stats.devices[0].notice(), None, "the modules are those of the list");
    let driver = plan.channels[0].driver.get::<modbus::Plan>().unwrap();
    let register = |name: &str| {
        let id = number(&plan, name);
        driver.devices[0].points.iter().find(|point| point.id.0 == id).unwrap().register
    };
    assert_eq!((register("valve").address, register("valve").write_address), (0x201, 1));
    assert_eq!((register("input-8").address, register("level").address), (7, 2));
    running.stop().await;
    // The same node, with another list.
    let other = NODE
        .replace("8DI, 4DO", "8DI, 4DI, 4DO")
        .replace("module: 4", "module: 5")
        .replace("module: 3", "module: 4");
    let address = simulation.endpoint("c").unwrap().to_owned();
    let other = super::functions::plan(&format!("{{ modbus-tcp: {{ address: '{address}' }} }}"), &other);
    let running = run(&other);
    until_notice(&running, "the node has 8 bits of digital inputs, the list makes 12").await;
    // It is polled all the same.
    running.until_good(number(&other, "level")..number(&other, "level") + 1).await;
    running.stop().await;
    simulation.stop().await;
}
