//! The levels of an alarm: in their order, where the point's values can be, and with a way back.

use super::At;
use crate::alarm::Config;
use crate::alarm::detect::Limits;
use crate::config::build::reach_of;
use crate::config::draft::PointDraft;

/// The levels as they are written.
pub(super) fn of(config: &Config) -> Limits {
    let Config { high_high, high, low, low_low, hysteresis, .. } = config;
    Limits { high_high: *high_high, high: *high, low: *low, low_low: *low_low, hysteresis: *hysteresis }
}

/// The levels from the top down.
fn levels(config: &Config) -> Vec<(&'static str, f64, bool)> {
    let all = [
        ("high-high", config.high_high, true),
        ("high", config.high, true),
        ("low", config.low, false),
        ("low-low", config.low_low, false),
    ];
    all.into_iter().filter_map(|(key, limit, upper)| Some((key, limit?, upper))).collect()
}

/// Records what is wrong with the levels.
pub(super) fn check(at: &At<'_>, config: &Config, draft: Option<&PointDraft>) {
    let levels = levels(config);
    for pair in levels.windows(2) {
        let [(upper_key, upper, is_upper), (lower_key, lower, under_is_upper)] = pair else { continue };
        if upper <= lower {
            let message = format!("`{upper_key}` ({upper}) must lie above `{lower_key}` ({lower})");
            at.cx.error(at.place(&[upper_key]), message, None);
        } else if *is_upper && !under_is_upper && config.hysteresis >= upper - lower {
            let help = format!("use less than {}", upper - lower);
            at.cx.error(at.place(&["hysteresis"]), "with this hysteresis the alarm could never clear", help);
        }
    }
    if let Some(draft) = draft {
        check_reach(at, config, draft, &levels);
    }
}

/// The limits must lie where the point's values can be, and so must the way back.
fn check_reach(at: &At<'_>, config: &Config, draft: &PointDraft, levels: &[(&'static str, f64, bool)]) {
    let Some((low, high)) = reach_of(draft) else { return };
    let name = &draft.point.name;
    let reached = |limit: f64| (low..=high).contains(&limit);
    for (key, limit, _) in levels.iter().filter(|(_, limit, _)| !reached(*limit)) {
        let help =
            "a limit that is never reached watches nothing; correct it or the point's range".to_owned();
        at.cx.error(
            at.place(&[key]),
            format!("`{name}` reads {low} … {high} and never reaches {limit}"),
            help,
        );
    }
    let back = |(_, limit, upper): &(_, f64, bool)| {
        if *upper { limit - config.hysteresis } else { limit + config.hysteresis }
    };
    if levels.iter().filter(|(_, limit, _)| reached(*limit)).any(|level| !reached(back(level))) {
        let help = "once raised, it would hold its outputs for ever; use a smaller hysteresis".to_owned();
        at.cx.error(
            at.place(&["hysteresis"]),
            format!("`{name}` reads {low} … {high}: with this hysteresis the alarm could never clear"),
            help,
        );
    }
}
