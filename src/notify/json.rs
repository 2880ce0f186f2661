//! A message as JSON, for webhooks. Pure.

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::outbox::Letter;
use super::text::Words;
use super::wanted::meaning;

/// The body of a request. `text` is what chat services show; the other members are for programs.
pub(super) fn json(letter: &Letter, words: &Words, site: &str, notifier: &str) -> Json {
    let text = format!("{}\n{}", words.subject, words.body);
    let mut json = match letter {
        Letter::One(event) => {
            let status = &event.status;
            json!({
                "kind": "alarm",
                "alarm": status.name,
                "event": meaning(event).word(),
                "from": event.from,
                "state": status.state,
                "active": status.active,
                "severity": status.severity,
                "condition": status.condition,
                "value": status.value,
                "at": time(event.at.unix_us),
                "message": status.text(),
                "messages": status.message,
                "class": status.class,
                "groups": status.groups,
                "by": event.by,
                "comment": event.comment,
            })
        }
        Letter::Many(digest) => {
            let (first, last) = digest.span_us.unwrap_or_default();
            json!({
                "kind": "digest",
                "came": digest.came,
                "returned": digest.returned,
                "other": digest.other,
                "worst": digest.worst,
                "alarms": digest.named,
                "more": digest.more,
                "first": time(first),
                "last": time(last),
            })
        }
        Letter::Test => json!({ "kind": "test" }),
    };
    json["site"] = json!(site);
    json["notifier"] = json!(notifier);
    json["text"] = json!(text);
    json
}

fn time(unix_us: i64) -> String {
    format!("{:.3}", Timestamp::from_microsecond(unix_us).unwrap_or(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::super::wanted::tests::event;
    use super::*;
    use crate::model::{AlarmChange, AlarmState, Severity};

    #[test]
    fn an_alarm_is_an_object_with_a_text() {
        let hot = event("hot", AlarmChange::Raised, AlarmState::ActiveUnacknowledged, Severity::High);
        let words = Words { subject: "hot".into(), body: "61.5".into() };
        let json = json(&Letter::One(Box::new(hot)), &words, "busan", "duty");
        assert_eq!(
            (&json["kind"], &json["event"], &json["value"]),
            (&json!("alarm"), &json!("raised"), &json!(61.5))
        );
        assert_eq!((&json["at"], &json["text"]), (&json!("2026-11-21T00:00:00.000Z"), &json!("hot\n61.5")));
        assert_eq!((&json["site"], &json["notifier"]), (&json!("busan"), &json!("duty")));
    }
}
