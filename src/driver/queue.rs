//! The queue in front of a channel in which writes wait, ahead of polls.
//!
//! Writes wait in lanes by how much they count; the first lane goes first. Invariants: at most one write per
//! point waits; a newer setpoint takes the older one's place and the older one is told so. Every lane has room
//! of its own, so that however many remote commands come, a write of an alarm finds its place. Every job is
//! answered exactly once, also when the queue is dropped.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, oneshot};

use super::heartbeat::Heartbeat;
use crate::model::{CommandId, Outcome, PointId, Stage, Value};

/// The most writes that wait in one lane of one channel.
pub const MAX_WAITING: usize = 256;

/// How many lanes there are: one for every class of `model::ControlClass`.
pub const LANES: usize = 5;

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
    pub reply: Reply,
}

/// Where a job's stages and its outcome go.
pub struct Reply {
    outcome: oneshot::Sender<Outcome>,
    stages: Option<Box<dyn Fn(Stage) + Send + Sync>>,
}

impl Reply {
    /// A reply that also tells how far the job has come. `stages` is called in line and must not block.
    #[must_use]
    pub fn with_stages(
        outcome: oneshot::Sender<Outcome>,
        stages: impl Fn(Stage) + Send + Sync + 'static,
    ) -> Self {
        Self { outcome, stages: Some(Box::new(stages)) }
    }

    fn tell(&self, stage: Stage) {
        if let Some(stages) = &self.stages {
            stages(stage);
        }
    }
}

impl From<oneshot::Sender<Outcome>> for Reply {
    fn from(outcome: oneshot::Sender<Outcome>) -> Self {
        Self { outcome, stages: None }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

impl WriteJob {
    /// Ends the job. A receiver that has gone away does not matter.
    pub fn finish(self, outcome: Outcome) {
        let _ = self.reply.outcome.send(outcome);
    }

    /// The device has acknowledged the write, which is yet to be read back.
    pub fn confirmed(&self) {
        self.reply.tell(Stage::Confirmed);
    }
}

/// The waiting writes of one channel.
#[derive(Debug, Default)]
pub struct WriteQueue {
    lanes: Mutex<[VecDeque<WriteJob>; LANES]>,
    wake: Notify,
    /// The sign of life of whoever fills it.
    pub heartbeat: Heartbeat,
}

impl WriteQueue {
    /// Puts a write in the last lane; see [`Self::push_in`].
    pub fn push(&self, job: WriteJob) {
        self.push_in(LANES - 1, job);
    }

    /// Puts a write in a lane, 0 the first; those beyond the last count as it. Supersedes a waiting one for the same
    /// point, keeping its place where that was in the same lane.
    pub fn push_in(&self, lane: usize, job: WriteJob) {
        let lane = lane.min(LANES - 1);
        let mut lanes = self.lanes();
        let older = lanes.iter_mut().enumerate().find_map(|(own, jobs)| {
            let place = jobs.iter().position(|waiting| waiting.point == job.point)?;
            Some((own, place))
        });
        if let Some((own, place)) = older.filter(|(own, _)| *own == lane) {
            let older = std::mem::replace(&mut lanes[own][place], job);
            drop(lanes);
            older.finish(Outcome::Superseded);
        } else if lanes[lane].len() >= MAX_WAITING {
            drop(lanes);
            job.finish(Outcome::Failed(format!("{MAX_WAITING} writes wait for this channel already")));
            return;
        } else {
            let older = older.and_then(|(own, place)| lanes[own].remove(place));
            lanes[lane].push_back(job);
            drop(lanes);
            if let Some(older) = older {
                older.finish(Outcome::Superseded);
            }
        }
        self.wake.notify_one();
    }

    /// The next write that is still in time; those whose deadline has passed are told so.
    pub fn pop(&self, now: Instant) -> Option<WriteJob> {
        loop {
            let job = self.lanes().iter_mut().find_map(VecDeque::pop_front)?;
            if now < job.deadline {
                job.reply.tell(Stage::OnWire);
                return Some(job);
            }
            job.finish(Outcome::Expired);
        }
    }

    /// Ends the waiting write for this point, if there is one, without writing it.
    pub fn withdraw(&self, point: PointId, outcome: impl FnOnce() -> Outcome) {
        let withdrawn = self.lanes().iter_mut().find_map(|jobs| {
            let place = jobs.iter().position(|waiting| waiting.point == point)?;
            jobs.remove(place)
        });
        if let Some(job) = withdrawn {
            job.finish(outcome());
        }
    }

    /// Ends every waiting write without writing it.
    pub fn refuse_all(&self, reason: &str) {
        let lanes = std::mem::take(&mut *self.lanes());
        for job in lanes.into_iter().flatten() {
            job.finish(Outcome::Failed(reason.to_owned()));
        }
    }

    /// Waits until [`Self::push`] has been called since the last wait. May wake without a job.
    pub async fn pushed(&self) {
        self.wake.notified().await;
    }

    fn lanes(&self) -> MutexGuard<'_, [VecDeque<WriteJob>; LANES]> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::model::control::tests::histories;

    fn job(point: u32, value: i64, deadline: Instant) -> (WriteJob, oneshot::Receiver<Outcome>) {
        let (reply, outcome) = oneshot::channel();
        let setpoint = Value::Int(value);
        (
            WriteJob { id: CommandId(0), point: PointId(point), setpoint, deadline, reply: reply.into() },
            outcome,
        )
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

    #[test]
    fn a_flood_of_remote_commands_never_keeps_an_alarm_out_or_waiting() {
        let queue = WriteQueue::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let flood: Vec<_> = (0..2 * MAX_WAITING)
            .map(|point| {
                let (job, outcome) = job(u32::try_from(point).unwrap(), 1, later);
                queue.push(job);
                outcome
            })
            .collect();
        let (alarm, mut outcome) = job(9999, 5, later);
        queue.push_in(2, alarm);
        // A write of the interlock for an output that a remote command waits for takes that command's place.
        let (interlock, _outcome) = job(7, 6, later);
        queue.push_in(0, interlock);
        assert!(outcome.try_recv().is_err(), "it waits");
        assert_eq!(queue.pop(now).unwrap().setpoint, Value::Int(6));
        assert_eq!(queue.pop(now).unwrap().setpoint, Value::Int(5));
        let mut counted = [0; 3];
        for mut outcome in flood {
            counted[match outcome.try_recv() {
                Ok(Outcome::Failed(_)) => 0,
                Ok(Outcome::Superseded) => 1,
                _ => 2,
            }] += 1;
        }
        assert_eq!(counted, [MAX_WAITING, 1, MAX_WAITING - 1]);
    }

    #[test]
    fn a_write_that_is_withdrawn_is_told_why() {
        let queue = WriteQueue::default();
        let now = Instant::now();
        let (waiting, mut outcome) = job(1, 1, now + Duration::from_secs(1));
        queue.push_in(2, waiting);
        let refuse = || Outcome::Rejected("interlock".into());
        queue.withdraw(PointId(2), refuse);
        assert!(outcome.try_recv().is_err());
        queue.withdraw(PointId(1), refuse);
        assert_eq!(outcome.try_recv(), Ok(refuse()));
        assert!(queue.pop(now).is_none());
    }

    #[test]
    fn how_far_a_job_has_come_is_told() {
        let queue = WriteQueue::default();
        let now = Instant::now();
        let (sender, mut outcome) = oneshot::channel();
        let (told, stages) = std::sync::mpsc::channel();
        let reply = Reply::with_stages(sender, move |stage| told.send(stage).unwrap());
        let deadline = now + Duration::from_secs(1);
        let (id, point, setpoint) = (CommandId(0), PointId(1), Value::Int(1));
        queue.push(WriteJob { id, point, setpoint, deadline, reply });
        assert!(stages.try_recv().is_err());
        let job = queue.pop(now).unwrap();
        assert_eq!(stages.try_recv(), Ok(Stage::OnWire));
        job.confirmed();
        assert_eq!(stages.try_recv(), Ok(Stage::Confirmed));
        job.finish(Outcome::Confirmed);
        assert_eq!(outcome.try_recv(), Ok(Outcome::Confirmed));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: histories(1_000, 100), ..ProptestConfig::default() })]

        /// A thousand histories of up to 200 steps, or as many as are asked for.
        #[test]
        fn no_write_leaves_after_its_deadline_and_each_is_answered_once(
            steps in prop::collection::vec((0u8..4, 0u32..12, 0usize..LANES, 0u64..50), 0..200)
        ) {
            let (queue, start) = (WriteQueue::default(), Instant::now());
            let (mut now, mut outcomes, mut left) = (start, Vec::new(), 0);
            let mut waiting: Vec<(u32, usize)> = Vec::new();
            for (what, point, lane, ms) in steps {
                let span = Duration::from_millis(ms);
                match what {
                    0 | 1 => {
                        let (job, outcome) = job(point, 0, now + span);
                        queue.push_in(lane, job);
                        outcomes.push(outcome);
                        waiting.retain(|own| own.0 != point);
                        waiting.push((point, lane));
                    }
                    2 => now += span,
                    _ => {
                        let Some(job) = queue.pop(now) else {
                            waiting.clear();
                            continue;
                        };
                        prop_assert!(now < job.deadline);
                        let own = waiting.iter().find(|own| own.0 == job.point.0).copied();
                        let own = own.expect("it was given and not superseded");
                        // What was ahead of it in its lane or before has been too late.
                        waiting.retain(|other| other.1 >= own.1 && other.0 != own.0);
                        left += 1;
                        job.finish(Outcome::Confirmed);
                    }
                }
            }
            queue.refuse_all("over");
            let mut confirmed = 0;
            for mut outcome in outcomes {
                let outcome = outcome.try_recv();
                prop_assert!(outcome.is_ok(), "{:?}", outcome);
                confirmed += u32::from(outcome == Ok(Outcome::Confirmed));
            }
            prop_assert_eq!(confirmed, left);
        }
    }
}
