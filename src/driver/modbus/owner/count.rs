//! The counters of a channel: what is known of each, and their totals on disk.
//!
//! Beside each total stands what the register held last, so that what the device counted while the gateway was off
//! is not lost. Invariant: a raw number that means no measurement counts nothing.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::driver::modbus::counter::{Count, Counting, Meter};
use crate::driver::modbus::{Plan, Point};
use crate::driver::totals::Totals;
use crate::model::{Conversion, PointId, Quality, Value};

/// How often totals that have changed are written: what a power cut costs, against the wear of a card. What the
/// device itself keeps is not lost.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// Behind the name of a point, what its register held last; no name has a blank in it.
const LAST: &str = " last";

/// The counters of one channel.
pub(super) struct Counters {
    meters: HashMap<PointId, Meter>,
    totals: Totals,
    /// When the totals are saved next; `None` where no point has one.
    due: Option<Instant>,
    unsaved: bool,
}

impl Counters {
    /// The counters of a plan, as they were left.
    pub(super) fn open(plan: &Plan, state: Option<&Path>, now: Instant) -> Self {
        let points = plan.devices.iter().flat_map(|device| &device.points);
        let counted: Vec<(&Point, &Count)> =
            points.filter_map(|point| Some((point, point.rules.count.as_ref()?))).collect();
        let kept: Vec<(&Point, &Count)> =
            counted.into_iter().filter(|(_, count)| count.what == Counting::Total).collect();
        if kept.is_empty() {
            return Self { meters: HashMap::new(), totals: Totals::default(), due: None, unsaved: false };
        }
        let names: Vec<String> = kept
            .iter()
            .flat_map(|(_, count)| [count.name.to_string(), format!("{}{LAST}", count.name)])
            .collect();
        let totals = Totals::open(state, &plan.name, names.iter().map(String::as_str));
        let whole = |number: f64| (number >= 0.0 && number < u64::MAX as f64).then_some(number as u64);
        let meters = kept.iter().filter_map(|(point, count)| {
            let total = totals.get(&count.name).and_then(whole)?;
            let last = totals.get(&format!("{}{LAST}", count.name)).and_then(whole)?;
            Some((point.id, Meter { last: Some((last, None)), total }))
        });
        let meters = meters.collect();
        Self { meters, totals, due: Some(now + SAVE_EVERY), unsaved: false }
    }

    /// What a counter's point shows after a reading; `None` while that cannot be told.
    pub(super) fn take(
        &mut self,
        point: &Point,
        count: &Count,
        raw: &Value,
        at: Instant,
    ) -> Option<(Option<Value>, Quality)> {
        let own = &point.conversion;
        let plain = Conversion { sentinels: own.sentinels.clone(), ..Conversion::default() };
        let number = match plain.apply(raw) {
            (Some(Value::Int(number)), _) => u64::try_from(number).ok()?,
            (Some(Value::UInt(number)), _) => number,
            (_, quality) => return Some((None, quality)),
        };
        let meter = self.meters.entry(point.id).or_default();
        let shown = count.take(meter, number, at);
        if count.what == Counting::Total {
            self.totals.set(&count.name, meter.total as f64);
            self.totals.set(&format!("{}{LAST}", count.name), number as f64);
        }
        // A total may pass by a number that means something else in the register.
        let converted = Conversion { sentinels: Vec::new(), ..own.clone() };
        Some(converted.apply(&shown?))
    }

    /// When the totals are to be saved.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Saves the totals when that is due.
    pub(super) async fn save_when_due(&mut self, channel: &str, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.due = Some(now + SAVE_EVERY);
            self.save(channel).await;
        }
    }

    /// Saves what has changed; that it cannot be saved is told once.
    pub(super) async fn save(&mut self, channel: &str) {
        match self.totals.save().await {
            Ok(()) => self.unsaved = false,
            Err(error) if !std::mem::replace(&mut self.unsaved, true) => {
                tracing::error!(channel, %error, "the totals of counters cannot be saved");
            }
            Err(_) => {}
        }
    }
}
