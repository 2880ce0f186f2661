//! Subscriptions as they stand in the tree: who receives what a filter selects.
//!
//! A filter has a list of entries; a group of sharers is one entry of it.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::codec::QoS;
use super::local::{LocalQueue, SharedTap};
use super::session::Session;
use super::share::{Group, Member};
use super::topic;
use super::trie::Trie;

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
    Tap(SharedTap),
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

/// Puts a subscription into the list of its filter.
pub(super) fn place(list: &mut Vec<Entry>, entry: Entry, replaces: bool) {
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
pub(super) fn join(list: &mut Vec<Entry>, name: &str, member: Member) {
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
pub(super) fn part(list: &mut Vec<Entry>, name: &str, subscriber: usize) -> usize {
    let Some(group) = group(list, name) else { return 0 };
    let (left, empty) = group.leave(subscriber);
    if empty {
        let address = Arc::as_ptr(group) as usize;
        list.retain(|entry| entry.sink.address() != address);
    }
    usize::from(left)
}
