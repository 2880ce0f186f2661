//! Simulated instruments that speak in lines: asked ones answer, streaming ones speak by themselves.
//!
//! `instruments` is pure: a line and the time go in, lines come out; `port` serves them on a pty or a connection, and
//! `listen` in datagrams. Terminators, checks and alphabets are the driver's (`driver::ascii::wire`), since a line looks
//! the same from both sides. Absent: parity and direction of a line, which a pty does not have.

mod instruments;
mod port;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};

use super::listen::Talker;
use super::{Builder, SERIAL_DELAY, StartError};
use crate::driver::ascii::{Plan, Transport};
use crate::model::{Behaviour, PointId, PointTable};
use crate::simulate::pty::Pty;
use instruments::{Datagrams, Instruments};

impl Builder<'_> {
    /// Serves the instruments of a line or socket.
    pub(super) async fn serve_ascii(
        &mut self,
        points: &PointTable,
        plan: &Arc<Plan>,
        behaviours: &BTreeMap<PointId, Behaviour>,
    ) -> Result<(), StartError> {
        let mut place = self.place(&plan.name)?;
        let is_line = matches!(plan.transport, Transport::Serial(_));
        let usual = if is_line { SERIAL_DELAY } else { std::time::Duration::ZERO };
        let delay = self.options.delay.map_or(usual, |delay| delay.0);
        let instruments = Arc::new(Instruments::new(points, plan, (behaviours, self.options.seed), delay)?);
        let devices = plan.devices.iter().map(|device| Arc::clone(&device.name));
        let (task, endpoint) = match &plan.transport {
            Transport::Serial(_) => {
                let link = self.link_for(&plan.name)?;
                let pty = Pty::plug_in(&link).map_err(|source| place.failed(source))?;
                let endpoint = link.display().to_string();
                let served = port::line(place.clone(), pty, link, Arc::clone(&instruments));
                (tokio::spawn(served), endpoint)
            }
            Transport::Tcp(_) => {
                let listener = TcpListener::bind(place.address).await.map_err(|error| place.failed(error))?;
                place.address = listener.local_addr().map_err(|error| place.failed(error))?;
                let (own, load) = (Arc::clone(&instruments), Arc::clone(&place.load));
                let serve = move |stream| port::converse(stream, Arc::clone(&own), Arc::clone(&load));
                (tokio::spawn(place.clone().connections(listener, serve)), place.address.to_string())
            }
            Transport::Udp(_) => {
                let socket = UdpSocket::bind(place.address).await.map_err(|error| place.failed(error))?;
                place.address = socket.local_addr().map_err(|error| place.failed(error))?;
                let talker: Arc<dyn Talker> = Arc::new(Datagrams::new(Arc::clone(&instruments)));
                (tokio::spawn(place.clone().datagrams(socket, talker)), place.address.to_string())
            }
        };
        self.simulation.tasks.push(task);
        self.add(plan.transport.word(), &place, endpoint, devices, instruments.operated());
        Ok(())
    }
}
