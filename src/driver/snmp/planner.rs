//! Which points come with which request: all points of a device with one period are asked for together.
//!
//! Pure. Invariant: every point that is read is in exactly one job, and no job has more points than may be asked for at once.

use std::time::Duration;

use super::Plan;

/// One request of the poll set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The device's place in the plan.
    pub device: usize,
    /// How often.
    pub period: Duration,
    /// The places of the points that are asked for.
    pub points: Vec<usize>,
}

/// The requests of a plan, in the order of their first points.
#[must_use]
pub fn jobs(plan: &Plan) -> Vec<Job> {
    let most = usize::from(plan.config.max_objects).max(1);
    let mut jobs: Vec<Job> = Vec::new();
    for (device, this) in plan.devices.iter().enumerate() {
        let first = jobs.len();
        let readable = this.points.iter().enumerate().filter(|(_, point)| point.access.readable());
        for (place, point) in readable {
            let fits = |job: &&mut Job| job.period == point.poll && job.points.len() < most;
            match jobs[first..].iter_mut().find(fits) {
                Some(job) => job.points.push(place),
                None => jobs.push(Job { device, period: point.poll, points: vec![place] }),
            }
        }
    }
    jobs
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::driver::snmp::{Device, Point, PointConfig, Session};
    use crate::model::{Access, Conversion, PointId};

    /// A plan of one device with a point for each period.
    pub(crate) fn plan(config: &str, periods_ms: &[u64]) -> Plan {
        let point = |(place, ms): (usize, &u64)| {
            let written =
                PointConfig { oid: Some(format!("1.3.6.1.4.1.99.1.{place}")), ..PointConfig::default() };
            Point {
                id: PointId(u32::try_from(place).unwrap()),
                wiring: written.wiring(&Default::default(), Access::R).unwrap(),
                conversion: Conversion::default(),
                poll: Duration::from_millis(*ms),
                access: Access::R,
                tolerance: 0.0,
            }
        };
        let points = periods_ms.iter().enumerate().map(point).collect();
        let config = serde_yaml::from_str(config).unwrap();
        Plan {
            name: "c".into(),
            config,
            devices: vec![Device { name: "d".into(), session: Session::default(), points }],
        }
    }

    #[test]
    fn points_of_one_period_share_requests_up_to_the_limit() {
        let plan = plan("{ address: 192.0.2.1, max-objects: 2 }", &[1000, 500, 1000, 1000, 500, 1000, 1000]);
        let jobs: Vec<_> = jobs(&plan).into_iter().map(|job| job.points).collect();
        assert_eq!(jobs, [vec![0, 2], vec![1, 4], vec![3, 5], vec![6]]);
    }

    #[test]
    fn the_budget_counts_each_request() {
        let budget = plan("{ address: 192.0.2.1 }", &[100, 100, 200]).budget();
        assert!(
            (budget.requests_per_second - 15.0).abs() < 1e-9 && (budget.share - 0.3).abs() < 1e-9,
            "{budget}"
        );
        assert_eq!(budget.suggestion, None);
        let busy = plan("{ address: 192.0.2.1, max-objects: 1 }", &[50, 50, 50]).budget();
        assert!(busy.suggestion.unwrap().contains("by 1.4"));
    }

    proptest! {
        #[test]
        fn every_point_is_in_one_job(periods in prop::collection::vec(1u64..4, 0..40), most in 1u16..9) {
            let plan = plan(&format!("{{ address: 192.0.2.1, max-objects: {most} }}"), &periods);
            let jobs = jobs(&plan);
            let mut seen: Vec<usize> = jobs.iter().flat_map(|job| job.points.clone()).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..periods.len()).collect::<Vec<_>>());
            prop_assert!(jobs.iter().all(|job| job.points.len() <= usize::from(most)));
        }
    }
}
