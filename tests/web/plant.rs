//! A plant to look at: points, channels and alarms in memory, with an owner task that answers writes.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iogate::broker::Broker;
use iogate::bus::Bus;
use iogate::clock::Clock;
use iogate::command::Commander;
use iogate::driver::{ChannelStats, LinkState, WriteQueue};
use iogate::model::{
    Access, AlarmAction, AlarmJournal, AlarmOperator, AlarmOverview, AlarmQuery, AlarmRecord, AlarmRefusal,
    AlarmState, AlarmStatus, AlarmTarget, AuditAnchor, AuditPage, AuditQuery, AuditReader, AuditRecord,
    Deadband, NotifierTally, Outcome, PayloadFormat, Point, PointId, PointTable, PublishPolicy, Quality,
    Reading, Reason, ReportPolicy, Severity, Texts, Topic, Value, ValueKind,
};
use iogate::web::{BridgeView, BrokerView, Config, Context};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The root of the plant's topics.
pub(crate) const SITE: &str = "busan/factory";

/// The plant and everything that its page is given.
pub(crate) struct Plant {
    pub(crate) bus: Arc<Bus>,
    pub(crate) channels: Vec<Arc<ChannelStats>>,
    pub(crate) writes: Arc<WriteQueue>,
    pub(crate) alarms: Arc<Mutex<Vec<AlarmStatus>>>,
    /// What has happened to them, the newest first.
    pub(crate) journal: Arc<Mutex<Vec<AlarmRecord>>>,
    pub(crate) overview: Arc<Mutex<AlarmOverview>>,
    /// What was changed, the newest first.
    pub(crate) audit: Arc<Mutex<Vec<AuditRecord>>>,
    pub(crate) commander: Commander,
    pub(crate) broker: Arc<Mutex<BrokerView>>,
    pub(crate) bridges: Arc<Mutex<Vec<BridgeView>>>,
    /// The broker that the page looks into.
    pub(crate) mqtt: Broker,
    pub(crate) ready: Arc<AtomicBool>,
    pub(crate) clock: Clock,
    changes: watch::Sender<u64>,
}

/// A served page.
pub(crate) struct Page {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

/// A readable number `device/name` on the topic `busan/factory/<topic>`.
pub(crate) fn number(device: &str, name: &str, topic: &str, unit: &str) -> Point {
    Point {
        id: PointId(0),
        name: format!("{device}/{name}").into(),
        device: device.into(),
        channel: "plc".into(),
        topic: Topic::join(&[SITE, topic]).unwrap(),
        kind: ValueKind::Float,
        unit: (!unit.is_empty()).then(|| unit.into()),
        label: None,
        access: Access::R,
        range: None,
        report: ReportPolicy { deadband: Deadband::None, always: false, max_silence: None },
        publish: PublishPolicy { format: PayloadFormat::Json, qos: 0, retain: true, uncertain: false },
        poll: Duration::from_secs(1),
        safe: None,
        tolerance: 0.0,
        output: iogate::model::OutputRules::default(),
    }
}

/// A digital output.
pub(crate) fn switch(device: &str, name: &str, topic: &str) -> Point {
    Point { kind: ValueKind::Bool, access: Access::Rw, ..number(device, name, topic, "") }
}

impl Plant {
    /// A plant with these points; its channels are those that the points name, in their order.
    pub(crate) fn new(points: Vec<Point>) -> Self {
        let mut channels: Vec<(Arc<str>, Vec<Arc<str>>)> = Vec::new();
        for point in &points {
            let index = channels.iter().position(|(name, _)| *name == point.channel).unwrap_or_else(|| {
                channels.push((Arc::clone(&point.channel), Vec::new()));
                channels.len() - 1
            });
            if !channels[index].1.contains(&point.device) {
                channels[index].1.push(Arc::clone(&point.device));
            }
        }
        let channels = channels.into_iter().map(|(name, devices)| Arc::new(ChannelStats::new(name, devices)));
        let (points, writes, clock) = (Arc::new(PointTable::new(points)), Arc::default(), Clock::system());
        let queues = points.iter().map(|_| Arc::clone(&writes)).collect();
        let commander = Commander::new(Arc::clone(&points), queues, clock.clone());
        Self {
            bus: Bus::new(points, vec![Arc::new(commander.clone())]),
            channels: channels.collect(),
            writes,
            audit: Arc::default(),
            commander,
            alarms: Arc::default(),
            journal: Arc::default(),
            overview: Arc::default(),
            broker: Arc::default(),
            bridges: Arc::default(),
            mqtt: Broker::new(iogate::broker::Config::default()),
            ready: Arc::new(AtomicBool::new(true)),
            clock,
            changes: watch::Sender::new(0),
        }
    }

    /// A press with a fan, enough for most tests.
    pub(crate) fn press() -> Self {
        let speed = Point {
            access: Access::Rw,
            range: Some((0.0, 100.0)),
            ..number("press", "speed", "manufacture/speed", "%")
        };
        Self::new(vec![
            number("press", "temperature", "manufacture/temperature", "°C"),
            switch("press", "fan", "manufacture/fan"),
            speed,
        ])
    }

    /// What the page is given.
    pub(crate) fn context(&self) -> Context {
        let (alarms, broker, ready) =
            (Arc::clone(&self.alarms), Arc::clone(&self.broker), Arc::clone(&self.ready));
        let (bridges, overview) = (Arc::clone(&self.bridges), Arc::clone(&self.overview));
        Context {
            site: Topic::new(SITE).unwrap(),
            version: "0.0.0-test",
            started: self.clock.stamp(),
            clock: self.clock.clone(),
            bus: Arc::clone(&self.bus),
            channels: self.channels.clone(),
            commander: self.commander.clone(),
            alarm_operator: self.operator(),
            audit: audit(Arc::clone(&self.audit)),
            audit_dropped: Arc::new(|| 7),
            alarm_journal: journal(Arc::clone(&self.journal)),
            notifiers: Arc::new(|| vec![duty()]),
            alarm_overview: Arc::new(move || overview.lock().unwrap().clone()),
            alarms: Arc::new(move || alarms.lock().unwrap().clone()),
            alarm_changes: self.changes.subscribe(),
            broker: Arc::new(move || broker.lock().unwrap().clone()),
            bridges: Arc::new(move || bridges.lock().unwrap().clone()),
            mqtt: self.mqtt.clone(),
            ready: Arc::new(move || ready.load(Relaxed)),
        }
    }

    /// Serves the page on a free loopback port.
    pub(crate) async fn serve(&self, config: Config) -> Page {
        self.serve_on("127.0.0.1:0", config).await
    }

    /// Serves the page on this address.
    pub(crate) async fn serve_on(&self, address: &str, config: Config) -> Page {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().unwrap();
        let (shutdown, context) = (CancellationToken::new(), self.context());
        let stop = shutdown.clone();
        let task = tokio::spawn(async move { iogate::web::serve(listener, context, &config, stop).await });
        Page { address, shutdown, task }
    }

    /// Reads a good value into a point.
    pub(crate) fn read(&self, point: u32, value: impl Into<Value>) {
        self.bus.publish(&mut [Reading::good(PointId(point), value.into(), self.clock.stamp())]);
    }

    /// Gives a point a reading that is not good.
    pub(crate) fn degrade(&self, point: u32, quality: Quality) {
        let at = self.clock.stamp();
        self.bus.publish(&mut [Reading { point: PointId(point), value: None, quality, at }]);
    }

    /// Fails a poll of a point.
    pub(crate) fn fail(&self, point: u32, reason: Reason) {
        self.degrade(point, Quality::Bad(reason));
    }

    /// Puts an alarm into a state, adding it when it is new.
    pub(crate) fn alarm(
        &self,
        name: &str,
        point: u32,
        severity: Severity,
        state: AlarmState,
        value: Option<Value>,
    ) {
        let status = AlarmStatus {
            name: name.into(),
            point: Some(PointId(point)),
            device: None,
            severity,
            class: None,
            groups: Arc::new([]),
            state,
            active: matches!(state, AlarmState::ActiveUnacknowledged | AlarmState::ActiveAcknowledged),
            pending: false,
            blind: false,
            condition: (state != AlarmState::Normal).then_some("high"),
            value,
            since: Some(self.clock.stamp()),
            shelved_until_us: None,
            message: format!("{name}: limit passed").as_str().into(),
            help: Texts::default(),
            by: None,
            comment: None,
            chattering: false,
            shelve_offer: None,
            first_of: Vec::new(),
        };
        let mut alarms = self.alarms.lock().unwrap();
        match alarms.iter_mut().find(|alarm| *alarm.name == *name) {
            Some(known) => *known = status,
            None => alarms.push(status),
        }
        drop(alarms);
        self.changes.send_modify(|revision| *revision += 1);
    }

    /// Lets something have happened to an alarm, so many minutes after midnight of 2026-11-21 (UTC).
    pub(crate) fn happened(&self, alarm: &str, event: &str, minute: i64) {
        let mut journal = self.journal.lock().unwrap();
        let (from, to) = match event {
            "raised" => ("normal", "active-unacknowledged"),
            "acknowledged" => ("active-unacknowledged", "active-acknowledged"),
            _ => ("active-acknowledged", "normal"),
        };
        let record = AlarmRecord {
            id: journal.len() as i64 + 1,
            unix_us: (1_795_219_200 + 60 * minute) * 1_000_000,
            alarm: alarm.into(),
            event: event.into(),
            from: from.into(),
            to: to.into(),
            condition: Some("high".into()),
            severity: "critical".into(),
            value: Some("61.5".into()),
            message: Some(format!("{alarm}: limit passed, 프레스 과열")),
            by: (event == "acknowledged").then(|| "kim (web page from 192.0.2.7)".into()),
            comment: (event == "acknowledged").then(|| "=seen, the fan runs".into()),
        };
        journal.insert(0, record);
    }

    /// Acknowledges what is asked for, and knows no other action.
    fn operator(&self) -> AlarmOperator {
        let (alarms, changes) = (Arc::clone(&self.alarms), self.changes.clone());
        Arc::new(move |request| {
            let mut alarms = alarms.lock().unwrap();
            let wanted =
                |alarm: &&mut AlarmStatus| AlarmTarget::Alarm(alarm.name.to_string()) == request.target;
            let answer = match (alarms.iter_mut().find(wanted), request.action) {
                (None, _) => Err(AlarmRefusal::Unknown("such alarm".into())),
                (Some(alarm), AlarmAction::Acknowledge) => {
                    alarm.state = AlarmState::ActiveAcknowledged;
                    (alarm.by, alarm.comment) = (Some(Arc::clone(&request.by)), request.comment.clone());
                    Ok(vec![alarm.clone()])
                }
                (Some(_), _) => Err(AlarmRefusal::State("not now".into())),
            };
            changes.send_modify(|revision| *revision += 1);
            Box::pin(async move { answer })
        })
    }

    /// Answers writes as a device would: each is taken over and read back.
    pub(crate) fn obey(&self) -> JoinHandle<()> {
        let (bus, writes, clock) = (Arc::clone(&self.bus), Arc::clone(&self.writes), self.clock.clone());
        tokio::spawn(async move {
            loop {
                writes.pushed().await;
                while let Some(job) = writes.pop(clock.mono()) {
                    let read_back = job.setpoint.clone();
                    bus.publish(&mut [Reading::good(job.point, read_back.clone(), clock.stamp())]);
                    job.finish(Outcome::Verified { read_back });
                }
            }
        })
    }

    /// Marks every channel and device as reachable.
    pub(crate) fn bring_online(&self) {
        for channel in &self.channels {
            channel.link.set(LinkState::Online);
            for device in &channel.devices {
                device.link.set(LinkState::Online);
            }
        }
    }
}

/// A notifier that has told people of two alarms, and cannot any more.
fn duty() -> NotifierTally {
    let trouble = Some("no answer from mail.example.com".into());
    NotifierTally {
        name: "duty".into(),
        way: "mail",
        sent: 2,
        failed: 1,
        waiting: 3,
        trouble,
        ..NotifierTally::default()
    }
}

/// Reads the records as the store does.
fn journal(records: Arc<Mutex<Vec<AlarmRecord>>>) -> AlarmJournal {
    Arc::new(move |query: &AlarmQuery| {
        let wanted = |record: &&AlarmRecord| {
            query.alarm.as_ref().is_none_or(|alarm| *alarm == record.alarm)
                && query.event.as_ref().is_none_or(|event| *event == record.event)
                && query.before.is_none_or(|before| record.id < before)
                && query.from_us.is_none_or(|from| record.unix_us >= from)
                && query.to_us.is_none_or(|to| record.unix_us < to)
        };
        let records = records.lock().unwrap();
        Ok(records.iter().filter(wanted).take(query.limit as usize).cloned().collect())
    })
}

fn audit(records: Arc<Mutex<Vec<AuditRecord>>>) -> AuditReader {
    Arc::new(move |query: &AuditQuery| {
        let wanted = |record: &&AuditRecord| {
            query.subject.as_ref().is_none_or(|subject| *subject == record.subject)
                && query.origin.as_ref().is_none_or(|origin| record.origin.contains(origin))
                && query.before.is_none_or(|before| record.id < before)
                && query.from_us.is_none_or(|from| record.unix_us >= from)
                && query.to_us.is_none_or(|to| record.unix_us < to)
        };
        let records = records.lock().unwrap();
        let records = records.iter().filter(wanted).take(query.limit as usize).cloned().collect();
        Ok(AuditPage { anchor: AuditAnchor { id: 0, hash: String::new() }, dropped: 7, records })
    })
}

impl Page {
    /// Stops the page and waits until it has gone.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("the server ends without a panic");
    }
}
