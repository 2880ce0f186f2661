//! Damaged packets against a whole connection: nothing panics, nothing grows, and it does not matter how the bytes
//! were cut into reads.
//!
//! Valid packets of every version are put together to conversations and damaged: bits flipped, pieces cut out, spliced
//! in or repeated, lengths that lie. Each result goes to a broker of its own over a pipe, once whole and once in
//! pieces. `IOGATE_FUZZ_SECONDS` makes it go on for so long, `IOGATE_FUZZ_SEED` repeats a run. Invariant: a round
//! depends on its seed alone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use iogate::broker::{Broker, Config, Stats};
use iogate::model::units::{ByteSize, Period};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::client::{Connect, Will, binary, packet, section, string};

/// Rounds when nothing else is said: some seconds.
const ROUNDS: u64 = 2_000;

/// What the address space may grow by while broken packets are served, in kibibytes. One broker at a time lives, its
/// packets limited to 64 KiB; a length that is believed would ask for up to 256 MiB.
const GROWTH_KIB: u64 = 64 << 10;

/// How long a connection that has everything is given on the paused clock: less than any time-out of the broker.
const QUIET: Duration = Duration::from_millis(10);

/// Something of every kind that a client sends, and much that it must not.
fn packets(level: u8) -> Vec<Vec<u8>> {
    let v5 = level == 5;
    let none = || if v5 { vec![0] } else { vec![] };
    let some = |properties: &[u8]| if v5 { section(properties) } else { vec![] };
    let join = |parts: &[&[u8]]| parts.concat();
    let (topic, filter) = (string("a/b"), string("a/+"));
    let passed = join(&[
        &[0x01, 1, 0x02, 0, 0, 0, 9, 0x03],
        &string("c"),
        &[0x08],
        &string("r"),
        &[0x09],
        &binary(b"x"),
        &[0x26],
        &string("k"),
        &string("v"),
    ]);
    let mut all = vec![
        packet(0x30, &join(&[&topic, &some(&passed), b"hello"])),
        packet(0x31, &join(&[&topic, &none(), b"kept"])),
        packet(0x31, &join(&[&topic, &none()])),
        packet(0x32, &join(&[&topic, &[0, 7], &none(), b"one"])),
        packet(0x34, &join(&[&topic, &[0, 8], &some(&[0x23, 0, 1]), b"two"])),
        packet(0x3c, &join(&[&topic, &[0, 8], &none(), b"two"])),
        packet(0x30, &join(&[&string(""), &some(&[0x23, 0, 1]), b"aliased"])),
        packet(0x30, &join(&[&string("$SYS/x"), &none()])),
        packet(0x82, &join(&[&[0, 1], &some(&[0x0b, 0x81, 1]), &filter, &[1], &string("#"), &[2]])),
        packet(0x82, &join(&[&[0, 2], &none(), &string("$share/g/a/#"), &[1]])),
        packet(0x82, &join(&[&[0, 3], &none(), &topic, &[if v5 { 0x2d } else { 0 }]])),
        packet(0xa2, &join(&[&[0, 4], &none(), &filter, &string("$share/g/a/#")])),
        packet(0x62, &[0, 8]),
        packet(0x40, &[0, 1]),
        packet(0x50, &[0, 1]),
        packet(0x70, &[0, 1]),
        packet(0xc0, &[]),
        packet(0xd0, &[]),
        packet(0x20, &[0, 0]),
        packet(0x90, &[0, 1, 0]),
        packet(0xe0, &[]),
        packet(
            0xf0,
            &join(&[
                &[0x18],
                &some(&join(&[&[0x15], &string("SCRAM-SHA-256"), &[0x16], &binary(b"n,,n=a")])),
            ]),
        ),
    ];
    if v5 {
        all.push(packet(0x40, &[0, 1, 0x87, 0]));
        all.push(packet(0x50, &join(&[&[0, 2, 0x80], &section(&join(&[&[0x1f], &string("why")]))])));
        all.push(packet(0xe0, &join(&[&[0x04], &section(&[0x11, 0, 0, 0, 1])])));
    }
    all
}

fn connects() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for level in [3, 4, 5] {
        let properties = if level == 5 { vec![0x18, 0, 0, 0, 5, 0x01, 1] } else { vec![] };
        let will = Will { topic: "will", payload: b"gone", qos: 1, retain: true, properties };
        let plain = Connect::new(level, "c");
        let login = Some(("user".to_owned(), "secret".to_owned()));
        all.push(Connect { will: Some(will), login, ..plain.clone() }.keeping().bytes());
        all.push(plain.bytes());
    }
    let properties = vec![0x11, 0, 0, 0, 9, 0x21, 0, 2, 0x22, 0, 9, 0x27, 0, 0, 0x40, 0, 0x19, 1, 0x17, 0];
    all.push(Connect { properties, ..Connect::v5("") }.bytes());
    all
}

/// A conversation, and where its CONNECT ends.
fn conversation(rng: &mut Rng, connects: &[Vec<u8>], packets: &[Vec<Vec<u8>>]) -> (Vec<u8>, usize) {
    let index = rng.usize(..connects.len());
    let mut bytes = connects[index].clone();
    let head = bytes.len();
    // Mostly of the version of the CONNECT.
    let version = if rng.u8(..10) == 0 { rng.usize(..packets.len()) } else { usize::from(index > 3) };
    for _ in 0..rng.usize(..14) {
        bytes.extend_from_slice(&packets[version][rng.usize(..packets[version].len())]);
    }
    (bytes, head)
}

/// One kind of damage, from `from` on.
fn damage(rng: &mut Rng, bytes: &mut Vec<u8>, from: usize, packets: &[Vec<Vec<u8>>]) {
    const TELLING: [u8; 8] = [0, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff];
    if from >= bytes.len() {
        return;
    }
    let at = rng.usize(from..bytes.len());
    let end = (at + rng.usize(1..9)).min(bytes.len());
    match rng.u8(..9) {
        0 | 1 => bytes[at] ^= 1 << rng.u8(..8),
        2 | 3 => bytes[at] = TELLING[rng.usize(..TELLING.len())],
        4 => drop(bytes.drain(at..end)),
        5 => {
            let piece = bytes[at..end].to_vec();
            drop(bytes.splice(at..at, piece));
        }
        6 => bytes.truncate(at),
        7 => {
            let version = &packets[rng.usize(..packets.len())];
            let other = &version[rng.usize(..version.len())];
            let piece = other[rng.usize(..other.len())..].to_vec();
            drop(bytes.splice(at..end, piece));
        }
        _ => {
            // A remaining length, or any other, that promises much; now and then something comes.
            drop(bytes.splice(at..end, [0xff, 0xff, 0xff, 0x7f]));
            bytes.resize(bytes.len() + rng.usize(..2) * rng.usize(..80_000), 0x61);
        }
    }
}

/// What came of an input, as far as it must not depend on how it was read.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    ended: bool,
    /// What the client was sent: everything but messages, and the messages.
    answers: Vec<Vec<u8>>,
    messages: Vec<Vec<u8>>,
    counted: [u64; 9],
}

fn config() -> Config {
    Config {
        max_packet: ByteSize(64 << 10),
        sys_interval: Period::from_secs(0),
        max_user_properties: 3,
        receive_maximum: 5,
        ..Config::default()
    }
}

fn counted(stats: &Stats) -> [u64; 9] {
    let s = stats;
    [
        s.connects,
        s.connects_refused,
        s.protocol_errors,
        s.packets_in,
        s.messages_in,
        s.sessions,
        s.subscriptions,
        s.shared_subscriptions,
        s.retained,
    ]
}

/// Splits what the broker sent into packets; fails if it is not whole packets.
fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (mut len, mut header) = (0, 1);
        loop {
            len |= usize::from(bytes[header] & 0x7f) << (7 * (header - 1));
            header += 1;
            if bytes[header - 1] & 0x80 == 0 {
                break;
            }
        }
        let (one, rest) = bytes.split_at(header + len);
        all.push(one.to_vec());
        bytes = rest;
    }
    all
}

/// Whether the client acknowledges something. What that does depends on what it was sent before, and so on time.
fn acknowledges(mut input: &[u8]) -> bool {
    while let [first, rest @ ..] = input {
        let (mut len, mut size) = (0, 0);
        loop {
            let Some(byte) = rest.get(size) else { return false };
            len |= usize::from(byte & 0x7f) << (7 * size);
            size += 1;
            if byte & 0x80 == 0 || size == 4 {
                break;
            }
        }
        if matches!(first >> 4, 4 | 5 | 7) {
            return true;
        }
        input = rest.get(size + len..).unwrap_or_default();
    }
    false
}

/// Takes the packet identifier out of a message: which of two copies is sent first depends on time.
fn forget_identifier(packet: &mut Vec<u8>) {
    if packet[0] & 6 != 0 {
        let header = 1 + packet[1..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let at = header + 2 + usize::from(u16::from_be_bytes([packet[header], packet[header + 1]]));
        drop(packet.drain(at..at + 2));
    }
}

/// Whether a retained message was sent. It is the one that is kept when its turn comes, and that depends on time.
fn was_kept(packet: &[u8]) -> bool {
    packet[0] & 1 == 1
}

/// Serves `input`, at most `size` bytes a read, on a clock that stands still.
fn serve(input: &[u8], size: usize, seed: u64) -> Outcome {
    // The broker makes up client identifiers.
    fastrand::seed(seed);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let broker = Broker::new(config());
        let (near, far) = tokio::io::duplex(size);
        let serving = tokio::spawn({
            let broker = broker.clone();
            let peer = SocketAddr::from(([127, 0, 0, 1], 1));
            async move { broker.serve_stream(far, peer, CancellationToken::new()).await }
        });
        let (mut read, mut write) = tokio::io::split(near);
        let reading = tokio::spawn(async move {
            let mut sent = Vec::new();
            // An error is an end, too.
            let _ = read.read_to_end(&mut sent).await;
            sent
        });
        // The broker may refuse the rest.
        let _ = write.write_all(input).await;
        tokio::time::sleep(QUIET).await;
        let ended = reading.is_finished();
        let stats = counted(&broker.stats());
        write.shutdown().await.ok();
        serving.await.expect("no panic");
        let sent = split(&reading.await.unwrap());
        let (messages, answers): (Vec<_>, Vec<_>) = sent.into_iter().partition(|packet| packet[0] >> 4 == 3);
        // Messages that were on their way to a client that goes, or must go, may or may not arrive.
        let mut outcome = Outcome { ended, answers, messages, counted: stats };
        if ended {
            outcome.messages.clear();
        }
        outcome.messages.iter_mut().for_each(forget_identifier);
        outcome.messages.sort();
        outcome
    })
}

/// The most address space that the process ever had, in kibibytes.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmPeak:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn damaged_packets_do_no_harm_and_end_alike_however_they_are_read() {
    let base = from_environment("IOGATE_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    let limit = from_environment("IOGATE_FUZZ_SECONDS").map(Duration::from_secs);
    let (connects, packets) = (connects(), vec![packets(4), packets(5)]);
    let (begun, mut round, mut before) = (Instant::now(), 0, 0);
    while limit.map_or(round < ROUNDS, |limit| begun.elapsed() < limit) {
        let seed = base.wrapping_add(round);
        let mut rng = Rng::with_seed(seed);
        round += 1;
        if round == ROUNDS / 10 {
            before = peak_kib();
        }
        let (mut input, head) = conversation(&mut rng, &connects, &packets);
        // Damage in the CONNECT hides everything behind it.
        let from = if rng.u8(..4) == 0 { 0 } else { head };
        for _ in 0..rng.u8(..5) {
            damage(&mut rng, &mut input, from, &packets);
        }
        let mut whole = serve(&input, 1 << 20, seed);
        // Byte by byte, where that does not take long.
        let size =
            if input.len() > 4_096 { rng.usize(100..5_000) } else { [1, rng.usize(2..40)][rng.usize(..2)] };
        let mut pieces = serve(&input, size, seed);
        if whole.messages.iter().chain(&pieces.messages).any(|packet| was_kept(packet)) {
            whole.messages.clear();
            pieces.messages.clear();
        }
        if acknowledges(&input) {
            continue;
        }
        assert_eq!(whole, pieces, "IOGATE_FUZZ_SEED={seed}: {:02x?}", &input[..input.len().min(2_000)]);
    }
    let grown = peak_kib() - before;
    assert!(grown < GROWTH_KIB, "IOGATE_FUZZ_SEED={base}: grew by {grown} KiB in {round} rounds");
    println!("{round} rounds from IOGATE_FUZZ_SEED={base} in {:?}, {grown} KiB more", begun.elapsed());
}
