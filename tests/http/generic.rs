//! Devices that the configuration describes: JSON, parts, whole texts, logins, written states and numbers.

use std::sync::atomic::Ordering;

use iogate::model::{Outcome, Reason, Value};

use super::bench::{Double, Running, plan};

const PLANT: &str = r#"
site: plant
defaults: { poll: 50ms }
channels:
  plug:
    http:
      address: 192.0.2.40
      timeout: 500ms
      login: { user: admin, password: "s3cret, \"q\"" }
  meter: { http: { address: 192.0.2.41, login: { user: root, password: x, scheme: basic } } }
devices:
  plug:
    channel: plug
    headers: { X-Client: iogate }
    points:
      power: { get: "/rpc/Switch.GetStatus?id=0", json: /apower, unit: W, range: [0, 4000] }
      relay:
        get: /rpc/Switch.GetStatus?id=0
        json: /output
        as: state
        access: rw
        safe: off
        set: { get: "/rpc/Switch.Set?id=0&on={value}", on: "true", off: "false" }
      total: { get: "/rpc/Switch.GetStatus?id=0", json: /aenergy/total, as: integer, scale: 0.1, unit: kWh }
  meter:
    channel: meter
    identify: { page: /about, contains: FLOW-7 }
    points:
      level: { get: /page, regex: "Level: *([-0-9,]+) mm", decimal-comma: on, unit: mm }
      door: { get: /page, regex: "door=(\\w+)", as: state, on-word: OPEN, off-word: CLOSED }
      flow: { get: /values.csv, split: { separator: ",", index: 1 }, suffix: l/min, unit: l/min }
      mode: { post: /query, body: "what=mode", as: text }
      limit:
        post: /query
        body: what=limit
        access: rw
        safe: 5
        range: [0, 100]
        set: { put: /limit, body: "{\"limit\": {value}}", content-type: application/json }
"#;

#[tokio::test]
async fn one_answer_holds_several_points_and_a_digest_login_opens_it() {
    let mut double = Double::start(PLANT);
    double.tell("set plug/power 231.5");
    double.tell("set plug/total 12.3");
    let running = Running::start(plan(PLANT), &double);
    running.until_value("plug/power", 231.5).await;
    running.until_value("plug/total", 12.3).await;
    running.until_value("plug/relay", false).await;
    let outcome = running.write("plug/relay", true).await;
    assert_eq!(outcome, Outcome::Verified { read_back: Value::Bool(true) });
    double.tell("set plug/power 5000");
    running.until_bad("plug/power", Reason::OutOfRange).await;
    running.stop().await;
}

#[tokio::test]
async fn parts_texts_and_numbers_are_read_and_written_behind_a_basic_login() {
    let mut double = Double::start(PLANT);
    double.tell("set meter/flow 12.75");
    double.tell("set meter/mode auto");
    let running = Running::start(plan(PLANT), &double);
    running.until_value("meter/flow", 12.75).await;
    running.until_value("meter/mode", "auto").await;
    double.tell("set meter/level -12.5");
    double.tell("set meter/door on");
    running.until_value("meter/level", -12.5).await;
    running.until_value("meter/door", true).await;
    let outcome = running.write("meter/limit", 42.5).await;
    assert_eq!(outcome, Outcome::Verified { read_back: Value::Float(42.5) });
    assert!(double.tell("get meter/limit").contains("= 42.5"));
    running.stop().await;
}

#[tokio::test]
async fn a_wrong_login_is_refused_without_a_storm() {
    let double = Double::start(PLANT);
    let wrong = PLANT.replace("s3cret", "guess").replace("password: x,", "password: y,");
    let running = Running::start(plan(&wrong), &double);
    running.until_bad("plug/power", Reason::HttpStatus(401)).await;
    running.until_bad("meter/flow", Reason::HttpStatus(401)).await;
    running.stop().await;
}

#[tokio::test]
async fn points_of_one_request_share_it() {
    let double = Double::start(PLANT);
    let running = Running::start(plan(PLANT), &double);
    running.until_value("plug/relay", false).await;
    let stats = &running.context(0).stats.devices[0];
    let (requests, published) = (stats.requests.load(Ordering::Relaxed), running.bus.published());
    assert!(requests >= 1);
    let later =
        |this: &Running| this.context(0).stats.devices[0].requests.load(Ordering::Relaxed) >= requests + 10;
    running.until("ten more requests", later).await;
    // Three points come with each request of the plug.
    assert!(running.bus.published() >= published + 27, "{published} → {}", running.bus.published());
    running.stop().await;
}
