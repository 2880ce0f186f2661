//! Drivers: each speaks to field devices over one kind of channel and turns their answers into readings.
//!
//! A channel (bus, port, chip) has exactly one owner task, so nothing on a line can overlap. This file
//! holds what every driver is given and is; `entry` what it says of itself, `plan` what others see of its channels,
//! `queue` and `stats` what each has. `schedule`, `precedence` and `reach` decide what an owner does next, for all
//! that are polled; `address` and `budget` are shared by those that speak to a host. The list of all drivers is `config::drivers`: nothing here knows it.

pub mod address;
pub mod ascii;
pub mod budget;
pub mod entry;
pub mod gpio;
pub mod heartbeat;
pub mod http;
pub mod i2c;
pub mod iio;
pub mod local;
pub mod messages;
pub mod modbus;
pub mod mqtt;
pub mod onewire;
pub mod plan;
pub mod precedence;
pub mod queue;
pub mod reach;
pub mod schedule;
pub mod snmp;
pub mod spi;
pub mod stats;
pub mod system;
pub mod text;
pub mod totals;
pub mod virtual_points;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::bus::Bus;
use crate::clock::Clock;

pub use entry::Driver;
pub use messages::Messages;
pub use plan::{DriverPlan, Plan};
pub use precedence::Precedence;
pub use queue::{Reply, WriteJob, WriteQueue};
pub use reach::{Outage, Reach};
pub use stats::{ChannelStats, DeviceStats, LinkState};

/// What a channel's owner task is given.
#[derive(Clone)]
pub struct ChannelContext {
    /// Where readings go.
    pub bus: Arc<Bus>,
    /// Where commands for this channel's points wait.
    pub writes: Arc<WriteQueue>,
    /// What it counts.
    pub stats: Arc<ChannelStats>,
    /// The clocks.
    pub clock: Clock,
    /// What the gateway does for drivers that need more.
    pub services: Services,
    /// Tells it to finish the exchange under way and return.
    pub shutdown: CancellationToken,
}

impl ChannelContext {
    /// Rests until this moment, until a write has come, or until the channel is to stop. Without a moment only the
    /// others count. May end early.
    pub async fn rest(&self, until: Option<Instant>) {
        let sleep = async {
            match until {
                Some(moment) => tokio::time::sleep_until(moment.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            () = self.writes.pushed() => {}
            () = self.shutdown.cancelled() => {}
        }
    }
}

#[cfg(test)]
impl ChannelContext {
    /// The context of a channel with these devices and fresh counters; nothing is kept, and no message comes.
    pub(crate) fn plain(bus: Arc<Bus>, channel: &str, devices: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self {
            bus,
            writes: Arc::new(WriteQueue::default()),
            stats: Arc::new(ChannelStats::new(channel.into(), devices)),
            clock: Clock::system(),
            services: Services::default(),
            shutdown: CancellationToken::new(),
        }
    }
}

/// What a gateway does for those drivers that need it. [`Default`] is none of it.
#[derive(Clone, Default)]
pub struct Services {
    /// Where totals are kept over restarts; `None` keeps nothing.
    pub state: Option<PathBuf>,
    /// The messages of the embedded broker that the channel listens to; `None` where it listens to none.
    pub messages: Option<Arc<dyn Messages>>,
}

/// A future that owns everything it needs.
pub type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One channel, ready to run: an unchanging plan. It can be run again after a defect ended it.
pub trait Channel: Send + Sync {
    /// Runs until `context.shutdown`; opens, polls, writes, reconnects. Never returns on device trouble.
    fn run(self: Arc<Self>, context: ChannelContext) -> BoxFuture;
}
