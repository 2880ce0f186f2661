//! The broker's shared state and the operations on it that are not routing.
//!
//! Lock order: registry, then tree, then a group of sharers, then one session. Nothing here waits for anything but these locks.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use tokio::time::Instant;

use super::access::{Access, Verdict, is_served, selects};
use super::auth::Auth;
use super::codec::{ReasonCode, RetainHandling, SubscribeFilter};
use super::config::Config;
use super::entry::{Entry, Sink, join, part, place};
use super::listen::Gate;
use super::message::Incoming;
use super::pool::Pool;
use super::registry::Registry;
use super::retained::Retained;
use super::route::{Limits, Round};
use super::server::FilesChanged;
use super::session::{Gone, RetainedRef, Session, WillMessage};
use super::share::Member;
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
    /// Who hears of changed files that nobody has asked to take in.
    pub(super) files_changed: OnceLock<FilesChanged>,
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
            files_changed: OnceLock::new(),
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
            tracing::warn!(topic = &*stored.topic, "a will could not be retained: the store is full");
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

/// The moment in so many seconds.
pub(super) fn deadline(now: Instant, seconds: u32) -> Instant {
    now + std::time::Duration::from_secs(seconds.into())
}
