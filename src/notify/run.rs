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

/// Keeps up to which entry of the journal people were told. Called while the notifier is locked: it must not ask it back.
pub type Keep = Box<dyn Fn(i64) + Send + Sync>;

struct State {
    wanted: Wanted,
    outbox: Outbox,
    /// The newest entry of the journal that was heard of, wanted or not.
    heard: Option<i64>,
    keep: Option<Keep>,
    trouble: Option<String>,
}

impl Notifier {
    /// A notifier of this name that has nothing to tell yet.
    #[must_use]
    pub fn new(name: Arc<str>, site: &str, config: Config) -> Self {
        let outbox = Outbox::new(config.messages, config.within.0, Instant::now().into_std());
        let state = State { wanted: Wanted::new(&config), outbox, heard: None, keep: None, trouble: None };
        Self { name, site: site.into(), config, state: Mutex::new(state), news: Notify::new() }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Takes up what people were not told before the program ended last, the oldest first, each with its entry in the journal;
    /// `newest` is the last entry there. From now on `keep` hears up to which entry they were told.
    pub fn resume(&self, untold: Vec<(i64, AlarmEvent)>, newest: i64, keep: Keep) {
        let mut state = self.lock();
        let state = &mut *state;
        for (entry, event) in untold {
            if state.wanted.admit(&event) {
                state.outbox.put(&event, Some(entry));
            }
        }
        let waiting = state.outbox.counts().waiting;
        state.heard = Some(newest);
        match waiting {
            0 => keep(newest),
            events => tracing::info!(notifier = &*self.name, events, "people are told what they have missed"),
        }
        state.keep = Some(keep);
        self.news.notify_one();
    }

    /// Takes an event in, with its entry in the journal, if it is one that is told. Never waits.
    pub fn tell(&self, event: &AlarmEvent, entry: Option<i64>) {
        let mut state = self.lock();
        state.heard = entry.or(state.heard);
        if !event.change.is_passing() && state.wanted.admit(event) {
            state.outbox.put(event, entry);
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

    /// Sends what is due, until `shutdown`. What has not been sent by then is told after the next start where there is a
    /// journal, and is lost and told of in the log where there is none.
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
        let state = self.lock();
        match (state.outbox.counts().waiting, &state.keep, state.heard) {
            (0, Some(keep), Some(heard)) => keep(heard),
            (0, ..) => {}
            (events, Some(_), _) => {
                tracing::info!(
                    notifier = &*self.name,
                    events,
                    "people are told of these after the next start"
                );
            }
            (events, None, _) => {
                tracing::warn!(notifier = &*self.name, events, "people were not told of these events");
            }
        }
    }

    /// Notes what became of a message, and logs when that changes.
    fn note(&self, outcome: Result<(), Failure>) {
        let now = Instant::now().into_std();
        let mut state = self.lock();
        let before = state.outbox.through();
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
        if let (Some(through), Some(keep)) = (state.outbox.through(), &state.keep)
            && Some(through) != before
        {
            keep(through);
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
