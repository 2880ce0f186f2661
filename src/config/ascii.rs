//! The sections of instruments that speak in lines: devices and points become parts of a plan.
//!
//! The driver owns the types and says what fits; this file finds the place of what it says.

use super::context::Context;
use super::modbus::blame;
use super::node::Node;
use crate::driver::ascii::{DeviceConfig, PointConfig, Source, Wiring, wire};
use crate::driver::text::ExtractConfig;
use crate::model::Access;

/// How a point is read and written.
pub(super) fn wiring(
    cx: &Context<'_>,
    node: &Node,
    (config, text): (&PointConfig, &ExtractConfig),
    device: &DeviceConfig,
    access: Access,
) -> Option<Wiring> {
    let wiring = match config.wiring(text, access.readable(), access.writable()) {
        Ok(wiring) => wiring,
        Err(message) => {
            blame(cx, node, &["ask", "listen", "send"], &message);
            return None;
        }
    };
    let asked = if let Source::Ask(ask) = &wiring.source { Some(("ask", ask)) } else { None };
    let sent = wiring.command.as_ref().map(|command| ("send", &command.text));
    for (key, line) in asked.into_iter().chain(sent) {
        if wire::encode(device, line).is_none() {
            let place = node.span_of(&[key]).unwrap_or(node.span);
            let help = "use other characters, or `charset: utf-8` where the instrument knows it".to_owned();
            cx.error(place, "the charset of the device lacks a character of this text", help);
            return None;
        }
    }
    Some(wiring)
}
