//! Simulated MQTT devices: each is a client of a broker, with a will, that publishes its points and listens to its set topics.
//!
//! `device` is what it says, `packet` MQTT 3.1.1 as a small device speaks it (clean session, QoS 0), `client` the
//! connection. Absent: TLS and passwords; the broker must let anonymous clients in. Written from the standard by
//! itself: neither the broker's codec nor the bridge's client is used here.

mod client;
mod device;
mod packet;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::{Builder, StartError};
use crate::driver::mqtt::Plan;
use crate::model::{Behaviour, PointId, PointTable};
use device::Devices;

/// Where a broker usually is.
const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1883);

impl Builder<'_> {
    /// Connects the devices of a channel to the broker.
    pub(super) fn serve_mqtt(
        &mut self,
        points: &PointTable,
        plan: &Arc<Plan>,
        behaviours: &BTreeMap<PointId, Behaviour>,
    ) -> Result<(), StartError> {
        let mut place = self.place(&plan.name)?;
        place.address = reachable(self.options.mqtt.unwrap_or(USUAL));
        let devices = Arc::new(Devices::new(points, plan, (behaviours, self.options.seed))?);
        for device in 0..plan.devices.len() {
            let task = client::run(place.clone(), Arc::clone(&devices), device);
            self.simulation.tasks.push(tokio::spawn(task));
        }
        let names = plan.devices.iter().map(|device| Arc::clone(&device.name));
        self.add("mqtt", &place, format!("broker {}", place.address), names, devices.operated());
        Ok(())
    }
}

/// The address by which a listener of this machine is reached.
fn reachable(mut listener: SocketAddr) -> SocketAddr {
    if listener.ip().is_unspecified() {
        let loopback = match listener {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        listener.set_ip(loopback);
    }
    listener
}
