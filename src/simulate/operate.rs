//! A simulation at hand: faults, outages, values set by hand, and the commands that ask for them.

use std::fmt::Write;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::command::{Command, HELP};
use super::fault::{Fault, FaultError, Limit};
use super::frame::Framing;
use super::local::Folder;
use super::plug::Plug;
use super::text::Operated;
use super::{Channel, Simulation};
use crate::model::{Point, PointId, Value};

impl Simulation {
    /// Makes a device, all devices of a channel, or (exceptions only) one point's registers faulty.
    ///
    /// # Errors
    /// When there is no such target or it cannot have this fault.
    pub fn fault(&self, target: &str, fault: Fault, limit: Limit) -> Result<(), String> {
        let now = Instant::now();
        if let Some(station) = self.station_of(target) {
            return station.fault(fault, limit, now).map_err(|error| error.to_string());
        }
        let (fault, units) = match (self.point(target), fault) {
            (Ok(point), Fault::Exception { code, at: None }) => {
                let index = self.world.home(point.id).ok_or_else(|| unknown(target))?;
                let at = self.world.unit(index).span_of(point.id);
                (Fault::Exception { code, at }, vec![index])
            }
            (Ok(_), _) => return Err("only exceptions can strike a single point; name its device".into()),
            (Err(_), fault) => (fault, self.units(target)?),
        };
        for index in units {
            self.suits(index, fault).map_err(|error| error.to_string())?;
            self.world.unit(index).faults.add(fault, limit, now).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Whether frames of the device's channel have what the fault spoils.
    fn suits(&self, index: usize, fault: Fault) -> Result<(), FaultError> {
        let channel = self.channels.iter().find(|channel| channel.units.contains(&index));
        let is_tcp = channel.is_some_and(|channel| channel.framing == Framing::Tcp);
        match (fault, is_tcp) {
            (Fault::Corrupt, true) => Err(FaultError::NotHere("Modbus TCP has no check to corrupt")),
            (Fault::Reset | Fault::WrongLength | Fault::Prefix | Fault::Status(_), _) => {
                Err(FaultError::NotHere("only HTTP devices have that"))
            }
            (Fault::WrongTransaction, false) => {
                Err(FaultError::NotHere("only Modbus TCP has transaction numbers"))
            }
            _ => Ok(()),
        }
    }

    /// Makes a device or a channel with its devices sound again, and plugs the channel in. `None` is everything.
    ///
    /// # Errors
    /// When there is no such target.
    pub fn clear(&self, target: Option<&str>) -> Result<(), String> {
        let units = match target {
            Some(target) if self.station_of(target).is_some() => Vec::new(),
            Some(target) => self.units(target)?,
            None => (0..self.world.len()).collect(),
        };
        for index in units {
            self.world.unit(index).faults.clear();
        }
        match target {
            Some(target) => self.station_of(target).into_iter().for_each(Operated::clear),
            None => self.stations.iter().for_each(|served| served.station.clear()),
        }
        let named = |channel: &&Channel| target.is_none_or(|target| *channel.name == *target);
        self.channels.iter().filter(named).for_each(|channel| channel.switch.set(Plug::In));
        Ok(())
    }

    /// Takes a channel away, for a time or until it is plugged in: the listener closes with its connections,
    /// the serial port vanishes with its link.
    ///
    /// # Errors
    /// When there is no such channel.
    pub fn unplug(&self, channel: &str, time: Option<Duration>) -> Result<(), String> {
        let until = time.and_then(|time| Instant::now().checked_add(time));
        self.known_channel(channel)?.switch.set(Plug::Out(until));
        Ok(())
    }

    /// Brings a channel back.
    ///
    /// # Errors
    /// When there is no such channel.
    pub fn plug_in(&self, channel: &str) -> Result<(), String> {
        self.known_channel(channel)?.switch.set(Plug::In);
        Ok(())
    }

    /// Holds a point at a value, given as text.
    ///
    /// # Errors
    /// When there is no such point or its register cannot hold the value.
    pub fn set(&self, point: &str, value: &str) -> Result<(), String> {
        let id = self.point(point)?.id;
        if let Some(station) = self.station_with(id) {
            return station.set(id, value);
        }
        if let Some(folder) = self.folder_with(id) {
            return folder.set(id, value);
        }
        self.world.change(id, Instant::now(), |unit, _| unit.set(id, value))
    }

    /// Holds a point's registers at raw words.
    ///
    /// # Errors
    /// When there is no such point or it takes another number of words.
    pub fn set_words(&self, point: &str, words: &[u16]) -> Result<(), String> {
        let id = self.point(point)?.id;
        if self.station_with(id).is_some() {
            return Err("only Modbus points have registers; use `set`".into());
        }
        self.world.change(id, Instant::now(), |unit, _| unit.set_words(id, words))
    }

    /// Lets a point move by itself again.
    ///
    /// # Errors
    /// When there is no such point.
    pub fn release(&self, point: &str) -> Result<(), String> {
        let id = self.point(point)?.id;
        if let Some(station) = self.station_with(id) {
            return station.release(id);
        }
        if let Some(folder) = self.folder_with(id) {
            folder.release(id);
            return Ok(());
        }
        self.world.change(id, Instant::now(), |unit, time| unit.release(id, time))
    }

    /// The value that a point has at the moment; `None` when its register holds none.
    ///
    /// # Errors
    /// When there is no such point.
    pub fn value(&self, point: &str) -> Result<Option<Value>, String> {
        let id = self.point(point)?.id;
        let (value, _) = self.look(id).ok_or_else(|| unknown(point))?;
        Ok(value)
    }

    /// Carries out one command and says what came of it. [`Command::Quit`] is its giver's to heed.
    ///
    /// # Errors
    /// Why it could not be done.
    pub fn execute(&self, command: &Command) -> Result<String, String> {
        let mut text = String::new();
        match command {
            Command::Help => text.push_str(HELP),
            Command::List(None) => self.list(&mut text),
            Command::List(Some(device)) => self.list_points(device, &mut text)?,
            Command::Get(point) => text = format!("{}\n", self.describe(self.point(point)?)),
            Command::Set(point, value) => self.set(point, value)?,
            Command::Raw(point, words) => self.set_words(point, words)?,
            Command::Release(point) => self.release(point)?,
            Command::Fault(target, fault, limit) => self.fault(target, *fault, *limit)?,
            Command::Unplug(channel, time) => self.unplug(channel, *time)?,
            Command::Plug(channel) => self.plug_in(channel)?,
            Command::Clear(target) => self.clear(target.as_deref())?,
            Command::Stats => self.stats(&mut text),
            Command::Quit => {}
        }
        Ok(text)
    }

    /// The devices that have the point.
    fn station_with(&self, point: PointId) -> Option<&dyn Operated> {
        self.stations.iter().map(|served| &*served.station).find(|station| station.has(point))
    }

    /// The value of a point and what is on the wire for it.
    fn look(&self, point: PointId) -> Option<(Option<Value>, Option<Value>)> {
        match (self.station_with(point), self.folder_with(point)) {
            (Some(station), _) => station.look(point, Instant::now()),
            (None, Some(folder)) => folder.look(point),
            (None, None) => self.world.look(point, Instant::now()),
        }
    }

    /// The folder that has the point.
    fn folder_with(&self, point: PointId) -> Option<&Folder> {
        self.folders.iter().map(|folder| &**folder).find(|folder| folder.look(point).is_some())
    }

    fn point(&self, name: &str) -> Result<&Point, String> {
        self.points.by_name(name).ok_or_else(|| unknown(name))
    }

    fn known_channel(&self, name: &str) -> Result<&Channel, String> {
        let names = || self.channels.iter().map(|channel| &*channel.name).collect::<Vec<_>>().join(", ");
        self.channel(name).ok_or_else(|| format!("there is no channel `{name}`; there are: {}", names()))
    }

    /// The devices that a name stands for: one, or all of a channel.
    fn units(&self, target: &str) -> Result<Vec<usize>, String> {
        if let Some(index) = self.device(target) {
            return Ok(vec![index]);
        }
        match self.channel(target) {
            Some(channel) => Ok(channel.units.clone().collect()),
            None => Err(format!("there is no device or channel `{target}`; `list` shows them")),
        }
    }

    fn list(&self, text: &mut String) {
        let now = Instant::now();
        for channel in &self.channels {
            let state = if channel.switch.get() == Plug::In { "" } else { "  UNPLUGGED" };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}  {}  {}{state}", channel.name, channel.kind, channel.endpoint);
            for index in channel.units.clone() {
                let unit = self.world.unit(index);
                let faults = unit.faults.describe(now).join(", ");
                let faults = if faults.is_empty() { "sound".into() } else { faults };
                let _ = writeln!(text, "  {}  unit {}  {faults}", unit.name, unit.number);
            }
            for served in self.stations.iter().filter(|served| served.channel == channel.name) {
                let faults = served.station.describe(now).join(", ");
                let faults = if faults.is_empty() { "sound".into() } else { faults };
                for device in &served.devices {
                    let _ = writeln!(text, "  {device}  {faults}");
                }
            }
        }
    }

    fn list_points(&self, device: &str, text: &mut String) -> Result<(), String> {
        if self.station_of(device).is_none() {
            self.device(device).ok_or_else(|| format!("there is no device `{device}`; `list` shows them"))?;
        }
        for point in self.points.iter().filter(|point| &*point.device == device) {
            let _ = writeln!(text, "{}", self.describe(point));
        }
        Ok(())
    }

    fn describe(&self, point: &Point) -> String {
        let seen = self.look(point.id).unwrap_or((None, None));
        let show = |value: Option<Value>| value.map_or_else(|| "none".into(), |value| value.to_string());
        let unit = point.unit.as_deref().map_or_else(String::new, |unit| format!(" {unit}"));
        format!("{} = {}{unit} (raw {})", point.name, show(seen.0), show(seen.1))
    }

    fn stats(&self, text: &mut String) {
        let elapsed = self.started.elapsed().as_secs_f64();
        for channel in &self.channels {
            let load = *channel.load.lock().unwrap_or_else(PoisonError::into_inner);
            let busy = load.busy().as_secs_f64();
            let _ = writeln!(
                text,
                "{} requests={} answers={} characters={} on_wire={:.3}s waiting={:.3}s silence={:.3}s busy={:.1}% \
                 noise_bytes={} dropped={}",
                channel.name,
                load.requests,
                load.answers,
                load.characters,
                load.on_wire.as_secs_f64(),
                load.waiting.as_secs_f64(),
                load.silence.as_secs_f64(),
                100.0 * busy / elapsed.max(f64::MIN_POSITIVE),
                load.noise_bytes,
                load.dropped,
            );
            let units = channel.units.clone().map(|index| {
                let unit = self.world.unit(index);
                (Arc::clone(&unit.name), unit.counts)
            });
            let stations = self.stations.iter().filter(|served| served.channel == channel.name);
            let stations = stations.map(|served| (Arc::clone(&served.channel), served.station.counts()));
            for (name, counts) in units.chain(stations) {
                let _ = writeln!(
                    text,
                    "  {name} requests={} answers={} exceptions={} writes={} unrepresentable={}",
                    counts.requests, counts.answers, counts.exceptions, counts.writes, counts.unrepresentable,
                );
            }
        }
    }
}

fn unknown(point: &str) -> String {
    format!("there is no point `{point}`; points are named DEVICE/POINT, `list DEVICE` shows them")
}
