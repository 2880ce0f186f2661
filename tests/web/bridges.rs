//! Bridges on the page, by the API and as metrics.

use iogate::web::{BridgeCounts, BridgeView, Config, GapView};
use serde_json::json;

use crate::browser::Browser;
use crate::client::get;
use crate::plant::Plant;

/// A bridge that is down, and one that is well.
pub(crate) fn some() -> Vec<BridgeView> {
    let down = BridgeView {
        name: "cloud".into(),
        url: "mqtts://broker.example.com:8883".into(),
        state: "waiting",
        since: 1_790_000_000_000,
        last_error: Some("TLS: the server's certificate has expired <b id=owned>".into()),
        warning: Some("busan/factory/camera: the payload has 200000 bytes, the broker takes 131072".into()),
        stream: "00000000000000ab".into(),
        queued: 12_345,
        queued_bytes: 930 << 20,
        capacity_bytes: 1 << 30,
        oldest_seconds: 3_700,
        taken_in_per_second: 48.5,
        counts: BridgeCounts {
            taken_in: 20_000,
            gaps: 1,
            missing: 3,
            dead_letters: 2,
            ..BridgeCounts::default()
        },
        last_gap: Some(GapView { from: 7, to: 9, count: 3, why: "thinned" }),
        ..BridgeView::default()
    };
    let well = BridgeView {
        name: "office".into(),
        url: "mqtt://192.0.2.7:1883".into(),
        state: "connected",
        since: 1_790_000_000_000,
        stream: "00000000000000cd".into(),
        capacity_bytes: 64 << 20,
        acknowledged_per_second: 12.0,
        counts: BridgeCounts { taken_in: 500, acknowledged: 500, connections: 1, ..BridgeCounts::default() },
        ..BridgeView::default()
    };
    vec![down, well]
}

#[tokio::test]
async fn the_api_and_the_metrics_tell_how_bridges_stand() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    assert_eq!(get(page.address, "/api/v1/bridges").await.json(), json!([]));
    *plant.bridges.lock().unwrap() = some();
    let told = get(page.address, "/api/v1/bridges").await.json();
    assert_eq!((told[0]["name"].as_str(), told[0]["queued"].as_u64()), (Some("cloud"), Some(12_345)));
    assert_eq!(told[0]["lastGap"], json!({ "from": 7, "to": 9, "count": 3, "why": "thinned" }));
    assert_eq!((&told[1]["lastError"], &told[1]["state"]), (&json!(null), &json!("connected")));
    let metrics = get(page.address, "/metrics").await;
    assert!(metrics.headers["content-type"].starts_with("text/plain; version=0.0.4"));
    for line in [
        "iogate_bridge_connected{bridge=\"cloud\"} 0",
        "iogate_bridge_connected{bridge=\"office\"} 1",
        "iogate_bridge_missing_total{bridge=\"cloud\"} 3",
    ] {
        assert!(metrics.body.lines().any(|got| got == line), "{line} is missing in:\n{}", metrics.body);
    }
    page.stop().await;
}

#[tokio::test]
async fn the_page_shows_each_bridge_and_what_troubles_it() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    let mut browser = Browser::open(&format!("http://{}/#bridges", page.address), 360, 740).await;
    browser
        .until("document.getElementById('view-bridges').innerText.includes('No bridges are configured')")
        .await;
    *plant.bridges.lock().unwrap() = some();
    let card = |name: &str| format!("document.querySelector('[data-bridge={name}]')");
    browser.until(&format!("{} !== null", card("office"))).await;
    for words in [
        "Waiting to try again",
        "certificate has expired <b id=owned>",
        "the broker takes 131072",
        "930 MiB of 1.0 GiB",
        "1 h 1 min",
        "(49/s)",
        "1, 3 messages",
        "numbers 7 to 9 of stream 00000000000000ab, the buffer was filling up",
    ] {
        browser.until(&format!("{}.textContent.includes({})", card("cloud"), json!(words))).await;
    }
    browser.until(&format!("{}.textContent.includes('Connected')", card("office"))).await;
    assert_eq!(browser.eval("document.getElementById('owned')").await, json!(null), "no text becomes HTML");
    browser.until("document.getElementById('badge-bridges').textContent === '1'").await;
    let width = browser.eval("document.documentElement.scrollWidth").await;
    assert!(width.as_u64().unwrap() <= 360, "{width} wide");
    plant.bridges.lock().unwrap()[0].state = "connected";
    plant.bridges.lock().unwrap()[0].last_error = None;
    browser.until(&format!("{}.querySelector('.trouble').hidden", card("cloud"))).await;
    browser.until("document.getElementById('badge-bridges').hidden").await;
    browser.close().await;
    page.stop().await;
}
