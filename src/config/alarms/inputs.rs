//! The expressions of an alarm: `formula` and `enabled-when` over `inputs`.

use super::{At, Inputs};
use crate::alarm::Config;
use crate::alarm::detect::Formula;
use crate::model::ValueKind;
use crate::model::expression::{self, Expression, Kind};

/// The most points of one alarm.
const MAX_INPUTS: usize = 64;

/// The formula and the enabling condition, each where it is written. `None` when something is wrong.
pub(super) fn formulas(
    at: &At<'_>,
    config: &Config,
    inputs: &mut Inputs,
) -> Option<(Option<Formula>, Option<Formula>)> {
    if config.inputs.len() > MAX_INPUTS {
        return at.refuse(
            &["inputs"],
            format!("more than {MAX_INPUTS} inputs"),
            "compute a point of some of them",
        );
    }
    if let Some(name) = config.inputs.keys().find(|name| !expression::is_name(name)) {
        let help = "begin with a letter and go on with letters, digits and _; not and, or, not, true, false";
        return at.refuse(&["inputs", name], format!("`{name}` cannot be a name in an expression"), help);
    }
    let formula = config.formula.as_deref().map(|text| parse(at, "formula", text, config));
    let enabled = config.enabled_when.as_deref().map(|text| parse(at, "enabled-when", text, config));
    let unused = |place: usize| {
        [&formula, &enabled].into_iter().flatten().all(|own| own.as_ref().is_some_and(|own| !own.uses(place)))
    };
    if let Some((name, _)) = config.inputs.keys().zip(0..).find(|(_, place)| unused(*place)) {
        let message = format!("no expression uses the input `{name}`");
        return at.refuse(&["inputs", name], message, "remove it, or use it in `formula` or `enabled-when`");
    }
    let place = |own: Option<Expression>, inputs: &mut Inputs| Some(placed(at, own?, config, inputs));
    let formula = match formula {
        Some(own) => Some(place(own, inputs)??),
        None => None,
    };
    let enabled = match enabled {
        Some(own) => Some(place(own, inputs)??),
        None => None,
    };
    Some((formula, enabled))
}

fn parse(at: &At<'_>, key: &str, text: &str, config: &Config) -> Option<Expression> {
    let names: Vec<&str> = config.inputs.keys().map(String::as_str).collect();
    match expression::parse(text, &names) {
        Err(error) => {
            let node = at.entry.value.get(key);
            let span = node.map_or(at.entry.key_span, |node| node.part(error.at.start, error.at.end));
            at.cx.error(span, error.message, error.help);
            None
        }
        Ok((expression, Kind::Number)) if !matches!(expression, Expression::Input(_)) => {
            at.refuse(&[key], format!("`{key}` gives a number, not a condition"), "compare it: `… > 60`")
        }
        Ok((expression, _)) => Some(expression),
    }
}

/// The expression over the inputs of the rule.
fn placed(at: &At<'_>, mut expression: Expression, config: &Config, inputs: &mut Inputs) -> Option<Formula> {
    let mut places = vec![0; config.inputs.len()];
    let mut uses = Vec::new();
    let mut sound = true;
    for (own, (name, point)) in config.inputs.iter().enumerate() {
        if !expression.uses(own) {
            continue;
        }
        match at.point(point, &["inputs", name], false) {
            Some((_, draft)) if draft.point.kind == ValueKind::Text => {
                let message = format!("`{}` is a text", draft.point.name);
                sound = at
                    .refuse(&["inputs", name], message, "expressions need numbers and states")
                    .unwrap_or(false);
            }
            Some((id, _)) => {
                places[own] = inputs.add(id);
                uses.push(places[own]);
            }
            None => sound = false,
        }
    }
    expression.move_inputs(&places);
    uses.sort_unstable();
    uses.dedup();
    sound.then(|| Formula { expression, uses: uses.into() })
}
