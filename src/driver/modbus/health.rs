//! Which units answer, and when those that do not are tried again.
//!
//! Pure; the caller says what time it is. A unit that fails [`FAILURES`] times in a row is offline: its
//! polls rest and it is probed with one cheap request. Invariant: while any unit of the line answers,
//! probes of the others together take at most [`SHARE`] of its time, however many they are; what a probe
//! has cost in excess is paid for by waiting. Among the silent ones the one that has waited longest, in
//! terms of its own growing pause, is next, so that one just lost is tried sooner than one long dead.

use std::time::{Duration, Instant};

/// So many failures in a row take a unit offline.
pub const FAILURES: u32 = 3;

/// The part of a line's time that probes may take while others need it. The limit that is promised is 5 %;
/// the rest is for the first failures of a unit, before it counts as dead.
pub const SHARE: f64 = 0.04;

/// The part when nobody answers and so nobody is held up.
const IDLE_SHARE: f64 = 0.5;

/// The pause after the first failed probe; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Where the doubling ends.
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// No unit rests longer than this while the line has time for it.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// A unit that is lost again this soon pays for its failures like a probe, or one that answers probes and
/// nothing else would never stop taking the line.
const FLAPPING: Duration = Duration::from_secs(30);

/// Every so many probes use the unit's whole timeout, in case it has become slower than it was.
const PATIENT_PROBE: u32 = 12;

/// What the patience of a probe is measured from when a unit's latency is known.
const LATENCY_MARGIN: Duration = Duration::from_millis(20);

/// What is known of one unit.
#[derive(Debug, Clone)]
struct Unit {
    /// Has anything that can be probed.
    watched: bool,
    state: State,
    failures: u32,
    /// Between a request's end and its answer's begin, at worst.
    latency: Option<Duration>,
    online_since: Option<Instant>,
    last_probe: Option<Instant>,
    pause: Duration,
    probes: u32,
    /// Until when writes to a silent unit rest that cannot be probed.
    writes_rest_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Online,
    Offline,
}

/// What changed for a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// It answers now and did not before.
    Online,
    /// It has just been given up.
    Offline,
}

/// When to probe whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// This unit, now.
    Now(usize),
    /// Nobody before this moment.
    At(Instant),
    /// Everybody answers.
    None,
}

/// The units of one line.
#[derive(Debug)]
pub struct Health {
    units: Vec<Unit>,
    /// No probe before this moment.
    free_at: Instant,
}

impl Health {
    /// Units of which nothing is known yet; `watched` says of each whether it can be probed at all.
    #[must_use]
    pub fn new(watched: impl IntoIterator<Item = bool>, now: Instant) -> Self {
        let units = watched.into_iter().map(Unit::new).collect();
        Self { units, free_at: now }
    }

    /// The line has been opened anew: everybody is tried at once.
    pub fn reset(&mut self, now: Instant) {
        for unit in &mut self.units {
            let latency = unit.latency;
            *unit = Unit { latency, ..Unit::new(unit.watched) };
        }
        self.free_at = now;
    }

    /// Whether the unit's polls run. One that cannot be probed is polled whatever it does.
    #[must_use]
    pub fn is_polled(&self, unit: usize) -> bool {
        let unit = &self.units[unit];
        !unit.watched || unit.state == State::Online
    }

    /// How long the polls of a unit that cannot be probed rest after one that failed and took the line for
    /// `cost`: what a probe would have to pay. `None` for units that answer or can be probed.
    #[must_use]
    pub fn rest(&self, unit: usize, cost: Duration) -> Option<Duration> {
        let unit = &self.units[unit];
        (!unit.watched && unit.failures >= FAILURES).then(|| cost.mul_f64(1.0 / SHARE - 1.0))
    }

    /// Whether a write to the unit has any prospect and the line has time for it. A unit that nobody has asked
    /// yet gets the chance; a silent one that cannot be probed gets it when its last failure is paid for.
    #[must_use]
    pub fn may_write(&self, unit: usize, now: Instant) -> bool {
        let unit = &self.units[unit];
        match unit.watched {
            true => unit.state != State::Offline,
            false => unit.writes_rest_until.is_none_or(|until| until <= now),
        }
    }

    /// Who is to be probed.
    #[must_use]
    pub fn next_probe(&self, now: Instant) -> Probe {
        let silent = || self.units.iter().enumerate().filter(|(_, unit)| unit.is_silent());
        let Some(soonest) = silent().map(|(_, unit)| unit.ready_at(self.free_at)).min() else {
            return Probe::None;
        };
        let at = soonest.max(self.free_at);
        if at > now {
            return Probe::At(at);
        }
        let ready = silent().filter(|(_, unit)| unit.ready_at(self.free_at) <= now);
        let longer = |(i, a): &(usize, &Unit), (j, b): &(usize, &Unit)| {
            a.waited(now).total_cmp(&b.waited(now)).then(j.cmp(i))
        };
        ready.max_by(longer).map_or(Probe::None, |(index, _)| Probe::Now(index))
    }

    /// How long a probe of the unit waits for an answer, `timeout` being what it is granted otherwise.
    #[must_use]
    pub fn probe_timeout(&self, unit: usize, timeout: Duration) -> Duration {
        let this = &self.units[unit];
        let known = this.latency.or_else(|| self.units.iter().filter_map(|other| other.latency).max());
        match known {
            Some(latency) if !(this.probes + 1).is_multiple_of(PATIENT_PROBE) => {
                timeout.min(2 * latency + LATENCY_MARGIN)
            }
            _ => timeout,
        }
    }

    /// The unit has answered, `latency` after the request's end.
    pub fn answered(&mut self, unit: usize, latency: Duration, now: Instant) -> Change {
        let this = &mut self.units[unit];
        // The worst is forgotten slowly, so that one slow answer does not count for ever.
        this.latency = Some(this.latency.map_or(latency, |worst| latency.max(worst.mul_f64(0.995))));
        this.failures = 0;
        this.writes_rest_until = None;
        if this.state == State::Online {
            return Change::None;
        }
        this.state = State::Online;
        this.online_since = Some(now);
        (this.pause, this.probes) = (FIRST_PAUSE, 0);
        Change::Online
    }

    /// The unit has not answered, which took the line for `cost`.
    pub fn failed(&mut self, unit: usize, cost: Duration, now: Instant) -> Change {
        let anybody = self.units.iter().any(|other| other.state == State::Online);
        let this = &mut self.units[unit];
        this.failures = this.failures.saturating_add(1);
        if !this.watched && this.failures >= FAILURES {
            this.writes_rest_until = Some(now + cost.mul_f64(1.0 / SHARE - 1.0));
        }
        let flapping = this.online_since.is_some_and(|since| now.saturating_duration_since(since) < FLAPPING);
        if this.state == State::Online {
            if this.failures >= FAILURES {
                this.state = State::Offline;
                this.last_probe = Some(now);
                self.charge(if flapping { cost * FAILURES } else { cost }, anybody, now);
                return Change::Offline;
            }
            return Change::None;
        }
        if this.last_probe.is_some() {
            this.pause = (this.pause * 2).min(LAST_PAUSE);
        }
        this.last_probe = Some(now);
        this.probes = this.probes.wrapping_add(1);
        let change = if this.state == State::Unknown { Change::Offline } else { Change::None };
        this.state = State::Offline;
        self.charge(cost, anybody, now);
        change
    }

    fn charge(&mut self, cost: Duration, anybody: bool, now: Instant) {
        let share = match anybody {
            true => SHARE,
            // Until everybody has been asked once, the one that answers may be the next.
            false if self.units.iter().any(|unit| unit.watched && unit.state == State::Unknown) => 1.0,
            false => IDLE_SHARE,
        };
        // The cost itself has already passed.
        self.free_at = now + cost.mul_f64(1.0 / share - 1.0);
    }
}

impl Unit {
    const fn new(watched: bool) -> Self {
        Self {
            watched,
            state: State::Unknown,
            failures: 0,
            latency: None,
            online_since: None,
            last_probe: None,
            pause: FIRST_PAUSE,
            probes: 0,
            writes_rest_until: None,
        }
    }

    fn is_silent(&self) -> bool {
        self.watched && self.state != State::Online
    }

    fn ready_at(&self, otherwise: Instant) -> Instant {
        self.last_probe.map_or(otherwise, |last| last + self.pause.min(LONGEST_REST))
    }

    fn waited(&self, now: Instant) -> f64 {
        let since = |last| now.saturating_duration_since(last).as_secs_f64();
        self.last_probe.map_or(f64::INFINITY, |last| since(last) / self.pause.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Runs a line on which the units of `alive` answer after 5 ms and probes of the others cost `cost`
    /// more than their patience; returns the part of the time that the others took, and how often each was
    /// probed, from `from` on.
    fn simulate(
        count: usize,
        alive: &[usize],
        cost: Duration,
        from: Duration,
        span: Duration,
    ) -> (f64, Vec<u32>) {
        let start = Instant::now();
        let mut health = Health::new(vec![true; count], start);
        let (mut now, mut lost, mut probes) = (start, Duration::ZERO, vec![0; count]);
        while now < start + span {
            match health.next_probe(now) {
                Probe::Now(unit) if alive.contains(&unit) => {
                    now += 10 * MS;
                    health.answered(unit, 5 * MS, now);
                }
                Probe::Now(unit) => {
                    let took = health.probe_timeout(unit, 500 * MS) + cost;
                    now += took;
                    health.failed(unit, took, now);
                    if now > start + from {
                        lost += took;
                        probes[unit] += 1;
                    }
                }
                // The live ones use the line meanwhile.
                Probe::At(at) => now = at,
                Probe::None => now += 10 * MS,
            }
        }
        (lost.as_secs_f64() / (span - from).as_secs_f64(), probes)
    }

    #[test]
    fn any_number_of_dead_units_takes_at_most_a_twentieth_of_the_line() {
        for dead in [1, 5, 29, 246] {
            let (part, probes) = simulate(dead + 1, &[0], 20 * MS, Duration::ZERO, 300_000 * MS);
            assert!(part <= 0.05, "{dead} dead take {part}");
            let (least, most) = (probes[1..].iter().min().unwrap(), probes[1..].iter().max().unwrap());
            assert!(dead > 200 || *least >= 1, "{probes:?}");
            assert!(most - least <= 3.max(least / 2), "everyone gets a turn: {probes:?}");
        }
    }

    #[test]
    fn a_unit_just_lost_is_tried_before_those_long_dead() {
        let start = Instant::now();
        let mut health = Health::new([true; 4], start);
        let mut now = start;
        for unit in [0, 1, 2, 3] {
            health.answered(unit, MS, now);
        }
        now += FLAPPING;
        for unit in [1, 2] {
            for _ in 0..8 {
                now += 100 * MS;
                health.failed(unit, 100 * MS, now);
            }
        }
        assert!(health.is_polled(3) && !health.is_polled(1));
        for _ in 0..FAILURES {
            assert!(health.is_polled(3));
            now += 100 * MS;
            health.failed(3, 100 * MS, now);
        }
        assert!(!health.may_write(3, now));
        let Probe::At(next) = health.next_probe(now) else { panic!("the last failure has to be paid for") };
        assert_eq!(health.next_probe(next), Probe::Now(3));
        assert!(next - now <= Duration::from_secs(3), "{:?}", next - now);
        assert_eq!(health.answered(3, MS, next), Change::Online);
        assert!(health.is_polled(3));
    }

    #[test]
    fn when_nobody_answers_everybody_is_tried_each_second() {
        let start = Instant::now();
        let mut health = Health::new([true, true], start);
        let mut now = start;
        for _ in 0..50 {
            match health.next_probe(now) {
                Probe::Now(unit) => {
                    now += 50 * MS;
                    health.failed(unit, 50 * MS, now);
                }
                Probe::At(at) => {
                    assert!(at - now <= LONGEST_REST);
                    now = at;
                }
                Probe::None => panic!("somebody is silent"),
            }
        }
        health.reset(now);
        assert!(matches!(health.next_probe(now), Probe::Now(_)));
    }

    #[test]
    fn probes_of_a_unit_whose_latency_is_known_are_short_but_for_every_twelfth() {
        let now = Instant::now();
        let mut health = Health::new([true], now);
        assert_eq!(health.probe_timeout(0, 500 * MS), 500 * MS);
        health.answered(0, 10 * MS, now);
        for _ in 0..FAILURES {
            health.failed(0, MS, now);
        }
        let mut patience = Vec::new();
        for _ in 0..12 {
            patience.push(health.probe_timeout(0, 500 * MS).as_millis());
            health.failed(0, MS, now);
        }
        assert_eq!(patience[..11], [40; 11]);
        assert_eq!(patience[11], 500);
    }

    #[test]
    fn units_without_readable_points_are_not_probed() {
        let now = Instant::now();
        let health = Health::new([false], now);
        assert_eq!(health.next_probe(now), Probe::None);
        assert!(health.may_write(0, now));
    }

    #[test]
    fn a_unit_that_cannot_be_probed_pays_by_resting() {
        let now = Instant::now();
        let mut health = Health::new([false], now);
        for _ in 0..FAILURES {
            assert_eq!(health.rest(0, 100 * MS), None);
            health.failed(0, 100 * MS, now);
        }
        assert_eq!(health.rest(0, 100 * MS), Some(2400 * MS));
        assert!(health.is_polled(0) && !health.may_write(0, now));
        assert!(health.may_write(0, now + 2400 * MS));
        health.answered(0, MS, now);
        assert!(health.may_write(0, now));
        assert_eq!(health.rest(0, 100 * MS), None);
    }

    proptest! {
        #[test]
        fn the_share_holds_whatever_a_probe_costs(dead in 1usize..60, cost_ms in 0u64..2000) {
            let span = Duration::from_secs(1200);
            let (part, _) = simulate(dead + 1, &[0], Duration::from_millis(cost_ms), 60_000 * MS, span);
            prop_assert!(part <= 0.05, "{part}");
        }
    }
}
