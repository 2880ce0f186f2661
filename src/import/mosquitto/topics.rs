//! The lines `topic` of a bridge: filter, direction, QoS and prefixes, made into rules of `forward` and `accept`.

use super::lines::Directive;
use crate::broker::topic::check_filter;
use crate::import::report::Report;
use crate::import::yaml::Yaml;

/// Which way messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Upstream.
    Out,
    /// From upstream.
    In,
}

/// The rules of a line: `topic pattern [[[out|in|both] qos] local-prefix remote-prefix]`.
pub(super) fn rules(line: &Directive, keeps_retain: bool, report: &mut Report) -> Vec<(Direction, Yaml)> {
    let words: Vec<&str> = line.value.split_whitespace().collect();
    let word = |index: usize| words.get(index).copied().map(|word| if word == "\"\"" { "" } else { word });
    let directions: &[Direction] = match word(1) {
        None | Some("out") => &[Direction::Out],
        Some("in") => &[Direction::In],
        Some("both") => &[Direction::Out, Direction::In],
        Some(_) => {
            report.dropped(&line.about, "neither `out`, `in` nor `both`");
            return Vec::new();
        }
    };
    let Some(qos) = word(2).map_or(Some(0_u8), |qos| qos.parse().ok()).filter(|qos| *qos <= 2) else {
        report.dropped(&line.about, "the QoS is not 0, 1 or 2");
        return Vec::new();
    };
    let (pattern, local, remote) = (word(0).unwrap_or(""), word(3).unwrap_or(""), word(4).unwrap_or(""));
    let (here, there) = (format!("{local}{pattern}"), format!("{remote}{pattern}"));
    let sound = |prefix: &str| !prefix.contains(['+', '#']);
    let wrong = check_filter(&here).and_then(|()| check_filter(&there)).err();
    let wrong = wrong.or_else(|| (!sound(local) || !sound(remote)).then_some("a prefix holds a wildcard"));
    let own = local.starts_with('$') && directions.contains(&Direction::In);
    if let Some(why) = wrong.or(own.then_some("local topics that begin with `$` belong to the broker")) {
        report.dropped(&line.about, why);
        return Vec::new();
    }
    match qos {
        2 => report.changed(&line.about, "qos: 1; a bridge carries QoS 0 and 1"),
        _ => report.carried(&line.about, "forward or accept of the bridge"),
    }
    let rule = |&direction: &Direction| {
        let (topic, strip, prefix) = match direction {
            Direction::Out => (&here, local, remote),
            Direction::In => (&there, remote, local),
        };
        let mut entries = vec![
            ("topic".to_owned(), Yaml::text(topic.clone())),
            ("qos".to_owned(), Yaml::plain(qos.min(1))),
        ];
        if strip != prefix {
            let parts =
                [("strip", strip), ("prefix", prefix)].into_iter().filter(|(_, part)| !part.is_empty());
            entries.extend(parts.map(|(key, part)| (key.to_owned(), Yaml::text(part))));
        }
        if direction == Direction::Out && !keeps_retain {
            entries.push(("retain".to_owned(), Yaml::plain("clear")));
        }
        (direction, Yaml::Map(entries))
    };
    directions.iter().map(rule).collect()
}
