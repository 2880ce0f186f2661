//! Commands: set, read back, judged. A pulse begins here and ends when its time has come.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Owner;
use crate::driver::WriteJob;
use crate::driver::local::Fault;
use crate::model::{Outcome, Value};

/// How often a line that reads otherwise is read again, and after what time: a load may be slow to pull it.
const READ_BACKS: u32 = 4;
const SETTLE: Duration = Duration::from_millis(1);

impl Owner {
    /// Serves every command that waits.
    pub(super) fn serve_writes(&mut self) {
        while let Some(job) = self.context.writes.pop(self.context.clock.mono()) {
            let outcome = self.perform(&job);
            // What was read back is told before its command is answered.
            self.flush();
            job.finish(outcome);
        }
    }

    fn perform(&mut self, job: &WriteJob) -> Outcome {
        let Some((port, place)) = self.places.get(&job.point).copied() else {
            return Outcome::Failed("the point is not on this channel".into());
        };
        let member = self.ports[port].member(place);
        let (device, readable, pulse) = (member.device, member.readable, member.pulse);
        let conversion = member.conversion.clone();
        let state = match conversion.invert(&job.setpoint, true).map(|raw| raw.as_bool()) {
            Ok(Some(state)) => state,
            Ok(None) => return Outcome::Rejected(format!("{} is neither on nor off", job.setpoint)),
            Err(error) => return Outcome::Rejected(error.to_string()),
        };
        let now = self.context.clock.mono();
        let stats = &self.context.stats.devices[device];
        stats.writes.fetch_add(1, Ordering::Relaxed);
        if let Err(fault) = self.ports[port].drive(state, pulse, now) {
            return self.failed(port, fault);
        }
        match self.settle(port, state) {
            Ok(is) if is == state && !readable => Outcome::Confirmed,
            Ok(is) => {
                let (Some(read_back), _) = conversion.apply(&Value::Bool(is)) else {
                    return Outcome::Failed("written; it reads back no state".into());
                };
                if is == state { Outcome::Verified { read_back } } else { Outcome::Mismatch { read_back } }
            }
            Err(fault) => self.failed(port, fault),
        }
    }

    /// Reads back until the line is as it was set, or has had its time.
    fn settle(&mut self, port: usize, state: bool) -> Result<bool, Fault> {
        let mut left = READ_BACKS;
        loop {
            left -= 1;
            let mut readings = Vec::new();
            let is = self.ports[port].read_back(self.context.clock.stamp(), &mut readings)?;
            if is == state || left == 0 {
                self.readings.append(&mut readings);
                return Ok(is);
            }
            std::thread::sleep(SETTLE);
        }
    }

    fn failed(&mut self, port: usize, fault: Fault) -> Outcome {
        let text = fault.to_string();
        if self.ports[port].is_open() {
            let now = self.context.clock.stamp();
            self.ports[port].fail(fault, now, &mut self.readings);
            self.lines_changed();
        }
        Outcome::Failed(text)
    }
}
