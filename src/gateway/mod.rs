//! The composition root: builds every part from a plan, starts them in order and stops them in order.
//!
//! Start: listeners are bound first, so that a port in use stops the start before anything touches a
//! device; then bridges, bus, alarms and publisher; then channels. Stop: commands are refused and outputs brought
//! into their safe states while the channels still run, then everything else ends. Absent: any logic of
//! the parts themselves.

mod alarms;
mod alone;
mod audit;
mod bridges;
mod messages;
mod parts;
pub(crate) mod stale;
mod supervise;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::alarm;
use crate::audit::{Audit, AuditError};
use crate::bridge::{BridgeError, BridgeHandle};
use crate::broker::{Broker, InvalidTopic, ListenError, Listeners, StoreError};
use crate::bus::{Bus, Observer};
use crate::clock::Clock;
use crate::command::Commander;
use crate::config::Plan;
use crate::driver::{ChannelContext, ChannelStats, LinkState, Messages, Services, WriteQueue};
use crate::model::{PointId, PointTable};
use crate::notify::Notifier;
use crate::publish::{Orders, Publisher, Setter};
use crate::web;
pub use alone::page_of;
use parts::Parts;

/// How long outputs may take to reach their safe states at the stop.
pub const SAFE_STATE_PATIENCE: Duration = Duration::from_secs(5);

/// How long the other parts may take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// How often the links of devices are looked at for their availability topics.
const AVAILABILITY_PERIOD: Duration = Duration::from_secs(1);

/// Where systemd says that the service may keep its state.
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

/// How often losses of slow subscribers are told.
const LOSS_PERIOD: Duration = Duration::from_secs(10);

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address is taken or not this machine's.
    #[error("cannot listen on {address} for {what}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What it was for.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// One of the broker's listeners cannot listen.
    #[error("the MQTT broker cannot start")]
    Broker(#[from] ListenError),
    /// The broker cannot use its data directory.
    #[error("the MQTT broker cannot start")]
    Data(#[from] StoreError),
    /// The broker takes a topic for none.
    #[error("a topic cannot be used: {0}")]
    Topic(#[from] InvalidTopic),
    /// The alarms cannot be kept.
    #[error("the alarms cannot start")]
    Alarms(#[from] alarm::store::StoreError),
    /// Commands cannot be audited.
    #[error("the audit log cannot start")]
    Audit(#[from] AuditError),
    /// A bridge cannot be made.
    #[error("a bridge cannot start")]
    Bridge(#[from] BridgeError),
}

/// A running gateway.
pub struct Gateway {
    /// Where the broker listens.
    pub mqtt: SocketAddr,
    /// Where the page is, if it is served.
    pub web: Option<SocketAddr>,
    /// The readings.
    pub bus: Arc<Bus>,
    /// The way to outputs.
    pub commander: Commander,
    /// The broker, for in-process clients.
    pub broker: Broker,
    /// What the channels count.
    pub stats: Vec<Arc<ChannelStats>>,
    /// The alarms.
    pub alarms: Arc<alarm::Engine>,
    /// The audit log, where there is a state directory.
    pub audit: Option<Arc<Audit>>,
    /// Who tells people of alarms.
    pub notifiers: Vec<Arc<Notifier>>,
    /// The links to upstream brokers.
    pub bridges: Vec<BridgeHandle>,
    clock: Clock,
    publisher: Arc<Publisher>,
    /// By channel, what it hears of the broker.
    messages: Vec<Option<Arc<dyn Messages>>>,
    channels: Vec<JoinHandle<()>>,
    channels_stop: CancellationToken,
    parts: Parts,
}

impl Gateway {
    /// Binds, wires and starts everything that the plan describes.
    ///
    /// # Errors
    /// When a listener cannot be bound or a topic cannot be built. Nothing runs then.
    pub async fn start(plan: Plan, clock: Clock) -> Result<Self, StartError> {
        let mqtt_listeners = Listeners::bind(&plan.broker).await?;
        let web_listener = match plan.web.enabled {
            true => Some(bind(plan.web.listen, "the web page").await?),
            false => None,
        };
        let broker = Broker::open(plan.broker.clone())?;
        let parts = Parts::default();
        let bridges = bridges::start(&parts, &plan, &broker, &clock)?;
        let publisher = Arc::new(Publisher::new(&broker, plan.site.clone(), Arc::clone(&plan.points))?);
        // Before the first client is served, so that nothing of what devices say at once is missed.
        let messages = messages::subscribe(&broker, &plan)?;
        let wiring = Wiring::new(&plan);
        let commander = Commander::with_control(
            Arc::clone(&plan.points),
            wiring.queue_by_point.clone(),
            clock.clone(),
            plan.control.clone(),
        );
        let audit = audit::start(&plan, &commander, &broker, &clock)?;
        let (alarm_changed, alarm_changes) = watch::channel(0);
        let notifiers = alarms::notifiers(&plan);
        let alarms = alarms::engine(&plan, &commander, &clock, &publisher, alarm_changed, &notifiers)?;
        // Interlocks before alarms: what an alarm wants of a reading meets what they have made of it.
        let observers: Vec<Arc<dyn Observer>> =
            vec![Arc::new(commander.clone()), alarms.clone(), publisher.clone()];
        let bus = Bus::new(Arc::clone(&plan.points), observers);

        let mut gateway = Self {
            mqtt: mqtt_listeners.address("listen").unwrap_or(plan.broker.listen),
            web: web_listener.as_ref().map(|l| local_address(l, "the web page")).transpose()?,
            bus,
            commander,
            broker,
            stats: wiring.stats.clone(),
            alarms,
            audit,
            notifiers,
            bridges,
            clock: clock.clone(),
            publisher,
            messages,
            channels: Vec::new(),
            channels_stop: CancellationToken::new(),
            parts,
        };
        gateway.start_parts(mqtt_listeners, &clock)?;
        if let Some(listener) = web_listener {
            gateway.start_web(listener, &plan, &clock, alarm_changes);
        }
        gateway.start_channels(&plan, &wiring, &clock);
        gateway.publisher.gateway_availability(true);
        Ok(gateway)
    }

    /// Broker, commands, alarms and the watchers.
    fn start_parts(&self, mqtt: Listeners, clock: &Clock) -> Result<(), StartError> {
        let parts = &self.parts;
        let (broker, commander, alarms) =
            (self.broker.clone(), self.commander.clone(), Arc::clone(&self.alarms));
        parts.spawn("broker", |stop| async move { broker.serve_all(mqtt, stop).await });
        parts.spawn("commands", |stop| async move { commander.run(stop).await });
        parts.spawn("alarms", |stop| async move { alarms.run(stop).await });
        for notifier in &self.notifiers {
            let notifier = Arc::clone(notifier);
            parts.spawn("notifier", |stop| async move { notifier.run(stop).await });
        }
        let sys = self.broker.clone();
        parts.spawn("$SYS", |stop| async move { sys.publish_sys(stop).await });
        let setter = Setter::new(self.broker.clone(), self.commander.clone(), clock.clone());
        let messages = setter.subscribe()?;
        parts.spawn("set topics", |stop| setter.run(messages, stop));
        parts.spawn("stale points", |stop| stale::watch(Arc::clone(&self.bus), clock.clone(), stop));
        let operator = alarms::operator(&self.alarms);
        let orders = Orders::new(self.broker.clone(), self.publisher.site().clone(), operator);
        let messages = orders.subscribe()?;
        parts.spawn("alarm topics", |stop| orders.run(messages, stop));
        let (stats, publisher) = (self.stats.clone(), Arc::clone(&self.publisher));
        let (alarms, commander) = (Arc::clone(&self.alarms), self.commander.clone());
        parts.spawn("availability", |stop| announce_links(stats, publisher, alarms, commander, stop));
        parts.spawn("losses", |stop| tell_losses(self.broker.clone(), stop));
        let (bus, commander, all) = (Arc::clone(&self.bus), self.commander.clone(), parts.clone());
        let alive = move || {
            // Each of these takes a lock that a stuck part would hold.
            let _ = bus.latest(PointId(0));
            let _ = commander.holder(PointId(0));
            all.are_sound()
        };
        parts.spawn("watchdog", |stop| crate::systemd::feed_watchdog(alive, stop));
        Ok(())
    }

    fn start_web(
        &self,
        listener: TcpListener,
        plan: &Plan,
        clock: &Clock,
        alarm_changes: watch::Receiver<u64>,
    ) {
        let (alarms, broker, mqtt) = (Arc::clone(&self.alarms), self.broker.clone(), self.mqtt);
        let bridges = self.bridges.clone();
        let context = web::Context {
            site: plan.site.clone(),
            version: env!("CARGO_PKG_VERSION"),
            started: clock.stamp(),
            clock: clock.clone(),
            bus: Arc::clone(&self.bus),
            channels: self.stats.clone(),
            commander: self.commander.clone(),
            alarm_operator: alarms::operator(&alarms),
            alarm_journal: alarms::journal(&alarms),
            audit: audit::reader(self.audit.as_ref()),
            audit_dropped: audit::dropped(self.audit.as_ref()),
            alarm_overview: alarms::overview(&alarms),
            notifiers: alarms::tallies(&self.notifiers),
            alarms: Arc::new(move || alarms.status()),
            alarm_changes,
            bridges: Arc::new(move || bridges.iter().map(bridges::view).collect()),
            mqtt: broker.clone(),
            broker: Arc::new(move || broker_view(&broker, mqtt)),
            ready: Arc::new(|| true),
        };
        let config = plan.web.clone();
        self.parts.spawn("page", |stop| async move { web::serve(listener, context, &config, stop).await });
    }

    fn start_channels(&mut self, plan: &Plan, wiring: &Wiring, clock: &Clock) {
        let state = state_directory();
        for (index, channel) in plan.channels.iter().enumerate() {
            let context = ChannelContext {
                bus: Arc::clone(&self.bus),
                writes: Arc::clone(&wiring.queues[index]),
                stats: Arc::clone(&wiring.stats[index]),
                clock: clock.clone(),
                services: Services { state: state.clone(), messages: self.messages[index].clone() },
                shutdown: self.channels_stop.clone(),
            };
            let points = points_of(&plan.points, &channel.name);
            self.channels.push(supervise::supervise(channel.driver.channel(), context, points));
        }
    }

    /// Stops in order: outputs to their safe states, channels, then everything else. Returns the names of
    /// outputs that did not confirm their safe state.
    pub async fn stop(self) -> Vec<Arc<str>> {
        let unsafe_outputs = self.commander.stop(SAFE_STATE_PATIENCE).await;
        for output in &unsafe_outputs {
            tracing::error!(point = &**output, "the output did not confirm its safe state");
        }
        self.channels_stop.cancel();
        // All of them together: the number of channels does not lengthen the stop.
        let ended = futures_util::future::join_all(self.channels);
        if tokio::time::timeout(STOP_PATIENCE, ended).await.is_err() {
            tracing::warn!("some channels did not end in time");
        }
        self.publisher.gateway_availability(false);
        self.parts.end(STOP_PATIENCE).await;
        if let Some(stored) = self.alarms.stored()
            && !matches!(tokio::time::timeout(STOP_PATIENCE, stored).await, Ok(Ok(Ok(()))))
        {
            tracing::warn!("the last changes of the alarms are not stored");
        }
        if let Some(audit) = self.audit {
            audit.event("stop", "gateway", "gateway", Ok(None), self.clock.stamp());
            if !matches!(tokio::time::timeout(STOP_PATIENCE, audit.written()).await, Ok(Ok(Ok(())))) {
                tracing::warn!("the last records of the audit log are not written");
            }
        }
        unsafe_outputs
    }
}

/// What joins points, channels and their queues.
struct Wiring {
    queues: Vec<Arc<WriteQueue>>,
    stats: Vec<Arc<ChannelStats>>,
    queue_by_point: Vec<Arc<WriteQueue>>,
}

impl Wiring {
    fn new(plan: &Plan) -> Self {
        let queues: Vec<_> = plan.channels.iter().map(|_| Arc::new(WriteQueue::default())).collect();
        let stats = plan
            .channels
            .iter()
            .map(|channel| {
                Arc::new(ChannelStats::new(Arc::clone(&channel.name), channel.driver.device_names()))
            })
            .collect();
        let by_channel: HashMap<&str, &Arc<WriteQueue>> =
            plan.channels.iter().map(|channel| &*channel.name).zip(&queues).collect();
        let orphan = Arc::new(WriteQueue::default());
        let queue_of = |channel: &str| by_channel.get(channel).map_or(&orphan, |queue| *queue);
        let queue_by_point = plan.points.iter().map(|point| Arc::clone(queue_of(&point.channel))).collect();
        Self { queues, stats, queue_by_point }
    }
}

fn broker_view(broker: &Broker, listen: SocketAddr) -> web::BrokerView {
    let stats = broker.stats();
    web::BrokerView {
        listen: Some(listen.to_string()),
        clients: stats.connections,
        messages_in: stats.messages_in + stats.messages_local,
        messages_out: stats.messages_out,
    }
}

/// Where the gateway may keep its state, if there is such a place.
fn state_directory() -> Option<PathBuf> {
    std::env::var_os(STATE_DIRECTORY).map(PathBuf::from).filter(|path| path.is_absolute())
}

async fn bind(address: SocketAddr, what: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, what, source })
}

fn local_address(listener: &TcpListener, what: &'static str) -> Result<SocketAddr, StartError> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    listener.local_addr().map_err(|source| StartError::Listen { address: unknown, what, source })
}

fn points_of(points: &PointTable, channel: &str) -> Vec<PointId> {
    points.iter().filter(|point| &*point.channel == channel).map(|point| point.id).collect()
}

/// Warns when subscribers lose messages because they take them too slowly: counted, never silent.
async fn tell_losses(broker: Broker, shutdown: CancellationToken) {
    let mut told = 0;
    let mut ticks = tokio::time::interval(LOSS_PERIOD);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        let stats = broker.stats();
        let lost = stats.dropped_queue_full + stats.dropped_local;
        if lost > told {
            tracing::warn!(
                messages = lost - told,
                "messages dropped: the queues of slow subscribers are full"
            );
            told = lost;
        }
    }
}

/// Publishes each device's availability, and what is odd about it, when they change, and tells the alarms who answers.
async fn announce_links(
    stats: Vec<Arc<ChannelStats>>,
    publisher: Arc<Publisher>,
    alarms: Arc<alarm::Engine>,
    commander: Commander,
    shutdown: CancellationToken,
) {
    let nothing = (LinkState::Unknown, None);
    let mut told: Vec<Vec<(LinkState, Option<Arc<str>>)>> =
        stats.iter().map(|channel| vec![nothing.clone(); channel.devices.len()]).collect();
    let mut ticks = tokio::time::interval(AVAILABILITY_PERIOD);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        for (channel, told) in stats.iter().zip(&mut told) {
            for (device, told) in channel.devices.iter().zip(told) {
                let (link, notice) = (device.link.get(), device.notice());
                if link != told.0 {
                    publisher.device_availability(&device.name, link);
                    let answers = match link {
                        LinkState::Online => Some(true),
                        LinkState::Offline => Some(false),
                        LinkState::Unknown => None,
                    };
                    if let Some(answers) = answers {
                        alarms.link(&device.name, answers);
                        commander.link(&device.name, answers);
                    }
                }
                if notice != told.1 {
                    publisher.device_notice(&device.name, notice.as_deref());
                }
                *told = (link, notice);
            }
        }
    }
}
