//! Small plans and a scripted other side for the driver's own tests.

use std::collections::HashMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::register::{Order, RawType, Register, Table, WriteMethod};
use super::wire::Framing;
use super::wire::frame::crc16;
use super::{Device, Plan, Point, Transport};
use crate::model::{Access, Conversion, PointId};

/// A unit without points that answers within 100 ms.
pub(super) fn device(name: &str, unit: u8) -> Device {
    Device {
        name: name.into(),
        unit,
        max_registers: 125,
        max_bits: 2000,
        max_gap: 8,
        timeout: Duration::from_millis(100),
        pause: Duration::ZERO,
        wake: None,
        node: None,
        model: name.into(),
        identify: Vec::new(),
        setup: Vec::new(),
        watchdog: None,
        models: Vec::new(),
        points: Vec::new(),
    }
}

/// A point that is read every second; its id is to be set by whoever needs it.
pub(super) fn point(table: Table, address: u16, raw: &str) -> Point {
    let raw: RawType = serde_json::from_value(raw.into()).unwrap();
    let register = Register {
        table,
        address,
        write_address: address,
        raw,
        order: Order::Abcd,
        bits: None,
        text_bytes: 0,
        read_to_clear: false,
    };
    Point {
        id: PointId(0),
        register,
        conversion: Conversion::default(),
        poll: Duration::from_secs(1),
        access: Access::R,
        write: WriteMethod::Auto,
        tolerance: 0.0,
        rules: super::Rules::default(),
    }
}

/// A Modbus TCP channel; point ids are given in order.
pub(super) fn tcp_plan(devices: Vec<Device>) -> Plan {
    plan(Transport::Tcp(serde_json::from_str(r#"{"address": "192.0.2.1:502"}"#).unwrap()), devices)
}

/// An RTU line at 9600 baud; point ids are given in order.
pub(super) fn rtu_plan(devices: Vec<Device>) -> Plan {
    plan(Transport::Rtu(serde_json::from_str(r#"{"port": "/dev/null"}"#).unwrap()), devices)
}

fn plan(transport: Transport, mut devices: Vec<Device>) -> Plan {
    let points = devices.iter_mut().flat_map(|device| &mut device.points);
    for (id, point) in (0..).zip(points) {
        point.id = PointId(id);
    }
    Plan { name: "line".into(), transport, devices }
}

/// How a fake unit reacts to a request.
pub(super) enum Reaction {
    /// With this PDU, at once.
    Reply(Vec<u8>),
    /// With this PDU, later; requests meanwhile wait in its buffer.
    Late(Duration, Vec<u8>),
    /// With these bytes as they are.
    Raw(Vec<u8>),
    /// Not at all.
    Silence,
    /// By closing the connection, after these bytes.
    Close(Vec<u8>),
}

/// The contents of a fake unit: every register and coil holds what was written, or its own address.
#[derive(Default)]
pub(super) struct Memory {
    words: HashMap<u16, u16>,
    coils: HashMap<u16, bool>,
}

impl Memory {
    pub(super) fn word(&self, address: u16) -> u16 {
        self.words.get(&address).copied().unwrap_or(address)
    }

    pub(super) fn set_word(&mut self, address: u16, word: u16) {
        self.words.insert(address, word);
    }

    pub(super) fn coil(&self, address: u16) -> bool {
        self.coils.get(&address).copied().unwrap_or(address % 2 == 1)
    }

    /// What an honest unit answers.
    pub(super) fn answer(&mut self, pdu: &[u8]) -> Vec<u8> {
        let pair = |at: usize| u16::from_be_bytes([pdu[at], pdu[at + 1]]);
        let (function, address) = (pdu[0], pair(1));
        match function {
            1 | 2 => {
                let count = pair(3);
                let mut bytes = vec![0u8; usize::from(count).div_ceil(8)];
                for i in (0..count).filter(|i| self.coil(address + i)) {
                    bytes[usize::from(i / 8)] |= 1 << (i % 8);
                }
                [&[function, bytes.len() as u8], &bytes[..]].concat()
            }
            3 | 4 => {
                let words = (0..pair(3)).flat_map(|i| self.word(address + i).to_be_bytes());
                let bytes: Vec<u8> = words.collect();
                [&[function, bytes.len() as u8], &bytes[..]].concat()
            }
            5 => {
                self.coils.insert(address, pair(3) == 0xFF00);
                pdu.to_vec()
            }
            6 => {
                self.set_word(address, pair(3));
                pdu.to_vec()
            }
            16 => {
                for i in 0..pair(3) {
                    self.set_word(address + i, pair(6 + 2 * usize::from(i)));
                }
                pdu[..5].to_vec()
            }
            22 => {
                let word = (self.word(address) & pair(3)) | (pair(5) & !pair(3));
                self.set_word(address, word);
                pdu.to_vec()
            }
            other => vec![other | 0x80, 1],
        }
    }
}

/// Plays the other side of one stream until it ends: `react` sees unit and PDU of every request.
pub(super) async fn serve(
    mut stream: DuplexStream,
    framing: Framing,
    mut react: impl FnMut(u8, &[u8]) -> Reaction,
) {
    let mut buffer = Vec::new();
    loop {
        let Some((unit, head, pdu)) = next_request(&mut buffer, framing) else {
            let mut chunk = [0; 300];
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(count) => buffer.extend_from_slice(&chunk[..count]),
            }
            continue;
        };
        let bytes = match react(unit, &pdu) {
            Reaction::Reply(reply) => frame(framing, unit, &head, &reply),
            Reaction::Late(delay, reply) => {
                tokio::time::sleep(delay).await;
                frame(framing, unit, &head, &reply)
            }
            Reaction::Raw(bytes) => bytes,
            Reaction::Silence => continue,
            Reaction::Close(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
        };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// A frame around an answer.
pub(super) fn frame(framing: Framing, unit: u8, head: &[u8], pdu: &[u8]) -> Vec<u8> {
    if framing == Framing::Tcp {
        let length = (pdu.len() as u16 + 1).to_be_bytes();
        return [&head[..4], &length[..], &[unit], pdu].concat();
    }
    let body = [&[unit], pdu].concat();
    let sum = crc16(&body).to_le_bytes();
    [body, sum.to_vec()].concat()
}

fn next_request(buffer: &mut Vec<u8>, framing: Framing) -> Option<(u8, Vec<u8>, Vec<u8>)> {
    let start = if framing == Framing::Tcp { 6 } else { 0 };
    let function = *buffer.get(start + 1)?;
    let length = match function {
        15 | 16 => 6 + usize::from(*buffer.get(start + 6)?),
        22 => 7,
        _ => 5,
    };
    let end = start + 1 + length;
    let total = if framing == Framing::Tcp { end } else { end + 2 };
    if buffer.len() < total {
        return None;
    }
    let frame: Vec<u8> = buffer.drain(..total).collect();
    Some((frame[start], frame[..start].to_vec(), frame[start + 1..end].to_vec()))
}
