//! What a bus of the machine says of itself, and how that makes it a driver.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Device, Plan, Point, Work};
use crate::driver::entry::{
    Attached, Clash, Complaint, Driver, Endpoint, Neighbour, NoKeys, RawForm, Section, Shift, Surroundings,
    Wired, Wiring,
};
use crate::driver::plan::Description;
use crate::driver::{self, DriverPlan};
use crate::model::{Access, Value, ValueKind};

/// A bus of the machine as the configuration knows it.
pub trait Bus: fmt::Debug + Send + Sync + 'static {
    /// The bus in a word, which is also the key by which its points say what is read.
    const KEY: &'static str;
    /// That key alone, as [`Driver::ADDRESSES`] wants it.
    const KEYS: &'static [&'static str];
    /// What the key of a profile holds.
    const PROFILE: &'static str;
    /// See [`Driver::TRIAL`].
    const TRIAL: &'static str;

    /// See [`Driver::Channel`].
    type Channel: Section + Clone;
    /// See [`Driver::Device`].
    type Device: Section + Clone;
    /// See [`Driver::Point`].
    type Point: Section;
    /// What a point reads or drives.
    type Input: Input;

    /// What the bus is on this machine: a path.
    fn place(channel: &Self::Channel) -> String;

    /// Everything that is wrong with a channel's section.
    fn channel_problems(channel: &Self::Channel) -> Vec<String>;

    /// Everything that is wrong with a device's section.
    fn device_problems(device: &Self::Device) -> Vec<String>;

    /// Gives a device what its channel says and it does not.
    fn inherit(_device: &mut Self::Device, _channel: &Self::Channel) {}

    /// What a point reads or drives.
    ///
    /// # Errors
    /// Says what does not fit, and how to mend it.
    fn input(point: &Self::Point, device: &Self::Device, access: Access) -> Result<Self::Input, String>;

    /// Why two points of the bus cannot both be, with a remedy behind a colon; `None` when they can.
    fn clash(_one: &Self::Input, _two: &Self::Input) -> Option<String> {
        None
    }

    /// What works it.
    fn work(
        name: &Arc<str>,
        channel: Self::Channel,
        devices: Vec<Attached<Self::Device, Self::Input>>,
    ) -> Work;
}

/// What a point of a bus reads or drives.
pub trait Input: fmt::Debug + Clone + Send + Sync + 'static {
    /// What the bus gives for it.
    fn form(&self) -> RawForm;

    /// Whether it can be written.
    fn is_output(&self) -> bool {
        false
    }

    /// How long an output stands before the driver takes it back by itself.
    fn pulse(&self) -> Option<Duration> {
        None
    }
}

impl<I: Input> Wiring for I {
    fn form(&self) -> RawForm {
        Input::form(self)
    }

    fn is_whole(&self) -> bool {
        Input::form(self).kind != ValueKind::Float
    }

    fn encodable(&self, raw: &Value) -> Result<(), String> {
        super::encodable(raw)
    }

    fn pulse(&self) -> Option<Duration> {
        Input::pulse(self)
    }
}

impl<B: Bus> Driver for B {
    const KEY: &'static str = B::KEY;
    const PROFILE: Option<&'static str> = Some(B::PROFILE);
    const TRIAL: &'static str = B::TRIAL;
    const ADDRESSES: &'static [&'static str] = B::KEYS;
    const ADDRESS_WORDS: &'static str = B::KEY;
    const CHANNEL_KEYS: &'static [&'static str] = &["path"];

    type Channel = B::Channel;
    type Device = B::Device;
    type Point = B::Point;
    type Text = NoKeys;
    type Wiring = B::Input;

    fn channel_problems(channel: &B::Channel) -> Vec<String> {
        B::channel_problems(channel)
    }

    fn endpoint(channel: &B::Channel) -> Option<Endpoint> {
        Some(Endpoint { place: B::place(channel), exclusive: true })
    }

    fn settle(device: &mut B::Device, channel: Option<&B::Channel>, _: Shift) -> Vec<Complaint> {
        let problems = B::device_problems(device);
        if let Some(channel) = channel {
            B::inherit(device, channel);
        }
        problems.into_iter().map(|message| Complaint::about(&[], message)).collect()
    }

    fn wiring(
        point: B::Point,
        _: &NoKeys,
        around: &Surroundings<'_, B::Device>,
    ) -> Result<B::Input, Complaint> {
        let input = B::input(&point, around.device, around.access)
            .map_err(|message| Complaint::about(B::KEYS, message))?;
        if around.access.writable() && !input.is_output() {
            let message = "access: this can only be read; remove `access`, or write r";
            return Err(Complaint::about(B::KEYS, message));
        }
        Ok(input)
    }

    fn clashes(points: &[Neighbour<'_, B::Device, B::Input>]) -> Vec<Clash> {
        let mut clashes = Vec::new();
        for (place, point) in points.iter().enumerate() {
            let why = |first: usize| B::clash(points[first].wiring, point.wiring);
            let Some((first, why)) = (0..place).find_map(|first| Some((first, why(first)?))) else {
                continue;
            };
            let (why, help) = why.split_once(": ").unwrap_or((&why, "correct one of them"));
            let (why, help) = (why.to_owned(), help.to_owned());
            clashes.push(Clash { points: (first, place), why, help, keys: B::KEYS });
        }
        clashes
    }

    fn plan(name: Arc<str>, channel: B::Channel, devices: Vec<Attached<B::Device, B::Input>>) -> DriverPlan {
        let point = |wired: &Wired<B::Input>| Point {
            id: wired.id,
            form: Input::form(&wired.wiring),
            conversion: wired.conversion.clone(),
            poll: wired.poll,
            access: wired.access,
            tolerance: wired.tolerance,
        };
        let device = |device: &Attached<B::Device, B::Input>| Device {
            name: Arc::clone(&device.name),
            points: device.points.iter().map(point).collect(),
        };
        let (place, planned) = (B::place(&channel), devices.iter().map(device).collect());
        let work = B::work(&name, channel, devices);
        DriverPlan::new(Plan { name, word: B::KEY, place, devices: planned, work, stand_in: None })
    }
}

impl driver::Plan for Plan {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn device_names(&self) -> Vec<Arc<str>> {
        self.devices.iter().map(|device| Arc::clone(&device.name)).collect()
    }

    fn redirected(&self, endpoint: &str) -> Option<DriverPlan> {
        Some(DriverPlan::new(self.with_endpoint(endpoint)))
    }

    fn description(&self) -> Description {
        let devices = self.devices.iter().map(|device| (&device.name, device.points.len()));
        Description::plain(format!("{} at {}", self.word, self.place), devices)
    }
}
