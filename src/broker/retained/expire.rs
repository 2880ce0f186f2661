//! Letting go of retained messages whose time is over, now and then.
//!
//! Nobody is given an expired message; this is about its memory. The tree is searched under its read lock, so that those who
//! replace messages go on meanwhile. Invariant: a message that replaced an expired one is never taken for it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::time::Instant;

use super::{Node, Retained, Slot, clear};
use crate::broker::stats::{Counters, add};
use crate::broker::sync::{lock, read, write};

impl Retained {
    /// Removes what has expired, and calls `each` with its topics. Costs nothing while no message has an end.
    pub(in crate::broker) fn expire(&self, now: Instant, counters: &Counters, mut each: impl FnMut(&str)) {
        // Set again by whoever stores a message with an end meanwhile.
        if !self.fading.swap(false, Relaxed) {
            return;
        }
        let (mut over, mut left) = (Vec::new(), false);
        read(&self.tree).fading(now, &mut over, &mut left);
        if left {
            self.fading.store(true, Relaxed);
        }
        for slot in over {
            let topic = slot.topic.clone();
            if clear(&slot, counters, |kept| kept.expired(now)) {
                add(&counters.retained_expired, 1);
                each(&topic);
            }
            drop(slot);
            write(&self.tree).prune(Some(&topic));
        }
    }
}

impl Node {
    /// Collects the slots whose messages have expired; `left`: others will.
    fn fading(&self, now: Instant, over: &mut Vec<Arc<Slot>>, left: &mut bool) {
        if let Some(slot) = &self.slot {
            let ends = lock(&slot.kept).as_ref().and_then(|kept| kept.expires);
            match ends {
                Some(ends) if ends <= now => over.push(Arc::clone(slot)),
                Some(_) => *left = true,
                None => {}
            }
        }
        for child in self.children.iter().flat_map(|children| children.values()) {
            child.fading(now, over, left);
        }
    }
}
