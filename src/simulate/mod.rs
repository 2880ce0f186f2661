//! Simulated field devices for any configuration: so that it can be tried before the hardware arrives.
//!
//! Every channel of a plan is served where a master or client can reach it: TCP and HTTP on loopback ports,
//! serial ones on pty pairs paced to their baud rate,
//! buses of the machine as folders of files. Values move as `simulate:` of their points says.
//! Faults are made on demand. Absent: any knowledge of the gateway; this side is written from the Modbus
//! standard by itself and shares only the register formats with the driver.

mod cell;
pub mod command;
pub mod control;
pub mod fault;
mod frame;
mod function;
mod http;
mod image;
pub mod line;
mod local;
mod operate;
mod pdu;
mod plug;
mod pty;
mod reply;
mod serial;
mod service;
mod tcp;
mod unit;
mod world;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::driver::DriverPlan;
use crate::driver::modbus::{self, Transport};
use crate::driver::{http as http_driver, local as local_driver};
use crate::model::units::Period;
use crate::model::{Behaviour, PointId, PointTable};
use frame::Framing;
use http::Host;
use line::{LineLoad, LineTiming};
use plug::{Plug, Switch};
use pty::Pty;
use serial::SerialPort;
use service::Service;
use tcp::TcpPort;
use world::World;

pub use control::{RunError, RunOptions, run};
pub use unit::UnitCounts;

/// How long a simulated device on a serial line takes to begin its answer, where it is not told otherwise.
/// The silence of 3.5 characters that ends a request is part of it.
pub const SERIAL_DELAY: Duration = Duration::from_millis(2);

/// How devices are simulated.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Options {
    /// Serve TCP channels on this port of 127.0.0.1 and the following ones, in the order of the configuration
    /// (free ports when left out)
    #[arg(long, value_name = "PORT")]
    pub port_base: Option<u16>,
    /// Make the links to simulated serial ports in this directory, named after their channels (a temporary
    /// one when left out)
    #[arg(long, value_name = "DIR")]
    pub links: Option<PathBuf>,
    /// How long a device takes to answer, such as 5ms (2ms on serial lines, at once on TCP when left out)
    #[arg(long, value_name = "TIME")]
    pub delay: Option<Period>,
    /// Answer "illegal data address" in all holes between points, also in those that `max-gap` allows to read
    /// along
    #[arg(long)]
    pub strict: bool,
    /// Decides everything random; the same number gives the same values
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub seed: u64,
}

/// Why the devices cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A behaviour does not suit its point.
    #[error("simulate of {point}: {problem}")]
    Behaviour {
        /// Which point.
        point: Arc<str>,
        /// What does not fit.
        problem: String,
    },
    /// A channel cannot be served.
    #[error("channel {channel}: cannot serve it at {at}")]
    Channel {
        /// Which channel.
        channel: Arc<str>,
        /// Where it should have been.
        at: String,
        /// What the system says.
        source: io::Error,
    },
    /// There is no directory for the links to serial ports.
    #[error("cannot make the directory {} for links to serial ports", .path.display())]
    Links {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The ports from the base on do not suffice.
    #[error("port base {0} leaves no room for all TCP channels below 65536; choose a lower one")]
    PortBase(u16),
}

/// Simulated devices at work. They stop when this is dropped.
#[derive(Debug)]
pub struct Simulation {
    world: Arc<World>,
    channels: Vec<Channel>,
    /// Those that speak HTTP.
    hosts: Vec<HttpHost>,
    /// Those that are buses of the machine.
    folders: Vec<Arc<local::Folder>>,
    points: Arc<PointTable>,
    tasks: Vec<JoinHandle<()>>,
    threads: Vec<thread::JoinHandle<()>>,
    /// The directory of the links, when it is ours to remove.
    own_links: Option<PathBuf>,
    started: Instant,
}

/// One channel as it is served.
#[derive(Debug)]
struct Channel {
    name: Arc<str>,
    kind: &'static str,
    framing: Framing,
    endpoint: String,
    units: Range<usize>,
    switch: Arc<Switch>,
    load: Arc<Mutex<LineLoad>>,
}

/// A host with the names of its channel and devices.
#[derive(Debug)]
struct HttpHost {
    channel: Arc<str>,
    devices: Vec<Arc<str>>,
    host: Arc<Host>,
}

/// What [`Simulation::start`] prepares step by step.
struct Builder<'a> {
    options: &'a Options,
    simulation: Simulation,
    links: Option<PathBuf>,
    tcp_channels: u16,
}

impl Simulation {
    /// Serves the devices of `plans`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When a behaviour does not suit its point or a port cannot be had.
    pub async fn start(
        points: &Arc<PointTable>,
        plans: &[DriverPlan],
        behaviours: &BTreeMap<PointId, Behaviour>,
        options: &Options,
    ) -> Result<Self, StartError> {
        let modbus: Vec<&modbus::Plan> = plans.iter().filter_map(DriverPlan::get).collect();
        let world = Arc::new(World::new(points, &modbus, behaviours, options.seed, options.strict)?);
        let simulation = Self {
            world,
            channels: Vec::new(),
            hosts: Vec::new(),
            folders: Vec::new(),
            points: Arc::clone(points),
            tasks: Vec::new(),
            threads: Vec::new(),
            own_links: None,
            started: Instant::now(),
        };
        let mut builder = Builder { options, simulation, links: None, tcp_channels: 0 };
        let mut first = 0;
        for plan in plans {
            if let Some(plan) = plan.get::<modbus::Plan>() {
                let units = first..first + plan.devices.len();
                first = units.end;
                builder.serve(plan, units).await?;
            } else if let Some(plan) = plan.shared::<http_driver::Plan>() {
                let host = Host::new(points, &plan, behaviours, options.seed)?;
                builder.serve_http(&plan, Arc::new(host)).await?;
            } else if let Some(plan) = plan.get::<local_driver::Plan>() {
                builder.serve_local(points, plan, behaviours)?;
            }
            // Whatever else there is needs no device, or is not simulated.
        }
        Ok(builder.simulation)
    }

    /// Where a channel is served: `127.0.0.1:40123`, or the path of a serial port.
    #[must_use]
    pub fn endpoint(&self, channel: &str) -> Option<&str> {
        self.channel(channel).map(|channel| channel.endpoint.as_str())
    }

    /// Name, kind and endpoint of every channel, in the order of the plans.
    pub fn endpoints(&self) -> impl Iterator<Item = (&str, &'static str, &str)> {
        self.channels.iter().map(|channel| (&*channel.name, channel.kind, channel.endpoint.as_str()))
    }

    /// A plan that leads to the simulated devices instead of the real ones.
    #[must_use]
    pub fn redirect(&self, plan: &DriverPlan) -> DriverPlan {
        match self.endpoint(plan.name()) {
            Some(endpoint) => plan.with_endpoint(endpoint),
            None => plan.clone(),
        }
    }

    /// What a channel's line did so far.
    #[must_use]
    pub fn load(&self, channel: &str) -> Option<LineLoad> {
        let channel = self.channel(channel)?;
        Some(*channel.load.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a device counted so far.
    #[must_use]
    pub fn counts(&self, device: &str) -> Option<UnitCounts> {
        if let Some(host) = self.host_of(device) {
            return Some(host.counts());
        }
        let index = self.device(device)?;
        Some(self.world.unit(index).counts)
    }

    /// The host of a device or an HTTP channel.
    fn host_of(&self, name: &str) -> Option<&Host> {
        let device = |host: &&HttpHost| host.devices.iter().any(|device| **device == *name);
        let channel = |host: &&HttpHost| *host.channel == *name;
        // A device counts before a channel of the same name.
        let found = self.hosts.iter().find(device).or_else(|| self.hosts.iter().find(channel));
        found.map(|host| &*host.host)
    }

    fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| &*channel.name == name)
    }

    fn device(&self, name: &str) -> Option<usize> {
        (0..self.world.len()).find(|index| &*self.world.unit(*index).name == name)
    }

    /// Stops serving; returns when all ports are closed.
    pub async fn stop(mut self) {
        self.end();
        for task in std::mem::take(&mut self.tasks) {
            // A task that failed has ended too.
            let _ = task.await;
        }
    }

    fn end(&self) {
        for channel in &self.channels {
            channel.switch.set(Plug::Stop);
        }
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        self.end();
        for thread in self.threads.drain(..) {
            // They end at once: nothing in them waits but for their switch. One that failed has ended too.
            let _ = thread.join();
        }
        if let Some(links) = &self.own_links {
            // Only an empty directory is removed; what else is in it is somebody's.
            let _ = std::fs::remove_dir(links);
        }
    }
}

impl Builder<'_> {
    async fn serve(&mut self, plan: &modbus::Plan, units: Range<usize>) -> Result<(), StartError> {
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

    fn next_address(&mut self) -> Result<SocketAddr, StartError> {
        let port = match self.options.port_base {
            Some(base) => base.checked_add(self.tcp_channels).ok_or(StartError::PortBase(base))?,
            None => 0,
        };
        self.tcp_channels += 1;
        Ok((Ipv4Addr::LOCALHOST, port).into())
    }

    /// A link of its own for every channel, also where two names become the same file name.
    fn link_for(&mut self, channel: &str) -> Result<PathBuf, StartError> {
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
    fn links(&mut self) -> Result<&Path, StartError> {
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
fn file_name(channel: &str) -> String {
    channel.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' }).collect()
}
