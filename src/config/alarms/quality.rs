//! The alarms of bad inputs: an alarm whose input is bad keeps its state, and somebody must hear of that.
//!
//! Invariant: every point that an alarm needs is watched by exactly one alarm on its quality, unless the
//! configuration says that it shall not.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::Rule;
use crate::alarm::delay::Delays;
use crate::alarm::detect::{Detector, Grade};
use crate::alarm::life::Manner;
use crate::alarm::text::{Message, Template};
use crate::config::context::Context;
use crate::config::node::Node;
use crate::model::{PointId, Texts};

/// How long an input may be bad before anybody hears of it: a lost answer is no alarm.
const PATIENCE: Duration = Duration::from_secs(10);

/// What such an alarm is called after the alarm whose inputs it watches.
const SUFFIX: &str = ".input";

/// The alarms of the inputs of those rules that want one. No point is watched twice.
pub(super) fn input_alarms(cx: &Context<'_>, node: &Node, rules: &[Rule], wanted: &[bool]) -> Vec<Rule> {
    let tells =
        |rule: &&Rule| matches!(rule.detector, Detector::Quality { grade: Grade::Bad | Grade::NotGood, .. });
    let mut watched: HashSet<PointId> = rules.iter().filter(tells).filter_map(Rule::subject).collect();
    let mut made = Vec::new();
    for (rule, _) in rules.iter().zip(wanted).filter(|(_, wanted)| **wanted) {
        // The point whose quality it watches says for itself how it stands.
        let own = usize::from(matches!(rule.detector, Detector::Quality { .. }));
        let needed = rule.inputs.iter().skip(own).copied();
        let inputs: Vec<PointId> = needed.filter(|input| watched.insert(*input)).collect();
        if inputs.is_empty() {
            continue;
        }
        let name: Arc<str> = format!("{}{SUFFIX}", rule.name).into();
        if let Some(taken) = node.entry(&name) {
            let message = format!("`{name}` is the alarm of the input of `{}`", rule.name);
            cx.error(taken.key_span, message, "choose another name".to_owned());
        }
        made.push(of_inputs(rule, name, inputs));
    }
    made
}

fn of_inputs(rule: &Rule, name: Arc<str>, inputs: Vec<PointId>) -> Rule {
    let count = inputs.len();
    let en =
        Template::plain(&format!("An input of the alarm {} is bad: that alarm keeps its state", rule.name));
    let ko = Template::plain(&format!("알람 {}의 입력이 불량합니다: 알람 상태가 유지됩니다", rule.name));
    Rule {
        name,
        inputs,
        device: None,
        detector: Detector::Quality { inputs: count, grade: Grade::Bad, stale: None },
        enabled: None,
        delays: Delays { on: PATIENCE, off: Duration::ZERO },
        manner: Manner { latch: false, automatic: true },
        severity: rule.severity,
        extreme: rule.severity,
        class: rule.class.clone(),
        groups: Arc::clone(&rule.groups),
        chattering: rule.chattering,
        message: Message { en: Some(en), ko: Some(ko) },
        help: Texts::default(),
        actions: Vec::new(),
        implied: true,
    }
}
