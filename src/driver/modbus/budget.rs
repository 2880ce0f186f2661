//! The bus budget: how much of a line's time a poll set will take, before anything runs.
//!
//! Pure, from the same planner and the same timing as the running driver. A transaction costs the request,
//! the device's turnaround, the answer, and the silence after it. Absent: writes, probes and retries, for
//! which the rest of the line is left.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::planner::{Block, groups};
use super::wire::{Ask, Framing, Timing};
use super::{Plan, Transport};

/// How long a unit on a serial line is assumed to take from the end of a request to the begin of its
/// answer, at least: it must wait for the 3.5 characters that end the request, and then think.
pub const ASSUMED_TURNAROUND: Duration = Duration::from_millis(3);

/// How long a request and its answer are assumed to take on a TCP connection.
pub const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(2);

/// How full a line should be at most by polls alone: writes and probes need the rest.
pub const COMFORTABLE: f64 = 0.9;

/// The speeds that are proposed when a line is too slow.
const SPEEDS: [u32; 6] = [9_600, 19_200, 38_400, 57_600, 115_200, 230_400];

/// What the polls of one channel cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// Requests per second of all polls with a period.
    pub transactions_per_second: f64,
    /// The part of the line's time that these take; above 1 they do not fit.
    pub line_time_share: f64,
    /// Every request of the poll set.
    pub requests: Vec<RequestCost>,
    /// What would fit, when this does not; or fits hardly.
    pub suggestion: Option<String>,
}

/// What one request costs.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestCost {
    /// The device's name.
    pub device: Arc<str>,
    /// The table's word.
    pub table: &'static str,
    /// First wire address.
    pub start: u16,
    /// Registers or bits.
    pub count: u16,
    /// How many points it reads.
    pub points: usize,
    /// How often; zero: as often as the line allows, which counts for nothing here.
    pub period: Duration,
    /// How long the line is taken by it.
    pub line_time: Duration,
}

impl RequestCost {
    /// The part of the line's time that it takes.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.period.is_zero() { 0.0 } else { self.line_time.as_secs_f64() / self.period.as_secs_f64() }
    }
}

impl Budget {
    /// Whether the polls can keep their periods.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.line_time_share <= 1.0
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, rate) = (100.0 * self.line_time_share, self.transactions_per_second);
        write!(f, "{percent:.1} % of the line's time, {rate:.1} requests per second")
    }
}

impl Plan {
    /// What the channel's polls, and feeding the watchdogs of its devices, will cost.
    #[must_use]
    pub fn budget(&self) -> Budget {
        if self.devices.iter().any(|device| device.points.iter().any(|point| !point.is_bound())) {
            let bound = self.with_example_chains();
            return bound.budget_of_bound();
        }
        self.budget_of_bound()
    }

    fn budget_of_bound(&self) -> Budget {
        let requests = costs(self);
        let line_time_share = requests.iter().map(RequestCost::share).sum();
        let periodic = requests.iter().filter(|request| !request.period.is_zero());
        let transactions_per_second = periodic.map(|request| 1.0 / request.period.as_secs_f64()).sum();
        let suggestion = (line_time_share > COMFORTABLE).then(|| suggest(self, &requests, line_time_share));
        Budget { transactions_per_second, line_time_share, requests, suggestion }
    }
}

fn costs(plan: &Plan) -> Vec<RequestCost> {
    let timing = Timing::of(&plan.transport);
    let blocks = groups(plan).into_iter().flat_map(|group| group.blocks());
    let cost = |block: Block| RequestCost {
        device: Arc::clone(&plan.devices[block.device].name),
        table: block.table.word(),
        start: block.start,
        count: block.count,
        points: block.members.len(),
        period: block.period,
        line_time: line_time(&plan.transport, &timing, &block.ask()) + plan.devices[block.device].pause,
    };
    blocks.map(cost).chain(feeds(plan, &plan.transport, &timing)).collect()
}

/// What feeding the watchdogs of devices costs.
fn feeds<'a>(
    plan: &'a Plan,
    transport: &'a Transport,
    timing: &'a Timing,
) -> impl Iterator<Item = RequestCost> + 'a {
    let fed = plan.devices.iter().filter_map(|device| Some((device, device.watchdog.as_ref()?)));
    fed.filter_map(move |(device, watchdog)| {
        let ask = watchdog.feed.iter().max_by_key(|ask| ask.pdu_len())?;
        let (table, start, count) = ask.written()?;
        Some(RequestCost {
            device: Arc::clone(&device.name),
            table: table.word(),
            start,
            count,
            points: 0,
            period: watchdog.every,
            line_time: line_time(transport, timing, ask) + device.pause,
        })
    })
}

fn line_time(transport: &Transport, timing: &Timing, ask: &Ask) -> Duration {
    let framing = match transport {
        Transport::Tcp(_) | Transport::RtuOverTcp(_) => return ASSUMED_ROUND_TRIP + timing.gap(),
        Transport::Rtu(_) => Framing::Rtu,
        Transport::Ascii(_) => Framing::Ascii,
    };
    let characters = timing.answer(framing, ask.pdu_len()) + timing.answer(framing, ask.answer_pdu_len());
    characters + timing.silence.max(ASSUMED_TURNAROUND) + timing.gap()
}

/// What would bring the load down to [`COMFORTABLE`].
fn suggest(plan: &Plan, requests: &[RequestCost], share: f64) -> String {
    let factor = share / COMFORTABLE;
    let mut text = format!("multiply the poll periods by {:.1}", (factor * 10.0).ceil() / 10.0);
    if let Some(worst) = requests.iter().max_by(|a, b| a.share().total_cmp(&b.share())) {
        let (device, percent) = (&worst.device, 100.0 * worst.share());
        let at = format!(
            "{} {} … {}",
            worst.table,
            worst.start,
            u32::from(worst.start) + u32::from(worst.count) - 1
        );
        let ms = (worst.period.as_secs_f64() * factor * 1000.0).ceil();
        text.push_str(&format!(
            "; the most, {percent:.0} %, is taken by {device} ({at}): poll it each {ms} ms"
        ));
    }
    if let Some(baud) = faster(plan) {
        text.push_str(&format!("; or set the line and its devices to {baud} baud"));
    }
    text
}

/// The lowest usual speed at which everything would fit well.
fn faster(plan: &Plan) -> Option<u32> {
    let (Transport::Rtu(line) | Transport::Ascii(line)) = &plan.transport else { return None };
    let fits = |baud: &u32| {
        let line = super::LineConfig { baud: *baud, ..line.clone() };
        let transport = match &plan.transport {
            Transport::Ascii(_) => Transport::Ascii(line),
            _ => Transport::Rtu(line),
        };
        let timing = Timing::of(&transport);
        let blocks = groups(plan).into_iter().flat_map(|group| group.blocks());
        let periodic = blocks.filter(|block| !block.period.is_zero());
        let share = |block: Block| {
            line_time(&transport, &timing, &block.ask()).as_secs_f64() / block.period.as_secs_f64()
        };
        let feeds = feeds(plan, &transport, &timing).map(|feed| feed.share()).sum::<f64>();
        feeds + periodic.map(share).sum::<f64>() <= COMFORTABLE
    };
    SPEEDS.into_iter().filter(|baud| *baud > line.baud).find(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::modbus::fixtures::{device, point, rtu_plan, tcp_plan};
    use crate::driver::modbus::register::Table;

    fn ten_registers(period_ms: u64) -> Plan {
        let mut unit = device("meter", 1);
        unit.points = (0..10).map(|address| point(Table::Holding, address, "u16")).collect();
        for point in &mut unit.points {
            point.poll = Duration::from_millis(period_ms);
        }
        rtu_plan(vec![unit])
    }

    #[test]
    fn a_request_costs_its_characters_and_silences() {
        let budget = ten_registers(1000).budget();
        assert_eq!(budget.requests.len(), 1);
        // 8 characters there and 25 back of 1.0417 ms each, two silences of 3.646 ms.
        assert_eq!(budget.requests[0].line_time.as_micros(), 41_666);
        assert!((budget.line_time_share - 0.0417).abs() < 0.0001, "{budget}");
        assert!(budget.fits() && budget.suggestion.is_none());
        assert_eq!(budget.to_string(), "4.2 % of the line's time, 1.0 requests per second");
    }

    #[test]
    fn what_does_not_fit_comes_with_what_would() {
        let budget = ten_registers(20).budget();
        assert!(!budget.fits());
        let suggestion = budget.suggestion.unwrap();
        assert!(suggestion.contains("by 2.4") && suggestion.contains("38400 baud"), "{suggestion}");
        assert!(suggestion.contains("meter (holding 0 … 9): poll it each 47 ms"), "{suggestion}");
        assert!(ten_registers(47).budget().line_time_share <= COMFORTABLE);
        let mut faster = ten_registers(20);
        faster.transport = Transport::Rtu(serde_json::from_str(r#"{"port": "p", "baud": 38400}"#).unwrap());
        assert!(faster.budget().line_time_share <= COMFORTABLE);
    }

    #[test]
    fn feeding_a_watchdog_takes_line_time_too() {
        let mut plan = ten_registers(1000);
        let before = plan.budget();
        let feed = vec![Ask::WriteRegister { address: 3, word: 1 }];
        let every = Duration::from_millis(500);
        plan.devices[0].watchdog = Some(crate::driver::modbus::watchdog::Watchdog {
            arm: Vec::new(),
            feed,
            every,
            disarm: Vec::new(),
        });
        let budget = plan.budget();
        assert!((budget.transactions_per_second - before.transactions_per_second - 2.0).abs() < 1e-9);
        // 8 characters each way and two silences, twice a second.
        assert!((budget.line_time_share - before.line_time_share - 0.0479).abs() < 0.0002, "{budget}");
    }

    #[test]
    fn polls_without_a_period_take_what_is_left() {
        let mut unit = device("fast", 1);
        unit.points.push(point(Table::Coil, 0, "bool"));
        unit.points[0].poll = Duration::ZERO;
        let budget = tcp_plan(vec![unit]).budget();
        assert_eq!((budget.transactions_per_second, budget.line_time_share), (0.0, 0.0));
        assert_eq!(budget.requests[0].line_time, ASSUMED_ROUND_TRIP);
    }
}
