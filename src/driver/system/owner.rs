//! The task that reads the box's figures, each in its period.
//!
//! Files of /proc and /sys are answered by the kernel at once; a disk may hang, so all reading is done off the
//! runtime. Invariant: a figure whose reading hangs is not read again before that has ended, so no threads gather.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::read::{CpuTime, Reader};
use super::{Plan, Point};
use crate::driver::schedule::{Schedule, Turn};
use crate::driver::{ChannelContext, LinkState};
use crate::model::{Outcome, Quality, Reading, Reason, Value};

/// How long a figure may take: past this the disk that it is about hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// No figure is worth more readings than these.
const SHORTEST: Duration = Duration::from_millis(100);

/// Reads until the channel is told to stop.
pub(super) async fn run(plan: Arc<Plan>, context: ChannelContext) {
    let points: Vec<(usize, &Point)> = plan
        .devices
        .iter()
        .enumerate()
        .flat_map(|(at, device)| device.points.iter().map(move |p| (at, p)))
        .collect();
    let periods: Vec<Duration> = points.iter().map(|(_, point)| point.poll.max(SHORTEST)).collect();
    let mut schedule = Schedule::default();
    schedule.add_spread(&periods, context.clock.mono());
    let mut memories: Vec<Memory> = points.iter().map(|_| Memory::default()).collect();
    context.stats.link.set(LinkState::Online);
    for device in &context.stats.devices {
        device.link.set(LinkState::Online);
    }
    while !context.shutdown.is_cancelled() {
        let begun = context.clock.mono();
        match schedule.next(begun) {
            Turn::Run(id) => {
                let (device, point) = points[id.index()];
                let result = tokio::select! {
                    result = read(&plan.root, point, &mut memories[id.index()]) => result,
                    () = context.shutdown.cancelled() => return,
                };
                publish(&context, device, point, result);
                let missed = schedule.done(id, begun, context.clock.mono());
                context.stats.missed_polls.fetch_add(missed, Ordering::Relaxed);
            }
            Turn::Wait(until) => context.rest(Some(until)).await,
            Turn::Idle => context.rest(None).await,
        }
        while let Some(job) = context.writes.pop(context.clock.mono()) {
            job.finish(Outcome::Rejected("a figure of the box cannot be written".into()));
        }
    }
}

type Done = (Result<Value, Reason>, Option<CpuTime>);

/// What is known of a figure besides its last reading.
#[derive(Default)]
struct Memory {
    time: Option<CpuTime>,
    /// A reading that did not end in time.
    hung: Option<JoinHandle<Done>>,
}

async fn read(root: &Path, point: &Point, memory: &mut Memory) -> Result<Value, Reason> {
    if memory.hung.take_if(|reading| reading.is_finished()).is_none() && memory.hung.is_some() {
        return Err(Reason::Timeout);
    }
    let (root, figure, mut time) = (root.to_path_buf(), point.figure.clone(), memory.time);
    let mut reading = tokio::task::spawn_blocking(move || {
        let result = Reader::new(root).read(&figure, &mut time);
        (result, time)
    });
    match tokio::time::timeout(PATIENCE, &mut reading).await {
        Ok(Ok((result, time))) => {
            memory.time = time;
            result
        }
        Ok(Err(_)) => Err(Reason::NotAvailable),
        Err(_) => {
            memory.hung = Some(reading);
            Err(Reason::Timeout)
        }
    }
}

fn publish(context: &ChannelContext, device: usize, point: &Point, result: Result<Value, Reason>) {
    let at = context.clock.stamp();
    let stats = &context.stats.devices[device];
    stats.requests.fetch_add(1, Ordering::Relaxed);
    let (value, quality) = match result {
        Ok(raw) => point.conversion.apply(&raw),
        Err(reason) => (None, Quality::Bad(reason)),
    };
    if value.is_some() {
        stats.answered(at);
    }
    context.bus.publish(&mut [Reading { point: point.id, value, quality, at }]);
}
