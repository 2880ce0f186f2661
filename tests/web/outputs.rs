//! Who holds an output: told, taken and let go of through the API and on the page.

use std::time::Duration;

use iogate::command::{Command, DEFAULT_DEADLINE};
use iogate::model::{ControlClass, Origin, PointId, Value};
use iogate::web::Config;
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

use crate::browser::Browser;
use crate::client::{command, get};
use crate::plant::{Page, Plant};

const FAN: PointId = PointId(1);

/// A plant whose outputs are kept at what they shall be.
async fn kept() -> (Plant, Page, CancellationToken) {
    let plant = Plant::press();
    plant.read(FAN.0, false);
    let page = plant.serve(Config::default()).await;
    let stop = CancellationToken::new();
    let (commander, ended) = (plant.commander.clone(), stop.clone());
    tokio::spawn(async move { commander.run(ended).await });
    plant.obey();
    (plant, page, stop)
}

async fn fan(page: &Page) -> Json {
    let outputs = get(page.address, "/api/v1/outputs").await.json();
    outputs.as_array().unwrap().iter().find(|output| output["name"] == "press/fan").unwrap().clone()
}

/// A program asks for the fan, for so long.
async fn program(plant: &Plant, lasts: Option<Duration>) -> String {
    let deadline = plant.clock.mono() + DEFAULT_DEADLINE;
    let (setpoint, origin) = (Value::Bool(true), Origin::Mqtt("plc-logic".into()));
    let command = Command { point: FAN, setpoint, origin, deadline, lasts };
    plant.commander.give(command, |_| {}).outcome().await.to_string()
}

#[tokio::test]
async fn an_output_is_held_for_a_time_and_let_go_of() {
    let (plant, page, stop) = kept().await;
    let nobody = fan(&page).await;
    assert_eq!(
        (&nobody["holders"], &nobody["target"], &nobody["due"]),
        (&json!([]), &json!(null), &json!(false))
    );
    let ask = async |body: Json| command(page.address, &body).await;
    let held = ask(json!({"point": "press/fan", "value": true, "for": 600})).await.json();
    assert_eq!(held["outcome"], "verified");
    let holder = &fan(&page).await["holders"][0];
    assert_eq!((&holder["class"], &holder["value"]), (&json!("manual"), &json!(true)));
    assert_eq!(holder["owner"], "web page from 127.0.0.1");
    let left = holder["secondsLeft"].as_f64().unwrap();
    assert!((0.0..=600.0).contains(&left), "{left}");
    let refused = program(&plant, None).await;
    assert!(refused.starts_with("rejected: ") && refused.contains("web page from 127.0.0.1"), "{refused}");
    let released = ask(json!({"point": "press/fan", "release": true})).await;
    assert_eq!((released.status, released.json()), (200, json!({"point": "press/fan", "released": true})));
    assert_eq!(fan(&page).await["holders"], json!([]));
    let again = ask(json!({"point": "press/fan", "release": true})).await;
    assert_eq!((again.status, &again.json()["error"]), (409, &json!("not-held")));
    for (body, status) in [
        (json!({"point": "press/fan", "value": true, "for": 0}), 422),
        (json!({"point": "press/fan", "value": true, "release": true}), 422),
        (json!({"point": "press/none", "release": true}), 404),
    ] {
        assert_eq!(ask(body.clone()).await.status, status, "{body}");
    }
    let metrics = get(page.address, "/metrics").await.body;
    assert!(!metrics.contains("iogate_output_holder{point=\"press/fan\""), "{metrics}");
    plant.commander.hold(FAN, &"hot".into(), Value::Bool(true));
    let metrics = get(page.address, "/metrics").await.body;
    assert!(metrics.contains("iogate_output_holder{point=\"press/fan\",class=\"alarm\"} 1"), "{metrics}");
    stop.cancel();
    page.stop().await;
}

#[tokio::test]
async fn what_somebody_else_holds_is_taken_over_and_released_on_the_page() {
    let (plant, page, stop) = kept().await;
    plant.commander.hold(FAN, &"hot".into(), Value::Bool(true));
    let mut browser = Browser::open(&format!("http://{}/", page.address), 1280, 800).await;
    let part = |class: &str| format!("document.querySelector('[data-point=\"press/fan\"] {class}')");
    browser.until(&format!("{}.textContent.startsWith('Held: ')", part(".who .chip-state"))).await;
    browser.until(&format!("{}.getAttribute('aria-checked') === 'true'", part(".switch"))).await;
    let buttons = "[...document.querySelectorAll('[data-point=\"press/fan\"] .act > .set:not([hidden])')].map((b) => b.textContent).join()";
    assert_eq!(browser.eval(buttons).await, "", "an alarm is not let go of by hand");
    browser.eval(&format!("{}.click()", part(".switch"))).await;
    browser.until(&format!("{}.textContent.includes('hot')", part(".outcome"))).await;
    browser.until(&format!("{buttons} === 'Take over for 15 min'")).await;
    assert_eq!(plant.bus.latest(FAN).value, Some(Value::Bool(true)), "refused is not switched");
    browser.eval(&format!("{}.click()", part(".act > .set:not([hidden])"))).await;
    browser.until(&format!("{}.getAttribute('aria-checked') === 'false'", part(".switch"))).await;
    browser.until(&format!("{buttons} === 'Release'")).await;
    let holders = fan(&page).await["holders"].clone();
    assert_eq!((&holders[0]["class"], &holders[1]["owner"]), (&json!("manual"), &json!("hot")));
    let left = holders[0]["secondsLeft"].as_f64().unwrap();
    assert!(left > 600.0 && left <= 900.0, "{left}");
    browser.eval(&format!("{}.click()", part(".act > .set:not([hidden])"))).await;
    browser.until(&format!("{}.textContent === 'released'", part(".outcome"))).await;
    browser.until(&format!("{}.getAttribute('aria-checked') === 'true'", part(".switch"))).await;
    assert_eq!(fan(&page).await["holders"][0]["class"], json!(ControlClass::Alarm.to_string()));
    // What a program holds is let go of by hand at once.
    plant.commander.release(FAN, "hot");
    assert!(program(&plant, Some(Duration::from_secs(600))).await.starts_with("verified"));
    browser.until(&format!("{buttons} === 'Release'")).await;
    browser.eval(&format!("{}.click()", part(".act > .set:not([hidden])"))).await;
    browser.until(&format!("{}.hidden", part(".who .chip-state"))).await;
    browser.close().await;
    stop.cancel();
    page.stop().await;
}
