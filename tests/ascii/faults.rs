//! What goes wrong on lines: no wrong value, the others go on, and what comes back is seen soon.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iogate::driver::LinkState;
use iogate::model::{Outcome, Reason, Value};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::bench::{PATIENCE, Running, on_pty, on_tcp, port};

fn config(channel: &str) -> String {
    format!(
        "
site: plant
channels: {{ line: {{ {channel} }} }}
devices:
  meter:
    channel: line
    poll: 20ms
    checksum: xor
    points:
      n: {{ ask: N, as: integer }}
"
    )
}

fn checked(text: &str) -> Vec<u8> {
    format!("{text}{:02X}\r\n", text.bytes().fold(0, |sum, byte| sum ^ byte)).into_bytes()
}

#[tokio::test]
async fn no_garbage_becomes_a_value() {
    let turn = AtomicU32::new(0);
    let script = move |_: &str| {
        let good = checked("42");
        Some(match turn.fetch_add(1, Ordering::Relaxed) % 7 {
            0 => good,
            1 => b"\xff\x00\xfe garbage \x80\r\n".to_vec(),
            2 => good[..3].to_vec(),
            3 => [b"9".to_vec(), good].concat(),
            4 => b"43\r\n".to_vec(),
            5 => vec![b'7'; 9000],
            _ => return None,
        })
    };
    let (address, _meter) = on_tcp(b'\n', Box::new(script)).await;
    let running = Running::start(&config(&format!("ascii-tcp: {{ address: '{address}', timeout: 50ms }}")));
    let readings = running.readings(30).await;
    assert!(readings.iter().any(|reading| reading.quality.is_good()));
    for reading in readings {
        assert!(reading.value.is_none_or(|value| value == Value::Int(42)), "a made-up value");
    }
    let stats = &running.context.stats.devices[0];
    assert!(stats.malformed.load(Ordering::Relaxed) > 0 && stats.timeouts.load(Ordering::Relaxed) > 0);
    running.stop().await;
}

/// The first answer comes when its question has been given up, before the next one may be asked.
#[tokio::test]
async fn a_late_answer_is_not_taken_for_that_of_the_next_question() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let given_up = Arc::new(tokio::sync::Notify::new());
    let late = Arc::clone(&given_up);
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        let mut first = true;
        while let Ok(Some(request)) = lines.next_line().await {
            if std::mem::take(&mut first) {
                late.notified().await;
            }
            let answer: &[u8] = if request == "A" { b"1\r\n" } else { b"2\r\n" };
            let _ = write.write_all(answer).await;
        }
    });
    let running = Running::start(&format!(
        "
site: plant
channels: {{ line: {{ ascii-tcp: {{ address: '{address}', timeout: 500ms }} }} }}
devices: {{ m: {{ channel: line, poll: 30ms, points: {{ a: {{ ask: A, as: integer }}, b: {{ ask: B, as: integer }} }} }} }}
"
    ));
    running
        .until("the first timeout", |this| {
            ["m/a", "m/b"].iter().any(|point| this.latest(point).quality.reason() == Some(Reason::Timeout))
        })
        .await;
    given_up.notify_one();
    for reading in running.readings(40).await.iter().filter(|reading| reading.quality.is_good()) {
        let wanted = if reading.point.0 == 0 { 1 } else { 2 };
        assert_eq!(reading.value, Some(Value::Int(wanted)));
    }
    running.until_value("m/a", 1_i64).await;
    running.until_value("m/b", 2_i64).await;
    running.stop().await;
    server.abort();
}

#[tokio::test]
async fn an_unplugged_port_is_told_and_comes_back_within_two_seconds() {
    let (_directory, link) = port();
    let plug = |value: &'static str| on_pty(&link, b'\n', Box::new(move |_| Some(checked(value))));
    let meter = plug("1");
    let running =
        Running::start(&config(&format!("ascii-serial: {{ port: {}, timeout: 200ms }}", link.display())));
    running.until_value("meter/n", 1_i64).await;
    std::fs::remove_file(&link).unwrap();
    meter.abort();
    running.until_bad("meter/n", Reason::NoConnection).await;
    assert_eq!(running.context.stats.link.get(), LinkState::Offline);
    let _meter = plug("2");
    let back = running.until_value("meter/n", 2_i64);
    tokio::time::timeout(Duration::from_secs(2), back).await.expect("it is seen within two seconds");
    assert_eq!(running.context.stats.reconnects.load(Ordering::Relaxed), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_silent_instrument_costs_the_other_little_and_is_seen_when_it_speaks() {
    let dead = Arc::new(Mutex::new(true));
    let silent = Arc::clone(&dead);
    let script = move |request: &str| match request {
        "DEAD" if *silent.lock().unwrap() => None,
        "DEAD" => Some(b"5\r\n".to_vec()),
        _ => Some(b"1\r\n".to_vec()),
    };
    let (address, _line) = on_tcp(b'\n', Box::new(script)).await;
    let running = Running::start(&format!(
        "
site: plant
channels: {{ line: {{ ascii-tcp: {{ address: '{address}', timeout: 50ms }} }} }}
devices:
  dead: {{ channel: line, poll: 10ms, points: {{ n: {{ ask: DEAD, as: integer }} }} }}
  live: {{ channel: line, poll: 10ms, points: {{ n: {{ ask: LIVE, as: integer }} }} }}
"
    ));
    running.until_bad("dead/n", Reason::Timeout).await;
    let asked = |device: usize| running.context.stats.devices[device].requests.load(Ordering::Relaxed);
    let before = (asked(0), asked(1));
    running.readings(200).await;
    let (dead_more, live_more) = (asked(0) - before.0, asked(1) - before.1);
    assert!(live_more >= 5 * dead_more, "{dead_more} questions to the silent one, {live_more} to the other");
    *dead.lock().unwrap() = false;
    running.until_value("dead/n", 5_i64).await;
    running.stop().await;
}

#[tokio::test]
async fn writes_to_a_port_that_is_not_there_are_refused_at_once() {
    let (_directory, link) = port();
    let running = Running::start(&format!(
        "
site: plant
channels: {{ line: {{ ascii-serial: {{ port: {} }} }} }}
devices: {{ m: {{ channel: line, points: {{ x: {{ ask: X, send: 'X{{value}}', access: rw, safe: none }} }} }} }}
",
        link.display()
    ));
    running.until_bad("m/x", Reason::NoConnection).await;
    let outcome = tokio::time::timeout(PATIENCE, running.write("m/x", 1.0)).await.expect("an answer");
    assert!(matches!(&outcome, Outcome::Failed(reason) if reason.contains("not open")), "{outcome:?}");
    running.stop().await;
}
