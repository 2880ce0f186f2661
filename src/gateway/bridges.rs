//! The bridges of a gateway: made before anything is published, so that they miss nothing.

use super::StartError;
use super::parts::Parts;
use crate::bridge::{Bridge, BridgeHandle};
use crate::broker::Broker;
use crate::clock::Clock;
use crate::config::Plan;

/// Starts every bridge of the plan.
pub(super) fn start(
    parts: &Parts,
    plan: &Plan,
    broker: &Broker,
    clock: &Clock,
) -> Result<Vec<BridgeHandle>, StartError> {
    let state = super::state_directory();
    let made: Result<Vec<Bridge>, _> = plan
        .bridges
        .iter()
        .map(|(name, config)| {
            Bridge::open(name, config.clone(), &plan.site, broker, clock.clone(), state.as_deref())
        })
        .collect();
    let bridges = made?;
    let handles = bridges.iter().map(Bridge::handle).collect();
    for bridge in bridges {
        parts.spawn("bridge", |stop| bridge.run(stop));
    }
    Ok(handles)
}
