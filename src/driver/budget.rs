//! The cost of a poll set on one host that answers one request at a time, before anything runs.
//!
//! Pure; the planner of the driver says what is asked. How fast a host answers is an assumption, so what does not
//! fit is a warning and no error. Absent: writes and identification; serial lines, whose speed is known and whose
//! budget is Modbus's own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::plan::{Description, Overload};
use crate::model::units::count;

/// How full a host's time should be at most by polls alone: writes need the rest.
const COMFORTABLE: f64 = 0.9;

/// What the polls of one host cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// Requests per second of all polls with a period.
    pub requests_per_second: f64,
    /// How long one request is assumed to take, with the pause behind it.
    pub each: Duration,
    /// The part of the time in which a request is under way; above 1 they do not fit.
    pub share: f64,
    /// By device, how many requests, and their part of the time.
    pub devices: Vec<(usize, f64)>,
    /// What would fit, when this does not; or fits hardly.
    pub suggestion: Option<String>,
    /// Whose time it is: `connection`.
    pub whose: &'static str,
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, rate, whose) = (100.0 * self.share, self.requests_per_second, self.whose);
        let assumed = self.each.as_millis();
        write!(f, "{percent:.1} % of the {whose}'s time at {assumed} ms each, {rate:.1} requests per second")
    }
}

impl Budget {
    /// The cost of these polls, each by its device's place among `devices` and its period; `sharing` says which
    /// points come with one request.
    #[must_use]
    pub fn new(
        whose: &'static str,
        each: Duration,
        devices: usize,
        polls: impl Iterator<Item = (usize, Duration)>,
        sharing: &str,
    ) -> Self {
        let cost = each.as_secs_f64();
        let mut devices: Vec<(usize, f64)> = vec![(0, 0.0); devices];
        let mut rate = 0.0;
        for (device, period) in polls {
            let own = if period.is_zero() { 0.0 } else { 1.0 / period.as_secs_f64() };
            rate += own;
            let (requests, share) = &mut devices[device];
            *requests += 1;
            *share += own * cost;
        }
        let share = rate * cost;
        let suggestion = (share > COMFORTABLE).then(|| {
            let factor = (share / COMFORTABLE * 10.0).ceil() / 10.0;
            format!("multiply the poll periods by {factor:.1}; {sharing}")
        });
        Self { requests_per_second: rate, each, share, devices, suggestion, whose }
    }

    /// What speaks against the polls of this channel: more than all of the time.
    #[must_use]
    pub fn overload(&self, name: &str) -> Option<Overload> {
        (self.share > 1.0).then(|| Overload {
            fatal: false,
            message: format!(
                "the polls of `{name}` cannot be served unless it answers faster than assumed: they need {self}"
            ),
            help: self.suggestion.clone(),
        })
    }

    /// The channel in words; `devices` are the names with the numbers of their points.
    pub fn description<'a>(
        &self,
        line: String,
        devices: impl Iterator<Item = (&'a Arc<str>, usize)>,
    ) -> Description {
        let devices = devices.zip(&self.devices).map(|((name, points), (requests, share))| {
            let (points, requests) = (count(points, "point"), count(*requests, "request"));
            (Arc::clone(name), format!("{points}, {requests}, {:.1} %", share * 100.0))
        });
        Description { line, load: Some(self.to_string()), devices: devices.collect() }
    }
}
