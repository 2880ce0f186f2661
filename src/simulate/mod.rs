//! Simulated field devices for any configuration: so that it can be tried before the hardware arrives.
//!
//! Every channel of a plan is served where a master or client can reach it: TCP, UDP, HTTP and SNMP on loopback
//! ports, serial ones on pty pairs paced to their baud rate,
//! buses of the machine as folders of files; MQTT devices connect to a broker. Values move as `simulate:` of their points says.
//! Faults are made on demand. Absent: any knowledge of the gateway; this side is written from the Modbus
//! standard by itself and shares only the register formats with the driver.

mod ascii;
mod builder;
mod cell;
pub mod command;
pub mod control;
pub mod fault;
mod frame;
mod http;
mod image;
pub mod line;
mod listen;
mod local;
mod mqtt;
mod operate;
mod pdu;
mod plug;
mod pty;
mod reply;
mod serial;
mod service;
mod snmp;
mod tcp;
mod text;
mod unit;
mod world;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::driver::{
    DriverPlan, ascii as ascii_driver, http as http_driver, local as local_driver, modbus,
    mqtt as mqtt_driver, snmp as snmp_driver,
};
use crate::model::units::Period;
use crate::model::{Behaviour, PointId, PointTable};
use builder::{Builder, file_name};
use frame::Framing;
use line::LineLoad;
use plug::{Plug, Switch};
use text::Operated;
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
    /// Connect simulated MQTT devices to the broker at this address (to the configuration's own one when left out)
    #[arg(long, value_name = "ADDRESS")]
    pub mqtt: Option<SocketAddr>,
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

/// Whether there are devices on a channel that are simulated; `false` where it needs none.
///
/// # Errors
/// Why its devices are not simulated.
pub fn serves(plan: &DriverPlan) -> Result<bool, &'static str> {
    if let Some(plan) = plan.get::<snmp_driver::Plan>() {
        return match plan.config.spoken() {
            snmp_driver::config::Version::V3 => Err("SNMP agents are simulated in versions 1 and 2c only"),
            _ => Ok(true),
        };
    }
    Ok(plan.get::<modbus::Plan>().is_some()
        || plan.get::<http_driver::Plan>().is_some()
        || plan.get::<local_driver::Plan>().is_some()
        || plan.get::<ascii_driver::Plan>().is_some()
        || plan.get::<mqtt_driver::Plan>().is_some())
}

/// Simulated devices at work. They stop when this is dropped.
#[derive(Debug)]
pub struct Simulation {
    world: Arc<World>,
    channels: Vec<Channel>,
    /// Those that answer in texts or by objects.
    stations: Vec<Served>,
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

/// The devices of one channel, by hand.
#[derive(Debug)]
struct Served {
    channel: Arc<str>,
    devices: Vec<Arc<str>>,
    station: Arc<dyn Operated>,
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
            stations: Vec::new(),
            folders: Vec::new(),
            points: Arc::clone(points),
            tasks: Vec::new(),
            threads: Vec::new(),
            own_links: None,
            started: Instant::now(),
        };
        let mut builder = Builder::new(options, simulation);
        let mut first = 0;
        for plan in plans {
            if let Some(plan) = plan.get::<modbus::Plan>() {
                let units = first..first + plan.devices.len();
                first = units.end;
                builder.serve(plan, units).await?;
            } else if serves(plan).is_ok() {
                builder.serve_other(points, plan, behaviours).await?;
            }
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
        if let Some(station) = self.station_of(device) {
            return Some(station.counts());
        }
        let index = self.device(device)?;
        Some(self.world.unit(index).counts)
    }

    /// The devices that a device or a channel without units stands for.
    fn station_of(&self, name: &str) -> Option<&dyn Operated> {
        let device = |served: &&Served| served.devices.iter().any(|device| **device == *name);
        let channel = |served: &&Served| *served.channel == *name;
        // A device counts before a channel of the same name.
        let found = self.stations.iter().find(device).or_else(|| self.stations.iter().find(channel));
        found.map(|served| &*served.station)
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
