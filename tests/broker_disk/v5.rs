//! As little of MQTT 5 as it takes to see reason codes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::client::{packet, string};

/// Longest wait for a packet that must come.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct V5(TcpStream);

impl V5 {
    pub(crate) fn connect(port: u16, id: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self(stream);
        let mut body = b"\x00\x04MQTT\x05\x02\x00\x3c\x00".to_vec();
        string(&mut body, id.as_bytes());
        client.send(0x10, &body);
        let (first, body) = client.packet();
        assert_eq!((first, body[1]), (0x20, 0));
        client
    }

    fn send(&mut self, first: u8, body: &[u8]) {
        self.0.write_all(&packet(first, body)).unwrap();
    }

    fn byte(&mut self) -> u8 {
        self.first_byte().expect("an answer")
    }

    /// `None`: nothing comes.
    fn first_byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        match self.0.read_exact(&mut byte) {
            Ok(()) => Some(byte[0]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn packet(&mut self) -> (u8, Vec<u8>) {
        let first = self.byte();
        (first, self.body())
    }

    fn body(&mut self) -> Vec<u8> {
        let mut len = 0;
        for shift in (0..28).step_by(7) {
            let byte = self.byte();
            len |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; len];
        self.0.read_exact(&mut body).unwrap();
        body
    }

    /// Publishes at QoS 1; the reason code of the answer. `None`: there is none within a second and a half.
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8]) -> Option<u8> {
        let mut body = Vec::new();
        string(&mut body, topic.as_bytes());
        body.extend_from_slice(&[0, 1, 0]);
        body.extend_from_slice(payload);
        self.send(0x32, &body);
        self.0.set_read_timeout(Some(Duration::from_millis(1_500))).unwrap();
        let first = self.first_byte();
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        let first = first?;
        let body = self.body();
        assert_eq!((first, &body[..2]), (0x40, &[0, 1][..]));
        Some(body.get(2).copied().unwrap_or(0))
    }

    /// What is retained under a topic, as soon as it is something else than `ok`.
    pub(crate) fn retained(&mut self, topic: &str) -> String {
        let mut body = vec![0, 2, 0];
        string(&mut body, topic.as_bytes());
        body.push(0);
        self.send(0x82, &body);
        loop {
            let (first, body) = self.packet();
            if first >> 4 == 3 {
                let value = String::from_utf8(body[2 + topic.len() + 1..].to_vec()).unwrap();
                if value != "ok" {
                    return value;
                }
            }
        }
    }
}
