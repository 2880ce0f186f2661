//! What is measured: a number of points on a number of connections, as the gateway's configuration and as the
//! raw loop's arguments, so that both do the same.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::Outcome;
use crate::process::{Process, free_address};

/// First level of every topic.
pub(crate) const SITE: &str = "bench";
/// Every point, and nothing else: `bench/<device>/<point>`.
pub(crate) const POINTS_FILTER: &str = "bench/+/+";

/// How payloads are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    /// The value alone, not kept: what the raw loop publishes.
    Raw,
    /// Value, quality and time, kept for later subscribers: what the gateway publishes when nothing is said.
    Json,
}

/// Where the points are.
#[derive(Debug, Clone)]
pub(crate) enum Wire {
    /// Modbus TCP at this address.
    Tcp(SocketAddr),
    /// Modbus RTU on this port at this speed.
    Rtu(String, u32),
}

/// Points to be polled and published.
#[derive(Debug, Clone)]
pub(crate) struct Plant {
    /// Where they are.
    pub(crate) wire: Wire,
    /// Connections, each with one device.
    pub(crate) connections: u16,
    /// Read requests per connection and period.
    pub(crate) requests: u16,
    /// Registers per request.
    pub(crate) registers: u16,
    /// From the first register of one request to that of the next.
    pub(crate) stride: u16,
    /// How often each is read. Zero: as often as the line allows.
    pub(crate) period: Duration,
    /// MQTT quality of service.
    pub(crate) qos: u8,
    /// How payloads are written.
    pub(crate) payload: Payload,
}

/// A running gateway with its configuration.
pub(crate) struct Gateway {
    /// The process.
    pub(crate) process: Process,
    /// Where its broker listens.
    pub(crate) broker: SocketAddr,
    _folder: TempDir,
}

impl Plant {
    /// 1,000 registers in eight full requests on one connection.
    pub(crate) fn thousand(device: SocketAddr, period: Duration, qos: u8, payload: Payload) -> Self {
        Self {
            wire: Wire::Tcp(device),
            connections: 1,
            requests: 8,
            registers: 125,
            stride: 125,
            period,
            qos,
            payload,
        }
    }

    /// How many points it has.
    pub(crate) fn points(&self) -> u64 {
        u64::from(self.connections) * u64::from(self.requests) * u64::from(self.registers)
    }

    /// The first register of every request of a connection.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = u16> + use<> {
        let stride = self.stride;
        (0..self.requests).map(move |block| block * stride)
    }

    /// The gateway's configuration.
    pub(crate) fn yaml(&self) -> String {
        let mut out = format!("site: {SITE}\n\nchannels:\n");
        for index in 0..self.connections {
            let _ = match &self.wire {
                Wire::Tcp(address) => {
                    writeln!(out, "  c{index}: {{ modbus-tcp: {{ address: \"{address}\" }} }}")
                }
                Wire::Rtu(port, baud) => {
                    writeln!(
                        out,
                        "  c{index}: {{ modbus-rtu: {{ port: {port}, baud: {baud}, parity: none }} }}"
                    )
                }
            };
        }
        out.push_str("\ndevices:\n");
        for index in 0..self.connections {
            self.device(index, &mut out);
        }
        out
    }

    fn device(&self, index: u16, out: &mut String) {
        // JSON stands for what the gateway does when nothing is said: it also keeps the messages.
        let payload = match self.payload {
            Payload::Raw => "payload: raw\n    retain: false",
            Payload::Json => "payload: json",
        };
        let (period, qos) = (self.period.as_micros(), self.qos);
        let _ = write!(
            out,
            "  d{index}:\n    channel: c{index}\n    unit: 1\n    poll: {period}us\n    qos: {qos}\n    {payload}\n    \
             points:\n"
        );
        for address in self.blocks().flat_map(|first| first..first + self.registers) {
            let _ = writeln!(out, "      p{address}: input {address} u16");
        }
    }

    /// Starts the gateway with this configuration; `page` is where its page listens, if it has one.
    pub(crate) fn gateway(&self, program: &PathBuf, page: Option<SocketAddr>) -> Outcome<Gateway> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("bench.yaml");
        let enabled = format!("\nweb: {{ enabled: {} }}\n", page.is_some());
        std::fs::write(&file, self.yaml() + &enabled)?;
        let broker = free_address()?;
        let mut command = Command::new(program);
        command.args(["--log", "error", "run", "-c"]).arg(&file).arg("--mqtt").arg(broker.to_string());
        if let Some(page) = page {
            command.arg("--web").arg(page.to_string());
        }
        Ok(Gateway { process: Process::start(&mut command)?, broker, _folder: folder })
    }

    /// Starts the raw loop as a process of its own; without a broker it only polls and decodes.
    pub(crate) fn raw_loop(&self, broker: Option<SocketAddr>) -> Outcome<Process> {
        let wire = match &self.wire {
            Wire::Tcp(address) => format!("tcp={address}"),
            Wire::Rtu(port, baud) => format!("rtu={baud}={port}"),
        };
        let broker = broker.map_or_else(|| "none".into(), |address| address.to_string());
        let mut command = Command::new(std::env::current_exe()?);
        command.args([crate::RAW_LOOP, &wire, &broker]).args(
            [self.connections, self.requests, self.registers, self.stride, u16::from(self.qos)]
                .map(|n| n.to_string()),
        );
        command.arg(self.period.as_micros().to_string());
        Process::start(&mut command)
    }

    /// Reads back what [`Self::raw_loop`] wrote, with the broker's address.
    pub(crate) fn from_arguments(arguments: &[String]) -> Outcome<(Self, Option<SocketAddr>)> {
        let [wire, broker, connections, requests, registers, stride, qos, period] = arguments else {
            return Err("the raw loop takes eight arguments".into());
        };
        let wire = match wire.split_once('=').ok_or("a wire is tcp=… or rtu=…")? {
            ("rtu", line) => {
                let (baud, port) = line.split_once('=').ok_or("rtu=<baud>=<port>")?;
                Wire::Rtu(port.into(), baud.parse()?)
            }
            (_, address) => Wire::Tcp(address.parse()?),
        };
        let plant = Self {
            wire,
            connections: connections.parse()?,
            requests: requests.parse()?,
            registers: registers.parse()?,
            stride: stride.parse()?,
            period: Duration::from_micros(period.parse()?),
            qos: qos.parse()?,
            payload: Payload::Raw,
        };
        let broker = if broker == "none" { None } else { Some(broker.parse()?) };
        Ok((plant, broker))
    }
}
