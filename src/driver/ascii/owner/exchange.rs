//! One question and its answer, and lines that come unasked.
//!
//! Invariants: nothing that came before a question is taken for its answer; after a question without answer
//! the line is left alone for as long again, so that a late answer is not taken for that of the next one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Owner;
use crate::driver::ascii::Source;
use crate::driver::ascii::config::{DeviceConfig, Terminator};
use crate::driver::ascii::wire::{Said, decode, encode};
use crate::driver::text::Reply;
use crate::model::{Reading, Reason};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// Nothing came in time.
    #[error("no answer")]
    Timeout,
    /// The port is gone.
    #[error("the port is gone: {0}")]
    Lost(String),
    /// What came cannot be understood.
    #[error("the answer cannot be read: {0}")]
    Noise(&'static str),
    /// One of the instrument's error texts.
    #[error("the instrument answers `{0}`")]
    Error(String),
    /// The instrument has no time.
    #[error("the instrument is busy")]
    Busy,
    /// The moment for a write was over before it was sent.
    #[error("too late")]
    Expired,
    /// The alphabet of the instrument lacks a character.
    #[error("its charset lacks a character of the text")]
    Unsendable,
}

/// What is asked, and how.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) device: usize,
    pub(super) text: &'a str,
    /// Whether there is an answer.
    pub(super) answered: bool,
    /// No byte may leave after this moment.
    pub(super) before: Option<Instant>,
}

impl Failure {
    /// What a reading is bad for.
    pub(super) const fn reason(&self) -> Reason {
        match self {
            Self::Timeout | Self::Expired => Reason::Timeout,
            Self::Lost(_) => Reason::NoConnection,
            Self::Noise(_) => Reason::MalformedReply,
            Self::Error(_) | Self::Unsendable => Reason::ErrorReply,
            Self::Busy => Reason::Busy,
        }
    }
}

impl Owner {
    /// One exchange with everything that it teaches. The text is empty when no answer was to come.
    pub(super) async fn ask(&mut self, question: Question<'_>) -> Result<Reply, Failure> {
        self.leave_alone().await?;
        let begun = self.context.clock.mono();
        let result = self.exchange(question).await;
        let took = self.context.clock.mono().saturating_duration_since(begun);
        self.context.stats.add_busy(took);
        let stats = &self.context.stats.devices[question.device];
        let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        match &result {
            Err(Failure::Expired | Failure::Unsendable) => return result.map(Reply::new),
            Err(Failure::Timeout) => add(&stats.timeouts),
            Err(Failure::Noise(_)) => add(&stats.malformed),
            Err(Failure::Error(_) | Failure::Busy) => add(&stats.exceptions),
            Ok(_) | Err(Failure::Lost(_)) => 0,
        };
        add(&stats.requests);
        match &result {
            Ok(_) | Err(Failure::Error(_) | Failure::Busy) => {
                stats.record_round_trip(took);
                if question.answered {
                    self.answered(question.device);
                }
            }
            Err(Failure::Lost(reason)) => self.closed(&reason.clone()),
            Err(_) => {
                self.lines.clear();
                self.late_until = Some(self.context.clock.mono() + self.plan.transport.timeout().0);
                self.silent(question.device);
            }
        }
        result.map(Reply::new)
    }

    async fn exchange(&mut self, question: Question<'_>) -> Result<String, Failure> {
        let plan = std::sync::Arc::clone(&self.plan);
        let device = &plan.devices[question.device].config;
        let bytes = encode(device, question.text).ok_or(Failure::Unsendable)?;
        let timeout = plan.transport.timeout().0;
        self.swallow(Duration::ZERO).await?;
        if let Some(wake_up) = &device.wake_up {
            self.send(wake_up.as_bytes(), timeout).await?;
            self.swallow(device.wake_up_pause.0).await?;
        }
        if question.before.is_some_and(|moment| self.context.clock.mono() >= moment) {
            return Err(Failure::Expired);
        }
        self.send(&bytes, timeout).await?;
        let answer = match question.answered {
            true => self.answer(device, question.text, self.context.clock.mono() + timeout).await,
            false => Ok(String::new()),
        };
        tokio::time::sleep(plan.transport.pause().0).await;
        answer
    }

    async fn send(&mut self, bytes: &[u8], timeout: Duration) -> Result<(), Failure> {
        let Some(link) = &mut self.link else { return Err(Failure::Lost("it is not open".into())) };
        match tokio::time::timeout(timeout, link.send(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::Lost(error.to_string())),
            Err(_) => Err(Failure::Lost("it takes no bytes".into())),
        }
    }

    /// The next line that is an answer.
    async fn answer(
        &mut self,
        device: &DeviceConfig,
        asked: &str,
        until: Instant,
    ) -> Result<String, Failure> {
        let mut echo = device.echoes;
        loop {
            let line = self.line(device.terminator, device.silence(), until).await?;
            if std::mem::take(&mut echo) && line == asked.as_bytes() {
                continue;
            }
            if self.take_unasked(&line, true) {
                continue;
            }
            return match decode(device, &line) {
                Said::Text(text) => Ok(text),
                Said::Error(text) => Err(Failure::Error(text)),
                Said::Busy => Err(Failure::Busy),
                Said::Noise(reason) => Err(Failure::Noise(reason)),
            };
        }
    }

    /// Waits for a whole line.
    async fn line(
        &mut self,
        terminator: Terminator,
        silence: Duration,
        until: Instant,
    ) -> Result<Vec<u8>, Failure> {
        loop {
            if let Some(line) = self.lines.next(terminator) {
                return Ok(line);
            }
            let quiet = terminator == Terminator::Silence && !self.lines.is_empty();
            let patience = if quiet { (self.context.clock.mono() + silence).min(until) } else { until };
            let Some(link) = &mut self.link else { return Err(Failure::Lost("it is not open".into())) };
            match tokio::time::timeout_at(patience.into(), link.receive()).await {
                Ok(Ok(bytes)) => self.lines.push(&bytes),
                Ok(Err(error)) => return Err(Failure::Lost(error.to_string())),
                Err(_) if quiet => {
                    if let Some(line) = self.lines.silence() {
                        return Ok(line);
                    }
                }
                Err(_) if self.lines.is_empty() => return Err(Failure::Timeout),
                Err(_) => return Err(Failure::Noise("the line does not end")),
            }
            if self.context.clock.mono() >= until && terminator != Terminator::Silence {
                // What came with the last bytes counts, and nothing after them.
                return self.lines.next(terminator).ok_or(Failure::Timeout);
            }
        }
    }

    /// Lets the time pass in which a late answer may come.
    async fn leave_alone(&mut self) -> Result<(), Failure> {
        let Some(until) = self.late_until.take() else { return Ok(()) };
        let left = until.saturating_duration_since(self.context.clock.mono());
        let swallowed = self.swallow(left).await;
        if let Err(Failure::Lost(reason)) = &swallowed {
            self.closed(reason);
        }
        swallowed
    }

    /// Takes what comes for so long; only who listens gets something of it.
    async fn swallow(&mut self, time: Duration) -> Result<(), Failure> {
        let until = self.context.clock.mono() + time;
        loop {
            let Some(link) = &mut self.link else { return Err(Failure::Lost("it is not open".into())) };
            match tokio::time::timeout_at(until.into(), link.receive()).await {
                Ok(Ok(bytes)) => self.heard(&bytes).await,
                Ok(Err(error)) => return Err(Failure::Lost(error.to_string())),
                Err(_) => return Ok(()),
            }
        }
    }

    /// Bytes that nobody asked for.
    pub(super) async fn heard(&mut self, bytes: &[u8]) {
        let Some((terminator, silence)) = self.listens else { return };
        self.lines.push(bytes);
        while let Some(line) = self.lines.next(terminator) {
            self.take_unasked(&line, false);
        }
        if terminator == Terminator::Silence {
            let until = self.context.clock.mono() + self.plan.transport.timeout().0;
            if let Ok(line) = Box::pin(self.line(terminator, silence, until)).await {
                self.take_unasked(&line, false);
            }
        }
    }

    /// Gives a line to the points that listen for it; while an answer is awaited, only to those that know
    /// how theirs begin. False when it is nobody's.
    fn take_unasked(&mut self, line: &[u8], awaiting: bool) -> bool {
        let plan = std::sync::Arc::clone(&self.plan);
        let at = self.context.clock.stamp();
        let mut taken = false;
        for (place, device) in plan.devices.iter().enumerate() {
            let Said::Text(text) = decode(&device.config, line) else { continue };
            let reply = Reply::new(text);
            let before = self.readings.len();
            for point in &device.points {
                let Source::Listen(begin) = &point.wiring.source else { continue };
                if (awaiting && begin.is_empty()) || !reply.text().starts_with(begin.trim()) {
                    continue;
                }
                let (value, quality) = match point.wiring.extract.value(&reply) {
                    Ok(raw) => point.conversion.apply(&raw),
                    Err(reason) => (None, crate::model::Quality::Bad(reason)),
                };
                self.readings.push(Reading { point: point.id, value, quality, at });
            }
            if self.readings.len() > before {
                taken = true;
                self.answered(place);
            }
        }
        self.flush();
        taken
    }
}
