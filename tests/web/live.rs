//! The live stream. Time is paused: it passes when everyone waits, so nothing depends on the machine's speed.

use std::sync::Arc;
use std::time::Duration;

use iogate::model::{AlarmState, PointId, Reading, Reason, Severity, Value};
use iogate::web::Config;
use serde_json::json;
use tokio::time::Instant;

use crate::client::{Stream, get};
use crate::plant::{Plant, number};

#[tokio::test(start_paused = true)]
async fn a_stream_begins_with_everything_and_goes_on_with_what_changes() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    plant.read(0, 20.0);
    let mut stream = Stream::open(page.address).await;
    let (name, snapshot) = stream.next().await.unwrap();
    assert_eq!(name, "snapshot");
    assert_eq!(snapshot["points"][0]["value"], json!(20.0));
    assert_eq!(snapshot["status"]["site"], "busan/factory");
    assert_eq!(snapshot["devices"]["channels"][0]["name"], "plc");
    assert_eq!(snapshot["alarms"], json!([]));
    plant.read(0, 21.0);
    let readings = stream.next_of("readings").await;
    assert_eq!(
        (&readings[0][0], &readings[0][1], readings.as_array().unwrap().len()),
        (&json!(0), &json!(21), 1)
    );
    plant.fail(0, Reason::Timeout);
    let readings = stream.next_of("readings").await;
    assert_eq!(
        (&readings[0][1], &readings[0][3], &readings[0][4]),
        (&json!(21), &json!("bad"), &json!("timeout"))
    );
    plant.alarm("hot", 0, Severity::High, AlarmState::ActiveUnacknowledged, None);
    assert_eq!(stream.next_of("alarms").await[0]["state"], "active-unacknowledged");
    page.stop().await;
}

#[tokio::test(start_paused = true)]
async fn statistics_come_every_two_seconds_as_a_sign_of_life() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    let mut stream = Stream::open(page.address).await;
    stream.next_of("status").await;
    let start = Instant::now();
    for _ in 0..5 {
        stream.next_of("devices").await;
        stream.next_of("status").await;
    }
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(9) && took <= Duration::from_secs(11), "{took:?}");
    page.stop().await;
}

#[tokio::test(start_paused = true)]
async fn readings_are_gathered_to_the_latest_of_each_point() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    let mut stream = Stream::open(page.address).await;
    stream.next_of("snapshot").await;
    let start = Instant::now();
    let mut events = 0;
    let mut value = 0_i64;
    while start.elapsed() < Duration::from_secs(2) {
        for _ in 0..1000 {
            value += 1;
            plant.read(0, value);
        }
        let readings = stream.next_of("readings").await;
        assert_eq!(readings.as_array().unwrap().len(), 1);
        assert_eq!(readings[0][1], json!(value));
        events += 1;
    }
    assert!((8..=12).contains(&events), "{events} events in 2 s");
    page.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_listens_at_the_bus_while_no_page_is_open() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    assert_eq!(get(page.address, "/api/v1/status").await.json()["page"]["streams"], json!(0));
    let asleep = Arc::strong_count(&plant.bus);
    let mut stream = Stream::open(page.address).await;
    stream.next_of("snapshot").await;
    assert_eq!(Arc::strong_count(&plant.bus), asleep + 1);
    drop(stream);
    while Arc::strong_count(&plant.bus) > asleep {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut again = Stream::open(page.address).await;
    plant.read(0, 5.0);
    let snapshot = again.next_of("snapshot").await;
    let value = match snapshot["points"][0]["value"].as_f64() {
        Some(value) => value,
        None => again.next_of("readings").await[0][1].as_f64().unwrap(),
    };
    assert_eq!(value, 5.0, "the page that came back misses nothing");
    page.stop().await;
}

#[tokio::test(start_paused = true)]
async fn streams_are_limited_and_a_closed_one_gives_its_place_back() {
    let plant = Plant::press();
    let page = plant.serve(Config { max_streams: 1, ..Config::default() }).await;
    let mut stream = Stream::open(page.address).await;
    stream.next_of("snapshot").await;
    let refused = get(page.address, "/api/v1/events").await;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (503, Some("too-many-streams")));
    assert_eq!(refused.headers["retry-after"], "5");
    let status = get(page.address, "/api/v1/status").await.json();
    assert_eq!((&status["page"]["streams"], &status["page"]["streamsRefused"]), (&json!(1), &json!(1)));
    drop(stream);
    while get(page.address, "/api/v1/status").await.json()["page"]["streams"] != json!(0) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Stream::open(page.address).await.next_of("snapshot").await;
    page.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_page_is_given_everything_anew_and_holds_nobody_up() {
    const POINTS: u32 = 2_000;
    let points = (0..POINTS).map(|i| number("rack", &format!("p{i}"), &format!("rack/p{i}"), "")).collect();
    let plant = Plant::new(points);
    let page = plant.serve(Config::default()).await;
    let mut slow = Stream::open_with(page.address, Some(4096)).await;
    slow.next_of("snapshot").await;
    let mut quick = Stream::open(page.address).await;
    quick.next_of("snapshot").await;
    // About 2 MB each: together far more than the sockets hold and one stream may be behind.
    let mut last = String::new();
    for round in 0..40 {
        last = format!("{round:<1000}");
        let at = plant.clock.stamp();
        let mut batch: Vec<_> =
            (0..POINTS).map(|i| Reading::good(PointId(i), Value::from(last.as_str()), at)).collect();
        plant.bus.publish(&mut batch);
        assert_eq!(quick.next_of("readings").await[0][1], json!(last), "the quick page has every round");
    }
    let anew = slow.next_of("snapshot").await;
    assert_eq!(anew["points"][POINTS as usize - 1]["value"], json!(last));
    let status = get(page.address, "/api/v1/status").await.json();
    assert!(status["page"]["streamsLagged"].as_u64().unwrap() >= 1);
    page.stop().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_streams_properly_and_at_once() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    let mut stream = Stream::open(page.address).await;
    stream.next_of("snapshot").await;
    let address = page.address;
    let start = Instant::now();
    page.stop().await;
    assert!(start.elapsed() <= Duration::from_secs(1), "{:?}", start.elapsed());
    while let Some((name, _)) = stream.next().await {
        assert_ne!(name, "snapshot");
    }
    let again = plant.serve_on(&address.to_string(), Config::default()).await;
    Stream::open(again.address).await.next_of("snapshot").await;
    again.stop().await;
}
