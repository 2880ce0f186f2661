//! Taking messages out of the bytes that were encoded for a connection and not yet taken by it.
//!
//! Reads only what `PublishHead::encode` wrote. Invariants: what is left is whole packets in their order; a message that was
//! never given to the client leaves no packet identifier behind; one that may have been sent before at QoS 2 is ended by a PUBREL.

use super::{Link, State};
use crate::broker::codec::{AckKind, Frame, QoS, ReasonCode, Version, encode_ack, property_id};
use crate::broker::trie::FastMap;

/// A PUBLISH among the encoded bytes.
struct Written<'a> {
    dup: bool,
    qos: QoS,
    /// Empty: the alias stands for it.
    topic: &'a str,
    packet_id: u16,
    alias: Option<u16>,
}

impl State {
    /// Takes out the messages whose topics may no longer be read. Returns how many there were.
    pub(super) fn winnow(&mut self) -> u64 {
        let permissions = &self.permissions;
        let Some(link) = self.link.as_mut().filter(|_| !self.ready.is_empty()) else { return 0 };
        let by_number: FastMap<u16, Box<str>> = link.known_topics();
        let (mut kept, mut gone) = (Vec::with_capacity(self.ready.len()), Vec::new());
        let mut rest = &*self.ready;
        while let Ok(Some(frame)) = Frame::parse(rest, usize::MAX) {
            let Some((packet, behind)) = rest.split_at_checked(frame.len()) else { break };
            rest = behind;
            let written = Written::read(frame, packet, link.version);
            let denied = written.filter(|written| {
                let known = written.alias.and_then(|alias| by_number.get(&alias));
                let topic =
                    if written.topic.is_empty() { known.map_or("", AsRef::as_ref) } else { written.topic };
                !permissions.may_read(topic)
            });
            let Some(denied) = denied else {
                kept.extend_from_slice(packet);
                continue;
            };
            if denied.qos == QoS::ExactlyOnce && denied.dup {
                encode_ack(&mut kept, link.version, AckKind::Pubrel, denied.packet_id, ReasonCode::SUCCESS);
            }
            if !denied.topic.is_empty() && denied.alias.is_some() {
                link.unlearn(denied.topic);
            }
            gone.push((denied.qos, denied.dup, denied.packet_id));
        }
        kept.extend_from_slice(rest);
        self.ready = kept;
        for &(qos, dup, packet_id) in &gone {
            match (qos, dup) {
                (QoS::AtMostOnce, _) => {}
                (QoS::ExactlyOnce, true) => self.release(packet_id),
                _ => self.complete(packet_id),
            }
        }
        gone.len() as u64
    }
}

impl<'a> Written<'a> {
    /// `None`: another packet.
    fn read(frame: Frame, packet: &'a [u8], version: Version) -> Option<Self> {
        if frame.kind() != 3 {
            return None;
        }
        let body = packet.get(frame.header..)?;
        let (len, body) = body.split_first_chunk::<2>()?;
        let (topic, mut body) = body.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        let qos = QoS::from_bits((frame.first >> 1) & 3)?;
        let mut packet_id = 0;
        if qos != QoS::AtMostOnce {
            let (id, behind) = body.split_first_chunk::<2>()?;
            (packet_id, body) = (u16::from_be_bytes(*id), behind);
        }
        let alias = if version.is_v5() { alias(body) } else { None };
        let topic = std::str::from_utf8(topic).ok()?;
        Some(Self { dup: frame.first & 8 != 0, qos, topic, packet_id, alias })
    }
}

/// The topic alias in a property section as it is written: behind the expiry, before everything else.
fn alias(section: &[u8]) -> Option<u16> {
    let digits = section.iter().take(4).position(|byte| byte & 0x80 == 0)? + 1;
    let mut properties = section.get(digits..)?;
    if section[..digits].iter().all(|&byte| byte & 0x7f == 0) {
        return None;
    }
    if properties.first() == Some(&property_id::MESSAGE_EXPIRY) {
        properties = properties.get(5..)?;
    }
    // Behind a section of the expiry alone the payload begins, whose first byte may look like a property.
    let whole = section[..digits].iter().rev().fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f));
    if section.len() - digits - properties.len() >= whole {
        return None;
    }
    match properties {
        [property_id::TOPIC_ALIAS, high, low, ..] => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

impl Link {
    /// The topics that have a number, by it.
    fn known_topics(&self) -> FastMap<u16, Box<str>> {
        self.aliases.as_ref().map(|aliases| aliases.by_number()).unwrap_or_default()
    }

    /// The client was not told the topic's number after all.
    fn unlearn(&mut self, topic: &str) {
        if let Some(aliases) = &mut self.aliases {
            aliases.forget(topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::codec::PublishHead;
    use proptest::prelude::*;
    use std::num::NonZeroU16;

    proptest! {
        #[test]
        fn reads_what_is_written(
            topic in "[a-z/]{0,12}", qos in 0u8..3, dup in any::<bool>(), packet_id in 1u16.., alias in proptest::option::of(1u16..),
            expiry in proptest::option::of(any::<u32>()), ids in proptest::collection::vec(1u32..1000, 0..3),
            forward in proptest::option::of(0usize..200), payload in proptest::collection::vec(0u8..0x40, 0..40), v5 in any::<bool>(),
        ) {
            let version = if v5 { Version::V5 } else { Version::V4 };
            let qos = QoS::from_bits(qos).unwrap();
            let forward = forward.map_or(vec![], |len| [vec![property_id::CONTENT_TYPE, 0, len as u8], vec![b'#'; len]].concat());
            let head = PublishHead {
                dup, qos, packet_id, expiry, subscription_ids: &ids, forward: &forward,
                alias: alias.and_then(NonZeroU16::new).filter(|_| v5),
                ..PublishHead::default()
            };
            let mut packet = Vec::new();
            prop_assert!(head.encode(&mut packet, version, &topic, &payload, usize::MAX));
            let frame = Frame::parse(&packet, usize::MAX).unwrap().unwrap();
            let written = Written::read(frame, &packet, version).unwrap();
            prop_assert_eq!((written.topic, written.qos, written.dup), (&*topic, qos, dup));
            prop_assert_eq!(written.alias, alias.filter(|_| v5));
            prop_assert!(qos == QoS::AtMostOnce || written.packet_id == packet_id);
        }
    }
}
