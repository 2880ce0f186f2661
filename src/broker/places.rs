//! How many connections each user has now.
//!
//! Whoever holds a [`Place`] counts; dropping it counts it off, on whatever way the connection ends. Absent: connections of
//! addresses and listeners, which are counted before anybody is known. Invariant: a user without connections takes no room.

use std::sync::{Arc, Mutex};

use super::sync::lock;
use super::trie::FastMap;

/// The connections of all users.
#[derive(Clone, Default)]
pub(super) struct Places {
    taken: Arc<Mutex<FastMap<Arc<str>, usize>>>,
}

/// One connection of a user.
pub(super) struct Place {
    user: Arc<str>,
    places: Places,
}

impl Places {
    /// Counts one more connection of a user; `None`: there are `limit` already.
    pub(super) fn take(&self, user: &Arc<str>, limit: usize) -> Option<Place> {
        let mut taken = lock(&self.taken);
        let count = taken.get(user).copied().unwrap_or(0);
        if count >= limit {
            return None;
        }
        taken.insert(Arc::clone(user), count + 1);
        Some(Place { user: Arc::clone(user), places: self.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.taken);
        if let Some(count) = taken.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_by_user_and_given_back() {
        let (places, anna, bert) = (Places::default(), Arc::from("anna"), Arc::from("bert"));
        let held = [places.take(&anna, 2).unwrap(), places.take(&anna, 2).unwrap()];
        assert!(places.take(&anna, 2).is_none());
        let other = places.take(&bert, 2).unwrap();
        drop(held);
        assert!(places.take(&anna, 1).is_some());
        drop(other);
        assert!(lock(&places.taken).is_empty());
    }
}
