//! The broker's shared state and the operations on it that are not routing.
//!
//! Lock order: registry, then tree, then a group of sharers, then one session. Nothing here waits for anything but these locks.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, RwLock};

use tokio::time::Instant;

use super::access::{Access, Verdict, is_served, selects};
use super::auth::Auth;
use super::codec::{QoS, ReasonCode, RetainHandling, SubscribeFilter};
use super::config::Config;
use super::listen::Gate;
use super::local::{LocalQueue, Tap};
use super::message::Incoming;
use super::pool::Pool;
use super::registry::Registry;
use super::retained::Retained;
use super::route::{Limits, Round};
use super::session::{Gone, RetainedRef, Session, WillMessage};
use super::share::{Group, Member};
use super::stats::{Counters, add, sub};
use super::store::{Record, Store};
use super::sync::{lock, write};
use super::topic;
use super::trie::{FastMap, Trie};

/// Everything that connections, publishers and subscriptions share.
pub(super) struct Core {
    pub(super) config: Config,
    pub(super) limits: Limits,
    pub(super) routes: RwLock<Trie<Entry>>,
    pub(super) retained: Retained,
    pub(super) registry: Registry,
    pub(super) addresses: Mutex<FastMap<IpAddr, usize>>,
    pub(super) counters: Counters,
    pub(super) pool: Pool,
    pub(super) auth: Auth,
    pub(super) access: Access,
    /// What outlives the program, if anything does.
    pub(super) store: Option<Arc<Store>>,
    /// The listeners, while they are served.
    pub(super) gates: Mutex<Vec<Arc<Gate>>>,
}

/// One subscription in the tree.
pub(super) struct Entry {
    pub(super) sink: Sink,
    pub(super) qos: QoS,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) id: Option<NonZeroU32>,
    /// Not all that the filter selects may be read by the client: each topic is checked at delivery.
    pub(super) checked: bool,
}

/// Who receives what a subscription selects.
#[derive(Clone)]
pub(super) enum Sink {
    Session(Arc<Session>),
    Local(Arc<LocalQueue>),
    Shared(Arc<Group>),
    Tap(Arc<Arc<dyn Tap>>),
}

impl Sink {
    /// Tells subscribers apart.
    pub(super) fn address(&self) -> usize {
        match self {
            Self::Session(session) => Arc::as_ptr(session) as usize,
            Self::Local(queue) => Arc::as_ptr(queue) as usize,
            Self::Shared(group) => Arc::as_ptr(group) as usize,
            Self::Tap(tap) => Arc::as_ptr(tap) as usize,
        }
    }
}

impl Entry {
    /// [MQTT-3.8.3-3]: no-local keeps a client's own messages from it.
    pub(super) fn wants(&self, publisher: &Arc<str>) -> bool {
        match &self.sink {
            Sink::Session(session) if self.no_local => session.id != *publisher,
            _ => true,
        }
    }
}

impl Core {
    pub(super) fn new(config: Config, store: Option<Arc<Store>>) -> Self {
        Self {
            store,
            limits: Limits::new(&config),
            routes: RwLock::default(),
            retained: Retained::new(&config),
            registry: Registry::default(),
            addresses: Mutex::default(),
            counters: Counters::default(),
            pool: Pool::default(),
            auth: Auth::new(&config),
            access: Access::new(&config),
            gates: Mutex::default(),
            config,
        }
    }

    /// Adds or replaces one subscription of a session. Returns the code for the SUBACK.
    pub(super) fn subscribe(
        &self,
        session: &Arc<Session>,
        epoch: u64,
        wanted: &SubscribeFilter<'_>,
        id: Option<NonZeroU32>,
    ) -> Result<ReasonCode, Gone> {
        if let Err(code) = self.check_filter(wanted.filter) {
            add(&self.counters.subscriptions_refused, 1);
            return Ok(code);
        }
        let existed = match self.enter(session, epoch, wanted, id)? {
            Ok(existed) => existed,
            Err(code) => {
                add(&self.counters.subscriptions_refused, 1);
                return Ok(code);
            }
        };
        let send_retained = match wanted.retain_handling {
            // Section 4.8.2: a shared subscription begins without retained messages.
            _ if wanted.filter.starts_with("$share/") => false,
            RetainHandling::Always => true,
            RetainHandling::IfNew => !existed,
            RetainHandling::Never => false,
        };
        if send_retained {
            self.queue_retained(session, epoch, wanted, id)?;
        }
        Ok(ReasonCode(wanted.qos as u8))
    }

    fn check_filter(&self, filter: &str) -> Result<(), ReasonCode> {
        let shared = topic::shared(filter).map_err(|_| ReasonCode::FILTER_INVALID)?;
        let selects = shared.map_or(filter, |(_, selects)| selects);
        topic::check_filter(selects).map_err(|_| ReasonCode::FILTER_INVALID)?;
        let config = &self.config;
        if topic::levels(selects) > config.max_topic_levels || filter.len() > config.max_topic_length {
            return Err(ReasonCode::QUOTA_EXCEEDED);
        }
        is_served(selects)
    }

    /// Puts the subscription into the tree, unless the client may read nothing of it or has too many. Returns whether it
    /// replaced one.
    fn enter(
        &self,
        session: &Arc<Session>,
        epoch: u64,
        wanted: &SubscribeFilter<'_>,
        id: Option<NonZeroU32>,
    ) -> Result<Result<bool, ReasonCode>, Gone> {
        // The tree is locked first, so that a session that ends meanwhile leaves nothing in it.
        let mut routes = write(&self.routes);
        let entered = session.own(epoch, |state| {
            let verdict = state.permissions.subscription(selects(wanted.filter));
            if verdict == Verdict::Nothing {
                return Err(ReasonCode::NOT_AUTHORIZED);
            }
            let checked = verdict == Verdict::Part;
            if state.filters.contains(wanted.filter) {
                state.log_subscribed(wanted, id);
                return Ok((true, checked));
            }
            if state.filters.len() >= self.config.max_subscriptions {
                return Err(ReasonCode::QUOTA_EXCEEDED);
            }
            state.filters.insert(wanted.filter);
            state.log_subscribed(wanted, id);
            Ok((false, checked))
        })?;
        let (replaces, checked) = match entered {
            Ok(entered) => entered,
            Err(code) => {
                let denied = code == ReasonCode::NOT_AUTHORIZED;
                add(&self.counters.subscriptions_denied, u64::from(denied));
                return Ok(Err(code));
            }
        };
        self.plant(&mut routes, session, wanted, id, (replaces, checked));
        Ok(Ok(replaces))
    }

    /// Enters a subscription from before the program started, if the client may still read what it selects.
    pub(super) fn enter_restored(
        &self,
        session: &Arc<Session>,
        wanted: &SubscribeFilter<'_>,
        id: Option<NonZeroU32>,
    ) {
        let mut routes = write(&self.routes);
        let verdict = {
            let mut state = lock(&session.state);
            let verdict = state.permissions.subscription(selects(wanted.filter));
            if verdict == Verdict::Nothing {
                state.log_must(|session| Record::Unsubscribed { session, filter: wanted.filter.into() });
                return;
            }
            state.filters.insert(wanted.filter);
            verdict
        };
        self.plant(&mut routes, session, wanted, id, (false, verdict == Verdict::Part));
    }

    /// Puts a subscription into the tree.
    fn plant(
        &self,
        routes: &mut Trie<Entry>,
        session: &Arc<Session>,
        wanted: &SubscribeFilter<'_>,
        id: Option<NonZeroU32>,
        (replaces, checked): (bool, bool),
    ) {
        match topic::shared(wanted.filter) {
            Ok(Some((name, filter))) => {
                let member = Member {
                    session: Arc::clone(session),
                    qos: wanted.qos,
                    retain_as_published: wanted.retain_as_published,
                    id,
                    checked,
                };
                routes.edit(filter, |list| join(list, name, member));
            }
            _ => {
                let entry = Entry {
                    sink: Sink::Session(Arc::clone(session)),
                    qos: wanted.qos,
                    no_local: wanted.no_local,
                    retain_as_published: wanted.retain_as_published,
                    id,
                    checked,
                };
                routes.edit(wanted.filter, |list| place(list, entry, replaces));
            }
        }
        add(&self.counters.subscriptions, u64::from(!replaces));
        let shared = wanted.filter.starts_with("$share/");
        add(&self.counters.shared_subscriptions, u64::from(!replaces && shared));
    }

    /// Notes the retained messages that a subscription selects; the connection fetches them as it writes.
    fn queue_retained(
        &self,
        session: &Arc<Session>,
        epoch: u64,
        wanted: &SubscribeFilter<'_>,
        id: Option<NonZeroU32>,
    ) -> Result<(), Gone> {
        let mut pending = Vec::new();
        self.retained.select(wanted.filter, &mut |slot| {
            let slot = Arc::clone(slot);
            pending.push(RetainedRef { slot, qos: wanted.qos, id, no_local: wanted.no_local });
        });
        let limit = self.config.max_retained;
        let dropped = session.own(epoch, |state| state.add_retained(pending, limit))?;
        add(&self.counters.dropped_queue_full, dropped);
        Ok(())
    }

    /// Removes one subscription. Returns the code for the UNSUBACK.
    pub(super) fn unsubscribe(
        &self,
        session: &Session,
        epoch: u64,
        filter: &str,
    ) -> Result<ReasonCode, Gone> {
        let removed = session.own(epoch, |state| {
            let removed = state.filters.remove(filter);
            if removed {
                state.log_must(|session| Record::Unsubscribed { session, filter: filter.into() });
            }
            removed
        })?;
        if !removed {
            return Ok(ReasonCode::NO_SUBSCRIPTION_EXISTED);
        }
        self.forget(std::ptr::from_ref(session) as usize, &[filter.into()]);
        Ok(ReasonCode::SUCCESS)
    }

    /// Takes subscriptions of one subscriber out of the tree.
    pub(super) fn forget(&self, subscriber: usize, filters: &[Box<str>]) {
        if filters.is_empty() {
            return;
        }
        let mut routes = write(&self.routes);
        for filter in filters {
            self.forget_one(&mut routes, subscriber, filter);
        }
    }

    /// Takes one subscription out of the tree.
    pub(super) fn forget_one(&self, routes: &mut Trie<Entry>, subscriber: usize, filter: &str) {
        let removed = match topic::shared(filter) {
            Ok(Some((name, filter))) => {
                let left = routes.edit(filter, |list| part(list, name, subscriber));
                sub(&self.counters.shared_subscriptions, left as u64);
                left
            }
            _ => routes.edit(filter, |list| {
                let before = list.len();
                list.retain(|entry| entry.sink.address() != subscriber);
                before - list.len()
            }),
        };
        sub(&self.counters.subscriptions, removed as u64);
    }

    /// Publishes a will whose time has come.
    pub(super) fn publish_will(&self, will: &WillMessage) {
        let now = Instant::now();
        let stored = &will.stored;
        let message = Incoming {
            dup: false,
            expires: will.expiry.map(|seconds| deadline(now, seconds)),
            received: now,
            ..stored.incoming(will.qos, will.retain)
        };
        if will.retain && self.retained.put(&message, &self.counters).is_err() {
            tracing::warn!(topic = %stored.topic, "a will could not be retained: the store is full");
        }
        Round::new(self, now).route(&message);
        add(&self.counters.wills, 1);
    }

    /// Whether one more connection from this address fits, and if so counts it.
    pub(super) fn admit(&self, address: IpAddr) -> bool {
        use std::sync::atomic::Ordering::Relaxed;
        let mut addresses = lock(&self.addresses);
        let same = addresses.entry(address).or_default();
        let full = *same >= self.config.max_connections_per_address
            || self.counters.connections.load(Relaxed) >= self.config.max_connections as u64;
        if full {
            if *same == 0 {
                addresses.remove(&address);
            }
            add(&self.counters.connections_refused, 1);
            return false;
        }
        *same += 1;
        add(&self.counters.connections, 1);
        add(&self.counters.connections_total, 1);
        true
    }

    /// Counts a connection that [`Self::admit`] counted for another address instead, because a proxy said who it is.
    /// False: that address has too many, and nothing has changed.
    pub(super) fn recount(&self, from: IpAddr, to: IpAddr) -> bool {
        let mut addresses = lock(&self.addresses);
        if from == to {
            return true;
        }
        let same = addresses.get(&to).copied().unwrap_or_default();
        if same >= self.config.max_connections_per_address {
            add(&self.counters.connections_refused, 1);
            return false;
        }
        addresses.insert(to, same + 1);
        if let Some(before) = addresses.get_mut(&from) {
            *before -= 1;
            if *before == 0 {
                addresses.remove(&from);
            }
        }
        true
    }

    /// A connection that [`Self::admit`] counted is gone.
    pub(super) fn dismiss(&self, address: IpAddr) {
        let mut addresses = lock(&self.addresses);
        if let Some(same) = addresses.get_mut(&address) {
            *same -= 1;
            if *same == 0 {
                addresses.remove(&address);
            }
        }
        sub(&self.counters.connections, 1);
    }
}

/// Puts a subscription into the list of its filter.
fn place(list: &mut Vec<Entry>, entry: Entry, replaces: bool) {
    if replaces {
        let address = entry.sink.address();
        list.retain(|other| other.sink.address() != address);
    }
    // Most filters have one subscriber; a list grows by itself from the second on.
    list.reserve_exact(usize::from(list.is_empty()));
    list.push(entry);
}

fn group<'l>(list: &'l [Entry], name: &str) -> Option<&'l Arc<Group>> {
    list.iter().find_map(|entry| match &entry.sink {
        Sink::Shared(group) if *group.name == *name => Some(group),
        _ => None,
    })
}

/// Puts a member into its group, which is made if there is none.
fn join(list: &mut Vec<Entry>, name: &str, member: Member) {
    if let Some(group) = group(list, name) {
        return group.join(member);
    }
    // What a group receives is decided member by member.
    let sink = Sink::Shared(Arc::new(Group::new(name, member)));
    let entry = Entry {
        sink,
        qos: QoS::ExactlyOnce,
        no_local: false,
        retain_as_published: true,
        id: None,
        checked: false,
    };
    place(list, entry, false);
}

/// Notes whether what a subscription selects is checked topic by topic.
pub(super) fn mark(routes: &mut Trie<Entry>, subscriber: usize, filter: &str, checked: bool) {
    match topic::shared(filter) {
        Ok(Some((name, filter))) => routes.edit(filter, |list| {
            if let Some(group) = group(list, name) {
                group.mark(subscriber, checked);
            }
        }),
        _ => routes.edit(filter, |list| {
            for entry in list.iter_mut().filter(|entry| entry.sink.address() == subscriber) {
                entry.checked = checked;
            }
        }),
    }
}

/// Takes a member out of its group, and out the group when nobody is left. Returns how many went.
fn part(list: &mut Vec<Entry>, name: &str, subscriber: usize) -> usize {
    let Some(group) = group(list, name) else { return 0 };
    let (left, empty) = group.leave(subscriber);
    if empty {
        let address = Arc::as_ptr(group) as usize;
        list.retain(|entry| entry.sink.address() != address);
    }
    usize::from(left)
}

/// The moment in so many seconds.
pub(super) fn deadline(now: Instant, seconds: u32) -> Instant {
    now + std::time::Duration::from_secs(seconds.into())
}
