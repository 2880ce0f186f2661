//! One point: from its map to what the gateway and its driver need.
//!
//! Absent: whatever concerns two points (`conflicts`). Invariant: a draft that leaves here is right in itself.

use std::time::Duration;

use super::context::Context;
use super::conversion;
use super::draft::{Around, PointDraft};
use super::drivers::{About, Read};
use super::node::Node;
use super::parts::{check_keys, fields_of, read_part};
use super::ramp;
use super::repeat::Item;
use super::scalar::parse_bool;
use super::sections::{ConversionSection, PointSection, PublishSection, RepeatSection};
use super::suggest::advice;
use super::words::ReportWhen;
use crate::driver::entry::Wiring;
use crate::model::conversion::Linear;
use crate::model::topic::SET_LEVEL;
use crate::model::units::Period;
use crate::model::{
    Access, Conversion, Deadband, OutputRules, Point, PointId, PublishPolicy, ReportPolicy, Topic, Value,
    ValueKind,
};

/// How often a point is read when nothing is said.
pub(super) const DEFAULT_POLL: Duration = Duration::from_secs(1);

/// The longest pulse, and the longest time between two commands.
const LONGEST_PULSE: Duration = Duration::from_secs(86_400);

/// The shortest and the longest time between two readings.
const POLL_LIMITS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(7 * 86_400));

/// The period of points that are read when their device comes online: far enough to be of no weight.
const ONCE: Duration = POLL_LIMITS.1;

/// How long a value may stay unpublished when nothing is said.
pub(super) const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(60);

/// The quality of service when nothing is said: a reading reaches its subscribers at least once.
pub(super) const DEFAULT_QOS: u8 = 1;

/// How far an f32 may differ from what was written into it, as a share.
const FLOAT_SLACK: f64 = 1e-6;

/// What came of one entry.
pub(super) enum Built {
    /// It is right.
    Point(Box<PointDraft>),
    /// It is switched off.
    Off,
    /// It is wrong, which is recorded.
    Wrong,
}

/// The four sections of a point; one is `None` when it is wrong, and then the others are still checked.
struct Sections {
    point: Option<PointSection>,
    conversion: Option<ConversionSection>,
    publish: Option<PublishSection>,
    own: Option<Read>,
}

/// Builds the point of one entry.
pub(super) fn point(cx: &Context<'_>, around: &Around<'_>, item: &Item) -> Built {
    let errors_before = cx.error_count();
    check_name(cx, item);
    let sections = read_sections(cx, &item.node, around);
    if sections.point.as_ref().is_some_and(|point| point.enabled == Some(false)) {
        return Built::Off;
    }
    let draft = assemble(cx, around, item, sections);
    match draft {
        Some(draft) if cx.error_count() == errors_before => Built::Point(Box::new(draft)),
        _ => Built::Wrong,
    }
}

fn read_sections(cx: &Context<'_>, node: &Node, around: &Around<'_>) -> Sections {
    check_keys(
        cx,
        node,
        &[
            fields_of::<PointSection>(),
            fields_of::<ConversionSection>(),
            fields_of::<PublishSection>(),
            around.kind.point_fields(),
            around.kind.text_fields(),
            fields_of::<RepeatSection>(),
        ],
    );
    Sections {
        point: read_part(cx, node),
        conversion: read_part(cx, node),
        publish: read_part(cx, node),
        own: around.kind.section(cx, node),
    }
}

fn assemble(cx: &Context<'_>, around: &Around<'_>, item: &Item, sections: Sections) -> Option<PointDraft> {
    let node = &item.node;
    let publish = sections.publish.map(|own| own.over(around.publish));
    let section = sections.point?;
    let own_poll = sections.publish.and_then(|own| own.poll);
    let poll = publish.map(|publish| poll(cx, around, node, &section, (own_poll, publish.poll)));
    let access = section.access.unwrap_or_default();
    let topic = topic(cx, around, item, &section);
    let (settings, shift) = (around.settings, item.shift);
    let about = About { node, name_span: item.key_span, settings, access, shift };
    if let Some(channel) = around.driver {
        around.kind.object(cx, &channel.settings, &about);
    }
    let wiring = around.kind.wiring(cx, sections.own?, &about)?;
    let form = wiring.form();
    let (conversion, kind) = conversion::build(cx, node, &sections.conversion?, &form);
    let kind = match kind {
        ValueKind::Integer if wiring.is_scaled() => ValueKind::Float,
        own => own,
    };
    let output = Output { conversion: &conversion, kind, wiring: &*wiring };
    let safe = safe_state(cx, item, &section, access, &output);
    let rules = output_rules(cx, item, &section, kind, access, safe.is_some());
    let tolerance = tolerance(cx, node, &section, &output);
    check_behaviour(cx, node, &section, kind);
    let (publish, poll) = (publish?, poll?);
    let unconverted = conversion.linear == Linear::Identity;
    let unit = section.unit.as_deref().or_else(|| form.unit.filter(|_| unconverted));
    let point = Point {
        id: PointId(0),
        name: format!("{}/{}", around.device, item.name).into(),
        device: around.device.clone(),
        channel: around.channel.clone(),
        topic: topic?,
        kind,
        unit: unit.map(Into::into),
        label: section.label_in(around.language).map(Into::into),
        access,
        range: conversion.range,
        report: report_policy(&publish),
        publish: publish_policy(&publish),
        poll: wiring.rhythm().unwrap_or(poll),
        safe,
        tolerance,
        output: rules,
    };
    let (behaviour, grade) = (section.simulate, section.grade.or(around.grade));
    let (place, node) = (item.key_span, node.clone());
    Some(PointDraft { point, place, node, wiring, conversion, behaviour, grade })
}

fn report_policy(publish: &PublishSection) -> ReportPolicy {
    ReportPolicy {
        deadband: publish.deadband.map_or(Deadband::None, |text| text.0),
        always: publish.report.unwrap_or_default() == ReportWhen::Always,
        max_silence: publish.heartbeat.map_or(Some(DEFAULT_HEARTBEAT), |heartbeat| heartbeat.0.map(|p| p.0)),
    }
}

fn publish_policy(publish: &PublishSection) -> PublishPolicy {
    PublishPolicy {
        format: publish.payload.unwrap_or_default(),
        qos: publish.qos.map_or(DEFAULT_QOS, |qos| qos.0),
        retain: publish.retain.unwrap_or(true),
        uncertain: publish.uncertain.unwrap_or(false),
    }
}

fn check_name(cx: &Context<'_>, item: &Item) {
    if let Err(help) = plain_name(&item.name) {
        cx.error(item.key_span, format!("`{}` cannot be the name of a point", item.name), Some(help));
    }
}

/// Names become parts of topics and references, so they hold no `/`, wildcard, blank or control character.
pub(super) fn plain_name(name: &str) -> Result<(), String> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '+' | '#' | '$' | '{' | '}');
    match name.chars().find(|c| odd(*c)) {
        _ if name.is_empty() => Err("give it a name".into()),
        Some('/') => Err("use `topic:` for topics of several levels".into()),
        Some(c) => {
            Err(format!("leave `{}` out; letters, digits, `-`, `_` and `.` are fine", c.escape_default()))
        }
        None => Ok(()),
    }
}

fn topic(cx: &Context<'_>, around: &Around<'_>, item: &Item, section: &PointSection) -> Option<Topic> {
    let own = section.topic.as_deref().unwrap_or(&item.name);
    let place = item.node.span_of(&["topic"]).unwrap_or(item.key_span);
    if own.rsplit('/').next() == Some(SET_LEVEL) {
        let help =
            Some("`…/set` is the topic through which a point is written; choose another name".to_owned());
        cx.error(place, format!("a topic cannot end in `/{SET_LEVEL}`"), help);
    }
    match Topic::join(&[around.site.as_str(), around.topic, own]) {
        Ok(topic) => Some(topic),
        Err(error) => {
            cx.error(place, error.to_string(), None);
            None
        }
    }
}

/// How often the point is read: as it says itself, as its group, and where neither does, as the device; settings
/// and diagnoses then no oftener than suits them.
fn poll(
    cx: &Context<'_>,
    around: &Around<'_>,
    node: &Node,
    section: &PointSection,
    (own, wider): (Option<Period>, Option<Period>),
) -> Duration {
    let group = section.group.as_deref().and_then(|name| {
        let found = around.groups.get(name).copied();
        if found.is_none() {
            let help = advice(name, around.groups.keys().map(String::as_str)).or_else(|| {
                Some("name it under `groups:` with its period, such as { energy: 10s }".to_owned())
            });
            let place = node.span_of(&["group"]).unwrap_or(node.span);
            cx.error(place, format!("there is no poll group `{name}`"), help);
        }
        found
    });
    if section.once == Some(true) {
        if own.is_some() || section.group.is_some() {
            let place = node.span_of(&["once"]).unwrap_or(node.span);
            cx.error(place, "`once` takes the place of `poll` and `group`", "keep one of them".to_owned());
        }
        return ONCE;
    }
    let poll = match (own.or(group), wider) {
        (Some(said), _) => said.0,
        (None, wider) => {
            let wider = wider.map_or(DEFAULT_POLL, |period| period.0);
            wider.max(section.class.unwrap_or_default().rest())
        }
    };
    if !poll.is_zero() && !(POLL_LIMITS.0..=POLL_LIMITS.1).contains(&poll) {
        let message = format!("a poll period of {poll:?} makes no sense");
        let help = "use 1ms … 7d, or 0s for as often as the line allows".to_owned();
        cx.error(node.span_of(&["poll"]).unwrap_or(node.span), message, help);
    }
    poll
}

/// What values for an output are checked against.
pub(super) struct Output<'a> {
    pub(super) conversion: &'a Conversion,
    pub(super) kind: ValueKind,
    pub(super) wiring: &'a dyn Wiring,
}

impl Output<'_> {
    /// Reads a value as it is written, and makes sure that the output can take it.
    pub(super) fn value(&self, text: &str) -> Result<Value, String> {
        let value = match (self.kind, parse_bool(text)) {
            (ValueKind::Bool, Some(state)) => Value::Bool(state),
            _ => Value::parse(text, self.kind)?,
        };
        let names = &self.conversion.enumeration;
        let value = match &value {
            Value::Text(text) => match names.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)) {
                Some((_, name)) => Value::Text(name.clone()),
                None => value,
            },
            _ => value,
        };
        let raw =
            self.conversion.invert(&value, self.wiring.is_whole()).map_err(|error| error.to_string())?;
        self.wiring.encodable(&raw)?;
        Ok(value)
    }
}

fn safe_state(
    cx: &Context<'_>,
    item: &Item,
    section: &PointSection,
    access: Access,
    output: &Output<'_>,
) -> Option<Value> {
    let node = &item.node;
    let place = node.span_of(&["safe"]).unwrap_or(item.key_span);
    match (&section.safe, access.writable()) {
        (None, false) => None,
        (Some(_), false) => {
            cx.error(place, "`safe` belongs to outputs", Some("add access: rw, or remove `safe`".to_owned()));
            None
        }
        (None, true) => {
            let help = "say which state is safe at start, at stop and when nobody is in charge: `safe: off`; `safe: none` leaves the output as it is";
            cx.error(place, format!("the output `{}` has no safe state", item.name), Some(help.to_owned()));
            None
        }
        (Some(safe), true) => match output.value(&safe.0) {
            Ok(value) => Some(value),
            Err(_) if safe.0 == "none" => None,
            Err(message) => {
                cx.error(place, format!("the safe state does not fit: {message}"), None);
                None
            }
        },
    }
}

fn output_rules(
    cx: &Context<'_>,
    item: &Item,
    section: &PointSection,
    kind: ValueKind,
    access: Access,
    has_safe: bool,
) -> OutputRules {
    let place = |key: &str| item.node.span_of(&[key]).unwrap_or(item.key_span);
    let (pulse, pause) = (section.momentary.map(|pulse| pulse.0), section.min_interval.map(|pause| pause.0));
    for (key, said) in [
        ("momentary", pulse.is_some()),
        ("min-interval", pause.is_some()),
        ("after-loss", section.after_loss.is_some()),
        ("ramp", section.ramp.is_some()),
    ] {
        if said && !access.writable() {
            let help = format!("add access: rw, or remove `{key}`");
            cx.error(place(key), format!("`{key}` belongs to outputs"), help);
        }
    }
    for (key, time) in [("momentary", pulse), ("min-interval", pause)] {
        if time.is_some_and(|time| time.is_zero() || time > LONGEST_PULSE) {
            cx.error(place(key), format!("`{key}` is above 0 s and at most 24h"), None);
        }
    }
    if pulse.is_some() && access.writable() && !has_safe {
        let help = "name the state of rest: `safe: off`".to_owned();
        cx.error(place("momentary"), "a momentary output ends in the safe state, and there is none", help);
    }
    let ramp = ramp::rule(cx, item, section, kind, access, has_safe);
    OutputRules { pulse, pause, after_loss: section.after_loss.unwrap_or_default(), ramp }
}

fn tolerance(cx: &Context<'_>, node: &Node, section: &PointSection, output: &Output<'_>) -> f64 {
    if let Some(tolerance) = section.tolerance {
        if tolerance < 0.0 {
            cx.error(
                node.span_of(&["tolerance"]).unwrap_or(node.span),
                "a tolerance cannot be negative",
                None,
            );
        }
        return tolerance;
    }
    match output.kind {
        ValueKind::Bool | ValueKind::Text | ValueKind::Integer => 0.0,
        ValueKind::Float if output.wiring.is_whole() => output.conversion.step() * 0.500_001,
        ValueKind::Float => {
            let size = output.conversion.range.map_or(1e3, |(low, high)| low.abs().max(high.abs()));
            let rounding = output.conversion.round.map_or(0.0, |places| 10f64.powi(-i32::from(places)));
            rounding.max(size * FLOAT_SLACK)
        }
    }
}

fn check_behaviour(cx: &Context<'_>, node: &Node, section: &PointSection, kind: ValueKind) {
    if let Some(behaviour) = &section.simulate
        && let Err(message) = behaviour.check(kind)
    {
        cx.error(node.span_of(&["simulate"]).unwrap_or(node.span), message, None);
    }
}

/// The raw form, for messages about values of a point.
pub(super) fn reach_of(draft: &PointDraft) -> Option<(f64, f64)> {
    draft.point.range.or_else(|| conversion::reach(&draft.conversion, &draft.wiring.form()))
}
