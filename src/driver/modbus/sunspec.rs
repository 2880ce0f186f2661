//! SunSpec: where the models of a device are, and points that are counted from the start of one.
//!
//! A device holds a chain of models behind the word "SunS", each with its number and length, ended by 0xFFFF
//! (SunSpec Device Information Model Specification, section 6). Pure: [`Walk`] says what to read next and takes
//! the answer. Absent: the contents of models, which are profiles. Invariant: a point is bound only where it
//! lies wholly within its model, and never read before it is bound.

use super::quirks::Probe;
use super::register::{Register, Table};
use super::wire::Ask;
use super::{Device, Plan, Point};
use crate::model::Value;

/// Where the chain may begin, in the order in which it is looked for (section 6.2).
pub const BASES: [u16; 3] = [40_000, 50_000, 0];

/// "SunS".
const MARK: [u16; 2] = [0x5375, 0x6E53];

/// The number behind the last model.
const END: u16 = 0xFFFF;

/// The most models of a chain that are followed; a chain that is longer is taken for one without an end.
const MAX_MODELS: usize = 128;

/// The common model, with which every chain begins, and its usual length.
const COMMON: (u16, u16) = (1, 66);

/// The model that a point belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The numbers of the models that have the point at this place; the first that the device has counts.
    pub models: Vec<u16>,
    /// Which of several models of one number, counted from 1.
    pub instance: u8,
    /// Whether it was found.
    pub state: Binding,
}

/// Whether the place of a point is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// Nobody has looked yet: the address is counted from the model's start.
    Unknown,
    /// The address is that on the wire.
    Bound,
    /// The device does not have it.
    Absent,
}

/// One model of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// Its number.
    pub id: u16,
    /// Wire address of its number.
    pub start: u16,
    /// How many registers follow number and length.
    pub length: u16,
}

/// The models of a device, in their order.
pub type Chain = Vec<Model>;

/// A walk along the chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walk {
    base: usize,
    /// The address of the next model, once the chain was found.
    at: Option<u16>,
    found: Chain,
}

/// What a walk has come to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to read.
    More,
    /// The end of the chain.
    Found(Chain),
    /// There is no chain at any of the places.
    Nothing,
}

impl Walk {
    /// What is to be read next.
    #[must_use]
    pub fn ask(&self) -> Ask {
        let base = BASES.get(self.base).copied().unwrap_or(BASES[0]);
        Ask::Read { table: Table::Holding, address: self.at.unwrap_or(base), count: 2 }
    }

    /// Takes the two registers that were asked for; `None` when the device has none there.
    pub fn answered(&mut self, words: Option<[u16; 2]>) -> Step {
        match (self.at, words) {
            (None, Some(MARK)) => {
                self.at = BASES.get(self.base).and_then(|base| base.checked_add(2));
                Step::More
            }
            (None, _) => {
                self.base += 1;
                if self.base < BASES.len() { Step::More } else { Step::Nothing }
            }
            // A chain that stops without its mark ends where nothing can be read.
            (Some(_), None | Some([END, _])) => Step::Found(std::mem::take(&mut self.found)),
            (Some(start), Some([id, length])) => {
                self.found.push(Model { id, start, length });
                let next = start.checked_add(2).and_then(|from| from.checked_add(length));
                match next.filter(|_| self.found.len() < MAX_MODELS) {
                    Some(next) => {
                        self.at = Some(next);
                        Step::More
                    }
                    None => Step::Found(std::mem::take(&mut self.found)),
                }
            }
        }
    }
}

impl Membership {
    /// The model that has the point, of those that a device has.
    fn of<'a>(&self, chain: &'a [Model]) -> Option<&'a Model> {
        let nth = usize::from(self.instance.saturating_sub(1));
        self.models.iter().find_map(|wanted| chain.iter().filter(|model| model.id == *wanted).nth(nth))
    }
}

impl Model {
    /// Whether a register that is counted from its start lies wholly within it.
    fn has(&self, register: &Register) -> bool {
        let end = u32::from(register.address) + u32::from(register.width());
        end <= u32::from(self.length) + 2 && u32::from(self.start) + end <= 65_536
    }
}

impl Point {
    /// Its own register and those beside it.
    fn registers(&self) -> impl Iterator<Item = &Register> {
        let beside = self.rules.companions.iter().map(|beside| &beside.register);
        let confirming = self.rules.confirm.iter().map(|confirm| &confirm.register);
        std::iter::once(&self.register).chain(beside).chain(confirming)
    }

    /// Puts it, with what is beside it, where its model starts; the device does not have it where there is none.
    fn bind(&mut self, start: Option<u16>) {
        if let Some(membership) = &mut self.rules.model {
            membership.state = if start.is_some() { Binding::Bound } else { Binding::Absent };
        }
        let Some(start) = start else { return };
        let beside = self.rules.companions.iter_mut().map(|beside| &mut beside.register);
        let confirming = self.rules.confirm.iter_mut().map(|confirm| &mut confirm.register);
        for register in beside.chain(confirming).chain([&mut self.register]) {
            register.relocate(register.address + start);
        }
    }
}

impl Device {
    /// Whether the places of some of its points have to be looked for.
    #[must_use]
    pub fn is_sunspec(&self) -> bool {
        self.points.iter().any(|point| point.rules.model.is_some())
    }

    /// The device with every point of a model where `chain` has it. To be called with the device of the plan,
    /// whose addresses count from the models' starts.
    #[must_use]
    pub fn bound(&self, chain: &[Model]) -> Self {
        let mut device = Self { models: chain.to_vec(), ..self.clone() };
        for point in &mut device.points {
            let Some(membership) = &point.rules.model else { continue };
            let fitting =
                membership.of(chain).filter(|model| point.registers().all(|register| model.has(register)));
            point.bind(fitting.map(|model| model.start));
        }
        device
    }

    /// A chain with all that the points ask for, such as a simulated device has.
    #[must_use]
    pub fn example_chain(&self) -> Chain {
        let mut wanted: Vec<((u16, u8), u16)> = vec![((COMMON.0, 1), COMMON.1)];
        for point in &self.points {
            let Some(membership) = &point.rules.model else { continue };
            let Some(id) = membership.models.first() else { continue };
            let ends = point.registers().map(|register| register.address.saturating_add(register.width()));
            let length = ends.max().unwrap_or(2).saturating_sub(2);
            match wanted.iter_mut().find(|(key, _)| *key == (*id, membership.instance)) {
                Some((_, known)) => *known = length.max(*known),
                None => wanted.push(((*id, membership.instance), length)),
            }
        }
        wanted[1..].sort_unstable();
        let mut start = BASES[0] + 2;
        let mut chain = Vec::with_capacity(wanted.len());
        for ((id, _), length) in wanted {
            chain.push(Model { id, start, length });
            start = start.saturating_add(2).saturating_add(length);
        }
        chain
    }

    /// The words of a chain on the wire: the mark, the models' numbers and lengths, and the end.
    #[must_use]
    pub fn chain_words(chain: &[Model]) -> Vec<(u16, Vec<u16>)> {
        let base = chain.first().map_or(BASES[0], |first| first.start.saturating_sub(2));
        let end = chain
            .last()
            .map_or(base.saturating_add(2), |last| last.start.saturating_add(2).saturating_add(last.length));
        let heads = chain.iter().map(|model| (model.start, vec![model.id, model.length]));
        std::iter::once((base, MARK.to_vec())).chain(heads).chain([(end, vec![END, 0])]).collect()
    }
}

impl Device {
    /// What registers must hold for the device to be the one that is meant and its points to have values: the
    /// probes, the registers beside points, the chain of models. For simulated devices; `self` is bound.
    #[must_use]
    pub fn presets(&self) -> Vec<(Table, u16, Vec<u16>)> {
        let mut presets = Vec::new();
        for beside in self.points.iter().flat_map(|point| &point.rules.companions) {
            let Register { table, address, .. } = beside.register;
            if beside.register.is_function() {
                continue;
            }
            if let Ok(words) = beside.register.holding(&beside.role.example()) {
                presets.push((table, address, words));
            }
        }
        let confirming = self.points.iter().flat_map(|point| &point.rules.confirm);
        for confirm in confirming.filter(|confirm| !confirm.register.is_function()) {
            let value = confirm.example().unwrap_or_default();
            let words = confirm.register.holding(&Value::Int(value));
            presets.extend(words.map(|words| (confirm.register.table, confirm.register.address, words)));
        }
        presets.extend(self.node.iter().flat_map(super::modules::Node::presets));
        for probe in &self.identify {
            presets
                .extend(probe.example().map(|words| (probe.register.table, probe.register.address, words)));
        }
        if self.is_sunspec() {
            let words = Self::chain_words(&self.models).into_iter();
            presets.extend(words.map(|(address, words)| (Table::Holding, address, words)));
        }
        presets
    }
}

impl Device {
    /// What the right device says of itself, by the numbers of the objects: for simulated devices.
    #[must_use]
    pub fn objects(&self) -> Vec<(u8, String)> {
        let probes = self.identify.iter().filter_map(Probe::object);
        let mut objects: Vec<(u8, String)> = probes.map(|(number, text)| (number, text.to_owned())).collect();
        for beside in self.points.iter().flat_map(|point| &point.rules.companions) {
            if beside.register.table == Table::Identity {
                objects.push((beside.register.address as u8, beside.role.example().to_string()));
            }
        }
        objects
    }
}

impl Plan {
    /// The plan with the points of models where an example of the device has them: for what is foretold before
    /// anything is connected.
    #[must_use]
    pub fn with_example_chains(&self) -> Self {
        let mut plan = self.clone();
        for device in plan.devices.iter_mut().filter(|device| device.is_sunspec()) {
            *device = device.bound(&device.example_chain());
        }
        plan
    }
}

#[cfg(test)]
#[path = "sunspec_tests.rs"]
mod tests;
