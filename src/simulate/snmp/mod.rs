//! Simulated SNMP agents of versions 1 and 2c: they answer GET, GETNEXT, GETBULK and SET for the objects of a plan.
//!
//! `ber` is what of ASN.1's basic encoding SNMP needs, `agent` the answers, `set` what is written, `listen` the port.
//! Absent: version 3, traps. Written from RFC 1157 and RFC 3416 by itself: the driver's library is not used here.

mod agent;
mod ber;
mod set;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::net::UdpSocket;

use super::{Builder, StartError};
use crate::driver::snmp::Plan;
use crate::model::{Behaviour, PointId, PointTable};
use crate::simulate::listen::Talker;
use agent::Agent;

impl Builder<'_> {
    /// Serves an agent.
    pub(super) async fn serve_snmp(
        &mut self,
        points: &PointTable,
        plan: &Arc<Plan>,
        behaviours: &BTreeMap<PointId, Behaviour>,
    ) -> Result<(), StartError> {
        let mut place = self.place(&plan.name)?;
        let delay = self.options.delay.map_or(std::time::Duration::ZERO, |delay| delay.0);
        let agent = Arc::new(Agent::new(points, plan, (behaviours, self.options.seed), delay)?);
        let socket = UdpSocket::bind(place.address).await.map_err(|error| place.failed(error))?;
        place.address = socket.local_addr().map_err(|error| place.failed(error))?;
        let talker: Arc<dyn Talker> = agent.clone();
        self.simulation.tasks.push(tokio::spawn(place.clone().datagrams(socket, talker)));
        let devices = plan.devices.iter().map(|device| Arc::clone(&device.name));
        self.add("snmp", &place, place.address.to_string(), devices, agent.operated());
        Ok(())
    }
}
