//! The page of a broker that runs alone: no points, no channels, no alarms, only MQTT clients.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use super::broker_view;
use crate::broker::Broker;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::command::Commander;
use crate::model::{AlarmRefusal, PointTable, Topic};
use crate::web;

/// What such a page is called, where a gateway shows its site.
const NAME: &str = "broker";

/// What the page of `broker`, which listens on `mqtt`, is given.
#[must_use]
pub fn page_of(broker: &Broker, mqtt: SocketAddr, clock: &Clock) -> web::Context {
    let points = Arc::new(PointTable::new(Vec::new()));
    let seen = broker.clone();
    #[allow(clippy::expect_used, reason = "a plain word is a topic")]
    let site = Topic::new(NAME).expect("a topic");
    web::Context {
        site,
        version: env!("CARGO_PKG_VERSION"),
        started: clock.stamp(),
        clock: clock.clone(),
        bus: Bus::new(Arc::clone(&points), Vec::new()),
        channels: Vec::new(),
        commander: Commander::new(points, Vec::new(), clock.clone()),
        alarms: Arc::new(Vec::new),
        alarm_operator: Arc::new(|_| Box::pin(async { Err(AlarmRefusal::Unknown("alarm".into())) })),
        alarm_journal: Arc::new(|_| Ok(Vec::new())),
        audit: Arc::new(|_| Err("a broker alone commands nothing".into())),
        audit_dropped: Arc::new(|| 0),
        alarm_overview: Arc::new(Default::default),
        notifiers: Arc::new(Vec::new),
        // No alarm ever changes: its sender is gone, which the page takes for silence.
        alarm_changes: watch::channel(0).1,
        bridges: Arc::new(Vec::new),
        mqtt: broker.clone(),
        broker: Arc::new(move || broker_view(&seen, mqtt)),
        ready: Arc::new(|| true),
    }
}
