//! The broker's hot path: messages per second, and CPU of the broker's process per message.
//!
//! Publishers and subscribers over TCP are processes of their own, so their CPU time is not counted. Absent
//! on purpose: comparison with other brokers. Run: `cargo bench --bench broker_inproc`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench that fails stops")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use iogate::broker::{Broker, Config, PublishOptions, QoS};
use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;

const TOPICS: usize = 1_000;
const BATCH: usize = 200;
const PAYLOAD: usize = 100;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("subscribe") => {
            subscribe(args[2].parse().unwrap(), args[3].parse().unwrap(), args[4].parse().unwrap());
        }
        Some("publish") => {
            publish(args[2].parse().unwrap(), args[3].parse().unwrap(), args[4].parse().unwrap());
        }
        _ => run(),
    }
}

fn run() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("{PAYLOAD}-byte payloads, one TCP subscriber in a process of its own");
    runtime.block_on(async {
        for (name, qos, retain, count) in [
            ("inside  → TCP, QoS 0          ", 0, false, 10_000_000),
            ("inside  → TCP, QoS 0, retained", 0, true, 10_000_000),
            ("inside  → TCP, QoS 1, retained", 1, true, 2_000_000),
        ] {
            measure(name, qos, count, async |broker, _| inside(&broker, qos, retain, count).await).await;
        }
        for (name, qos, count) in [("TCP → TCP, QoS 0", 0, 10_000_000), ("TCP → TCP, QoS 1", 1, 1_000_000)]
        {
            measure(name, qos, count, async |_, address| {
                let child = spawn(&["publish", &address.to_string(), &qos.to_string(), &count.to_string()]);
                tokio::task::spawn_blocking(|| wait(child)).await.unwrap();
            })
            .await;
        }
    });
}

/// Runs one case against a fresh broker and prints its figures.
async fn measure(name: &str, qos: u8, count: usize, publish: impl AsyncFnOnce(Broker, SocketAddr)) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (broker, stop, address) =
        (Broker::new(Config::default()), CancellationToken::new(), listener.local_addr().unwrap());
    let serving = tokio::spawn({
        let (broker, stop) = (broker.clone(), stop.clone());
        async move { broker.serve(listener, stop).await }
    });
    let child = spawn(&["subscribe", &address.to_string(), &qos.to_string(), &count.to_string()]);
    while broker.stats().subscriptions == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (start, cpu) = (Instant::now(), cpu_time());
    publish(broker.clone(), address).await;
    tokio::task::spawn_blocking(|| wait(child)).await.unwrap();
    let (elapsed, cpu) = (start.elapsed(), cpu_time() - cpu);
    let stats = broker.stats();
    println!(
        "{name}: {:>9.0} msg/s, {:.3} µs CPU per message ({} dropped, {} pauses)",
        count as f64 / elapsed.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / count as f64,
        stats.dropped_queue_full,
        stats.pauses,
    );
    stop.cancel();
    serving.await.unwrap();
}

/// Publishes from inside, in batches, waiting where the subscriber is behind.
async fn inside(broker: &Broker, qos: u8, retain: bool, count: usize) {
    let mut publisher = broker.publisher("bench");
    let topics: Vec<_> = (0..TOPICS).map(|n| publisher.topic(&topic(n)).unwrap()).collect();
    let options = PublishOptions { qos: QoS::from_bits(qos).unwrap(), retain, ..PublishOptions::default() };
    let payload = [b'x'; PAYLOAD];
    for start in (0..count).step_by(BATCH) {
        let mut batch = publisher.batch();
        for n in start..start + BATCH {
            batch.publish(&topics[n % TOPICS], &payload, &options);
        }
        if batch.commit().wait {
            publisher.ready().await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

fn topic(n: usize) -> String {
    format!("busan/factory/line-{}/point-{n}", n % 10)
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

fn spawn(args: &[&str]) -> Child {
    Command::new(std::env::current_exe().unwrap()).args(args).stdout(Stdio::piped()).spawn().unwrap()
}

fn wait(mut child: Child) {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "done\n");
    assert!(child.wait().unwrap().success());
}

fn connect(address: SocketAddr, id: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let head =
        [&[0x10, 12 + id.len() as u8, 0, 4][..], b"MQTT", &[4, 2, 0, 0, 0, id.len() as u8], id.as_bytes()];
    stream.write_all(&head.concat()).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    stream
}

/// Receives `count` messages, acknowledging each read's worth in one write.
fn subscribe(address: SocketAddr, qos: u8, count: usize) {
    let mut stream = connect(address, "subscriber");
    stream.write_all(&[0x82, 6, 0, 1, 0, 1, b'#', qos]).unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    let mut acks = Vec::new();
    let mut left = count;
    packets(&mut stream, |stream, first, body, last| {
        if first >> 4 == 3 {
            left -= 1;
            if first & 6 != 0 {
                let at = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                acks.extend_from_slice(&[0x40, 2, body[at], body[at + 1]]);
            }
        }
        if last {
            stream.write_all(&acks).unwrap();
            acks.clear();
        }
        left > 0
    });
    stream.write_all(&acks).unwrap();
    println!("done");
}

/// Sends `count` messages; at QoS 1 with at most 1,000 of them unacknowledged.
fn publish(address: SocketAddr, qos: u8, count: usize) {
    const WINDOW: usize = 1_000;
    let mut stream = connect(address, "publisher");
    let mut chunk = Vec::new();
    for n in 0..WINDOW {
        let name = topic(n);
        let id: &[u8] = if qos > 0 { &(n as u16 + 1).to_be_bytes() } else { &[] };
        let len = 2 + name.len() + id.len() + PAYLOAD;
        assert!((128..16_384).contains(&len));
        chunk.extend_from_slice(&[0x30 | qos << 1, (len & 0x7f) as u8 | 0x80, (len >> 7) as u8]);
        chunk.extend_from_slice(&(name.len() as u16).to_be_bytes());
        chunk.extend_from_slice(name.as_bytes());
        chunk.extend_from_slice(id);
        chunk.extend_from_slice(&[b'x'; PAYLOAD]);
    }
    for _ in (0..count).step_by(WINDOW) {
        stream.write_all(&chunk).unwrap();
        if qos > 0 {
            let mut left = WINDOW;
            packets(&mut stream, |_, _, _, _| {
                left -= 1;
                left > 0
            });
        }
    }
    // The answer proves that everything before it was read.
    stream.write_all(&[0xc0, 0]).unwrap();
    stream.read_exact(&mut [0; 2]).unwrap();
    println!("done");
}

/// Hands every packet to `each` (with whether it is the last one of a read) until that returns false.
fn packets(stream: &mut TcpStream, mut each: impl FnMut(&mut TcpStream, u8, &[u8], bool) -> bool) {
    let mut buffer = vec![0; 256 << 10];
    let mut filled = 0;
    loop {
        filled += stream.read(&mut buffer[filled..]).unwrap();
        let mut at = 0;
        while let Some((head, len)) = header(&buffer[at..filled]) {
            let end = at + head + len;
            let last = header(&buffer[end..filled]).is_none();
            if !each(stream, buffer[at], &buffer[at + head..end], last) {
                return;
            }
            at = end;
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
}

/// Length of the fixed header and of the rest of a packet that is there in full.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut len = 0;
    for (index, &byte) in bytes.get(1..)?.iter().enumerate().take(4) {
        len |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return (bytes.len() >= index + 2 + len).then_some((index + 2, len));
        }
    }
    None
}
