//! Watchdogs of devices on the line: fed ahead of everything else, armed again when they were not fed in time, disarmed
//! at the stop.
//!
//! Arming itself is a stage of the `survey`. Invariants: nothing is armed or fed while the arbiter is silent; whenever
//! a device may have fallen to its own safe state, its outputs are told to be lost and so are written again.

use std::time::Instant;

use super::{Opener, Owner};
use crate::driver::modbus::watchdog::{Guard, Turn};
use crate::driver::modbus::wire::ExchangeError;

impl<O: Opener> Owner<O> {
    /// A unit that answers and whose watchdog is to be armed now, before anything is written to it.
    pub(super) fn unarmed(&self, now: Instant) -> Option<usize> {
        let guards = self.guards.iter().enumerate();
        let unarmed = guards.filter(|(_, guard)| guard.as_ref().is_some_and(|guard| !guard.is_armed()));
        unarmed.map(|(device, _)| device).find(|device| {
            self.health.is_polled(*device) && self.surveys[*device].due().is_some_and(|due| due <= now)
        })
    }

    /// The unit that is to be fed now, or when the next one is.
    pub(super) fn next_feed(&mut self, now: Instant) -> Result<usize, Option<Instant>> {
        let alive = self.is_arbiter_alive(now);
        let (mut due, mut held) = (None::<Instant>, false);
        for device in 0..self.guards.len() {
            let Some(guard) = &self.guards[device] else { continue };
            let moment = match guard.turn(now, alive) {
                Turn::Feed => return Ok(device),
                Turn::At(moment) => moment,
                Turn::Held(moment) => {
                    held = true;
                    moment
                }
                Turn::Late => {
                    self.lapsed(device, now);
                    now
                }
                Turn::None => continue,
            };
            due = Some(due.map_or(moment, |due| due.min(moment)));
        }
        if held && !std::mem::replace(&mut self.starving, true) {
            tracing::error!(
                channel = %self.plan.name,
                "control gives no sign of life: watchdogs of devices are not fed until it does"
            );
        } else if alive && std::mem::take(&mut self.starving) {
            tracing::info!(channel = %self.plan.name, "control lives again");
        }
        Err(due)
    }

    /// Whether whoever decides on the outputs lives.
    pub(super) fn is_arbiter_alive(&self, now: Instant) -> bool {
        self.context.writes.heartbeat.is_alive(now)
    }

    /// Feeds a unit's watchdog once.
    pub(super) async fn feed(&mut self, device: usize) {
        let (plan, terms) = (self.plan(), self.terms(device));
        let next = self.guards[device].as_ref().map(Guard::next);
        let feeds = plan.devices[device].watchdog.as_ref().map(|watchdog| &watchdog.feed);
        let Some(ask) = feeds.zip(next).and_then(|(feeds, next)| feeds.get(next)) else { return };
        let begun = self.context.clock.mono();
        let result = self.exchange(device, ask, terms).await;
        let now = self.context.clock.mono();
        let Some(guard) = &mut self.guards[device] else { return };
        match result {
            Ok(_) => {
                if !guard.fed(begun, now) {
                    self.lapsed(device, now);
                }
                if self.unfed.remove(&device) {
                    let name = &self.plan.devices[device].name;
                    tracing::info!(channel = %self.plan.name, device = %name, "the device takes its feed again");
                }
            }
            Err(ExchangeError::Down(reason)) => {
                if self.fruitless > 1 {
                    self.lost(&reason);
                }
            }
            Err(error) => {
                guard.missed(now);
                if self.unfed.insert(device) {
                    let name = &self.plan.devices[device].name;
                    tracing::warn!(
                        channel = %self.plan.name, device = %name, reason = %error, "the device's watchdog could not be fed"
                    );
                }
            }
        }
    }

    /// A watchdog was not fed in time: the device may have dropped its outputs.
    fn lapsed(&mut self, device: usize, now: Instant) {
        let name = &self.plan.devices[device].name;
        tracing::warn!(
            channel = %self.plan.name, device = %name,
            "the device's watchdog was not fed in time: it is armed again, and outputs count as lost"
        );
        self.lose_guard(device);
        self.surveys[device].arm_again(&self.original.devices[device], now);
        self.device_stats(device).link.lapse();
    }

    /// The writes that arm a watchdog have been made.
    pub(super) fn armed(&mut self, device: usize, now: Instant) {
        let news = self.guards[device].as_mut().is_some_and(|guard| guard.arm(now));
        if news {
            let name = &self.plan.devices[device].name;
            tracing::info!(channel = %self.plan.name, device = %name, "the device's watchdog is armed");
            // What was written before may have met a device that had fallen to its own safe state.
            self.device_stats(device).link.lapse();
        }
    }

    /// Whether a unit's watchdog is armed is not known any more.
    pub(super) fn lose_guard(&mut self, device: usize) {
        if let Some(guard) = &mut self.guards[device] {
            guard.lose();
        }
    }

    /// On a new connection behind which the device may have begun anew: armed watchdogs are armed again.
    pub(super) fn arm_all_again(&mut self, now: Instant) {
        for device in 0..self.guards.len() {
            if self.guards[device].as_ref().is_some_and(Guard::is_armed) {
                self.surveys[device].arm_again(&self.original.devices[device], now);
            }
        }
    }

    /// At the stop: disarms what can be disarmed, where the outputs were left safe.
    pub(super) async fn disarm(&mut self) {
        let plan = self.plan();
        let safe = self.context.writes.heartbeat.is_left_safe();
        for (index, device) in plan.devices.iter().enumerate() {
            let armed = self.guards[index].as_ref().is_some_and(Guard::is_armed);
            let Some(watchdog) =
                device.watchdog.as_ref().filter(|watchdog| armed && !watchdog.disarm.is_empty())
            else {
                continue;
            };
            let (channel, device) = (&plan.name, &device.name);
            if !safe {
                tracing::warn!(%channel, %device, "outputs were not left safe: the device's watchdog stays armed");
                continue;
            }
            for ask in &watchdog.disarm {
                let terms = self.terms(index);
                if let Err(reason) = self.exchange(index, ask, terms).await {
                    tracing::warn!(%channel, %device, %reason, "the device's watchdog could not be disarmed");
                    break;
                }
            }
        }
    }
}
