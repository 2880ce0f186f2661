//! What an alarm does: the entries under `then`, each an output with a state or with keys.
//!
//! Invariant: an action that leaves here brings its output to something that it takes, begins at some time, and ends.

use std::sync::Arc;
use std::time::Duration;

use super::At;
use crate::alarm::Action;
use crate::alarm::action::{ActionConfig, MAX_TIME, PRIORITIES, When};
use crate::alarm::detect::Formula;
use crate::config::build::Output;
use crate::config::de::read;
use crate::config::draft::PointDraft;
use crate::config::node::{Entry, Kind};
use crate::config::parts::expect_map;
use crate::model::PointId;
use crate::model::units::Period;

/// The most outputs of one alarm.
const MAX_ACTIONS: usize = 64;

/// An entry as it is written, and what it says.
pub(super) struct Form<'a> {
    pub(super) entry: &'a Entry,
    pub(super) config: ActionConfig,
}

/// Reads every entry; mistakes are recorded.
pub(super) fn forms<'a>(at: &At<'a>) -> Vec<Form<'a>> {
    let Some(then) = at.entry.value.get("then") else { return Vec::new() };
    if !expect_map(at.cx, then, "`then`") {
        return Vec::new();
    }
    if then.entries().len() > MAX_ACTIONS {
        at.cx.error(then.span, format!("more than {MAX_ACTIONS} outputs of one alarm"), None);
    }
    let form = |entry: &'a Entry| {
        let config = match entry.value.kind {
            Kind::Map(_) => read::<ActionConfig>(at.cx, &entry.value)?,
            _ => ActionConfig::plain(read::<String>(at.cx, &entry.value)?),
        };
        Some(Form { entry, config })
    };
    then.entries().iter().take(MAX_ACTIONS).filter_map(form).collect()
}

/// The actions of these entries; `untils` are their release conditions, in their order.
pub(super) fn actions(at: &At<'_>, forms: &[Form<'_>], untils: Vec<Option<Formula>>) -> Vec<Action> {
    let mut actions: Vec<Action> = Vec::new();
    for (form, until) in forms.iter().zip(untils) {
        let name = &form.entry.key;
        let Some((output, draft)) = at.points.find(at.cx, name, form.entry.key_span) else { continue };
        if !draft.point.access.writable() {
            let help = "add `access: rw` and `safe:` to the point, or name another".to_owned();
            at.cx.error(form.entry.key_span, format!("`{name}` cannot be written"), help);
            continue;
        }
        if actions.iter().any(|action| action.output == output) {
            at.cx.error(form.entry.key_span, format!("`{name}` is named twice"), None);
            continue;
        }
        actions.extend(action(at, form, (output, draft), until));
    }
    actions
}

fn action(
    at: &At<'_>,
    form: &Form<'_>,
    (output, draft): (PointId, &PointDraft),
    until: Option<Formula>,
) -> Option<Action> {
    let (name, config) = (&form.entry.key, &form.config);
    let place = |key: &str| form.entry.value.get(key).map_or(form.entry.value.span, |node| node.span);
    let output_as = Output { conversion: &draft.conversion, kind: draft.point.kind, wiring: &*draft.wiring };
    let value = match output_as.value(&config.value) {
        Ok(value) => value,
        Err(message) => {
            at.cx.error(place("value"), format!("`{name}` cannot take this: {message}"), None);
            return None;
        }
    };
    // A state of rest is held; everything else an output that goes off by itself leaves after its time.
    let rests = draft.point.safe.as_ref() == Some(&value);
    let own = draft.point.output.pulse.or_else(|| draft.wiring.pulse()).filter(|_| !rests);
    check(at, form, own);
    let pulse = config.pulse.map(|pulse| pulse.0);
    let pulse = match (pulse, own) {
        (Some(pulse), Some(own)) => Some(pulse.min(own)),
        (pulse, own) => pulse.or(own),
    };
    Some(Action {
        output,
        name: Arc::clone(&draft.point.name),
        value,
        when: config.when,
        priority: config.priority.unwrap_or(crate::command::arbiter::USUAL_PRIORITY),
        at_least: config.at_least.0,
        pause: config.pause.0,
        pulse,
        until,
        why: why(config, pulse),
    })
}

/// Records what is wrong with the times; `own` is how long the output itself stands.
fn check(at: &At<'_>, form: &Form<'_>, own: Option<Duration>) {
    let (name, config) = (&form.entry.key, &form.config);
    let refuse = |key: &str, message: String, help: &str| {
        let node = form.entry.value.get(key);
        at.cx.error(node.map_or(form.entry.value.span, |node| node.span), message, help.to_owned());
    };
    let ActionConfig { when, priority, at_least, pause, pulse, until, .. } = config;
    if priority.is_some_and(|priority| !PRIORITIES.contains(&priority)) {
        let (first, last) = (PRIORITIES.start(), PRIORITIES.end());
        let message = format!("a priority is {first} (counts most) to {last} (least)");
        refuse("priority", message, "write such a number, or remove it: 8 is usual");
    }
    for (key, time) in [("at-least", Some(at_least)), ("pause", Some(pause)), ("pulse", pulse.as_ref())] {
        if time.is_some_and(|time| time.0 > MAX_TIME) {
            refuse(
                key,
                format!("`{key}` is at most {} h", MAX_TIME.as_secs() / 3600),
                "write a shorter time",
            );
        }
    }
    if pulse.is_some_and(|pulse| pulse.0.is_zero()) {
        refuse("pulse", "a pulse of 0 s is none".into(), "write a time such as 500ms");
    }
    for (key, said) in [("at-least", !at_least.0.is_zero()), ("until", until.is_some())] {
        match own {
            _ if !said => {}
            _ if pulse.is_some() => {
                let message =
                    format!("`pulse` and `{key}` exclude each other: a pulse ends when its time is over");
                refuse(key, message, "remove one of them");
            }
            Some(own) => {
                let message =
                    format!("`{name}` goes off by itself after {}, so nothing holds it", Period(own));
                refuse(key, message, &format!("remove `{key}`, or `momentary` or `pulse` of the point"));
            }
            None => {}
        }
    }
    if let (Some(pulse), Some(own)) = (pulse, own)
        && pulse.0 > own
    {
        let message = format!("`{name}` goes off by itself after {}", Period(own));
        refuse("pulse", message, "use at most that, or remove `pulse`");
    }
    let ends = pulse.is_some() || own.is_some() || until.is_some() || !at_least.0.is_zero();
    if *when == When::Cleared && !ends {
        let message = "nothing says for how long: that the alarm has gone is a moment".to_owned();
        refuse("when", message, "add `pulse:`, `at-least:` or `until:`");
    }
}

/// How it ends, for people who ask why the output is held.
fn why(config: &ActionConfig, pulse: Option<Duration>) -> Option<Arc<str>> {
    let pulse = pulse.map(|pulse| format!("a pulse of {}", Period(pulse)));
    let least = (!config.at_least.0.is_zero()).then(|| format!("at least {}", config.at_least));
    let until = config.until.as_ref().map(|until| format!("until {until}"));
    let parts: Vec<String> = [pulse, least, until].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", ").into())
}
