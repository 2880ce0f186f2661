//! Tests of the schedule on simulated time.

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// Runs `periods` for `span` on a line that needs `cost` per request; how often each ran, how many turns
/// were missed, and the longest that each waited beyond its due time.
fn simulate(periods: &[Duration], cost: Duration, span: Duration) -> (Vec<u32>, u64) {
    let start = Instant::now();
    let mut schedule = Schedule::default();
    let ids = schedule.add_spread(periods, start);
    let (mut runs, mut missed, mut now) = (vec![0; periods.len()], 0, start);
    while now < start + span {
        match schedule.next(now) {
            Turn::Run(id) => {
                let begun = now;
                now += cost;
                missed += schedule.done(id, begun, now);
                runs[ids.iter().position(|other| *other == id).unwrap()] += 1;
            }
            Turn::Wait(until) => {
                assert!(until > now);
                now = until;
            }
            Turn::Idle => unreachable!("entries are active"),
        }
    }
    (runs, missed)
}

#[test]
fn everyone_runs_in_its_period_while_the_line_has_room() {
    let periods = [10 * MS, 100 * MS, 100 * MS, 1000 * MS];
    let (runs, missed) = simulate(&periods, MS, 10_000 * MS);
    assert_eq!(missed, 0);
    for (count, expected) in runs.iter().zip([1000, 100, 100, 10]) {
        assert!((expected..=expected + 1).contains(count), "{runs:?}");
    }
}

#[test]
fn equal_periods_do_not_come_together() {
    let start = Instant::now();
    let mut schedule = Schedule::default();
    let ids = schedule.add_spread(&[100 * MS; 4], start);
    let mut now = start;
    for id in &ids {
        assert!(matches!(schedule.next(now), Turn::Run(_)), "everyone is read at once at the start");
        schedule.done(*id, now, now);
    }
    let mut dues = Vec::new();
    for _ in 0..4 {
        let Turn::Wait(until) = schedule.next(now) else { panic!("nothing is due yet") };
        dues.push(until - start);
        now = until;
        let Turn::Run(id) = schedule.next(now) else { panic!("due") };
        schedule.done(id, now, now);
    }
    assert_eq!(dues, [25 * MS, 50 * MS, 75 * MS, 100 * MS]);
}

#[test]
fn a_fast_request_that_never_rests_does_not_starve_a_slow_one() {
    let (runs, missed) = simulate(&[2 * MS, 1000 * MS], 30 * MS, 60_000 * MS);
    assert!(runs[1] >= 59, "{runs:?}");
    assert!(runs[0] + runs[1] >= 1999, "the line never rests: {runs:?}");
    assert!(missed > 0);
    let (runs, _) = simulate(&[Duration::ZERO, Duration::ZERO, 1000 * MS], MS, 10_000 * MS);
    assert!(runs[2] >= 9 && runs[0].abs_diff(runs[1]) <= runs[0] / 10, "{runs:?}");
}

#[test]
fn many_slow_requests_do_not_starve_a_fast_one() {
    let mut periods = vec![1000 * MS; 300];
    periods.push(50 * MS);
    let (runs, _) = simulate(&periods, 10 * MS, 60_000 * MS);
    assert!(runs[300] >= 250, "the fast one ran {} times", runs[300]);
    assert!(runs[..300].iter().all(|count| *count >= 10), "{runs:?}");
}

#[test]
fn a_missed_turn_is_made_up_once() {
    let start = Instant::now();
    let mut schedule = Schedule::default();
    let id = schedule.add(100 * MS, start, start);
    assert_eq!(schedule.next(start), Turn::Run(id));
    assert_eq!(schedule.done(id, start, start), 0);
    let late = start + 450 * MS;
    assert_eq!(schedule.next(late), Turn::Run(id));
    assert_eq!(schedule.done(id, late, late), 3);
    assert_eq!(schedule.next(late), Turn::Wait(start + 500 * MS));
    let (begun, ended) = (start + 500 * MS, start + 730 * MS);
    assert_eq!(schedule.done(id, begun, ended), 1);
    assert_eq!(schedule.next(ended), Turn::Run(id), "the turn at 700 ms has come meanwhile");
}

#[test]
fn resting_entries_are_left_out_and_due_when_they_return() {
    let start = Instant::now();
    let mut schedule = Schedule::default();
    let id = schedule.add(100 * MS, start, start);
    schedule.set_active(id, false, start);
    assert_eq!(schedule.next(start + 1000 * MS), Turn::Idle);
    schedule.set_active(id, true, start + 2000 * MS);
    assert_eq!(schedule.next(start + 2000 * MS), Turn::Run(id));
    schedule.remove(id);
    assert_eq!(schedule.next(start), Turn::Idle);
}

proptest! {
    #[test]
    fn nobody_is_ever_forgotten(periods_ms in prop::collection::vec(0u64..2000, 1..20), cost_ms in 1u64..50) {
        let periods: Vec<Duration> = periods_ms.iter().map(|ms| Duration::from_millis(*ms)).collect();
        let (runs, _) = simulate(&periods, Duration::from_millis(cost_ms), Duration::from_secs(30));
        for (count, period) in runs.iter().zip(&periods) {
            // A fair part of the line, or everything that was asked for.
            let wanted = 30.0 / period.as_secs_f64().max(0.001);
            let part = 30_000.0 / cost_ms as f64 / periods.len() as f64;
            prop_assert!(f64::from(*count) >= (wanted.min(part) * 0.5).floor(), "{runs:?} of {periods:?} at {cost_ms}");
        }
    }
}

#[test]
fn an_entry_that_rested_for_months_goes_on_in_its_period() {
    let (mut schedule, start) = (Schedule::default(), Instant::now());
    let period = Duration::from_millis(1);
    let id = schedule.add(period, start, start);
    schedule.set_active(id, false, start);
    let now = start + Duration::from_secs(100 * 86_400);
    schedule.set_active(id, true, now);
    assert_eq!(schedule.next(now), Turn::Run(id));
    schedule.done(id, now, now);
    assert_eq!(schedule.next(now), Turn::Wait(now + period));
}
