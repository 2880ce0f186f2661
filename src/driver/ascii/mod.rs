//! Instruments that speak in lines of text: scales, indicators, displays, loggers, DCON modules.
//!
//! A [`Plan`] is one serial line or socket with the instruments on it. `config` holds what people write,
//! `validate` turns it into plan parts; `wire` is pure and knows terminators, checksums and alphabets, `link`
//! carries bytes over a tty, TCP or UDP, `owner` is the task around it. An instrument is asked (`ask`), or
//! speaks by itself (`listen`). Where a value stands in a line is `driver::text`'s. Absent on purpose: scripts,
//! and dialogues of more than one question. Invariant: at most one question is open per line; what comes
//! after its time is thrown away.

pub mod config;
mod entry;
mod link;
mod owner;
mod validate;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use crate::driver::text::Extract;
use crate::driver::{BoxFuture, Channel, ChannelContext};
use crate::model::{Access, Conversion, PointId, Value};

pub use config::{DeviceConfig, PointConfig, SerialConfig, TcpConfig, Transport, UdpConfig};
pub use entry::Ascii;

/// One line or socket with everything on it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The channel's name.
    pub name: Arc<str>,
    /// What carries the lines.
    pub transport: Transport,
    /// The instruments, in the order of the configuration.
    pub devices: Vec<Device>,
}

/// One instrument.
#[derive(Debug, Clone)]
pub struct Device {
    /// The instrument's name.
    pub name: Arc<str>,
    /// How its lines look.
    pub config: DeviceConfig,
    /// Its points.
    pub points: Vec<Point>,
}

/// One point of an instrument.
#[derive(Debug, Clone)]
pub struct Point {
    /// Which point.
    pub id: PointId,
    /// How it is read and written.
    pub wiring: Wiring,
    /// From raw numbers to values and back.
    pub conversion: Conversion,
    /// How often it is asked for.
    pub poll: Duration,
    /// What may be done with it.
    pub access: Access,
    /// How far a read-back may lie from the setpoint, in engineering units.
    pub tolerance: f64,
}

/// How a point is read and written.
#[derive(Debug, Clone)]
pub struct Wiring {
    /// Where its value comes from.
    pub source: Source,
    /// Where it stands in a line.
    pub extract: Extract,
    /// How it is written.
    pub command: Option<Command>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It is asked for.
    Ask(String),
    /// It is in lines that the instrument sends by itself and that begin so.
    Listen(String),
    /// It is only written.
    Nowhere,
}

/// How a point is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What is sent, with `{value}` for the setpoint.
    pub text: String,
    /// What the instrument's answer begins with; `None` when it gives none.
    pub answer: Option<String>,
    /// What the setpoint is for on.
    pub on: String,
    /// What it is for off.
    pub off: String,
    /// Numbers are written with a decimal comma.
    pub comma: bool,
}

impl Command {
    /// The line for a raw value.
    #[must_use]
    pub fn fill(&self, raw: &Value) -> String {
        let text = match raw {
            Value::Bool(true) => self.on.clone(),
            Value::Bool(false) => self.off.clone(),
            Value::Float(_) if self.comma => raw.to_string().replace('.', ","),
            other => other.to_string(),
        };
        self.text.replace(validate::PLACEHOLDER, &text)
    }
}

impl Plan {
    /// This plan led to `endpoint`: a host and port, or a port's path where the transport is a serial line.
    #[must_use]
    pub fn with_endpoint(&self, endpoint: &str) -> Self {
        let mut plan = self.clone();
        match &mut plan.transport {
            Transport::Tcp(tcp) => tcp.address = endpoint.into(),
            Transport::Udp(udp) => udp.address = endpoint.into(),
            Transport::Serial(line) => {
                // A pty takes 8 data bits without parity only, and has no direction to switch.
                line.port = endpoint.into();
                (line.data_bits, line.stop_bits, line.parity, line.rs485) = (8, 1, Default::default(), None);
            }
        }
        plan
    }
}

impl Channel for Plan {
    fn run(self: Arc<Self>, context: ChannelContext) -> BoxFuture {
        Box::pin(owner::Owner::new(self, context).run())
    }
}
