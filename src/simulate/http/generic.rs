//! Any other HTTP device: answers in which the points are where the configuration looks for them.

use super::host::{Cell, State};
use super::wire::{Answer, Asked, decoded};
use crate::driver::http::extract::Pick;
use crate::driver::http::request::{PLACEHOLDER, Template};
use crate::simulate::text::{compose, inside, raw_of};

/// Answers a request that a point reads or writes with; 404 for any other.
pub(super) fn answer(state: &mut State, asked: &Asked) -> Answer {
    if let Some(written) = write(state, asked) {
        return written;
    }
    let mine = |cell: &&Cell| {
        cell.wiring.request.as_ref().is_some_and(|request| {
            let body = request.payload.as_ref().map_or("", |payload| payload.text.as_str());
            request.verb.word() == asked.verb && request.path == asked.target && body == asked.body
        })
    };
    let cells: Vec<&Cell> = state.cells.iter().filter(mine).collect();
    let media = match cells.first().map(|cell| &cell.extract.pick) {
        None => return Answer::status(404),
        Some(Pick::Json(_)) => "application/json",
        Some(Pick::Regex(_)) => "text/html",
        Some(Pick::Whole | Pick::Split(_) | Pick::Columns(..)) => "text/plain",
    };
    compose(&cells, &["\n"]).map_or_else(|| Answer::status(501), |text| Answer::utf8(media, text))
}

/// Carries out a write that a point's template describes.
fn write(state: &mut State, asked: &Asked) -> Option<Answer> {
    let mut found = state.cells.iter_mut().filter(|cell| cell.wiring.slot.is_none());
    let (cell, text) = found.find_map(|cell| {
        let text = setpoint(cell.wiring.template.as_ref()?, asked)?;
        Some((cell, text))
    })?;
    let template = cell.wiring.template.as_ref()?;
    let Some(raw) = raw_of(&cell.extract.form, &template.on, &template.off, &text) else {
        return Some(Answer::status(400));
    };
    cell.write(&raw);
    state.written();
    Some(Answer::utf8("text/plain", "OK".into()))
}

/// The setpoint in a request, where it is one of this template.
fn setpoint(template: &Template, asked: &Asked) -> Option<String> {
    let request = &template.request;
    if request.verb.word() != asked.verb {
        return None;
    }
    let path = inside(&request.path, PLACEHOLDER, &asked.target)?;
    let body = match &request.payload {
        Some(payload) => inside(&payload.text, PLACEHOLDER, &asked.body)?,
        None => String::new(),
    };
    Some(decoded(if path.is_empty() { &body } else { &path }))
}
