//! Which points come with which request: all points of a device with equal request and period share one.
//!
//! Pure. Invariant: every readable point is in exactly one job.

use std::time::Duration;

use super::{Plan, Request};

/// One request of the poll set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The device's place in the plan.
    pub device: usize,
    /// What is asked.
    pub request: Request,
    /// How often.
    pub period: Duration,
    /// The places of the points that its answer holds.
    pub points: Vec<usize>,
}

/// The requests of a plan, in the order of their first points.
#[must_use]
pub fn jobs(plan: &Plan) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for (device, this) in plan.devices.iter().enumerate() {
        let first = jobs.len();
        for (place, point) in this.points.iter().enumerate().filter(|(_, point)| point.access.readable()) {
            let Some(request) = &point.wiring.request else { continue };
            let known = jobs[first..].iter_mut();
            match known.into_iter().find(|job| job.period == point.poll && job.request == *request) {
                Some(job) => job.points.push(place),
                None => jobs.push(Job {
                    device,
                    request: request.clone(),
                    period: point.poll,
                    points: vec![place],
                }),
            }
        }
    }
    jobs
}
