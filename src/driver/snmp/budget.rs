//! The cost of a poll set on one SNMP agent, before anything runs.
//!
//! Pure, from the same planner as the running driver. How fast an agent answers is an assumption, so what does
//! not fit is a warning and no error.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Plan;
use super::planner::jobs;

/// How long a request and its answer are assumed to take: agents in field devices answer in some tens of
/// milliseconds.
pub const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(20);

/// How full an agent's time should be at most.
pub const COMFORTABLE: f64 = 0.9;

/// What the polls of one agent cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// Requests per second of all polls with a period.
    pub requests_per_second: f64,
    /// The part of the time in which a request is under way; above 1 they do not fit.
    pub share: f64,
    /// By device, how many requests, and their part of the time.
    pub devices: Vec<(Arc<str>, usize, f64)>,
    /// What would fit, when this does not; or fits hardly.
    pub suggestion: Option<String>,
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, rate) = (100.0 * self.share, self.requests_per_second);
        let assumed = ASSUMED_ROUND_TRIP.as_millis();
        write!(f, "{percent:.1} % of the agent's time at {assumed} ms each, {rate:.1} requests per second")
    }
}

impl Plan {
    /// What the channel's polls will cost.
    #[must_use]
    pub fn budget(&self) -> Budget {
        let cost = ASSUMED_ROUND_TRIP.as_secs_f64();
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
            format!("multiply the poll periods by {factor:.1}; points with one period share requests")
        });
        Budget { requests_per_second: rate, share, devices, suggestion }
    }
}
