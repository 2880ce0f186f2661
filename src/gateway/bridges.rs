//! The bridges of a gateway: made before anything is published, so that they miss nothing, and run once somebody listens
//! to what they bring.

use super::StartError;
use super::parts::Parts;
use crate::bridge::{Bridge, BridgeHandle};
use crate::broker::Broker;
use crate::clock::Clock;
use crate::config::Plan;
use crate::web;

/// Makes every bridge of the plan. What is published from here on waits in it.
pub(super) fn open(plan: &Plan, broker: &Broker, clock: &Clock) -> Result<Vec<Bridge>, StartError> {
    let state = super::state_directory();
    let made: Result<Vec<Bridge>, _> = plan
        .bridges
        .iter()
        .map(|(name, config)| {
            Bridge::open(name, config.clone(), &plan.site, broker, clock.clone(), state.as_deref())
        })
        .collect();
    Ok(made?)
}

/// Lets the bridges connect.
pub(super) fn run(parts: &Parts, bridges: Vec<Bridge>) {
    for bridge in bridges {
        parts.spawn("bridge", |stop| bridge.run(stop));
    }
}

/// A bridge as the page shows it. May wait for the disk.
pub(super) fn view(bridge: &BridgeHandle) -> web::BridgeView {
    let now = bridge.snapshot();
    let counts = web::BridgeCounts {
        taken_in: now.taken_in,
        left_out: now.left_out,
        acknowledged: now.acknowledged,
        acknowledged_bytes: now.acknowledged_bytes,
        resent: now.resent,
        gaps: now.gaps,
        missing: now.missing,
        dead_letters: now.dead_letters,
        accepted: now.accepted,
        refused: now.refused,
        connections: now.connections,
    };
    web::BridgeView {
        name: bridge.name().to_owned(),
        url: bridge.url().to_owned(),
        state: now.state.word(),
        since: now.since_ms,
        last_error: now.last_error,
        warning: now.warning,
        stream: now.stream.to_string(),
        queued: now.queued,
        queued_bytes: now.queued_bytes,
        capacity_bytes: bridge.capacity(),
        oldest_seconds: now.oldest_s,
        taken_in_per_second: now.taken_in_rate,
        acknowledged_per_second: now.acknowledged_rate,
        counts,
        last_gap: now.last_gap.map(|gap| web::GapView {
            from: gap.from,
            to: gap.to,
            count: gap.count,
            why: gap.why.word(),
        }),
    }
}
