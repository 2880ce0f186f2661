//! `/portinfo`: the list of terminals that a Web-IO gives of itself.
//!
//! Pure. The form: a first line `1.0|n` or `1.1|n`, then n lines of 12 or 14 fields between `|`. Field 1 is
//! the clamp's name, 3 its label, 4 its unit, 5 the kind of interface (6 where 5 is above 6), 8 the slot, 12
//! and 13 slope and begin of the measuring range. Invariant: a list that was cut is refused as a whole.

use std::fmt;

/// The most lines that are read.
const MAX_LINES: usize = 512;

/// The kinds of interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// 1.
    AnalogIn,
    /// 6.
    AnalogOut,
    /// 2.
    DigitalIn,
    /// 3, and 5, a second form of it.
    DigitalOut,
    /// 4.
    Counter,
}

impl Kind {
    /// All kinds, in the order in which they are told.
    pub const ALL: [Self; 5] =
        [Self::AnalogIn, Self::AnalogOut, Self::DigitalIn, Self::DigitalOut, Self::Counter];

    const fn of(code: u32) -> Option<Self> {
        match code {
            1 => Some(Self::AnalogIn),
            2 => Some(Self::DigitalIn),
            3 | 5 => Some(Self::DigitalOut),
            4 => Some(Self::Counter),
            6 => Some(Self::AnalogOut),
            _ => None,
        }
    }

    /// The kind in words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::AnalogIn => "analog in",
            Self::AnalogOut => "analog out",
            Self::DigitalIn => "digital in",
            Self::DigitalOut => "digital out",
            Self::Counter => "counter",
        }
    }
}

/// One terminal.
#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    /// What it is.
    pub kind: Kind,
    /// Its number: analog ones from 1, digital ones and counters from 0.
    pub slot: u16,
    /// What people called it, or the name of its clamp.
    pub label: String,
    /// Its unit, where it has one.
    pub unit: Option<String>,
    /// Its measuring range.
    pub range: Option<(f64, f64)>,
}

/// All terminals of a device.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PortInfo {
    /// In the order of the list.
    pub ports: Vec<Port>,
}

impl PortInfo {
    /// Reads the list.
    ///
    /// # Errors
    /// Says what is not as it should be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim_end_matches(['\0', '\r', '\n', ' ']);
        let mut lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
        let head = lines.next().unwrap_or_default();
        let (version, count) = head.split_once('|').ok_or("its first line is not `version|count`")?;
        let width = match version.trim() {
            "1.0" => 12,
            "1.1" => 14,
            other => return Err(format!("its version `{}` is not known", shortened(other))),
        };
        let count: usize = count.trim().parse().map_err(|_| "its first line names no count of lines")?;
        let rest: Vec<&str> = lines.take(MAX_LINES + 1).collect();
        if count > MAX_LINES || rest.len() != count {
            return Err(format!("it promises {count} lines and has {}", rest.len()));
        }
        let mut ports = Vec::with_capacity(count);
        for (number, line) in (2..).zip(rest) {
            let fields: Vec<&str> = line.split('|').map(str::trim).collect();
            let code = |at: usize| fields.get(at).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
            // Lines of other things than terminals have 0 or nothing there; one that ends before it was cut.
            if code(5) == 0 && fields.len() > 5 {
                continue;
            }
            if fields.len() != width {
                return Err(format!("line {number} has {} fields and not {width}", fields.len()));
            }
            let kind = Kind::of(code(5)).or_else(|| (code(5) > 6).then(|| Kind::of(code(6))).flatten());
            ports.extend(kind.and_then(|kind| port(kind, &fields)));
        }
        Ok(Self { ports })
    }

    /// Whether the device has this terminal.
    #[must_use]
    pub fn has(&self, kind: Kind, slot: u16) -> bool {
        self.ports.iter().any(|port| port.kind == kind && port.slot == slot)
    }

    /// How many terminals of a kind there are.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.ports.iter().filter(|port| port.kind == kind).count()
    }
}

impl fmt::Display for PortInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = Kind::ALL.map(|kind| (kind, self.count(kind)));
        let words: Vec<String> = counts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| format!("{count} {}", kind.word()))
            .collect();
        f.write_str(&if words.is_empty() { "no terminals".to_owned() } else { words.join(", ") })
    }
}

fn port(kind: Kind, fields: &[&str]) -> Option<Port> {
    let text = |at: usize| fields.get(at).copied().filter(|text| !text.is_empty());
    let number = |at: usize| text(at).and_then(|text| text.parse::<f64>().ok()).filter(|n| n.is_finite());
    // The list says minimum and gradient: the range ends a hundred gradients above its begin.
    let range = number(13).zip(number(12)).map(|(low, gradient)| (low, low + 100.0 * gradient));
    Some(Port {
        kind,
        slot: fields.get(8)?.parse().ok()?,
        label: text(3).or_else(|| text(1)).unwrap_or_default().to_owned(),
        unit: text(4).map(str::to_owned),
        range,
    })
}

fn shortened(text: &str) -> String {
    text.chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANALOG: &str = "1.1|3\r\n0|Device||Box||0|0||0||||||\r\n1|Input 1||Tank|mA|1|0||1||||0.2|0\r\n2|Output 1|||mA|7|6||1|||||\r\n\0";

    #[test]
    fn terminals_are_read_with_their_labels() {
        let info = PortInfo::parse(ANALOG).unwrap();
        assert_eq!(info.ports.len(), 2);
        let tank = &info.ports[0];
        assert_eq!((tank.kind, tank.slot, tank.label.as_str()), (Kind::AnalogIn, 1, "Tank"));
        assert_eq!((tank.unit.as_deref(), tank.range), (Some("mA"), Some((0.0, 20.0))));
        assert_eq!((info.ports[1].kind, info.ports[1].label.as_str()), (Kind::AnalogOut, "Output 1"));
        assert!(info.has(Kind::AnalogIn, 1) && !info.has(Kind::AnalogIn, 2));
        assert_eq!(info.to_string(), "1 analog in, 1 analog out");
    }

    #[test]
    fn a_list_that_was_cut_is_refused() {
        for end in [0, 3, 8, 40, ANALOG.len() - 20] {
            assert!(PortInfo::parse(&ANALOG[..end]).is_err(), "{end}");
        }
        assert!(PortInfo::parse("<html>404</html>").unwrap_err().contains("first line"));
        assert!(PortInfo::parse("2.0|0").unwrap_err().contains("2.0"));
        assert!(PortInfo::parse("1.0|1\r\na|b||||2").unwrap_err().contains("12"));
        assert_eq!(PortInfo::parse("1.0|0\r\n").unwrap().to_string(), "no terminals");
    }

    proptest! {
        #[test]
        fn no_list_panics(text in ".*|1\\.[01]\\|[0-9]{1,3}(\r\n[0-9a-z|.]*)*") {
            let _ = PortInfo::parse(&text);
        }
    }
}
