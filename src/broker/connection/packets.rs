//! What each packet of a connected client does.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, End};
use crate::broker::codec::{
    Ack, AckKind, CodecError, Disconnect, Frame, Packet, Publish, QoS, ReasonCode, Subscribe,
    SubscribeFilter, Unsubscribe, decode, encode_ack, encode_pingresp, encode_refusal, encode_suback,
    encode_unsuback, varint_len,
};
use crate::broker::core::deadline;
use crate::broker::message::Incoming;
use crate::broker::route::Round;
use crate::broker::stats::{Counters, add};
use crate::broker::store::Record;
use crate::broker::topic;

/// Bytes of an acknowledgement around its reason string and codes, at most.
const ACK_WITH_REASON: usize = 16;

/// Why a publication is refused while the log takes no more.
const NOT_KEPT: &str = "the log is full or cannot be written";

/// So many filters of one packet are looked at, however few subscriptions a client may have: some may replace others.
const FILTERS_AT_ONCE: usize = 64;

/// Why a bridge did not take a message; everybody else has it.
const BRIDGE_FULL: &str = "the buffer of a bridge is full";

/// Why nobody got a message; older clients cannot be told.
const QUEUES_FULL: &str = "the queue of every subscriber is full";

/// Why an acknowledgement of a QoS 2 exchange was answered with a failure.
const NOTHING_IN_FLIGHT: &str = "no message is in flight under this packet identifier";

/// What came in one read; added to the counters at its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Received {
    /// Packets of any kind.
    pub(super) packets: u64,
    /// The last of them may have taken long.
    pub(super) costly: bool,
    pub(super) messages: u64,
    payload_bytes: u64,
}

impl Received {
    pub(super) fn count(self, counters: &Counters) {
        add(&counters.packets_in, self.packets);
        add(&counters.messages_in, self.messages);
        add(&counters.payload_bytes_in, self.payload_bytes);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Handles one packet.
    pub(super) fn handle(
        &mut self,
        frame: Frame,
        body: &[u8],
        round: &mut Round<'_>,
        tally: &mut Received,
    ) -> Result<(), End> {
        let before = self.control.len();
        let handled = self.dispatch(frame, body, round, tally);
        tally.packets += 1;
        // No packet is answered by more than one.
        round.tally.other_out += u64::from(self.control.len() > before);
        handled
    }

    fn dispatch(
        &mut self,
        frame: Frame,
        body: &[u8],
        round: &mut Round<'_>,
        tally: &mut Received,
    ) -> Result<(), End> {
        match decode(frame, body, self.version)? {
            Packet::Publish(publish) => {
                tally.messages += 1;
                tally.payload_bytes += publish.payload.len() as u64;
                self.on_publish(&publish, round)
            }
            Packet::Ack(kind, ack) => self.on_ack(kind, ack),
            Packet::Subscribe(subscribe) => {
                round.release();
                tally.costly = true;
                self.on_subscribe(&subscribe)
            }
            Packet::Unsubscribe(unsubscribe) => {
                round.release();
                self.on_unsubscribe(&unsubscribe)
            }
            Packet::Pingreq => {
                encode_pingresp(&mut self.control);
                Ok(())
            }
            Packet::Disconnect(disconnect) => self.on_disconnect(disconnect),
            Packet::Connect(_) => Err(CodecError::protocol("second CONNECT").into()),
            Packet::Auth(auth) => self.on_auth(&auth),
        }
    }

    fn on_publish(&mut self, publish: &Publish<'_>, round: &mut Round<'_>) -> Result<(), End> {
        if self.version.is_v5() && publish.qos > self.bounds.max_qos(&self.core.config) {
            // Section 3.2.2.3.4: the client was told.
            let what = "QoS is above the maximum";
            return Err(CodecError { code: ReasonCode::QOS_NOT_SUPPORTED, what }.into());
        }
        let aliased = self.resolve_alias(publish)?;
        let name = aliased.as_deref().unwrap_or(publish.topic);
        if publish.qos == QoS::ExactlyOnce && self.received_before(publish.packet_id)? {
            self.acknowledge(AckKind::Pubrec, publish.packet_id, ReasonCode::SUCCESS);
            return Ok(());
        }
        let routed = self.check_publish(name, publish).inspect_err(|_| {
            add(&self.core.counters.publishes_refused, 1);
        });
        let routed = routed.and_then(|()| self.route(name, publish, round));
        if let Err(refused) = &routed
            && (refused.what == NOT_KEPT || refused.what == BRIDGE_FULL)
            && publish.qos > QoS::AtMostOnce
            && !self.version.is_v5()
        {
            // There is no way to tell an older client, and an acknowledgement would be a lie.
            return Err(CodecError { ..*refused }.into());
        }
        let (code, why) = routed.map_or_else(|refused| (refused.code, refused.what), |code| (code, ""));
        match publish.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.answer(AckKind::Puback, publish.packet_id, code, why),
            QoS::ExactlyOnce => {
                // A 3.x client cannot be told of the refusal: it completes the exchange as if all were well.
                if !code.is_failure() || !self.version.is_v5() {
                    self.session.own(self.epoch, |state| state.received.insert(publish.packet_id))?;
                }
                self.answer(AckKind::Pubrec, publish.packet_id, code, why);
            }
        }
        Ok(())
    }

    /// Acknowledges, and tells in words why something failed if the client wants to know.
    fn answer(&mut self, kind: AckKind, packet_id: u16, code: ReasonCode, why: &str) {
        if code.is_failure() && self.explain(why.len()) {
            return encode_refusal(&mut self.control, kind, packet_id, code, why);
        }
        self.acknowledge(kind, packet_id, code);
    }

    /// Whether the client wants reasons in words, and a packet with one of this length is not too large for
    /// it ([MQTT-3.1.2-29], [MQTT-3.4.2-2]).
    pub(super) fn explain(&self, reason: usize) -> bool {
        self.version.is_v5() && self.explains && reason > 0 && ACK_WITH_REASON + reason <= self.takes
    }

    /// Why the first filter of those that were refused was.
    fn why(&self, codes: &[ReasonCode]) -> Option<String> {
        let (at, code) = codes.iter().enumerate().find(|(_, code)| code.is_failure())?;
        let why = format!("filter {}: {}", at + 1, code.text());
        self.explain(why.len() + codes.len()).then_some(why)
    }

    /// Whether this QoS 2 packet identifier is in use; refuses more than the receive maximum.
    fn received_before(&self, packet_id: u16) -> Result<bool, End> {
        let (known, open) = self
            .session
            .own(self.epoch, |state| (state.received.contains(&packet_id), state.received.len()))?;
        // [MQTT-3.3.4-8]; older versions know no such limit but that of packet identifiers.
        if !known && self.version.is_v5() && open >= usize::from(self.core.config.receive_maximum) {
            let what = "more unfinished QoS 2 messages than the receive maximum";
            return Err(CodecError { code: ReasonCode::RECEIVE_MAXIMUM_EXCEEDED, what }.into());
        }
        Ok(known)
    }

    /// Sets or looks up a topic alias (MQTT 5 section 3.3.2.3.4). `None`: the packet has none.
    fn resolve_alias(&mut self, publish: &Publish<'_>) -> Result<Option<Arc<str>>, End> {
        let Some(alias) = publish.properties.alias else { return Ok(None) };
        if alias == 0 || alias > self.core.config.topic_alias_maximum {
            let what = "topic alias is 0 or above the maximum";
            return Err(CodecError { code: ReasonCode::TOPIC_ALIAS_INVALID, what }.into());
        }
        if publish.topic.is_empty() {
            let known = self.aliases.get(&alias).cloned();
            return known.map(Some).ok_or(CodecError::protocol("topic alias was never set").into());
        }
        // A topic over the limit is refused each time; it is not kept for that.
        let kept = if publish.topic.len() > self.core.config.max_topic_length { "" } else { publish.topic };
        let name: Arc<str> = kept.into();
        self.aliases.insert(alias, Arc::clone(&name));
        Ok(Some(name))
    }

    fn check_publish(&mut self, name: &str, publish: &Publish<'_>) -> Result<(), CodecError> {
        let config = &self.core.config;
        if name.is_empty()
            || name.len() > config.max_topic_length
            || topic::levels(name) > config.max_topic_levels
        {
            let what = "topic is longer or has more levels than the limit";
            return Err(CodecError { code: ReasonCode::TOPIC_INVALID, what });
        }
        if publish.properties.user_properties > config.max_user_properties {
            let what = "more user properties than the limit";
            return Err(CodecError { code: ReasonCode::QUOTA_EXCEEDED, what });
        }
        if self.writes.may_write(&self.core, &self.session, name) {
            return Ok(());
        }
        add(&self.core.counters.publishes_denied, 1);
        self.writes.log_refusal(&self.session.id, name, self.heard);
        Err(CodecError { code: ReasonCode::NOT_AUTHORIZED, what: "publishing to this topic is not allowed" })
    }

    fn route(
        &self,
        name: &str,
        publish: &Publish<'_>,
        round: &mut Round<'_>,
    ) -> Result<ReasonCode, CodecError> {
        let message = Incoming {
            topic: name,
            shared_topic: None,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            kept: false,
            forward: &publish.properties.forward,
            expires: publish.properties.expiry.map(|seconds| deadline(round.now, seconds)),
            publisher: &self.session.id,
            received: round.now,
            urgent: false,
        };
        let kept = publish.qos > QoS::AtMostOnce || publish.retain;
        if kept && self.core.store.as_ref().is_some_and(|store| !store.admits()) {
            return Err(CodecError { code: ReasonCode::QUOTA_EXCEEDED, what: NOT_KEPT });
        }
        // Kept before it is routed, so that a subscription made meanwhile gets it one way or the other.
        if publish.retain && self.core.retained.put(&message, &self.core.counters).is_err() {
            let what = "the store of retained messages is full";
            return Err(CodecError { code: ReasonCode::QUOTA_EXCEEDED, what });
        }
        if publish.qos == QoS::ExactlyOnce {
            let number = self.session.own(self.epoch, |state| state.log_number()).ok().flatten();
            round.received = number.map(|number| (number, publish.packet_id));
        }
        let (unlogged, refused, full) = (round.unlogged, round.tally.refused, round.tally.dropped_queue_full);
        let subscribers = round.route(&message) as u64;
        if round.unlogged > unlogged {
            return Err(CodecError { code: ReasonCode::QUOTA_EXCEEDED, what: NOT_KEPT });
        }
        let full = round.tally.dropped_queue_full - full;
        let what = match subscribers {
            0 => return Ok(ReasonCode::NO_MATCHING_SUBSCRIBERS),
            // Other subscribers have it all the same; the publisher may send it again.
            _ if round.tally.refused > refused => BRIDGE_FULL,
            _ if full >= subscribers && self.version.is_v5() => QUEUES_FULL,
            _ => return Ok(ReasonCode::SUCCESS),
        };
        let packet_id = publish.packet_id;
        // It was noted as received when it was routed; sent again, it is not a duplicate. Who has taken the session over
        // meanwhile has taken the note over, too, and is asked for the message again by its client.
        if publish.qos == QoS::ExactlyOnce {
            let _ = self.session.own(self.epoch, |state| {
                state.log_must(|session| Record::Completed { session, packet_id });
            });
        }
        Err(CodecError { code: ReasonCode::QUOTA_EXCEEDED, what })
    }

    fn acknowledge(&mut self, kind: AckKind, packet_id: u16, code: ReasonCode) {
        encode_ack(&mut self.control, self.version, kind, packet_id, code);
    }

    fn on_ack(&mut self, kind: AckKind, ack: Ack) -> Result<(), End> {
        let Ack { packet_id, code } = ack;
        let known = match kind {
            AckKind::Puback => self.session.own(self.epoch, |state| state.puback(packet_id))??,
            AckKind::Pubcomp => self.session.own(self.epoch, |state| state.pubcomp(packet_id))??,
            AckKind::Pubrec => {
                let answer = self.session.own(self.epoch, |state| state.pubrec(packet_id, code))??;
                if let Some(code) = answer {
                    self.answer(AckKind::Pubrel, packet_id, code, NOTHING_IN_FLIGHT);
                }
                answer != Some(ReasonCode::PACKET_ID_NOT_FOUND)
            }
            AckKind::Pubrel => {
                let known = self.session.own(self.epoch, |state| {
                    let known = state.received.remove(&packet_id);
                    if known {
                        state.log_must(|session| Record::Completed { session, packet_id });
                    }
                    known
                })?;
                let code = if known { ReasonCode::SUCCESS } else { ReasonCode::PACKET_ID_NOT_FOUND };
                self.answer(AckKind::Pubcomp, packet_id, code, NOTHING_IN_FLIGHT);
                known
            }
        };
        if !known {
            add(&self.core.counters.unknown_acks, 1);
        }
        Ok(())
    }

    /// Refuses a request whose answer would be larger than the client takes, before any of it is done: that answer
    /// must be sent ([MQTT-3.8.4-1], [MQTT-3.10.4-4]) and must not be ([MQTT-3.1.2-24]).
    fn check_answer(&self, codes: usize) -> Result<(), End> {
        // Packet identifier and an empty section of properties.
        let body = 3 + codes;
        if self.version.is_v5() && 1 + varint_len(body) + body > self.takes {
            let what = "the client takes no packet as large as the answer";
            return Err(CodecError { code: ReasonCode::PACKET_TOO_LARGE, what }.into());
        }
        Ok(())
    }

    fn on_subscribe(&mut self, subscribe: &Subscribe<'_>) -> Result<(), End> {
        self.check_answer(subscribe.filters.len())?;
        let mut codes = Vec::with_capacity(subscribe.filters.len());
        let max_qos = self.bounds.max_qos(&self.core.config);
        for (at, filter) in subscribe.filters.iter().enumerate() {
            if at >= self.core.config.max_subscriptions.max(FILTERS_AT_ONCE) {
                // More than a client may have: a packet of a megabyte holds a quarter of a million.
                add(&self.core.counters.subscriptions_refused, 1);
                codes.push(ReasonCode::QUOTA_EXCEEDED);
                continue;
            }
            // [MQTT-3.2.2-9]: what is above the maximum is granted at the maximum.
            let wanted = SubscribeFilter { qos: filter.qos.min(max_qos), ..*filter };
            codes.push(self.core.subscribe(&self.session, self.epoch, &wanted, subscribe.subscription_id)?);
        }
        self.log_refused(subscribe, &codes);
        let why = self.why(&codes);
        encode_suback(&mut self.control, self.version, subscribe.packet_id, &codes, why.as_deref());
        Ok(())
    }

    /// Logs the first filter that is refused on a connection; the counter knows the others.
    fn log_refused(&mut self, subscribe: &Subscribe<'_>, codes: &[ReasonCode]) {
        let refused = subscribe.filters.iter().zip(codes).find(|(_, code)| code.is_failure());
        if let Some((wanted, code)) = refused
            && !std::mem::replace(&mut self.refused_a_filter, true)
        {
            tracing::warn!(client = &*self.session.id, filter = wanted.filter, %code, "subscription refused");
        }
    }

    fn on_unsubscribe(&mut self, unsubscribe: &Unsubscribe<'_>) -> Result<(), End> {
        self.check_answer(unsubscribe.filters.len())?;
        let mut codes = Vec::with_capacity(unsubscribe.filters.len());
        for filter in &unsubscribe.filters {
            codes.push(self.core.unsubscribe(&self.session, self.epoch, filter)?);
        }
        let why = self.why(&codes);
        encode_unsuback(&mut self.control, self.version, unsubscribe.packet_id, &codes, why.as_deref());
        Ok(())
    }

    fn on_disconnect(&self, disconnect: Disconnect) -> Result<(), End> {
        if self.ends_with_connection && disconnect.session_expiry.is_some_and(|expiry| expiry > 0) {
            // Section 3.14.2.2.2.
            let what = "session expiry set at DISCONNECT that was zero at CONNECT";
            return Err(CodecError::protocol(what).into());
        }
        let limit = self.core.config.max_session_expiry_secs();
        Err(End::Goodbye {
            will: disconnect.code != ReasonCode::SUCCESS,
            expiry: disconnect.session_expiry.map(|expiry| expiry.min(limit)),
        })
    }
}
