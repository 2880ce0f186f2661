//! Who holds which output and why, as the API and the metrics show it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::command::arbiter::Slot;
use crate::command::status::OutputStatus;
use crate::model::{ControlClass, PointTable, Value};

/// One output.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::web) struct OutputView<'a> {
    id: u32,
    name: &'a str,
    /// What it shall be; null when nobody has said, or when it is to be left as it is.
    target: Option<&'a Value>,
    /// What it is known to be.
    known: Option<&'a Value>,
    /// Whether the target is still to be written or confirmed.
    due: bool,
    setpoint: Option<&'a Value>,
    safe: Option<&'a Value>,
    /// The one that counts first.
    holders: Vec<HolderView<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HolderView<'a> {
    class: ControlClass,
    owner: &'a str,
    value: Option<&'a Value>,
    seconds_left: Option<f64>,
    reason: Option<&'a str>,
}

impl<'a> OutputView<'a> {
    /// The view of one output.
    #[must_use]
    pub(in crate::web) fn new(status: &'a OutputStatus, points: &'a PointTable) -> Self {
        let point = points.get(status.point);
        let holder = |(slot, left): &'a (Slot, Option<Duration>)| HolderView {
            class: slot.class,
            owner: &slot.owner,
            value: slot.value.as_ref(),
            seconds_left: left.map(|left| left.as_secs_f64()),
            reason: slot.reason.as_deref(),
        };
        Self {
            id: status.point.0,
            name: &point.name,
            target: status.target.as_ref(),
            known: status.known.as_ref(),
            due: status.due,
            setpoint: status.setpoint.as_ref(),
            safe: point.safe.as_ref(),
            holders: status.slots.iter().map(holder).collect(),
        }
    }
}

/// Outputs, interlocks and the outcomes of commands in Prometheus' text form (0.0.4).
#[must_use]
pub(in crate::web) fn output_metrics(
    outputs: &[OutputStatus],
    interlocks: &[(Arc<str>, Option<Arc<str>>)],
    outcomes: &[(&'static str, u64)],
    points: &PointTable,
) -> String {
    let mut out = String::from(
        "# HELP iogate_output_holder Which class holds the output; the sample is there while somebody does.\n# TYPE iogate_output_holder gauge\n",
    );
    let escape = |name: &str| name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    // Writing to a String cannot fail.
    for (name, (slot, _)) in
        outputs.iter().filter_map(|own| Some((&points.get(own.point).name, own.slots.first()?)))
    {
        let (name, class) = (escape(name), slot.class);
        let _ = writeln!(out, "iogate_output_holder{{point=\"{name}\",class=\"{class}\"}} 1");
    }
    out.push_str("# HELP iogate_output_due Whether the output is still to be written or confirmed.\n# TYPE iogate_output_due gauge\n");
    for own in outputs {
        let name = escape(&points.get(own.point).name);
        let _ = writeln!(out, "iogate_output_due{{point=\"{name}\"}} {}", u8::from(own.due));
    }
    out.push_str("# HELP iogate_interlock_tripped Whether the interlock stands against its outputs.\n# TYPE iogate_interlock_tripped gauge\n");
    for (name, tripped) in interlocks {
        let name = escape(name);
        let _ =
            writeln!(out, "iogate_interlock_tripped{{interlock=\"{name}\"}} {}", u8::from(tripped.is_some()));
    }
    out.push_str("# HELP iogate_commands_total Commands that have ended, by outcome.\n# TYPE iogate_commands_total counter\n");
    for (outcome, count) in outcomes {
        let _ = writeln!(out, "iogate_commands_total{{outcome=\"{outcome}\"}} {count}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PointId;
    use crate::model::point::tests::point;

    #[test]
    fn a_holder_is_told_with_why_and_for_how_long() {
        let points = PointTable::new(vec![point("fan\"")]);
        let slot = Slot {
            class: ControlClass::Manual,
            priority: 8,
            owner: "web page from 192.0.2.1".into(),
            value: Some(Value::Bool(true)),
            until: None,
            reason: None,
        };
        let status = OutputStatus {
            point: PointId(0),
            target: Some(Value::Bool(true)),
            known: None,
            due: true,
            slots: vec![(slot, Some(Duration::from_millis(1500)))],
            setpoint: None,
        };
        let json = serde_json::to_value(OutputView::new(&status, &points)).unwrap();
        assert_eq!(json["holders"][0]["class"], "manual");
        assert_eq!(json["holders"][0]["secondsLeft"], 1.5);
        let text = output_metrics(
            &[status],
            &[("air".into(), Some("why".into())), ("oil".into(), None)],
            &[("verified", 3)],
            &points,
        );
        for line in [
            "iogate_output_holder{point=\"test/fan\\\"\",class=\"manual\"} 1\n",
            "iogate_output_due{point=\"test/fan\\\"\"} 1\n",
            "iogate_interlock_tripped{interlock=\"air\"} 1\n",
            "iogate_interlock_tripped{interlock=\"oil\"} 0\n",
            "iogate_commands_total{outcome=\"verified\"} 3\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
