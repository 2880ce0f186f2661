//! The cost of a poll set on one SNMP agent, before anything runs, from the same planner as the running driver.

use std::time::Duration;

use super::Plan;
use super::planner::jobs;
use crate::driver::budget::Budget;

/// How long a request and its answer are assumed to take: agents in field devices answer in some tens of
/// milliseconds.
const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(20);

impl Plan {
    /// What the channel's polls will cost.
    #[must_use]
    pub fn budget(&self) -> Budget {
        let polls = jobs(self).into_iter().map(|job| (job.device, job.period));
        let sharing = "points with one period share requests";
        Budget::new("agent", ASSUMED_ROUND_TRIP, self.devices.len(), polls, sharing)
    }
}
