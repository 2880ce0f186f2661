//! What goes wrong between gateway and device: no wrong value ever comes of it, and what comes back is seen.

use std::sync::atomic::Ordering;
use std::time::Instant;

use iogate::driver::LinkState;
use iogate::model::{Outcome, Reason, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::bench::{Double, Running, plan};

/// One thermometer and one digital device on channels of their own.
const PLANT: &str = r"
site: plant
defaults: { poll: 20ms }
channels:
  cellar: { http: { address: 192.0.2.31, timeout: 300ms, connect-timeout: 300ms } }
  roof: { http: { address: 192.0.2.32, timeout: 300ms, connect-timeout: 300ms } }
devices:
  cellar: { channel: cellar, profile: wut/57707 }
  roof: { channel: roof, profile: wut/57737 }
";

/// What is good of the cellar's points is what the double holds.
fn assert_true(running: &Running) {
    for (point, value) in [("cellar/temperature-1", 21.5), ("cellar/temperature-2", -7.25)] {
        let latest = running.latest(point);
        assert!(latest.value.is_none() || latest.value == Some(Value::Float(value)), "{point}: {latest:?}");
    }
}

async fn start() -> (Double, Running) {
    let mut double = Double::start(PLANT);
    double.tell("set cellar/temperature-1 21.5");
    double.tell("set cellar/temperature-2 -7.25");
    let running = Running::start(plan(PLANT), &double);
    running.until_value("cellar/temperature-1", 21.5).await;
    running.until_value("cellar/temperature-2", -7.25).await;
    (double, running)
}

#[tokio::test]
async fn every_misbehaviour_is_a_reason_and_ends_with_its_cause() {
    let (mut double, running) = start().await;
    for (fault, reason) in [
        ("dead", Reason::Timeout),
        ("late", Reason::Timeout),
        ("short", Reason::Timeout),
        ("cut", Reason::NoConnection),
        ("reset", Reason::NoConnection),
        ("corrupt", Reason::MalformedReply),
        ("wrong-length", Reason::MalformedReply),
        ("status 503", Reason::HttpStatus(503)),
        ("status 404", Reason::HttpStatus(404)),
        ("status 302", Reason::HttpStatus(302)),
    ] {
        double.tell(&format!("fault cellar {fault}"));
        running.until_bad("cellar/temperature-1", reason).await;
        running.until_bad("cellar/temperature-2", reason).await;
        assert_true(&running);
        double.tell("clear cellar");
        let back = Instant::now();
        running.until_value("cellar/temperature-1", 21.5).await;
        running.until_value("cellar/temperature-2", -7.25).await;
        eprintln!("{fault}: good again after {:?}", back.elapsed());
    }
    let stats = &running.context(0).stats.devices[0];
    assert!(stats.timeouts.load(Ordering::Relaxed) > 0 && stats.malformed.load(Ordering::Relaxed) > 0);
    assert!(stats.exceptions.load(Ordering::Relaxed) > 0);
    running.stop().await;
}

#[tokio::test]
async fn a_host_that_goes_away_and_comes_back_is_seen_again() {
    let (mut double, running) = start().await;
    double.tell("unplug cellar");
    running.until_bad("cellar/temperature-2", Reason::NoConnection).await;
    assert_eq!(running.context(0).stats.link.get(), LinkState::Offline);
    double.tell("plug cellar");
    let back = Instant::now();
    running.until_value("cellar/temperature-2", -7.25).await;
    eprintln!("plugged in: good again after {:?}", back.elapsed());
    assert_eq!(running.context(0).stats.link.get(), LinkState::Online);
    assert!(running.context(0).stats.reconnects.load(Ordering::Relaxed) > 0);
    running.stop().await;
}

#[tokio::test]
async fn a_silent_device_does_not_slow_another() {
    let (mut double, running) = start().await;
    double.tell("fault cellar dead");
    running.until_bad("cellar/temperature-1", Reason::Timeout).await;
    let asked = |channel: usize| running.context(channel).stats.devices[0].requests.load(Ordering::Relaxed);
    let (silent, other) = (asked(0), asked(1));
    running.until("50 answers of the other", |_| asked(1) >= other + 50).await;
    // Each request to the silent one waits for 300 ms; had the other waited along, there were as many of them.
    assert!(asked(0) - silent < 25, "{} requests to the silent device", asked(0) - silent);
    assert!(!running.latest("cellar/temperature-1").quality.is_usable());
    running.stop().await;
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_judged_by_what_reads_back() {
    let mut double = Double::start(PLANT);
    // Nothing is polled again, so that the fault strikes the write.
    let running = Running::start(plan(&PLANT.replace("20ms", "1h")), &double);
    running.until_value("roof/output-0", false).await;
    double.tell("fault roof cut times 1");
    let outcome = running.write("roof/output-0", true).await;
    assert_eq!(outcome, Outcome::Verified { read_back: Value::Bool(true) });
    assert!(double.tell("stats").contains("writes=1 "), "it went out once");
    double.tell("fault roof status 503");
    let Outcome::Failed(reason) = running.write("roof/output-1", true).await else {
        panic!("it was refused")
    };
    assert!(reason.contains("busy"), "{reason}");
    double.tell("clear roof");
    assert!(double.tell("get roof/output-1").contains("= false"));
    running.stop().await;
}

#[tokio::test]
async fn a_device_that_closes_after_each_answer_is_read_without_a_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let body =
                if request[..read].starts_with(b"GET /portinfo") { "1.0|0\r\n" } else { "21,5°C;-7,25°C" };
            // It does not say that it will close.
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(head.as_bytes()).await.unwrap();
        }
    });
    let yaml = "site: s\ndefaults: { poll: 5ms }\nchannels: { cellar: { http: { address: 192.0.2.1 } } }\n\
                devices: { cellar: { channel: cellar, points: { temperature-1: { get: /t, split: {}, suffix: °C, decimal-comma: on } } } }\n";
    let running = Running::lead(plan(yaml), |_| address.clone());
    let news = running.bus.subscribe(4096);
    running.until_value("cellar/temperature-1", 21.5).await;
    running.until("many readings", |this| this.bus.published() >= 100).await;
    let mut readings = Vec::new();
    news.recv(&mut readings).await;
    assert!(readings.len() > 10 && readings.iter().all(|reading| reading.quality.is_good()), "{readings:?}");
    running.stop().await;
}

#[tokio::test]
async fn nobody_at_the_address_is_no_connection_and_stops_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let running = Running::lead(plan(PLANT), |_| address.clone());
    running.until_bad("roof/input-0", Reason::NoConnection).await;
    let Outcome::Failed(reason) = running.write("roof/output-0", true).await else {
        panic!("nobody is there")
    };
    assert!(reason.contains("does not answer"), "{reason}");
    running.stop().await;
}
