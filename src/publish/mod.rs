//! Readings out to topics, setpoints in from `…/set`.
//!
//! [`Publisher`] observes the bus in line: report by exception, payload, and straight into the broker
//! without a socket, one batch per batch of readings. [`Setter`] serves the `…/set` topics of points, [`Orders`]
//! those of alarms. Absent: any
//! opinion on values; a reading that is not good is told as such or not at all.

mod alarms;
mod memory;
pub mod orders;
pub mod payload;
pub mod replay;
pub mod request;
pub mod setter;
pub mod topics;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use payload::{Form, TimeText};

use crate::broker::{Broker, InvalidTopic, LocalPublisher, Message, PublishOptions, QoS, TopicHandle};
use crate::bus::Observer;
use crate::driver::LinkState;
use crate::model::report::{ReportPolicy, Reported};
use crate::model::{
    AlarmEvent, AlarmGroup, AlarmStatus, Point, PointTable, PublishPolicy, Reading, Topic, TopicError,
};

pub use orders::Orders;
pub use setter::Setter;

/// What the gateway says of itself is kept for later subscribers and delivered at least once.
const STATUS: PublishOptions<'static> = PublishOptions {
    qos: QoS::AtLeastOnce,
    retain: true,
    expiry: None,
    content_type: None,
    response_topic: None,
    correlation: None,
    user: &[],
    urgent: true,
    dup: false,
    kept: false,
};

/// The name under which the gateway publishes.
pub(crate) const ORIGIN: &str = "iogate";

/// The level below `…/set` that answers go to.
const RESULT_LEVEL: &str = "result";

/// Whether a message was published just now, by somebody who wants it now.
///
/// # Errors
/// When it may be a replay, in words for whoever published it.
fn is_new(message: &Message) -> Result<(), &'static str> {
    if message.retain {
        return Err("a retained message is no command: publish it without the retain flag");
    }
    if message.is_old() {
        return Err(
            "the message was kept before it came here, by an upstream broker or as a will from before the start: \
                    give the command anew, without the retain flag",
        );
    }
    if message.dup() {
        return Err(
            "the message was sent before (DUP), perhaps to the gateway before it restarted: give the command anew",
        );
    }
    Ok(())
}

/// Answers a request on `topic`, and before on the response topic that it names, with its correlation data
/// (MQTT 5). Tells of the topics that are none.
fn answer_to(
    broker: &Broker,
    request: &Message,
    topic: &str,
    payload: &[u8],
    options: PublishOptions<'_>,
) -> Vec<InvalidTopic> {
    let mut publisher = broker.publisher(ORIGIN);
    let properties = request.properties();
    let asked = properties.response_topic.map(|topic| {
        let options = PublishOptions { correlation: properties.correlation, ..options };
        publisher.publish(topic, payload, &options)
    });
    let told = publisher.publish(topic, payload, &options);
    asked.into_iter().chain([told]).filter_map(Result::err).collect()
}

/// Publishes readings and the gateway's own state.
pub struct Publisher {
    points: Arc<PointTable>,
    site: Topic,
    state: Mutex<State>,
}

struct State {
    broker: LocalPublisher,
    /// By point.
    slots: Vec<Slot>,
    time: TimeText,
    payload: Vec<u8>,
}

/// One point on its way to the broker, with all that is needed of it: a reading that comes once a second finds
/// nothing in the caches, so every place that is looked at is paid for.
struct Slot {
    topic: TopicHandle,
    reported: Reported,
    report: ReportPolicy,
    form: Form,
    qos: QoS,
    retain: bool,
}

impl Publisher {
    /// A publisher for these points.
    ///
    /// # Errors
    /// When the broker takes one of the topics for none; those of a validated configuration are fine.
    pub fn new(broker: &Broker, site: Topic, points: Arc<PointTable>) -> Result<Self, InvalidTopic> {
        let publisher = broker.publisher(ORIGIN);
        let slot = |point: &Point| -> Result<Slot, InvalidTopic> {
            let PublishPolicy { qos, retain, .. } = point.publish;
            Ok(Slot {
                topic: publisher.topic(point.topic.as_str())?,
                reported: Reported::default(),
                report: point.report,
                form: Form::of(point),
                qos: QoS::from_bits(qos).unwrap_or_default(),
                retain,
            })
        };
        let slots = points.iter().map(slot).collect::<Result<_, _>>()?;
        let state =
            State { broker: publisher, slots, time: TimeText::default(), payload: Vec::with_capacity(256) };
        Ok(Self { points, site, state: Mutex::new(state) })
    }

    /// The root of every topic.
    #[must_use]
    pub const fn site(&self) -> &Topic {
        &self.site
    }

    /// Says that the gateway is there, or that it is about to go.
    pub fn gateway_availability(&self, online: bool) {
        let text = if online { topics::ONLINE } else { topics::OFFLINE };
        self.say(topics::availability(&self.site), text.as_bytes());
    }

    /// Says whether a device answers. Before its first answer or failure nothing is said.
    pub fn device_availability(&self, device: &str, link: LinkState) {
        let text = match link {
            LinkState::Online => topics::ONLINE,
            LinkState::Offline => topics::OFFLINE,
            LinkState::Unknown => return,
        };
        self.say(topics::device_availability(&self.site, device), text.as_bytes());
    }

    /// Says what is odd about a device; nothing odd takes the message away again.
    pub fn device_notice(&self, device: &str, notice: Option<&str>) {
        self.say(topics::device_notice(&self.site, device), notice.unwrap_or_default().as_bytes());
    }

    /// Says where an alarm stands.
    pub fn alarm(&self, status: &AlarmStatus) {
        let payload = alarms::state(&self.points, status);
        self.say(topics::alarm(&self.site, &status.name), &payload);
    }

    /// Says what has happened to an alarm, and where it stands. What is only pending is no event.
    pub fn alarm_event(&self, event: &AlarmEvent) {
        self.alarm(&event.status);
        if !event.change.is_passing() {
            let payload = alarms::event(&self.points, event);
            let once = PublishOptions { retain: false, ..STATUS };
            self.say_so(topics::alarm_event(&self.site, &event.status.name), &payload, &once);
        }
    }

    /// Says how a group of alarms stands, and which of them came first.
    pub fn alarm_group(&self, group: &AlarmGroup) {
        self.say(topics::alarm_group(&self.site, &group.name), &alarms::group(group));
    }

    fn say(&self, topic: Result<Topic, TopicError>, payload: &[u8]) {
        self.say_so(topic, payload, &STATUS);
    }

    fn say_so(&self, topic: Result<Topic, TopicError>, payload: &[u8], options: &PublishOptions<'_>) {
        let told = match topic {
            Ok(topic) => {
                self.lock().broker.publish(topic.as_str(), payload, options).map_err(|e| e.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = told {
            tracing::warn!(reason, "a status topic cannot be published");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Publisher {
    fn observe(&self, readings: &[Reading]) {
        let mut state = self.lock();
        let State { broker, slots, time, payload } = &mut *state;
        let mut batch = broker.batch();
        for reading in readings {
            let Some(slot) = slots.get_mut(reading.point.index()) else { continue };
            if !slot.reported.admit(&slot.report, reading) {
                continue;
            }
            payload.clear();
            if slot.form.write(reading, time, payload) {
                let (qos, retain) = (slot.qos, slot.retain);
                batch.publish(
                    &slot.topic,
                    payload,
                    &PublishOptions { qos, retain, ..PublishOptions::default() },
                );
            }
        }
        batch.commit();
    }
}

#[cfg(test)]
mod tests;
