//! Opening the line or connection of a plan, and losing it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Owner;
use crate::driver::LinkState;
use crate::driver::modbus::config::{LineConfig, Parity};
use crate::driver::modbus::wire::Link;
use crate::driver::modbus::{Plan, Transport};
use crate::model::{Outcome, Reason};
use crate::transport::{BoxStream, OpenError, Pace, serial, tcp};

/// Where streams come from: the plan's transport, or a script in tests.
pub(in crate::driver::modbus) trait Opener: Send {
    /// Opens the line or connection once.
    fn open(&mut self) -> impl Future<Output = Result<(BoxStream, Pace), OpenError>> + Send;
}

/// Opens what the plan names.
pub(in crate::driver::modbus) struct PlanOpener {
    plan: Arc<Plan>,
}

impl PlanOpener {
    pub(in crate::driver::modbus) const fn new(plan: Arc<Plan>) -> Self {
        Self { plan }
    }
}

impl<O: Opener> Owner<O> {
    /// Opens the line, once; waits before and reports after, so that it can simply be called again.
    pub(super) async fn open(&mut self) {
        self.link = None;
        if self.fruitless > 0 {
            let pause = self.backoff.pause(fastrand::f64());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.context.shutdown.cancelled() => return,
            }
        }
        let opened = tokio::select! {
            opened = self.opener.open() => opened,
            () = self.context.shutdown.cancelled() => return,
        };
        self.fruitless = self.fruitless.saturating_add(1);
        match opened {
            Ok((stream, pace)) => {
                self.link = Some(Link::new(stream, pace, self.framing, self.timing, self.keeps_line()));
                self.opened();
            }
            Err(error) => self.lost(&error.to_string()),
        }
    }

    fn opened(&mut self) {
        let before = self.context.stats.link.set(LinkState::Online);
        if before == LinkState::Unknown {
            tracing::info!(channel = %self.plan.name, "channel open");
            return;
        }
        self.context.stats.reconnects.fetch_add(1, Ordering::Relaxed);
        let now = self.context.clock.mono();
        self.arm_all_again(now);
        if before == LinkState::Offline {
            self.health.reset(now);
            for device in 0..self.plan.devices.len() {
                self.rest_or_run(device, now);
            }
        }
    }

    /// The line is gone and could not be opened again: nothing on it can be known.
    pub(super) fn lost(&mut self, reason: &str) {
        self.link = None;
        if !std::mem::replace(&mut self.reported_down, true) {
            tracing::warn!(channel = %self.plan.name, reason, "channel down");
        }
        if self.context.stats.link.set(LinkState::Offline) != LinkState::Offline {
            for device in 0..self.plan.devices.len() {
                self.lose_guard(device);
                self.context.stats.devices[device].link.set(LinkState::Offline);
                self.publish_device_bad(device, Reason::NoConnection);
            }
        }
        self.abandon_confirmations(reason);
        let now = self.context.clock.mono();
        while let Some(job) = self.context.writes.pop(now) {
            job.finish(Outcome::Failed(format!("the channel is down: {reason}")));
        }
    }
}

impl Opener for PlanOpener {
    async fn open(&mut self) -> Result<(BoxStream, Pace), OpenError> {
        match &self.plan.transport {
            Transport::Tcp(config) | Transport::RtuOverTcp(config) => {
                let failed = |reason| OpenError::Connect { address: config.address.clone(), reason };
                let (host, port) = config.endpoint().map_err(failed)?;
                let stream = tcp::connect(&host, port, config.connect_timeout.0).await?;
                Ok((Box::new(stream), Pace::Runtime))
            }
            Transport::Rtu(line) | Transport::Ascii(line) => {
                Ok((Box::new(serial::open(&settings(line))?), Pace::exact()))
            }
        }
    }
}

fn settings(line: &LineConfig) -> serial::Settings {
    serial::Settings {
        port: line.port.clone(),
        baud: line.baud,
        parity: match line.parity {
            Parity::None => serial::Parity::None,
            Parity::Even => serial::Parity::Even,
            Parity::Odd => serial::Parity::Odd,
        },
        data_bits: line.data_bits,
        stop_bits: line.stop_bits,
        rs485: line.rs485.map(|rs485| serial::Rs485 {
            rts_high_while_sending: !rs485.rts_low_while_sending,
            delay_before_send: rs485.delay_before_send.0,
            delay_after_send: rs485.delay_after_send.0,
        }),
    }
}
