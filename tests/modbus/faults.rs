//! Faults of real sockets and ptys: connections that are cut, serial adapters that are pulled and put back.
//! Every register of the fake devices holds its own address, so a value of another point would show.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use iogate::driver::LinkState;
use iogate::driver::modbus::Transport;
use iogate::driver::modbus::wire::frame::crc16;
use iogate::model::{Reason, Value};
use rustix::fs::OFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_serial::{SerialPort, SerialStream};

use super::bench::{Running, unit};

const POINTS: [&str; 3] = [r#"{"holding": 5}"#, r#"{"holding": 50}"#, r#"{"holding": 500}"#];

/// What the points of [`POINTS`] must hold whenever they hold anything good.
fn own_values() -> Vec<Value> {
    vec![Value::Int(5), Value::Int(50), Value::Int(500)]
}

/// The answer to a read of holding registers: unit, function, byte count, addresses.
fn body(unit: u8, request: &[u8]) -> Vec<u8> {
    let pair = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
    let contents: Vec<u8> = (0..pair(3)).flat_map(|i| (pair(1) + i).to_be_bytes()).collect();
    [&[unit, 3, contents.len() as u8], &contents[..]].concat()
}

/// Answers `answers` requests on a Modbus TCP connection and then cuts it in the middle of the next answer.
async fn serve_tcp(mut stream: TcpStream, answers: usize) {
    let mut request = [0; 12];
    for turn in 0..=answers {
        if stream.read_exact(&mut request).await.is_err() {
            return;
        }
        let body = body(request[6], &request[7..]);
        let reply = [&request[..4], &(body.len() as u16).to_be_bytes()[..], &body].concat();
        let cut = if turn == answers { reply.len() / 2 } else { reply.len() };
        if stream.write_all(&reply[..cut]).await.is_err() {
            return;
        }
    }
}

async fn serve_rtu(mut adapter: Adapter) {
    let mut request = [0; 8];
    while adapter.near.read_exact(&mut request).await.is_ok() {
        let mut reply = body(request[0], &request[1..]);
        reply.extend_from_slice(&crc16(&reply).to_le_bytes());
        if adapter.near.write_all(&reply).await.is_err() {
            return;
        }
    }
}

fn tcp(port: u16) -> Transport {
    Transport::Tcp(
        serde_json::from_value(serde_json::json!({ "address": format!("127.0.0.1:{port}") })).unwrap(),
    )
}

#[tokio::test]
async fn connections_cut_in_the_middle_of_answers_cost_no_value() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = Running::start(tcp(listener.local_addr().unwrap().port()), vec![unit("plc", 1, &POINTS)]);
    let news = running.context.bus.subscribe(10_000);
    for answers in 1..25 {
        let (stream, _) = listener.accept().await.unwrap();
        serve_tcp(stream, answers).await;
    }
    let mut readings = Vec::new();
    news.recv(&mut readings).await;
    assert!(readings.len() > 100, "{}", readings.len());
    for reading in &readings {
        assert!(
            reading.quality.is_good(),
            "a connection that is opened again at once is no fault: {reading:?}"
        );
        assert_eq!(reading.value.as_ref(), Some(&own_values()[reading.point.index()]));
    }
    assert!(running.context.stats.reconnects.load(Ordering::Relaxed) >= 23);
    running.stop().await;
}

#[tokio::test]
async fn a_server_that_goes_away_is_told_and_found_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let running = Running::start(tcp(address.port()), vec![unit("plc", 1, &POINTS)]);
    let (stream, _) = listener.accept().await.unwrap();
    let serving = tokio::spawn(serve_tcp(stream, usize::MAX - 1));
    running.until_good(0..3).await;
    drop(listener);
    serving.abort();
    running.until_bad(2, Reason::NoConnection).await;
    assert_eq!(running.values(0..3), own_values(), "the last values stay");
    assert_eq!(running.context.stats.link.get(), LinkState::Offline);
    let listener = TcpListener::bind(address).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    tokio::spawn(serve_tcp(stream, usize::MAX - 1));
    running.until_good(0..3).await;
    assert_eq!(running.values(0..3), own_values());
    running.stop().await;
}

/// A pty that stands for a USB adapter. Its far end stays open besides the driver's, or the near one could
/// not be read while the driver has not opened it yet.
struct Adapter {
    near: SerialStream,
    _far: File,
}

/// A new pty; its far end gets the name `link`, as a replugged adapter gets its by-id name again.
fn plug(link: &Path) -> Adapter {
    let (near, mut far) = SerialStream::pair().unwrap();
    far.set_exclusive(false).unwrap();
    let name = far.name().unwrap();
    let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
    let held = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&name).unwrap();
    drop(far);
    symlink(name, link).unwrap();
    Adapter { near, _far: held }
}

/// The name goes first: the number of a closed pty is soon another test's.
async fn pull(link: &Path, device: tokio::task::JoinHandle<()>) {
    std::fs::remove_file(link).unwrap();
    device.abort();
    let _ = device.await;
}

#[tokio::test]
async fn a_serial_adapter_is_pulled_and_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("usb-adapter");
    let config = serde_json::json!({ "port": link, "baud": 115_200, "timeout": "100ms" });
    let device = tokio::spawn(serve_rtu(plug(&link)));
    let transport = Transport::Rtu(serde_json::from_value(config).unwrap());
    let running = Running::start(transport, vec![unit("sensor", 9, &POINTS)]);
    running.until_good(0..3).await;
    pull(&link, device).await;
    running.until_bad(0, Reason::NoConnection).await;
    for _ in 0..3 {
        let device = tokio::spawn(serve_rtu(plug(&link)));
        running.until_good(0..3).await;
        assert_eq!(running.values(0..3), own_values());
        pull(&link, device).await;
        running.until_bad(2, Reason::NoConnection).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn a_dead_connection_never_delays_another() {
    // Accepts nothing: connecting succeeds by the backlog, and no answer ever comes.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let live = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = Running::start(tcp(dead.local_addr().unwrap().port()), vec![unit("dead", 1, &POINTS)]);
    let running = Running::start(tcp(live.local_addr().unwrap().port()), vec![unit("live", 1, &POINTS)]);
    let (stream, _) = live.accept().await.unwrap();
    tokio::spawn(serve_tcp(stream, usize::MAX - 1));
    silent.until_bad(0, Reason::Timeout).await;
    running.until_good(0..3).await;
    assert_eq!(running.context.stats.devices[0].timeouts.load(Ordering::Relaxed), 0);
    tokio::time::timeout(Duration::from_secs(5), silent.stop()).await.expect("a dead channel stops as well");
    running.stop().await;
}
