//! The way of an HTTP channel into a simulation.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;

use super::super::frame::Framing;
use super::super::line::LineLoad;
use super::super::plug::Switch;
use super::super::{Builder, Channel, HttpHost, StartError};
use super::{Host, HttpPort};
use crate::driver::http::Plan;

impl Builder<'_> {
    /// Serves a host on the next port.
    pub(in crate::simulate) async fn serve_http(
        &mut self,
        plan: &Plan,
        host: Arc<Host>,
    ) -> Result<(), StartError> {
        let failed = |at: String| {
            let channel = Arc::clone(&plan.name);
            move |source| StartError::Channel { channel, at, source }
        };
        let switch = Arc::new(Switch::new().map_err(failed("its port".into()))?);
        let load = Arc::new(Mutex::new(LineLoad::default()));
        let wanted = self.next_address()?;
        let listener = TcpListener::bind(wanted).await.map_err(failed(wanted.to_string()))?;
        let address = listener.local_addr().map_err(failed(wanted.to_string()))?;
        let name = Arc::clone(&plan.name);
        let port = Arc::new(HttpPort {
            host: Arc::clone(&host),
            channel: Arc::clone(&name),
            address,
            delay: self.options.delay.map_or(Duration::ZERO, |delay| delay.0),
            switch: Arc::clone(&switch),
            load: Arc::clone(&load),
        });
        self.simulation.tasks.push(tokio::spawn(port.run(listener)));
        let devices = plan.devices.iter().map(|device| Arc::clone(&device.name)).collect();
        self.simulation.hosts.push(HttpHost { channel: Arc::clone(&name), devices, host });
        let endpoint = address.to_string();
        let channel =
            Channel { name, kind: "http", framing: Framing::Tcp, endpoint, units: 0..0, switch, load };
        self.simulation.channels.push(channel);
        Ok(())
    }
}
