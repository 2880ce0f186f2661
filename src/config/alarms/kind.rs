//! Which kind an alarm is, and what it watches for.

use super::{At, Inputs, limits};
use crate::alarm::Config;
use crate::alarm::config::{DeviationConfig, NoChangeConfig, QualityWord, RateConfig, Words};
use crate::alarm::detect::{Detector, Grade, Limits, Rate, Reference};
use crate::config::draft::PointDraft;
use crate::config::scalar::parse_bool;
use crate::config::suggest::advice;
use crate::model::{Value, ValueKind};

/// The kinds that an alarm's keys make it, by the key that says so.
fn kinds(config: &Config) -> Vec<&'static str> {
    let limits = [
        ("high", config.high),
        ("low", config.low),
        ("high-high", config.high_high),
        ("low-low", config.low_low),
    ];
    let limit = limits.into_iter().find(|(_, limit)| limit.is_some()).map(|(key, _)| key);
    let quality = if config.quality.is_some() { "quality" } else { "stale" };
    [
        (limit.is_some(), limit.unwrap_or_default()),
        (config.rate.is_some(), "rate"),
        (config.deviation.is_some(), "deviation"),
        (config.state.is_some(), "state"),
        (config.quality.is_some() || config.stale.is_some(), quality),
        (config.no_change.is_some(), "no-change"),
        (config.device.is_some(), "device"),
        (config.formula.is_some(), "formula"),
    ]
    .into_iter()
    .filter_map(|(there, key)| there.then_some(key))
    .collect()
}

/// What the alarm watches for; `None` for a formula, which has its own way, and when something is wrong.
pub(super) fn detector(at: &At<'_>, config: &Config, inputs: &mut Inputs) -> Option<Detector> {
    let kinds = kinds(config);
    let key = match kinds[..] {
        [] => {
            let message = format!("it is not said what the alarm `{}` watches for", at.entry.key);
            let help = "add a limit such as `high:`, or one of rate, deviation, state, quality, stale, no-change, device, formula";
            return at.refuse(&[], message, help);
        }
        [key] => key,
        [first, second, ..] => {
            return at.refuse(
                &[second],
                format!("`{first}` and `{second}` exclude each other"),
                "make two alarms of them",
            );
        }
    };
    check_hysteresis(at, config, key);
    if matches!(key, "device" | "formula") {
        if config.point.is_some() {
            let help =
                if key == "formula" { "name its points under `inputs`" } else { "name the device only" };
            return at.refuse(&["point"], format!("`{key}` watches no single point"), help);
        }
        return if key == "device" { device(at, config) } else { None };
    }
    let Some(name) = &config.point else {
        return at.refuse(
            &[],
            format!("the alarm `{}` has no `point`", at.entry.key),
            "add `point: device/point`",
        );
    };
    let numbers = matches!(key, "high" | "low" | "high-high" | "low-low" | "rate" | "deviation");
    let found = at.point(name, &["point"], numbers);
    if numbers && key != "rate" && key != "deviation" {
        limits::check(at, config, found.map(|(_, draft)| draft));
    }
    let (id, draft) = found?;
    inputs.add(id);
    Some(match config {
        Config { rate: Some(rate), .. } => Detector::Rate(self::rate(at, *rate, config.hysteresis)?),
        Config { deviation: Some(own), .. } => deviation(at, own, config.hysteresis, inputs)?,
        Config { state: Some(words), .. } => states(at, words, draft)?,
        Config { no_change: Some(own), .. } => no_change(at, *own, draft)?,
        _ if matches!(key, "quality" | "stale") => Detector::Quality {
            inputs: 1,
            grade: match config.quality {
                None => Grade::Never,
                Some(QualityWord::Bad) => Grade::Bad,
                Some(QualityWord::NotGood) => Grade::NotGood,
            },
            stale: config.stale.map(|stale| stale.0),
        },
        _ => Detector::Limits(limits::of(config)),
    })
}

fn check_hysteresis(at: &At<'_>, config: &Config, key: &str) {
    let (keys, cx) = (&["hysteresis"][..], at.cx);
    if config.hysteresis < 0.0 {
        let help = "write how far the value must come back".to_owned();
        cx.error(at.place(keys), "a hysteresis cannot be negative", help);
    }
    if config.hysteresis != 0.0
        && !matches!(key, "high" | "low" | "high-high" | "low-low" | "rate" | "deviation")
    {
        cx.error(at.place(keys), format!("`{key}` knows no hysteresis"), "remove it".to_owned());
    }
    if config.extreme_severity.is_some() && config.high_high.is_none() && config.low_low.is_none() {
        let help = "remove it, or add one of them".to_owned();
        cx.error(at.place(&["extreme-severity"]), "there is neither `high-high` nor `low-low`", help);
    }
    if config.stale.is_some_and(|stale| stale.0.is_zero()) {
        cx.error(at.place(&["stale"]), "everything is older than 0 s", "write a time such as 30s".to_owned());
    }
}

fn device(at: &At<'_>, config: &Config) -> Option<Detector> {
    let name = config.device.as_deref().unwrap_or_default();
    if at.devices.iter().any(|device| *device.name == *name) {
        return Some(Detector::NoAnswer);
    }
    let help = advice(name, at.devices.iter().map(|device| &*device.name));
    at.cx.error(at.place(&["device"]), format!("there is no device `{name}`"), help);
    None
}

fn rate(at: &At<'_>, config: RateConfig, hysteresis: f64) -> Option<Rate> {
    let RateConfig { rise, fall, within } = config;
    if rise.is_none() && fall.is_none() {
        return at.refuse(&["rate"], "the rate has no limit", "add `rise:` or `fall:`, or both");
    }
    for (key, limit) in [("rise", rise), ("fall", fall)] {
        if limit.is_some_and(|limit| limit <= 0.0) {
            return at.refuse(
                &["rate", key],
                format!("`{key}` must be above 0"),
                "write by how much it may not move",
            );
        }
        if limit.is_some_and(|limit| hysteresis >= limit) {
            let message = "with this hysteresis the alarm could never clear";
            return at.refuse(&["hysteresis"], message, "use less than the limits of the rate");
        }
    }
    if within.0.is_zero() {
        return at.refuse(&["rate", "within"], "a rate needs a time", "write a time such as 1m");
    }
    Some(Rate { rise, fall, within: within.0, hysteresis })
}

fn deviation(
    at: &At<'_>,
    config: &DeviationConfig,
    hysteresis: f64,
    inputs: &mut Inputs,
) -> Option<Detector> {
    let DeviationConfig { from, above, below } = config;
    for (key, limit) in [("above", above), ("below", below)] {
        if limit.is_some_and(|limit| limit <= 0.0) {
            return at.refuse(&["deviation", key], format!("`{key}` must be above 0"), "write a distance");
        }
        if limit.is_some_and(|limit| hysteresis >= limit) {
            let message =
                "with this hysteresis the alarm could only clear on the other side of the reference";
            return at.refuse(&["hysteresis"], message, "use less than `above` and `below`");
        }
    }
    if above.is_none() && below.is_none() {
        return at.refuse(&["deviation"], "the deviation has no limit", "add `above:` or `below:`, or both");
    }
    let from = match from.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Reference::Fixed(number),
        _ => {
            let (id, _) = at.point(from, &["deviation", "from"], true)?;
            if inputs.add(id) != 1 {
                let message = "a point does not deviate from itself";
                return at.refuse(&["deviation", "from"], message, "name another point, or a number");
            }
            Reference::Input
        }
    };
    let limits = Limits { high: *above, low: below.map(|below| -below), hysteresis, ..Limits::default() };
    Some(Detector::Deviation { limits, from })
}

fn states(at: &At<'_>, words: &Words, draft: &PointDraft) -> Option<Detector> {
    if words.0.is_empty() {
        return at.refuse(&["state"], "no state is named", "write the states that are alarming");
    }
    let states: Option<Vec<Value>> = words.0.iter().map(|word| state(at, word, draft)).collect();
    states.map(|states| Detector::States(states.into()))
}

fn state(at: &At<'_>, word: &str, draft: &PointDraft) -> Option<Value> {
    let kind = draft.point.kind;
    if let (ValueKind::Bool, Some(state)) = (kind, parse_bool(word)) {
        return Some(Value::Bool(state));
    }
    let names = &draft.conversion.enumeration;
    if kind == ValueKind::Text && !names.is_empty() {
        if let Some((_, name)) = names.iter().find(|(_, name)| name.eq_ignore_ascii_case(word)) {
            return Some(Value::Text(name.clone()));
        }
        let help = advice(word, names.iter().map(|(_, name)| &**name));
        at.cx.error(at.place(&["state"]), format!("`{}` is never `{word}`", draft.point.name), help);
        return None;
    }
    match Value::parse(word, kind) {
        Ok(value) => Some(value),
        Err(why) => {
            at.refuse(&["state"], format!("`{}`: {why}", draft.point.name), "write what the point reads")
        }
    }
}

fn no_change(at: &At<'_>, config: NoChangeConfig, draft: &PointDraft) -> Option<Detector> {
    let NoChangeConfig { during, by } = config;
    if draft.point.kind == ValueKind::Text {
        let message = format!("`{}` is a text", draft.point.name);
        return at.refuse(&["point"], message, "this needs a point with numbers or states");
    }
    if by < 0.0 {
        return at.refuse(&["no-change", "by"], "`by` cannot be negative", "write by how much it must move");
    }
    if during.0 <= draft.point.poll {
        let message = format!("`{}` is read every {:?}", draft.point.name, draft.point.poll);
        return at.refuse(&["no-change", "during"], message, "use several times as long");
    }
    Some(Detector::NoChange { during: during.0, by })
}
