//! The queue in front of a channel in which writes wait, ahead of polls.
//!
//! Invariant: at most one write per point waits; a newer setpoint takes the older one's place and the
//! older one is told so. Every job is answered exactly once, also when the queue is dropped.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, oneshot};

use crate::model::{CommandId, Outcome, PointId, Value};

/// The most writes that wait for one channel.
pub const MAX_WAITING: usize = 256;

/// A write on its way to a channel's owner task.
#[derive(Debug)]
pub struct WriteJob {
    /// Which command this serves.
    pub id: CommandId,
    /// Which output.
    pub point: PointId,
    /// The setpoint in engineering units; it has passed the point's checks.
    pub setpoint: Value,
    /// After this moment no byte of the write may go to the wire.
    pub deadline: Instant,
    /// Where the outcome goes.
    pub reply: oneshot::Sender<Outcome>,
}

impl WriteJob {
    /// Ends the job. A receiver that has gone away does not matter.
    pub fn finish(self, outcome: Outcome) {
        let _ = self.reply.send(outcome);
    }
}

/// The waiting writes of one channel.
#[derive(Debug, Default)]
pub struct WriteQueue {
    jobs: Mutex<VecDeque<WriteJob>>,
    wake: Notify,
}

impl WriteQueue {
    /// Puts a write in line. Supersedes a waiting one for the same point, keeping its place.
    pub fn push(&self, job: WriteJob) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = jobs.iter_mut().find(|waiting| waiting.point == job.point) {
            let older = std::mem::replace(waiting, job);
            drop(jobs);
            older.finish(Outcome::Superseded);
        } else if jobs.len() >= MAX_WAITING {
            drop(jobs);
            job.finish(Outcome::Failed(format!("{MAX_WAITING} writes wait for this channel already")));
            return;
        } else {
            jobs.push_back(job);
        }
        self.wake.notify_one();
    }

    /// The next write that is still in time; those whose deadline has passed are told so.
    pub fn pop(&self, now: Instant) -> Option<WriteJob> {
        loop {
            let job = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front()?;
            if now < job.deadline {
                return Some(job);
            }
            job.finish(Outcome::Expired);
        }
    }

    /// Ends every waiting write without writing it.
    pub fn refuse_all(&self, reason: &str) {
        let jobs = std::mem::take(&mut *self.jobs.lock().unwrap_or_else(PoisonError::into_inner));
        for job in jobs {
            job.finish(Outcome::Failed(reason.to_owned()));
        }
    }

    /// Waits until [`Self::push`] has been called since the last wait. May wake without a job.
    pub async fn pushed(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn job(point: u32, value: i64, deadline: Instant) -> (WriteJob, oneshot::Receiver<Outcome>) {
        let (reply, outcome) = oneshot::channel();
        let setpoint = Value::Int(value);
        (WriteJob { id: CommandId(0), point: PointId(point), setpoint, deadline, reply }, outcome)
    }

    #[test]
    fn a_newer_setpoint_takes_the_place_of_the_waiting_one() {
        let queue = WriteQueue::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let (first, mut first_outcome) = job(1, 1, later);
        let (other, _other_outcome) = job(2, 5, later);
        let (second, _second_outcome) = job(1, 2, later);
        queue.push(first);
        queue.push(other);
        queue.push(second);
        assert_eq!(first_outcome.try_recv(), Ok(Outcome::Superseded));
        assert_eq!(queue.pop(now).unwrap().setpoint, Value::Int(2));
        assert_eq!(queue.pop(now).unwrap().setpoint, Value::Int(5));
        assert!(queue.pop(now).is_none());
    }

    #[test]
    fn an_expired_write_never_leaves_the_queue() {
        let queue = WriteQueue::default();
        let now = Instant::now();
        let (late, mut outcome) = job(1, 1, now);
        queue.push(late);
        assert!(queue.pop(now).is_none());
        assert_eq!(outcome.try_recv(), Ok(Outcome::Expired));
    }

    #[test]
    fn a_full_queue_refuses_and_says_so() {
        let queue = WriteQueue::default();
        let later = Instant::now() + Duration::from_secs(1);
        for point in 0..MAX_WAITING {
            queue.push(job(u32::try_from(point).unwrap(), 0, later).0);
        }
        let (one_more, mut outcome) = job(9999, 0, later);
        queue.push(one_more);
        assert!(matches!(outcome.try_recv(), Ok(Outcome::Failed(_))));
    }
}
