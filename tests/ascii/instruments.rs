//! Instruments as they are: a scale by MT-SICS, a DCON module, a transmitter that talks by itself.

use std::sync::{Arc, Mutex};

use iogate::model::{Outcome, Quality, Reason, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::bench::{Running, on_pty, on_tcp, port};

fn say(text: impl Into<String>) -> Option<Vec<u8>> {
    Some(text.into().into_bytes())
}

/// MT-SICS: `S` gives `S S <weight, 10 columns> <unit>`, `S I` while it cannot, `ES` for what it does not know.
#[tokio::test]
async fn a_scale_weighs_and_says_when_it_cannot() {
    let (_directory, link) = port();
    let state = Arc::new(Mutex::new("S S     100.03 g".to_owned()));
    let answer = Arc::clone(&state);
    let _scale = on_pty(
        &link,
        b'\n',
        Box::new(move |request| match request {
            "S" => say(format!("{}\r\n", answer.lock().unwrap())),
            "I4" => say("I4 A \"B021002593\"\r\n"),
            _ => say("ES\r\n"),
        }),
    );
    let running = Running::start(&format!(
        "
site: plant
channels: {{ line: {{ ascii-serial: {{ port: {} }} }} }}
devices:
  scale:
    channel: line
    poll: 50ms
    busy-replies: [S I]
    error-replies: [ES, ET, EL]
    points:
      weight: {{ ask: S, columns: [4, 13], unit: g }}
      stable: {{ ask: S, regex: '^S (.)', as: state, on-word: S, off-word: D }}
      serial: {{ ask: I4, regex: '\"(.*)\"', as: text }}
      unknown: {{ ask: XY }}
",
        link.display()
    ));
    running.until_value("scale/weight", 100.03).await;
    running.until_value("scale/stable", true).await;
    running.until_value("scale/serial", "B021002593").await;
    running.until_bad("scale/unknown", Reason::ErrorReply).await;
    *state.lock().unwrap() = "S D      99.98 g".to_owned();
    running.until_value("scale/stable", false).await;
    running.until_value("scale/weight", 99.98).await;
    *state.lock().unwrap() = "S I".to_owned();
    running.until_bad("scale/weight", Reason::Busy).await;
    assert_eq!(running.latest("scale/weight").value, Some(Value::Float(99.98)), "the last value stands");
    *state.lock().unwrap() = "S +".to_owned();
    running.until_bad("scale/weight", Reason::MalformedReply).await;
    running.stop().await;
}

/// DCON: `#01` gives `>` and fixed-width numbers, `$026` a bitmap; two hexadecimal digits of a sum at the end.
#[tokio::test]
async fn modules_on_one_line_answer_with_checksums() {
    let check = |text: &str| format!("{text}{:02X}", text.bytes().fold(0_u8, u8::wrapping_add));
    let outputs = Arc::new(Mutex::new(0x05_u8));
    let seen = Arc::clone(&outputs);
    let script = move |request: &str| {
        let body = request.get(..request.len().saturating_sub(2)).unwrap_or_default();
        if check(body) != request {
            return None;
        }
        let answer = match body {
            "#01" => ">+025.13-001.50".to_owned(),
            "$026" => format!("!{:02}0000", seen.lock().unwrap()),
            _ => {
                let value = body.strip_prefix("#0200").filter(|digits| digits.len() == 2);
                match value.and_then(|digits| digits.parse().ok()) {
                    Some(value) => *seen.lock().unwrap() = value,
                    None => return say(check("?02") + "\r"),
                }
                ">".to_owned()
            }
        };
        say(check(&answer) + "\r")
    };
    let (address, _module) = on_tcp(b'\r', Box::new(script)).await;
    let running = Running::start(&format!(
        "
site: plant
channels: {{ line: {{ ascii-tcp: {{ address: '{address}' }} }} }}
devices:
  analog:
    channel: line
    poll: 50ms
    terminator: cr
    checksum: sum
    points:
      t1: {{ ask: '#01', columns: [1, 7], unit: °C }}
      t2: {{ ask: '#01', columns: [8, 14], unit: °C }}
  relays:
    channel: line
    poll: 50ms
    terminator: cr
    checksum: sum
    error-replies: ['?']
    points:
      r0: {{ ask: '$026', columns: [1, 2], hex-bit: 0 }}
      r1: {{ ask: '$026', columns: [1, 2], hex-bit: 1 }}
      all: {{ ask: '$026', columns: [1, 2], as: integer, access: rw, safe: none, send: '#0200{{value}}', answer: '>' }}
"
    ));
    running.until_value("analog/t1", 25.13).await;
    running.until_value("analog/t2", -1.5).await;
    running.until_value("relays/r0", true).await;
    running.until_value("relays/r1", false).await;
    assert_eq!(running.write("relays/all", 10_i64).await, Outcome::Verified { read_back: Value::Int(10) });
    assert_eq!(*outputs.lock().unwrap(), 10);
    let refused = running.write("relays/all", 1_000_i64).await;
    assert!(matches!(&refused, Outcome::Failed(reason) if reason.contains("?02")), "{refused:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_transmitter_talks_by_itself_while_another_is_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let running = Running::start(&format!(
        "
site: plant
channels: {{ line: {{ ascii-tcp: {{ address: '{address}', timeout: 10s }} }} }}
devices:
  vane:
    channel: line
    charset: latin-1
    points:
      temperature: {{ listen: 'T=', regex: 'T= *([-0-9,]+)', decimal-comma: on, unit: °C }}
      humidity: {{ listen: 'RH=', split: {{ separator: '=', index: 1 }}, suffix: '%', unit: '%' }}
  clock: {{ channel: line, poll: 1h, points: {{ time: {{ ask: TIME, as: text }} }} }}
"
    ));
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut asked = [0; 6];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"TIME\r\n");
    // The question is open, and lines of another instrument come before its answer.
    stream.write_all(b"RH=4").await.unwrap();
    stream.write_all(b"5.3%\r\nT= 21,5 \xb0C\r\n").await.unwrap();
    running.until_value("vane/humidity", 45.3).await;
    running.until_value("vane/temperature", 21.5).await;
    assert_eq!(running.latest("clock/time").quality, Quality::Bad(Reason::NotYetRead));
    stream.write_all(b"12:00\r\n").await.unwrap();
    running.until_value("clock/time", "12:00").await;
    // Nobody asks; what is nobody's is passed over.
    stream.write_all(b"noise\xff\xfe\r\nT= 22,0 \xb0C\r\n").await.unwrap();
    running.until_value("vane/temperature", 22.0).await;
    stream.write_all(b"T= fault\r\n").await.unwrap();
    running.until_bad("vane/temperature", Reason::MalformedReply).await;
    running.stop().await;
}

#[tokio::test]
async fn datagrams_and_silence_end_lines_too() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut chunk = [0; 256];
        while let Ok((count, from)) = socket.recv_from(&mut chunk).await {
            assert_eq!(&chunk[..count], b"#01\r");
            let _ = socket.send_to(b">+1.5", from).await;
        }
    });
    let running = Running::start(&format!(
        "
site: plant
channels: {{ line: {{ ascii-udp: {{ address: '{address}' }} }} }}
devices:
  module:
    channel: line
    poll: 50ms
    terminator: silence
    silence: 10ms
    points: {{ t: {{ ask: '#01', columns: [1, 9] }} }}
"
    ));
    running.until_value("module/t", 1.5).await;
    running.stop().await;
    server.abort();
}

#[tokio::test]
async fn a_sleeper_is_woken_and_echoes_are_passed_over() {
    let (_directory, link) = port();
    let mut awake = false;
    let script = move |request: &str| match (request, std::mem::replace(&mut awake, true)) {
        ("", _) => None,
        (request, true) => say(format!("{request}\r\nvalue 7\r\n")),
        _ => None,
    };
    let _sleeper = on_pty(&link, b'\r', Box::new(script));
    let running = Running::start(&format!(
        "
site: plant
channels: {{ line: {{ ascii-serial: {{ port: {} }} }} }}
devices:
  sleeper:
    channel: line
    poll: 50ms
    wake-up: \"\\r\"
    wake-up-pause: 10ms
    echoes: on
    points: {{ n: {{ ask: GET, regex: 'value ([0-9]+)', as: integer }} }}
",
        link.display()
    ));
    running.until_value("sleeper/n", 7_i64).await;
    running.stop().await;
}
