//! Pauses shorter and more exact than the runtime's timers.
//!
//! tokio's timers count whole milliseconds and wake up to two of them late; a silence of 1.75 ms on a
//! serial line would last three. A timer of the kernel wakes within a tenth of a millisecond and, unlike a
//! busy wait, costs no processor time.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How to wait for a moment.
#[derive(Debug)]
pub enum Pace {
    /// By the runtime's timers; in tests on a paused clock also in no time.
    Runtime,
    /// By a timer of the kernel.
    Exact(AsyncFd<OwnedFd>),
}

impl Pace {
    /// The exact kind, or the runtime's where the kernel refuses.
    #[must_use]
    pub fn exact() -> Self {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC);
        match timer.map_err(io::Error::from).and_then(register) {
            Ok(timer) => Self::Exact(timer),
            Err(error) => {
                tracing::warn!(%error, "no exact timer; pauses on serial lines will be longer than needed");
                Self::Runtime
            }
        }
    }

    /// Waits until `moment`; returns at once when it has passed.
    pub async fn until(&mut self, moment: Instant) {
        let wait = moment.saturating_duration_since(tokio::time::Instant::now().into_std());
        if wait.is_zero() {
            return;
        }
        if let Self::Exact(timer) = self
            && expire(timer, wait).await.is_ok()
        {
            return;
        }
        tokio::time::sleep_until(moment.into()).await;
    }
}

fn register(timer: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` always names the same open descriptor, and `AsyncFd` owns it until it is dropped.
    unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }.map_err(Into::into)
}

async fn expire(timer: &AsyncFd<OwnedFd>, wait: Duration) -> io::Result<()> {
    let value = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
    let interval = Timespec { tv_sec: 0, tv_nsec: 0 };
    timerfd_settime(
        timer,
        TimerfdTimerFlags::empty(),
        &Itimerspec { it_interval: interval, it_value: value },
    )?;
    loop {
        let mut ready = timer.readable().await?;
        let mut expirations = [0; 8];
        match ready.try_io(|fd| Ok(rustix::io::read(fd, &mut expirations)?)) {
            Ok(result) => return result.map(drop),
            Err(_would_block) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_exact_pause_never_ends_early_also_after_one_was_given_up() {
        let mut pace = Pace::exact();
        assert!(matches!(pace, Pace::Exact(_)));
        for wait_us in [300, 1_750, 4_000] {
            let far = Instant::now() + Duration::from_secs(3_600);
            let given_up = tokio::time::timeout(Duration::ZERO, pace.until(far)).await;
            assert!(given_up.is_err());
            let moment = Instant::now() + Duration::from_micros(wait_us);
            pace.until(moment).await;
            assert!(Instant::now() >= moment);
        }
        pace.until(Instant::now()).await;
    }
}
