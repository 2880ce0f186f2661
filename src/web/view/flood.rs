//! What is known of all alarms together, as the API and the metrics tell it.

use std::fmt::Write as _;

use serde::Serialize;

use super::rfc3339;
use crate::model::{AlarmFigures, AlarmGroup, AlarmOverview, FLOOD, NotifierTally};

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
    notifiers: Vec<NotifierTally>,
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
    pub(in crate::web) fn new(overview: &'a AlarmOverview, notifiers: Vec<NotifierTally>) -> Self {
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
            notifiers,
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

/// Name, kind and meaning of a metric, and how it is read.
type NotifierMetric = (&'static str, &'static str, &'static str, fn(&NotifierTally) -> u64);

const NOTIFIER_METRICS: [NotifierMetric; 5] = [
    ("sent_total", "counter", "Messages that were sent.", |n| n.sent),
    ("digests_total", "counter", "Messages that told of several events.", |n| n.digests),
    ("failed_total", "counter", "Attempts that failed.", |n| n.failed),
    ("dropped_total", "counter", "Events that nobody was told of.", |n| n.dropped),
    ("waiting", "gauge", "Events that wait to be told.", |n| n.waiting),
];

/// What the notifiers have counted in Prometheus' text form (0.0.4).
#[must_use]
pub(in crate::web) fn notifier_metrics(notifiers: &[NotifierTally]) -> String {
    let mut out = String::new();
    for (name, kind, meaning, value) in NOTIFIER_METRICS.iter().filter(|_| !notifiers.is_empty()) {
        let _ =
            writeln!(out, "# HELP iogate_notifier_{name} {meaning}\n# TYPE iogate_notifier_{name} {kind}");
        for notifier in notifiers {
            // The name of a notifier has no quotes: the check of the configuration sees to that.
            let _ =
                writeln!(out, "iogate_notifier_{name}{{notifier=\"{}\"}} {}", notifier.name, value(notifier));
        }
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
        let duty = NotifierTally { name: "duty".into(), sent: 7, ..NotifierTally::default() };
        let text = notifier_metrics(&[duty]);
        assert!(text.contains("\niogate_notifier_sent_total{notifier=\"duty\"} 7\n"), "{text}");
        assert_eq!(notifier_metrics(&[]), "", "no lines about nobody");
    }
}
