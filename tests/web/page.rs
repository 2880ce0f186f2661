//! The page in a real browser.

use std::fmt::Write as _;

use iogate::model::{
    AlarmState, Outcome, Point, PointId, Quality, Reading, Reason, Severity, Value, ValueKind,
};
use iogate::web::Config;
use serde_json::json;

use crate::browser::Browser;
use crate::plant::{Page, Plant, number, switch};

async fn desktop(page: &Page) -> Browser {
    Browser::open(&format!("http://{}/", page.address), 1280, 800).await
}

/// The row of a point, as a JavaScript expression.
fn row(point: &str) -> String {
    format!("document.querySelector('[data-point=\"{point}\"]')")
}

/// The text of a part of a point's row.
fn part(point: &str, class: &str) -> String {
    format!("{}.querySelector('.{class}').textContent", row(point))
}

#[tokio::test]
async fn a_value_changes_before_ones_eyes_and_its_quality_is_told_in_words() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    plant.read(0, 21.5);
    let mut browser = desktop(&page).await;
    let value = part("press/temperature", "value");
    browser.until(&format!("{value} === '21.5'")).await;
    assert_eq!(browser.eval(&part("press/temperature", "unit")).await, "°C");
    assert_eq!(browser.eval(&part("press/speed", "quality")).await, "Bad: not read yet");
    plant.read(0, 22.25);
    browser.until(&format!("{value} === '22.25'")).await;
    assert_eq!(browser.eval(&part("press/temperature", "quality")).await, "Good");
    plant.fail(0, Reason::Timeout);
    let quality = part("press/temperature", "quality");
    browser.until(&format!("{quality} === 'Bad: no answer in time'")).await;
    assert_eq!(browser.eval(&value).await, "22.25", "the last value stays");
    plant.degrade(0, Quality::Uncertain(Reason::Saturated));
    browser.until(&format!("{quality}.startsWith('Uncertain: ')")).await;
    let age = part("press/temperature", "age");
    browser.until(&format!("/^[1-9][0-9]* s$/.test({age})")).await;
    browser.until("document.getElementById('site').textContent === 'busan/factory'").await;
    browser.until("document.getElementById('bar').textContent.includes('iogate 0.0.0-test')").await;
    browser.close().await;
    page.stop().await;
}

#[tokio::test]
async fn an_alarm_shows_in_the_navigation_the_title_its_row_and_its_view() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    plant.alarm("hot", 0, Severity::Critical, AlarmState::Normal, None);
    let mut browser = desktop(&page).await;
    browser.until(&format!("{} !== null", row("press/temperature"))).await;
    assert_eq!(browser.eval("document.getElementById('badge-alarms').hidden").await, json!(true));
    plant.alarm("hot", 0, Severity::Critical, AlarmState::ActiveUnacknowledged, Some(Value::Float(61.5)));
    browser.until("document.getElementById('badge-alarms').textContent === '1'").await;
    browser.until("document.title.startsWith('(1) busan/factory')").await;
    browser.until(&format!("{}.dataset.alarm === 'critical'", row("press/temperature"))).await;
    browser.eval("document.querySelector('[data-view=alarms]').click()").await;
    browser.until("!document.getElementById('view-alarms').hidden").await;
    let text = browser.eval("document.querySelector('tr.alarm').innerText").await;
    for expected in ["Active", "Critical", "hot", "limit passed", "press/temperature", "61.5 °C"] {
        assert!(text.as_str().unwrap().contains(expected), "{expected} in {text}");
    }
    browser.eval("document.querySelector('tr.alarm [data-action=acknowledge]').click()").await;
    browser.until("document.querySelector('tr.alarm').dataset.state === 'active-acknowledged'").await;
    browser.until("document.querySelector('tr.alarm').innerText.includes('Acknowledged by web page')").await;
    browser.eval("document.querySelector('tr.alarm .link').click()").await;
    browser.until("!document.getElementById('view-live').hidden").await;
    let shown = "[...document.querySelectorAll('.block .row')].filter((row) => row.offsetParent).length";
    browser.until(&format!("{shown} === 1")).await;
    plant.alarm("hot", 0, Severity::Critical, AlarmState::Normal, Some(Value::Float(50.0)));
    browser.until("document.getElementById('badge-alarms').hidden").await;
    browser.close().await;
    page.stop().await;
}

#[tokio::test]
async fn an_output_is_switched_and_shows_what_was_read_back() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    let device = plant.obey();
    plant.read(1, false);
    let mut browser = desktop(&page).await;
    let knob = format!("{}.querySelector('.switch')", row("press/fan"));
    browser.until(&format!("{knob}.getAttribute('aria-checked') === 'false'")).await;
    browser.eval(&format!("{knob}.focus()")).await;
    browser.press(" ").await;
    browser.until(&format!("{} === 'verified: reads On'", part("press/fan", "outcome"))).await;
    browser.until(&format!("{knob}.getAttribute('aria-checked') === 'true'")).await;
    assert_eq!(browser.eval(&part("press/fan", "value")).await, "On");
    assert_eq!(plant.bus.latest(PointId(1)).value, Some(Value::Bool(true)));
    let set = |value: &str| {
        let input = format!("{}.querySelector('input')", row("press/speed"));
        format!("{input}.value = '{value}'; {input}.form.requestSubmit()")
    };
    browser.eval(&set("140")).await;
    browser.until(&format!("{} === 'between 0 and 100 %'", part("press/speed", "outcome"))).await;
    assert_eq!(plant.bus.latest(PointId(2)).value, None, "nothing was sent");
    browser.eval(&set("37.5")).await;
    browser.until(&format!("{} === '37.5'", part("press/speed", "value"))).await;
    device.abort();
    let _ = device.await;
    let (writes, clock) = (plant.writes.clone(), plant.clock.clone());
    let dead = tokio::spawn(async move {
        writes.pushed().await;
        while let Some(job) = writes.pop(clock.mono()) {
            job.finish(Outcome::Failed("no answer from press".into()));
        }
    });
    browser.eval(&format!("{knob}.click()")).await;
    browser.until(&format!("{} === 'failed: no answer from press'", part("press/fan", "outcome"))).await;
    assert_eq!(browser.eval(&part("press/fan", "value")).await, "On", "a setpoint is not a reading");
    dead.await.unwrap();
    browser.close().await;
    page.stop().await;
}

#[tokio::test]
async fn no_text_from_outside_becomes_html() {
    const EVIL: &str = "<img src=x onerror=\"window.owned=1\">";
    let text = Point { kind: ValueKind::Text, ..number("press", "text", "manufacture/<img src=y>", "") };
    let labelled = Point { label: Some(EVIL.into()), unit: Some(EVIL.into()), ..text };
    let device =
        number("<svg onload=window.owned=1>", "x", "<script>window.owned=1</script>/x", "</span><b>");
    let plant = Plant::new(vec![labelled, device, switch("press", "fan", "manufacture/fan")]);
    let page = plant.serve(Config::default()).await;
    plant.read(0, EVIL);
    plant.alarm(EVIL, 0, Severity::High, AlarmState::ActiveUnacknowledged, Some(EVIL.into()));
    let mut browser = desktop(&page).await;
    let value = "document.querySelector('[data-point=\"press/text\"] .value').textContent";
    browser.until(&format!("{value} === {}", json!(EVIL))).await;
    plant.read(0, format!("{EVIL}2").as_str());
    browser.until(&format!("{value} === {}", json!(format!("{EVIL}2")))).await;
    browser.eval("document.querySelector('[data-point=\"press/text\"] .name').click()").await;
    for view in ["live", "devices", "alarms"] {
        browser.eval(&format!("location.hash = '{view}'")).await;
        browser.until(&format!("!document.getElementById('view-{view}').hidden")).await;
        let body = browser.eval("document.body.textContent").await;
        let evil = if view == "devices" { "<svg onload" } else { "<img src=x" };
        assert!(body.as_str().unwrap().contains(evil), "{view} shows the text as it is");
    }
    let bred = "document.querySelectorAll('main img, main script, main b, svg[onload], [onerror]').length";
    assert_eq!(browser.eval(bred).await, json!(0));
    assert_eq!(browser.eval("window.owned ?? null").await, json!(null));
    browser.close().await;
    page.stop().await;
}

#[tokio::test]
async fn the_page_says_when_it_has_lost_the_gateway_and_comes_back_by_itself() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    plant.read(0, 1.5);
    let mut browser = desktop(&page).await;
    let value = part("press/temperature", "value");
    browser.until(&format!("{value} === '1.5' && document.body.dataset.stream === 'live'")).await;
    let address = page.address.to_string();
    page.stop().await;
    browser.until("document.body.dataset.stream === 'lost' && !document.getElementById('lost').hidden").await;
    plant.read(0, 2.5);
    let again = plant.serve_on(&address, Config::default()).await;
    browser.until(&format!("{value} === '2.5' && document.body.dataset.stream === 'live'")).await;
    assert_eq!(browser.eval("document.getElementById('lost').hidden").await, json!(true));
    browser.close().await;
    again.stop().await;
}

#[tokio::test]
async fn the_page_fits_a_narrow_phone_and_follows_the_systems_colours() {
    let long = Point {
        label: Some("조립 라인 온도 센서 ".repeat(4).into()),
        ..number("a", "long", &"x".repeat(60), "kWh")
    };
    let plant = Plant::new(vec![long, switch("b", "fan", "manufacture/press/left/upper/fan")]);
    let page = plant.serve(Config::default()).await;
    plant.read(0, 1_234_567.891);
    plant.alarm("hot", 0, Severity::High, AlarmState::ActiveUnacknowledged, Some(Value::Float(61.5)));
    let mut browser = Browser::open(&format!("http://{}/", page.address), 360, 740).await;
    browser.until("document.querySelectorAll('.block .row').length === 2").await;
    plant.happened("hot", "acknowledged", 1);
    for view in ["live", "devices", "alarms"] {
        browser.eval(&format!("location.hash = '{view}'")).await;
        browser.until(&format!("!document.getElementById('view-{view}').hidden")).await;
        let width = browser.eval("document.documentElement.scrollWidth").await;
        assert!(width.as_u64().unwrap() <= 360, "{view} is {width} wide");
    }
    browser.eval("document.querySelector('[data-part=journal]').click()").await;
    browser.until("document.querySelectorAll('.journal tbody tr').length === 1").await;
    let width = browser.eval("document.documentElement.scrollWidth").await;
    assert!(width.as_u64().unwrap() <= 360, "the journal is {width} wide");
    let ground = "getComputedStyle(document.body).backgroundColor";
    browser.prefer("light").await;
    let light = browser.eval(ground).await;
    browser.prefer("dark").await;
    let dark = browser.eval(ground).await;
    assert_ne!(light, dark);
    browser.eval("document.getElementById('theme').click()").await;
    assert_eq!(browser.eval(ground).await, light, "a choice goes before the system's");
    browser.close().await;
    page.stop().await;
}

#[tokio::test]
async fn the_journal_is_filtered_and_turned_page_by_page_and_figures_stand_above_the_alarms() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    for minute in 0..60 {
        plant.happened(if minute < 3 { "cold" } else { "hot" }, "raised", minute);
    }
    plant.alarm("hot", 0, Severity::High, AlarmState::ActiveUnacknowledged, Some(Value::Float(61.5)));
    {
        let mut alarms = plant.alarms.lock().unwrap();
        (alarms[0].chattering, alarms[0].shelve_offer) = (true, Some(std::time::Duration::from_secs(1800)));
        alarms[0].first_of = vec!["press".into()];
    }
    plant.overview.lock().unwrap().figures.last_10_minutes = 12;
    let mut browser = desktop(&page).await;
    browser.eval("location.hash = 'alarms'").await;
    browser.until("document.querySelector('.figures .flood dd')?.textContent === '12'").await;
    let told = browser.eval("document.querySelector('.notifier').innerText").await;
    assert!(told.as_str().unwrap().contains("no answer from mail.example.com"), "{told}");
    browser.until("document.querySelector('tr.alarm') !== null").await;
    let row = browser.eval("document.querySelector('tr.alarm').innerText").await;
    for expected in ["chattering", "first of press", "Shelve 30m"] {
        assert!(row.as_str().unwrap().contains(expected), "{expected} in {row}");
    }
    browser.eval("document.querySelector('[data-part=journal]').click()").await;
    let rows = "document.querySelectorAll('.journal tbody tr').length";
    browser.until(&format!("{rows} === 50")).await;
    let button = |words: &str| {
        format!(
            "[...document.querySelectorAll('#view-alarms .quiet')].find((b) => b.textContent.includes('{words}'))"
        )
    };
    browser.eval(&format!("{}.click()", button("Older"))).await;
    browser.until(&format!("{rows} === 10")).await;
    assert_eq!(browser.eval(&format!("{}.disabled", button("Older"))).await, json!(true));
    browser.eval(&format!("{}.click()", button("Newer"))).await;
    browser.until(&format!("{rows} === 50")).await;
    let fill = "const alarm = document.querySelector('#view-alarms input[list]'); alarm.value = 'cold'; alarm.dispatchEvent(new Event('input'))";
    browser.eval(fill).await;
    browser.until(&format!("{rows} === 3")).await;
    let link = browser.eval(&format!("{}.href", button("CSV"))).await;
    assert!(link.as_str().unwrap().ends_with("/api/v1/alarms/journal?alarm=cold&format=csv"), "{link}");
    let kind = "const kind = document.querySelector('#view-alarms select'); kind.value = 'shelved'; kind.dispatchEvent(new Event('change'))";
    browser.eval(kind).await;
    browser.until("document.querySelector('#view-alarms .empty:not([hidden])')?.textContent === 'Nothing of that has happened.'").await;
    browser.close().await;
    page.stop().await;
}

#[tokio::test]
async fn the_tree_is_worked_by_keyboard() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    let mut browser = desktop(&page).await;
    let shown = "[...document.querySelectorAll('.block .row')].filter((row) => row.offsetParent).length";
    browser.until(&format!("{shown} === 3")).await;
    browser.eval("document.querySelector('.group-button').focus()").await;
    browser.press("ArrowLeft").await;
    browser.until(&format!("{shown} === 0")).await;
    browser.press("ArrowRight").await;
    browser.until(&format!("{shown} === 3")).await;
    browser.press("/").await;
    browser.until("document.activeElement.type === 'search'").await;
    for key in ["f", "a", "n"] {
        browser.press(key).await;
    }
    browser.until(&format!("{shown} === 1")).await;
    browser.press("Escape").await;
    browser.until(&format!("{shown} === 3")).await;
    browser.close().await;
    page.stop().await;
}

#[tokio::test]
async fn ten_thousand_points_stay_light() {
    let mut points = Vec::new();
    for i in 0..10_000 {
        let mut topic = format!("rack-{}", i / 100);
        write!(topic, "/in-{}", i % 100).unwrap();
        points.push(number(&format!("rack-{}", i / 100), &format!("in-{}", i % 100), &topic, "V"));
    }
    let plant = Plant::new(points);
    let page = plant.serve(Config::default()).await;
    let mut browser = desktop(&page).await;
    browser.until("document.querySelectorAll('.group').length === 100").await;
    browser.eval("document.querySelector('.fold').click()").await;
    browser.until("document.querySelector('[data-point=\"rack-0/in-7\"]') !== null").await;
    let rows = browser.eval("document.querySelectorAll('.block .row').length").await;
    assert!(rows.as_u64().unwrap() < 600, "{rows} rows are built");
    let at = plant.clock.stamp();
    let mut batch: Vec<_> =
        (0..10_000).map(|i| Reading::good(PointId(i), Value::Float(f64::from(i) + 0.5), at)).collect();
    plant.bus.publish(&mut batch);
    browser.until(&format!("{} === '7.5'", part("rack-0/in-7", "value"))).await;
    let search = "document.querySelector('.search')";
    browser
        .eval(&format!("{search}.value = 'rack-99/in-42'; {search}.dispatchEvent(new Event('input'))"))
        .await;
    browser.until(&format!("{} === '9942.5'", part("rack-99/in-42", "value"))).await;
    browser.close().await;
    page.stop().await;
}
