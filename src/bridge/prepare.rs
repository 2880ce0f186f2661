//! From what waits to what is sent: the topic upstream, the form that the broker wants, the place in the stream.
//!
//! Pure. Invariant: what comes out fits the limits of the profile, or is named as what cannot be sent, with the reason.

use super::backlog::{Item, Place, What};
use super::batch::{self, Batch, Entry};
use super::config::{BatchConfig, Config, Oversize, Retain, SequenceMark, Version};
use super::lane::Lane;
use super::mapping::Mapping;
use super::outgoing::{DeadLetter, Load, Outgoing, Prepared};
use super::profile::{Limits, Shape};
use super::record::Record;
use super::sequence::{Gap, StreamId, Why, put_fields, put_properties};
use super::{shape, split};

/// Bytes of a PUBLISH besides topic, properties and payload, at most: header, three lengths, identifier, expiry.
const PACKET_HEAD: usize = 5 + 2 + 2 + 4 + 5;

/// Makes what is sent.
#[derive(Debug, Clone)]
pub(crate) struct Preparer {
    mapping: Mapping,
    limits: Limits,
    shape: Shape,
    version: Version,
    mark: SequenceMark,
    stream: StreamId,
    client_id: String,
    gap_topic: String,
    batch_topic: String,
    batch: Option<BatchConfig>,
    oversize: Oversize,
}

impl Preparer {
    /// For a bridge whose own messages have local topics below `own`.
    pub(crate) fn new(
        config: &Config,
        mapping: Mapping,
        stream: StreamId,
        client_id: &str,
        own: &str,
    ) -> Self {
        Self {
            mapping,
            limits: config.limits(),
            shape: config.profile.shape(),
            version: config.version(),
            mark: config.sequence,
            stream,
            client_id: client_id.to_owned(),
            gap_topic: format!("{own}/gap"),
            batch_topic: format!("{own}/batch"),
            batch: config.batch,
            oversize: config.oversize,
        }
    }

    /// What becomes of an item. `max_packet` is what the broker of this connection takes, in bytes.
    pub(crate) fn prepare(&self, lane: Lane, item: Item, max_packet: usize) -> Prepared {
        let Item { seq, after, what } = item;
        match what {
            What::Gap(count, why) => Prepared::Send(self.gap(seq, after, lane, count, why)),
            What::Message(bytes) => match Record::decode(&bytes) {
                Ok(record) => self.message(seq, after, lane, &record, max_packet),
                Err(_) => Prepared::Unwanted(self.gap(seq, after, lane, 1, Why::Damaged)),
            },
        }
    }

    fn message(
        &self,
        seq: u64,
        after: Place,
        lane: Lane,
        record: &Record<'_>,
        max_packet: usize,
    ) -> Prepared {
        let Some(mapped) = self.mapping.outward(record.topic) else {
            return Prepared::Unwanted(self.gap(seq, after, lane, 1, Why::DeadLetter));
        };
        let historical = lane == Lane::Historical;
        let (topic, payload) = match self.shaped(seq, &mapped.topic, record, historical) {
            Ok(shaped) => shaped,
            Err(reason) => return self.dead(seq, after, lane, record, reason),
        };
        let too_large = self.limits.payload_misfit(payload.len());
        let whole = Outgoing {
            seq,
            after,
            lane,
            local: record.topic.into(),
            topic: topic.into(),
            payload: payload.into(),
            properties: self.properties(record, seq, historical).into(),
            expiry_s: record.expiry_s,
            qos: mapped.qos,
            // An older value must not take the place of a newer one that is retained already.
            retain: record.retain && mapped.retain == Retain::Keep && self.limits.retain && !historical,
            load: Load { messages: 1, bytes: record.payload.len() as u64, ..Load::default() },
            gap: None,
        };
        let most = self.room(&whole, max_packet);
        if self.oversize == Oversize::Split
            && whole.payload.len() > most
            && self.shape != Shape::ThingsBoard
            && let Some(parts) = self.split(&whole, record, most)
        {
            return Prepared::Parts(parts);
        }
        match too_large {
            Some(reason) => self.dead(seq, after, lane, record, reason),
            None => Prepared::Send(whole),
        }
    }

    /// Topic and payload upstream, or why there are none.
    fn shaped(
        &self,
        seq: u64,
        topic: &str,
        record: &Record<'_>,
        historical: bool,
    ) -> Result<(String, Vec<u8>), String> {
        let payload = match self.mark {
            SequenceMark::Json => put_fields(record.payload, self.stream, seq, historical),
            SequenceMark::Properties | SequenceMark::Off => record.payload.into(),
        };
        match self.shape {
            Shape::Plain => match self.limits.topic_misfit(topic) {
                Some(reason) => Err(reason),
                None => Ok((topic.to_owned(), payload.into_owned())),
            },
            Shape::IotHub => {
                Ok((shape::iot_hub_topic(&self.client_id, topic, &payload), payload.into_owned()))
            }
            Shape::ThingsBoard => shape::thingsboard(topic, &payload, record.unix_us)
                .map(|payload| (shape::THINGSBOARD_TOPIC.to_owned(), payload)),
        }
    }

    fn tells_by_properties(&self) -> bool {
        self.version == Version::V5 && self.mark == SequenceMark::Properties
    }

    fn properties(&self, record: &Record<'_>, seq: u64, historical: bool) -> Vec<u8> {
        let mut properties = record.properties.to_vec();
        if self.tells_by_properties() {
            put_properties(&mut properties, self.stream, seq, historical);
        }
        properties
    }

    /// Bytes of payload that are sure to fit.
    fn room(&self, outgoing: &Outgoing, max_packet: usize) -> usize {
        let around = PACKET_HEAD + outgoing.topic.len() + outgoing.properties.len();
        max_packet.saturating_sub(around).min(usize::try_from(self.limits.payload).unwrap_or(usize::MAX))
    }

    fn split(&self, whole: &Outgoing, record: &Record<'_>, most: usize) -> Option<Vec<Outgoing>> {
        let by_properties = self.tells_by_properties();
        let payloads: Vec<Vec<u8>> = match by_properties {
            true => split::plain(&whole.payload, most.checked_sub(split::PROPERTY)?)?
                .into_iter()
                .map(<[u8]>::to_vec)
                .collect(),
            // The number stands beside the bytes, so the bytes are those that were published.
            false => split::json(record.payload, most, self.stream, whole.seq)?,
        };
        let count = payloads.len();
        let part = |(index, payload): (usize, Vec<u8>)| {
            let mut properties = whole.properties.to_vec();
            if by_properties {
                split::put_property(&mut properties, index + 1, count);
            }
            let last = index + 1 == count;
            Outgoing {
                // The cursor moves with the last one only.
                after: if last { whole.after } else { Place { position: 0, seq: whole.seq } },
                load: if last { whole.load } else { Load::default() },
                payload: payload.into(),
                properties: properties.into(),
                // Retained would be the last part alone.
                retain: false,
                ..whole.clone()
            }
        };
        Some(payloads.into_iter().enumerate().map(part).collect())
    }

    fn dead(&self, seq: u64, after: Place, lane: Lane, record: &Record<'_>, reason: String) -> Prepared {
        let (topic, payload) = (record.topic.into(), record.payload.into());
        let letter = DeadLetter { seq, topic, payload, reason };
        Prepared::Dead(letter, self.gap(seq, after, lane, 1, Why::DeadLetter))
    }

    /// An item as an entry of a batch; `None` when it goes by itself, if at all.
    pub(crate) fn entry(&self, lane: Lane, item: &Item) -> Option<Entry> {
        self.batch?;
        let telemetry = self.shape == Shape::ThingsBoard;
        let record = match &item.what {
            What::Gap(count, why) => {
                let gap = Gap::new(self.stream, item.seq, *count, *why)?;
                let entry = batch::gap(&gap);
                let json = if telemetry {
                    shape::thingsboard(&self.gap_topic, &gap.json(), 0).ok()?
                } else {
                    entry.json
                };
                return Some(Entry { json, ..entry });
            }
            What::Message(bytes) => Record::decode(bytes).ok()?,
        };
        let topic = self.mapping.outward(record.topic)?.topic;
        if !telemetry {
            return Some(batch::message(item.seq, &topic, &record, lane == Lane::Historical));
        }
        let json = shape::thingsboard(&topic, record.payload, record.unix_us).ok()?;
        let load = Load { messages: 1, bytes: record.payload.len() as u64, ..Load::default() };
        Some(Entry { json, load, gap: None })
    }

    /// A batch to fill with entries, and how many entries and bytes of payload it may get.
    pub(crate) fn begin(&self, first: u64, lane: Lane, max_packet: usize) -> (Batch, usize, usize) {
        let batch = Batch::new(first, lane, self.shape == Shape::ThingsBoard);
        let settings = self.batch.unwrap_or_default();
        let payload = usize::try_from(self.limits.payload.min(settings.bytes.0)).unwrap_or(usize::MAX);
        let topic = self.upstream(&self.batch_topic, b"{").len();
        let room = max_packet.saturating_sub(PACKET_HEAD + topic);
        (batch, settings.messages.into(), payload.min(room))
    }

    /// The message that a batch has become.
    pub(crate) fn finish(&self, batch: Batch) -> Outgoing {
        let (seq, after, lane, load, gap) = (batch.first, batch.after, batch.lane, batch.load, batch.gap);
        let payload = batch.payload(self.stream);
        Outgoing { seq, after, lane, load, gap, ..self.own(&self.batch_topic, payload) }
    }

    /// Where a topic of the bridge itself goes.
    fn upstream(&self, topic: &str, payload: &[u8]) -> String {
        let mapped = self.mapping.outward(topic).map_or_else(|| topic.to_owned(), |mapped| mapped.topic);
        match self.shape {
            Shape::Plain => mapped,
            Shape::IotHub => shape::iot_hub_topic(&self.client_id, &mapped, payload),
            Shape::ThingsBoard => shape::THINGSBOARD_TOPIC.to_owned(),
        }
    }

    /// A message of the bridge itself.
    fn own(&self, topic: &str, payload: Vec<u8>) -> Outgoing {
        Outgoing {
            seq: 0,
            after: Place { position: 0, seq: 0 },
            lane: Lane::Live,
            local: topic.into(),
            topic: self.upstream(topic, &payload).into(),
            payload: payload.into(),
            properties: Box::default(),
            expiry_s: None,
            qos: 1,
            retain: false,
            load: Load::default(),
            gap: None,
        }
    }

    /// The declaration that the numbers of a message or batch are missing.
    pub(crate) fn instead(&self, outgoing: &Outgoing) -> Outgoing {
        let count = outgoing.after.seq.saturating_sub(outgoing.seq).max(1);
        self.gap(outgoing.seq, outgoing.after, outgoing.lane, count, Why::DeadLetter)
    }

    fn gap(&self, seq: u64, after: Place, lane: Lane, count: u64, why: Why) -> Outgoing {
        let gap = Gap::new(self.stream, seq, count, why);
        let json = gap.map_or_else(Vec::new, |gap| gap.json());
        let payload = match self.shape {
            Shape::ThingsBoard => shape::thingsboard(&self.gap_topic, &json, 0).unwrap_or(json),
            Shape::Plain | Shape::IotHub => json,
        };
        let load = Load { gaps: 1, missing: count, ..Load::default() };
        Outgoing { seq, after, lane, load, gap, ..self.own(&self.gap_topic, payload) }
    }
}

#[cfg(test)]
mod tests;
