//! The payloads of alarms: their state and what happens to them, as JSON. Pure.

use std::sync::Arc;

use serde::Serialize;

use super::payload::TimeText;
use crate::model::units::Period;
use crate::model::{AlarmEvent, AlarmGroup, AlarmState, AlarmStatus, PointTable, Severity, Texts, Value};

/// `{"state":"active-unacknowledged","active":true,"condition":"high","severity":"critical",…}`
#[derive(Serialize)]
struct State<'a> {
    state: AlarmState,
    active: bool,
    #[serde(skip_serializing_if = "is_false")]
    pending: bool,
    #[serde(skip_serializing_if = "is_false")]
    blind: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<&'static str>,
    severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    message: &'a str,
    #[serde(skip_serializing_if = "no_other_language")]
    messages: &'a Texts,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    help: &'a Texts,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    groups: &'a [Arc<str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    shelved_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    chattering: bool,
    /// For how long it is offered to be shelved.
    #[serde(skip_serializing_if = "Option::is_none")]
    shelve_offer: Option<Period>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    first_of: &'a [Arc<str>],
}

/// `{"active":3,"unacknowledged":2,"first_out":{"alarm":"hot","at":"…"}}`
#[derive(Serialize)]
struct Group<'a> {
    active: usize,
    unacknowledged: usize,
    first_out: Option<First<'a>>,
}

#[derive(Serialize)]
struct First<'a> {
    alarm: &'a str,
    at: String,
}

/// `{"alarm":"hot","event":"raised","from":"normal","at":"…","state":…}`
#[derive(Serialize)]
struct Event<'a> {
    alarm: &'a str,
    event: &'static str,
    from: AlarmState,
    at: String,
    #[serde(flatten)]
    state: State<'a>,
}

/// The payload of an alarm's state.
pub(super) fn state(points: &PointTable, status: &AlarmStatus) -> Vec<u8> {
    // Plain data with text keys: writing it into memory cannot fail.
    serde_json::to_vec(&view(points, status)).unwrap_or_default()
}

/// The payload of an event.
pub(super) fn event(points: &PointTable, event: &AlarmEvent) -> Vec<u8> {
    let mut state = view(points, &event.status);
    (state.by, state.comment) = (event.by.as_deref(), event.comment.as_deref());
    let payload = Event {
        alarm: &event.status.name,
        event: event.change.word(),
        from: event.from,
        at: time(event.at.unix_us),
        state,
    };
    serde_json::to_vec(&payload).unwrap_or_default()
}

/// The payload of a group's state.
pub(super) fn group(group: &AlarmGroup) -> Vec<u8> {
    let first = group.first_out.as_ref();
    let first_out = first.map(|first| First { alarm: &first.alarm, at: time(first.unix_us) });
    let payload = Group { active: group.active, unacknowledged: group.unacknowledged, first_out };
    serde_json::to_vec(&payload).unwrap_or_default()
}

fn view<'a>(points: &'a PointTable, status: &'a AlarmStatus) -> State<'a> {
    State {
        state: status.state,
        active: status.active,
        pending: status.pending,
        blind: status.blind,
        condition: status.condition,
        severity: status.severity,
        topic: status.point.map(|point| points.get(point).topic.as_str()),
        device: status.device.as_deref(),
        value: status.value.as_ref(),
        time: status.since.map(|since| time(since.unix_us)),
        message: status.text(),
        messages: &status.message,
        help: &status.help,
        class: status.class.as_deref(),
        groups: &status.groups,
        shelved_until: status.shelved_until_us.map(time),
        by: status.by.as_deref(),
        comment: status.comment.as_deref(),
        chattering: status.chattering,
        shelve_offer: status.shelve_offer.map(Period),
        first_of: &status.first_of,
    }
}

fn time(unix_us: i64) -> String {
    let mut text = Vec::with_capacity(24);
    TimeText::default().write(unix_us, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn no_other_language(texts: &&Texts) -> bool {
    texts.ko.is_none()
}
