//! Serves the `…/set` topics: takes setpoints from MQTT clients to the command handle, and answers.
//!
//! The answer goes to `…/set/result`, and to the response topic of an MQTT 5 request with its correlation
//! data. Whoever asks for it hears of the stages of a command there, too. What may be a replay is refused and
//! recorded: retained messages (a setpoint that a broker had kept would fire at every start), here or upstream,
//! messages that are sent once more, wills from before the start, and ids that have been used.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::memory::Memory;
use super::replay::Given;
use super::request::{Asked, SetRequest, answer, progress, released};
use super::{RESULT_LEVEL, answer_to, is_new};
use crate::broker::{Broker, InvalidTopic, LocalSubscription, Message, PublishOptions, QoS};
use crate::clock::Clock;
use crate::command::{Command, Commander, DEFAULT_DEADLINE};
use crate::model::{Origin, Outcome, Point, Stamp, Value};

/// The most messages that wait to be looked at; more are lost and counted by the broker.
const MAX_WAITING: usize = 1024;

/// The most commands that are under way at a time; more are refused.
const MAX_UNDER_WAY: usize = 1024;

/// How much of a message that is no command its record holds.
const EXCERPT_CHARS: usize = 64;

/// The server of all `…/set` topics.
pub struct Setter {
    broker: Broker,
    commander: Commander,
    clock: Clock,
    /// The commands of late, by their ids.
    given: Mutex<Remembered>,
}

/// The commands of late, in memory and on the disk.
#[derive(Default)]
struct Remembered {
    given: Given,
    memory: Option<Memory>,
}

impl Remembered {
    /// Those of earlier runs, where there is a folder for them.
    fn open(folder: Option<&Path>, clock: &Clock) -> Self {
        let Some(folder) = folder else { return Self::default() };
        let now = clock.stamp();
        let (memory, known) = Memory::open(folder, unix_ms(now));
        let mut given = Given::default();
        for (client, id, ago) in known {
            let since = now.mono.checked_sub(ago).unwrap_or(now.mono);
            // More than there is room for is forgotten, as it would be while the gateway runs.
            let _ = given.remember(&client.into(), &id, since);
        }
        Self { given, memory: Some(memory) }
    }

    fn remember(&mut self, client: &Arc<str>, id: &str, now: Stamp) -> Result<(), String> {
        self.given.remember(client, id, now.mono)?;
        let Some(memory) = &mut self.memory else { return Ok(()) };
        if memory.keep(client, id, unix_ms(now)) {
            let known: Vec<_> = self
                .given
                .iter()
                .map(|(client, id, since)| {
                    (client.to_string(), id.to_string(), now.mono.saturating_duration_since(since))
                })
                .collect();
            memory.rewrite(&known, unix_ms(now));
        }
        Ok(())
    }
}

fn unix_ms(stamp: Stamp) -> i64 {
    stamp.unix_us / 1000
}

impl Setter {
    /// A server over these parts. The ids of commands outlive a restart in the folder, where there is one.
    #[must_use]
    pub fn new(broker: Broker, commander: Commander, clock: Clock, state: Option<&Path>) -> Arc<Self> {
        let given = Mutex::new(Remembered::open(state, &clock));
        Arc::new(Self { broker, commander, clock, given })
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
        let origin = Origin::Mqtt(Arc::clone(message.publisher()));
        let request = match self.understand(&message, under_way) {
            Ok(request) => request,
            Err(reason) => {
                self.commander.refuse(point.id, excerpt(message.payload()), origin, &reason);
                let answer = answer(&point.name, None, &Outcome::Rejected(reason));
                self.reply(&point, &message, &answer);
                return;
            }
        };
        let id = request.id.clone();
        match request.asked {
            // Given here, in the order in which messages come; only the outcome is waited for elsewhere.
            Asked::Set(..) => self.give(point, message, request, origin, under_way),
            Asked::Release => {
                let answer = match self.commander.let_go(point.id, &origin) {
                    Ok(()) => released(&point.name, id.as_deref()),
                    Err(reason) => answer(&point.name, id.as_deref(), &Outcome::Rejected(reason)),
                };
                self.reply(&point, &message, &answer);
            }
        }
    }

    /// Reads what a message asks for, where it is no replay.
    fn understand(&self, message: &Message, under_way: &TaskTracker) -> Result<SetRequest, String> {
        if under_way.len() >= MAX_UNDER_WAY {
            return Err(format!("{MAX_UNDER_WAY} commands are under way already"));
        }
        is_new(message)?;
        let request = SetRequest::parse(message.payload())?;
        if let Some(id) = &request.id {
            let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
            given.remember(message.publisher(), id, self.clock.stamp())?;
        }
        Ok(request)
    }

    fn give(
        self: &Arc<Self>,
        point: Point,
        message: Message,
        request: SetRequest,
        origin: Origin,
        under_way: &TaskTracker,
    ) {
        let deadline = self.clock.mono() + deadline_of(&request, &message);
        let SetRequest { asked: Asked::Set(setpoint, lasts), id, stages, .. } = request else { return };
        let command = Command { point: point.id, setpoint, origin, deadline, lasts };
        let (told, mut heard) = mpsc::unbounded_channel();
        // Few are told of a command, and of a ramp one a second, so nothing can gather here.
        let ticket = self.commander.give(command, move |stage| {
            let _ = told.send(stage);
        });
        let setter = Arc::clone(self);
        under_way.spawn(async move {
            // The way of the stages ends with the write, before its outcome is known here.
            while let Some(stage) = heard.recv().await {
                if stages {
                    setter.reply(&point, &message, &progress(&point.name, id.as_deref(), stage));
                }
            }
            let outcome = ticket.outcome().await;
            setter.reply(&point, &message, &answer(&point.name, id.as_deref(), &outcome));
        });
    }

    fn reply(&self, point: &Point, message: &Message, payload: &[u8]) {
        let options = PublishOptions { qos: QoS::AtLeastOnce, urgent: true, ..PublishOptions::default() };
        let topic = point.topic.set().below(RESULT_LEVEL);
        for refused in answer_to(&self.broker, message, topic.as_str(), payload, options) {
            tracing::warn!(point = &*point.name, %refused, "the answer to a command cannot be published");
        }
    }
}

/// The beginning of a payload, for the record of a message that is no command.
fn excerpt(payload: &[u8]) -> Value {
    let text: String = String::from_utf8_lossy(payload).chars().take(EXCERPT_CHARS).collect();
    Value::from(text.as_str())
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
