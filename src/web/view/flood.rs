//! What is known of all alarms together, as the API and the metrics tell it.

use std::fmt::Write as _;

use serde::Serialize;

use super::rfc3339;
use crate::model::{AlarmFigures, AlarmGroup, AlarmOverview, FLOOD};

/// Figures after EEMUA 191, and groups.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::web) struct OverviewView<'a> {
    last_10_minutes: u64,
    last_hour: u64,
    last_day: u64,
    peak_10_minutes: u64,
    flood_limit: u64,
    flooded_minutes: u64,
    total: u64,
    standing: usize,
    unacknowledged: usize,
    shelved: usize,
    suppressed: usize,
    out_of_service: usize,
    chattering: usize,
    most_frequent: Vec<Frequent<'a>>,
    journal_dropped: u64,
    groups: Vec<GroupView<'a>>,
}

#[derive(Debug, Serialize)]
struct Frequent<'a> {
    alarm: &'a str,
    count: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupView<'a> {
    name: &'a str,
    active: usize,
    unacknowledged: usize,
    first_out: Option<FirstView<'a>>,
}

#[derive(Debug, Serialize)]
struct FirstView<'a> {
    alarm: &'a str,
    at: String,
}

impl<'a> OverviewView<'a> {
    /// The view of it.
    #[must_use]
    pub(in crate::web) fn new(overview: &'a AlarmOverview) -> Self {
        let AlarmOverview { figures, groups } = overview;
        let frequent = figures.most_frequent.iter();
        Self {
            last_10_minutes: figures.last_10_minutes,
            last_hour: figures.last_hour,
            last_day: figures.last_day,
            peak_10_minutes: figures.peak,
            flood_limit: FLOOD,
            flooded_minutes: figures.flooded.as_secs() / 60,
            total: figures.total,
            standing: figures.standing,
            unacknowledged: figures.unacknowledged,
            shelved: figures.shelved,
            suppressed: figures.suppressed,
            out_of_service: figures.out_of_service,
            chattering: figures.chattering,
            most_frequent: frequent.map(|(alarm, count)| Frequent { alarm, count: *count }).collect(),
            journal_dropped: figures.journal_dropped,
            groups: groups.iter().map(GroupView::new).collect(),
        }
    }
}

impl<'a> GroupView<'a> {
    fn new(group: &'a AlarmGroup) -> Self {
        let first = group.first_out.as_ref();
        Self {
            name: &group.name,
            active: group.active,
            unacknowledged: group.unacknowledged,
            first_out: first.map(|first| FirstView { alarm: &first.alarm, at: rfc3339(first.unix_us) }),
        }
    }
}

/// Name, kind and meaning of a metric, and how it is read.
type Metric = (&'static str, &'static str, &'static str, fn(&AlarmFigures) -> u64);

const METRICS: [Metric; 13] = [
    ("annunciated_total", "counter", "Alarms that people were told of.", |f| f.total),
    ("annunciated_10_minutes", "gauge", "Alarms within the last ten minutes.", |f| f.last_10_minutes),
    ("annunciated_hour", "gauge", "Alarms within the last hour.", |f| f.last_hour),
    ("annunciated_day", "gauge", "Alarms within the last day.", |f| f.last_day),
    ("peak_10_minutes", "gauge", "The most alarms within ten minutes of the last day.", |f| f.peak),
    ("flooded_seconds", "gauge", "How much of the last day lay in floods.", |f| f.flooded.as_secs()),
    ("standing", "gauge", "Alarms that are active and not silent.", |f| f.standing as u64),
    ("unacknowledged", "gauge", "Alarms to be acknowledged.", |f| f.unacknowledged as u64),
    ("shelved", "gauge", "Alarms on the shelf.", |f| f.shelved as u64),
    ("suppressed", "gauge", "Alarms suppressed by design.", |f| f.suppressed as u64),
    ("out_of_service", "gauge", "Alarms out of service.", |f| f.out_of_service as u64),
    ("chattering", "gauge", "Alarms that chatter.", |f| f.chattering as u64),
    ("journal_dropped_total", "counter", "Events that the journal has lost.", |f| f.journal_dropped),
];

/// The figures in Prometheus' text form (0.0.4).
#[must_use]
pub(in crate::web) fn flood_metrics(figures: &AlarmFigures) -> String {
    let mut out = String::new();
    for (name, kind, meaning, value) in METRICS {
        // Writing into memory cannot fail.
        let _ = writeln!(
            out,
            "# HELP iogate_alarms_{name} {meaning}\n# TYPE iogate_alarms_{name} {kind}\niogate_alarms_{name} {}",
            value(figures)
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_a_line_that_prometheus_reads() {
        let figures = AlarmFigures { total: 12, standing: 3, ..AlarmFigures::default() };
        let text = flood_metrics(&figures);
        for line in [
            "# TYPE iogate_alarms_standing gauge",
            "iogate_alarms_standing 3",
            "iogate_alarms_annunciated_total 12",
        ] {
            assert!(text.lines().any(|got| got == line), "{line} is missing in:\n{text}");
        }
        assert_eq!(text.lines().count(), METRICS.len() * 3);
    }
}
