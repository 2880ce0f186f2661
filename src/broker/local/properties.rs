//! Encoding the MQTT 5 properties of a message published inside the program.

use crate::broker::codec::{property_id as id, put_binary};

use super::publisher::PublishOptions;

/// Appends the properties that subscribers get, in the form in which they are kept.
pub(super) fn encode(out: &mut Vec<u8>, options: &PublishOptions<'_>) {
    let mut put = |id: u8, bytes: &[u8]| {
        out.push(id);
        put_binary(out, bytes);
    };
    if let Some(text) = options.content_type {
        put(id::CONTENT_TYPE, text.as_bytes());
    }
    if let Some(topic) = options.response_topic {
        put(id::RESPONSE_TOPIC, topic.as_bytes());
    }
    if let Some(bytes) = options.correlation {
        put(id::CORRELATION_DATA, bytes);
    }
    for (key, value) in options.user {
        out.push(id::USER_PROPERTY);
        put_binary(out, key.as_bytes());
        put_binary(out, value.as_bytes());
    }
}
