//! `iogate check`: what a configuration comes to, in words.
use super::context::Context;
use super::plan::Plan;
use super::source::Span;
use crate::driver::modbus;
pub(super) fn check_budget(_cx: &Context<'_>, _plan: &modbus::Plan, _place: Span) {}
/// x
pub fn check_report(_plan: &Plan) -> String {
    String::new()
}
