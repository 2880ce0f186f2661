//! Which commands have been given before: ids by client, for as long as a command can count. Pure.
//!
//! Invariant: of two commands of one client with one id within [`REMEMBERED`] the second is refused; where there is no
//! room left to remember an id, the command is refused as well.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::command::MAX_DEADLINE;

/// For how long an id is remembered: twice as long as any command can wait.
pub const REMEMBERED: Duration = Duration::from_secs(2 * MAX_DEADLINE.as_secs());

/// The most ids of one client that are remembered.
const MAX_IDS: usize = 4096;

/// The most clients whose ids are remembered at a time.
const MAX_CLIENTS: usize = 64;

/// The ids of the commands of late.
#[derive(Debug, Default)]
pub struct Given {
    clients: HashMap<Arc<str>, Ids>,
}

#[derive(Debug, Default)]
struct Ids {
    known: HashSet<Arc<str>>,
    oldest_first: VecDeque<(Instant, Arc<str>)>,
}

impl Ids {
    fn forget(&mut self, now: Instant) {
        let over = |(since, _): &(Instant, Arc<str>)| now.saturating_duration_since(*since) >= REMEMBERED;
        while self.oldest_first.front().is_some_and(over) {
            if let Some((_, id)) = self.oldest_first.pop_front() {
                self.known.remove(&id);
            }
        }
    }
}

impl Given {
    /// What still counts, the oldest of each client first: by whom, which, and since when.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, Instant)> {
        self.clients
            .iter()
            .flat_map(|(client, ids)| ids.oldest_first.iter().map(move |(since, id)| (client, id, *since)))
    }

    /// Remembers a command.
    ///
    /// # Errors
    /// When this client has given it before, or there is no room to remember it.
    pub fn remember(&mut self, client: &Arc<str>, id: &str, now: Instant) -> Result<(), String> {
        if !self.clients.contains_key(client) && self.clients.len() >= MAX_CLIENTS {
            self.clients.retain(|_, ids| {
                ids.forget(now);
                !ids.known.is_empty()
            });
            if self.clients.len() >= MAX_CLIENTS {
                return Err(format!("commands with ids come from more than {MAX_CLIENTS} clients"));
            }
        }
        let ids = self.clients.entry(Arc::clone(client)).or_default();
        ids.forget(now);
        if ids.known.contains(id) {
            return Err(format!(
                "the command `{id}` has been given before: every command needs an id of its own"
            ));
        }
        if ids.known.len() >= MAX_IDS {
            let within = REMEMBERED.as_secs();
            return Err(format!("more than {MAX_IDS} commands with ids within {within} s"));
        }
        let id: Arc<str> = id.into();
        ids.known.insert(Arc::clone(&id));
        ids.oldest_first.push_back((now, id));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_cannot_be_remembered_is_refused() {
        let (mut given, now) = (Given::default(), Instant::now());
        let client = |n: usize| -> Arc<str> { n.to_string().into() };
        for n in 0..MAX_IDS {
            given.remember(&client(0), &n.to_string(), now).unwrap();
        }
        assert!(given.remember(&client(0), "x", now).unwrap_err().contains("more than"));
        assert!(given.remember(&client(0), "7", now).unwrap_err().contains("before"));
        for n in 1..MAX_CLIENTS {
            given.remember(&client(n), "7", now).unwrap();
        }
        assert!(given.remember(&client(MAX_CLIENTS), "7", now).is_err());
        let later = now + REMEMBERED;
        given.remember(&client(MAX_CLIENTS), "7", later).unwrap();
        given.remember(&client(0), "7", later).unwrap();
    }

    proptest! {
        #[test]
        fn no_command_is_taken_twice_in_its_time(
            steps in prop::collection::vec((0u8..3, 0u8..6, 0u64..200), 0..200)
        ) {
            let (mut given, start) = (Given::default(), Instant::now());
            let (mut taken, mut now) = (HashMap::new(), start);
            for (client, id, wait) in steps {
                now += Duration::from_secs(wait);
                let fresh = given.remember(&client.to_string().into(), &id.to_string(), now).is_ok();
                let before = taken.get(&(client, id)).is_none_or(|since| now - *since >= REMEMBERED);
                prop_assert_eq!(fresh, before);
                if fresh {
                    taken.insert((client, id), now);
                }
            }
        }
    }
}
