//! One alarm as the API shows it.

use std::sync::Arc;

use serde::Serialize;

use super::rfc3339;
use crate::model::units::Period;
use crate::model::{AlarmState, AlarmStatus, PointTable, Severity, Texts, Value};

/// One alarm.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::web) struct AlarmView<'a> {
    name: &'a str,
    point: Option<&'a str>,
    topic: Option<&'a str>,
    device: Option<&'a str>,
    unit: Option<&'a str>,
    severity: Severity,
    class: Option<&'a str>,
    groups: &'a [Arc<str>],
    state: AlarmState,
    active: bool,
    pending: bool,
    blind: bool,
    condition: Option<&'static str>,
    value: Option<&'a Value>,
    since: Option<String>,
    shelved_until: Option<String>,
    message: &'a str,
    messages: &'a Texts,
    help: &'a Texts,
    by: Option<&'a str>,
    comment: Option<&'a str>,
    chattering: bool,
    /// For how long it is offered to be shelved: `1h`.
    shelve_offer: Option<String>,
    first_of: &'a [Arc<str>],
}

impl<'a> AlarmView<'a> {
    /// The view of one alarm.
    #[must_use]
    pub(in crate::web) fn new(alarm: &'a AlarmStatus, points: &'a PointTable) -> Self {
        let point = alarm.point.map(|point| points.get(point));
        Self {
            name: &alarm.name,
            point: point.map(|point| &*point.name),
            topic: point.map(|point| point.topic.as_str()),
            device: alarm.device.as_deref(),
            unit: point.and_then(|point| point.unit.as_deref()),
            severity: alarm.severity,
            class: alarm.class.as_deref(),
            groups: &alarm.groups,
            state: alarm.state,
            active: alarm.active,
            pending: alarm.pending,
            blind: alarm.blind,
            condition: alarm.condition,
            value: alarm.value.as_ref(),
            since: alarm.since.map(|at| rfc3339(at.unix_us)),
            shelved_until: alarm.shelved_until_us.map(rfc3339),
            message: alarm.text(),
            messages: &alarm.message,
            help: &alarm.help,
            by: alarm.by.as_deref(),
            comment: alarm.comment.as_deref(),
            chattering: alarm.chattering,
            shelve_offer: alarm.shelve_offer.map(|time| Period(time).to_string()),
            first_of: &alarm.first_of,
        }
    }
}
