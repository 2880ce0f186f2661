//! A Web-IO of Wiesemann & Theis: its text commands, as its manual and its maker's package describe them.
//!
//! Quirks that are served: decimal comma with the unit behind it, `----` for no value, an optional head of
//! address and name, analog terminals from 1 and digital ones from 0, 403 for a wrong password, 404 for what
//! is not there, the reset behind `/portinfo`, and the actual value in the answer to a written analog output.

use super::host::{Cell, State};
use super::wire::{Answer, Asked};
use crate::driver::http::Plan;
use crate::driver::http::wut::Kind;
use crate::model::Value;

/// The address and the name in front of answers whose head is switched on.
const HEAD: &str = "192.0.2.20;WEBIO-SIM;";

/// Answers a command; `None` for a path that is none.
pub(super) fn answer(plan: &Plan, state: &mut State, asked: &Asked, head: bool) -> Option<Answer> {
    let (command, number) = command(&asked.path)?;
    let secret = plan.devices.iter().find_map(|device| device.config.wut_password.as_ref());
    let password = secret.map_or("", |secret| secret.reveal());
    let guarded = ["allout", "input", "output", "counter", "outputaccess", "counterclear"].contains(&command);
    if guarded && asked.parameter("PW").as_deref() != Some(password) {
        return Some(Answer::status(403));
    }
    let text = match (command, number) {
        ("portinfo", None) => {
            let mut list = Answer::latin1(&portinfo(plan, state));
            list.resets = true;
            return Some(list);
        }
        ("single", None) => single(plan, state),
        ("allout", None) => allout(plan, state),
        ("input", None) => format!("input;{:04X}", bits(state, Kind::DigitalIn)),
        ("output", None) => format!("output;{:04X}", bits(state, Kind::DigitalOut)),
        ("input", Some(slot)) => one(state, Kind::DigitalIn, slot, "input")?,
        ("output", Some(slot)) => one(state, Kind::DigitalOut, slot, "output")?,
        ("counter", Some(slot)) => format!("counter{slot};{}", find(state, Kind::Counter, slot)?.text()),
        ("outputaccess", slot) => output_access(state, asked, slot)?,
        ("counterclear", Some(slot)) => {
            let set: i64 = asked.parameter("Set").unwrap_or_default().parse().unwrap_or(0);
            let cell = find_mut(state, Kind::Counter, slot)?;
            cell.write(&Value::Int(set));
            state.written();
            format!("counter{slot};{set}")
        }
        _ => return None,
    };
    let head = if head { HEAD } else { "" };
    Some(Answer::latin1(&format!("{head}{text}")))
}

/// The command of a path and the number at its end.
fn command(path: &str) -> Option<(&str, Option<u16>)> {
    let name = path.strip_prefix('/')?;
    let word = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = &name[word.len()..];
    Some((word, if number.is_empty() { None } else { Some(number.parse().ok()?) }))
}

/// How many terminals of a kind there are: as many as the model has, and at least those that points name.
fn count(plan: &Plan, state: &State, kind: Kind) -> u16 {
    let declared =
        plan.devices.iter().filter_map(|device| device.config.wut_ports).find_map(|ports| match kind {
            Kind::AnalogIn => ports.analog_in,
            Kind::AnalogOut => ports.analog_out,
            Kind::DigitalIn => ports.digital_in,
            Kind::DigitalOut => ports.digital_out,
            Kind::Counter => None,
        });
    let base = first(kind);
    let named = slots(state, kind).map(|(number, _)| number + 1 - base).max();
    declared.unwrap_or(0).max(named.unwrap_or(0))
}

/// Analog terminals are counted from 1, all others from 0.
const fn first(kind: Kind) -> u16 {
    matches!(kind, Kind::AnalogIn | Kind::AnalogOut) as u16
}

fn slots(state: &State, kind: Kind) -> impl Iterator<Item = (u16, &Cell)> {
    state.cells.iter().filter_map(move |cell| {
        let slot = cell.wiring.slot.filter(|slot| slot.kind == kind)?;
        Some((slot.number, cell))
    })
}

fn find(state: &State, kind: Kind, number: u16) -> Option<&Cell> {
    slots(state, kind).find(|(own, _)| *own == number).map(|(_, cell)| cell)
}

fn find_mut(state: &mut State, kind: Kind, number: u16) -> Option<&mut Cell> {
    state
        .cells
        .iter_mut()
        .find(|cell| cell.wiring.slot.is_some_and(|slot| slot.kind == kind && slot.number == number))
}

fn is_on(cell: &Cell) -> bool {
    cell.raw().and_then(|raw| raw.as_bool()).unwrap_or(false)
}

fn bits(state: &State, kind: Kind) -> u64 {
    slots(state, kind).fold(0, |bits, (number, cell)| bits | u64::from(is_on(cell)) << (number & 63))
}

fn one(state: &State, kind: Kind, slot: u16, word: &str) -> Option<String> {
    let on = is_on(find(state, kind, slot)?);
    Some(format!("{word}{slot};{}", if on { "ON" } else { "OFF" }))
}

fn single(plan: &Plan, state: &State) -> String {
    let last = count(plan, state, Kind::AnalogIn).max(count(plan, state, Kind::AnalogOut));
    let field = |number: u16| {
        let cell = find(state, Kind::AnalogIn, number).or_else(|| find(state, Kind::AnalogOut, number));
        cell.map_or_else(|| "----".to_owned(), Cell::text)
    };
    (1..=last).map(field).collect::<Vec<_>>().join(";")
}

fn allout(plan: &Plan, state: &State) -> String {
    let counters = count(plan, state, Kind::Counter).max(count(plan, state, Kind::DigitalIn));
    let counter = |number| find(state, Kind::Counter, number).map_or_else(|| "0".to_owned(), Cell::text);
    let counters: Vec<String> = (0..counters).map(counter).collect();
    let (inputs, outputs) = (bits(state, Kind::DigitalIn), bits(state, Kind::DigitalOut));
    format!("input;{inputs:04X};output;{outputs:04X};counter;{}", counters.join(";"))
}

fn output_access(state: &mut State, asked: &Asked, slot: Option<u16>) -> Option<String> {
    let wanted = asked.parameter("State")?;
    match slot {
        Some(slot) if find(state, Kind::DigitalOut, slot).is_some() => {
            let on = match wanted.as_str() {
                "ON" => true,
                "OFF" => false,
                _ => return None,
            };
            find_mut(state, Kind::DigitalOut, slot)?.write(&Value::Bool(on));
        }
        Some(slot) => {
            // What is told is the value before the output has moved.
            let cell = find_mut(state, Kind::AnalogOut, slot)?;
            let before = cell.text();
            let number = wanted.replace(',', ".").parse::<f64>().ok()?;
            cell.write(&Value::Float(number));
            state.written();
            return Some(format!("output{slot};{before}"));
        }
        None => {
            let all = u64::from_str_radix(&wanted, 16).ok()?;
            let numbers: Vec<u16> = slots(state, Kind::DigitalOut).map(|(number, _)| number).collect();
            for number in numbers {
                find_mut(state, Kind::DigitalOut, number)?.write(&Value::Bool(all >> (number & 63) & 1 == 1));
            }
        }
    }
    state.written();
    Some(format!("output;{:04X}", bits(state, Kind::DigitalOut)))
}

fn portinfo(plan: &Plan, state: &State) -> String {
    let analog = count(plan, state, Kind::AnalogIn) + count(plan, state, Kind::AnalogOut) > 0;
    let width = if analog { 14 } else { 12 };
    let mut lines = Vec::new();
    for (kind, code) in [
        (Kind::AnalogIn, "1"),
        (Kind::AnalogOut, "6"),
        (Kind::DigitalIn, "2"),
        (Kind::DigitalOut, "3"),
        (Kind::Counter, "4"),
    ] {
        let inputs = count(plan, state, Kind::DigitalIn);
        let all = if kind == Kind::Counter {
            count(plan, state, kind).max(inputs)
        } else {
            count(plan, state, kind)
        };
        for number in first(kind)..first(kind) + all {
            let cell = find(state, kind, number);
            let mut fields = vec![String::new(); width];
            fields[0] = lines.len().to_string();
            fields[1] = format!("{} {number}", kind.word());
            fields[3] = cell.map_or_else(String::new, |cell| cell.name.to_string());
            fields[4] = cell.map_or_else(String::new, |cell| cell.unit.clone());
            fields[5] = code.to_owned();
            fields[6] = code.to_owned();
            fields[8] = number.to_string();
            lines.push(fields.join("|"));
        }
    }
    let version = if analog { "1.1" } else { "1.0" };
    let mut text = format!("{version}|{}\r\n", lines.len());
    for line in lines {
        text.push_str(&line);
        text.push_str("\r\n");
    }
    text.push('\0');
    text
}
