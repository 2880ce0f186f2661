//! epoll with as much of its interface as a load generator needs.

use std::io;
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// Sockets that one call tells of.
const AT_ONCE: usize = 128;

/// A set of sockets by number.
pub(crate) struct Readiness {
    epoll: OwnedFd,
}

/// What a socket is ready for.
#[derive(Clone, Copy)]
pub(crate) struct Ready {
    pub(crate) number: usize,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

impl Readiness {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)? })
    }

    /// Watches a socket for something to read, and for room to write if `writable`.
    pub(crate) fn add(&self, number: usize, socket: &TcpStream, writable: bool) -> io::Result<()> {
        let data = EventData::new_u64(number as u64);
        Ok(epoll::add(&self.epoll, socket, data, interest(writable))?)
    }

    /// Changes what a watched socket is watched for.
    pub(crate) fn change(&self, number: usize, socket: &TcpStream, writable: bool) -> io::Result<()> {
        let data = EventData::new_u64(number as u64);
        Ok(epoll::modify(&self.epoll, socket, data, interest(writable))?)
    }

    /// Waits for at most `limit` and returns what is ready.
    pub(crate) fn wait(&self, limit: Duration) -> io::Result<Vec<Ready>> {
        let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
        let mut events = [const { MaybeUninit::<Event>::uninit() }; AT_ONCE];
        let events = match epoll::wait(&self.epoll, &mut events[..], Some(&limit)) {
            Ok((events, _)) => events,
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let broken = EventFlags::HUP | EventFlags::ERR;
        let ready = events.iter().map(|event| {
            // Copied out: the fields of a packed structure cannot be borrowed.
            let (data, flags) = (event.data, event.flags);
            Ready {
                number: data.u64() as usize,
                readable: flags.intersects(EventFlags::IN | broken),
                writable: flags.intersects(EventFlags::OUT | broken),
            }
        });
        Ok(ready.collect())
    }
}

fn interest(writable: bool) -> EventFlags {
    if writable { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN }
}
