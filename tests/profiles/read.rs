//! A profile's points read out of what a case says its device holds.

use std::collections::BTreeMap;

use iogate::config::{self, Plan};
use iogate::driver::entry::Wired;
use iogate::driver::modbus::beside::{Beside, judge};
use iogate::driver::modbus::counter::Meter;
use iogate::driver::modbus::register::Table;
use iogate::driver::modbus::sunspec::{Step as Walked, Walk};
use iogate::driver::modbus::wire::Ask;
use iogate::driver::modbus::{Device, Point, Register};
use iogate::driver::text::Reply;
use iogate::driver::{ascii, http, modbus, mqtt, snmp};
use iogate::model::{PointId, Quality, Reason, Value};

use crate::case::{Case, Expected, Registers, Step};

type Reading = (Option<Value>, Quality);

/// Everything in which the readings of a case differ from what it expects.
pub(crate) fn complaints(case: &Case) -> Vec<String> {
    let plan =
        config::profile_trial(&case.profile, &crate::around()).unwrap_or_else(|report| panic!("{report}"));
    let mut found = compare(&plan, case, &case.step);
    for step in &case.then {
        found.extend(compare(&plan, case, step));
    }
    found
}

fn compare(plan: &Plan, case: &Case, step: &Step) -> Vec<String> {
    let readings: BTreeMap<String, Reading> = read(plan, case, step)
        .into_iter()
        .map(|(id, reading)| (plan.points.get(id).name.split_once('/').unwrap().1.to_owned(), reading))
        .collect();
    let differs = |(name, wanted): (&String, &Expected)| match readings.get(name) {
        None => Some(format!("`{name}` is no point that can be read")),
        Some(reading) if fits(reading, wanted) => None,
        Some((value, quality)) => {
            let shown = value.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
            Some(format!("`{name}` is {shown}, {quality}, and not {wanted:?}"))
        }
    };
    step.expect.iter().filter_map(differs).collect()
}

fn fits((value, quality): &Reading, wanted: &Expected) -> bool {
    match (wanted, value, quality) {
        (Expected::Bad { bad }, None, Quality::Bad(reason)) => reason.code() == bad,
        (Expected::State(wanted), Some(Value::Bool(state)), Quality::Good) => state == wanted,
        (Expected::Text(wanted), Some(Value::Text(text)), Quality::Good) => **text == **wanted,
        (Expected::Number(wanted), Some(value), Quality::Good) => {
            let number = value.as_f64().filter(|_| !matches!(value, Value::Bool(_)));
            number.is_some_and(|number| (number - wanted).abs() <= 1e-9 * wanted.abs().max(1.0))
        }
        _ => false,
    }
}

fn read(plan: &Plan, case: &Case, step: &Step) -> Vec<(PointId, Reading)> {
    let text = |conversion: &iogate::model::Conversion, raw: Result<Value, Reason>| match raw {
        Ok(raw) => conversion.apply(&raw),
        Err(reason) => (None, Quality::Bad(reason)),
    };
    let driver = &plan.channels[0].driver;
    if let Some(modbus) = driver.get::<modbus::Plan>() {
        let said = case.replies.iter().chain(&step.replies);
        let said = said.map(|(key, text)| (key.clone(), text.clone())).collect();
        let image = Image { said, ..Image::new(&[&case.registers, &step.registers]) };
        image.read(&modbus.devices[0])
    } else if let Some(http) = driver.get::<http::Plan>() {
        let replies = |path: &str| {
            let page = path.split('?').next().unwrap();
            step.replies.get(page).or_else(|| case.replies.get(page))
        };
        let readable = http.devices[0].points.iter().filter(|point| point.access.readable());
        let value = |point: &http::Point| {
            let reply = replies(&point.wiring.request.as_ref()?.path)?;
            let raw = point.wiring.extract.value(&Reply::new(reply.as_str().into()));
            Some((point.id, text(&point.conversion, raw)))
        };
        readable.filter_map(value).collect()
    } else if let Some(snmp) = driver.get::<snmp::Plan>() {
        let value = |point: &snmp::Point| {
            let oid = point.wiring.oid.to_string();
            let reply = step.replies.get(&oid).or_else(|| case.replies.get(&oid))?;
            let raw = point.wiring.extract.value(&Reply::new(reply.as_str().into()));
            Some((point.id, text(&point.conversion, raw)))
        };
        snmp.devices[0].points.iter().filter_map(value).collect()
    } else if let Some(ascii) = driver.get::<ascii::Plan>() {
        let line = |key: &str| step.lines.get(key).or_else(|| case.lines.get(key));
        let value = |point: &ascii::Point| {
            let (ascii::Source::Ask(key) | ascii::Source::Listen(key)) = &point.wiring.source else {
                return None;
            };
            let reply = line(key)?;
            Some((
                point.id,
                text(&point.conversion, point.wiring.extract.value(&Reply::new(reply.as_str().into()))),
            ))
        };
        ascii.devices[0].points.iter().filter_map(value).collect()
    } else if let Some(mqtt) = driver.get::<mqtt::Plan>() {
        let message = |topic: &str| step.messages.get(topic).or_else(|| case.messages.get(topic));
        let value = |point: &Wired<mqtt::Wiring>| {
            let reply = Reply::new(message(point.wiring.topic.as_ref()?)?.as_str().into());
            Some((point.id, text(&point.conversion, point.wiring.extract.value(&reply))))
        };
        mqtt.devices[0].points.iter().filter_map(value).collect()
    } else {
        panic!("add the driver of {} to this test", case.profile)
    }
}

/// The registers of a device, and what it answers to other functions: `identification 1`, or bytes to `function 7`.
struct Image {
    words: BTreeMap<(Table, u16), u16>,
    said: BTreeMap<String, String>,
}

impl Image {
    fn new(layers: &[&Registers]) -> Self {
        let mut words = BTreeMap::new();
        for (name, runs) in layers.iter().flat_map(|registers| registers.iter()) {
            let table = match name.as_str() {
                "coil" => Table::Coil,
                "discrete" => Table::Discrete,
                "input" => Table::Input,
                "holding" => Table::Holding,
                other => panic!("there is no table `{other}`"),
            };
            for (start, run) in runs {
                words.extend((*start..).zip(run).map(|(address, word)| ((table, address), *word)));
            }
        }
        Self { words, said: BTreeMap::new() }
    }

    fn words(&self, table: Table, address: u16, count: u16) -> Option<Vec<u16>> {
        (0..count).map(|i| self.words.get(&(table, address.checked_add(i)?)).copied()).collect()
    }

    fn raw(&self, register: &Register) -> Option<Value> {
        if register.table == Table::Identity {
            let text = self.said.get(&format!("identification {}", register.address))?;
            return register.reply_value(text.as_bytes());
        }
        if let Table::Call(call) = register.table {
            let text = self.said.get(&format!("function {}", call.function))?;
            let bytes: Vec<u8> =
                text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
            return register.reply_value(&bytes);
        }
        let words = self.words(register.table, register.address, register.width())?;
        match register.table.is_bits() {
            true => Some(Value::Bool(words[0] != 0)),
            false => register.decode(&words).ok(),
        }
    }

    /// The device with its models where the image has them, as the driver looks for them.
    fn bound(&self, device: &Device) -> Device {
        let mut walk = Walk::default();
        loop {
            let Ask::Read { table, address, count } = walk.ask() else { panic!("a walk only reads") };
            let words = self.words(table, address, count).and_then(|words| words.try_into().ok());
            match walk.answered(words) {
                Walked::More => {}
                Walked::Found(chain) => return device.bound(&chain),
                Walked::Nothing => panic!("the case has no chain of SunSpec models"),
            }
        }
    }

    fn read(&self, device: &Device) -> Vec<(PointId, Reading)> {
        let bound = if device.is_sunspec() { self.bound(device) } else { device.clone() };
        for probe in &bound.identify {
            assert_eq!(
                probe.complaint("the profile", self.raw(&probe.register).as_ref()),
                None,
                "its own probe"
            );
        }
        let readable = bound.points.iter().filter(|point| point.access.readable());
        readable.filter_map(|point| Some((point.id, self.reading(point)?))).collect()
    }

    fn reading(&self, point: &Point) -> Option<Reading> {
        if !point.is_bound() {
            return Some((None, Quality::Bad(Reason::NotAvailable)));
        }
        let raw = self.raw(&point.register)?;
        let beside: Vec<(Register, Beside)> = point
            .rules
            .companions
            .iter()
            .map(|companion| {
                let raw = self.raw(&companion.register);
                (companion.register, raw.map_or(Beside::Bad(Reason::DeviceException(2)), Beside::Raw))
            })
            .collect();
        let state = |register: &Register| {
            beside.iter().find(|(known, _)| known == register).map_or(&Beside::Unread, |(_, beside)| beside)
        };
        // A counter as it is one second after it was at 0.
        let raw = match &point.rules.count {
            Some(count) => {
                let (now, mut meter) = (std::time::Instant::now(), Meter::default());
                meter.last = Some((0, Some(now)));
                let held = u64::try_from(raw.as_f64()? as i64).unwrap();
                count.take(&mut meter, held, now + std::time::Duration::from_secs(1))?
            }
            None => raw,
        };
        judge(&point.rules.companions, &point.conversion, state).apply(&raw, &point.conversion)
    }
}
