//! The process image of a modular node, made from the list of its modules (WAGO 750 manuals, "MODBUS functions").
//!
//! Inputs and outputs stand in the image in the order of the modules: words of analog modules, bits of digital ones.
//! Outputs are written from 0 on and read back 0x200 further. Pure. Absent: the second areas of large nodes, of
//! which the exact split is not known. Invariant: what the node says of its sizes and its digital modules is
//! compared with the list when it comes online.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::config::{DeviceConfig, PointConfig};
use super::register::Table;
use super::wire::{Answer, Ask};

/// How far behind its place outputs are read back.
const READ_BACK: u16 = 0x0200;

/// The registers with the sizes of the image in bits: analog outputs and inputs, digital outputs and inputs.
const SIZES_AT: u16 = 0x1022;

/// The list of modules, the coupler first.
const LIST_AT: u16 = 0x2030;

/// The most modules that the first register block of the list names.
const MAX_MODULES: usize = 64;

/// The first area of the image: 256 words, 512 bits.
const MAX_WORDS: u32 = 256;
const MAX_BITS: u32 = 512;

/// The bit that marks digital modules in the list; 8 to 14 are their size, 0 and 1 say input and output.
const DIGITAL: u16 = 0x8000;

/// A module by its channels: `8DI`, `4AO`, `8DI/8DO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Module {
    /// Analog inputs, of one word each.
    pub analog_in: u16,
    /// Analog outputs, of one word each.
    pub analog_out: u16,
    /// Digital inputs.
    pub digital_in: u16,
    /// Digital outputs.
    pub digital_out: u16,
}

/// What a node with these modules says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    modules: Vec<Module>,
}

impl FromStr for Module {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no module: write how many channels of which kind it has, such as 4AI, 2AO, 8DI, 16DO or 8DI/8DO"
            )
        };
        let mut module = Self::default();
        for part in text.split('/') {
            let digits = part.trim().find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let (count, kind) = part.trim().split_at(digits);
            let place = match kind.to_ascii_uppercase().as_str() {
                "AI" => &mut module.analog_in,
                "AO" => &mut module.analog_out,
                "DI" => &mut module.digital_in,
                "DO" => &mut module.digital_out,
                _ => return Err(wrong()),
            };
            let count: u16 = count.parse().map_err(|_| wrong())?;
            if count == 0 || count > 64 || *place > 0 {
                return Err(wrong());
            }
            *place = count;
        }
        Ok(module)
    }
}

impl<'de> Deserialize<'de> for Module {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Module {
    fn schema_name() -> Cow<'static, str> {
        "Module".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+([Aa]|[Dd])([Ii]|[Oo])(/[0-9]+([Aa]|[Dd])([Ii]|[Oo]))*$",
            "description": "A module by its channels: 4AI, 2AO, 8DI, 16DO, 8DI/8DO."
        })
    }
}

impl Module {
    /// What the node's list says of it; `None` for analog modules, of which it tells the item number.
    fn code(self) -> Option<u16> {
        let bits = self.digital_in.max(self.digital_out);
        let kinds = u16::from(self.digital_in > 0) | u16::from(self.digital_out > 0) << 1;
        (bits > 0 && self.analog_in + self.analog_out == 0).then_some(DIGITAL | bits << 8 | kinds)
    }
}

/// The channels of a kind in front of a module.
fn before(modules: &[Module], count: impl Fn(&Module) -> u16) -> u32 {
    modules.iter().map(|module| u32::from(count(module))).sum()
}

impl DeviceConfig {
    /// What is wrong with the list of modules.
    pub(super) fn modules_problem(&self) -> Option<String> {
        if self.modules.len() > MAX_MODULES {
            return Some(format!("modules: a node has at most {MAX_MODULES}"));
        }
        let all = &self.modules[..];
        let words = before(all, |m| m.analog_in).max(before(all, |m| m.analog_out));
        let bits = before(all, |m| m.digital_in).max(before(all, |m| m.digital_out));
        (words > MAX_WORDS || bits > MAX_BITS).then(|| {
            format!("modules: {words} words and {bits} bits pass the first area of the process image ({MAX_WORDS} words, {MAX_BITS} bits); give the points behind it addresses of their own")
        })
    }

    /// The node that the modules make; `None` where there are none.
    #[must_use]
    pub fn node(&self) -> Option<Node> {
        (!self.modules.is_empty()).then(|| Node { modules: self.modules.clone() })
    }
}

/// A channel's place in the image: the table, where it is read, and where it is written.
pub(super) type Channel = (Table, u16, u16);

impl PointConfig {
    /// The place of a point that names a module's channel.
    ///
    /// # Errors
    /// Says what does not fit and how to mend it.
    pub(super) fn channel_place(
        &self,
        device: &DeviceConfig,
        writable: bool,
    ) -> Result<Option<Channel>, String> {
        let (number, channel) = match (self.module, self.module_channel) {
            (None, None) => return Ok(None),
            (Some(module), channel) => (usize::from(module), u32::from(channel.unwrap_or(1))),
            (None, Some(_)) => return Err("module-channel belongs to module: name the module".into()),
        };
        let listed = device.modules.len();
        let Some(module) = number.checked_sub(1).and_then(|at| device.modules.get(at)) else {
            return Err(format!("module {number}: the device lists {listed} under modules, counted from 1"));
        };
        let front = &device.modules[..number - 1];
        type Count = fn(&Module) -> u16;
        let inputs: [(Count, Table); 2] =
            [(|m| m.digital_in, Table::Discrete), (|m| m.analog_in, Table::Input)];
        let outputs: [(Count, Table); 2] =
            [(|m| m.digital_out, Table::Coil), (|m| m.analog_out, Table::Holding)];
        let kinds = match writable {
            true => vec![outputs],
            // Of an output, what is read is read back.
            false => vec![inputs, outputs],
        };
        let found = kinds.into_iter().flatten().find(|(count, _)| count(module) > 0);
        let Some((count, table)) = found else {
            return Err(format!("module {number} has no outputs: use access: r"));
        };
        let most = u32::from(count(module));
        if !(1..=most).contains(&channel) {
            return Err(format!("module-channel {channel}: module {number} has channels 1 … {most}"));
        }
        let offset = before(front, count) + channel - 1;
        let offset = u16::try_from(offset).map_err(|_| "the channel lies behind the process image")?;
        let read = if table.is_writable() { READ_BACK + offset } else { offset };
        Ok(Some((table, read, offset)))
    }
}

impl Node {
    /// What to ask it: its sizes, then its list.
    #[must_use]
    pub fn asks(&self) -> [Ask; 2] {
        let read = |address, count| Ask::Read { table: Table::Holding, address, count };
        [read(SIZES_AT, 4), read(LIST_AT, self.modules.len() as u16 + 1)]
    }

    /// What it answers when it is the one that is meant; a word of the list that is not known is `None`.
    #[must_use]
    pub fn answers(&self) -> [Vec<Option<u16>>; 2] {
        let all = &self.modules[..];
        let sizes = [
            16 * before(all, |m| m.analog_out),
            16 * before(all, |m| m.analog_in),
            before(all, |m| m.digital_out),
            before(all, |m| m.digital_in),
        ];
        let sizes = sizes.into_iter().map(|size| u16::try_from(size).ok()).collect();
        [sizes, std::iter::once(None).chain(all.iter().map(|module| module.code())).collect()]
    }

    /// Where the answers stand, for simulated devices.
    #[must_use]
    pub fn presets(&self) -> Vec<(Table, u16, Vec<u16>)> {
        let [sizes, list] = self.answers();
        let words = |words: Vec<Option<u16>>| words.into_iter().map(Option::unwrap_or_default).collect();
        vec![(Table::Holding, SIZES_AT, words(sizes)), (Table::Holding, LIST_AT, words(list))]
    }

    /// What speaks against the node, by the answer to one of the questions.
    #[must_use]
    pub fn complaint(&self, question: usize, answer: &Answer) -> Option<String> {
        const KINDS: [&str; 4] = ["analog outputs", "analog inputs", "digital outputs", "digital inputs"];
        let Answer::Words(words) = answer else { return None };
        let wanted = self.answers().into_iter().nth(question)?;
        let (at, wanted, got) = wanted.iter().zip(words).enumerate().find_map(|(at, (wanted, got))| {
            wanted.filter(|wanted| wanted != got).map(|wanted| (at, wanted, *got))
        })?;
        Some(match question {
            0 => format!(
                "other modules than listed: the node has {got} bits of {}, the list makes {wanted}",
                KINDS.get(at).copied().unwrap_or_default()
            ),
            _ => format!(
                "other modules than listed: module {at} is {}, the list says {}",
                shown(got),
                shown(wanted)
            ),
        })
    }
}

/// A word of the node's list for people.
fn shown(code: u16) -> String {
    let size = code >> 8 & 0x7F;
    match (code & DIGITAL != 0, code & 3) {
        (false, _) => format!("750-{code}"),
        (true, 1) => format!("{size}DI"),
        (true, 2) => format!("{size}DO"),
        (true, _) => format!("{size}DI/{size}DO"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(modules: &str) -> DeviceConfig {
        let list: Vec<&str> = modules.split(' ').collect();
        serde_json::from_value(serde_json::json!({ "modules": list })).unwrap()
    }

    fn place(device: &DeviceConfig, module: u8, channel: u16, writable: bool) -> Result<Channel, String> {
        let point =
            PointConfig { module: Some(module), module_channel: Some(channel), ..PointConfig::default() };
        point.channel_place(device, writable).map(Option::unwrap)
    }

    #[test]
    fn channels_stand_in_the_order_of_the_modules() {
        let device = node("4AI 8DI 2AO 4DO 8DI/8DO 2AI");
        assert_eq!(place(&device, 1, 4, false), Ok((Table::Input, 3, 3)));
        assert_eq!(place(&device, 6, 1, false), Ok((Table::Input, 4, 4)));
        assert_eq!(place(&device, 2, 1, false), Ok((Table::Discrete, 0, 0)));
        assert_eq!(place(&device, 5, 3, false), Ok((Table::Discrete, 10, 10)));
        assert_eq!(place(&device, 4, 2, true), Ok((Table::Coil, 0x201, 1)));
        assert_eq!(place(&device, 4, 2, false), Ok((Table::Coil, 0x201, 1)));
        assert_eq!(place(&device, 5, 8, true), Ok((Table::Coil, 0x20B, 11)));
        assert_eq!(place(&device, 3, 2, true), Ok((Table::Holding, 0x201, 1)));
        assert!(place(&device, 1, 1, true).unwrap_err().contains("no outputs"));
        assert!(place(&device, 1, 5, false).unwrap_err().contains("channels 1 … 4"));
        assert!(place(&device, 7, 1, false).unwrap_err().contains("lists 6"));
        assert!(node("64DI 64DI 64DI 64DI 64DI 64DI 64DI 64DI 1DI").modules_problem().is_some());
    }

    #[test]
    fn the_list_is_compared_with_what_the_node_says() {
        let node = node("4AI 4DI 2DO").node().unwrap();
        assert_eq!(node.answers()[0], [Some(0), Some(64), Some(2), Some(4)]);
        // The examples of the manual: 0x8401 and 0x8202.
        assert_eq!(node.answers()[1], [None, None, Some(0x8401), Some(0x8202)]);
        let words = |words: &[u16]| Answer::Words(words.to_vec());
        assert_eq!(node.complaint(0, &words(&[0, 64, 2, 4])), None);
        assert_eq!(node.complaint(1, &words(&[750, 455, 0x8401, 0x8202])), None);
        let sizes = node.complaint(0, &words(&[0, 128, 2, 4])).unwrap();
        assert!(sizes.contains("128 bits of analog inputs, the list makes 64"), "{sizes}");
        let order = node.complaint(1, &words(&[750, 455, 0x8202, 0x8401])).unwrap();
        assert!(order.contains("module 2 is 2DO, the list says 4DI"), "{order}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*|[0-9]{0,6}[ADIOadio/]{0,6}") {
            let _ = text.parse::<Module>();
        }
    }
}
