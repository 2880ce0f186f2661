//! Forms of topics and payloads that some services prescribe.
//!
//! Pure. Azure IoT Hub has one topic for everything that a device sends; what it is travels in a bag of properties.
//! ThingsBoard's gateway API takes telemetry by device. Absent: twins, methods and attributes.

use serde_json::{Map, Value, json};

/// Where ThingsBoard takes telemetry of a gateway.
pub(crate) const THINGSBOARD_TOPIC: &str = "v1/gateway/telemetry";

/// The topic of a device's messages, with the local topic and the type of the content as properties.
pub(crate) fn iot_hub_topic(device: &str, topic: &str, payload: &[u8]) -> String {
    let mut out = format!("devices/{device}/messages/events/topic=");
    percent(&mut out, topic);
    // Both are needed before the hub can route by what is in the body.
    if payload.starts_with(b"{") || payload.starts_with(b"[") {
        out.push_str("&$.ct=application%2Fjson&$.ce=utf-8");
    }
    out
}

/// Percent-encodes everything but unreserved characters (RFC 3986, section 2.3).
pub(crate) fn percent(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&data_encoding::HEXUPPER.encode(&[byte]));
        }
    }
}

/// Telemetry of one device: the topic's last level names the value, the levels before it the device.
///
/// # Errors
/// The payload is no text, so ThingsBoard has no place for it.
pub(crate) fn thingsboard(topic: &str, payload: &[u8], unix_us: i64) -> Result<Vec<u8>, String> {
    let (device, key) = topic.rsplit_once('/').unwrap_or(("gateway", topic));
    let text = std::str::from_utf8(payload).map_err(|_| "the payload is neither JSON nor text".to_owned())?;
    let value = serde_json::from_str::<Value>(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    let mut values = Map::new();
    let mut ts = unix_us / 1000;
    match value {
        Value::Object(fields) => {
            if let Some(time) = fields.get("time").and_then(Value::as_str).and_then(unix_ms) {
                ts = time;
            }
            for (name, value) in fields {
                match name.as_str() {
                    "time" => {}
                    "value" => {
                        values.insert(key.to_owned(), value);
                    }
                    _ => {
                        values.insert(format!("{key}.{name}"), value);
                    }
                }
            }
        }
        other => {
            values.insert(key.to_owned(), other);
        }
    }
    let mut entry = json!({ "values": values });
    if ts > 0 {
        entry["ts"] = ts.into();
    }
    Ok(json!({ device: [entry] }).to_string().into_bytes())
}

fn unix_ms(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_gets_the_topic_as_a_property() {
        let topic = iot_hub_topic("gw", "a/b c", b"{}");
        assert_eq!(topic, "devices/gw/messages/events/topic=a%2Fb%20c&$.ct=application%2Fjson&$.ce=utf-8");
        assert_eq!(iot_hub_topic("gw", "ä", b"1"), "devices/gw/messages/events/topic=%C3%A4");
    }

    #[test]
    fn thingsboard_gets_values_by_device() {
        let read = |topic: &str, payload: &str| {
            serde_json::from_slice::<Value>(&thingsboard(topic, payload.as_bytes(), 5_000_000).unwrap())
                .unwrap()
        };
        let full = read("site/press/temp", r#"{"value":1.5,"unit":"C","time":"2026-01-01T00:00:00Z"}"#);
        let wanted = json!({ "site/press": [{ "ts": 1_767_225_600_000_i64, "values": { "temp": 1.5, "temp.unit": "C" } }] });
        assert_eq!(full, wanted);
        assert_eq!(read("temp", "21.5"), json!({ "gateway": [{ "ts": 5000, "values": { "temp": 21.5 } }] }));
        assert_eq!(read("a/b", "on"), json!({ "a": [{ "ts": 5000, "values": { "b": "on" } }] }));
        assert!(thingsboard("a/b", &[0xff], 0).is_err());
    }
}
