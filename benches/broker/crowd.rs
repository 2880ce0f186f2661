//! Many clients that connect at the same moment and then do nothing.
//!
//! One thread, no blocking: all connections are begun before the first answer is looked at.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with};

use crate::Outcome;
use crate::mqtt;
use crate::readiness::Readiness;

/// How long all of them together may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What each client does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) login: Option<(&'static str, &'static str)>,
    /// Each subscribes to a topic of its own.
    pub(crate) subscribes: bool,
}

/// Connected clients; they close their connections when dropped.
#[derive(Default)]
pub(crate) struct Crowd {
    members: Vec<Member>,
}

struct Member {
    socket: TcpStream,
    step: Step,
    answer: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Connecting,
    /// Waits for the CONNACK.
    Greeting,
    /// Waits for the SUBACK.
    Subscribing,
    Settled,
}

impl Crowd {
    /// Clients that are let in.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Adds clients, all at once. Returns how long it took until the last one was settled.
    pub(crate) fn add(&mut self, address: SocketAddr, count: usize, manner: Manner) -> Outcome<Duration> {
        let readiness = Readiness::new()?;
        let (first, began) = (self.members.len(), Instant::now());
        for number in first..first + count {
            let socket = begin(address)?;
            readiness.add(number, &socket, true)?;
            self.members.push(Member { socket, step: Step::Connecting, answer: Vec::new() });
        }
        let mut left = count;
        while left > 0 {
            for ready in readiness.wait(Duration::from_millis(100))? {
                let number = ready.number;
                let member = &mut self.members[number];
                let before = member.step;
                if before == Step::Connecting && ready.writable {
                    member.greet(number, manner)?;
                    readiness.change(number, &member.socket, false)?;
                } else if before != Step::Settled && ready.readable {
                    member.hear(number, manner).map_err(|error| format!("client {number}: {error}"))?;
                    left -= usize::from(member.step == Step::Settled);
                }
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("{left} of {count} clients were not let in in {PATIENCE:?}").into());
            }
        }
        Ok(began.elapsed())
    }
}

impl Member {
    fn greet(&mut self, number: usize, manner: Manner) -> Outcome {
        if let Some(error) = self.socket.take_error()? {
            return Err(format!("client {number}: {error}").into());
        }
        self.socket.write_all(&mqtt::connect(&format!("crowd-{number}"), manner.login, false))?;
        self.step = Step::Greeting;
        Ok(())
    }

    fn hear(&mut self, number: usize, manner: Manner) -> Outcome {
        let mut bytes = [0; 64];
        match self.socket.read(&mut bytes) {
            Ok(0) => return Err("the broker closed the connection".into()),
            Ok(count) => self.answer.extend_from_slice(&bytes[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let Some((first, body, len)) = mqtt::frame(&self.answer) else { return Ok(()) };
        match (self.step, first, body.last()) {
            (Step::Greeting, 0x20, Some(0)) if manner.subscribes => {
                self.socket.write_all(&mqtt::subscribe(&format!("crowd/{number}/topic"), 0))?;
                self.step = Step::Subscribing;
            }
            (Step::Greeting, 0x20, Some(0)) | (Step::Subscribing, 0x90, Some(0)) => self.step = Step::Settled,
            _ => return Err(format!("refused: {:?}", self.answer).into()),
        }
        self.answer.drain(..len);
        if self.step == Step::Settled {
            self.answer = Vec::new();
        }
        Ok(())
    }
}

/// Begins a connection and does not wait for it.
pub(crate) fn begin(address: SocketAddr) -> Outcome<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    match connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}
