//! A client on a TCP connection that hears every message of a broker.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::stage::PATIENCE;

/// The connection and what has come of it.
pub(crate) struct Ear {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Ear {
    /// Connects with MQTT 3.1.1 and a clean session, and subscribes to everything at QoS 0.
    pub(crate) fn new(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01h").unwrap();
        stream.write_all(b"\x82\x06\x00\x01\x00\x01#\x00").unwrap();
        Self { stream, bytes: Vec::new() }
    }

    /// The next message: its topic and payload.
    pub(crate) fn hear(&mut self) -> (String, String) {
        let mut buffer = [0; 4096];
        loop {
            while let Some((first, body)) = self.packet() {
                if first & 0xf0 == 0x30 {
                    let length = usize::from(body[0]) << 8 | usize::from(body[1]);
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    return (text(&body[2..2 + length]), text(&body[2 + length..]));
                }
            }
            let read = self.stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the broker hung up");
            self.bytes.extend_from_slice(&buffer[..read]);
        }
    }

    /// Takes the first whole packet out of what has come.
    fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let (mut length, mut at) = (0, 1);
        loop {
            let byte = *self.bytes.get(at)?;
            length |= usize::from(byte & 0x7f) << (7 * (at - 1));
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let body = self.bytes.get(at..at + length)?.to_vec();
        let first = self.bytes[0];
        self.bytes.drain(..at + length);
        Some((first, body))
    }

    /// Waits for a message on this topic whose payload fits.
    pub(crate) fn until(&mut self, topic: &str, fits: impl Fn(&str) -> bool) -> String {
        let begun = std::time::Instant::now();
        loop {
            let (from, payload) = self.hear();
            if from == topic && fits(&payload) {
                return payload;
            }
            assert!(begun.elapsed() < PATIENCE, "{topic}: nothing that fits comes");
        }
    }
}
