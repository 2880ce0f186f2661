//! The command line of a bench, and what is said about the machine.

use std::collections::HashMap;
use std::fs;

use crate::Outcome;

/// What the command line asks for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// One short round of everything.
    pub(crate) quick: bool,
    options: HashMap<String, String>,
    measures: Vec<String>,
}

impl Asked {
    /// Reads `[--quick] [--OPTION VALUE]… [MEASURE]…`; `measures` and `options` are those that there are.
    pub(crate) fn parse(arguments: Vec<String>, measures: &[&str], options: &[&str]) -> Outcome<Self> {
        let mut asked = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // What cargo itself adds.
                "--bench" => {}
                "--quick" => asked.quick = true,
                option if options.contains(&option) => {
                    let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
                    asked.options.insert(argument, value);
                }
                name if measures.contains(&name) => asked.measures.push(argument),
                _ => {
                    let (measures, options) = (measures.join(", "), options.join(", "));
                    return Err(
                        format!("`{argument}` is neither --quick, {options} nor one of {measures}").into()
                    );
                }
            }
        }
        Ok(asked)
    }

    /// The value of an option.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// Whether a measure is asked for; without any name all are.
    pub(crate) fn wants(&self, measure: &str) -> bool {
        self.measures.is_empty() || self.measures.iter().any(|asked| asked == measure)
    }
}

/// Cores and kernel.
pub(crate) fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cpus} cores of {}, Linux {}", model.map_or("an unknown kind", |(_, name)| name), kernel.trim())
}

/// Processes that ran or wanted to in the last minute: what else the machine was doing.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
