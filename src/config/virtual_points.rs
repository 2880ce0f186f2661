//! The virtual points of a configuration: from which points each is computed.
//!
//! The driver says how; this file joins names to points once all of them are known. Invariant: what leaves here depends on no text, no write-only point,
//! and never on itself, not even by way of others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::alarms::Points;
use super::context::Context;
use super::draft::{DeviceDraft, Names, PointDraft};
use super::drivers::wired_as;
use super::node::{Kind, Node};
use super::source::Span;
use crate::driver::virtual_points::{Form, Sources};
use crate::model::{PointId, ValueKind};

/// What is known of the sources of one computed point.
struct Resolved {
    device: usize,
    point: usize,
    inputs: Vec<PointId>,
}

/// Joins the sources of all computed points to points.
pub(super) fn resolve(cx: &Context<'_>, devices: &mut [DeviceDraft], names: &Names) {
    let mut found: BTreeMap<PointId, Resolved> = BTreeMap::new();
    {
        let points = Points::new(names, devices);
        let mut id = 0;
        for (device, this) in devices.iter().enumerate() {
            for (point, draft) in this.points.iter().enumerate() {
                if let Some(sources) = wired_as::<Sources>(&draft.wiring) {
                    let inputs = inputs(cx, draft, sources, &points);
                    found.insert(PointId(id), Resolved { device, point, inputs });
                }
                id += 1;
            }
        }
    }
    let draft_of = |id: &PointId| {
        let resolved = found.get(id)?;
        devices.get(resolved.device)?.points.get(resolved.point)
    };
    let order = match in_order(&found) {
        Ok(order) => order,
        Err(cycles) => {
            cycles
                .iter()
                .for_each(|cycle| tell_cycle(cx, &cycle.iter().filter_map(draft_of).collect::<Vec<_>>()));
            return;
        }
    };
    // A computed point is as old as its inputs may be.
    let mut polls: Vec<Duration> =
        devices.iter().flat_map(|device| &device.points).map(|draft| draft.point.poll).collect();
    for id in order {
        let Some(resolved) = found.remove(&id) else { continue };
        let inputs = resolved.inputs.iter().filter_map(|input| polls.get(input.index()));
        let poll = inputs.copied().max().unwrap_or_default().max(polls[id.index()]);
        polls[id.index()] = poll;
        let draft = &mut devices[resolved.device].points[resolved.point];
        draft.point.poll = poll;
        if let Some(sources) = draft.wiring.get_mut::<Sources>() {
            sources.inputs = resolved.inputs;
        }
    }
}

fn inputs(cx: &Context<'_>, draft: &PointDraft, sources: &Sources, points: &Points<'_>) -> Vec<PointId> {
    let mut inputs = Vec::with_capacity(sources.names.len());
    for (place, name) in sources.names.iter().enumerate() {
        let span = place_of(&draft.node, name).unwrap_or(draft.place);
        let Some((id, input)) = points.find(cx, name, span) else { continue };
        check_input(cx, span, &sources.form, place, input);
        inputs.push(id);
    }
    inputs
}

fn check_input(cx: &Context<'_>, span: Span, form: &Form, place: usize, input: &PointDraft) {
    let name = &input.point.name;
    let refuse = |message: String, help: &str| cx.error(span, message, help.to_owned());
    match input.point.kind {
        _ if !input.point.access.readable() => {
            refuse(format!("`{name}` is write-only and never read"), "name a point that is read");
        }
        ValueKind::Text => refuse(format!("`{name}` is a text"), "computed points need numbers and states"),
        ValueKind::Float if form.wants_states() => {
            refuse(
                format!("`{name}` is no digital state"),
                "compare it in a `formula` first, and use that point",
            );
        }
        _ => {}
    }
    let wanted = match (form, place) {
        (Form::DewPoint, 0) => "°C",
        (Form::DewPoint, _) => "%",
        _ => return,
    };
    let unit = input.point.unit.as_deref().unwrap_or(wanted);
    // Hygrometers show `%`, `%RH` or `% RH`.
    if !unit.starts_with(wanted) {
        refuse(format!("`{name}` is in {unit}"), &format!("a dew point needs a point in {wanted} here"));
    }
}

/// Where a name is written below a point.
fn place_of(node: &Node, name: &str) -> Option<Span> {
    match &node.kind {
        Kind::Scalar(scalar) => (&*scalar.text == name).then_some(node.span),
        Kind::List(items) => items.iter().find_map(|item| place_of(item, name)),
        Kind::Map(entries) => entries.iter().find_map(|entry| place_of(&entry.value, name)),
    }
}

/// The computed points with each behind those that it is computed from, or the circles that they go in.
fn in_order(found: &BTreeMap<PointId, Resolved>) -> Result<Vec<PointId>, Vec<Vec<PointId>>> {
    let computed = |resolved: &Resolved| {
        let own = resolved.inputs.iter().filter(|input| found.contains_key(input));
        own.copied().collect::<BTreeSet<_>>()
    };
    let mut waits_for: BTreeMap<PointId, BTreeSet<PointId>> =
        found.iter().map(|(id, resolved)| (*id, computed(resolved))).collect();
    let mut users: BTreeMap<PointId, Vec<PointId>> = BTreeMap::new();
    for (id, inputs) in &waits_for {
        inputs.iter().for_each(|input| users.entry(*input).or_default().push(*id));
    }
    let free = waits_for.iter().filter(|(_, inputs)| inputs.is_empty());
    let mut ready: VecDeque<PointId> = free.map(|(id, _)| *id).collect();
    let mut order = Vec::with_capacity(found.len());
    while let Some(id) = ready.pop_front() {
        waits_for.remove(&id);
        order.push(id);
        for user in users.get(&id).into_iter().flatten() {
            if let Some(inputs) = waits_for.get_mut(user) {
                inputs.remove(&id);
                if inputs.is_empty() {
                    ready.push_back(*user);
                }
            }
        }
    }
    if waits_for.is_empty() { Ok(order) } else { Err(circles(&waits_for)) }
}

/// The circles among points of which each waits for another one.
fn circles(waits_for: &BTreeMap<PointId, BTreeSet<PointId>>) -> Vec<Vec<PointId>> {
    let mut circles = Vec::new();
    let mut seen: BTreeSet<PointId> = BTreeSet::new();
    for start in waits_for.keys() {
        let mut path: Vec<PointId> = Vec::new();
        let mut next = Some(*start);
        while let Some(id) = next.filter(|id| seen.insert(*id)) {
            path.push(id);
            next = waits_for.get(&id).and_then(|inputs| inputs.first().copied());
        }
        if let Some(begin) = next.and_then(|id| path.iter().position(|other| *other == id)) {
            circles.push(path.split_off(begin));
        }
    }
    circles
}

fn tell_cycle(cx: &Context<'_>, circle: &[&PointDraft]) {
    let Some(last) = circle.iter().max_by_key(|draft| draft.place) else { return };
    let mut names: Vec<&str> = circle.iter().map(|draft| &*draft.point.name).collect();
    names.extend(names.first().copied());
    let message = format!("`{}` is computed from itself: {}", last.point.name, names.join(" from "));
    cx.error(last.place, message, "take one of them out of the circle".to_owned());
}
