//! A notifier at work: takes events in without waiting, and sends what is due in a task of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::tz::TimeZone;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::outbox::{Counts, Letter, Outbox};
use super::wanted::Wanted;
use super::{Config, Failure, json, mail, text, webhook};
use crate::model::{AlarmEvent, NotifierTally};

/// One notifier.
pub struct Notifier {
    name: Arc<str>,
    site: Arc<str>,
    config: Config,
    state: Mutex<State>,
    news: Notify,
}

struct State {
    wanted: Wanted,
    outbox: Outbox,
    trouble: Option<String>,
}

impl Notifier {
    /// A notifier of this name that has nothing to tell yet.
    #[must_use]
    pub fn new(name: Arc<str>, site: &str, config: Config) -> Self {
        let outbox = Outbox::new(config.messages, config.within.0, Instant::now().into_std());
        let state = State { wanted: Wanted::new(&config), outbox, trouble: None };
        Self { name, site: site.into(), config, state: Mutex::new(state), news: Notify::new() }
    }

    /// Takes an event in, if it is one that is told. Never waits.
    pub fn tell(&self, event: &AlarmEvent) {
        let mut state = self.lock();
        if !event.change.is_passing() && state.wanted.admit(event) {
            state.outbox.put(event);
            drop(state);
            self.news.notify_one();
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn tally(&self) -> NotifierTally {
        let state = self.lock();
        let way = if self.config.mail.is_some() { "mail" } else { "webhook" };
        let Counts { sent, digests, failed, dropped, waiting } = state.outbox.counts();
        let (name, trouble) = (Arc::clone(&self.name), state.trouble.clone());
        NotifierTally { name, way, sent, digests, failed, dropped, waiting, trouble }
    }

    /// Sends what is due, until `shutdown`. What has not been sent by then is lost, and told of in the log.
    pub async fn run(&self, shutdown: CancellationToken) {
        loop {
            // Taken in a statement of its own: the lock must not be held while anything is waited for.
            let taken = self.lock().outbox.take(Instant::now().into_std());
            let work = async {
                match taken {
                    Ok(letter) => {
                        let outcome = send(&self.config, &letter, &self.site, &self.name).await;
                        self.note(outcome);
                    }
                    Err(Some(due)) => tokio::select! {
                        () = tokio::time::sleep_until(due.into()) => {}
                        () = self.news.notified() => {}
                    },
                    Err(None) => self.news.notified().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = work => {}
            }
        }
        let waiting = self.lock().outbox.counts().waiting;
        if waiting > 0 {
            tracing::warn!(notifier = &*self.name, events = waiting, "people were not told of these events");
        }
    }

    /// Notes what became of a message, and logs when that changes.
    fn note(&self, outcome: Result<(), Failure>) {
        let now = Instant::now().into_std();
        let mut state = self.lock();
        match outcome {
            Ok(()) => {
                state.outbox.sent();
                if state.trouble.take().is_some() {
                    tracing::info!(notifier = &*self.name, "messages arrive again");
                }
            }
            Err(failure) => {
                let lasting = matches!(failure, Failure::Lasting(_));
                let dropped = state.outbox.failed(lasting, fastrand::f64(), now);
                let reason = failure.to_string();
                if dropped {
                    tracing::error!(notifier = &*self.name, reason, "a message was dropped");
                } else if state.trouble.is_none() {
                    tracing::warn!(
                        notifier = &*self.name,
                        reason,
                        "a message cannot be sent; it is tried again"
                    );
                }
                state.trouble = Some(reason);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends one message within its time.
async fn send(config: &Config, letter: &Letter, site: &str, name: &str) -> Result<(), Failure> {
    let words = text::words(letter, site, config.language, &TimeZone::system());
    let sending = async {
        match (&config.mail, &config.webhook) {
            (Some(mail), _) => mail::send(mail, words).await,
            (None, Some(webhook)) => webhook::send(webhook, &json::json(letter, &words, site, name)).await,
            (None, None) => Err(Failure::Lasting("it is not said how to send".to_owned())),
        }
    };
    let late = || Failure::Passing(format!("it took longer than {}", config.timeout));
    tokio::time::timeout(config.timeout.0, sending).await.unwrap_or_else(|_| Err(late()))
}

/// Sends a test message, once.
///
/// # Errors
/// Why it did not arrive.
pub async fn try_out(name: &str, site: &str, config: &Config) -> Result<(), Failure> {
    send(config, &Letter::Test, site, name).await
}
