//! An agent of version 2c that keeps what its objects are set to, counts every SET and answers them as it is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;

use super::liar::{Request, message, tlv};

/// The objects of its session, by their last numbers: the password, and what ends it.
pub(crate) const PASSWORD: u8 = 90;
pub(crate) const END: u8 = 91;

/// How it takes a SET.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Right,
    /// It is done, and the answer lost.
    Unanswered,
    /// It is lost itself.
    Lost,
    /// The status of the answer.
    Refused(u8),
    /// Nothing is written before the password "open sesame".
    Locked,
    /// The password is answered so late.
    Slow(Duration),
}

/// One SET: the last number of the object, and tag and content of the value.
pub(crate) type Set = (u8, u8, Vec<u8>);

pub(crate) struct Keeper {
    pub(crate) address: String,
    mode: Arc<Mutex<Mode>>,
    sets: Arc<Mutex<Vec<Set>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Keeper {
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let (mode, sets) = (Arc::new(Mutex::new(Mode::Right)), Arc::new(Mutex::new(Vec::new())));
        let (told, log) = (Arc::clone(&mode), Arc::clone(&sets));
        let task = tokio::spawn(async move {
            let mut buffer = [0; 65_536];
            let mut kept = HashMap::new();
            let mut open = false;
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let request = Request::parse(&buffer[..length]);
                let mode = *told.lock().unwrap();
                let mut status = 0;
                if request.is_set {
                    let (object, value) = (request.objects[0].clone(), request.values[0].clone());
                    let number = *object.last().unwrap();
                    log.lock().unwrap().push((number, value.0, value.1.clone()));
                    status = match (mode, number) {
                        (Mode::Refused(status), _) => status,
                        (Mode::Locked, PASSWORD) if value.1 != b"open sesame" => 10,
                        (Mode::Locked, 0..PASSWORD) if !open => 6,
                        _ => 0,
                    };
                    match number {
                        _ if status != 0 || mode == Mode::Lost => {}
                        PASSWORD => open = true,
                        END => open = false,
                        _ => drop(kept.insert(object, value)),
                    }
                    if let (Mode::Slow(delay), PASSWORD) = (mode, number) {
                        tokio::time::sleep(delay).await;
                    }
                    if matches!(mode, Mode::Lost | Mode::Unanswered) {
                        continue;
                    }
                }
                let binding = |object: &Vec<u8>| {
                    let (tag, value) = kept.get(object).cloned().unwrap_or((2, vec![42]));
                    tlv(0x30, &[tlv(6, object), tlv(tag, &value)].concat())
                };
                let bindings: Vec<Vec<u8>> = request.objects.iter().map(binding).collect();
                let place = u8::from(status != 0);
                let answer = message(1, b"public", &request.id, (status, place), &bindings.concat());
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        Self { address, mode, sets, task }
    }

    pub(crate) fn be(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// What was set since the last time.
    pub(crate) fn sets(&self) -> Vec<Set> {
        std::mem::take(&mut *self.sets.lock().unwrap())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}
