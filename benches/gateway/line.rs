//! A Modbus RTU slave on a pseudo-terminal that takes as long as a real line would.
//!
//! A pseudo-terminal has no speed. So the slave computes when the last bit of a request would have left the
//! wire, waits for the silence that ends a frame, and hands its answer over as a UART with a FIFO would:
//! eight bytes at a time, each time when the eighth would have come in. Absent: line noise, faults.
//! Invariant: no byte of an answer is there earlier than the wire allows.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::Outcome;

/// Bits on the wire per character: start, eight data bits, one stop bit, no parity.
const BITS_PER_CHARACTER: u32 = 10;
/// Length of the requests that are answered: unit, function, address, count, CRC.
const REQUEST_BYTES: u32 = 8;
/// Bytes of an answer besides its registers: unit, function, length, CRC.
const ANSWER_OVERHEAD: u32 = 5;
/// Characters of silence between frames (Serial Line 1.02, section 2.5.1.1).
const SILENCE_CHARACTERS: f64 = 3.5;
/// What a UART's FIFO gathers before it asks to be read.
const FIFO_BYTES: usize = 8;
/// The end of a wait that is spent spinning: a sleep may be late by about this much.
const SPIN: Duration = Duration::from_micros(120);
/// A master that sees the end of an answer late sees it early the next time; less than this is no breach.
const TOLERANCE: Duration = Duration::from_micros(20);

/// What the line has seen.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Requests that were answered.
    pub(crate) answered: AtomicU64,
    /// Requests that began before the silence after the last answer was over.
    pub(crate) too_early: AtomicU64,
    stopping: AtomicBool,
}

/// A running slave; it ends when dropped.
pub(crate) struct Line {
    /// The serial port for the master.
    pub(crate) port: String,
    /// What the line has seen.
    pub(crate) traffic: Arc<Traffic>,
    // Without an open slave side the master side reads an error between two users.
    peer: File,
}

/// One character at this speed.
pub(crate) fn character(baud: u32) -> Duration {
    Duration::from_secs(1) * BITS_PER_CHARACTER / baud
}

/// The silence between frames at this speed: 3.5 characters, and 1.75 ms above 19200 baud (section 2.5.1.1).
pub(crate) fn silence(baud: u32) -> Duration {
    if baud > 19_200 { Duration::from_micros(1750) } else { character(baud).mul_f64(SILENCE_CHARACTERS) }
}

/// What one read of so many registers takes at best: the bytes of both frames, the slave's silence before
/// its answer and the master's before its next request.
pub(crate) fn shortest_exchange(baud: u32, registers: u16) -> Duration {
    let bytes = REQUEST_BYTES + ANSWER_OVERHEAD + 2 * u32::from(registers);
    character(baud) * bytes + silence(baud) * 2
}

impl Line {
    /// Starts a slave with unit identifier 1 at this speed, 8N1.
    pub(crate) fn start(baud: u32) -> Outcome<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = OsString::from_vec(ptsname(&master, Vec::new())?.into_bytes());
        let port = name.into_string().map_err(|name| format!("a port called {}", name.display()))?;
        let peer = File::options().read(true).write(true).open(&port)?;
        let mut settings = tcgetattr(&peer)?;
        settings.make_raw();
        tcsetattr(&peer, OptionalActions::Now, &settings)?;
        let traffic = Arc::new(Traffic::default());
        let seen = Arc::clone(&traffic);
        thread::spawn(move || serve(File::from(master), baud, &seen));
        Ok(Self { port, traffic, peer })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.traffic.stopping.store(true, Ordering::Relaxed);
        // The slave's thread looks at the flag when it has read something.
        let _ = self.peer.write_all(&[0]);
    }
}

fn serve(mut port: File, baud: u32, traffic: &Traffic) {
    let mut request = [0u8; 256];
    let mut held = 0;
    let mut began = Instant::now();
    let mut free_from = began;
    let mut value = 0u16;
    while !traffic.stopping.load(Ordering::Relaxed) {
        let Ok(got) = port.read(&mut request[held..]) else { return };
        if held == 0 {
            began = Instant::now();
        }
        held += got;
        if held < REQUEST_BYTES as usize {
            continue;
        }
        let too_early = began + TOLERANCE < free_from;
        value = value.wrapping_add(1);
        let answer = answer(&request[..REQUEST_BYTES as usize], value);
        held = 0;
        let first_bit = began + character(baud) * REQUEST_BYTES + silence(baud);
        if send(&mut port, &answer, first_bit, baud).is_err() {
            return;
        }
        free_from = first_bit + character(baud) * answer.len() as u32 + silence(baud);
        traffic.too_early.fetch_add(u64::from(too_early), Ordering::Relaxed);
        traffic.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// The answer to a read of registers, all of which hold `value`; a request with a wrong checksum gets none.
fn answer(request: &[u8], value: u16) -> Vec<u8> {
    let (frame, sum) = request.split_at(request.len() - 2);
    if crc(frame).to_le_bytes() != sum {
        return Vec::new();
    }
    let registers = usize::from(u16::from_be_bytes([request[4], request[5]]).min(125));
    let mut answer = vec![request[0], request[1], (registers * 2) as u8];
    answer.extend(std::iter::repeat_n(value.to_be_bytes(), registers).flatten());
    answer.extend_from_slice(&crc(&answer).to_le_bytes());
    answer
}

fn send(port: &mut File, answer: &[u8], first_bit: Instant, baud: u32) -> std::io::Result<()> {
    let mut sent = 0u32;
    for chunk in answer.chunks(FIFO_BYTES) {
        sent += chunk.len() as u32;
        wait_until(first_bit + character(baud) * sent);
        port.write_all(chunk)?;
    }
    Ok(())
}

fn wait_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now() + SPIN));
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
}

/// CRC-16 of RTU frames (Serial Line 1.02, section 6.2.2).
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 })
    })
}
