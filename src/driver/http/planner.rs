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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::http::{Device, DeviceConfig, HttpConfig, Point, PointConfig};
    use crate::model::{Access, Conversion, PointId};

    fn plan(points: &[(&str, Access, u64)]) -> Plan {
        let point = |(yaml, access, poll): &(&str, Access, u64)| {
            let (written, text): (PointConfig, _) = crate::driver::text::config::tests::sections(yaml);
            let wiring = written
                .wiring(&text, &DeviceConfig::default(), access.readable(), access.writable())
                .unwrap();
            let (conversion, poll) = (Conversion::default(), Duration::from_millis(*poll));
            Point { id: PointId(0), wiring, conversion, poll, access: *access, tolerance: 0.0 }
        };
        let points: Vec<Point> = points.iter().map(point).collect();
        let device = |name: &str| Device {
            name: name.into(),
            model: name.into(),
            config: DeviceConfig::default(),
            points: points.clone(),
        };
        let config: HttpConfig = serde_yaml::from_str("{ address: 192.0.2.1, pause: 20ms }").unwrap();
        Plan { name: "c".into(), config, devices: vec![device("a"), device("b")] }
    }

    #[test]
    fn equal_requests_of_a_device_with_one_period_are_one() {
        let plan = plan(&[
            ("{ digital-in: 0 }", Access::R, 1000),
            ("{ analog-in: 1 }", Access::R, 1000),
            ("{ digital-out: 3 }", Access::Rw, 1000),
            ("{ digital-in: 1 }", Access::R, 500),
            ("{ set: { get: \"/x?{value}\" } }", Access::W, 1000),
            ("{ post: /q, body: a }", Access::R, 1000),
            ("{ post: /q, body: b }", Access::R, 1000),
        ]);
        let jobs = jobs(&plan);
        let first: Vec<_> = jobs.iter().filter(|job| job.device == 0).map(|job| job.points.clone()).collect();
        assert_eq!(first, [vec![0, 2], vec![1], vec![3], vec![5], vec![6]]);
        assert_eq!(jobs.len(), 10, "another device has its own");
    }

    #[test]
    fn the_budget_counts_each_request_with_its_pause() {
        let budget =
            plan(&[("{ get: /a }", Access::R, 200), ("{ get: /a, as: text }", Access::R, 200)]).budget();
        assert!(
            (budget.requests_per_second - 10.0).abs() < 1e-9 && (budget.share - 0.5).abs() < 1e-9,
            "{budget}"
        );
        assert_eq!(budget.suggestion, None);
        let busy = plan(&[("{ get: /a }", Access::R, 50)]).budget();
        assert!(busy.suggestion.unwrap().contains("by 2.3"));
    }
}
