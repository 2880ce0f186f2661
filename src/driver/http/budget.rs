//! The cost of a poll set on one HTTP connection, before anything runs, from the same planner as the running driver.

use std::time::Duration;

use super::Plan;
use super::planner::jobs;
use crate::driver::budget::Budget;

/// How long a request and its answer are assumed to take: small web servers in field devices serve a page in
/// some tens of milliseconds.
const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(30);

impl Plan {
    /// What the channel's polls will cost.
    #[must_use]
    pub fn budget(&self) -> Budget {
        let each = ASSUMED_ROUND_TRIP + self.config.pause.0;
        let polls = jobs(self).into_iter().map(|job| (job.device, job.period));
        let sharing = "points with the same request and period share one";
        Budget::new("connection", each, self.devices.len(), polls, sharing)
    }
}
