//! Building a simulation step by step: addresses, links to serial ports, and the channels of Modbus.
//!
//! Each other kind of channel adds its own step beside its server. Invariant: two channels never get one place.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::net::TcpListener;

use super::frame::Framing;
use super::http::Host;
use super::line::{LineLoad, LineTiming};
use super::listen::Place;
use super::plug::Switch;
use super::pty::Pty;
use super::serial::SerialPort;
use super::service::Service;
use super::tcp::TcpPort;
use super::text::Operated;
use super::{Channel, Options, SERIAL_DELAY, Served, Simulation, StartError};
use crate::driver::modbus::{self, Transport};
use crate::driver::{DriverPlan, ascii, http, local, mqtt, snmp};
use crate::model::{Behaviour, PointId, PointTable};

/// What [`Simulation::start`] prepares step by step.
pub(super) struct Builder<'a> {
    pub(super) options: &'a Options,
    pub(super) simulation: Simulation,
    links: Option<PathBuf>,
    tcp_channels: u16,
}

impl<'a> Builder<'a> {
    /// Nothing is served yet.
    pub(super) const fn new(options: &'a Options, simulation: Simulation) -> Self {
        Self { options, simulation, links: None, tcp_channels: 0 }
    }

    /// Serves the units of a Modbus channel.
    pub(super) async fn serve(&mut self, plan: &modbus::Plan, units: Range<usize>) -> Result<(), StartError> {
        let (kind, framing, line) = match &plan.transport {
            Transport::Tcp(_) => ("modbus-tcp", Framing::Tcp, None),
            Transport::RtuOverTcp(_) => ("modbus-rtu-over-tcp", Framing::Rtu, None),
            Transport::Rtu(line) => ("modbus-rtu", Framing::Rtu, Some(line)),
            Transport::Ascii(line) => ("modbus-ascii", Framing::Ascii, Some(line)),
        };
        let usual = if line.is_some() { SERIAL_DELAY } else { Duration::ZERO };
        let service = Service {
            channel: Arc::clone(&plan.name),
            world: Arc::clone(&self.simulation.world),
            units: units.clone(),
            framing,
            is_line: line.is_some(),
            delay: self.options.delay.map_or(usual, |delay| delay.0),
        };
        let failed = |at: String| {
            let channel = Arc::clone(&plan.name);
            move |source| StartError::Channel { channel, at, source }
        };
        let switch = Arc::new(Switch::new().map_err(failed("its port".into()))?);
        let load = Arc::new(Mutex::new(LineLoad::default()));
        let endpoint = match line {
            Some(line) => {
                let link = self.link_for(&plan.name)?;
                let pty = Pty::plug_in(&link).map_err(failed(link.display().to_string()))?;
                let timing = LineTiming::new(line, framing == Framing::Ascii);
                let (switch, load) = (Arc::clone(&switch), Arc::clone(&load));
                let endpoint = link.display().to_string();
                let port = SerialPort { service, timing, link, switch, load };
                let name = format!("line {}", plan.name);
                let thread = thread::Builder::new().name(name).spawn(move || port.run(pty));
                self.simulation.threads.push(thread.map_err(failed(endpoint.clone()))?);
                endpoint
            }
            None => {
                let wanted = self.next_address()?;
                let listener = TcpListener::bind(wanted).await.map_err(failed(wanted.to_string()))?;
                let address = listener.local_addr().map_err(failed(wanted.to_string()))?;
                let (switch, load) = (Arc::clone(&switch), Arc::clone(&load));
                let port = Arc::new(TcpPort { service, address, switch, load });
                self.simulation.tasks.push(tokio::spawn(port.run(listener)));
                address.to_string()
            }
        };
        let name = Arc::clone(&plan.name);
        self.simulation.channels.push(Channel { name, kind, framing, endpoint, units, switch, load });
        Ok(())
    }

    /// Serves a channel that is not Modbus; one that needs no device is left out.
    ///
    /// # Errors
    /// When a behaviour does not suit its point or a port cannot be had.
    pub(super) async fn serve_other(
        &mut self,
        points: &PointTable,
        plan: &DriverPlan,
        behaviours: &BTreeMap<PointId, Behaviour>,
    ) -> Result<(), StartError> {
        if let Some(plan) = plan.shared::<http::Plan>() {
            let host = Host::new(points, &plan, behaviours, self.options.seed)?;
            return self.serve_http(&plan, Arc::new(host)).await;
        }
        if let Some(plan) = plan.get::<local::Plan>() {
            return self.serve_local(points, plan, behaviours);
        }
        if let Some(plan) = plan.shared::<ascii::Plan>() {
            return self.serve_ascii(points, &plan, behaviours).await;
        }
        if let Some(plan) = plan.shared::<snmp::Plan>() {
            return self.serve_snmp(points, &plan, behaviours).await;
        }
        if let Some(plan) = plan.shared::<mqtt::Plan>() {
            return self.serve_mqtt(points, &plan, behaviours);
        }
        Ok(())
    }

    /// Where a channel of connections or datagrams is to be served, its switch and what it does.
    ///
    /// # Errors
    /// When there is no port or no file descriptor left.
    pub(super) fn place(&mut self, channel: &Arc<str>) -> Result<Place, StartError> {
        let failed =
            |source| StartError::Channel { channel: Arc::clone(channel), at: "its port".into(), source };
        Ok(Place {
            channel: Arc::clone(channel),
            address: self.next_address()?,
            switch: Arc::new(Switch::new().map_err(failed)?),
            load: Arc::new(Mutex::new(LineLoad::default())),
        })
    }

    /// Makes a channel whose server is at work a part of the simulation.
    pub(super) fn add(
        &mut self,
        kind: &'static str,
        place: &Place,
        endpoint: String,
        devices: impl IntoIterator<Item = Arc<str>>,
        station: Arc<dyn Operated>,
    ) {
        let Place { channel: name, switch, load, .. } = place.clone();
        let devices = devices.into_iter().collect();
        self.simulation.stations.push(Served { channel: Arc::clone(&name), devices, station });
        let channel = Channel { name, kind, framing: Framing::Tcp, endpoint, units: 0..0, switch, load };
        self.simulation.channels.push(channel);
    }

    fn next_address(&mut self) -> Result<SocketAddr, StartError> {
        let port = match self.options.port_base {
            Some(base) => base.checked_add(self.tcp_channels).ok_or(StartError::PortBase(base))?,
            None => 0,
        };
        self.tcp_channels += 1;
        Ok((Ipv4Addr::LOCALHOST, port).into())
    }

    /// A link of its own for every channel, also where two names become the same file name.
    pub(super) fn link_for(&mut self, channel: &str) -> Result<PathBuf, StartError> {
        let directory = self.links()?.to_path_buf();
        let mut link = directory.join(file_name(channel));
        let mut copy = 1;
        while self.simulation.channels.iter().any(|other| link.as_os_str() == other.endpoint.as_str()) {
            copy += 1;
            link = directory.join(format!("{}-{copy}", file_name(channel)));
        }
        Ok(link)
    }

    /// The directory of the links, made when the first one is needed.
    pub(super) fn links(&mut self) -> Result<&Path, StartError> {
        if self.links.is_none() {
            let (path, own) = match &self.options.links {
                // Whole paths, so that an endpoint is the same from wherever it is opened.
                Some(path) => (std::path::absolute(path).unwrap_or_else(|_| path.clone()), false),
                None => (unique_directory(), true),
            };
            let made = if own { make_private(&path) } else { std::fs::create_dir_all(&path) };
            if let Err(source) = made {
                return Err(StartError::Links { path, source });
            }
            self.simulation.own_links = own.then(|| path.clone());
            self.links = Some(path);
        }
        Ok(self.links.as_deref().unwrap_or(Path::new(".")))
    }
}

/// A new directory that only the user can enter, so that nobody else can lay links into it.
fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

fn unique_directory() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let random = fastrand::u32(..);
    std::env::temp_dir().join(format!("iogate-simulate-{}-{count}-{random:08x}", std::process::id()))
}

/// A channel's name as the name of a file.
pub(super) fn file_name(channel: &str) -> String {
    channel.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' }).collect()
}
