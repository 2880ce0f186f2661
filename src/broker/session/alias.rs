//! Topic aliases towards a client (MQTT 5 section 3.3.2.3.4): a topic that was sent once is a number
//! from then on.
//!
//! The first topics get the aliases and keep them for the connection. Invariant: an alias is used only
//! after the packet that sets it was put into the same stream of bytes.

use std::num::NonZeroU16;

use super::Link;
use crate::broker::codec::PublishHead;
use crate::broker::trie::FastMap;

/// Topics of up to this many bytes are no longer than the property that replaces them.
const SHORT: usize = 3;

/// The aliases of one connection.
pub(super) struct Aliases {
    known: FastMap<Box<str>, NonZeroU16>,
    /// Numbers used up: one that was withdrawn is not used again.
    used: u16,
    max: NonZeroU16,
}

impl Aliases {
    pub(super) fn new(max: u16) -> Option<Box<Self>> {
        NonZeroU16::new(max).map(|max| Box::new(Self { known: FastMap::default(), used: 0, max }))
    }

    /// The alias of a topic, and whether the client knows it already. `None`: it has none.
    fn find(&self, topic: &str) -> Option<(NonZeroU16, bool)> {
        if topic.len() <= SHORT {
            return None;
        }
        if let Some(&alias) = self.known.get(topic) {
            return Some((alias, true));
        }
        let next = self.used.checked_add(1).and_then(NonZeroU16::new)?;
        (next <= self.max).then_some((next, false))
    }

    /// The packet that tells the client about an alias was written.
    fn tell(&mut self, topic: &str, alias: NonZeroU16) {
        self.known.insert(topic.into(), alias);
        self.used = self.used.max(alias.get());
    }

    /// The packet that tells the client about the topic's alias was withdrawn.
    pub(super) fn forget(&mut self, topic: &str) {
        self.known.remove(topic);
    }

    /// The topics by their aliases.
    pub(super) fn by_number(&self) -> FastMap<u16, Box<str>> {
        self.known.iter().map(|(topic, alias)| (alias.get(), topic.clone())).collect()
    }
}

impl Link {
    /// Appends a PUBLISH, with an alias if there is one; false if it is larger than the client takes.
    pub(super) fn encode(
        &mut self,
        out: &mut Vec<u8>,
        head: &PublishHead<'_>,
        topic: &str,
        payload: &[u8],
    ) -> bool {
        let (version, max_packet) = (self.version, self.max_packet);
        if let Some(aliases) = &mut self.aliases
            && let Some((alias, known)) = aliases.find(topic)
        {
            let head = PublishHead { alias: Some(alias), ..*head };
            let name = if known { "" } else { topic };
            if head.encode(out, version, name, payload, max_packet) {
                if !known {
                    aliases.tell(topic, alias);
                }
                return true;
            }
        }
        // Without the three bytes that set an alias the packet may still fit.
        head.encode(out, version, topic, payload, max_packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_long_topics_get_the_aliases() {
        assert!(Aliases::new(0).is_none());
        let mut aliases = Aliases::new(2).unwrap();
        let number = |found: Option<(NonZeroU16, bool)>| found.map(|(alias, known)| (alias.get(), known));
        assert_eq!(number(aliases.find("a/b")), None);
        for (topic, alias) in [("long/1", 1), ("long/2", 2)] {
            assert_eq!(number(aliases.find(topic)), Some((alias, false)));
            aliases.tell(topic, NonZeroU16::new(alias).unwrap());
            assert_eq!(number(aliases.find(topic)), Some((alias, true)));
        }
        assert_eq!(number(aliases.find("long/3")), None);
    }
}
