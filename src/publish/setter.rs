//! Serves the `…/set` topics: takes setpoints from MQTT clients to the command handle, and answers.
//!
//! The answer goes to `…/set/result`, and to the response topic of an MQTT 5 request with its correlation
//! data. Retained messages are refused: a setpoint that the broker had kept would fire at every start.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::request::{SetRequest, answer};
use super::{RESULT_LEVEL, answer_to};
use crate::broker::{Broker, InvalidTopic, LocalSubscription, Message, PublishOptions, QoS};
use crate::clock::Clock;
use crate::command::{Commander, DEFAULT_DEADLINE, Ticket};
use crate::model::{Origin, Outcome, Point};

/// The most messages that wait to be looked at; more are lost and counted by the broker.
const MAX_WAITING: usize = 1024;

/// The most commands that are under way at a time; more are refused.
const MAX_UNDER_WAY: usize = 1024;

/// The server of all `…/set` topics.
pub struct Setter {
    broker: Broker,
    commander: Commander,
    clock: Clock,
}

impl Setter {
    /// A server over these parts.
    #[must_use]
    pub fn new(broker: Broker, commander: Commander, clock: Clock) -> Arc<Self> {
        Arc::new(Self { broker, commander, clock })
    }

    /// Subscribes to the `…/set` topic of every writable point. Messages wait from here on, until [`Self::run`].
    ///
    /// # Errors
    /// When the broker takes one of the topics for none; those of a validated configuration are fine.
    pub fn subscribe(&self) -> Result<LocalSubscription, InvalidTopic> {
        let writable = self.commander.points().iter().filter(|point| point.access.writable());
        let topics: Vec<String> = writable.map(|point| point.topic.set().to_string()).collect();
        let filters: Vec<_> = topics.iter().map(|topic| (topic.as_str(), QoS::ExactlyOnce)).collect();
        Ok(self.broker.subscribe(&filters, MAX_WAITING)?.urgently())
    }

    /// Takes setpoints until `shutdown`, then waits for the answers that are due.
    pub async fn run(self: Arc<Self>, mut messages: LocalSubscription, shutdown: CancellationToken) {
        let under_way = TaskTracker::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                message = messages.recv() => self.take(message, &under_way),
            }
        }
        under_way.close();
        under_way.wait().await;
    }

    fn take(self: &Arc<Self>, message: Message, under_way: &TaskTracker) {
        let point = topic_of_set(message.topic()).and_then(|topic| self.commander.points().by_topic(topic));
        let Some(point) = point.cloned() else { return };
        if under_way.len() >= MAX_UNDER_WAY {
            let outcome = Outcome::Rejected(format!("{MAX_UNDER_WAY} commands are under way already"));
            self.reply(&point, &message, None, &outcome);
            return;
        }
        // Submitted here, in the order in which messages come; only the outcome is waited for elsewhere.
        let (id, submitted) = self.submit(&point, &message);
        let setter = Arc::clone(self);
        under_way.spawn(async move {
            let outcome = match submitted {
                Ok(ticket) => ticket.outcome().await,
                Err(reason) => Outcome::Rejected(reason),
            };
            setter.reply(&point, &message, id.as_deref(), &outcome);
        });
    }

    /// Gives the command that a message carries, and says by which id its sender knows it.
    fn submit(&self, point: &Point, message: &Message) -> (Option<String>, Result<Ticket, String>) {
        if message.retain {
            let reason = "a retained message is no command: publish it without the retain flag";
            return (None, Err(reason.into()));
        }
        let request = match SetRequest::parse(message.payload()) {
            Ok(request) => request,
            Err(reason) => return (None, Err(reason)),
        };
        let deadline = self.clock.mono() + deadline_of(&request, message);
        let origin = Origin::Mqtt(Arc::clone(message.publisher()));
        let ticket = self.commander.submit(point.id, request.setpoint, origin, deadline);
        (request.id, Ok(ticket))
    }

    fn reply(&self, point: &Point, message: &Message, id: Option<&str>, outcome: &Outcome) {
        let payload = answer(&point.name, id, outcome);
        let options = PublishOptions { qos: QoS::AtLeastOnce, urgent: true, ..PublishOptions::default() };
        let topic = point.topic.set().below(RESULT_LEVEL);
        for refused in answer_to(&self.broker, message, topic.as_str(), &payload, options) {
            tracing::warn!(point = &*point.name, %refused, "the answer to a command cannot be published");
        }
    }
}

/// The point's topic of a `…/set` topic.
fn topic_of_set(topic: &str) -> Option<&str> {
    topic.strip_suffix("/set")
}

/// The shortest of what the payload asks for, what is left of the message's expiry, and the default.
fn deadline_of(request: &SetRequest, message: &Message) -> Duration {
    let asked = request.timeout.unwrap_or(DEFAULT_DEADLINE);
    let left = message.expires().map(|at| at.saturating_duration_since(tokio::time::Instant::now()));
    left.map_or(asked, |left| asked.min(left))
}
