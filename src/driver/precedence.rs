//! Writes go ahead of polls, and still a flood of them blinds nobody.
//!
//! Pure; the owner of a channel asks before each of its turns. Absent: which poll it is, which is `schedule`'s.

use std::time::Instant;

use super::{WriteJob, WriteQueue};

/// After so many writes one poll that is due goes first, so that a flood of commands blinds nobody.
const MAX_WRITES_IN_ROW: u32 = 16;

/// How many writes have gone first.
#[derive(Debug, Default)]
pub struct Precedence {
    in_row: u32,
}

impl Precedence {
    /// The write that goes now; `None` when there is none, or when it is a poll's turn. `due` says that one waits.
    pub fn next_write(&mut self, writes: &WriteQueue, now: Instant, due: bool) -> Option<WriteJob> {
        let crowded = self.in_row >= MAX_WRITES_IN_ROW && due;
        let job = if crowded { None } else { writes.pop(now) };
        self.in_row = if job.is_some() { self.in_row.saturating_add(1) } else { 0 };
        job
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;
    use crate::model::{CommandId, PointId, Value};

    #[test]
    fn after_many_writes_a_poll_that_is_due_goes_first_once() {
        let (queue, now) = (WriteQueue::default(), Instant::now());
        for point in 0..40 {
            let (reply, _) = oneshot::channel();
            let (id, point, deadline) = (CommandId(0), PointId(point), now + Duration::from_secs(1));
            queue.push(WriteJob { id, point, setpoint: Value::Bool(true), deadline, reply: reply.into() });
        }
        let mut precedence = Precedence::default();
        let mut next = |due| precedence.next_write(&queue, now, due).is_some();
        assert!((0..MAX_WRITES_IN_ROW).all(|_| next(true)));
        assert!(!next(true), "a poll has waited for all of them");
        assert!((0..MAX_WRITES_IN_ROW).all(|_| next(true)));
        assert!(next(false), "no poll waits");
    }
}
