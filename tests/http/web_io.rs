//! The Web-IO family: what `/single`, `/allout` and `/portinfo` say becomes points, and outputs are written
//! and read back.

use iogate::model::{Outcome, Reason, Value};

use super::bench::{Double, Running, plan};

/// A Web-IO Digital with a password, and a thermo-hygrobarometer.
const PLANT: &str = r"
site: plant
defaults: { poll: 50ms }
channels:
  io: { http: { address: 192.0.2.30, timeout: 500ms } }
  climate: { http: { address: 192.0.2.31, timeout: 500ms } }
devices:
  io:
    channel: io
    profile: wut/57730
    wut-password: a&b 1
    points:
      parts: { counter: 0, access: rw, safe: none, simulate: { constant: 17 } }
  climate: { channel: climate, profile: wut/57713 }
";

#[tokio::test]
async fn digital_terminals_are_read_written_and_read_back() {
    let mut double = Double::start(PLANT);
    let running = Running::start(plan(PLANT), &double);
    running.until_value("io/input-0", false).await;
    running.until_value("io/parts", 17_i64).await;
    double.tell("set io/input-0 on");
    double.tell("set io/input-11 on");
    running.until_value("io/input-0", true).await;
    running.until_value("io/input-11", true).await;
    assert_eq!(running.latest("io/input-1").value, Some(Value::Bool(false)));
    let outcome = running.write("io/output-11", true).await;
    assert_eq!(outcome, Outcome::Verified { read_back: Value::Bool(true) });
    assert!(double.tell("get io/output-11").contains("= true"));
    assert_eq!(running.latest("io/output-11").value, Some(Value::Bool(true)));
    assert!(double.tell("get io/output-0").contains("= false"), "no other output has moved");
    let outcome = running.write("io/output-11", false).await;
    assert_eq!(outcome, Outcome::Verified { read_back: Value::Bool(false) });
    let cleared = running.write("io/parts", 0_i64).await;
    assert_eq!(cleared, Outcome::Verified { read_back: Value::Int(0) });
    running.stop().await;
}

#[tokio::test]
async fn measurements_have_a_decimal_comma_a_unit_and_perhaps_a_head() {
    let mut double = Double::start(PLANT);
    double.tell("set climate/temperature -3.5");
    double.tell("set climate/humidity 45.3");
    double.tell("set climate/pressure 1013.2");
    let running = Running::start(plan(PLANT), &double);
    running.until_value("climate/temperature", -3.5).await;
    running.until_value("climate/humidity", 45.3).await;
    running.until_value("climate/pressure", 1013.2).await;
    double.tell("fault climate prefix");
    double.tell("set climate/humidity 46.1");
    running.until_value("climate/humidity", 46.1).await;
    assert_eq!(running.latest("climate/temperature").value, Some(Value::Float(-3.5)));
    double.tell("set climate/temperature ----");
    running.until_bad("climate/temperature", Reason::NotAvailable).await;
    assert!(running.latest("climate/pressure").quality.is_good());
    running.stop().await;
}

#[tokio::test]
async fn a_wrong_password_is_an_http_status_and_a_refused_write() {
    let double = Double::start(PLANT);
    let running = Running::start(plan(&PLANT.replace("a&b 1", "guess")), &double);
    running.until_bad("io/input-0", Reason::HttpStatus(403)).await;
    let Outcome::Failed(reason) = running.write("io/output-0", true).await else { panic!("it was refused") };
    assert!(reason.contains("403") && !reason.contains("guess"), "{reason}");
    running.until_value("climate/temperature", 0.0).await;
    running.stop().await;
}

#[tokio::test]
async fn terminals_that_the_device_does_not_have_are_not_available() {
    // The double is a thermo-hygrobarometer at both addresses.
    let double = Double::start(&PLANT.replace("profile: wut/57713", "profile: wut/57714"));
    let running = Running::start(plan(PLANT), &double);
    running.until_value("climate/temperature", 0.0).await;
    running.until_bad("climate/humidity", Reason::NotAvailable).await;
    running.until_bad("climate/pressure", Reason::NotAvailable).await;
    running.stop().await;

    let few = Double::start(
        &PLANT.replace("wut/57730", "wut/57737").replace("climate: { channel", "other: { channel"),
    );
    let running = Running::start(plan(PLANT), &few);
    running.until_bad("io/output-2", Reason::NotAvailable).await;
    let Outcome::Failed(reason) = running.write("io/output-2", true).await else { panic!("there is none") };
    assert!(reason.contains("/portinfo"), "{reason}");
    running.stop().await;
}

#[tokio::test]
async fn what_an_analog_output_echoes_is_not_taken_for_success() {
    let yaml = r"
site: plant
defaults: { poll: 50ms }
channels: { io: { http: { address: 192.0.2.30 } } }
devices:
  io:
    channel: io
    points:
      valve: { analog-out: 1, access: rw, safe: 0, unit: mA, range: [0, 20] }
";
    let mut double = Double::start(yaml);
    let running = Running::start(plan(yaml), &double);
    running.until_value("io/valve", 0.0).await;
    // The double answers `output1;0mA`, the value before it has moved.
    let outcome = running.write("io/valve", 10.5).await;
    assert_eq!(outcome, Outcome::Verified { read_back: Value::Float(10.5) });
    assert!(double.tell("get io/valve").contains("= 10.5"));
    assert!(matches!(running.write("io/valve", 21.0).await, Outcome::Rejected(_)));
    running.stop().await;
}
