//! What a client's acknowledgements do to its session, and what of it goes into the log.

use super::inflight::Sent;
use super::{Acked, Misplaced, State};
use crate::broker::codec::{QoS, ReasonCode};
use crate::broker::store::Record;

impl State {
    /// The client acknowledged a QoS 1 message.
    pub(in crate::broker) fn puback(&mut self, packet_id: u16) -> Acked {
        self.finish(packet_id, QoS::AtLeastOnce)
    }

    /// The client acknowledged the first half of a QoS 2 message, or refused it. Returns the code for
    /// the PUBREL; `None`: none is due.
    pub(in crate::broker) fn pubrec(
        &mut self,
        packet_id: u16,
        code: ReasonCode,
    ) -> Result<Option<ReasonCode>, Misplaced> {
        Ok(match self.inflight.get(packet_id) {
            Some(Sent::Published(outgoing)) if outgoing.qos == QoS::ExactlyOnce => {
                if code.is_failure() {
                    self.complete(packet_id);
                    return Ok(None);
                }
                self.release(packet_id);
                Some(ReasonCode::SUCCESS)
            }
            Some(Sent::Released(_)) => Some(ReasonCode::SUCCESS),
            Some(Sent::Published(_)) => return Err(Misplaced),
            None if code.is_failure() => None,
            None => Some(ReasonCode::PACKET_ID_NOT_FOUND),
        })
    }

    /// The client completed a QoS 2 message.
    pub(in crate::broker) fn pubcomp(&mut self, packet_id: u16) -> Acked {
        self.finish(packet_id, QoS::ExactlyOnce)
    }

    fn finish(&mut self, packet_id: u16, qos: QoS) -> Acked {
        let fits = match self.inflight.get(packet_id) {
            Some(Sent::Published(outgoing)) => qos == QoS::AtLeastOnce && outgoing.qos == qos,
            Some(Sent::Released(_)) => qos == QoS::ExactlyOnce,
            None => return Ok(false),
        };
        if !fits {
            return Err(Misplaced);
        }
        self.complete(packet_id);
        Ok(true)
    }

    /// QoS 2: the client has the message.
    pub(super) fn release(&mut self, packet_id: u16) {
        if let Some(entry) = self.inflight.release(packet_id) {
            self.log_must(|session| Record::Released { session, entry });
        }
    }

    pub(super) fn complete(&mut self, packet_id: u16) {
        if let Some(entry) = self.inflight.remove(packet_id) {
            self.log_later(|session| Record::Acknowledged { session, entry });
        }
        if let Some(link) = &mut self.link {
            // MQTT 5 section 4.9: never above the initial quota.
            link.quota = (link.quota + 1).min(link.window);
        }
    }
}
