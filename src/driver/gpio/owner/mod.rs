//! The thread of one channel's lines, and the task that hears their edges.
//!
//! What may block (opening, polls, writes) is the thread's; an edge only has to be read from its file, which never
//! waits, so that the task takes it in where the message about it is sent as well: a wake-up of one thread instead of
//! three. Edges that come while the thread is at work are taken in by it afterwards. `port` is one line with its points,
//! `write` serves commands, `ears` watches files. Invariant: the task ends only after the thread has, and a panic in the
//! thread is one in the task, so that the supervisor sees it.

mod ears;
mod port;
mod write;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;

use super::Lines;
use super::find::LineId;
use super::store::{self, Store};
use crate::driver::local::Fault;
use crate::driver::{ChannelContext, LinkState};
use crate::model::{PointId, Reading, Stamp};
use ears::{Ears, Heard};
use port::Port;

/// How often a line that is busy or gone is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How often the two clocks are looked at to find how far they are apart.
const LOOKS: u32 = 8;

/// The longest wait, so that a stop that was missed ends it all the same.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// What the thread and the task share.
struct Shared {
    owner: Mutex<Owner>,
    ears: Arc<Ears>,
    /// Edges came while the thread was at work.
    left: AtomicBool,
    /// The task is gone.
    alone: AtomicBool,
}

/// Ends the thread with the task.
struct Leave(Arc<Shared>, Thread);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.alone.store(true, Ordering::SeqCst);
        self.1.unpark();
    }
}

/// Runs the thread until the shutdown.
pub(super) async fn run(plan: Arc<Lines>, context: ChannelContext) {
    let name = Arc::clone(&plan.name);
    let (shared, thread, mut done) = match start(plan, context.clone()).await {
        Ok(started) => started,
        Err(error) => {
            // The supervisor waits and tries again.
            tracing::error!(channel = %name, %error, "no thread for the lines");
            return;
        }
    };
    let leave = Leave(Arc::clone(&shared), thread);
    let mut heard = Vec::new();
    loop {
        tokio::select! {
            // An error is a thread that has panicked; returning makes the supervisor start it again.
            _ = &mut done => return,
            () = context.writes.pushed() => leave.1.unpark(),
            () = context.shutdown.cancelled() => break,
            () = shared.ears.hear(&mut heard) => shared.take(&mut heard, &leave.1),
        }
    }
    drop(leave);
    // It stops at once; an error is one that has ended by itself.
    let _ = done.await;
}

type Started = (Arc<Shared>, Thread, oneshot::Receiver<()>);

async fn start(plan: Arc<Lines>, context: ChannelContext) -> std::io::Result<Started> {
    let name = format!("gpio {}", plan.name);
    // It reads the totals that were kept.
    let shared = tokio::task::spawn_blocking(move || Shared::new(&plan, context)).await?;
    let shared = Arc::new(shared);
    let (tell, done) = oneshot::channel();
    let (own, runtime) = (Arc::clone(&shared), tokio::runtime::Handle::current());
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        let _guard = runtime.enter();
        own.work();
        // The lines are free before anybody hears of the end.
        drop(own);
        // Whoever waited may be gone.
        let _ = tell.send(());
    })?;
    Ok((shared, thread.thread().clone(), done))
}

impl Shared {
    fn new(plan: &Lines, context: ChannelContext) -> Self {
        let owner = Owner::new(plan, context);
        let ears = Arc::clone(&owner.ears);
        Self { owner: Mutex::new(owner), ears, left: AtomicBool::new(false), alone: AtomicBool::new(false) }
    }

    /// The thread's loop. A lock that is poisoned is a panic in the task, which the supervisor has seen.
    fn work(&self) {
        while let Ok(mut owner) = self.owner.lock() {
            if self.left.swap(false, Ordering::SeqCst) {
                owner.take_all_edges();
            }
            if owner.context.shutdown.is_cancelled() || self.alone.load(Ordering::SeqCst) {
                owner.end();
                return;
            }
            // Lines are opened before the first command comes.
            owner.do_what_is_due();
            owner.serve_writes();
            owner.flush();
            let wait = owner.wait();
            drop(owner);
            std::thread::park_timeout(wait);
        }
    }

    /// Takes in what was heard, unless the thread is at work, which then does it.
    fn take(&self, heard: &mut Vec<Heard>, thread: &Thread) {
        // Before the lock is tried: the thread looks at it after it has let go.
        self.left.store(true, Ordering::SeqCst);
        match self.owner.try_lock() {
            Ok(mut owner) => {
                self.left.store(false, Ordering::SeqCst);
                for heard in heard.drain(..) {
                    owner.take_edges(heard);
                }
                owner.flush();
                if owner.due() < owner.wakes_at {
                    thread.unpark();
                }
            }
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => {
                heard.clear();
                thread.unpark();
            }
        }
    }
}

/// The lines with what is known of them.
struct Owner {
    context: ChannelContext,
    ports: Vec<Port>,
    ears: Arc<Ears>,
    /// By point: its port and its place there.
    places: HashMap<PointId, (usize, usize)>,
    store: Store,
    save_at: Instant,
    save_failed: bool,
    /// When the thread wakes by itself.
    wakes_at: Instant,
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
        let ears = Arc::new(Ears::new(ports.len()));
        let (save_at, readings) = (now + store::PERIOD, Vec::new());
        Self {
            context,
            ports,
            ears,
            places,
            store,
            save_at,
            save_failed: false,
            wakes_at: now,
            readings,
            origin,
        }
    }

    /// When something has to be done, edges apart.
    fn due(&self) -> Instant {
        self.ports.iter().filter_map(Port::due).fold(self.save_at, Instant::min)
    }

    /// How long the thread may sleep.
    fn wait(&mut self) -> Duration {
        let now = self.context.clock.mono();
        self.wakes_at = self.due().min(now + MAX_WAIT);
        self.wakes_at.saturating_duration_since(now)
    }

    fn take_all_edges(&mut self) {
        let listening: Vec<usize> =
            (0..self.ports.len()).filter(|port| self.ports[*port].listens()).collect();
        for port in listening {
            self.take_edges(Heard { port, gone: false });
        }
    }

    fn take_edges(&mut self, Heard { port, gone }: Heard) {
        let now = self.context.clock.stamp();
        let origin = self.origin;
        let stamp = |ns: u64| at(origin, now, ns);
        let result = if gone { Err(port::gone()) } else { self.ports[port].edges(stamp, &mut self.readings) };
        if let Err(fault) = result {
            self.ports[port].fail(fault, now, &mut self.readings);
            self.lines_changed();
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
            self.lines_changed();
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

    /// Pulses end, and what was counted is kept.
    fn end(&mut self) {
        self.ports.iter_mut().for_each(Port::end);
        self.keep_totals();
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

    /// Lines have come or gone: files are watched or let go, and devices are online or not.
    fn lines_changed(&mut self) {
        let now = self.context.clock.stamp();
        for (place, port) in self.ports.iter_mut().enumerate() {
            if let Err(error) = self.ears.watch(place, port.file()) {
                port.fail(
                    Fault::Absent(format!("its edges cannot be watched: {error}")),
                    now,
                    &mut self.readings,
                );
            }
        }
        self.tell_links();
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
