//! The cost of a poll set on one HTTP connection, before anything runs.
//!
//! Pure, from the same planner as the running driver. How fast a device answers is an assumption, so what
//! does not fit is a warning and no error. Absent: writes and identification.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Plan;
use super::planner::jobs;

/// How long a request and its answer are assumed to take: small web servers in field devices serve a page in
/// some tens of milliseconds.
pub const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(30);

/// How full a connection should be at most by polls alone: writes need the rest.
pub const COMFORTABLE: f64 = 0.9;

/// What the polls of one connection cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// Requests per second of all polls with a period.
    pub requests_per_second: f64,
    /// How long one request is assumed to take, with the pause behind it.
    pub each: Duration,
    /// The part of the connection's time that these take; above 1 they do not fit.
    pub share: f64,
    /// By device, how many requests, and their part of the time.
    pub devices: Vec<(Arc<str>, usize, f64)>,
    /// What would fit, when this does not; or fits hardly.
    pub suggestion: Option<String>,
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, rate) = (100.0 * self.share, self.requests_per_second);
        let assumed = self.each.as_millis();
        write!(
            f,
            "{percent:.1} % of the connection's time at {assumed} ms each, {rate:.1} requests per second"
        )
    }
}

impl Plan {
    /// What the channel's polls will cost.
    #[must_use]
    pub fn budget(&self) -> Budget {
        let each = ASSUMED_ROUND_TRIP + self.config.pause.0;
        let cost = each.as_secs_f64();
        let mut devices: Vec<(Arc<str>, usize, f64)> =
            self.devices.iter().map(|device| (Arc::clone(&device.name), 0, 0.0)).collect();
        let mut rate = 0.0;
        for job in jobs(self) {
            let own = if job.period.is_zero() { 0.0 } else { 1.0 / job.period.as_secs_f64() };
            rate += own;
            let (_, requests, share) = &mut devices[job.device];
            *requests += 1;
            *share += own * cost;
        }
        let share = rate * cost;
        let suggestion = (share > COMFORTABLE).then(|| {
            let factor = (share / COMFORTABLE * 10.0).ceil() / 10.0;
            format!(
                "multiply the poll periods by {factor:.1}; points with the same request and period share one"
            )
        });
        Budget { requests_per_second: rate, each, share, devices, suggestion }
    }
}
