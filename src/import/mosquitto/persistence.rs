//! What shall outlive the program: Mosquitto's `persistence`, which is `broker: data` here.
//!
//! Absent: what Mosquitto's own file holds; it does not move. Invariant: nothing is kept that Mosquitto did not keep.

use std::path::Path;

use super::Cx;
use super::lines::Directive;
use crate::import::yaml::Yaml;

/// Where Mosquitto's packages keep it; iogate's have a place of their own.
const THEIRS: &str = "/var/lib/mosquitto";

/// In the service's state directory.
const OURS: &str = "/var/lib/iogate/broker";

/// Takes the directives of persistence out of `lines`; returns the key `data`, if there is to be one.
pub(super) fn take(cx: &mut Cx<'_>, lines: &mut Vec<Directive>) -> Option<(String, Yaml)> {
    let known = |name: &str| name.starts_with("persistence") || name.starts_with("autosave_");
    let (own, others): (Vec<_>, Vec<_>) =
        std::mem::take(lines).into_iter().partition(|line| known(&line.name));
    *lines = others;
    let (mut wanted, mut place) = (false, None);
    // The last of several lines counts, as in Mosquitto.
    for line in &own {
        match line.name.as_str() {
            "persistence" => wanted = line.switch(&mut cx.report).unwrap_or(wanted),
            "persistence_location" => place = Some(line),
            _ => {}
        }
    }
    let elsewhere = place.map(|line| line.value.trim_end_matches('/'));
    let elsewhere = elsewhere.filter(|path| *path != THEIRS && Path::new(path).is_absolute());
    let data = elsewhere.map_or_else(|| OURS.to_owned(), |path| format!("{path}/iogate"));
    for line in &own {
        tell(cx, line, wanted, elsewhere.is_some(), &data);
    }
    wanted.then(|| ("data".to_owned(), Yaml::text(data)))
}

fn tell(cx: &mut Cx<'_>, line: &Directive, wanted: bool, elsewhere: bool, data: &str) {
    let report = &mut cx.report;
    match line.name.as_str() {
        "persistence" if line.switch(&mut Default::default()).is_none() => {}
        "persistence" if wanted => report.carried(&line.about, format!("broker: data: {data}; everything is kept at once, not every half hour; what mosquitto.db holds does not move")),
        _ if !wanted => report.same(&line.about, "nothing outlives the program, as in Mosquitto without `persistence true`"),
        "persistence_location" if elsewhere => report.changed(&line.about, format!("broker: data: {data}; the user that iogate runs as must be able to write there, and its systemd unit must permit it (ReadWritePaths=)")),
        "persistence_location" => report.changed(&line.about, format!("broker: data: {data}, which the systemd unit makes")),
        "persistence_file" => report.same(&line.about, "the log's files have names of their own"),
        "autosave_interval" | "autosave_on_changes" => report.same(&line.about, "everything is kept at once; broker: durability: power keeps it even through a loss of power"),
        _ => report.dropped(&line.about, "not known as a directive of Mosquitto 2; look whether anything is needed in its place"),
    }
}
