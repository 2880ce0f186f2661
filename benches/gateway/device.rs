//! A fake Modbus TCP device that is far faster than whoever asks it.
//!
//! One blocking thread per connection, answers cut from a precomputed table: FC 1 to 4, everything else is
//! exception 1. Absent: writes, faults, units (every unit identifier is answered).
//! Invariant: with [`Values::Rolling`] a register never has the same value in two consecutive answers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;

/// Words of the table that rolling values are cut from, before it starts over.
const TABLE_WORDS: usize = 1 << 16;
/// The most registers that one answer carries (Modbus Application Protocol 1.1b3, section 6.3).
const MAX_REGISTERS: u16 = 125;
/// The most bits that one answer carries (section 6.1).
const MAX_BITS: u16 = 2000;
/// Length of a Modbus TCP header with its unit identifier.
const HEADER: usize = 7;
/// Registers that a device with clocked values has.
const CLOCKED_REGISTERS: usize = 256;

/// What registers hold.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Values {
    /// Something else in every answer.
    Rolling,
    /// How often the register has changed since the device started: it counts up once every `every`,
    /// each register at a moment of its own. So the moment of a change can be computed from its value.
    Clocked {
        /// From one change of a register to its next.
        every: Duration,
    },
}

/// What the device has seen and can tell.
pub(crate) struct Record {
    started: Instant,
    values: Values,
    /// Registers and bits in all answers together.
    points: AtomicU64,
    requests: AtomicU64,
    /// Address and arrival of every request, where that is wanted.
    arrivals: Option<Mutex<Vec<(u16, Instant)>>>,
    /// By clocked register: its last value that was answered, and when an answer first carried it.
    first_told: Mutex<Vec<Option<(u16, Instant)>>>,
    stopping: AtomicBool,
}

/// A running device; it ends when dropped.
pub(crate) struct Device {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What it has seen.
    pub(crate) record: Arc<Record>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Device {
    /// Starts a device on a free loopback port.
    pub(crate) fn start(values: Values, keep_arrivals: bool) -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let record = Arc::new(Record {
            started: Instant::now(),
            values,
            points: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            arrivals: keep_arrivals.then(Mutex::default),
            first_told: Mutex::new(vec![None; CLOCKED_REGISTERS]),
            stopping: AtomicBool::new(false),
        });
        let connections = Arc::new(Mutex::new(Vec::new()));
        let table = Arc::new(rolling_table());
        let (seen, kept) = (Arc::clone(&record), Arc::clone(&connections));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if seen.stopping.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(copy) = stream.try_clone() {
                    locked(&kept).push(copy);
                }
                let (record, table) = (Arc::clone(&seen), Arc::clone(&table));
                thread::spawn(move || serve(stream, &record, &table));
            }
        });
        Ok(Self { address, record, connections })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.record.stopping.store(true, Ordering::Relaxed);
        // The acceptor looks at the flag when it has accepted.
        let _ = TcpStream::connect(self.address);
        for connection in locked(&self.connections).iter() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Record {
    /// Registers and bits in all answers so far.
    pub(crate) fn points(&self) -> u64 {
        self.points.load(Ordering::Relaxed)
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Address and arrival of the requests since the last call.
    pub(crate) fn take_arrivals(&self) -> Vec<(u16, Instant)> {
        self.arrivals.as_ref().map(|list| std::mem::take(&mut *locked(list))).unwrap_or_default()
    }

    /// When a clocked register took this value; `None` for rolling values.
    pub(crate) fn changed_at(&self, register: u16, value: u16) -> Option<Instant> {
        match self.values {
            Values::Rolling => None,
            Values::Clocked { every } => {
                Some(self.started + phase(register, every) + every * u32::from(value).saturating_sub(1))
            }
        }
    }

    /// When an answer first carried this value of a clocked register, if it is the last one told.
    pub(crate) fn first_told(&self, register: u16, value: u16) -> Option<Instant> {
        let told = (*locked(&self.first_told).get(usize::from(register))?)?;
        (told.0 == value).then_some(told.1)
    }

    fn clocked(&self, register: u16, every: Duration, now: Instant) -> u16 {
        let since = now.saturating_duration_since(self.started + phase(register, every));
        let first = u128::from(now >= self.started + phase(register, every));
        let count = since.as_nanos() / every.as_nanos().max(1) + first;
        let value = u16::try_from(count % (1 << 16)).unwrap_or_default();
        if let Some(told) = locked(&self.first_told).get_mut(usize::from(register))
            && told.is_none_or(|(last, _)| last != value)
        {
            *told = Some((value, now));
        }
        value
    }
}

/// Spreads the changes of the registers over one round.
fn phase(register: u16, every: Duration) -> Duration {
    every * (u32::from(register) * 37 % 64) / 64
}

/// Words that all differ from their neighbours; the last ones repeat the first so that no answer wraps.
fn rolling_table() -> Vec<u8> {
    let words = (0..TABLE_WORDS + usize::from(MAX_BITS)).map(|i| (i * 40_503 % TABLE_WORDS) as u16);
    words.flat_map(u16::to_be_bytes).collect()
}

fn serve(mut stream: TcpStream, record: &Record, table: &[u8]) {
    let _ = stream.set_nodelay(true);
    let mut buffer = [0u8; 4096];
    let mut held = 0;
    let mut answer = Vec::with_capacity(512);
    let mut round = 0usize;
    while let Ok(got @ 1..) = stream.read(&mut buffer[held..]) {
        held += got;
        let now = Instant::now();
        let mut at = 0;
        answer.clear();
        while let Some(frame) = frame(&buffer[at..held]) {
            round = (round + 1) % TABLE_WORDS;
            reply(frame, &table[round * 2..], record, now, &mut answer);
            at += frame.len();
        }
        buffer.copy_within(at..held, 0);
        held -= at;
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

/// The first whole frame, once it is there.
fn frame(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes([*bytes.get(4)?, *bytes.get(5)?]));
    bytes.get(..6 + length).filter(|frame| frame.len() >= HEADER + 5)
}

/// Appends the answer to one request.
fn reply(request: &[u8], table: &[u8], record: &Record, now: Instant, out: &mut Vec<u8>) {
    let function = request[HEADER];
    let address = u16::from_be_bytes([request[HEADER + 1], request[HEADER + 2]]);
    let count = u16::from_be_bytes([request[HEADER + 3], request[HEADER + 4]]);
    record.requests.fetch_add(1, Ordering::Relaxed);
    if let Some(arrivals) = &record.arrivals {
        locked(arrivals).push((address, now));
    }
    let bytes = match function {
        1 | 2 if (1..=MAX_BITS).contains(&count) => usize::from(count.div_ceil(8)),
        3 | 4 if (1..=MAX_REGISTERS).contains(&count) => usize::from(count) * 2,
        _ => {
            out.extend_from_slice(&request[..4]);
            out.extend_from_slice(&[0, 3, request[6], function | 0x80, 1]);
            return;
        }
    };
    out.extend_from_slice(&request[..4]);
    out.extend_from_slice(&((bytes + 3) as u16).to_be_bytes());
    out.extend_from_slice(&[request[6], function, bytes as u8]);
    match record.values {
        Values::Clocked { every } if function >= 3 => {
            for register in address..address.saturating_add(count) {
                out.extend_from_slice(&record.clocked(register, every, now).to_be_bytes());
            }
        }
        _ => out.extend_from_slice(&table[..bytes]),
    }
    record.points.fetch_add(u64::from(count), Ordering::Relaxed);
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
