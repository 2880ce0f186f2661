//! A session: what the broker knows about one client, connected or not.
//!
//! Everything sits behind one short lock; nobody waits while holding it. The connection that serves
//! the session owns it by its `epoch`: after a takeover the older connection finds another epoch and
//! touches nothing. Sockets and timers are deliberately absent. Invariant: without a connection
//! `ready` is empty, because what is in it was encoded for that connection.

mod acks;
mod alias;
mod deliver;
mod filters;
mod inflight;
mod kept;
mod outbox;
mod restrict;
mod winnow;

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::access::Permissions;
use super::auth::Login;
use super::codec::{QoS, Version};
use super::message::Stored;
use super::places::Place;
use super::retained::Slot;
use super::share::Group;
use super::store::Record;
use super::sync::lock;
use super::trie::FastHash;
use alias::Aliases;
pub(super) use deliver::Grant;
use filters::Filters;
pub(super) use inflight::Ids;
use inflight::InFlight;
pub(super) use outbox::Taken;

pub(super) use inflight::Outgoing;
pub(super) use kept::{Logged, kept};

/// One client's session.
pub(super) struct Session {
    pub(super) id: Arc<str>,
    /// Messages that the client published.
    pub(super) published: AtomicU64,
    pub(super) state: Mutex<State>,
    /// A newer connection waits for the present one to end. Beside the lock, because it is read after every
    /// read.
    awaited: AtomicBool,
}

/// What changes in a session.
#[derive(Default)]
pub(super) struct State {
    /// Counts the connections that served the session.
    pub(super) epoch: u64,
    pub(super) link: Option<Link>,
    /// When the last connection ended; `None` while there is one.
    pub(super) absent: Option<Instant>,
    /// The last connection that the operator sent away.
    pub(super) evicted: u64,
    /// Whose session it is; `None`: nobody's in particular.
    pub(super) login: Option<Login>,
    /// What its client may do.
    pub(super) permissions: Arc<Permissions>,
    /// The user was taken away what the connection began with.
    pub(super) revoked: bool,
    /// The session is over; whoever still holds it leaves it alone.
    pub(super) ended: bool,
    /// Seconds to keep the session without a connection.
    pub(super) expiry: u32,
    pub(super) will: Option<Box<WillMessage>>,
    /// Where it stands in the log, if it is kept there.
    pub(super) log: Option<Logged>,
    /// Position of the last record that its client may be waiting for.
    logged: u64,
    /// Waits for the session's end while the client is absent.
    pub(super) timer: Option<AbortHandle>,
    pub(super) filters: Filters,
    /// QoS 2 packet identifiers received from the client and not yet released.
    pub(super) received: HashSet<u16, FastHash>,
    /// Encoded packets for the connection to write.
    ready: Vec<u8>,
    inflight: InFlight,
    /// QoS 1 and 2 messages that wait for room in flight, or for the client.
    queue: VecDeque<Outgoing>,
    queue_bytes: usize,
    /// Retained messages still to be sent for new subscriptions; fetched when their turn comes.
    retained: VecDeque<RetainedRef>,
    /// Since when more than `pause-bytes` wait.
    congested: Option<Instant>,
    /// Publishers that wait for this session.
    waiters: Vec<Waker>,
    /// Messages given to the client.
    pub(super) sent: u64,
    /// Messages dropped for it.
    pub(super) dropped: u64,
}

/// The connection of a session.
pub(super) struct Link {
    pub(super) version: Version,
    /// Largest packet the client takes, in bytes.
    pub(super) max_packet: usize,
    /// How many unacknowledged messages the client takes.
    pub(super) window: u16,
    pub(super) peer: SocketAddr,
    pub(super) since: Instant,
    /// Counts it among those of its user, if it has one.
    pub(super) place: Option<Place>,
    /// Name of the listener that it came through, if any.
    pub(super) listener: Option<Arc<str>>,
    /// How many more messages may be sent before an acknowledgement.
    quota: u16,
    waker: Option<Waker>,
    /// The connection found nothing to write and wants to be woken.
    idle: bool,
    /// Bytes that the connection took and has not written yet.
    taken: usize,
    /// Topics that the client knows by number; `None`: it takes no aliases.
    aliases: Option<Box<Aliases>>,
    /// Dropped with the link: tells a newer connection that this one has ended.
    leaving: Option<oneshot::Sender<()>>,
}

/// A will message, kept until the connection ends.
pub(super) struct WillMessage {
    pub(super) stored: Stored,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Seconds between the end of the connection and the publication.
    pub(super) delay: u32,
    /// Message expiry interval in seconds, counted from the publication.
    pub(super) expiry: Option<u32>,
}

/// A retained message that a subscription selected.
pub(super) struct RetainedRef {
    pub(super) slot: Arc<Slot>,
    pub(super) qos: QoS,
    pub(super) id: Option<NonZeroU32>,
    pub(super) no_local: bool,
}

/// The client acknowledged a message in a way that its QoS and what was acknowledged before rule out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misplaced;

/// Whether the message of an acknowledgement was in flight.
pub(super) type Acked = Result<bool, Misplaced>;

/// The connection no longer owns the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

impl Link {
    pub(super) fn new(
        version: Version,
        max_packet: usize,
        window: u16,
        peer: SocketAddr,
        now: Instant,
    ) -> Self {
        let quota = window;
        Self {
            version,
            max_packet,
            window,
            peer,
            since: now,
            place: None,
            listener: None,
            quota,
            waker: None,
            idle: false,
            taken: 0,
            aliases: None,
            leaving: None,
        }
    }

    /// So many topics may be sent to the client as numbers.
    pub(super) fn with_aliases(self, max: u16) -> Self {
        Self { aliases: Aliases::new(max), ..self }
    }

    /// The listener that the connection came through.
    pub(super) fn through(self, listener: Option<Arc<str>>) -> Self {
        Self { listener, ..self }
    }
}

impl Session {
    pub(super) fn new(id: Arc<str>) -> Self {
        Self { id, published: AtomicU64::new(0), state: Mutex::default(), awaited: AtomicBool::new(false) }
    }

    /// Whether the connection ended because its login holds no more.
    pub(super) fn revoked(&self) -> bool {
        lock(&self.state).revoked
    }

    /// Whether this client may have the session: messages that wait for one user are not for another.
    pub(super) fn belongs_to(&self, login: Option<&Login>) -> bool {
        let state = lock(&self.state);
        state.login.as_ref().map(|login| &login.user) == login.map(|login| &login.user)
    }

    /// Asks the present connection to handle what has arrived and to end; `leaving` is dropped when it has.
    /// False: there is none.
    pub(super) fn ask_to_leave(&self, leaving: oneshot::Sender<()>) -> bool {
        let mut state = lock(&self.state);
        let Some(link) = &mut state.link else { return false };
        link.leaving = Some(leaving);
        if let Some(waker) = &link.waker {
            waker.wake_by_ref();
        }
        self.awaited.store(true, Ordering::Relaxed);
        true
    }

    /// Whether a newer connection waits for the present one to end.
    pub(super) fn awaited(&self) -> bool {
        self.awaited.load(Ordering::Relaxed)
    }

    /// The newer connection has come.
    pub(super) fn arrived(&self) {
        self.awaited.store(false, Ordering::Relaxed);
    }

    /// Runs `act` on the state, if the connection with this epoch still owns it.
    pub(super) fn own<R>(&self, epoch: u64, act: impl FnOnce(&mut State) -> R) -> Result<R, Gone> {
        let mut state = lock(&self.state);
        if state.epoch == epoch && state.link.is_some() { Ok(act(&mut state)) } else { Err(Gone) }
    }
}

impl State {
    /// What is in flight and what waits, from before the program started; `Err`: a PUBREL is due.
    pub(super) fn refill(
        &mut self,
        sequence: u64,
        flying: Vec<Option<Result<Outgoing, u64>>>,
        queue: Vec<Outgoing>,
    ) {
        let sent = |slot: Result<Outgoing, u64>| match slot {
            Ok(outgoing) => inflight::Sent::Published(outgoing),
            Err(entry) => inflight::Sent::Released(entry),
        };
        self.inflight = InFlight::restored(sequence, flying.into_iter().map(|slot| slot.map(sent)));
        self.queue_bytes = queue.iter().map(|waiting| waiting.stored.cost()).sum();
        self.queue = queue.into();
        self.absent = Some(Instant::now());
    }

    /// A connection takes the session. Everything in flight will be sent again.
    pub(super) fn attach(
        &mut self,
        link: Link,
        expiry: u32,
        will: Option<Box<WillMessage>>,
        pause: usize,
    ) -> u64 {
        self.epoch += 1;
        self.expiry = expiry;
        self.will = will;
        self.revoked = false;
        self.inflight.restart();
        self.withdraw_sent();
        if self.backlog() > pause {
            // Nobody waits for a backlog from before: it counts as slow until it has drained.
            self.congested = Some(Instant::now() - std::time::Duration::from_secs(3600));
        }
        self.link = Some(link);
        self.absent = None;
        self.epoch
    }

    /// The client is back, or the session is over: nobody waits for its end any more.
    pub(super) fn stop_timer(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
    }

    /// Ends the tie to a connection, if there is one. Returns whether there was.
    pub(super) fn unlink(&mut self) -> bool {
        let Some(link) = self.link.take() else { return false };
        self.absent = Some(Instant::now());
        if let Some(waker) = link.waker {
            waker.wake();
        }
        self.ready = Vec::new();
        self.retained.retain(|pending| pending.qos > QoS::AtMostOnce);
        self.relieve();
        true
    }

    /// Ends the session; returns its filters, for removal from the tree, and what it leaves to those who
    /// share subscriptions with it.
    pub(super) fn end(&mut self) -> (Vec<Box<str>>, Vec<Outgoing>) {
        self.log_end();
        self.unlink();
        self.stop_timer();
        self.ended = true;
        let left = self.displace(|_| true);
        self.queue = VecDeque::new();
        self.queue_bytes = 0;
        self.inflight = InFlight::default();
        self.retained = VecDeque::new();
        self.received.clear();
        (self.filters.take(), left)
    }

    /// The groups whose messages wait here and could go to another member.
    pub(super) fn groups(&self) -> Vec<Arc<Group>> {
        let sent = self.inflight.published().filter(|outgoing| outgoing.qos == QoS::AtLeastOnce);
        let mut groups: Vec<Arc<Group>> = Vec::new();
        for share in sent.chain(&self.queue).filter_map(|outgoing| outgoing.share.as_ref()) {
            if groups.iter().any(|known| std::ptr::eq(Arc::as_ptr(known), share.as_ptr())) {
                continue;
            }
            groups.extend(share.upgrade());
        }
        groups
    }

    /// Takes out the messages of the groups that `which` names: QoS 1 ones without an acknowledgement, and
    /// all that were not yet sent.
    pub(super) fn displace(&mut self, which: impl Fn(*const Group) -> bool) -> Vec<Outgoing> {
        let chosen = |outgoing: &Outgoing| outgoing.share.as_ref().is_some_and(|share| which(share.as_ptr()));
        let mut left = Vec::new();
        self.inflight.displace(chosen, &mut left);
        for outgoing in &left {
            let entry = outgoing.entry;
            self.log_later(|session| Record::Acknowledged { session, entry });
        }
        if self.queue.iter().any(chosen) {
            let (gone, kept): (VecDeque<_>, _) =
                std::mem::take(&mut self.queue).into_iter().partition(chosen);
            self.queue = kept;
            self.queue_bytes = self.queue.iter().map(|waiting| waiting.stored.cost()).sum();
            gone.iter().for_each(|outgoing| self.log_dropped(outgoing));
            left.extend(gone);
        }
        left
    }

    /// Notes retained messages to be sent; beyond `limit` they are dropped and counted.
    pub(super) fn add_retained(&mut self, pending: Vec<RetainedRef>, limit: usize) -> u64 {
        let room = limit.saturating_sub(self.retained.len());
        let dropped = pending.len().saturating_sub(room);
        self.retained.extend(pending.into_iter().take(room));
        dropped as u64
    }

    /// Bytes that wait to be taken by the connection.
    fn backlog(&self) -> usize {
        self.ready.len() + self.queue_bytes
    }

    /// Bytes the session costs now: waiting, being written, or waiting for an acknowledgement.
    pub(super) fn held(&self) -> usize {
        self.backlog() + self.inflight.bytes() + self.link.as_ref().map_or(0, |link| link.taken)
    }

    /// Messages waiting and in flight.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.queue.len(), self.inflight.len())
    }

    /// Lets everybody go on who waits for this session.
    fn relieve(&mut self) {
        self.congested = None;
        for waiter in self.waiters.drain(..) {
            waiter.wake();
        }
    }
}
