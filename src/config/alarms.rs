//! The section `alarms`: from what is written to rules over points that exist.
//!
//! Invariant: a rule's limits can be reached, and what it does to an output is possible.

use super::build::{Output, plain_name, reach_of};
use super::context::Context;
use super::de::read;
use super::draft::{DeviceDraft, Names, PointDraft};
use super::node::{Entry, Node};
use super::parts::expect_map;
use super::source::Span;
use super::suggest::advice;
use crate::alarm::rule::Action;
use crate::alarm::{self, Rule};
use crate::model::{PointId, ValueKind};

/// The most alarms of one configuration.
pub(super) const MAX_ALARMS: usize = 50_000;

/// Points by name, and what is known of them.
pub(super) struct Points<'a> {
    names: &'a Names,
    drafts: Vec<&'a PointDraft>,
}

impl<'a> Points<'a> {
    pub(super) fn new(names: &'a Names, devices: &'a [DeviceDraft]) -> Self {
        Self { names, drafts: devices.iter().flat_map(|device| &device.points).collect() }
    }

    /// The point of this name; a mistake is recorded unless the point is there but wrong itself.
    pub(super) fn find(&self, cx: &Context<'_>, name: &str, span: Span) -> Option<(PointId, &'a PointDraft)> {
        match self.names.find(name) {
            Some(index) => {
                let index = index?;
                let draft = self.drafts.get(index)?;
                u32::try_from(index).ok().map(|id| (PointId(id), *draft))
            }
            None => {
                let help = advice(name, self.names.all());
                cx.error(span, format!("there is no point `{name}`"), help);
                None
            }
        }
    }
}

/// Everything under `alarms`.
pub(super) fn alarms(cx: &Context<'_>, node: &Node, points: &Points<'_>) -> Vec<Rule> {
    if !expect_map(cx, node, "`alarms`") {
        return Vec::new();
    }
    if node.entries().len() > MAX_ALARMS {
        cx.error(node.span, format!("more than {MAX_ALARMS} alarms"), None);
    }
    node.entries().iter().take(MAX_ALARMS).filter_map(|entry| rule(cx, entry, points)).collect()
}

fn rule(cx: &Context<'_>, entry: &Entry, points: &Points<'_>) -> Option<Rule> {
    let node = &entry.value;
    if let Err(help) = plain_name(&entry.key) {
        cx.error(entry.key_span, format!("`{}` cannot be the name of an alarm", entry.key), Some(help));
    }
    if !expect_map(cx, node, &format!("the alarm `{}`", entry.key)) {
        return None;
    }
    let config: alarm::Config = read(cx, node)?;
    check_limits(cx, entry, &config);
    let found = points.find(cx, &config.point, node.span_of(&["point"]).unwrap_or(entry.key_span));
    if let Some((_, draft)) = found {
        check_against(cx, entry, &config, draft);
    }
    let actions = actions(cx, node, &config, points);
    let (point, _) = found?;
    Some(Rule {
        name: entry.key.clone(),
        point,
        high: config.high,
        low: config.low,
        hysteresis: config.hysteresis,
        on_delay: config.on_delay.0,
        severity: config.severity,
        message: config.message.as_deref().map_or_else(|| entry.key.clone(), Into::into),
        actions,
    })
}

fn check_limits(cx: &Context<'_>, entry: &Entry, config: &alarm::Config) {
    let place = |key: &str| entry.value.span_of(&[key]).unwrap_or(entry.key_span);
    if config.high.is_none() && config.low.is_none() {
        let help = "add `high:` or `low:`, or both".to_owned();
        cx.error(entry.key_span, format!("the alarm `{}` has no limit", entry.key), help);
    }
    if config.hysteresis < 0.0 {
        cx.error(
            place("hysteresis"),
            "a hysteresis cannot be negative",
            "write how far the value must come back".to_owned(),
        );
    }
    if let (Some(high), Some(low)) = (config.high, config.low) {
        if high <= low {
            cx.error(place("high"), format!("`high` ({high}) must lie above `low` ({low})"), None);
        } else if config.hysteresis >= high - low {
            let help = format!("use less than {}", high - low);
            cx.error(place("hysteresis"), "with this hysteresis the alarm could never clear", help);
        }
    }
}

/// The limits must lie where the point's values can be.
fn check_against(cx: &Context<'_>, entry: &Entry, config: &alarm::Config, draft: &PointDraft) {
    let name = &draft.point.name;
    if !matches!(draft.point.kind, ValueKind::Integer | ValueKind::Float) {
        let what = if draft.point.kind == ValueKind::Bool { "a digital state" } else { "a text" };
        let help = "limits need a point with numbers".to_owned();
        cx.error(
            entry.value.span_of(&["point"]).unwrap_or(entry.key_span),
            format!("`{name}` is {what}"),
            help,
        );
        return;
    }
    if !draft.point.access.readable() {
        let place = entry.value.span_of(&["point"]).unwrap_or(entry.key_span);
        cx.error(place, format!("`{name}` is write-only and never read"), None);
    }
    let Some((low, high)) = reach_of(draft) else { return };
    for (key, limit) in [("high", config.high), ("low", config.low)] {
        let Some(limit) = limit.filter(|limit| !(low..=high).contains(limit)) else { continue };
        let place = entry.value.span_of(&[key]).unwrap_or(entry.key_span);
        let help =
            "a limit that is never reached watches nothing; correct it or the point's range".to_owned();
        cx.error(place, format!("`{name}` reads {low} … {high} and never reaches {limit}"), help);
    }
    let reached = |limit: &f64| (low..=high).contains(limit);
    let clears = [
        config.high.filter(reached).map(|limit| limit - config.hysteresis),
        config.low.filter(reached).map(|limit| limit + config.hysteresis),
    ];
    if clears.into_iter().flatten().any(|value| !reached(&value)) {
        let place = entry.value.span_of(&["hysteresis"]).unwrap_or(entry.key_span);
        let help = "once raised, it would hold its outputs for ever; use a smaller hysteresis".to_owned();
        cx.error(
            place,
            format!("`{name}` reads {low} … {high}: with this hysteresis the alarm could never clear"),
            help,
        );
    }
}

fn actions(cx: &Context<'_>, node: &Node, config: &alarm::Config, points: &Points<'_>) -> Vec<Action> {
    let Some(then) = node.get("then") else { return Vec::new() };
    let mut actions: Vec<Action> = Vec::new();
    for (name, text) in &config.then {
        let Some(entry) = then.entry(name) else { continue };
        let Some((output, draft)) = points.find(cx, name, entry.key_span) else { continue };
        if !draft.point.access.writable() {
            let help = "add `access: rw` and `safe:` to the point, or name another".to_owned();
            cx.error(entry.key_span, format!("`{name}` cannot be written"), help);
            continue;
        }
        if actions.iter().any(|action| action.output == output) {
            cx.error(entry.key_span, format!("`{name}` is named twice"), None);
            continue;
        }
        let output_as =
            Output { conversion: &draft.conversion, kind: draft.point.kind, wiring: &*draft.wiring };
        match output_as.value(text) {
            Ok(value) => actions.push(Action { output, value }),
            Err(message) => cx.error(entry.value.span, format!("`{name}` cannot take this: {message}"), None),
        }
    }
    actions
}

/// The outputs that simulated values follow must exist.
pub(super) fn check_behaviours(cx: &Context<'_>, devices: &[DeviceDraft], points: &Points<'_>) {
    for draft in devices.iter().flat_map(|device| &device.points) {
        let Some(output) = draft.behaviour.as_ref().and_then(|behaviour| behaviour.output()) else {
            continue;
        };
        let simulate = draft.node.get("simulate");
        let place = simulate
            .and_then(|node| node.entries().first())
            .and_then(|entry| entry.value.span_of(&["to"]))
            .unwrap_or(draft.place);
        if let Some((_, target)) = points.find(cx, output, place)
            && !target.point.access.writable()
        {
            cx.error(place, format!("`{output}` is no output"), "name a point with access: rw".to_owned());
        }
    }
}
