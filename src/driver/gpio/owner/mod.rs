//! The thread of one channel's lines, and the task that carries commands and the stop to it.
//!
//! The thread waits for edges of all lines at once, for commands and for whatever is due. `port` is one line
//! with its points, `write` serves commands. Invariant: the task ends only after the thread has, and a panic
//! in the thread is one in the task, so that the supervisor sees it.

mod port;
mod write;

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;

use super::Lines;
use super::find::LineId;
use super::store::{self, Store};
use crate::driver::{ChannelContext, LinkState};
use crate::model::{PointId, Reading, Stamp};
use port::Port;

/// How often a line that is busy or gone is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How often the two clocks are looked at to find how far they are apart.
const LOOKS: u32 = 8;

/// The longest wait, so that a stop that was missed ends it all the same.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Runs the thread until the shutdown.
pub(super) async fn run(plan: Arc<Lines>, context: ChannelContext) {
    let (wake, done) = match start(plan, context.clone()) {
        Ok(started) => started,
        Err(error) => {
            // The supervisor waits and tries again.
            tracing::error!(channel = %context.stats.name, %error, "no thread for the lines");
            return;
        }
    };
    let mut done = done;
    loop {
        tokio::select! {
            // An error is a thread that has panicked; returning makes the supervisor start it again.
            _ = &mut done => return,
            () = context.writes.pushed() => {}
            () = context.shutdown.cancelled() => break,
        }
        ring(&wake);
    }
    ring(&wake);
    // It stops at once; an error is one that has ended by itself.
    let _ = done.await;
}

fn start(
    plan: Arc<Lines>,
    context: ChannelContext,
) -> std::io::Result<(Arc<OwnedFd>, oneshot::Receiver<()>)> {
    let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let (tell, done) = oneshot::channel();
    let (bell, runtime) = (Arc::clone(&wake), tokio::runtime::Handle::current());
    std::thread::Builder::new().name(format!("gpio {}", plan.name)).spawn(move || {
        let _guard = runtime.enter();
        Owner::new(&plan, context).run(&bell);
        // Whoever waited may be gone.
        let _ = tell.send(());
    })?;
    Ok((wake, done))
}

/// A counter that is full has not been read 2^64 times: it wakes all the same.
fn ring(bell: &OwnedFd) {
    let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
}

/// The thread's state.
struct Owner {
    context: ChannelContext,
    ports: Vec<Port>,
    /// By point: its port and its place there.
    places: HashMap<PointId, (usize, usize)>,
    store: Store,
    save_at: Instant,
    save_failed: bool,
    readings: Vec<Reading>,
    /// Takes part in the mapping of the kernel's times.
    origin: (Instant, u64),
}

impl Owner {
    fn new(plan: &Lines, context: ChannelContext) -> Self {
        let now = context.clock.mono();
        let totals = plan.config.totals.as_deref();
        let counting =
            plan.devices.iter().flat_map(|device| &device.points).any(|point| point.wiring.counts());
        let store = if counting { Store::open(totals, &plan.name) } else { Store::none() };
        let mut ports: Vec<Port> = Vec::new();
        let mut at: HashMap<LineId, usize> = HashMap::new();
        let mut places = HashMap::new();
        for (device, this) in plan.devices.iter().enumerate() {
            for point in &this.points {
                let line = &point.wiring.line;
                let port = *at.entry(line.clone()).or_insert_with(|| {
                    ports.push(Port::new(line.clone()));
                    ports.len() - 1
                });
                let known = context.bus.points().get(point.id);
                let place = ports[port].add(device, known, point, &store, now);
                places.insert(point.id, (port, place));
            }
        }
        let origin = origin(|| context.clock.mono(), monotonic_ns);
        let save_at = now + store::PERIOD;
        Self { context, ports, places, store, save_at, save_failed: false, readings: Vec::new(), origin }
    }

    fn run(mut self, bell: &OwnedFd) {
        while !self.context.shutdown.is_cancelled() {
            // Lines are opened before the first command comes.
            self.do_what_is_due();
            self.serve_writes();
            self.flush();
            self.wait(bell);
            self.flush();
        }
        self.ports.iter_mut().for_each(Port::end);
        self.keep_totals();
    }

    /// Waits for edges, a bell, or the next thing that is due, and takes the edges in.
    fn wait(&mut self, bell: &OwnedFd) {
        let now = self.context.clock.mono();
        let due = self.ports.iter().filter_map(Port::due).chain([self.save_at]).min().unwrap_or(self.save_at);
        let wait = due.saturating_duration_since(now).min(MAX_WAIT);
        let listening: Vec<usize> =
            (0..self.ports.len()).filter(|port| self.ports[*port].listens()).collect();
        let (rung, ready) = {
            let mut polled = vec![PollFd::new(bell, PollFlags::IN)];
            let requests = listening.iter().filter_map(|port| self.ports[*port].request());
            polled.extend(requests.map(|request| PollFd::from_borrowed_fd(request.as_fd(), PollFlags::IN)));
            let wait = Timespec::try_from(wait).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
            if poll(&mut polled, Some(&wait)).is_err() {
                return;
            }
            let found = polled[1..].iter().zip(&listening).map(|(polled, port)| (*port, polled.revents()));
            let ready: Vec<(usize, PollFlags)> = found.filter(|(_, flags)| !flags.is_empty()).collect();
            (!polled[0].revents().is_empty(), ready)
        };
        if rung {
            // Whoever rings twice before this is heard once; an empty bell is as good as a rung one.
            let _ = rustix::io::read(bell, &mut [0; 8]);
        }
        for (port, flags) in ready {
            self.take_edges(port, flags);
        }
    }

    fn take_edges(&mut self, port: usize, flags: PollFlags) {
        let now = self.context.clock.stamp();
        let origin = self.origin;
        let stamp = |ns: u64| at(origin, now, ns);
        let gone = flags.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL);
        let result = if gone { Err(port::gone()) } else { self.ports[port].edges(stamp, &mut self.readings) };
        if let Err(fault) = result {
            self.ports[port].fail(fault, now, &mut self.readings);
            self.tell_links();
        }
    }

    fn do_what_is_due(&mut self) {
        let now = self.context.clock.stamp();
        let monotonic = self.monotonic(now.mono);
        let mut changed = false;
        for port in &mut self.ports {
            changed |= port.try_to_open(now, &mut self.readings);
            let polled = port.poll(now, monotonic, &mut self.readings);
            for device in polled {
                let stats = &self.context.stats.devices[device];
                stats.requests.fetch_add(1, Ordering::Relaxed);
                stats.answered(now);
            }
            changed |= port.has_just_failed();
        }
        if changed {
            self.tell_links();
        }
        if now.mono >= self.save_at {
            self.save_at = now.mono + store::PERIOD;
            self.keep_totals();
        }
    }

    /// The kernel's time of one of ours.
    fn monotonic(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.origin.0).as_nanos();
        self.origin.1.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    fn keep_totals(&mut self) {
        for port in &self.ports {
            port.totals(|name, total| self.store.set(name, total));
        }
        match self.store.save() {
            Ok(()) => self.save_failed = false,
            Err(error) if !self.save_failed => {
                self.save_failed = true;
                tracing::error!(channel = %self.context.stats.name, %error, "totals cannot be written");
            }
            Err(_) => {}
        }
    }

    /// A device works as long as one of its lines does.
    fn tell_links(&self) {
        let stats = &self.context.stats;
        let mut any = false;
        for (device, own) in stats.devices.iter().enumerate() {
            let mut lines = self.ports.iter().filter(|port| port.belongs_to(device)).peekable();
            if lines.peek().is_none() {
                continue;
            }
            let works = lines.any(Port::is_open);
            any |= works;
            own.link.set(if works { LinkState::Online } else { LinkState::Offline });
        }
        let state = if any { LinkState::Online } else { LinkState::Offline };
        if stats.link.set(state) == LinkState::Offline && any {
            stats.reconnects.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&mut self) {
        self.context.bus.publish(&mut self.readings);
        self.readings.clear();
    }
}

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// A moment on our clock and on the kernel's. Whoever is put aside between looking at the two has them apart by that
/// for good, and every edge with them; so of several looks the quickest one counts.
fn origin(ours: impl Fn() -> Instant, kernels: impl Fn() -> u64) -> (Instant, u64) {
    let look = || {
        let (before, ns) = (ours(), kernels());
        (ours().saturating_duration_since(before), before, ns)
    };
    let quicker = |best: (Duration, Instant, u64), _| std::cmp::min(best, look());
    let (_, moment, ns) = (1..LOOKS).fold(look(), quicker);
    (moment, ns)
}

/// When an edge was, on our clocks: at its own time, but never later than now.
fn at(origin: (Instant, u64), now: Stamp, ns: u64) -> Stamp {
    let edge = origin.0 + Duration::from_nanos(ns.saturating_sub(origin.1));
    let ago = now.mono.saturating_duration_since(edge);
    let mono = now.mono.min(edge);
    Stamp { mono, unix_us: now.unix_us.saturating_sub(i64::try_from(ago.as_micros()).unwrap_or(0)) }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn who_is_put_aside_between_two_clocks_looks_again() {
        let (start, now_us) = (Instant::now(), Cell::new(0_u64));
        let ours = || start + Duration::from_micros(now_us.get());
        // The first look lasts 10 ms, the others a microsecond.
        let kernels = || {
            now_us.set(now_us.get() + if now_us.get() == 0 { 10_000 } else { 1 });
            1_000_000 + 1000 * now_us.get()
        };
        let (moment, ns) = origin(ours, kernels);
        let apart = ns - 1_000_000 - u64::try_from((moment - start).as_nanos()).unwrap();
        assert_eq!(apart, 1000);
    }
}
