//! The way of an HTTP channel into a simulation.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::super::{Builder, StartError};
use super::{Host, HttpPort};
use crate::driver::http::Plan;

impl Builder<'_> {
    /// Serves a host on the next port.
    pub(in crate::simulate) async fn serve_http(
        &mut self,
        plan: &Plan,
        host: Arc<Host>,
    ) -> Result<(), StartError> {
        let mut place = self.place(&plan.name)?;
        let listener = TcpListener::bind(place.address).await.map_err(|source| place.failed(source))?;
        place.address = listener.local_addr().map_err(|source| place.failed(source))?;
        let delay = self.options.delay.map_or(Duration::ZERO, |delay| delay.0);
        let port = Arc::new(HttpPort { host: Arc::clone(&host), delay, load: Arc::clone(&place.load) });
        let serve = move |stream| Arc::clone(&port).connection(stream);
        self.simulation.tasks.push(tokio::spawn(place.clone().connections(listener, serve)));
        let devices = plan.devices.iter().map(|device| Arc::clone(&device.name));
        self.add("http", &place, place.address.to_string(), devices, host.operated());
        Ok(())
    }
}
