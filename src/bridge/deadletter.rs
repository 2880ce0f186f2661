//! Messages that the upstream broker does not take: published here, with the reason.
//!
//! Absent: keeping them; who wants to see them subscribes, and the last one is retained. Invariant: a letter never goes
//! upstream, since it is published under the bridge's own name.

use serde_json::json;

use super::outgoing::DeadLetter;
use super::sequence::StreamId;
use super::status::Status;
use crate::broker::{LocalPublisher, PublishOptions, QoS};

/// Payloads above this many bytes are left out of the letter.
const MOST_PAYLOAD: usize = 64 << 10;

/// Puts letters onto their topic.
pub(crate) struct DeadLetters {
    pub(crate) publisher: LocalPublisher,
    pub(crate) topic: String,
    pub(crate) stream: StreamId,
}

impl DeadLetters {
    /// Publishes a letter, counts and logs it.
    pub(crate) fn put(&mut self, letter: &DeadLetter, status: &Status) {
        status.dead_letters.add(1);
        if status.warn(format!("{}: {}", letter.topic, letter.reason)) {
            tracing::warn!(
                topic = &*letter.topic,
                reason = letter.reason,
                "a message cannot be sent upstream"
            );
        }
        let options = PublishOptions { qos: QoS::AtLeastOnce, retain: true, ..PublishOptions::default() };
        let body = body(letter, self.stream).to_string();
        if let Err(error) = self.publisher.publish(&self.topic, body.as_bytes(), &options) {
            tracing::error!(%error, "the dead-letter topic cannot be used");
        }
    }
}

fn body(letter: &DeadLetter, stream: StreamId) -> serde_json::Value {
    let mut body = json!({
        "topic": &*letter.topic,
        "stream": stream,
        "seq": letter.seq,
        "reason": letter.reason,
        "bytes": letter.payload.len(),
    });
    if letter.payload.len() <= MOST_PAYLOAD {
        match std::str::from_utf8(&letter.payload) {
            Ok(text) => body["payload"] = text.into(),
            Err(_) => body["payload-base64"] = data_encoding::BASE64.encode(&letter.payload).into(),
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{self, Broker};

    #[test]
    fn a_letter_says_what_and_why() {
        let broker = Broker::new(broker::Config::default());
        let mut heard = broker.subscribe(&[("dead", QoS::AtLeastOnce)], 10).unwrap();
        let publisher = broker.publisher("bridge/x");
        let mut letters = DeadLetters { publisher, topic: "dead".into(), stream: StreamId(1) };
        let mut letter =
            DeadLetter { seq: 9, topic: "a/b".into(), payload: (*b"x").into(), reason: "no".into() };
        let status = Status::default();
        letters.put(&letter, &status);
        letter.payload = [0xff].into();
        letters.put(&letter, &status);
        letter.payload = vec![0; MOST_PAYLOAD + 1].into();
        letters.put(&letter, &status);
        let mut next =
            || -> serde_json::Value { serde_json::from_slice(heard.try_recv().unwrap().payload()).unwrap() };
        let wanted = json!({ "topic": "a/b", "stream": "0000000000000001", "seq": 9, "reason": "no", "bytes": 1, "payload": "x" });
        assert_eq!(next(), wanted);
        assert_eq!(next()["payload-base64"], "/w==");
        assert_eq!(next().get("payload"), None);
        assert_eq!(status.dead_letters.get(), 3);
    }
}
