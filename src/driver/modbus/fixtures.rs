//! Small plans for the driver's own tests.

use std::time::Duration;

use super::register::{Order, RawType, Register, Table, WriteMethod};
use super::{Device, Plan, Point, Transport};
use crate::model::{Access, Conversion, PointId};

/// A unit without points that answers within 100 ms.
pub(super) fn device(name: &str, unit: u8) -> Device {
    Device {
        name: name.into(),
        unit,
        max_registers: 125,
        max_bits: 2000,
        max_gap: 8,
        timeout: Duration::from_millis(100),
        points: Vec::new(),
    }
}

/// A point that is read every second; its id is to be set by whoever needs it.
pub(super) fn point(table: Table, address: u16, raw: &str) -> Point {
    let raw: RawType = serde_json::from_value(raw.into()).unwrap();
    let register = Register {
        table,
        address,
        write_address: address,
        raw,
        order: Order::Abcd,
        bits: None,
        text_bytes: 0,
        read_to_clear: false,
    };
    Point {
        id: PointId(0),
        register,
        conversion: Conversion::default(),
        poll: Duration::from_secs(1),
        access: Access::R,
        write: WriteMethod::Auto,
        tolerance: 0.0,
    }
}

/// A Modbus TCP channel; point ids are given in order.
pub(super) fn tcp_plan(devices: Vec<Device>) -> Plan {
    plan(Transport::Tcp(serde_json::from_str(r#"{"address": "192.0.2.1:502"}"#).unwrap()), devices)
}

/// An RTU line at 9600 baud; point ids are given in order.
pub(super) fn rtu_plan(devices: Vec<Device>) -> Plan {
    plan(Transport::Rtu(serde_json::from_str(r#"{"port": "/dev/null"}"#).unwrap()), devices)
}

fn plan(transport: Transport, mut devices: Vec<Device>) -> Plan {
    let points = devices.iter_mut().flat_map(|device| &mut device.points);
    for (id, point) in (0..).zip(points) {
        point.id = PointId(id);
    }
    Plan { name: "line".into(), transport, devices }
}
