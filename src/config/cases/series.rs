//! What changes over time: maps from times to values, signals or words.
//!
//! Invariant: what comes back is in the order of time, and each entry knows its place.

use std::time::Duration;

use super::form::{QualityWord, SignalSection};
use super::{MAX_TIME, Signal};
use crate::config::context::Context;
use crate::config::de::read;
use crate::config::draft::PointDraft;
use crate::config::node::{Entry, Kind, Node};
use crate::config::scalar::parse_bool;
use crate::config::source::Span;
use crate::config::suggest::nearest;
use crate::model::units::Period;
use crate::model::{Quality, Reason, Value, ValueKind};

/// The keys of a signal, which are no times.
const SIGNAL_KEYS: [&str; 3] = ["value", "quality", "reason"];

/// One entry of a series.
pub(super) struct At<'a> {
    pub(super) at: Duration,
    pub(super) node: &'a Node,
    pub(super) key_span: Span,
}

/// The entries of a map by time; a list under a time is several at once.
pub(super) fn by_time<'a>(cx: &Context<'_>, node: &'a Node, what: &str) -> Vec<At<'a>> {
    if node.is_null() {
        return Vec::new();
    }
    let Kind::Map(entries) = &node.kind else {
        let help = "write times with what happens then: { 0s: …, 1m30s: … }".to_owned();
        cx.error(node.span, format!("{what} needs times here, not {}", node.kind_word()), help);
        return Vec::new();
    };
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(at) = time(cx, entry) else { continue };
        let place = |node| At { at, node, key_span: entry.key_span };
        match &entry.value.kind {
            Kind::List(items) => all.extend(items.iter().map(place)),
            _ => all.push(place(&entry.value)),
        }
    }
    all.sort_by_key(|entry| entry.at);
    all
}

fn time(cx: &Context<'_>, entry: &Entry) -> Option<Duration> {
    match entry.key.parse::<Period>() {
        Ok(period) if period.0 <= MAX_TIME => Some(period.0),
        Ok(_) => {
            cx.error(entry.key_span, format!("a test ends after {} at the latest", Period(MAX_TIME)), None);
            None
        }
        Err(message) => {
            let help = "times count from the beginning of the test: 0s, 500ms, 1m30s".to_owned();
            cx.error(entry.key_span, message, help);
            None
        }
    }
}

/// What a point reads over time: one signal for all of it, or several by time.
pub(super) fn signals(cx: &Context<'_>, node: &Node, draft: &PointDraft) -> Vec<(Duration, Signal)> {
    let one = match &node.kind {
        Kind::Scalar(_) => true,
        Kind::Map(entries) => entries.iter().any(|entry| SIGNAL_KEYS.contains(&&*entry.key)),
        Kind::List(_) => false,
    };
    if one {
        return signal(cx, node, draft).map(|signal| (Duration::ZERO, signal)).into_iter().collect();
    }
    let entries = by_time(cx, node, &format!("`{}`", draft.point.name)).into_iter();
    entries.filter_map(|entry| Some((entry.at, signal(cx, entry.node, draft)?))).collect()
}

/// What a point reads.
pub(super) fn signal(cx: &Context<'_>, node: &Node, draft: &PointDraft) -> Option<Signal> {
    if let Some(text) = node.text().filter(|_| !node.is_null()) {
        let value = value(cx, node.span, text, draft)?;
        return Some(Signal::Reads(Some(value), Quality::Good));
    }
    if !matches!(node.kind, Kind::Map(_)) {
        let help = "write a value, or { quality: bad }, or { quality: silent } for no readings".to_owned();
        cx.error(node.span, format!("a reading is needed here, not {}", node.kind_word()), help);
        return None;
    }
    let section: SignalSection = read(cx, node)?;
    let place = |key: &str| node.span_of(&[key]).unwrap_or(node.span);
    let value = match &section.value {
        Some(text) => Some(value(cx, place("value"), text, draft)?),
        None => None,
    };
    let reason = match section.reason.as_deref().map(str::parse::<Reason>) {
        Some(Err(message)) => {
            let help = "such as timeout, out-of-range or sensor-fault; docs/api.md lists them".to_owned();
            cx.error(place("reason"), message, help);
            return None;
        }
        Some(Ok(reason)) => Some(reason),
        None => None,
    };
    let stray = match section.quality {
        QualityWord::Good if value.is_none() => Some("a good reading needs a value"),
        QualityWord::Good if reason.is_some() => Some("only readings that are not good have a reason"),
        QualityWord::Silent if value.is_some() || reason.is_some() => {
            Some("where no readings come, there is neither value nor reason")
        }
        _ => None,
    };
    if let Some(message) = stray {
        cx.error(node.span, message, None);
        return None;
    }
    Some(match section.quality {
        QualityWord::Good => Signal::Reads(value, Quality::Good),
        QualityWord::Uncertain => {
            Signal::Reads(value, Quality::Uncertain(reason.unwrap_or(Reason::OutOfRange)))
        }
        QualityWord::Bad => Signal::Reads(value, Quality::Bad(reason.unwrap_or(Reason::Timeout))),
        QualityWord::Silent => Signal::Silent,
    })
}

/// A value of a point as it is written, in the point's unit.
pub(super) fn value(cx: &Context<'_>, span: Span, text: &str, draft: &PointDraft) -> Option<Value> {
    let parsed = match (draft.point.kind, parse_bool(text)) {
        (ValueKind::Bool, Some(state)) => Ok(Value::Bool(state)),
        (kind, _) => Value::parse(text, kind),
    };
    let value = match parsed {
        Ok(value) => value,
        Err(message) => {
            cx.error(span, format!("`{}`: {message}", draft.point.name), None);
            return None;
        }
    };
    let names = &draft.conversion.enumeration;
    if let (Value::Text(text), false) = (&value, names.is_empty()) {
        let Some((_, name)) = names.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)) else {
            let known = names.iter().map(|(_, name)| &**name);
            let help = nearest(text, known.clone()).map_or_else(
                || format!("known states: {}", known.collect::<Vec<_>>().join(", ")),
                |name| format!("did you mean `{name}`?"),
            );
            cx.error(span, format!("`{}` has no state `{text}`", draft.point.name), help);
            return None;
        };
        return Some(Value::Text(name.clone()));
    }
    if let (Some((low, high)), Some(number)) = (draft.point.range, value.as_f64())
        && !(low..=high).contains(&number)
    {
        let message = format!("{number} is outside the range {low} … {high} of `{}`", draft.point.name);
        let help = "the gateway would read it as { quality: bad, reason: out-of-range }".to_owned();
        cx.error(span, message, help);
        return None;
    }
    Some(value)
}
