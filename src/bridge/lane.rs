//! What is sent next: in order of publication, or live messages first with a bounded stream of older ones beside them.
//!
//! Pure but for the reader's own I/O. With `live-first`, what had gathered when the link came up is a stretch of its
//! own that is filled in at a bounded rate and marked as historical; within each lane messages keep their order.
//! Invariant: every number is handed out once per run, and the cursor never passes one that was not passed here.

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use super::backlog::{Backlog, Item, Place, Reader};
use super::config::Backfill;
use super::pace::Purse;

/// How many stretches may wait to be filled in; beyond that, what gathers in another outage is sent as if it were live.
const MAX_STRETCHES: usize = 64;

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Published while the link was up, or all messages when the oldest go first.
    Live,
    /// Published before, and sent beside what is live.
    Historical,
}

/// Hands out what waits.
pub(crate) struct Feed {
    live: Box<dyn Reader>,
    /// Behind what was passed in the live lane.
    live_passed: Place,
    older: VecDeque<Stretch>,
    purse: Option<Purse>,
}

/// Older messages between two places.
struct Stretch {
    reader: Box<dyn Reader>,
    end: Place,
    passed: Place,
}

/// What there is to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This.
    Item(Lane, Item),
    /// Something historical, but not before this moment.
    Later(Instant),
    /// Nothing.
    Nothing,
}

impl Feed {
    /// Goes on at the backlog's cursor.
    pub(crate) fn new(backlog: &dyn Backlog, backfill: Backfill) -> Self {
        let from = backlog.cursor();
        let purse = match backfill {
            Backfill::OldestFirst => None,
            Backfill::LiveFirst(live) => Some(Purse::smooth(live.rate.0.into())),
        };
        Self { live: backlog.reader(from), live_passed: from, older: VecDeque::new(), purse }
    }

    /// The link is up: what gathered until now is older than what comes.
    pub(crate) fn link_up(&mut self, backlog: &dyn Backlog) {
        let (from, end) = (self.live.place(), backlog.end());
        if self.purse.is_none() || from.seq >= end.seq || self.older.len() >= MAX_STRETCHES {
            return;
        }
        let reader = std::mem::replace(&mut self.live, backlog.reader(end));
        // What is still on its way in the live lane belongs to the stretch's beginning: it is passed there.
        let passed = std::mem::replace(&mut self.live_passed, end);
        self.older.push_back(Stretch { reader, end, passed });
    }

    /// What is to be sent next.
    pub(crate) fn next(&mut self, now: Instant, room_for_older: bool) -> io::Result<Next> {
        if let Some(item) = self.live.next()? {
            return Ok(Next::Item(Lane::Live, item));
        }
        let (Some(purse), true) = (&mut self.purse, room_for_older) else { return Ok(Next::Nothing) };
        for stretch in &mut self.older {
            if stretch.reader.place().seq >= stretch.end.seq {
                continue;
            }
            if let Err(at) = purse.ready(1, now) {
                return Ok(Next::Later(at));
            }
            if let Some(mut item) = stretch.reader.next()? {
                purse.spend(1);
                clip(&mut item, stretch.end);
                return Ok(Next::Item(Lane::Historical, item));
            }
        }
        Ok(Next::Nothing)
    }

    /// Whether no stretch ends between two numbers: only then may they be passed as one.
    pub(crate) fn is_one_stretch(&self, first: u64, second: u64) -> bool {
        !self.older.iter().any(|stretch| first < stretch.end.seq && stretch.end.seq <= second)
    }

    /// The place of what is live and comes next.
    pub(crate) fn live_place(&self) -> Place {
        self.live.place()
    }

    /// What was handed out is acknowledged up to the place behind it. Returns how far everything is.
    pub(crate) fn pass(&mut self, lane: Lane, number: u64, after: Place) -> Place {
        let stretch =
            self.older.iter_mut().find(|stretch| number < stretch.end.seq && number >= stretch.passed.seq);
        match stretch {
            Some(stretch) => stretch.passed = stretch.passed.max(after.min(stretch.end)),
            None if lane == Lane::Live => self.live_passed = self.live_passed.max(after),
            None => {}
        }
        while self.older.front().is_some_and(|stretch| stretch.passed.seq >= stretch.end.seq) {
            self.older.pop_front();
        }
        self.older.front().map_or(self.live_passed, |stretch| stretch.passed)
    }

    /// Whether older messages wait.
    #[cfg(test)]
    pub(crate) fn is_filling_in(&self) -> bool {
        !self.older.is_empty()
    }
}

/// A gap may reach beyond the end of its stretch.
fn clip(item: &mut Item, end: Place) {
    if let (super::backlog::What::Gap(count, _), true) = (&mut item.what, item.after.seq > end.seq) {
        *count = end.seq - item.seq;
        item.after = end;
    }
}

#[cfg(test)]
mod tests;
