//! Knows a bridge's own messages again when the upstream broker sends them back.
//!
//! MQTT 5 has no-local for that; 3.1.1 has not. What was sent to a topic that is also subscribed is noted by its
//! fingerprint, and taken for an echo once when it comes back. Invariant: at most [`MOST`] fingerprints are kept.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

/// How many fingerprints are kept; older ones are forgotten.
const MOST: usize = 16_384;

/// The fingerprints of what was sent.
#[derive(Debug, Default)]
pub(crate) struct Echoes {
    hasher: RandomState,
    counts: HashMap<u64, u32>,
    order: VecDeque<u64>,
}

impl Echoes {
    fn fingerprint(&self, topic: &str, payload: &[u8]) -> u64 {
        self.hasher.hash_one((topic, payload))
    }

    /// Notes what was sent.
    pub(crate) fn sent(&mut self, topic: &str, payload: &[u8]) {
        let fingerprint = self.fingerprint(topic, payload);
        if self.order.len() >= MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.take(oldest);
        }
        self.order.push_back(fingerprint);
        *self.counts.entry(fingerprint).or_default() += 1;
    }

    /// Whether what came is an echo.
    pub(crate) fn is_echo(&mut self, topic: &str, payload: &[u8]) -> bool {
        if self.counts.is_empty() {
            return false;
        }
        let fingerprint = self.fingerprint(topic, payload);
        self.take(fingerprint)
    }

    fn take(&mut self, fingerprint: u64) -> bool {
        let Some(count) = self.counts.get_mut(&fingerprint) else { return false };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&fingerprint);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_known_again_once() {
        let mut echoes = Echoes::default();
        echoes.sent("a", b"1");
        echoes.sent("a", b"1");
        assert!(!echoes.is_echo("a", b"2") && !echoes.is_echo("b", b"1"));
        assert!(echoes.is_echo("a", b"1") && echoes.is_echo("a", b"1"));
        assert!(!echoes.is_echo("a", b"1"));
    }

    #[test]
    fn old_fingerprints_are_forgotten() {
        let mut echoes = Echoes::default();
        for number in 0..MOST + 10 {
            echoes.sent("a", &number.to_be_bytes());
        }
        assert!(!echoes.is_echo("a", &0usize.to_be_bytes()) && echoes.is_echo("a", &MOST.to_be_bytes()));
        assert!(echoes.counts.len() <= MOST && echoes.order.len() <= MOST);
    }
}
