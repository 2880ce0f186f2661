//! What waits to be sent: one by one, or as a digest when it is too much; and what is tried again. Pure.
//!
//! A bucket of tokens limits the messages: it holds `messages` of them and fills within `within`. When more waits than
//! there are tokens, all of it becomes one digest, so a flood costs one message for each token that comes. Invariants: at most
//! [`MAX_WAITING`] events are held, of those beyond that the numbers; an event is sent, in a digest, or counted as dropped.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::digest::Digest;
use crate::backoff::Backoff;
use crate::model::AlarmEvent;

/// The most events that wait; of more only the numbers are kept.
pub(super) const MAX_WAITING: usize = 100;

/// The pauses after failures.
const PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// What could not be sent for this long is dropped: nobody is helped by it any more.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Letter {
    /// Of one event.
    One(Box<AlarmEvent>),
    /// Of many.
    Many(Box<Digest>),
    /// Of nothing: somebody wants to see whether it arrives.
    Test,
}

impl Letter {
    /// How many events it tells of.
    fn events(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Many(digest) => digest.events(),
            Self::Test => 0,
        }
    }
}

/// What is counted. Everything since the start but `waiting`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    /// Messages that were sent.
    pub(super) sent: u64,
    /// Those of them that told of several events.
    pub(super) digests: u64,
    /// Attempts that failed.
    pub(super) failed: u64,
    /// Events that nobody was told of.
    pub(super) dropped: u64,
    /// Events that wait now.
    pub(super) waiting: u64,
}

/// A limit of messages: so many at once, and again one for each share of the time.
#[derive(Debug)]
struct Bucket {
    most: u32,
    each: Duration,
    tokens: u32,
    /// Since when the next token grows.
    since: Instant,
}

impl Bucket {
    fn fill(&mut self, now: Instant) {
        while self.tokens < self.most && now.saturating_duration_since(self.since) >= self.each {
            self.tokens += 1;
            self.since += self.each;
        }
    }

    fn take(&mut self, now: Instant) {
        if self.tokens == self.most {
            self.since = now;
        }
        self.tokens = self.tokens.saturating_sub(1);
    }
}

/// A message on its way.
#[derive(Debug)]
struct Hand {
    letter: Letter,
    /// The newest entry of the journal that it tells of.
    through: Option<i64>,
    since: Instant,
    /// When it is tried (again).
    due: Instant,
}

/// What waits for one notifier.
#[derive(Debug)]
pub(super) struct Outbox {
    /// With their numbers in the journal.
    waiting: VecDeque<(AlarmEvent, Option<i64>)>,
    /// Events for which there was no room.
    beyond: Digest,
    /// The newest number of all that was put in.
    newest: Option<i64>,
    /// Up to this entry of the journal everything was told or given up.
    through: Option<i64>,
    bucket: Bucket,
    hand: Option<Hand>,
    backoff: Backoff,
    counts: Counts,
}

impl Outbox {
    /// Empty, with all tokens.
    pub(super) fn new(messages: u32, within: Duration, now: Instant) -> Self {
        let each = within / messages.max(1);
        Self {
            waiting: VecDeque::new(),
            beyond: Digest::default(),
            newest: None,
            through: None,
            bucket: Bucket { most: messages.max(1), each, tokens: messages.max(1), since: now },
            hand: None,
            backoff: Backoff::new(PAUSE.0, PAUSE.1),
            counts: Counts::default(),
        }
    }

    /// Leaves an event to be told, with its number in the journal.
    pub(super) fn put(&mut self, event: &AlarmEvent, entry: Option<i64>) {
        self.newest = entry.or(self.newest);
        match self.waiting.len() < MAX_WAITING {
            true => self.waiting.push_back((event.clone(), entry)),
            false => self.beyond.add(event),
        }
    }

    /// What is to be sent now; or when to ask again, if nothing else happens.
    pub(super) fn take(&mut self, now: Instant) -> Result<Letter, Option<Instant>> {
        if let Some(hand) = &self.hand {
            return if hand.due <= now { Ok(hand.letter.clone()) } else { Err(Some(hand.due)) };
        }
        if self.waiting.is_empty() {
            return Err(None);
        }
        self.bucket.fill(now);
        if self.bucket.tokens == 0 {
            return Err(Some(self.bucket.since + self.bucket.each));
        }
        let (letter, through) = self.next();
        self.bucket.take(now);
        self.hand = Some(Hand { letter: letter.clone(), through, since: now, due: now });
        Ok(letter)
    }

    /// One event while all that waits can be told one by one, else everything.
    fn next(&mut self) -> (Letter, Option<i64>) {
        let many = self.beyond.events() > 0 || self.waiting.len() > self.bucket.tokens as usize;
        match self.waiting.pop_front() {
            Some((event, entry)) if !many || (self.waiting.is_empty() && self.beyond.events() == 0) => {
                (Letter::One(Box::new(event)), entry)
            }
            first => {
                let mut digest = Digest::default();
                first.iter().chain(&self.waiting).for_each(|(event, _)| digest.add(event));
                self.waiting.clear();
                digest.absorb(std::mem::take(&mut self.beyond));
                (Letter::Many(Box::new(digest)), self.newest)
            }
        }
    }

    /// The message has arrived.
    pub(super) fn sent(&mut self) {
        let Some(hand) = self.hand.take() else { return };
        self.through = hand.through.or(self.through);
        self.backoff.reset();
        self.counts.sent += 1;
        self.counts.digests += u64::from(matches!(hand.letter, Letter::Many(_)));
    }

    /// The message has not arrived. `lasting` says that it never will. `true` when it was dropped; `random` is uniform in 0 … 1.
    pub(super) fn failed(&mut self, lasting: bool, random: f64, now: Instant) -> bool {
        self.counts.failed += 1;
        let Some(hand) = &mut self.hand else { return false };
        hand.due = now + self.backoff.pause(random);
        let drop = lasting || now.saturating_duration_since(hand.since) >= MAX_AGE;
        if drop {
            self.counts.dropped += hand.letter.events();
            self.through = hand.through.or(self.through);
            self.hand = None;
        }
        drop
    }

    /// Up to which entry of the journal everything that was put in was told or given up.
    pub(super) const fn through(&self) -> Option<i64> {
        self.through
    }

    /// What was counted, and what waits.
    pub(super) fn counts(&self) -> Counts {
        let hand = self.hand.as_ref().map_or(0, |hand| hand.letter.events());
        Counts { waiting: hand + self.waiting.len() as u64 + self.beyond.events(), ..self.counts }
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
