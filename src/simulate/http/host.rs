//! One simulated host and its answers.
//!
//! Pure but for the lock of its points: a request and the time go in, an answer comes out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::wire::{Answer, Asked};
use super::{generic, web_io};
use crate::driver::http::{Plan, Wiring};
use crate::model::{Behaviour, PointId, PointTable};
use crate::simulate::StartError;
use crate::simulate::fault::{Effects, Fault, FaultError};
use crate::simulate::text::{self, Operated, Planned, Station};

/// One simulated host.
#[derive(Debug)]
pub(in crate::simulate) struct Host {
    /// The channel's plan.
    pub(super) plan: Arc<Plan>,
    station: Arc<Station<Wiring>>,
}

/// What changes of it.
pub(super) type State = text::State<Wiring>;

/// One of its points.
pub(super) type Cell = text::Cell<Wiring>;

impl Host {
    /// The host that a plan describes.
    ///
    /// # Errors
    /// When a behaviour does not suit its point, or depends on an output of another channel.
    pub(in crate::simulate) fn new(
        points: &PointTable,
        plan: &Arc<Plan>,
        behaviours: &BTreeMap<PointId, Behaviour>,
        seed: u64,
    ) -> Result<Self, StartError> {
        let planned = plan.devices.iter().flat_map(|device| &device.points).map(|point| Planned {
            id: point.id,
            wiring: point.wiring.clone(),
            extract: &point.wiring.extract,
            conversion: &point.conversion,
        });
        let station = Station::new(points, planned, (behaviours, seed), plan.config.timeout.0, suits)?;
        Ok(Self { plan: Arc::clone(plan), station: Arc::new(station) })
    }

    /// What can be done to it by hand.
    pub(in crate::simulate) fn operated(&self) -> Arc<dyn Operated> {
        Arc::clone(&self.station) as Arc<dyn Operated>
    }

    /// Answers one request; `None` stays silent.
    pub(super) fn serve(&self, asked: &Asked, now: Instant) -> Option<(Answer, Effects)> {
        let (mut state, effects) = self.station.asked(now)?;
        let web_io = self.plan.devices.iter().any(crate::driver::http::Device::is_web_io);
        let answer = match effects.status {
            Some(status) => Answer::status(status),
            None => self
                .model_page(asked)
                .or_else(|| {
                    web_io.then(|| web_io::answer(&self.plan, &mut state, asked, effects.prefix)).flatten()
                })
                .unwrap_or_else(|| generic::answer(&mut state, asked)),
        };
        state.counts.answers += 1;
        state.counts.exceptions += u64::from(answer.code >= 400);
        Some((answer, effects))
    }

    /// The page by which a device is known.
    fn model_page(&self, asked: &Asked) -> Option<Answer> {
        let known = self.plan.devices.iter().filter_map(|device| device.config.identify.as_ref());
        let page = known.into_iter().find(|identify| identify.page == asked.target)?;
        Some(Answer::utf8("text/plain", page.contains.clone()))
    }
}

/// The faults that HTTP has.
const fn suits(fault: Fault) -> Result<Fault, FaultError> {
    match fault {
        Fault::Exception { code, at: None } => Ok(Fault::Status(code as u16)),
        Fault::WrongUnit
        | Fault::WrongFunction
        | Fault::WrongTransaction
        | Fault::WrongEcho
        | Fault::Exception { .. } => Err(FaultError::NotHere("HTTP has nothing of that kind")),
        other => Ok(other),
    }
}
