//! The audit log in the API and on the page.

use iogate::model::{AuditRecord, ClockQuality};
use iogate::web::Config;
use serde_json::json;

use crate::browser::Browser;
use crate::client::get;
use crate::plant::Plant;

/// A command to an output, so many minutes after midnight of 2026-11-21 (UTC).
fn changed(plant: &Plant, subject: &str, origin: &str, outcome: &str, minute: i64) {
    let mut audit = plant.audit.lock().unwrap();
    let record = AuditRecord {
        id: audit.len() as i64 + 1,
        unix_us: (1_795_219_200 + 60 * minute) * 1_000_000,
        clock: ClockQuality::Set,
        took_us: 1_500,
        kind: "command".into(),
        origin: origin.into(),
        subject: subject.into(),
        old: Some("false".into()),
        new: Some("true".into()),
        outcome: outcome.into(),
        detail: Some("=reads true, \"as asked\"".into()),
        hash: "ab".repeat(32),
    };
    audit.insert(0, record);
}

/// Sixty of panel's for the fan, of which one was refused, and three of the page for the lamp.
fn plant() -> Plant {
    let plant = Plant::press();
    for minute in 0..60 {
        let outcome = if minute == 59 { "rejected" } else { "verified" };
        changed(&plant, "press/fan", "mqtt client panel", outcome, minute);
    }
    for minute in 60..63 {
        changed(&plant, "press/lamp", "web page from 192.0.2.7", "verified", minute);
    }
    plant
}

#[tokio::test]
async fn the_audit_log_is_read_by_output_origin_and_time_and_exported() {
    let plant = plant();
    let page = plant.serve(Config::default()).await;
    let ask = async |query: &str| get(page.address, &format!("/api/v1/audit{query}")).await;
    let ids = async |query: &str| -> Vec<i64> {
        let page = ask(query).await.json();
        page["records"].as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids("?subject=press/lamp").await, [63, 62, 61]);
    assert_eq!(ids("?origin=panel&limit=2&before=10").await, [9, 8]);
    assert_eq!(ids("?from=2026-11-21T00:03:00Z&to=2026-11-21T09:05:00%2B09:00").await, [5, 4]);
    assert_eq!(ids("").await.len(), 63);
    let first = ask("?limit=1").await.json();
    assert_eq!(first["dropped"], 7);
    assert_eq!(first["records"][0]["time"], "2026-11-21T01:02:00.000Z");
    for wrong in ["?from=yesterday", "?format=xml", "?limit=no", "?colour=red"] {
        assert_eq!(ask(wrong).await.status, 400, "{wrong}");
    }
    let csv = ask("?format=csv").await;
    assert_eq!(csv.headers["content-disposition"], "attachment; filename=\"audit.csv\"");
    let lines: Vec<&str> = csv.body.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 64);
    assert_eq!(lines[0], "id,time,clock,kind,origin,subject,old,new,outcome,detail,took_us,hash");
    let line = format!(
        "63,2026-11-21T01:02:00.000Z,set,command,web page from 192.0.2.7,press/lamp,false,true,verified,\"'=reads true, \"\"as asked\"\"\",1500,{}",
        "ab".repeat(32)
    );
    assert_eq!(lines[1], line);
    assert_eq!(ask("?format=csv&subject=press/lamp&limit=2").await.body.lines().count(), 3);
    let metrics = get(page.address, "/metrics").await;
    assert!(metrics.body.contains("\niogate_audit_dropped_total 7\n"), "{}", metrics.body);
    page.stop().await;
    let page = plant.serve(Config { control: Some(false), ..Config::default() }).await;
    for query in ["", "?format=csv"] {
        let refused = get(page.address, &format!("/api/v1/audit{query}")).await;
        assert_eq!((refused.status, &refused.json()["error"]), (403, &json!("control-disabled")));
    }
    page.stop().await;
}

#[tokio::test]
async fn the_audit_log_is_filtered_and_turned_page_by_page() {
    let plant = plant();
    let page = plant.serve(Config::default()).await;
    let mut browser = Browser::open(&format!("http://{}/#audit", page.address), 1280, 800).await;
    let rows = "document.querySelectorAll('#view-audit .journal tbody tr').length";
    browser.until(&format!("{rows} === 50")).await;
    let row = browser.eval("document.querySelector('#view-audit tbody tr').innerText").await;
    for expected in ["press/lamp", "verified", "false → true", "web page from 192.0.2.7", "as asked"] {
        assert!(row.as_str().unwrap().contains(expected), "{expected} in {row}");
    }
    let button = |words: &str| {
        format!(
            "[...document.querySelectorAll('#view-audit .quiet')].find((b) => b.textContent.includes('{words}'))"
        )
    };
    browser.eval(&format!("{}.click()", button("Older"))).await;
    browser.until(&format!("{rows} === 13")).await;
    assert_eq!(browser.eval(&format!("{}.disabled", button("Older"))).await, json!(true));
    browser.eval(&format!("{}.click()", button("Newer"))).await;
    browser.until(&format!("{rows} === 50")).await;
    let fill = |place: u32, text: &str| {
        format!(
            "(() => {{ const input = document.querySelectorAll('#view-audit input[list]')[{place}]; input.value = '{text}'; input.dispatchEvent(new Event('input')); }})()"
        )
    };
    browser.eval(&fill(0, "press/lamp")).await;
    browser.until(&format!("{rows} === 3")).await;
    browser.eval(&fill(1, "web page")).await;
    let link = format!(
        "{}.href.endsWith('/api/v1/audit?subject=press%2Flamp&origin=web+page&format=csv')",
        button("CSV")
    );
    browser.until(&link).await;
    browser.eval(&fill(1, "panel")).await;
    browser.until("document.querySelector('#view-audit .empty:not([hidden])')?.textContent === 'Nothing of that has been changed.'").await;
    browser.eval(&fill(0, "")).await;
    browser.until("document.querySelector('#view-audit [data-outcome=rejected] .failed') !== null").await;
    // The outputs are offered to choose from.
    let offered = "[...document.querySelectorAll('#view-audit datalist')][0].innerHTML.includes('press/fan')";
    browser.until(offered).await;
    browser.resize(360, 740).await;
    browser.until("document.documentElement.scrollWidth <= 360").await;
    browser.close().await;
    page.stop().await;
}
