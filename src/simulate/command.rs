//! What can be told to a simulation, one line each: at the keyboard, in tests and over the control port.
//!
//! Pure: text to [`Command`]. Invariant: any line is a command or an error that says what is understood.

use std::str::FromStr;
use std::time::Duration;

use super::fault::{Fault, Limit, Span};
use crate::driver::modbus::register::Table;
use crate::model::units::Period;

/// What `help` prints.
pub const HELP: &str = "\
list                      channels and devices, where they are served, what is wrong with them
list DEVICE               the device's points with their values
get POINT                 one value, such as: get press/temperature
set POINT VALUE           holds a point at a value: set press/temperature 75
raw POINT WORD...         holds its registers at raw words: raw press/temperature 0x7fff
release POINT             lets the point move by itself again
fault TARGET KIND [LIMIT] makes a device, or all devices of a channel, faulty; KIND is one of
    dead                  does not answer
    slow TIME             answers later by TIME
    late [TIME]           answers after the master has given up
    short                 answers with less than was asked for
    cut                   stops in the middle of the answer, closes the connection
    wrong-unit  wrong-function  wrong-transaction  wrong-echo  corrupt
    frozen                values stand still
    exception CODE [at coil|discrete|input|holding ADDRESS [COUNT]]
                          refuses, everywhere or where a request touches the addresses;
                          fault DEVICE/POINT exception CODE  for one point's registers
    reset                 resets the connection (HTTP)
    wrong-length          says that the answer is half as long as it is (HTTP)
    prefix                puts address and name in front, as a W&T Web-IO can be set to do (HTTP)
    status CODE           refuses with this HTTP status: 503 for busy
  LIMIT is `for TIME`, `times COUNT`, or nothing: until it is cleared. A time alone is enough: dead 5s
unplug CHANNEL [TIME]     takes the port or listener away
plug CHANNEL              brings it back
clear TARGET|all          makes devices sound and plugs channels in
stats                     what lines and devices counted
quit                      stops
";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Says what is understood.
    Help,
    /// Everything, or the points of one device.
    List(Option<String>),
    /// One value.
    Get(String),
    /// Holds a point at a value.
    Set(String, String),
    /// Holds a point's registers at raw words.
    Raw(String, Vec<u16>),
    /// Lets a point move again.
    Release(String),
    /// Makes something faulty.
    Fault(String, Fault, Limit),
    /// Takes a channel away.
    Unplug(String, Option<Duration>),
    /// Brings a channel back.
    Plug(String),
    /// Makes something sound; `None` is everything.
    Clear(Option<String>),
    /// What was counted.
    Stats,
    /// Stops.
    Quit,
}

impl FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = Words { words: line.split_whitespace().collect(), at: 0 };
        let verb = words.take("a command; `help` lists them")?;
        let command = match verb {
            "help" => Self::Help,
            "list" => Self::List(words.next().map(str::to_owned)),
            "get" => Self::Get(words.take("a point")?.into()),
            "set" => {
                let point = words.take("a point")?.to_owned();
                words.peek().ok_or("set: a value is missing")?;
                Self::Set(point, words.rest())
            }
            "raw" => Self::Raw(words.take("a point")?.into(), words.raw_words()?),
            "release" => Self::Release(words.take("a point")?.into()),
            "fault" => words.fault()?,
            "unplug" => Self::Unplug(words.take("a channel")?.into(), words.outage()?),
            "plug" => Self::Plug(words.take("a channel")?.into()),
            "clear" => {
                let target = words.take("a device, a channel or `all`")?;
                Self::Clear((target != "all").then(|| target.into()))
            }
            "stats" => Self::Stats,
            "quit" | "exit" => Self::Quit,
            other => return Err(format!("`{other}` is no command; `help` lists them")),
        };
        match words.next() {
            Some(extra) => Err(format!("{verb}: `{extra}` is too much; `help` shows what it takes")),
            None => Ok(command),
        }
    }
}

/// The words of a line, one after the other.
struct Words<'a> {
    words: Vec<&'a str>,
    at: usize,
}

impl<'a> Words<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    fn take(&mut self, what: &str) -> Result<&'a str, String> {
        self.next().ok_or_else(|| format!("{what} is missing"))
    }

    fn rest(&mut self) -> String {
        let rest = self.words.get(self.at..).unwrap_or_default().join(" ");
        self.at = self.words.len();
        rest
    }

    fn period(&mut self) -> Result<Duration, String> {
        Ok(self.take("a time such as 500ms or 5s")?.parse::<Period>()?.0)
    }

    fn raw_words(&mut self) -> Result<Vec<u16>, String> {
        self.take("a register's contents")?;
        self.at -= 1;
        let mut all = Vec::new();
        while let Some(word) = self.next() {
            all.push(number(word)?);
        }
        Ok(all)
    }

    fn outage(&mut self) -> Result<Option<Duration>, String> {
        match self.limit()? {
            Limit::None => Ok(None),
            Limit::For(time) => Ok(Some(time)),
            Limit::Times(_) => Err("an outage lasts for a time, not for a count".into()),
        }
    }

    fn fault(&mut self) -> Result<Command, String> {
        let target = self.take("a device, a channel or a point")?.to_owned();
        let kind = self.take("a kind of fault; `help` lists them")?;
        let fault = match kind {
            "dead" => Fault::Dead,
            "slow" => Fault::Slow(self.period()?),
            "late" => match self.peek().map(str::parse::<Period>) {
                Some(Ok(Period(delay))) => {
                    self.at += 1;
                    Fault::Late(Some(delay))
                }
                _ => Fault::Late(None),
            },
            "short" => Fault::Short,
            "cut" => Fault::Cut,
            "wrong-unit" => Fault::WrongUnit,
            "wrong-function" => Fault::WrongFunction,
            "wrong-transaction" => Fault::WrongTransaction,
            "wrong-echo" => Fault::WrongEcho,
            "corrupt" => Fault::Corrupt,
            "frozen" => Fault::Frozen,
            "reset" => Fault::Reset,
            "wrong-length" => Fault::WrongLength,
            "prefix" => Fault::Prefix,
            "status" => match number(self.take("an HTTP status")?)? {
                status @ 100..=599 => Fault::Status(status),
                status => return Err(format!("HTTP statuses are 100 to 599, not {status}")),
            },
            "exception" => self.exception()?,
            "unplug" => return Ok(Command::Unplug(target, self.outage()?)),
            other => return Err(format!("`{other}` is no kind of fault; `help` lists them")),
        };
        Ok(Command::Fault(target, fault, self.limit()?))
    }

    fn exception(&mut self) -> Result<Fault, String> {
        let code = match number(self.take("an exception code")?)? {
            code @ 1..=255 => code as u8,
            code => return Err(format!("exception codes are 1 to 255, not {code}")),
        };
        if self.peek() != Some("at") {
            return Ok(Fault::Exception { code, at: None });
        }
        self.at += 1;
        let table = match self.take("a table")? {
            "coil" => Table::Coil,
            "discrete" => Table::Discrete,
            "input" => Table::Input,
            "holding" => Table::Holding,
            other => return Err(format!("`{other}` is no table: coil, discrete, input or holding")),
        };
        let address = number(self.take("an address")?)?;
        let count = match self.peek().map(number) {
            Some(Ok(count)) => {
                self.at += 1;
                count.max(1)
            }
            _ => 1,
        };
        Ok(Fault::Exception { code, at: Some(Span { table, address, count }) })
    }

    fn limit(&mut self) -> Result<Limit, String> {
        match self.peek() {
            None => Ok(Limit::None),
            Some("for") => {
                self.at += 1;
                self.period().map(Limit::For)
            }
            Some("times") => {
                self.at += 1;
                let word = self.take("a count")?;
                word.parse().map(Limit::Times).map_err(|_| format!("`{word}` is not a count"))
            }
            Some(_) => self.period().map(Limit::For),
        }
    }
}

fn number(word: &str) -> Result<u16, String> {
    let parsed = match word.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16),
        None => word.parse(),
    };
    parsed.map_err(|_| format!("`{word}` is not a number from 0 to 65535 (0xffff)"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        line.parse()
    }

    #[test]
    fn commands_as_people_type_them() {
        let fault = |fault, limit| Ok(Command::Fault("press".into(), fault, limit));
        let seconds = Duration::from_secs;
        assert_eq!(parse("fault press dead 5s"), fault(Fault::Dead, Limit::For(seconds(5))));
        assert_eq!(parse("fault press late"), fault(Fault::Late(None), Limit::None));
        assert_eq!(parse("fault press late for 5s"), fault(Fault::Late(None), Limit::For(seconds(5))));
        assert_eq!(
            parse("fault press slow 200ms 1m"),
            fault(Fault::Slow(Duration::from_millis(200)), Limit::For(seconds(60)))
        );
        let at = Some(Span { table: Table::Holding, address: 0x64, count: 2 });
        assert_eq!(
            parse("fault press exception 2 at holding 0x64 2 times 3"),
            fault(Fault::Exception { code: 2, at }, Limit::Times(3))
        );
        assert_eq!(parse("fault line-1 unplug 2s"), Ok(Command::Unplug("line-1".into(), Some(seconds(2)))));
        assert_eq!(
            parse("set press/state  Not Ready"),
            Ok(Command::Set("press/state".into(), "Not Ready".into()))
        );
        assert_eq!(parse("raw a/b 0x7fff 1"), Ok(Command::Raw("a/b".into(), vec![0x7fff, 1])));
        assert_eq!(parse("clear all"), Ok(Command::Clear(None)));
    }

    #[test]
    fn what_is_not_understood_says_what_would_be() {
        for (line, part) in [
            ("", "help"),
            ("fualt press dead", "fualt"),
            ("fault press", "kind"),
            ("fault press tired", "tired"),
            ("fault press slow", "500ms"),
            ("fault press dead 5 s", "5"),
            ("fault press exception 0", "1 to 255"),
            ("fault press exception 2 at register 1", "register"),
            ("set press/temperature", "value"),
            ("stats now", "now"),
            ("unplug line-1 times 2", "time"),
            ("raw a/b 65536", "65535"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn help_names_every_command() {
        for verb in
            ["list", "get", "set", "raw", "release", "fault", "unplug", "plug", "clear", "stats", "quit"]
        {
            assert!(HELP.lines().any(|line| line.starts_with(verb)), "{verb}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_a_command_or_an_error(line in ".*", tail in "(fault|raw|unplug|set|clear) [a-z0-9 ]*") {
            let _ = parse(&line);
            let _ = parse(&tail);
        }
    }
}
