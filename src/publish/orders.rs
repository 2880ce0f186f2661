//! Serves `…/set` below the alarms: takes what people want of alarms to the engine, and answers.
//!
//! The payload is an action (`acknowledge`) or an object with `action`, `user`, `comment` and, to shelve, `for`.
//! The answer goes to `…/set/result`, and to the response topic of an MQTT 5 request. What may be
//! a replay is refused: an acknowledgement that a broker had kept would acknowledge every later alarm.

use std::sync::Arc;

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{RESULT_LEVEL, answer_to, is_new, topics};
use crate::broker::{Broker, InvalidTopic, LocalSubscription, Message, PublishOptions, QoS};
use crate::model::{AlarmAnswer, AlarmOperator, AlarmOrder, AlarmRefusal, AlarmRequest, AlarmTarget, Topic};

/// The most messages that wait to be looked at; more are lost and counted by the broker.
const MAX_WAITING: usize = 256;

/// The most requests that are under way at a time; more are refused.
const MAX_UNDER_WAY: usize = 256;

/// The longest payload.
const MAX_BYTES: usize = 4096;

/// The server of what is asked of alarms.
pub struct Orders {
    broker: Broker,
    site: Topic,
    operator: AlarmOperator,
}

#[derive(Serialize)]
struct Answer<'a> {
    done: bool,
    /// The alarms that were changed, and their states now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alarms: Vec<(&'a str, &'static str)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Orders {
    /// A server over these parts.
    #[must_use]
    pub fn new(broker: Broker, site: Topic, operator: AlarmOperator) -> Arc<Self> {
        Arc::new(Self { broker, site, operator })
    }

    /// Subscribes. Messages wait from here on, until [`Self::run`].
    ///
    /// # Errors
    /// When the broker takes a topic of the site for none; that of a validated configuration is fine.
    pub fn subscribe(&self) -> Result<LocalSubscription, InvalidTopic> {
        let filters = topics::alarm_orders(&self.site);
        let filters = [&filters[0], &filters[1]].map(|filter| (filter.as_str(), QoS::ExactlyOnce));
        self.broker.subscribe(&filters, MAX_WAITING)
    }

    /// Takes orders until `shutdown`, then waits for the answers that are due.
    pub async fn run(self: Arc<Self>, mut messages: LocalSubscription, shutdown: CancellationToken) {
        let under_way = TaskTracker::new();
        loop {
            let message = tokio::select! {
                () = shutdown.cancelled() => break,
                message = messages.recv() => message,
            };
            let request = match under_way.len() < MAX_UNDER_WAY {
                true => self.understand(&message),
                false => Err(format!("{MAX_UNDER_WAY} requests are under way already")),
            };
            match request {
                // Asked here, in the order in which messages come; only the store is waited for elsewhere.
                Ok(request) => {
                    let (answer, orders) = ((self.operator)(request), Arc::clone(&self));
                    under_way.spawn(async move { orders.reply(&message, &answer.await) });
                }
                Err(why) => self.reply(&message, &Err(AlarmRefusal::Request(why))),
            }
        }
        under_way.close();
        under_way.wait().await;
    }

    fn understand(&self, message: &Message) -> Result<AlarmRequest, String> {
        let target = topics::alarm_target(&self.site, message.topic());
        let target: AlarmTarget = target.ok_or("this topic means no alarm")?;
        is_new(message)?;
        if message.payload().len() > MAX_BYTES {
            return Err(format!("the payload is longer than {MAX_BYTES} bytes"));
        }
        let text = std::str::from_utf8(message.payload()).map_err(|_| "the payload is not UTF-8")?.trim();
        let order = match text.starts_with('{') {
            true => serde_json::from_str(text).map_err(|error| error.to_string())?,
            false => AlarmOrder { action: text.to_owned(), r#for: None, user: None, comment: None },
        };
        order.request(target, &format!("mqtt client {}", message.publisher()))
    }

    fn reply(&self, message: &Message, answer: &AlarmAnswer) {
        let answer = match answer {
            Ok(alarms) => Answer {
                done: true,
                alarms: alarms.iter().map(|alarm| (&*alarm.name, alarm.state.word())).collect(),
                reason: None,
            },
            Err(why) => Answer { done: false, alarms: vec![], reason: Some(why.to_string()) },
        };
        // Plain data with text keys: writing it into memory cannot fail.
        let payload = serde_json::to_vec(&answer).unwrap_or_default();
        let options = PublishOptions { qos: QoS::AtLeastOnce, ..PublishOptions::default() };
        let topic = format!("{}/{RESULT_LEVEL}", message.topic());
        for refused in answer_to(&self.broker, message, &topic, &payload, options) {
            tracing::warn!(topic = message.topic(), %refused, "the answer to a request cannot be published");
        }
    }
}
