//! One line, requested from the kernel by itself.
//!
//! Tries the best that the chip's driver can: edges with debouncing by the kernel, edges with debouncing here,
//! or no edges and polls. Absent: what the line means to points.

use std::time::{Duration, Instant};

use gpiocdev::Request;
use gpiocdev::line::{self, Direction, EdgeDetection, EdgeKind, Value};
use gpiocdev::request::Builder;

use super::config::{Bias, Drive};
use super::debounce::Debounce;
use super::find::{Found, LineId};
use crate::driver::local::Fault;

/// How many edges the kernel keeps for us: at 10 kHz, 25 ms of not being scheduled.
const KERNEL_EVENTS: u32 = 256;

/// How many edges are read at once.
const BATCH: usize = 64;

/// How a line is set up: what its points say, together.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) active_low: bool,
    pub(super) bias: Option<Bias>,
    pub(super) debounce: Option<Duration>,
    pub(super) drive: Option<Drive>,
    pub(super) direction: Role,
}

/// What the line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// An input with these edges.
    Input(EdgeDetection),
    /// An output that begins in this state; `None` leaves it as it is until the first write.
    Output(Option<bool>),
}

/// An edge as it is to be taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// The state after it.
    pub(super) state: bool,
    /// The kernel's number of it.
    pub(super) number: u32,
    /// When it was, in nanoseconds of the monotonic clock.
    pub(super) at_ns: u64,
}

/// A requested line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) request: Request,
    offset: u32,
    /// Whether edges are told; otherwise the line has to be polled.
    pub(super) edges: bool,
    /// The filter, where the kernel has none for this line.
    pub(super) filter: Option<Debounce>,
    driven: bool,
    setup: Setup,
    buffer: Vec<u64>,
}

impl Line {
    /// Requests a line.
    ///
    /// # Errors
    /// When it is not there, is somebody else's, or the kernel refuses.
    pub(super) fn open(id: &LineId, setup: &Setup) -> Result<Self, Fault> {
        let found = id.find()?;
        if let Some(consumer) = &found.used_by {
            let consumer = if consumer.is_empty() { "the kernel" } else { consumer };
            return Err(Fault::Absent(format!("the line {id} is in use by `{consumer}`")));
        }
        match setup.direction {
            Role::Input(edges) => Self::input(id, &found, setup, edges),
            Role::Output(state) => Self::output(id, &found, setup, state),
        }
    }

    fn input(id: &LineId, found: &Found, setup: &Setup, edges: EdgeDetection) -> Result<Self, Fault> {
        let builder = || {
            let mut builder = builder(found, setup);
            builder.as_input();
            builder
        };
        let with_edges = || {
            let mut builder = builder();
            builder.with_edge_detection(edges).with_kernel_event_buffer_size(KERNEL_EVENTS);
            builder
        };
        if let Some(period) = setup.debounce
            && let Ok(request) = with_edges().with_debounce_period(period).request()
        {
            return Ok(Self::new(request, found, setup, true, false));
        }
        if let Ok(request) = with_edges().request() {
            let mut line = Self::new(request, found, setup, true, false);
            line.filter = match setup.debounce {
                Some(period) => Some(Debounce::new(period, line.value()?)),
                None => None,
            };
            return Ok(line);
        }
        let request = builder().request().map_err(|error| refused(id, &error))?;
        tracing::warn!(line = %id, "the line tells no edges; it is polled");
        Ok(Self::new(request, found, setup, false, false))
    }

    fn output(id: &LineId, found: &Found, setup: &Setup, state: Option<bool>) -> Result<Self, Fault> {
        let mut builder = builder(found, setup);
        match state {
            Some(state) => {
                builder.as_output(level(state));
                set_drive(&mut builder, setup.drive);
            }
            None => {
                builder.as_is();
            }
        }
        let request = builder.request().map_err(|error| refused(id, &error))?;
        let line = Self::new(request, found, setup, false, state.is_some());
        if state.is_none() && found.is_output {
            // It keeps its level, but the rest of its set-up is ours.
            let level = line.value()?;
            let mut line = line;
            line.drive(level)?;
            return Ok(line);
        }
        Ok(line)
    }

    fn new(request: Request, found: &Found, setup: &Setup, edges: bool, driven: bool) -> Self {
        let buffer = vec![0; request.edge_event_u64_size() * BATCH];
        Self { request, offset: found.offset, edges, filter: None, driven, setup: setup.clone(), buffer }
    }

    /// The state now; debounced where that is done here.
    pub(super) fn value(&self) -> Result<bool, Fault> {
        if let Some(filter) = &self.filter {
            return Ok(filter.state());
        }
        self.level()
    }

    fn level(&self) -> Result<bool, Fault> {
        let value = self.request.value(self.offset).map_err(|error| Fault::Absent(error.to_string()))?;
        Ok(value == Value::Active)
    }

    /// Sets an output.
    pub(super) fn drive(&mut self, state: bool) -> Result<(), Fault> {
        let failed = |error: gpiocdev::Error| Fault::Absent(error.to_string());
        if self.driven {
            return self.request.set_value(self.offset, level(state)).map_err(failed);
        }
        let mut config = self.request.config();
        config.with_line(self.offset).with_direction(Direction::Output).with_value(level(state));
        if let Some(drive) = self.setup.drive {
            config.with_drive(kernel_drive(drive));
        }
        self.request.reconfigure(&config).map_err(failed)?;
        self.driven = true;
        Ok(())
    }

    /// Takes in all edges that the kernel has; without any it does not wait.
    pub(super) fn take(&mut self, seen: &mut Vec<Seen>) -> Result<(), Fault> {
        let failed = |error: gpiocdev::Error| Fault::Absent(error.to_string());
        while self.request.has_edge_event().map_err(failed)? {
            let words = self.request.read_edge_events_into_slice(&mut self.buffer).map_err(failed)?;
            for event in self.buffer[..words].chunks_exact(self.request.edge_event_u64_size()) {
                let event = self.request.edge_event_from_slice(event).map_err(failed)?;
                let state = event.kind == EdgeKind::Rising;
                seen.push(Seen { state, number: event.line_seqno, at_ns: event.timestamp_ns });
            }
            if words < self.buffer.len() {
                break;
            }
        }
        Ok(())
    }

    /// When the filter has to be asked again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.filter.as_ref().and_then(Debounce::due)
    }
}

fn builder(found: &Found, setup: &Setup) -> Builder {
    let mut builder = Request::builder();
    builder.on_chip(&found.chip).with_consumer("iogate").with_line(found.offset);
    if setup.active_low {
        builder.as_active_low();
    }
    let bias = setup.bias.map(|bias| match bias {
        Bias::PullUp => line::Bias::PullUp,
        Bias::PullDown => line::Bias::PullDown,
        Bias::Disabled => line::Bias::Disabled,
    });
    builder.with_bias(bias);
    builder
}

fn set_drive(builder: &mut Builder, drive: Option<Drive>) {
    if let Some(drive) = drive {
        builder.with_drive(kernel_drive(drive));
    }
}

const fn kernel_drive(drive: Drive) -> line::Drive {
    match drive {
        Drive::PushPull => line::Drive::PushPull,
        Drive::OpenDrain => line::Drive::OpenDrain,
        Drive::OpenSource => line::Drive::OpenSource,
    }
}

const fn level(state: bool) -> Value {
    if state { Value::Active } else { Value::Inactive }
}

fn refused(id: &LineId, error: &gpiocdev::Error) -> Fault {
    Fault::Absent(format!("the kernel refuses the line {id}: {error}"))
}
