//! The expressions of an alarm: `formula`, `enabled-when` and `until` of its actions over `inputs`.

use super::actions::Form;
use super::{At, Inputs};
use crate::alarm::Config;
use crate::alarm::detect::Formula;
use crate::model::ValueKind;
use crate::model::expression::{self, Expression, Kind};

/// The most points of one alarm.
const MAX_INPUTS: usize = 64;

/// The conditions of an alarm, each where it is written.
pub(super) struct Formulas {
    /// What it watches for.
    pub(super) formula: Option<Formula>,
    /// Only while this holds.
    pub(super) enabled: Option<Formula>,
    /// The release conditions, in the order of the actions.
    pub(super) untils: Vec<Option<Formula>>,
}

/// The conditions of an alarm. `None` when something is wrong.
pub(super) fn formulas(
    at: &At<'_>,
    config: &Config,
    forms: &[Form<'_>],
    inputs: &mut Inputs,
) -> Option<Formulas> {
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
    let formula = config.formula.as_deref().map(|text| parse(at, &["formula"], text, config));
    let enabled = config.enabled_when.as_deref().map(|text| parse(at, &["enabled-when"], text, config));
    let until = |form: &Form<'_>| {
        let keys = ["then", &form.entry.key, "until"];
        form.config.until.as_deref().map(|text| parse(at, &keys, text, config))
    };
    let untils: Vec<Option<Option<Expression>>> = forms.iter().map(until).collect();
    let unused = |place: usize| {
        let all = [&formula, &enabled].into_iter().chain(&untils);
        all.flatten().all(|own| own.as_ref().is_some_and(|own| !own.uses(place)))
    };
    if let Some((name, _)) = config.inputs.keys().zip(0..).find(|(_, place)| unused(*place)) {
        let message = format!("no expression uses the input `{name}`");
        return at.refuse(
            &["inputs", name],
            message,
            "remove it, or use it in `formula`, `enabled-when` or `until`",
        );
    }
    let place = |own: Option<Expression>, inputs: &mut Inputs| Some(placed(at, own?, config, inputs));
    let mut sound = true;
    let mut placed = |own: Option<Option<Expression>>| {
        let placed = place(own?, inputs).flatten();
        sound &= placed.is_some();
        placed
    };
    let (formula, enabled) = (placed(formula), placed(enabled));
    let untils = untils.into_iter().map(placed).collect();
    sound.then_some(Formulas { formula, enabled, untils })
}

fn parse(at: &At<'_>, keys: &[&str], text: &str, config: &Config) -> Option<Expression> {
    let key = keys.last().copied().unwrap_or_default();
    let names: Vec<&str> = config.inputs.keys().map(String::as_str).collect();
    match expression::parse(text, &names) {
        Err(error) => {
            let node = keys.iter().try_fold(&at.entry.value, |node, key| node.get(key));
            let span = node.map_or(at.entry.key_span, |node| node.part(error.at.start, error.at.end));
            at.cx.error(span, error.message, error.help);
            None
        }
        Ok((expression, Kind::Number)) if !matches!(expression, Expression::Input(_)) => {
            at.refuse(keys, format!("`{key}` gives a number, not a condition"), "compare it: `… > 60`")
        }
        Ok((expression, _)) => Some(expression),
    }
}

/// The expression over the inputs of the rule.
fn placed(at: &At<'_>, mut expression: Expression, config: &Config, inputs: &mut Inputs) -> Option<Formula> {
    // The state that an alarm watches for is kept as whether it is there, and not as its number.
    let apart = usize::from(config.state.is_some());
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
                places[own] = inputs.add_behind(apart, id);
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
