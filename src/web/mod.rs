//! The local web page and its API (docs/api.md): live values by topic, devices, alarms, commands, MQTT clients.
//!
//! Everything the page needs is in the binary. One task prepares each live event once for all open pages,
//! and it sleeps while none is open. Absent on purpose: users and TLS, knowledge of rules, publishing or
//! configuration files; what is needed of them comes in through [`Context`].
//! Invariant: nothing here blocks a channel, and no text from a device or a topic is ever HTML.

mod alarms;
mod api;
mod app;
mod assets;
mod audit;
mod body;
mod bridges;
mod command;
pub mod config;
mod events;
mod export;
mod guard;
mod hub;
mod journal;
mod meter;
mod mqtt;
mod server;
mod view;

use std::sync::Arc;

use tokio::sync::watch;

use crate::broker::Broker;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::command::Commander;
use crate::driver::ChannelStats;
use crate::model::{
    AlarmJournal, AlarmOperator, AlarmOverview, AlarmStatus, AuditReader, NotifierTally, Stamp, Topic,
};

pub use config::Config;
pub use server::serve;
pub use view::{BridgeCounts, BridgeView, BrokerView, GapView};

/// What the page shows and acts on.
#[derive(Clone)]
pub struct Context {
    /// The root of every topic.
    pub site: Topic,
    /// The program's version.
    pub version: &'static str,
    /// When the gateway started.
    pub started: Stamp,
    /// The clocks.
    pub clock: Clock,
    /// Where values come from.
    pub bus: Arc<Bus>,
    /// The counters of every channel, in the order of the configuration.
    pub channels: Vec<Arc<ChannelStats>>,
    /// Where commands go.
    pub commander: Commander,
    /// Every alarm as it stands now, in the order of the configuration.
    pub alarms: Arc<dyn Fn() -> Vec<AlarmStatus> + Send + Sync>,
    /// Where people's requests on alarms go.
    pub alarm_operator: AlarmOperator,
    /// Where the journal of the alarms is read.
    pub alarm_journal: AlarmJournal,
    /// Where the audit log is read.
    pub audit: AuditReader,
    /// How many records the audit log has lost.
    pub audit_dropped: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// What is known of all alarms together.
    pub alarm_overview: Arc<dyn Fn() -> AlarmOverview + Send + Sync>,
    /// What those who tell people of alarms have counted.
    pub notifiers: Arc<dyn Fn() -> Vec<NotifierTally> + Send + Sync>,
    /// Changes whenever an alarm does; the number itself means nothing.
    pub alarm_changes: watch::Receiver<u64>,
    /// What the embedded broker counts.
    pub broker: Arc<dyn Fn() -> BrokerView + Send + Sync>,
    /// Every bridge as it stands now, in the order of the configuration. May wait for the disk.
    pub bridges: Arc<dyn Fn() -> Vec<BridgeView> + Send + Sync>,
    /// The broker itself, for its clients and retained messages.
    pub mqtt: Broker,
    /// Whether the gateway has started everything it has to.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
}
