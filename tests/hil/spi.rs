//! An MCP3008 behind a spidev node that the kernel's CUSE serves: the driver's opening, set-up and transfers are real system
//! calls on a real character device, and behind it is a chip of ours instead of an SPI controller.
//!
//! The protocol is that of linux/fuse.h (7.x): requests are read from /dev/cuse and answered by their number. A transfer
//! comes in three steps, since only the transfer itself says where the bytes are.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use iogate::model::Reason;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::stage::{Stage, prompt, until_there};

const NODE: &str = "/dev/spidev0.0";

const CONFIG: &str = "
defaults: { poll: 100ms }
channels: { adc: { spi: { port: /dev/spidev0.0 } }, other: { spi: { port: /dev/spidev9.9 } } }
devices:
  tank:
    channel: adc
    spi-chip: mcp3008
    spi-reference: 3.3
    points: { level: { spi: ch0 }, difference: { spi: ch2-ch3 } }
  nowhere: { channel: other, spi-chip: mcp3008, spi-reference: 3.3, points: { v: { spi: ch0 } } }
";

/// Opcodes and flags of linux/fuse.h.
const OPEN: u32 = 14;
const RELEASE: u32 = 18;
const INTERRUPT: u32 = 36;
const IOCTL: u32 = 39;
const CUSE_INIT: u32 = 4096;
const RETRY: u32 = 4;

/// The first of the requests of linux/spi/spidev.h is a message; the others set or get one number.
const SPI_MAGIC: u32 = b'k' as u32;

/// What the chip does.
#[derive(Debug, Clone, Copy)]
enum Chip {
    /// It has this number on every input, and its negative half on pairs.
    Holds(u16),
    /// Nobody drives the line.
    Missing,
    /// The controller fails.
    Fails,
}

/// A plugged-in node.
struct Node {
    chip: Arc<Mutex<Chip>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    fn plug_in(chip: Chip) -> Self {
        let (chip, stop) = (Arc::new(Mutex::new(chip)), Arc::new(AtomicBool::new(false)));
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/cuse").unwrap();
        let (own, ended) = (Arc::clone(&chip), Arc::clone(&stop));
        let thread = std::thread::spawn(move || serve(file, &own, &ended));
        until_there(Path::new(NODE), true);
        Self { chip, stop, thread: Some(thread) }
    }

    fn be(&self, chip: Chip) {
        *self.chip.lock().unwrap() = chip;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn serve(mut file: File, chip: &Mutex<Chip>, stop: &AtomicBool) {
    let mut request = vec![0; 1 << 17];
    let patience = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    while !stop.load(Ordering::Relaxed) {
        let mut ready = [PollFd::new(&file, PollFlags::IN)];
        if poll(&mut ready, Some(&patience)).unwrap() == 0 {
            continue;
        }
        let Ok(length) = file.read(&mut request) else { continue };
        let (opcode, number) = (word(&request, 4), long(&request, 8));
        let body = &request[40..length];
        let (error, answer) = match opcode {
            CUSE_INIT => (0, hello()),
            OPEN => (0, vec![0; 16]),
            RELEASE => (0, Vec::new()),
            IOCTL => match ioctl(body, *chip.lock().unwrap()) {
                Ok(answer) => (0, answer),
                Err(errno) => (-errno.raw_os_error(), Vec::new()),
            },
            INTERRUPT => continue,
            _ => (-rustix::io::Errno::NOSYS.raw_os_error(), Vec::new()),
        };
        let mut out = u32::try_from(16 + answer.len()).unwrap().to_ne_bytes().to_vec();
        out.extend_from_slice(&error.to_ne_bytes());
        out.extend_from_slice(&number.to_ne_bytes());
        out.extend_from_slice(&answer);
        // Whoever has asked may have gone meanwhile.
        let _ = file.write(&out);
    }
}

/// `cuse_init_out` with unrestricted requests, and the node's name.
fn hello() -> Vec<u8> {
    let words: [u32; 18] = [7, 31, 0, 1, 4096, 4096, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut out: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    out.extend_from_slice(b"DEVNAME=spidev0.0\0");
    out
}

/// The answer to a request: what it is about, or where its bytes are to be fetched from and put.
fn ioctl(body: &[u8], chip: Chip) -> Result<Vec<u8>, rustix::io::Errno> {
    let (command, argument) = (word(body, 12), long(body, 16));
    let (has, room) = (word(body, 24), word(body, 28));
    let (kind, which, size) = (command >> 8 & 0xff, command & 0xff, command >> 16 & 0x3fff);
    let data = &body[32..];
    if kind != SPI_MAGIC {
        return Err(rustix::io::Errno::NOTTY);
    }
    let whole = (argument, u64::from(size));
    match (which, command >> 30) {
        (0, _) if has < size => Ok(again(&[whole], &[])),
        (0, _) => {
            let transfers: Vec<(u64, u64, u64)> = (0..size as usize / 32)
                .map(|at| 32 * at)
                .map(|at| (long(data, at), long(data, at + 8), u64::from(word(data, at + 16))))
                .collect();
            let total: u64 = transfers.iter().map(|(.., length)| length).sum();
            if u64::from(has) < u64::from(size) + total {
                let sent = transfers.iter().map(|(from, _, length)| (*from, *length));
                let sources: Vec<_> = [whole].into_iter().chain(sent).collect();
                let targets: Vec<_> = transfers.iter().map(|(_, to, length)| (*to, *length)).collect();
                return Ok(again(&sources, &targets));
            }
            let answer = exchange(&data[size as usize..], chip)?;
            Ok(done(i32::try_from(total).unwrap(), &answer))
        }
        // Set.
        (_, 1) if has < size => Ok(again(&[whole], &[])),
        (_, 1) => Ok(done(0, &[])),
        // Get.
        (_, 2) if room < size => Ok(again(&[], &[whole])),
        (_, 2) => Ok(done(0, &vec![0; size as usize])),
        _ => Err(rustix::io::Errno::NOTTY),
    }
}

/// The chip's side of an exchange (data sheet DS21295, figure 6-1).
fn exchange(sent: &[u8], chip: Chip) -> Result<Vec<u8>, rustix::io::Errno> {
    match chip {
        Chip::Fails => Err(rustix::io::Errno::IO),
        Chip::Missing => Ok(vec![0xff; sent.len()]),
        Chip::Holds(number) => {
            let [begin, choice, _] = sent else { return Err(rustix::io::Errno::INVAL) };
            assert_eq!(*begin, 1, "the start bit");
            let number = if choice & 0x80 == 0 { number / 2 } else { number };
            let [high, low] = number.to_be_bytes();
            Ok(vec![0xff, 0xf8 | high, low])
        }
    }
}

/// `fuse_ioctl_out` that asks for the request once more, with these pieces of the caller's memory.
fn again(sources: &[(u64, u64)], targets: &[(u64, u64)]) -> Vec<u8> {
    let counts = [sources.len(), targets.len()].map(|count| u32::try_from(count).unwrap());
    let mut out: Vec<u8> =
        [0, RETRY, counts[0], counts[1]].iter().flat_map(|word| word.to_ne_bytes()).collect();
    for (base, length) in sources.iter().chain(targets) {
        out.extend_from_slice(&base.to_ne_bytes());
        out.extend_from_slice(&length.to_ne_bytes());
    }
    out
}

/// `fuse_ioctl_out` with a result, and the bytes for the caller.
fn done(result: i32, bytes: &[u8]) -> Vec<u8> {
    let mut out = result.to_ne_bytes().to_vec();
    out.extend_from_slice(&[0; 12]);
    out.extend_from_slice(bytes);
    out
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

#[tokio::test]
#[ignore = "runs in the user-mode kernel"]
async fn a_converter_is_read_missed_and_read_again() {
    let node = Node::plug_in(Chip::Holds(512));
    let stage = Stage::start(CONFIG).await;
    stage.number("tank/level", 1.65, 1e-9).await;
    stage.number("tank/difference", 0.825, 1e-9).await;
    stage.bad("nowhere/v", Reason::NoConnection).await;
    // A port that is not there costs the other one nothing.
    let begun = std::time::Instant::now();
    for _ in 0..10 {
        stage.number("tank/level", 1.65, 1e-9).await;
    }
    println!("SPI: every {:?} beside a port that is not there, 100 ms wanted", begun.elapsed() / 10);
    for chip in [Chip::Missing, Chip::Fails] {
        node.be(chip);
        stage.bad("tank/level", Reason::NoConnection).await;
        node.be(Chip::Holds(1023));
        let took = stage.number("tank/level", 1023.0 * 3.3 / 1024.0, 1e-9).await;
        println!("SPI: back {took:?} after {chip:?}");
        prompt(took, Duration::from_secs(2));
    }
    drop(node);
    stage.bad("tank/level", Reason::NoConnection).await;
    until_there(Path::new(NODE), false);
    let _node = Node::plug_in(Chip::Holds(0));
    let took = stage.number("tank/level", 0.0, 0.0).await;
    println!("SPI: back {took:?} after its node");
    prompt(took, Duration::from_secs(2));
    stage.stop().await;
}
