//! Where a point is, driver by driver: what its section is read as, what comes of it, and the driver's point.
//!
//! Absent: what is common to all drivers (`build`). Invariant: a section is read as its device's driver says.

use std::sync::Arc;
use std::time::Duration;

use super::ascii as ascii_adapter;
use super::context::Context;
use super::conversion::RawForm;
use super::draft::Around;
use super::drivers::{Computed, DeviceSettings, Taker, Wire};
use super::http as http_adapter;
use super::local as local_adapter;
use super::modbus as adapter;
use super::node::Node;
use super::parts::read_part;
use super::repeat::Item;
use super::virtual_points as virtual_adapter;
use crate::driver::text::ExtractConfig;
use crate::driver::{ascii, http, local, modbus, system, virtual_points};
use crate::model::{Access, Conversion, PointId};

/// What the driver adds to a point, as it is written.
pub(super) enum Section {
    Modbus(Box<modbus::PointConfig>),
    Http(Box<http::PointConfig>, Box<ExtractConfig>),
    Ascii(Box<ascii::PointConfig>, Box<ExtractConfig>),
    System(Box<system::PointConfig>),
    Local(Box<local::PointConfig>),
    Virtual(Box<virtual_points::PointConfig>),
}

/// A point's place on the wire, before the rest of it is known.
pub(super) enum Place {
    Modbus(modbus::Register, modbus::WriteMethod, Box<modbus::Rules>),
    Http(Box<http::Wiring>),
    Ascii(Box<ascii::Wiring>),
    System(Box<system::Figure>),
    Local(local::Wiring),
    Virtual(Box<virtual_points::Sources>),
}

impl Place {
    /// What comes from there.
    pub(super) fn form(&self) -> RawForm {
        match self {
            Self::Modbus(register, ..) => adapter::raw_form(register),
            Self::Http(wiring) => http_adapter::raw_form(wiring),
            Self::Ascii(wiring) => http_adapter::raw_text_form(&wiring.extract.form, false),
            Self::System(figure) => RawForm { kind: figure.kind(), limits: None, word: "a figure".into() },
            Self::Local(wiring) => local_adapter::raw_form(wiring),
            Self::Virtual(sources) => virtual_adapter::raw_form(&sources.form),
        }
    }

    /// The unit that values come in, where the driver knows it.
    pub(super) fn unit(&self) -> Option<&'static str> {
        match self {
            Self::Modbus(..) | Self::Http(_) | Self::Ascii(_) | Self::Virtual(_) => None,
            Self::System(figure) => figure.unit(),
            Self::Local(wiring) => wiring.form().unit,
        }
    }

    /// Whether another register of the device tells the scale, so that whole raw numbers become real ones.
    pub(super) fn is_scaled_elsewhere(&self) -> bool {
        match self {
            Self::Modbus(_, _, rules) => rules.companions.iter().any(|companion| companion.role.scales()),
            _ => false,
        }
    }

    /// What values for it are checked against.
    pub(super) fn taker(&self) -> Taker<'_> {
        match self {
            Self::Modbus(register, ..) => Taker::Modbus(register),
            Self::Http(wiring) => Taker::Http(wiring),
            Self::Ascii(wiring) => Taker::Ascii(wiring),
            Self::System(_) => Taker::Nothing,
            Self::Local(wiring) => Taker::Local(wiring),
            Self::Virtual(sources) => Taker::Virtual(&sources.form),
        }
    }

    /// The driver's point; its id comes with the plan.
    pub(super) fn wire(
        self,
        name: &Arc<str>,
        conversion: Conversion,
        poll: Duration,
        access: Access,
        tolerance: f64,
    ) -> Wire {
        let id = PointId(0);
        match self {
            Self::Modbus(register, write, rules) => Wire::Modbus(Box::new(modbus::Point {
                id,
                register,
                conversion,
                poll,
                access,
                write,
                tolerance,
                rules: *rules,
            })),
            Self::Http(wiring) => {
                Wire::Http(Box::new(http::Point { id, wiring: *wiring, conversion, poll, access, tolerance }))
            }
            Self::Ascii(wiring) => Wire::Ascii(Box::new(ascii::Point {
                id,
                wiring: *wiring,
                conversion,
                poll,
                access,
                tolerance,
            })),
            Self::System(figure) => {
                Wire::System(Box::new(system::Point { id, figure: *figure, conversion, poll }))
            }
            Self::Local(wiring) => {
                Wire::Local(Box::new(local::Point { id, wiring, conversion, poll, access, tolerance }))
            }
            Self::Virtual(sources) => {
                let virtual_points::Sources { form, names } = *sources;
                let (name, inputs) = (Arc::clone(name), Vec::new());
                let point = virtual_points::Point { id, name, form, inputs, conversion, access };
                Wire::Virtual(Box::new(Computed { names, point }))
            }
        }
    }
}

/// Where a point is.
pub(super) fn of(
    cx: &Context<'_>,
    around: &Around<'_>,
    item: &Item,
    section: Section,
    access: Access,
) -> Option<Place> {
    let (node, shift) = (&item.node, item.shift);
    match (section, around.settings) {
        (Section::Modbus(config), DeviceSettings::Modbus(device)) => {
            let (register, write, rules) = adapter::register(cx, node, *config, device, access, shift)?;
            Some(Place::Modbus(register, write, Box::new(rules)))
        }
        (Section::Http(config, text), DeviceSettings::Http(device)) => {
            http_adapter::wiring(cx, node, (*config, &text), device, access, shift)
                .map(|wiring| Place::Http(Box::new(wiring)))
        }
        (Section::Ascii(config, text), DeviceSettings::Ascii(device)) => {
            ascii_adapter::wiring(cx, node, (&config, &text), device, access)
                .map(|wiring| Place::Ascii(Box::new(wiring)))
        }
        (Section::System(config), DeviceSettings::System) => figure(cx, node, &config, access),
        (Section::Local(config), DeviceSettings::Local(device)) => {
            local_adapter::wiring(cx, node, &config, device, access).map(Place::Local)
        }
        (Section::Virtual(config), DeviceSettings::Virtual) => {
            virtual_adapter::sources(cx, node, &config, access)
                .map(|sources| Place::Virtual(Box::new(sources)))
        }
        // The section was read as the device's driver says.
        _ => None,
    }
}

/// A figure of the box, which can only be read.
fn figure(cx: &Context<'_>, node: &Node, config: &system::PointConfig, access: Access) -> Option<Place> {
    if access.writable() {
        let place = node.span_of(&["access"]).unwrap_or(node.span);
        cx.error(place, "a figure of the box cannot be written", "remove `access`".to_owned());
        return None;
    }
    match config.figure() {
        Ok(figure) => Some(Place::System(Box::new(figure))),
        Err(message) => {
            adapter::blame(cx, node, &["figure"], &message);
            None
        }
    }
}

/// Reads what the driver adds to a point.
pub(super) fn section(cx: &Context<'_>, node: &Node, settings: &DeviceSettings) -> Option<Section> {
    match settings {
        DeviceSettings::Modbus(_) => read_part(cx, node).map(Box::new).map(Section::Modbus),
        DeviceSettings::Http(_) => {
            let both = read_part(cx, node).zip(read_part(cx, node));
            both.map(|(own, text)| Section::Http(Box::new(own), Box::new(text)))
        }
        DeviceSettings::Ascii(_) => {
            let both = read_part(cx, node).zip(read_part(cx, node));
            both.map(|(own, text)| Section::Ascii(Box::new(own), Box::new(text)))
        }
        DeviceSettings::System => read_part(cx, node).map(Box::new).map(Section::System),
        DeviceSettings::Local(device) => {
            local_adapter::point(cx, node, device).map(Box::new).map(Section::Local)
        }
        DeviceSettings::Virtual => read_part(cx, node).map(Box::new).map(Section::Virtual),
    }
}
