//! What the API answers, and what it refuses.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use iogate::model::{
    AlarmFigures, AlarmGroup, AlarmOverview, AlarmState, FirstOut, Outcome, Reason, Severity, Value,
};
use iogate::web::Config;
use serde_json::json;

use crate::client::{JSON, command, get, post_to};
use crate::plant::{Page, Plant};

#[tokio::test]
async fn points_come_with_value_quality_and_age() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    plant.read(0, 21.5);
    plant.read(1, true);
    plant.fail(1, Reason::DeviceException(2));
    let answer = get(page.address, "/api/v1/points").await;
    assert_eq!((answer.status, answer.headers["cache-control"].as_str()), (200, "no-store"));
    let points = answer.json();
    assert_eq!(points.as_array().unwrap().len(), 3);
    let temperature = &points[0];
    assert_eq!(temperature["name"], "press/temperature");
    assert_eq!(temperature["topic"], "busan/factory/manufacture/temperature");
    assert_eq!((&temperature["value"], &temperature["quality"]), (&json!(21.5), &json!("good")));
    assert_eq!((&temperature["unit"], &temperature["access"]), (&json!("°C"), &json!("r")));
    assert!(temperature["ageMs"].as_u64().is_some());
    assert!(temperature["time"].as_str().unwrap().ends_with('Z'));
    assert_eq!((&points[1]["value"], &points[1]["reason"]), (&json!(true), &json!("device-exception 2")));
    assert_eq!((&points[2]["value"], &points[2]["reason"]), (&json!(null), &json!("not-yet-read")));
    assert_eq!(points[2]["range"], json!([0.0, 100.0]));
    page.stop().await;
}

#[tokio::test]
async fn devices_come_with_their_counters() {
    let plant = Plant::press();
    plant.bring_online();
    plant.read(0, 1.0);
    let device = &plant.channels[0].devices[0];
    device.requests.store(7, Relaxed);
    device.timeouts.store(2, Relaxed);
    device.record_round_trip(Duration::from_micros(1500));
    plant.channels[0].busy_us.store(10, Relaxed);
    let page = plant.serve(Config::default()).await;
    let devices = get(page.address, "/api/v1/devices").await.json();
    let edges = devices["roundTripEdgesUs"].as_array().unwrap().len();
    let channel = &devices["channels"][0];
    assert_eq!((&channel["name"], &channel["state"]), (&json!("plc"), &json!("online")));
    assert!(channel["load"].as_f64().unwrap() > 0.0);
    let device = &channel["devices"][0];
    assert_eq!((&device["requests"], &device["timeouts"]), (&json!(7), &json!(2)));
    assert_eq!((&device["points"], &device["pointsNotGood"]), (&json!(3), &json!(2)));
    assert_eq!(device["meanRoundTripUs"], 1500);
    assert_eq!(device["roundTrips"].as_array().unwrap().len(), edges + 1);
    assert_eq!(device["lastAnswer"], json!(null));
    page.stop().await;
}

#[tokio::test]
async fn alarms_are_acknowledged_by_whom_and_why() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    plant.alarm("hot", 0, Severity::Critical, AlarmState::ActiveUnacknowledged, None);
    let ask = async |body: serde_json::Value| {
        post_to(page.address, "/api/v1/alarms", JSON, &body.to_string()).await
    };
    let done = ask(json!({"alarm": "hot", "action": "acknowledge", "user": "kim", "comment": "seen"})).await;
    assert_eq!((done.status, &done.json()[0]["state"]), (200, &json!("active-acknowledged")));
    assert_eq!(done.json()[0]["by"], json!("kim (web page from 127.0.0.1)"));
    for (body, status, code) in [
        (json!({"alarm": "cold", "action": "acknowledge"}), 404, "no-such-alarm"),
        (json!({"alarm": "hot", "action": "put-back"}), 409, "no-meaning-now"),
        (json!({"alarm": "hot", "action": "shelve"}), 400, "bad-request"),
        (json!({"action": "acknowledge"}), 400, "bad-request"),
        (json!({"alarm": "hot", "action": "acknowledge", "force": true}), 400, "bad-request"),
    ] {
        let refused = ask(body.clone()).await;
        assert_eq!((refused.status, &refused.json()["error"]), (status, &json!(code)), "{body}");
    }
    page.stop().await;
}

#[tokio::test]
async fn the_journal_is_read_by_alarm_kind_and_time_and_exported_as_a_whole() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    for minute in 0..1_250 {
        let alarm = if minute % 5 == 0 { "cold" } else { "hot" };
        plant.happened(alarm, if minute % 2 == 0 { "raised" } else { "acknowledged" }, minute);
    }
    let ask = async |query: &str| get(page.address, &format!("/api/v1/alarms/journal{query}")).await;
    let ids = async |query: &str| -> Vec<i64> {
        ask(query).await.json().as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids("").await, (1_151..=1_250).rev().collect::<Vec<_>>());
    assert_eq!(ids("?alarm=cold&event=raised&limit=2").await, [1_241, 1_231]);
    assert_eq!(ids("?before=3").await, [2, 1]);
    // 2026-11-21T00:00:00Z is minute 0.
    assert_eq!(ids("?from=2026-11-21T00:03:00Z&to=2026-11-21T09:05:00%2B09:00").await, [5, 4]);
    for wrong in ["?event=exploded", "?from=yesterday", "?format=xml", "?limit=no"] {
        assert_eq!(ask(wrong).await.status, 400, "{wrong}");
    }
    let csv = ask("?format=csv").await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    let lines: Vec<&str> = csv.body.split_terminator("\r\n").collect();
    assert_eq!((lines.len(), lines[0].split(',').next()), (1_251, Some("id")));
    assert!(
        lines[1].starts_with("1250,2026-11-21T20:49:00.000Z,hot,acknowledged,active-unacknowledged,"),
        "{}",
        lines[1]
    );
    assert!(lines[1].ends_with(r#","'=seen, the fan runs""#), "{}", lines[1]);
    assert!(lines[1_250].starts_with("1,"));
    assert_eq!(ask("?format=csv&alarm=cold&limit=3").await.body.lines().count(), 4);
    page.stop().await;
}

#[tokio::test]
async fn figures_and_groups_are_told_by_the_api_and_the_metrics() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    let first = FirstOut { alarm: "hot".into(), unix_us: 1_500_000 };
    let group = AlarmGroup { name: "press".into(), first_out: Some(first), unacknowledged: 2, active: 1 };
    let figures = AlarmFigures {
        last_10_minutes: 11,
        flooded: Duration::from_secs(600),
        most_frequent: vec![("hot".into(), 9)],
        ..AlarmFigures::default()
    };
    *plant.overview.lock().unwrap() = AlarmOverview { figures, groups: vec![group] };
    let answer = get(page.address, "/api/v1/alarms/rates").await.json();
    assert_eq!((&answer["last10Minutes"], &answer["floodedMinutes"]), (&json!(11), &json!(10)));
    assert_eq!(answer["mostFrequent"], json!([{"alarm": "hot", "count": 9}]));
    let first = json!({"alarm": "hot", "at": "1970-01-01T00:00:01.500Z"});
    assert_eq!(
        answer["groups"],
        json!([{"name": "press", "active": 1, "unacknowledged": 2, "firstOut": first}])
    );
    let duty = &answer["notifiers"][0];
    assert_eq!((&duty["name"], &duty["waiting"]), (&json!("duty"), &json!(3)));
    assert_eq!(duty["trouble"], "no answer from mail.example.com");
    let metrics = get(page.address, "/metrics").await;
    assert!(metrics.body.contains("\niogate_alarms_annunciated_10_minutes 11\n"), "{}", metrics.body);
    page.stop().await;
}

#[tokio::test]
async fn alarms_and_status_tell_how_things_stand() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    assert_eq!(get(page.address, "/api/v1/alarms").await.json(), json!([]));
    plant.alarm("hot", 0, Severity::Critical, AlarmState::ActiveUnacknowledged, Some(Value::Float(61.0)));
    plant.alarm("cold", 0, Severity::Info, AlarmState::Normal, None);
    plant.broker.lock().unwrap().clients = 3;
    let alarms = get(page.address, "/api/v1/alarms").await.json();
    let hot = &alarms[0];
    assert_eq!(
        (&hot["name"], &hot["severity"], &hot["state"]),
        (&json!("hot"), &json!("critical"), &json!("active-unacknowledged"))
    );
    assert_eq!(
        (&hot["point"], &hot["value"], &hot["condition"]),
        (&json!("press/temperature"), &json!(61.0), &json!("high"))
    );
    let status = get(page.address, "/api/v1/status").await.json();
    assert_eq!((&status["site"], &status["control"]), (&json!("busan/factory"), &json!(true)));
    assert_eq!((&status["alarmsActive"], &status["broker"]["clients"]), (&json!(1), &json!(3)));
    assert_eq!(status["alarmsUnacknowledged"], json!(1));
    assert_eq!(status["points"], json!({"total": 3, "good": 0, "uncertain": 0, "bad": 0, "notYetRead": 3}));
    page.stop().await;
}

#[tokio::test]
async fn health_and_readiness_are_different_things() {
    let plant = Plant::press();
    plant.ready.store(false, Relaxed);
    let page = plant.serve(Config::default()).await;
    assert_eq!(get(page.address, "/healthz").await.status, 200);
    assert_eq!(get(page.address, "/readyz").await.status, 503);
    plant.ready.store(true, Relaxed);
    assert_eq!(get(page.address, "/readyz").await.status, 200);
    page.stop().await;
}

#[tokio::test]
async fn a_command_is_answered_with_its_outcome() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    let device = plant.obey();
    let by_name = command(page.address, &json!({"point": "press/fan", "value": true})).await;
    assert_eq!(by_name.status, 200);
    let outcome = by_name.json();
    assert_eq!((&outcome["outcome"], &outcome["readBack"]), (&json!("verified"), &json!(true)));
    assert_eq!((&outcome["point"], &outcome["succeeded"]), (&json!("press/fan"), &json!(true)));
    assert!(outcome["id"].as_u64().unwrap() > 0);
    let topic = "busan/factory/manufacture/speed";
    let by_topic = command(page.address, &json!({"point": topic, "value": 42.5, "timeout": 2})).await.json();
    assert_eq!(by_topic["readBack"], json!(42.5));
    device.abort();
    page.stop().await;
}

#[tokio::test]
async fn a_command_that_comes_to_nothing_says_why() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    let answer = command(page.address, &json!({"point": "press/speed", "value": 1000})).await.json();
    assert_eq!((&answer["outcome"], &answer["succeeded"]), (&json!("rejected"), &json!(false)));
    let detail = answer["detail"].as_str().unwrap();
    assert!(detail.starts_with("rejected: ") && detail.contains("1000"), "{detail}");
    let body = json!({"point": "press/speed", "value": 50});
    let asked = command(page.address, &body);
    let dead = async {
        plant.writes.pushed().await;
        let job = plant.writes.pop(plant.clock.mono()).expect("the command waits");
        job.finish(Outcome::Failed("no answer from press".into()));
    };
    let (answer, ()) = tokio::join!(asked, dead);
    assert_eq!(answer.json()["outcome"], "failed");
    assert_eq!(answer.json()["detail"], "failed: no answer from press");
    for (body, status, code) in [
        (json!({"point": "press/none", "value": 1}), 404, "unknown-point"),
        (json!({"point": "press/fan", "value": "maybe"}), 422, "bad-command"),
        (json!({"point": "press/fan"}), 422, "bad-command"),
        (json!([]), 422, "bad-command"),
    ] {
        let answer = command(page.address, &body).await;
        assert_eq!((answer.status, &answer.json()["error"]), (status, &json!(code)), "{body}");
    }
    page.stop().await;
}

#[tokio::test]
async fn a_page_on_the_network_takes_commands_only_when_told_to() {
    let plant = Plant::press();
    let body = json!({"point": "press/fan", "value": true});
    let page = plant.serve_on("0.0.0.0:0", Config::default()).await;
    let here = ([127, 0, 0, 1], page.address.port()).into();
    let answer = command(here, &body).await;
    assert_eq!((answer.status, &answer.json()["error"]), (403, &json!("control-disabled")));
    assert_eq!(get(here, "/api/v1/status").await.json()["control"], json!(false));
    page.stop().await;
    let device = plant.obey();
    let page = plant.serve_on("0.0.0.0:0", Config { control: Some(true), ..Config::default() }).await;
    let here = ([127, 0, 0, 1], page.address.port()).into();
    assert_eq!(command(here, &body).await.json()["outcome"], "verified");
    device.abort();
    page.stop().await;
}

#[tokio::test]
async fn every_documented_resource_exists_and_nothing_else_is_answered() {
    let plant = Plant::press();
    let page: Page = plant.serve(Config::default()).await;
    let documented: Vec<_> = include_str!("../../docs/api.md")
        .lines()
        .filter_map(|line| line.strip_prefix("## GET "))
        .filter(|path| !path.ends_with("/events"))
        .collect();
    assert!(documented.len() >= 6, "{documented:?}");
    for path in documented {
        assert_eq!(get(page.address, path).await.status, 200, "{path}");
    }
    let missing = get(page.address, "/api/v2/points").await;
    assert_eq!((missing.status, &missing.json()["error"]), (404, &json!("not-found")));
    for path in ["/etc/passwd", "/../Cargo.toml", "/%2e%2e/Cargo.toml"] {
        assert_eq!(get(page.address, path).await.status, 404, "{path}");
    }
    page.stop().await;
}
