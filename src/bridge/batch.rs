//! Several messages in one: for brokers that take few messages per second, or few levels of topics.
//!
//! Pure. A list holds whole messages with their topics, numbers and times, and declarations of gaps, in order; what
//! ThingsBoard takes is merged by device instead. Invariant: what is in one batch follows number upon number, in one lane.

use data_encoding::BASE64;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::backlog::Place;
use super::lane::Lane;
use super::outgoing::Load;
use super::record::Record;
use super::sequence::{Gap, StreamId};
use crate::broker::codec::{PropertyValue, property_id, walk_forwarded};

/// Bytes of a list besides its entries: `{"stream":"0123456789abcdef","messages":[` and `]}`.
pub(crate) const ENVELOPE: usize = 42;

/// What will be one message.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) gap: Option<Gap>,
    pub(crate) first: u64,
    pub(crate) after: Place,
    pub(crate) lane: Lane,
    pub(crate) load: Load,
    entries: usize,
    /// An upper bound of the payload's bytes.
    bytes: usize,
    form: Form,
}

#[derive(Debug)]
enum Form {
    List(Vec<u8>),
    Telemetry(Map<String, Value>),
}

/// One message or gap as a batch holds it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) json: Vec<u8>,
    pub(crate) load: Load,
    pub(crate) gap: Option<Gap>,
}

impl Batch {
    /// An empty batch that begins with this number; `telemetry` for ThingsBoard.
    pub(crate) fn new(first: u64, lane: Lane, telemetry: bool) -> Self {
        let form = if telemetry { Form::Telemetry(Map::new()) } else { Form::List(Vec::new()) };
        let after = Place { position: 0, seq: first };
        Self { gap: None, first, after, lane, load: Load::default(), entries: 0, bytes: ENVELOPE, form }
    }

    /// How many entries it has.
    pub(crate) fn len(&self) -> usize {
        self.entries
    }

    /// Whether an entry of a number follows here and leaves the payload within `most` bytes.
    pub(crate) fn takes(&self, seq: u64, lane: Lane, entry: &Entry, most: usize) -> bool {
        seq == self.after.seq && lane == self.lane && self.bytes + entry.json.len() < most
    }

    /// Adds an entry.
    pub(crate) fn push(&mut self, entry: &Entry, after: Place) {
        match &mut self.form {
            Form::List(list) => {
                if !list.is_empty() {
                    list.push(b',');
                }
                list.extend_from_slice(&entry.json);
            }
            Form::Telemetry(devices) => merge(devices, &entry.json),
        }
        self.bytes += entry.json.len() + 1;
        self.entries += 1;
        self.load.add(entry.load);
        self.gap = entry.gap.or(self.gap);
        self.after = after;
    }

    /// The payload.
    pub(crate) fn payload(self, stream: StreamId) -> Vec<u8> {
        match self.form {
            Form::List(list) => {
                let mut out = format!("{{\"stream\":\"{stream}\",\"messages\":[").into_bytes();
                out.extend_from_slice(&list);
                out.extend_from_slice(b"]}");
                out
            }
            Form::Telemetry(devices) => Value::Object(devices).to_string().into_bytes(),
        }
    }
}

/// Puts the entries of each device behind those that are there.
fn merge(devices: &mut Map<String, Value>, json: &[u8]) {
    let Ok(Value::Object(more)) = serde_json::from_slice(json) else { return };
    for (device, entries) in more {
        match (devices.get_mut(&device), entries) {
            (Some(Value::Array(known)), Value::Array(new)) => known.extend(new),
            (_, entries) => drop(devices.insert(device, entries)),
        }
    }
}

/// A message as an entry of a list, under its upstream topic.
pub(crate) fn message(seq: u64, topic: &str, record: &Record<'_>, historical: bool) -> Entry {
    let time = jiff::Timestamp::from_microsecond(record.unix_us).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let text = |text: &str| Value::from(text).to_string();
    let mut entry = format!("{{\"seq\":{seq},\"topic\":{},\"time\":\"{time:.6}\"", text(topic)).into_bytes();
    let mut field = |name: &str, value: &[u8]| {
        entry.extend_from_slice(format!(",\"{name}\":").as_bytes());
        entry.extend_from_slice(value);
    };
    match std::str::from_utf8(record.payload) {
        // As it stands, so that numbers keep their digits and objects their order.
        Ok(_) if serde_json::from_slice::<IgnoredAny>(record.payload).is_ok() => {
            field("payload", record.payload);
        }
        Ok(words) => field("text", text(words).as_bytes()),
        Err(_) => field("base64", text(&BASE64.encode(record.payload)).as_bytes()),
    }
    if record.retain {
        field("retain", b"true");
    }
    if historical {
        field("historical", b"true");
    }
    let mut user = Vec::new();
    walk_forwarded(record.properties, |property| match (property.id, property.value) {
        (property_id::CONTENT_TYPE, value) => field("content-type", text(value.text()).as_bytes()),
        (property_id::RESPONSE_TOPIC, value) => field("response-topic", text(value.text()).as_bytes()),
        (property_id::CORRELATION_DATA, value) => {
            field("correlation", text(&BASE64.encode(value.binary())).as_bytes());
        }
        (_, PropertyValue::Pair(key, value)) => user.push(json!([key, value])),
        _ => {}
    });
    if !user.is_empty() {
        field("user", Value::from(user).to_string().as_bytes());
    }
    entry.push(b'}');
    let bytes = record.payload.len() as u64;
    Entry { json: entry, load: Load { messages: 1, bytes, ..Load::default() }, gap: None }
}

/// The declaration of a gap as an entry of a list.
pub(crate) fn gap(gap: &Gap) -> Entry {
    Entry {
        json: json!({ "gap": gap }).to_string().into_bytes(),
        load: Load { gaps: 1, missing: gap.count, ..Load::default() },
        gap: Some(*gap),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bridge::sequence::Why;

    fn record<'a>(payload: &'a [u8], properties: &'a [u8]) -> Record<'a> {
        Record { topic: "a", payload, properties, retain: false, expiry_s: None, unix_us: 1_500_000 }
    }

    fn place(seq: u64) -> Place {
        Place { position: seq, seq }
    }

    #[test]
    fn payloads_keep_every_byte() {
        let entry = |payload: &[u8]| -> Value {
            serde_json::from_slice(&message(7, "up/a", &record(payload, &[]), true).json).unwrap()
        };
        let whole = entry(b"{\"value\":1.5}");
        assert_eq!(
            whole,
            json!({ "seq": 7, "topic": "up/a", "time": "1970-01-01T00:00:01.500000Z", "payload": { "value": 1.5 }, "historical": true })
        );
        let digits = message(7, "up/a", &record(b"1.50", &[]), true).json;
        assert!(String::from_utf8(digits).unwrap().contains("\"payload\":1.50,"));
        assert_eq!(entry(b"on")["text"], "on");
        assert_eq!(entry(&[0xff, 0])["base64"], "/wA=");
    }

    #[test]
    fn user_properties_travel_along() {
        let properties = [0x26, 0, 1, b'k', 0, 1, b'v', 0x03, 0, 1, b't'];
        let entry: Value =
            serde_json::from_slice(&message(1, "a", &record(b"1", &properties), false).json).unwrap();
        assert_eq!((&entry["user"], &entry["content-type"]), (&json!([["k", "v"]]), &json!("t")));
    }

    #[test]
    fn telemetry_is_merged_by_device() {
        let mut batch = Batch::new(1, Lane::Live, true);
        let load = Load { messages: 1, bytes: 1, ..Load::default() };
        for (seq, text) in [(1, r#"{"a":[1]}"#), (2, r#"{"b":[2]}"#), (3, r#"{"a":[3]}"#)] {
            let entry = Entry { json: text.into(), load, gap: None };
            assert!(batch.takes(seq, Lane::Live, &entry, 1000));
            batch.push(&entry, place(seq + 1));
        }
        assert_eq!((batch.load.messages, batch.after), (3, place(4)));
        let payload: Value = serde_json::from_slice(&batch.payload(StreamId(1))).unwrap();
        assert_eq!(payload, json!({ "a": [1, 3], "b": [2] }));
    }

    proptest! {
        #[test]
        fn a_list_holds_what_went_in_and_no_more_than_it_may(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..40), most in 200usize..2000) {
            let mut batch = Batch::new(1, Lane::Live, false);
            let mut seq = 1;
            for payload in &payloads {
                let entry = message(seq, "a/b", &record(payload, &[]), false);
                if !batch.takes(seq, Lane::Live, &entry, most) {
                    break;
                }
                batch.push(&entry, place(seq + 1));
                seq += 1;
            }
            let declared = Gap::new(StreamId(9), seq, 2, Why::Thinned).unwrap();
            if batch.takes(seq, Lane::Live, &gap(&declared), most) {
                batch.push(&gap(&declared), place(seq + 2));
            }
            let (count, load) = (batch.len(), batch.load);
            prop_assert!(!batch.takes(seq + 5, Lane::Live, &gap(&declared), usize::MAX), "a hole");
            let payload = batch.payload(StreamId(9));
            prop_assert!(payload.len() <= most.max(ENVELOPE));
            let read: Value = serde_json::from_slice(&payload).unwrap();
            prop_assert_eq!(read["messages"].as_array().unwrap().len(), count);
            prop_assert_eq!(load.messages + load.gaps, count as u64);
            prop_assert_eq!(read["stream"].as_str(), Some("0000000000000009"));
        }
    }
}
