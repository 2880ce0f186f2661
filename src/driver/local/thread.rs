//! The one thread of a bus: it takes one access at a time and answers each.
//!
//! The thread ends by itself when its [`Worker`] is dropped; one that hangs in the kernel at that moment
//! ends when the kernel lets it go, and nothing waits for it. Invariant: a bus never has two accesses under
//! way, so a device that hangs costs one thread and not one more with every try.

use std::io;
use std::sync::mpsc;
use std::time::Instant;

use tokio::sync::mpsc as answers;

use super::bench::{Bench, Fault, Step};
use crate::model::Value;

/// What the bus is asked for.
#[derive(Debug)]
pub(super) enum Ask {
    /// Points of a device.
    Read { device: usize, points: Vec<usize> },
    /// A write that may not begin after its deadline.
    Write { device: usize, point: usize, raw: Value, deadline: Instant },
}

/// What came of it.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Read(Step),
    Write(Result<(), Fault>),
}

/// A bus's thread, from the owner's side.
pub(super) struct Worker {
    asks: mpsc::Sender<Ask>,
    answers: answers::Receiver<Answer>,
}

impl Worker {
    /// Starts the thread with its bench.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(name: &str, mut bench: Box<dyn Bench>) -> io::Result<Self> {
        let (asks, taken) = mpsc::channel::<Ask>();
        let (give, answers) = answers::channel(1);
        let work = move || {
            while let Ok(ask) = taken.recv() {
                let answer = match ask {
                    Ask::Read { device, points } => Answer::Read(bench.read(device, &points)),
                    Ask::Write { deadline, .. } if Instant::now() >= deadline => {
                        Answer::Write(Err(Fault::Expired))
                    }
                    Ask::Write { device, point, raw, .. } => Answer::Write(bench.write(device, point, &raw)),
                };
                if give.blocking_send(answer).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name(format!("bus {name}")).spawn(work)?;
        Ok(Self { asks, answers })
    }

    /// Hands in an access; its answer comes from [`Self::answer`] and must be taken before the next.
    pub(super) fn ask(&self, ask: Ask) {
        // A thread that has ended shows in the answer.
        let _ = self.asks.send(ask);
    }

    /// The answer to what was asked; `None` when the thread has failed. Can be given up and called again.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        self.answers.recv().await
    }
}
