//! Brute force made slow: who failed often waits before the next try is looked at.
//!
//! Counted per address and per user; pure, with the time given. The first [`FREE`] failures cost nothing, so a
//! mistyped password does not hurt. Invariant: at most [`MAX_ENTRIES`] are remembered.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use tokio::time::Instant;

use crate::broker::trie::FastMap;

/// Failures without consequence.
const FREE: u32 = 3;

/// The first delay; it doubles with each failure.
const FIRST: Duration = Duration::from_millis(500);

/// The longest delay between two tries.
const LONGEST: Duration = Duration::from_secs(60);

/// How long a try may wait for its turn; later ones are refused at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// When failures are forgotten.
const MEMORY: Duration = Duration::from_secs(15 * 60);

/// Most addresses and users remembered.
const MAX_ENTRIES: usize = 4_096;

/// What failed.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Address(IpAddr),
    User(Box<str>),
}

struct Entry {
    failures: u32,
    /// When the next try may be looked at.
    free: Instant,
}

/// The failures of late.
#[derive(Default)]
pub(super) struct Throttle {
    entries: FastMap<Key, Entry>,
}

/// Too many tries wait already.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused;

impl Throttle {
    /// Asks for a try. Returns how long it must wait; each try takes a turn of its own.
    pub(super) fn admit(
        &mut self,
        address: IpAddr,
        user: Option<&str>,
        now: Instant,
    ) -> Result<Duration, Refused> {
        let keys: Vec<_> = keys(address, user).collect();
        let free =
            keys.iter().filter_map(|key| Some(self.entries.get(key)?.free)).max().unwrap_or(now).max(now);
        let wait = free - now;
        if wait > PATIENCE {
            return Err(Refused);
        }
        for key in keys {
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.free = free + delay(entry.failures);
            }
        }
        Ok(wait)
    }

    /// A try failed. `user`: if one was named.
    pub(super) fn failed(&mut self, address: IpAddr, user: Option<&str>, now: Instant) {
        for key in keys(address, user) {
            self.make_room(now);
            let entry = self.entries.entry(key).or_insert(Entry { failures: 0, free: now });
            entry.failures = entry.failures.saturating_add(1);
            entry.free = entry.free.max(now + delay(entry.failures));
        }
    }

    /// A try succeeded: the user is no longer suspected. The address still is: it may try other users.
    pub(super) fn succeeded(&mut self, user: &str) {
        self.entries.remove(&Key::User(user.into()));
    }

    fn make_room(&mut self, now: Instant) {
        if self.entries.len() < MAX_ENTRIES {
            return;
        }
        self.entries.retain(|_, entry| entry.free + MEMORY > now);
        while self.entries.len() >= MAX_ENTRIES {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.free).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { return };
            self.entries.remove(&oldest);
        }
    }
}

/// An IPv6 client has a network of 64 bits to itself and may use any address of it.
fn keys(address: IpAddr, user: Option<&str>) -> impl Iterator<Item = Key> {
    let address = match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    };
    std::iter::once(Key::Address(address)).chain(user.map(|user| Key::User(user.into())))
}

fn delay(failures: u32) -> Duration {
    match failures.checked_sub(FREE) {
        None | Some(0) => Duration::ZERO,
        Some(more) => FIRST.saturating_mul(1 << (more - 1).min(16)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> IpAddr {
        "192.0.2.1".parse().unwrap()
    }

    #[test]
    fn tries_become_slow_and_then_refused() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..FREE {
            assert_eq!(throttle.admit(here(), Some("anna"), now), Ok(Duration::ZERO));
            throttle.failed(here(), Some("anna"), now);
        }
        assert_eq!(throttle.admit(here(), Some("anna"), now), Ok(Duration::ZERO));
        throttle.failed(here(), Some("anna"), now);
        assert_eq!(throttle.admit(here(), Some("anna"), now), Ok(FIRST));
        // Tries side by side take turns.
        assert_eq!(throttle.admit(here(), Some("anna"), now), Ok(FIRST * 2));
        for _ in 0..8 {
            let _ = throttle.admit(here(), Some("anna"), now);
        }
        assert_eq!(throttle.admit(here(), Some("anna"), now), Err(Refused));
        // The address is slowed for every user, the user from every address; others are not.
        assert_eq!(throttle.admit(here(), Some("bert"), now), Err(Refused));
        assert_eq!(throttle.admit("192.0.2.2".parse().unwrap(), Some("anna"), now), Err(Refused));
        assert_eq!(throttle.admit("192.0.2.2".parse().unwrap(), Some("bert"), now), Ok(Duration::ZERO));
        assert_eq!(throttle.admit(here(), Some("anna"), now + MEMORY), Ok(Duration::ZERO));
    }

    #[test]
    fn a_success_clears_the_user_and_not_the_address() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..=FREE {
            throttle.failed(here(), Some("anna"), now);
        }
        throttle.succeeded("anna");
        assert_eq!(throttle.admit("192.0.2.2".parse().unwrap(), Some("anna"), now), Ok(Duration::ZERO));
        assert_eq!(throttle.admit(here(), Some("bert"), now), Ok(FIRST));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address_and_memory_is_bounded() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for last in 0..8_u16 {
            let address = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, last));
            throttle.failed(address, Some(&format!("user-{last}")), now);
        }
        let other = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 9, 9, 9, 9));
        assert!(throttle.admit(other, Some("new"), now).unwrap_or(LONGEST) > Duration::ZERO);
        for user in 0..MAX_ENTRIES * 2 {
            throttle.failed(here(), Some(&user.to_string()), now);
        }
        assert!(throttle.entries.len() <= MAX_ENTRIES);
    }

    #[test]
    fn delays_are_bounded() {
        assert_eq!(
            (delay(0), delay(3), delay(4), delay(5)),
            (Duration::ZERO, Duration::ZERO, FIRST, FIRST * 2)
        );
        assert_eq!(delay(u32::MAX), LONGEST);
    }
}
