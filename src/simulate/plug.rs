//! Whether a simulated channel is plugged in: the switch by which it is unplugged, plugged in and stopped.
//!
//! Invariant: whoever serves the channel is woken by every change, be it a task or a thread that waits in `poll`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::watch;

/// What a channel shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plug {
    /// Served.
    In,
    /// Gone, as if its cable or adapter had been pulled; until then or until it is plugged in.
    Out(Option<Instant>),
    /// Over for good.
    Stop,
}

/// The switch of one channel.
#[derive(Debug)]
pub(super) struct Switch {
    state: watch::Sender<Plug>,
    wake: OwnedFd,
}

impl Plug {
    /// The state at `now`: an outage may be over.
    #[must_use]
    pub(super) fn at(self, now: Instant) -> Self {
        match self {
            Self::Out(Some(until)) if until <= now => Self::In,
            other => other,
        }
    }
}

impl Switch {
    /// Plugged in.
    ///
    /// # Errors
    /// When the process has no file descriptor left.
    pub(super) fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { state: watch::Sender::new(Plug::In), wake })
    }

    /// Changes the state. What is stopped stays so.
    pub(super) fn set(&self, plug: Plug) {
        self.state.send_if_modified(|state| {
            let changes = *state != Plug::Stop && *state != plug;
            if changes {
                *state = plug;
            }
            changes
        });
        // The counter is full only when it has not been read 2^64 times: it wakes all the same.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// The state now.
    #[must_use]
    pub(super) fn get(&self) -> Plug {
        self.state.borrow().at(Instant::now())
    }

    /// For tasks: sees every change.
    #[must_use]
    pub(super) fn watch(&self) -> watch::Receiver<Plug> {
        self.state.subscribe()
    }

    /// For threads: readable after a change.
    #[must_use]
    pub(super) fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Makes [`Switch::wake`] wait for the next change.
    pub(super) fn seen(&self) {
        let mut count = [0; 8];
        // Nothing to read means that nothing happened, which is as good.
        let _ = rustix::io::read(&self.wake, &mut count);
    }
}
