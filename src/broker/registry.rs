//! Which sessions exist, and how connections come to them and leave them.
//!
//! Invariant: a session is in the map, or it has ended; its state says which. Wills are published after
//! the map's lock is released.

use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::access::Permissions;
use super::auth::{Login, Standing};
use super::codec::{CodecError, ReasonCode};
use super::core::Core;
use super::places::Places;
use super::session::{Link, Outgoing, Session, State, WillMessage};
use super::stats::{add, sub};
use super::sync::lock;
use super::trie::FastMap;

/// An identifier of the form that the server gives to clients that bring none; all have its length.
pub(super) const ASSIGNED_ID_FORM: &str = "iogate-0123456789abcdef";

/// All sessions by client identifier.
#[derive(Default)]
pub(super) struct Registry {
    sessions: Mutex<FastMap<Arc<str>, Arc<Session>>>,
    places: Places,
}

/// What a connection brings to its session.
pub(super) struct Arrival {
    /// Empty: the server chooses one.
    pub(super) client_id: String,
    pub(super) clean_start: bool,
    /// Seconds to keep the session after the connection, already limited.
    pub(super) expiry: u32,
    pub(super) link: Link,
    /// Who the client is.
    pub(super) login: Option<Login>,
}

/// A connection's hold on its session.
pub(super) struct Attached {
    pub(super) session: Arc<Session>,
    pub(super) epoch: u64,
    /// The session existed before.
    pub(super) present: bool,
    /// The CONNACK waits until the log has come so far.
    pub(super) logged: u64,
}

/// A session that ended, with what is left to do about it.
pub(super) struct Ended {
    session: Arc<Session>,
    filters: Vec<Box<str>>,
    /// Messages that others of its groups may have instead.
    left: Vec<Outgoing>,
    /// Its end is durable when the log has come so far.
    logged: u64,
}

impl Registry {
    pub(super) fn lock(&self) -> MutexGuard<'_, FastMap<Arc<str>, Arc<Session>>> {
        lock(&self.sessions)
    }

    /// Every session there is.
    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        lock(&self.sessions).values().cloned().collect()
    }
}

impl Core {
    /// Gives a connection its session, taking it over from an older connection if need be. `will` makes the
    /// connection's will, given the client identifier.
    pub(super) fn attach(
        &self,
        mut arrival: Arrival,
        will: impl FnOnce(&Arc<str>) -> Option<Box<WillMessage>>,
    ) -> Result<Attached, CodecError> {
        let mut wills = Vec::new();
        let mut ended = None;
        let mut attached = {
            let mut sessions = lock(&self.registry.sessions);
            let known = sessions.get(arrival.client_id.as_str()).cloned();
            let id = match &known {
                Some(session) => Arc::clone(&session.id),
                None if arrival.client_id.is_empty() => unused_id(&sessions),
                None => arrival.client_id.as_str().into(),
            };
            // Looked up under this lock: a change of users or rules is applied to every session that is in the map by then.
            let standing =
                arrival.login.as_ref().map_or(Standing::Unchanged, |login| self.auth.standing(login));
            if standing != Standing::Unchanged {
                let what = "the login was changed while the client logged in";
                return Err(refusal(ReasonCode::NOT_AUTHORIZED, what));
            }
            let permissions = self.access.permissions(arrival.login.as_ref(), &id);
            let will = will(&id);
            if will.as_ref().is_some_and(|will| !permissions.may_write(&will.stored.topic)) {
                add(&self.counters.publishes_denied, 1);
                return Err(refusal(ReasonCode::NOT_AUTHORIZED, "will topic is not writable"));
            }
            if known.as_ref().is_some_and(|session| !session.belongs_to(arrival.login.as_ref())) {
                let what = "client identifier belongs to another user";
                return Err(refusal(ReasonCode::CLIENT_ID_INVALID, what));
            }
            self.take_place(known.as_deref(), &mut arrival)?;
            let known = known.and_then(|session| {
                // A session that was to end with its connection is not resumed ([MQTT-3.1.2-6] of 3.1.1).
                let over = arrival.clean_start || lock(&session.state).expiry == 0;
                wills.extend(self.leave_behind(&session, over));
                if over {
                    sessions.remove(&session.id);
                    ended = Some(self.end(&session));
                    return None;
                }
                Some(session)
            });
            self.place(&mut sessions, known, arrival, (id, permissions, will))
        };
        if let Some(ended) = ended {
            self.clean_up(&ended);
            if let Ok(attached) = &mut attached {
                attached.logged = attached.logged.max(ended.logged);
            }
        }
        for will in wills {
            self.publish_will(&will);
        }
        attached
    }

    /// Counts the connection for its user. The one that it takes over, which is the same user's, makes room.
    fn take_place(&self, known: Option<&Session>, arrival: &mut Arrival) -> Result<(), CodecError> {
        let Some(login) = &arrival.login else { return Ok(()) };
        let replaces = known.is_some_and(|session| lock(&session.state).link.is_some());
        let limit = self.config.max_connections_per_user.saturating_add(usize::from(replaces));
        let Some(place) = self.registry.places.take(&login.user, limit) else {
            add(&self.counters.user_connections_refused, 1);
            return Err(refusal(ReasonCode::QUOTA_EXCEEDED, "too many connections of this user"));
        };
        arrival.link.place = Some(place);
        Ok(())
    }

    /// What the arrival of a new connection does to the older one, and to a will that waits
    /// (section 3.1.3.2.2). Returns the will to publish.
    fn leave_behind(&self, session: &Session, over: bool) -> Option<Box<WillMessage>> {
        let mut state = lock(&session.state);
        let connected = state.unlink();
        state.stop_timer();
        // The older connection finds that it owns nothing any more.
        state.epoch += 1;
        if connected {
            add(&self.counters.takeovers, 1);
        }
        state.take_will().filter(|will| over || (connected && will.delay == 0))
    }

    fn place(
        &self,
        sessions: &mut FastMap<Arc<str>, Arc<Session>>,
        known: Option<Arc<Session>>,
        arrival: Arrival,
        (id, permissions, will): (Arc<str>, Arc<Permissions>, Option<Box<WillMessage>>),
    ) -> Result<Attached, CodecError> {
        let present = known.is_some();
        let session = match known {
            Some(session) => session,
            None => {
                if sessions.len() >= self.config.max_sessions {
                    add(&self.counters.sessions_refused, 1);
                    return Err(refusal(ReasonCode::QUOTA_EXCEEDED, "too many sessions"));
                }
                let session = Arc::new(Session::new(Arc::clone(&id)));
                sessions.insert(id, Arc::clone(&session));
                add(&self.counters.sessions, 1);
                session
            }
        };
        let mut state = lock(&session.state);
        state.login = arrival.login;
        if present && state.permissions != permissions {
            // Another token of the same user, perhaps; its subscriptions are judged anew.
            drop(state);
            self.reassess(&session);
            state = lock(&session.state);
        } else {
            state.permissions = permissions;
        }
        let epoch = state.attach(arrival.link, arrival.expiry, will, self.limits.pause_bytes);
        session.arrived();
        state.log_attached(&session.id, self.store.as_ref());
        let logged = state.logged_to();
        drop(state);
        Ok(Attached { session, epoch, present, logged })
    }

    /// A connection ends. `publish_will`: unless the client said goodbye. `expiry`: a new value, if the
    /// client named one.
    pub(super) fn detach(
        self: &Arc<Self>,
        session: &Arc<Session>,
        epoch: u64,
        publish_will: bool,
        expiry: Option<u32>,
    ) {
        let mut due = None;
        let mut ended = None;
        {
            let mut sessions = lock(&self.registry.sessions);
            let mut state = lock(&session.state);
            if state.epoch != epoch || !state.unlink() {
                return;
            }
            state.expiry = expiry.unwrap_or(state.expiry);
            if !publish_will {
                state.will = None;
            }
            let now_or_never = state.expiry == 0 || state.will.as_ref().is_some_and(|will| will.delay == 0);
            if now_or_never {
                due = state.take_will();
            }
            if state.expiry == 0 {
                drop(state);
                sessions.remove(&session.id);
                ended = Some(self.end(session));
            } else {
                state.log_detached();
                self.begin_absence(session, &mut state, Duration::ZERO);
            }
        }
        match ended {
            Some(ended) => self.clean_up(&ended),
            None => self.hand_over(session, epoch),
        }
        if let Some(will) = due {
            self.publish_will(&will);
        }
    }

    /// Waits for the client of a session from before the program started, which has been gone for so long.
    pub(super) fn await_return(self: &Arc<Self>, session: &Arc<Session>, gone: Duration) {
        self.begin_absence(session, &mut lock(&session.state), gone);
    }

    fn begin_absence(self: &Arc<Self>, session: &Arc<Session>, state: &mut State, gone: Duration) {
        let (core, weak) = (Arc::downgrade(self), Arc::downgrade(session));
        let delay = delay_of(state.will.as_deref());
        let task = absence(core, weak, state.epoch, delay, (state.expiry, gone));
        // Without a runtime nothing is served any more, so nothing needs to end in time either.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            state.timer = Some(runtime.spawn(task).abort_handle());
        }
    }

    /// After a change of the users: ends the sessions of those that are gone, with everything that waits in
    /// them, and the connections of those whose password is another one now.
    pub(super) fn apply_users(self: &Arc<Self>) {
        for session in self.registry.all() {
            let (standing, epoch) = {
                let mut state = lock(&session.state);
                let standing = state.login.as_ref().map(|login| self.auth.standing(login));
                state.revoked |= standing.is_some_and(|standing| standing != Standing::Unchanged);
                (standing, state.epoch)
            };
            match standing {
                None | Some(Standing::Unchanged) => continue,
                Some(Standing::Changed) => self.detach(&session, epoch, true, None),
                Some(Standing::Gone) => self.revoke(&session),
            }
            tracing::info!(client = %session.id, ?standing, "the user's login holds no more");
        }
    }

    /// Ends a session without a word to anybody but its client.
    fn revoke(&self, session: &Arc<Session>) {
        let ended = {
            let mut sessions = lock(&self.registry.sessions);
            let mut state = lock(&session.state);
            if state.ended {
                return;
            }
            state.will = None;
            drop(state);
            sessions.remove(&session.id);
            self.end(session)
        };
        self.clean_up(&ended);
    }

    pub(super) fn end(&self, session: &Arc<Session>) -> Ended {
        let mut state = lock(&session.state);
        let (filters, left) = state.end();
        sub(&self.counters.sessions, 1);
        Ended { session: Arc::clone(session), filters, left, logged: state.logged_to() }
    }

    pub(super) fn clean_up(&self, ended: &Ended) {
        self.forget(Arc::as_ptr(&ended.session) as usize, &ended.filters);
        if !ended.left.is_empty() {
            self.redeliver(&ended.left);
        }
    }

    /// Publishes the will of a client that stayed away for its delay.
    fn will_due(&self, session: &Session, epoch: u64) {
        let will = {
            let mut state = lock(&session.state);
            if state.epoch == epoch { state.take_will() } else { None }
        };
        if let Some(will) = will {
            self.publish_will(&will);
        }
    }

    /// Ends the session of a client that stayed away for too long.
    fn expired(&self, session: &Arc<Session>, epoch: u64) {
        let ended = {
            let mut sessions = lock(&self.registry.sessions);
            let mut state = lock(&session.state);
            if state.epoch != epoch || state.ended {
                return;
            }
            // This is the timer itself; it must not abort what it is doing.
            state.timer = None;
            drop(state);
            sessions.remove(&session.id);
            self.end(session)
        };
        self.clean_up(&ended);
        add(&self.counters.sessions_expired, 1);
        tracing::debug!(client = %session.id, "session expired");
    }
}

fn refusal(code: ReasonCode, what: &'static str) -> CodecError {
    CodecError { code, what }
}

fn delay_of(will: Option<&WillMessage>) -> Option<u32> {
    will.map(|will| will.delay)
}

/// Waits while a client is absent: first for its will, then for the end of its session.
async fn absence(
    core: Weak<Core>,
    session: Weak<Session>,
    epoch: u64,
    will_delay: Option<u32>,
    (expiry, gone): (u32, Duration),
) {
    let start = Instant::now();
    let at = |seconds: u32| start + Duration::from_secs(seconds.into()).saturating_sub(gone);
    let both = |core: &Weak<Core>, session: &Weak<Session>| core.upgrade().zip(session.upgrade());
    if let Some(delay) = will_delay {
        // [MQTT-3.1.3-9]: the will is published when its delay has passed or the session ends.
        tokio::time::sleep_until(at(delay.min(expiry))).await;
        let Some((core, session)) = both(&core, &session) else { return };
        core.will_due(&session, epoch);
    }
    tokio::time::sleep_until(at(expiry)).await;
    if let Some((core, session)) = both(&core, &session) {
        core.expired(&session, epoch);
    }
}

/// An identifier for a client that brings none.
fn unused_id(sessions: &FastMap<Arc<str>, Arc<Session>>) -> Arc<str> {
    loop {
        let id = format!("iogate-{:016x}", fastrand::u64(..));
        if !sessions.contains_key(id.as_str()) {
            return id.into();
        }
    }
}
