//! A small plant with one channel of each kind, as a validated configuration would describe it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use iogate::driver::DriverPlan;
use iogate::driver::modbus::register::{Order, RawType, Table};
use iogate::driver::modbus::{self, Register, Transport, WriteMethod};
use iogate::model::conversion::Linear;
use iogate::model::{
    Access, Behaviour, Conversion, Deadband, PayloadFormat, Point, PointId, PointTable, PublishPolicy,
    ReportPolicy, Topic, ValueKind,
};
use iogate::simulate::{Options, Simulation};

/// What a simulation is started from.
pub(crate) struct Plant {
    pub(crate) points: Arc<PointTable>,
    pub(crate) plans: Vec<DriverPlan>,
    pub(crate) behaviours: BTreeMap<PointId, Behaviour>,
}

/// How long a unit may take before a master gives up; `late` answers come a quarter later.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(200);

impl Plant {
    /// `plc` (TCP, press = 1), `line` (RTU 9600, climate = 17, relays = 18), `server` (RTU over TCP,
    /// valve = 5), `old` (ASCII 9600 7E1, scale = 2). All devices have the same registers.
    pub(crate) fn new() -> Self {
        let mut plant = Self { points: Arc::default(), plans: Vec::new(), behaviours: BTreeMap::new() };
        let mut points = Vec::new();
        let line = |yaml: &str| serde_yaml::from_str(yaml).unwrap();
        let tcp = || serde_yaml::from_str("{ address: 192.0.2.1:502 }").unwrap();
        for (name, transport, units) in [
            ("plc", Transport::Tcp(tcp()), vec![("press", 1)]),
            ("line", Transport::Rtu(line("{ port: x, baud: 9600 }")), vec![("climate", 17), ("relays", 18)]),
            ("server", Transport::RtuOverTcp(tcp()), vec![("valve", 5)]),
            (
                "old",
                Transport::Ascii(line("{ port: x, baud: 9600, parity: even, data-bits: 7 }")),
                vec![("scale", 2)],
            ),
        ] {
            let devices = units
                .into_iter()
                .map(|(device, unit)| plant.device(&mut points, name, device, unit))
                .collect();
            plant.plans.push(DriverPlan::new(modbus::Plan { name: name.into(), transport, devices }));
        }
        plant.points = Arc::new(PointTable::new(points));
        plant
    }

    /// Coils 0-9 (3 is on), discrete inputs 0-3 (1 is on), input 0 = 21.5 °C, input 1-2 = 3.25 as f32, input
    /// 3 = a count of milliseconds, input 4 = 90 while press/c0 is off and soon 30 while it is on, holding
    /// 10-13 = 7.
    fn device(&mut self, points: &mut Vec<Point>, channel: &str, device: &str, unit: u8) -> modbus::Device {
        let mut planned = Vec::new();
        let mut add = |name: String, table, address, raw, scale: f64, behaviour: &str| {
            let id = PointId(u32::try_from(points.len()).unwrap());
            let kind = if raw == RawType::Bool { ValueKind::Bool } else { ValueKind::Float };
            points.push(point(id, channel, device, &name, kind));
            self.behaviours.insert(id, serde_yaml::from_str(behaviour).unwrap());
            planned.push(wire(id, table, address, raw, scale));
        };
        for i in 0..10 {
            let state = if i == 3 { "constant: on" } else { "constant: off" };
            add(format!("c{i}"), Table::Coil, i, RawType::Bool, 1.0, state);
        }
        for i in 0..4 {
            let state = if i == 1 { "constant: on" } else { "constant: off" };
            add(format!("d{i}"), Table::Discrete, i, RawType::Bool, 1.0, state);
        }
        add("temperature".into(), Table::Input, 0, RawType::I16, 0.1, "constant: 21.5");
        add("level".into(), Table::Input, 1, RawType::F32, 1.0, "constant: 3.25");
        add("age".into(), Table::Input, 3, RawType::U16, 1.0, "count: { every: 1ms }");
        let heat = "responds: { to: press/c0, off: 90, on: 30, time-constant: 50ms }";
        add("heat".into(), Table::Input, 4, RawType::I16, 0.1, heat);
        for i in 10..14 {
            add(format!("h{i}"), Table::Holding, i, RawType::U16, 1.0, "constant: 7");
        }
        modbus::Device {
            name: device.into(),
            unit,
            max_registers: 125,
            max_bits: 2000,
            max_gap: 0,
            timeout: TIMEOUT,
            pause: Duration::ZERO,
            wake: None,
            model: device.into(),
            identify: Vec::new(),
            setup: Vec::new(),
            watchdog: None,
            models: Vec::new(),
            node: None,
            points: planned,
        }
    }

    pub(crate) async fn start(&self) -> Simulation {
        self.start_with(&Options::default()).await
    }

    pub(crate) async fn start_with(&self, options: &Options) -> Simulation {
        Simulation::start(&self.points, &self.plans, &self.behaviours, options).await.unwrap()
    }
}

fn wire(id: PointId, table: Table, address: u16, raw: RawType, scale: f64) -> modbus::Point {
    let linear = if scale == 1.0 { Linear::Identity } else { Linear::Scale { scale, offset: 0.0 } };
    modbus::Point {
        id,
        register: Register {
            table,
            address,
            write_address: address,
            raw,
            order: Order::Abcd,
            bits: None,
            text_bytes: 0,
            read_to_clear: false,
        },
        conversion: Conversion { linear, ..Conversion::default() },
        poll: Duration::from_secs(1),
        access: if table.is_writable() { Access::Rw } else { Access::R },
        write: WriteMethod::Auto,
        tolerance: 0.0,
        rules: modbus::Rules::default(),
    }
}

fn point(id: PointId, channel: &str, device: &str, name: &str, kind: ValueKind) -> Point {
    Point {
        id,
        name: format!("{device}/{name}").into(),
        device: device.into(),
        channel: channel.into(),
        topic: Topic::join(&["site", device, name]).unwrap(),
        kind,
        unit: None,
        label: None,
        access: Access::R,
        range: None,
        report: ReportPolicy { deadband: Deadband::None, always: false, max_silence: None },
        publish: PublishPolicy { format: PayloadFormat::Json, qos: 0, retain: true, uncertain: false },
        poll: Duration::from_secs(1),
        safe: None,
        tolerance: 0.0,
        output: iogate::model::OutputRules::default(),
    }
}

/// A connection to a TCP channel.
pub(crate) fn connect(simulation: &Simulation, channel: &str) -> TcpStream {
    let stream = TcpStream::connect(simulation.endpoint(channel).unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// A client on the serial port of a channel. The port is raw from the start.
pub(crate) fn open(simulation: &Simulation, channel: &str) -> File {
    let path = simulation.endpoint(channel).unwrap();
    let flags = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap()
}

/// Sends and reads exactly `count` bytes back.
pub(crate) fn exchange(stream: &mut (impl Read + Write), request: &[u8], count: usize) -> Vec<u8> {
    stream.write_all(request).unwrap();
    let mut reply = vec![0; count];
    stream.read_exact(&mut reply).unwrap();
    reply
}

/// Adds the CRC of Modbus, bit by bit as in the standard's appendix.
pub(crate) fn rtu(body: &[u8]) -> Vec<u8> {
    let mut crc = 0xffff_u16;
    for byte in body {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            let carry = crc & 1;
            crc >>= 1;
            if carry == 1 {
                crc ^= 0xa001;
            }
        }
    }
    [body, &crc.to_le_bytes()].concat()
}

/// Runs a peer program to its end.
pub(crate) fn peer(program: &str, arguments: &[&str]) -> Output {
    match Command::new(program).args(arguments).output() {
        Ok(output) => output,
        Err(error) => panic!("{program}: {error}; `bash tests/peers.sh` installs the peers"),
    }
}

/// The Python that has the peers.
pub(crate) fn python() -> String {
    std::env::var("IOGATE_PEERS_PYTHON").unwrap_or_else(|_| {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        root.join("tests/.peers/venv/bin/python").display().to_string()
    })
}
