//! An agent of version 2c that answers with 42, and otherwise as it is told.

use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Right,
    Silent,
    WrongId,
    WrongSource,
    WrongCommunity,
    WrongVersion,
    Truncated,
    HugeLength,
    Garbage,
    /// The answer to the request before, with another value.
    Late,
    OtherObject,
    NoObjects,
    /// The status of the whole.
    Status(u8),
    /// The status with the place of an object, from 1.
    StatusAt(u8, u8),
    /// Refuses more than so many.
    AtMost(usize),
}

/// Where it is told how to answer.
pub(crate) struct Liar {
    pub(crate) address: String,
    mode: Arc<Mutex<Mode>>,
    task: tokio::task::JoinHandle<()>,
}

impl Liar {
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let elsewhere = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let mode = Arc::new(Mutex::new(Mode::Right));
        let told = Arc::clone(&mode);
        let task = tokio::spawn(async move {
            let mut buffer = [0; 65_536];
            let mut before = None;
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let request = Request::parse(&buffer[..length]);
                let mode = *told.lock().unwrap();
                let sender = if mode == Mode::WrongSource { &elsewhere } else { &socket };
                for answer in answers(&request, mode, before.as_ref()) {
                    sender.send_to(&answer, from).await.unwrap();
                }
                before = Some(request);
            }
        });
        Self { address, mode, task }
    }

    pub(crate) fn be(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A GET or SET request in its parts.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) is_set: bool,
    pub(crate) id: Vec<u8>,
    pub(crate) objects: Vec<Vec<u8>>,
    /// Tag and content of each object's value.
    pub(crate) values: Vec<(u8, Vec<u8>)>,
}

impl Request {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let (_, message, _) = part(bytes);
        let (_, _, rest) = part(message);
        let (_, _, rest) = part(rest);
        let (tag, pdu, _) = part(rest);
        assert!(matches!(tag, 0xa0 | 0xa3), "only GET and SET are asked");
        let (_, id, rest) = part(pdu);
        let (_, _, rest) = part(rest);
        let (_, _, rest) = part(rest);
        let (_, mut bindings, _) = part(rest);
        let (mut objects, mut values) = (Vec::new(), Vec::new());
        while !bindings.is_empty() {
            let (_, binding, rest) = part(bindings);
            let (_, object, value) = part(binding);
            let (kind, value, _) = part(value);
            objects.push(object.to_vec());
            values.push((kind, value.to_vec()));
            bindings = rest;
        }
        Self { is_set: tag == 0xa3, id: id.to_vec(), objects, values }
    }
}

/// Tag, content and what follows.
fn part(bytes: &[u8]) -> (u8, &[u8], &[u8]) {
    let (length, head) = match bytes[1] {
        short @ 0..=0x7f => (usize::from(short), 2),
        0x81 => (usize::from(bytes[2]), 3),
        _ => (usize::from(bytes[2]) << 8 | usize::from(bytes[3]), 4),
    };
    (bytes[0], &bytes[head..head + length], &bytes[head + length..])
}

pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82, high, low], content].concat()
}

/// A message of version 2c (1 on the wire), or another.
pub(crate) fn message(
    version: u8,
    community: &[u8],
    id: &[u8],
    status: (u8, u8),
    bindings: &[u8],
) -> Vec<u8> {
    let pdu = [tlv(2, id), tlv(2, &[status.0]), tlv(2, &[status.1]), tlv(0x30, bindings)];
    let parts = [tlv(2, &[version]), tlv(4, community), tlv(0xa2, &pdu.concat())];
    tlv(0x30, &parts.concat())
}

fn bindings(objects: &[Vec<u8>], value: u8) -> Vec<u8> {
    let binding = |object: &Vec<u8>| tlv(0x30, &[tlv(6, object), tlv(2, &[value])].concat());
    objects.iter().map(binding).collect::<Vec<_>>().concat()
}

fn answers(request: &Request, mode: Mode, before: Option<&Request>) -> Vec<Vec<u8>> {
    let held = bindings(&request.objects, 42);
    let other = bindings(&request.objects, 7);
    let right = message(1, b"public", &request.id, (0, 0), &held);
    match mode {
        Mode::Right => vec![right],
        Mode::Silent => vec![],
        Mode::WrongSource => vec![message(1, b"public", &request.id, (0, 0), &other)],
        Mode::WrongId => {
            let mut id = request.id.clone();
            *id.last_mut().unwrap() ^= 1;
            vec![message(1, b"public", &id, (0, 0), &other)]
        }
        Mode::WrongCommunity => vec![message(1, b"private", &request.id, (0, 0), &other)],
        Mode::WrongVersion => vec![message(0, b"public", &request.id, (0, 0), &other)],
        Mode::Truncated => (0..right.len()).map(|end| right[..end].to_vec()).collect(),
        Mode::HugeLength => {
            let mut long = right.clone();
            (long[2], long[3]) = (0xff, 0xff);
            vec![long, [&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &right[4..]].concat(), vec![0x30, 0x80]]
        }
        Mode::Garbage => {
            (0..50).map(|_| (0..fastrand::usize(0..1500)).map(|_| fastrand::u8(..)).collect()).collect()
        }
        Mode::Late => before.map(|old| message(1, b"public", &old.id, (0, 0), &other)).into_iter().collect(),
        Mode::OtherObject => {
            let mut objects = request.objects.clone();
            objects.iter_mut().for_each(|object| *object.last_mut().unwrap() = 99);
            vec![message(1, b"public", &request.id, (0, 0), &bindings(&objects, 7))]
        }
        Mode::NoObjects => vec![message(1, b"public", &request.id, (0, 0), &[])],
        Mode::Status(status) => vec![message(1, b"public", &request.id, (status, 0), &held)],
        Mode::StatusAt(status, place) if request.objects.len() > usize::from(place) => {
            vec![message(1, b"public", &request.id, (status, place), &held)]
        }
        Mode::AtMost(most) if request.objects.len() > most => {
            vec![message(1, b"public", &request.id, (1, 0), &[])]
        }
        Mode::StatusAt(..) | Mode::AtMost(_) => vec![right],
    }
}
