//! The Web-IO family of Wiesemann & Theis: terminals become requests and extractions.
//!
//! One driver for all models: analog values come from `/single`, digital ones and counters from `/allout`,
//! and `/portinfo` says which terminals there are. Analog terminals are counted from 1, digital ones and
//! counters from 0, as the devices do. The closing `&` of a query is part of their protocol. Facts: the
//! maker's manuals of the Web-IO Digital 4.0 and the maker's own Node-RED package.

pub mod discovery;
pub mod portinfo;

use std::time::Duration;

use super::extract::{Extract, Form, Pick, Split, Suffix};
use super::request::{PLACEHOLDER, Request, Template, lightly_encoded};
pub use portinfo::{Kind, Port, PortInfo};

/// How often `/portinfo` is read, as the maker's package does.
pub const REFRESH: Duration = Duration::from_secs(300);

/// When it is tried again after it failed.
pub const REFRESH_FAILED: Duration = Duration::from_secs(60);

/// How long a device is left alone after `/portinfo`, behind which it resets the connection.
pub const REST: Duration = Duration::from_millis(100);

/// What a sensor that has no value is called.
pub const NO_VALUE: &str = "----";

/// The highest analog terminal.
pub const MAX_ANALOG: u16 = 64;

/// The highest digital terminal or counter: bitmaps have at most 64 bits.
pub const MAX_DIGITAL: u16 = 63;

/// One terminal of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot {
    /// What it is.
    pub kind: Kind,
    /// Its number, as the device counts.
    pub number: u16,
}

impl Slot {
    /// The request whose answer holds the terminal's state.
    #[must_use]
    pub fn request(self, password: &str) -> Request {
        match self.kind {
            Kind::AnalogIn | Kind::AnalogOut => Request::get("/single"),
            Kind::DigitalIn | Kind::DigitalOut | Kind::Counter => {
                Request::get(format!("/allout?PW={}&", lightly_encoded(password)))
            }
        }
    }

    /// Where it stands in that answer. `suffix` is the unit that a value must have.
    #[must_use]
    pub fn extract(self, suffix: Suffix) -> Extract {
        let split = |after: Option<&str>, index: u16| {
            Pick::Split(Split {
                separator: ";".into(),
                after: after.map(str::to_owned),
                index: usize::from(index),
                skip_address: true,
            })
        };
        let (pick, form) = match self.kind {
            Kind::AnalogIn | Kind::AnalogOut => {
                (split(None, self.number.saturating_sub(1)), Form::Number { comma: true, suffix })
            }
            Kind::DigitalIn => (split(Some("input"), 0), Form::HexBit(self.number as u8)),
            Kind::DigitalOut => (split(Some("output"), 0), Form::HexBit(self.number as u8)),
            Kind::Counter => (split(Some("counter"), self.number), Form::Integer),
        };
        Extract { pick, form, missing: vec![NO_VALUE.into()] }
    }

    /// How it is written; `None` for what can only be read. The answer to a written analog output holds what
    /// it puts out at that moment and not what it was asked for, so it says nothing about success.
    #[must_use]
    pub fn template(self, password: &str) -> Option<Template> {
        let (number, password) = (self.number, lightly_encoded(password));
        let path = match self.kind {
            Kind::AnalogIn | Kind::DigitalIn => return None,
            Kind::DigitalOut | Kind::AnalogOut => {
                format!("/outputaccess{number}?PW={password}&State={PLACEHOLDER}&")
            }
            Kind::Counter => format!("/counterclear{number}?PW={password}&Set={PLACEHOLDER}&"),
        };
        Some(Template { request: Request::get(path), on: "ON".into(), off: "OFF".into(), comma: false })
    }
}

/// The request for the list of terminals.
#[must_use]
pub fn portinfo_request() -> Request {
    Request { resets: true, ..Request::get("/portinfo") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::http::extract::Reply;
    use crate::model::{Reason, Value};

    fn read(kind: Kind, number: u16, text: &str) -> Result<Value, Reason> {
        Slot { kind, number }.extract(Suffix::Any).value(&Reply::new(text.into()))
    }

    #[test]
    fn analog_terminals_count_from_one_and_digital_ones_from_nought() {
        assert_eq!(read(Kind::AnalogIn, 1, "23,4°C;45,3%;1013,2hPa"), Ok(Value::Float(23.4)));
        assert_eq!(
            read(Kind::AnalogIn, 3, "192.0.2.9;WEBIO-1;23,4°C;45,3%;1013,2hPa"),
            Ok(Value::Float(1013.2))
        );
        assert_eq!(read(Kind::AnalogIn, 2, "23,4°C;----"), Err(Reason::NotAvailable));
        let allout = "input;0001;output;0802;counter;12;0";
        assert_eq!(read(Kind::DigitalIn, 0, allout), Ok(Value::Bool(true)));
        assert_eq!(read(Kind::DigitalOut, 11, allout), Ok(Value::Bool(true)));
        assert_eq!(read(Kind::DigitalOut, 0, allout), Ok(Value::Bool(false)));
        assert_eq!(read(Kind::Counter, 0, allout), Ok(Value::Int(12)));
    }

    #[test]
    fn writes_close_their_query_and_bear_the_password() {
        let slot = |kind, number| Slot { kind, number };
        let path = |slot: Slot, value: Value| slot.template("a&b").unwrap().fill(&value).path;
        let relay = path(slot(Kind::DigitalOut, 3), Value::Bool(true));
        assert_eq!(relay, "/outputaccess3?PW=a%26b&State=ON&");
        assert_eq!(path(slot(Kind::AnalogOut, 1), Value::Float(10.5)), "/outputaccess1?PW=a%26b&State=10.5&");
        assert_eq!(path(slot(Kind::Counter, 2), Value::Int(0)), "/counterclear2?PW=a%26b&Set=0&");
        assert_eq!(slot(Kind::DigitalIn, 0).request("").path, "/allout?PW=&");
        assert!(slot(Kind::DigitalIn, 0).template("").is_none());
    }
}
