//! What simulated MQTT devices say, and what is said to them.
//!
//! Pure but for the lock of their points.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::packet::Message;
use crate::driver::Driver;
use crate::driver::mqtt::{Mqtt, Plan, Wiring};
use crate::model::{Behaviour, PointId, PointTable};
use crate::simulate::StartError;
use crate::simulate::fault::{Fault, FaultError};
use crate::simulate::text::{Cell, Operated, Planned, State, Station, compose, inside, raw_of, word};

/// What stands for the setpoint in a message.
const VALUE: &str = "{value}";

/// How long a device has for anything; nobody waits for what it says by itself.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Words for "gone" and for "here" that go together; any other device is `online`.
const WORDS: [(&str, &str); 6] = [
    ("offline", "online"),
    ("Offline", "Online"),
    ("OFFLINE", "ONLINE"),
    ("false", "true"),
    ("disconnect", "connect"),
    ("0", "1"),
];

/// A point of a device.
#[derive(Debug)]
struct Wired {
    device: usize,
    wiring: Wiring,
}

/// The devices of a channel.
#[derive(Debug)]
pub(super) struct Devices {
    plan: Arc<Plan>,
    station: Arc<Station<Wired>>,
}

impl Devices {
    /// Those of a plan.
    ///
    /// # Errors
    /// When a behaviour does not suit its point.
    pub(super) fn new(
        points: &PointTable,
        plan: &Arc<Plan>,
        behaviours: (&BTreeMap<PointId, Behaviour>, u64),
    ) -> Result<Self, StartError> {
        let planned = plan.devices.iter().enumerate().flat_map(|(device, this)| {
            this.points.iter().map(move |point| Planned {
                id: point.id,
                wiring: Wired { device, wiring: point.wiring.clone() },
                extract: &point.wiring.extract,
                conversion: &point.conversion,
            })
        });
        let station = Arc::new(Station::new(points, planned, behaviours, TIMEOUT, suits)?);
        Ok(Self { plan: Arc::clone(plan), station })
    }

    /// What can be done to them by hand.
    pub(super) fn operated(&self) -> Arc<dyn Operated> {
        Arc::clone(&self.station) as Arc<dyn Operated>
    }

    /// The device's name.
    pub(super) fn name(&self, device: usize) -> &str {
        &self.plan.devices[device].name
    }

    /// What is said when it comes, and, as its will, when it has gone.
    pub(super) fn availability(&self, device: usize) -> Option<(Message, Message)> {
        let config = &self.plan.devices[device].config;
        let availability = config.mqtt_availability.as_ref()?;
        let topic = Mqtt::device_topics(config).into_iter().next()?.topic;
        let gone = availability.offline.as_str();
        let here = WORDS.iter().find(|(word, _)| *word == gone).map_or("online", |(_, here)| here);
        let pointer = availability.json.as_deref();
        let message = |text: &str| {
            Some(Message { topic: topic.to_string(), payload: word(pointer, text)?, retain: true })
        };
        Some((message(here)?, message(gone)?))
    }

    /// The topics that it listens to.
    pub(super) fn set_topics(&self, device: usize) -> Vec<String> {
        let points = &self.plan.devices[device].points;
        let commands = points.iter().filter_map(|point| point.wiring.command.as_ref());
        let mut topics: Vec<String> = commands.map(|command| command.topic.to_string()).collect();
        topics.sort();
        topics.dedup();
        topics
    }

    /// What it has to say now: one message for every topic of its points. Nothing while it is dead.
    pub(super) fn messages(&self, device: usize, now: Instant) -> Vec<Message> {
        let Some((state, _)) = self.station.speaks(now) else { return Vec::new() };
        let mut topics: Vec<&Arc<str>> =
            own(&state, device).filter_map(|cell| cell.wiring.wiring.topic.as_ref()).collect();
        topics.sort();
        topics.dedup();
        let message = |topic: &Arc<str>| {
            let same = own(&state, device).filter(|cell| cell.wiring.wiring.topic.as_ref() == Some(topic));
            let payload = compose(&same.collect::<Vec<_>>(), &[" "])?;
            Some(Message { topic: topic.to_string(), payload, retain: false })
        };
        topics.into_iter().filter_map(message).collect()
    }

    /// How often it says what has not changed, so that nothing becomes too old.
    pub(super) fn period(&self, device: usize) -> Duration {
        let points = &self.plan.devices[device].points;
        let shortest = points.iter().filter_map(|point| point.wiring.max_age).min();
        shortest.map_or(super::client::REPEAT, |age| (age / 3).min(super::client::REPEAT))
    }

    /// Takes a message that came; true when it was a command.
    pub(super) fn take(&self, device: usize, topic: &str, payload: &str, now: Instant) -> bool {
        let Some((mut state, _)) = self.station.asked(now) else { return false };
        let mine = state.cells.iter_mut().filter(|cell| cell.wiring.device == device);
        let found = mine.into_iter().find_map(|cell| {
            let command = cell.wiring.wiring.command.as_ref().filter(|command| *command.topic == *topic)?;
            let text = inside(&command.payload, VALUE, payload)?;
            let raw = raw_of(&cell.extract.form, &command.on, &command.off, &text)?;
            cell.write(&raw);
            Some(())
        });
        if found.is_some() {
            state.written();
        }
        found.is_some()
    }
}

fn own(state: &State<Wired>, device: usize) -> impl Iterator<Item = &Cell<Wired>> {
    state.cells.iter().filter(move |cell| cell.wiring.device == device)
}

/// The faults that MQTT devices have.
const fn suits(fault: Fault) -> Result<Fault, FaultError> {
    match fault {
        Fault::Dead | Fault::Frozen => Ok(fault),
        _ => Err(FaultError::NotHere("MQTT devices are `dead` or `frozen`, or their channel is unplugged")),
    }
}
