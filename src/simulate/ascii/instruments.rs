//! What the instruments of one line answer and say by themselves.
//!
//! Pure but for the lock of their points. A question is what a point of the plan asks, a command what one sends with a
//! setpoint in it; whatever else comes is refused with the first of the device's error replies, or not answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::driver::ascii::config::{Charset, DeviceConfig};
use crate::driver::ascii::wire::{self, Lines};
use crate::driver::ascii::{Plan, Source, Transport, Wiring};
use crate::model::{Behaviour, PointId, PointTable};
use crate::simulate::StartError;
use crate::simulate::fault::{Effects, Fault, FaultError};
use crate::simulate::listen::{Said, Talker};
use crate::simulate::text::{Cell, Operated, Planned, State, Station, compose, inside, raw_of};

/// What stands for the setpoint in a command.
const VALUE: &str = "{value}";

/// What an instrument answers to a command, where it is not said what.
const DONE: &str = "OK";

/// The shortest time between two lines that are sent by themselves.
const SHORTEST: Duration = Duration::from_millis(100);

/// A point of an instrument.
#[derive(Debug)]
struct Wired {
    device: usize,
    wiring: Wiring,
}

/// A line that an instrument sends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Speech {
    device: usize,
    begin: String,
    /// How often.
    pub(super) period: Duration,
}

/// The instruments of one channel.
#[derive(Debug)]
pub(super) struct Instruments {
    plan: Arc<Plan>,
    /// How lines look, without the words that only answers begin with.
    forms: Vec<DeviceConfig>,
    station: Arc<Station<Wired>>,
    /// What is sent by itself.
    pub(super) speeches: Vec<Speech>,
    delay: Duration,
}

impl Instruments {
    /// Those of a plan.
    ///
    /// # Errors
    /// When a behaviour does not suit its point.
    pub(super) fn new(
        points: &PointTable,
        plan: &Arc<Plan>,
        behaviours: (&BTreeMap<PointId, Behaviour>, u64),
        delay: Duration,
    ) -> Result<Self, StartError> {
        let planned = plan.devices.iter().enumerate().flat_map(|(device, this)| {
            this.points.iter().map(move |point| Planned {
                id: point.id,
                wiring: Wired { device, wiring: point.wiring.clone() },
                extract: &point.wiring.extract,
                conversion: &point.conversion,
            })
        });
        let station = Station::new(points, planned, behaviours, plan.transport.timeout().0, suits)?;
        let plain = |config: &DeviceConfig| DeviceConfig {
            error_replies: Vec::new(),
            busy_replies: Vec::new(),
            ..config.clone()
        };
        Ok(Self {
            forms: plan.devices.iter().map(|device| plain(&device.config)).collect(),
            station: Arc::new(station),
            speeches: speeches(plan),
            plan: Arc::clone(plan),
            delay,
        })
    }

    /// What can be done to them by hand.
    pub(super) fn operated(&self) -> Arc<dyn Operated> {
        Arc::clone(&self.station) as Arc<dyn Operated>
    }

    /// The next whole line of what has come; a pause ends one, too.
    pub(super) fn line(&self, lines: &mut Lines, paused: bool) -> Option<Vec<u8>> {
        let form = self.forms.first()?;
        // Requests to instruments whose answers end with a pause end with a carriage return.
        let end = match form.terminator {
            crate::driver::ascii::config::Terminator::Silence => crate::driver::ascii::config::Terminator::Cr,
            other => other,
        };
        lines.next(end).or_else(|| if paused { lines.silence() } else { None })
    }

    /// What is answered to a line.
    pub(super) fn answers(&self, line: &[u8], now: Instant) -> Vec<Said> {
        let Some((mut state, effects)) = self.station.asked(now) else { return Vec::new() };
        let mut refused = None;
        for (device, form) in self.forms.iter().enumerate() {
            let wire::Said::Text(text) = wire::decode(form, line) else { continue };
            let text = form.wake_up.as_deref().and_then(|wake| text.strip_prefix(wake)).unwrap_or(&text);
            let echo = form.echoes.then(|| self.say(form, text, &Effects::default())).flatten();
            if let Some(answer) = answer(&mut state, device, text) {
                state.counts.answers += 1;
                let answer = answer.and_then(|text| self.say(form, &text, &effects));
                return echo.into_iter().chain(answer).collect();
            }
            let error = self.plan.devices[device].config.error_replies.first();
            refused = refused.or_else(|| error.and_then(|error| self.say(form, error, &effects)));
        }
        state.counts.exceptions += u64::from(refused.is_some());
        refused.into_iter().collect()
    }

    /// What is sent by itself.
    pub(super) fn speak(&self, speech: &Speech, now: Instant) -> Option<Said> {
        let (state, effects) = self.station.speaks(now)?;
        let mine = |cell: &&Cell<Wired>| {
            cell.wiring.device == speech.device
                && matches!(&cell.wiring.wiring.source, Source::Listen(begin) if *begin == speech.begin)
        };
        let cells: Vec<_> = state.cells.iter().filter(mine).collect();
        let text = compose(&cells, &[" ", "\t"])?;
        let text = if text.starts_with(&speech.begin) { text } else { format!("{}{text}", speech.begin) };
        self.say(&self.forms[speech.device], &text, &effects)
    }

    fn say(&self, form: &DeviceConfig, text: &str, effects: &Effects) -> Option<Said> {
        let shown = if effects.short { half(text) } else { text };
        let mut bytes = wire::encode(form, shown)?;
        if effects.corrupt
            && let Some(first) = bytes.first_mut()
        {
            // No check and no number survives that, and in UTF-8 it is no character.
            *first = if form.charset == Charset::Utf8 { 0xff } else { b'\x7f' };
        }
        if effects.cut {
            bytes.truncate(bytes.len() / 2);
        }
        let wire_time = self.character() * u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Some(Said { bytes, delay: self.delay + effects.delay + wire_time, hang_up: effects.cut })
    }

    /// How long one character takes on the line.
    fn character(&self) -> Duration {
        match &self.plan.transport {
            Transport::Serial(line) => Duration::from_secs(10) / line.baud.max(1),
            Transport::Tcp(_) | Transport::Udp(_) => Duration::ZERO,
        }
    }
}

/// The answer to a text, if it is one of this device's questions or commands; `None` inside: none is given.
fn answer(state: &mut State<Wired>, device: usize, text: &str) -> Option<Option<String>> {
    let own = |cell: &Cell<Wired>| cell.wiring.device == device;
    let written = state.cells.iter_mut().filter(|cell| own(cell)).find_map(|cell| {
        let command = cell.wiring.wiring.command.as_ref()?;
        let setpoint = inside(&command.text, VALUE, text)?;
        let raw = raw_of(&cell.extract.form, &command.on, &command.off, &setpoint)?;
        let answer = command.answer.clone();
        cell.write(&raw);
        Some(answer)
    });
    if let Some(answer) = written {
        state.written();
        return Some(answer.map(|begin| if begin.is_empty() { DONE.to_owned() } else { begin }));
    }
    let asked = |cell: &&Cell<Wired>| {
        own(cell) && matches!(&cell.wiring.wiring.source, Source::Ask(question) if question == text)
    };
    let cells: Vec<_> = state.cells.iter().filter(asked).collect();
    if cells.is_empty() { None } else { Some(compose(&cells, &[" ", "\t", ""])) }
}

/// Every line that some point listens for, as often as the quickest of them is polled.
fn speeches(plan: &Plan) -> Vec<Speech> {
    let mut speeches: Vec<Speech> = Vec::new();
    for (device, this) in plan.devices.iter().enumerate() {
        for point in &this.points {
            let Source::Listen(begin) = &point.wiring.source else { continue };
            let period = point.poll.max(SHORTEST);
            match speeches.iter_mut().find(|speech| speech.device == device && speech.begin == *begin) {
                Some(speech) => speech.period = speech.period.min(period),
                None => speeches.push(Speech { device, begin: begin.clone(), period }),
            }
        }
    }
    speeches
}

/// The first half of a text, in whole characters.
fn half(text: &str) -> &str {
    let middle = text.chars().count() / 2;
    text.char_indices().nth(middle).map_or(text, |(at, _)| &text[..at])
}

/// The faults that instruments have.
const fn suits(fault: Fault) -> Result<Fault, FaultError> {
    match fault {
        Fault::Dead
        | Fault::Slow(_)
        | Fault::Late(_)
        | Fault::Short
        | Fault::Cut
        | Fault::Corrupt
        | Fault::Frozen => Ok(fault),
        _ => Err(FaultError::NotHere("instruments have nothing of that kind")),
    }
}

/// When each of the speeches is due.
#[derive(Debug)]
pub(super) struct Timetable(Vec<(usize, Instant)>);

impl Timetable {
    /// All of them are due at once.
    pub(super) fn new(instruments: &Instruments, now: Instant) -> Self {
        Self((0..instruments.speeches.len()).map(|speech| (speech, now)).collect())
    }

    /// When the next one is.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.iter().map(|(_, due)| *due).min()
    }

    /// What is due now.
    pub(super) fn speak(&mut self, instruments: &Instruments, now: Instant) -> Vec<Said> {
        let mut said = Vec::new();
        for (speech, due) in self.0.iter_mut().filter(|(_, due)| *due <= now) {
            let speech = &instruments.speeches[*speech];
            *due = now + speech.period;
            said.extend(instruments.speak(speech, now));
        }
        said
    }
}

/// Instruments in datagrams.
pub(super) struct Datagrams {
    instruments: Arc<Instruments>,
    timetable: Mutex<Timetable>,
}

impl Datagrams {
    pub(super) fn new(instruments: Arc<Instruments>) -> Self {
        let timetable = Mutex::new(Timetable::new(&instruments, Instant::now()));
        Self { instruments, timetable }
    }
}

impl Talker for Datagrams {
    fn answers(&self, datagram: &[u8], now: Instant) -> Vec<Said> {
        let mut lines = Lines::default();
        lines.push(datagram);
        let each = std::iter::from_fn(|| self.instruments.line(&mut lines, true));
        each.flat_map(|line| self.instruments.answers(&line, now)).collect()
    }

    fn due(&self) -> Option<Instant> {
        self.timetable.lock().unwrap_or_else(PoisonError::into_inner).due()
    }

    fn speak(&self, now: Instant) -> Vec<Said> {
        self.timetable.lock().unwrap_or_else(PoisonError::into_inner).speak(&self.instruments, now)
    }
}
