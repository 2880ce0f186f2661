//! The section `alarms`: from what is written to rules over points that exist.
//!
//! `kind` finds what an alarm watches for, `limits` checks its levels, `inputs` its expressions, `actions` what it does, `texts`
//! its words; `quality` adds the alarms of bad inputs. Invariant: a rule's limits can be reached, and what it does to an output is possible.

mod actions;
mod inputs;
mod kind;
mod limits;
mod quality;
mod texts;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::alarm::config::{Acknowledge, BadInput};
use crate::alarm::delay::Delays;
use crate::alarm::detect::Detector;
use crate::alarm::flood::ChatteringConfig;
use crate::alarm::life::Manner;
use crate::alarm::{self, Rule};
use crate::config::build::plain_name;
use crate::config::context::Context;
use crate::config::de::read;
use crate::config::draft::{DeviceDraft, Names, PointDraft};
use crate::config::node::{Entry, Node};
use crate::config::parts::expect_map;
use crate::config::source::Span;
use crate::config::suggest::advice;
use crate::model::{PointId, ValueKind};
use inputs::Formulas;
use quality::input_alarms;

/// The most alarms of one configuration.
pub(in crate::config) const MAX_ALARMS: usize = 50_000;

/// Points by name, and what is known of them.
pub(in crate::config) struct Points<'a> {
    names: &'a Names,
    drafts: Vec<&'a PointDraft>,
}

impl<'a> Points<'a> {
    pub(in crate::config) fn new(names: &'a Names, devices: &'a [DeviceDraft]) -> Self {
        Self { names, drafts: devices.iter().flat_map(|device| &device.points).collect() }
    }

    /// The point of this name; a mistake is recorded unless the point is there but wrong itself.
    pub(in crate::config) fn find(
        &self,
        cx: &Context<'_>,
        name: &str,
        span: Span,
    ) -> Option<(PointId, &'a PointDraft)> {
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

/// Everything under `alarms`, and behind it the alarms of their inputs.
pub(in crate::config) fn alarms(
    cx: &Context<'_>,
    node: &Node,
    points: &Points<'_>,
    devices: &[DeviceDraft],
    chattering: &ChatteringConfig,
) -> Vec<Rule> {
    if !expect_map(cx, node, "`alarms`") {
        return Vec::new();
    }
    if node.entries().len() > MAX_ALARMS {
        cx.error(node.span, format!("more than {MAX_ALARMS} alarms"), None);
    }
    let mut rules = Vec::new();
    let mut wants_input_alarm = Vec::new();
    for entry in node.entries().iter().take(MAX_ALARMS) {
        let at = At { cx, entry, points, devices };
        let Some((mut rule, bad_input)) = rule(&at) else { continue };
        rule.chattering = Some(chattering.of(rule.class.as_deref()));
        wants_input_alarm.push(bad_input == BadInput::Alarm);
        rules.push(rule);
    }
    let implied = input_alarms(cx, node, &rules, &wants_input_alarm);
    rules.extend(implied);
    rules
}

/// The section `chattering`; mistakes are recorded.
pub(in crate::config) fn chattering(cx: &Context<'_>, node: &Node) -> ChatteringConfig {
    let Some(config) = read::<ChatteringConfig>(cx, node) else { return ChatteringConfig::default() };
    for (key, message, help) in config.problems() {
        cx.error(node.span_of(&[key]).unwrap_or(node.span), message, help);
    }
    config
}

/// The classes that are shelved must be classes of alarms: a slip of the pen would let a flood through.
pub(in crate::config) fn check_classes(
    cx: &Context<'_>,
    node: &Node,
    config: &ChatteringConfig,
    rules: &[Rule],
) {
    let there: BTreeSet<&str> = rules.iter().filter_map(|rule| rule.class.as_deref()).collect();
    for class in config.shelve_classes.iter().filter(|class| !there.contains(class.as_str())) {
        let place = node.span_of(&["shelve-classes"]).unwrap_or(node.span);
        cx.error(place, format!("no alarm is of the class `{class}`"), advice(class, there.iter().copied()));
    }
}

/// One alarm as it is written, and what its names can mean.
struct At<'a> {
    cx: &'a Context<'a>,
    entry: &'a Entry,
    points: &'a Points<'a>,
    devices: &'a [DeviceDraft],
}

impl<'a> At<'a> {
    /// Where a value is written, by the way of keys to it, as far as that is there; or else the alarm's name.
    fn place(&self, keys: &[&str]) -> Span {
        self.entry.place(keys)
    }

    fn refuse<T>(&self, keys: &[&str], message: impl Into<String>, help: &str) -> Option<T> {
        self.cx.error(self.place(keys), message, help.to_owned());
        None
    }

    /// A point that is read; `numbers` says that its values must be numbers.
    fn point(&self, name: &str, keys: &[&str], numbers: bool) -> Option<(PointId, &'a PointDraft)> {
        let (id, draft) = self.points.find(self.cx, name, self.place(keys))?;
        let name = &draft.point.name;
        if !draft.point.access.readable() {
            return self.refuse(
                keys,
                format!("`{name}` is write-only and never read"),
                "name a point that is read",
            );
        }
        match draft.point.kind {
            ValueKind::Bool if numbers => {
                self.refuse(keys, format!("`{name}` is a digital state"), "this needs a point with numbers")
            }
            ValueKind::Text if numbers => {
                self.refuse(keys, format!("`{name}` is a text"), "this needs a point with numbers")
            }
            _ => Some((id, draft)),
        }
    }
}

/// The points of one alarm, each once.
#[derive(Default)]
struct Inputs(Vec<PointId>);

impl Inputs {
    /// The place of a point among them.
    fn add(&mut self, point: PointId) -> usize {
        self.add_behind(0, point)
    }

    /// The place of a point among those behind the first so many.
    fn add_behind(&mut self, first: usize, point: PointId) -> usize {
        let first = first.min(self.0.len());
        self.0[first..].iter().position(|own| *own == point).map_or_else(
            || {
                self.0.push(point);
                self.0.len() - 1
            },
            |place| first + place,
        )
    }
}

fn rule(at: &At<'_>) -> Option<(Rule, BadInput)> {
    let (cx, entry) = (at.cx, at.entry);
    if let Err(help) = plain_name(&entry.key) {
        cx.error(entry.key_span, format!("`{}` cannot be the name of an alarm", entry.key), Some(help));
    }
    if !expect_map(cx, &entry.value, &format!("the alarm `{}`", entry.key)) {
        return None;
    }
    let config: alarm::Config = read(cx, &entry.value)?;
    let mut inputs = Inputs::default();
    // All of them look for mistakes, whatever the others have found.
    let detector = kind::detector(at, &config, &mut inputs);
    let forms = actions::forms(at);
    let formulas = inputs::formulas(at, &config, &forms, &mut inputs);
    let message = texts::message(at, config.message.as_ref());
    let help = texts::plain(config.help.as_ref());
    let groups: Option<Vec<Arc<str>>> =
        config.groups.iter().map(|group| texts::word(at, "groups", group)).collect();
    let class = match &config.class {
        Some(class) => Some(texts::word(at, "class", class)?),
        None => None,
    };
    let Formulas { formula, enabled, untils } = formulas?;
    let actions = actions::actions(at, &forms, untils);
    let detector = match formula {
        Some(formula) => Detector::Formula(formula),
        None => detector?,
    };
    let rule = Rule {
        name: entry.key.clone(),
        inputs: inputs.0,
        device: config.device.as_deref().map(Into::into),
        detector,
        enabled,
        delays: Delays { on: config.on_delay.0, off: config.off_delay.0 },
        manner: Manner { latch: config.latch, automatic: config.acknowledge == Acknowledge::Automatic },
        severity: config.severity,
        extreme: config.extreme_severity.unwrap_or(config.severity),
        class,
        groups: groups?.into(),
        chattering: None,
        message: message?,
        help,
        actions,
        implied: false,
    };
    Some((rule, config.bad_input))
}

/// The outputs that simulated values follow must exist.
pub(in crate::config) fn check_behaviours(cx: &Context<'_>, devices: &[DeviceDraft], points: &Points<'_>) {
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
