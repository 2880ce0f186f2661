//! Modbus as the configuration knows it.

use std::fmt::Write as _;
use std::sync::Arc;

use super::copies::{move_to_copy, rules};
use super::quirks::is_coil_word;
use super::register::{RawType, Register, Table, WriteMethod};
use super::wake::WakeConfig;
use super::{Device, DeviceConfig, LineConfig, Plan, Point, PointConfig, Rules, Transport};
use crate::driver::entry::{
    Attached, Clash, Complaint, Driver, Endpoint, Neighbour, NoKeys, RawForm, Shift, Surroundings, Wiring,
};
use crate::driver::plan::{Description, Overload};
use crate::driver::{self, DriverPlan};
use crate::model::units::count;
use crate::model::{Access, Value, ValueKind};

/// The four tables, by which a point says where it is.
pub const TABLES: [&str; 4] = ["coil", "discrete", "input", "holding"];

/// All keys by which a point says where it is.
const PLACES: [&str; 7] = ["coil", "discrete", "input", "holding", "identification", "function", "module"];

/// Those of a place that go when another is named.
const PLACE_KEYS: [&str; 12] = [
    "coil",
    "discrete",
    "input",
    "holding",
    "write-address",
    "identification",
    "function",
    "function-data",
    "reply-bytes",
    "reply-at",
    "module",
    "module-channel",
];

/// No point is wider than what one request can write, so no overlap begins further back.
const MAX_WIDTH: usize = 125;

/// From this share of a line's time on, writes and recoveries may have to wait for polls.
const BUSY: f64 = 0.7;

/// Modbus over any transport.
#[derive(Debug)]
pub struct Modbus;

/// Where a point is, and how it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Its register or bit.
    pub register: Register,
    /// How it is written.
    pub write: WriteMethod,
    /// What else counts for it.
    pub rules: Rules,
}

impl Driver for Modbus {
    const KEY: &'static str = "modbus";
    const PROFILE: Option<&'static str> =
        Some("The device's Modbus settings, where they differ from the usual.");
    const TRIAL: &'static str = "modbus-tcp: { address: 192.0.2.1 }";
    const ADDRESSES: &'static [&'static str] = &PLACES;
    const ADDRESS_WORDS: &'static str = "input, holding, coil, discrete";
    const REPLACES: &'static [(&'static [&'static str], &'static [&'static str])] =
        &[(&PLACES, &PLACE_KEYS), (&["bit", "bits"], &["bit", "bits"])];
    const CHANNEL_TABLES: &'static [(&'static str, &'static str)] = &[("`rs485`", "Rs485Config")];
    const CHANNEL_KEYS: &'static [&'static str] = &["address", "port"];

    type Channel = Transport;
    type Device = DeviceConfig;
    type Point = PointConfig;
    type Text = NoKeys;
    type Wiring = Place;

    fn channel_problems(channel: &Transport) -> Vec<String> {
        channel.validate()
    }

    fn endpoint(channel: &Transport) -> Option<Endpoint> {
        Some(match channel {
            Transport::Tcp(tcp) | Transport::RtuOverTcp(tcp) => {
                Endpoint::address(tcp.endpoint(), &tcp.address)
            }
            Transport::Rtu(line) | Transport::Ascii(line) => Endpoint::port(&line.port),
        })
    }

    fn settle(device: &mut DeviceConfig, channel: Option<&Transport>, shift: Shift) -> Vec<Complaint> {
        let mut complaints: Vec<Complaint> =
            device.validate().into_iter().map(|message| Complaint::about(&[], message)).collect();
        for (message, help) in device.watchdog_problems(channel) {
            complaints.push(Complaint::at(&["watchdog"], message, Some(help)));
        }
        if device.wake.is_some() && matches!(channel, Some(Transport::Tcp(_))) {
            let message = "wake sends bytes that Modbus TCP has no place for";
            complaints.push(Complaint::at(&["wake"], message, Some("remove it: a connection wakes nobody")));
        }
        match u8::try_from(i64::from(device.unit) + shift.distance(1)) {
            Ok(unit) => device.unit = unit,
            Err(_) => {
                let help = "use fewer copies, another `unit` for the first, or another `step`";
                let message = "the units of the copies run past 0 … 255";
                complaints.push(Complaint::at(&["unit"], message, Some(help)));
            }
        }
        complaints
    }

    /// Unit 0 is everybody on a serial line: it takes writes and answers nothing.
    fn objection(channel: &Transport, device: &DeviceConfig, access: Access) -> Option<Complaint> {
        let unanswered = channel.is_broadcast(device.unit) && access.readable();
        unanswered.then(|| {
            let help = "use the device's own unit, or make the point write-only: access: w";
            let message = "unit 0 is a broadcast to every device: nothing can be read from it";
            Complaint { at_name: true, ..Complaint::at(&["access"], message, Some(help)) }
        })
    }

    fn wiring(
        mut point: PointConfig,
        _: &NoKeys,
        around: &Surroundings<'_, DeviceConfig>,
    ) -> Result<Place, Complaint> {
        let rules = rules(&point, around).map_err(|message| Complaint::about(&PLACES, message))?;
        if around.shift.index > 0 {
            move_to_copy(&mut point, around).map_err(|message| Complaint::at(&PLACES, message, None))?;
        }
        let found = point.register(around.device, around.access.writable());
        let (register, write) = found.map_err(|message| Complaint::about(&PLACES, message))?;
        register.check_function(around.access).map_err(|message| Complaint::about(&PLACES, message))?;
        if is_coil_word(&register) && around.access.readable() {
            let help = "add access: w: the number is only ever written, and the coil reads on or off";
            let message = "a coil that takes numbers cannot be read as one";
            return Err(Complaint::at(&["type"], message, Some(help)));
        }
        Ok(Place { register, write, rules })
    }

    fn clashes(points: &[Neighbour<'_, DeviceConfig, Place>]) -> Vec<Clash> {
        overlapping_writes(points)
    }

    fn plan(name: Arc<str>, transport: Transport, devices: Vec<Attached<DeviceConfig, Place>>) -> DriverPlan {
        let timeout = transport.timeout();
        let device = |device: Attached<DeviceConfig, Place>| Device {
            name: device.name,
            unit: device.config.unit,
            max_registers: device.config.max_registers,
            max_bits: device.config.max_bits,
            max_gap: device.config.max_gap,
            timeout: device.config.timeout.unwrap_or(timeout).0,
            pause: device.config.pause.0,
            wake: device.config.wake.as_ref().map(WakeConfig::wake),
            model: device.model,
            node: device.config.node(),
            // The section has been checked.
            identify: device.config.probes().unwrap_or_default(),
            setup: device.config.writes(&device.config.setup, "setup").unwrap_or_default(),
            watchdog: device.config.guard().unwrap_or_default(),
            models: Vec::new(),
            points: device.points.into_iter().map(Point::from).collect(),
        };
        DriverPlan::new(Plan { name, transport, devices: devices.into_iter().map(device).collect() })
    }
}

impl From<driver::entry::Wired<Place>> for Point {
    fn from(wired: driver::entry::Wired<Place>) -> Self {
        let driver::entry::Wired { id, name, wiring, conversion, poll, access, tolerance, .. } = wired;
        let Place { register, write, mut rules } = wiring;
        if let Some(count) = &mut rules.count {
            count.name = name;
        }
        Self { id, register, conversion, poll, access, write, tolerance, rules }
    }
}

/// The register that writes go to, its first and last address, and which bits of it.
struct Written {
    unit: u8,
    table: Table,
    first: u32,
    last: u32,
    mask: u16,
    place: usize,
}

fn written(place: usize, point: &Neighbour<'_, DeviceConfig, Place>) -> Option<Written> {
    if !point.access.writable() {
        return None;
    }
    let register = &point.wiring.register;
    // Addresses within models are compared with nothing; a toggle shares its coil with the output it toggles, and
    // commands share the register of their parameters.
    let rules = &point.wiring.rules;
    if rules.model.is_some() || !rules.lead.is_empty() || is_coil_word(register) {
        return None;
    }
    let first = u32::from(register.write_address);
    let mask = register.bits.map_or(u16::MAX, |bits| {
        let ones = if bits.width >= 16 { u16::MAX } else { (1 << bits.width) - 1 };
        ones << bits.shift
    });
    let last = first + u32::from(register.width()).max(1) - 1;
    Some(Written { unit: point.device.unit, table: register.write_table(), first, last, mask, place })
}

fn overlapping_writes(points: &[Neighbour<'_, DeviceConfig, Place>]) -> Vec<Clash> {
    let written = points.iter().enumerate().filter_map(|(place, point)| written(place, point));
    let mut writes: Vec<Written> = written.collect();
    writes.sort_by_key(|write| (write.unit, write.table, write.first, write.place));
    let mut clashes = Vec::new();
    for (at, write) in writes.iter().enumerate() {
        let same = |other: &&Written| (other.unit, other.table) == (write.unit, write.table);
        let before = writes[..at].iter().rev().take_while(same).take(MAX_WIDTH);
        let mut overlapping =
            before.filter(|other| other.last >= write.first && other.mask & write.mask != 0);
        clashes.extend(overlapping.next().map(|other| Clash {
            points: (other.place, write.place),
            why: format!("write to the same {} address {}", write.table.word(), write.first),
            help:
                "an output has one point ({first}); make one of them read-only or correct the address".into(),
            keys: &TABLES,
        }));
    }
    clashes
}

impl Wiring for Place {
    fn form(&self) -> RawForm {
        let register = &self.register;
        let kind = match register.raw {
            RawType::Bool => ValueKind::Bool,
            raw if raw.is_text() => ValueKind::Text,
            RawType::F32 | RawType::F64 => ValueKind::Float,
            _ => ValueKind::Integer,
        };
        let signed = |bits: u32| (Value::Int(-(1 << (bits - 1))), Value::Int((1 << (bits - 1)) - 1));
        let unsigned = |bits: u32| (Value::Int(0), Value::Int((1 << bits) - 1));
        let limits = match (register.bits, register.raw) {
            (_, RawType::Bool | RawType::F32 | RawType::F64) => None,
            (_, raw) if raw.is_text() => None,
            (None, RawType::U24) => Some(unsigned(24)),
            (None, RawType::I24) => Some(signed(24)),
            (Some(field), RawType::I8 | RawType::I16) => Some(signed(u32::from(field.width))),
            (Some(field), _) => Some(unsigned(u32::from(field.width))),
            (None, RawType::U8) => Some(unsigned(8)),
            (None, RawType::U16) => Some(unsigned(16)),
            (None, RawType::U32) => Some(unsigned(32)),
            (None, RawType::U64) => Some((Value::Int(0), Value::UInt(u64::MAX))),
            (None, RawType::I8) => Some(signed(8)),
            (None, RawType::I16) => Some(signed(16)),
            (None, RawType::I32) => Some(signed(32)),
            (None, RawType::I64) => Some((Value::Int(i64::MIN), Value::Int(i64::MAX))),
            (None, RawType::Bcd16) => Some((Value::Int(0), Value::Int(9_999))),
            (None, RawType::Bcd32) => Some((Value::Int(0), Value::Int(99_999_999))),
            // Texts, which stand above.
            (None, RawType::Text | RawType::Chars | RawType::Mac) => None,
        };
        let word = match register.bits {
            Some(field) if register.raw != RawType::Bool => format!("a field of {} bits", field.width),
            _ => register.raw.word(),
        };
        if let Some(count) = &self.rules.count {
            return count.form();
        }
        RawForm { kind, limits, word: word.into(), unit: None }
    }

    fn is_whole(&self) -> bool {
        self.register.raw.is_whole()
    }

    fn is_scaled(&self) -> bool {
        self.rules.companions.iter().any(|companion| companion.role.scales())
    }

    fn encodable(&self, raw: &Value) -> Result<(), String> {
        let register = &self.register;
        if is_coil_word(register) {
            return register.encode_coil_word(raw).map(|_| ());
        }
        if register.is_function() {
            return register.request_bytes(raw).map(|_| ());
        }
        register.holding(raw).map(|_| ())
    }
}

impl driver::Plan for Plan {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn device_names(&self) -> Vec<Arc<str>> {
        self.devices.iter().map(|device| Arc::clone(&device.name)).collect()
    }

    fn redirected(&self, endpoint: &str) -> Option<DriverPlan> {
        Some(DriverPlan::new(self.with_endpoint(endpoint)))
    }

    /// A line's speed is known; how fast a device answers over TCP is an assumption that may be wrong.
    fn overload(&self) -> Option<Overload> {
        let budget = self.budget();
        let name = &self.name;
        let on_tcp = matches!(self.transport, Transport::Tcp(_) | Transport::RtuOverTcp(_));
        let message = match budget.fits() {
            false if on_tcp => format!(
                "the polls of `{name}` cannot be served unless it answers faster than assumed: they need {budget}"
            ),
            false => format!("the polls of `{name}` cannot be served: they need {budget}"),
            true if budget.line_time_share > BUSY => {
                format!("the polls of `{name}` leave little time for writes: they take {budget}")
            }
            true => return None,
        };
        Some(Overload { fatal: !budget.fits() && !on_tcp, message, help: budget.suggestion })
    }

    fn description(&self) -> Description {
        let budget = self.budget();
        let device = |device: &Device| {
            let own = budget.requests.iter().filter(|request| request.device == device.name);
            let (requests, share) =
                own.fold((0, 0.0), |(number, share), request| (number + 1, share + request.share()));
            let (unit, points) = (device.unit, count(device.points.len(), "point"));
            let mut text = format!("unit {unit}, {points}, {}", count(requests, "request"));
            // Writing to a String cannot fail.
            let _ = write!(text, ", {:.1} %", share * 100.0);
            (Arc::clone(&device.name), text)
        };
        Description {
            line: match &self.transport {
                Transport::Tcp(tcp) => format!("modbus-tcp to {}", tcp.address),
                Transport::RtuOverTcp(tcp) => format!("modbus-rtu-over-tcp to {}", tcp.address),
                Transport::Rtu(line) => format!("modbus-rtu on {} at {}", line.port, line.form()),
                Transport::Ascii(line) => format!("modbus-ascii on {} at {}", line.port, line.form()),
            },
            load: Some(budget.to_string()),
            devices: self.devices.iter().map(device).collect(),
        }
    }
}

impl LineConfig {
    /// Speed and form of its characters: `9600 8N1`.
    #[must_use]
    pub fn form(&self) -> String {
        format!("{} {}{}{}", self.baud, self.data_bits, self.parity.letter(), self.stop_bits)
    }
}
