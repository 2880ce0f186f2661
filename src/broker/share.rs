//! Shared subscriptions (MQTT 5 section 4.8): of every message one member of a group gets a copy.
//!
//! Members take turns. One that is connected and keeps up goes before one that lags, and that before one
//! that is absent, so a message waits for an absent member only when nobody else is there. What a member
//! leaves unacknowledged goes to the others; a QoS 2 message whose delivery has begun does not
//! ([MQTT-4.8.2-5]). Lock order: the tree, then a group, then one session.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::codec::QoS;
use super::core::Core;
use super::message::{Incoming, Stored};
use super::route::Round;
use super::session::{Grant, Outgoing, Session};
use super::sync::{lock, read};

/// Members looked at for one message before a less suitable one is taken: bounds what a group of many
/// absent members costs its publishers.
const LOOK: usize = 64;

/// The subscribers that share one filter under one name.
pub(super) struct Group {
    pub(super) name: Box<str>,
    members: Mutex<Members>,
}

/// One subscriber of a group.
pub(super) struct Member {
    pub(super) session: Arc<Session>,
    pub(super) qos: QoS,
    pub(super) retain_as_published: bool,
    pub(super) id: Option<NonZeroU32>,
    /// Not all that the filter selects may be read by this member.
    pub(super) checked: bool,
}

struct Members {
    list: Vec<Member>,
    /// Whose turn it is.
    next: usize,
}

/// What a member must be like to get a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Connected, and less than `pause-bytes` wait for it.
    Ready,
    /// Connected.
    Connected,
    /// Its session exists.
    Alive,
}

impl Group {
    pub(super) fn new(name: &str, first: Member) -> Self {
        Self { name: name.into(), members: Mutex::new(Members { list: vec![first], next: 0 }) }
    }

    /// Adds a member, or replaces what it asked for before.
    pub(super) fn join(&self, member: Member) {
        let list = &mut lock(&self.members).list;
        match list.iter_mut().find(|known| Arc::ptr_eq(&known.session, &member.session)) {
            Some(known) => *known = member,
            None => list.push(member),
        }
    }

    /// Takes out the member at this address. Returns whether it was one, and whether nobody is left.
    pub(super) fn leave(&self, address: usize) -> (bool, bool) {
        let mut members = lock(&self.members);
        let at = members.list.iter().position(|member| Arc::as_ptr(&member.session) as usize == address);
        if let Some(at) = at {
            members.list.remove(at);
            if at < members.next {
                members.next -= 1;
            }
        }
        (at.is_some(), members.list.is_empty())
    }

    /// Notes whether what the member at this address is given is checked.
    pub(super) fn mark(&self, address: usize, checked: bool) {
        let mut members = lock(&self.members);
        let same = |member: &&mut Member| Arc::as_ptr(&member.session) as usize == address;
        if let Some(member) = members.list.iter_mut().find(same) {
            member.checked = checked;
        }
    }

    /// Whether a member other than `session` is connected.
    fn has_another(&self, session: &Arc<Session>) -> bool {
        let members = lock(&self.members);
        let mut others = members.list.iter().filter(|member| !Arc::ptr_eq(&member.session, session));
        others.any(|member| lock(&member.session.state).link.is_some())
    }

    /// Gives the message to the member whose turn it is.
    pub(super) fn deliver(
        self: &Arc<Self>,
        message: &Incoming<'_>,
        stored: &mut Option<Arc<Stored>>,
        round: &mut Round<'_>,
    ) {
        let mut members = lock(&self.members);
        let count = members.list.len();
        for need in [Need::Ready, Need::Connected, Need::Alive] {
            for turn in 0..count.min(LOOK) {
                let at = (members.next + turn) % count;
                let member = &members.list[at];
                let id = member.id.map(NonZeroU32::get);
                let grant = Grant {
                    qos: member.qos.min(message.qos),
                    retain: message.retain && member.retain_as_published,
                    ids: id.as_slice(),
                    share: Some(self),
                    checked: member.checked,
                };
                if member.session.offer(need, message, grant, stored, round) {
                    members.next = (at + 1) % count;
                    return;
                }
            }
        }
    }
}

impl Core {
    /// A member lost its connection but not its session: what it left goes to the members that are there.
    pub(super) fn hand_over(&self, session: &Arc<Session>, epoch: u64) {
        let mut groups = lock(&session.state).groups();
        groups.retain(|group| group.has_another(session));
        if groups.is_empty() {
            return;
        }
        let left = {
            let mut state = lock(&session.state);
            // The client may have come back meanwhile; then it gets its messages itself.
            if state.epoch != epoch || state.link.is_some() {
                return;
            }
            state.displace(|group| groups.iter().any(|known| std::ptr::eq(Arc::as_ptr(known), group)))
        };
        self.redeliver(&left);
    }

    /// Gives what a member left to other members of its group.
    pub(super) fn redeliver(&self, left: &[Outgoing]) {
        // While the tree is held nobody's permissions change, so a member's mark fits what it may read.
        let _tree = read(&self.routes);
        let mut round = Round::new(self, Instant::now());
        for outgoing in left {
            let Some(group) = outgoing.share.as_ref().and_then(std::sync::Weak::upgrade) else { continue };
            let stored = &outgoing.stored;
            let message = stored.incoming(outgoing.qos, outgoing.retain);
            group.deliver(&message, &mut Some(Arc::clone(stored)), &mut round);
            // It is in the store of retained messages already, if it is there.
            round.log(&Incoming { retain: false, ..message }, Some(stored));
        }
    }
}
