//! From what people wrote to plan parts: every mistake is named together with its remedy.
//!
//! Pure. Invariant: a [`Wiring`] that leaves here sends no control characters but those of its device's
//! terminator and wake-up.

use std::time::Duration;

use super::config::{DeviceConfig, PointConfig, Terminator, Transport};
use super::{Command, Source, Wiring};
use crate::driver::text::ExtractConfig;
use crate::driver::text::extract::{Form, MAX_TEXT};
use crate::model::Value;
use crate::model::units::Period;

/// What stands for the setpoint.
pub(super) const PLACEHOLDER: &str = "{value}";

/// The longest time to wait for something that makes sense.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The longest request, in bytes.
const MAX_REQUEST: usize = 512;

/// The most beginnings of answers that are told apart.
const MAX_TOKENS: usize = 32;

/// Speeds that a serial port can be asked for.
const BAUDS: std::ops::RangeInclusive<u32> = 110..=4_000_000;

impl Transport {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let timeout = self.timeout();
        if timeout.0.is_zero() || timeout.0 > MAX_WAIT {
            problems.push(format!("timeout {timeout}: use more than nothing and at most 60s, such as 1s"));
        }
        if self.pause().0 > MAX_WAIT {
            problems.push(format!("pause {}: at most 60s", self.pause()));
        }
        match self {
            Self::Serial(line) => {
                if line.port.trim().is_empty() {
                    problems.push("port: name a serial port such as /dev/ttyUSB0".into());
                }
                if !BAUDS.contains(&line.baud) {
                    problems.push(format!("baud {}: use 110 … 4000000, such as 9600", line.baud));
                }
                if !matches!(line.data_bits, 7 | 8) {
                    problems.push(format!("data-bits {}: use 7 or 8", line.data_bits));
                }
                if !matches!(line.stop_bits, 1 | 2) {
                    problems.push(format!("stop-bits {}: use 1 or 2", line.stop_bits));
                }
            }
            Self::Tcp(_) | Self::Udp(_) => problems.extend(self.host_and_port().err()),
        }
        problems
    }

    /// Host and port of a socket.
    ///
    /// # Errors
    /// Says how they are written.
    pub fn host_and_port(&self) -> Result<(String, u16), String> {
        let written = self.endpoint().trim();
        let wrong = || {
            format!(
                "address `{written}`: write a host and a port, such as 192.0.2.30:4001 or [2001:db8::1]:4001"
            )
        };
        let (host, port) = written.rsplit_once(':').ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        let odd = |c: char| c.is_whitespace() || matches!(c, '/' | '[' | ']' | '@');
        let port: u16 = port.parse().map_err(|_| wrong())?;
        if host.is_empty() || host.contains(odd) || port == 0 || (bare.is_none() && host.contains(':')) {
            return Err(wrong());
        }
        Ok((host.to_owned(), port))
    }
}

impl DeviceConfig {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let within = |period: Period| !period.0.is_zero() && period.0 <= MAX_WAIT;
        match (self.terminator, self.silence) {
            (Terminator::Silence, Some(silence)) if !within(silence) => {
                problems
                    .push(format!("silence {silence}: use more than nothing and at most 60s, such as 50ms"));
            }
            (Terminator::Silence, _) | (_, None) => {}
            (_, Some(_)) => problems.push(
                "silence has no use beside another terminator: remove it, or use the terminator `silence`"
                    .into(),
            ),
        }
        if self.wake_up.as_ref().is_some_and(|text| text.is_empty() || text.len() > MAX_REQUEST) {
            problems.push(format!("wake-up: give 1 … {MAX_REQUEST} bytes, such as \"\\r\""));
        }
        if self.wake_up_pause.0 > MAX_WAIT {
            problems.push(format!("wake-up-pause {}: at most 60s", self.wake_up_pause));
        }
        for (key, tokens) in [("error-replies", &self.error_replies), ("busy-replies", &self.busy_replies)] {
            if tokens.len() > MAX_TOKENS || tokens.iter().any(String::is_empty) {
                problems.push(format!(
                    "{key}: give at most {MAX_TOKENS} beginnings of answers, none of them empty"
                ));
            }
        }
        problems
    }
}

impl PointConfig {
    /// How the point is read and written. `readable` and `writable` are its access.
    ///
    /// # Errors
    /// Says what does not fit and how to mend it.
    pub fn wiring(&self, text: &ExtractConfig, readable: bool, writable: bool) -> Result<Wiring, String> {
        let source = match (&self.ask, &self.listen, readable) {
            (Some(_), Some(_), _) => return Err("ask and listen exclude each other: keep one".into()),
            (None, None, true) => {
                return Err("say how the value comes: ask: with what is sent for it, or listen: with how its lines begin".into());
            }
            (None, None, false) => Source::Nowhere,
            (_, _, false) => {
                return Err(
                    "ask and listen are of no use for a point that is only written: remove them".into()
                );
            }
            (Some(ask), None, true) => Source::Ask(line("ask", ask)?),
            (None, Some(begin), true) => Source::Listen(begin.clone()),
        };
        let extract = text.extract()?;
        let command = match (&self.send, writable) {
            (None, false) if self.answer.is_some() => return Err("answer belongs to send: remove it".into()),
            (None, false) => None,
            (Some(_), false) => return Err("send needs access: rw or w".into()),
            (None, true) => return Err(format!("say how the point is written: send: \"OUT {PLACEHOLDER}\"")),
            (Some(send), true) if !send.contains(PLACEHOLDER) => {
                return Err(format!("send {send}: put {PLACEHOLDER} where the setpoint belongs"));
            }
            (Some(send), true) => {
                let word =
                    |own: &Option<String>, usual: &str| own.clone().unwrap_or_else(|| usual.to_owned());
                Some(Command {
                    text: line("send", send)?,
                    answer: self
                        .answer
                        .clone()
                        .filter(|answer| answer != "none")
                        .or_else(|| self.answer.is_none().then(String::new)),
                    on: word(&text.on_word, "1"),
                    off: word(&text.off_word, "0"),
                    comma: text.decimal_comma,
                })
            }
        };
        if matches!((&source, &command), (Source::Listen(_), Some(_))) {
            return Err("a point that listens cannot be read back, so it cannot be written: use ask".into());
        }
        Ok(Wiring { source, extract, command })
    }
}

impl Wiring {
    /// Whether the instrument takes whole numbers only.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        !matches!(self.extract.form, Form::Number { .. })
    }

    /// Whether the instrument can be sent a raw value.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn encodable(&self, raw: &Value) -> Result<(), String> {
        match raw {
            Value::Text(text) if text.len() > MAX_TEXT || text.chars().any(char::is_control) => {
                Err(format!("a text has at most {MAX_TEXT} bytes and no control characters"))
            }
            _ => Ok(()),
        }
    }
}

/// A request without terminator.
fn line(key: &str, text: &str) -> Result<String, String> {
    if text.len() > MAX_REQUEST || text.is_empty() {
        return Err(format!("{key}: give 1 … {MAX_REQUEST} bytes"));
    }
    // STX, ENQ and the like belong to some protocols; line ends do not belong into a line.
    if text.contains(['\r', '\n', '\0']) {
        return Err(format!("{key}: leave the line end out; `terminator` of the device adds it"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::text::config::tests::sections;

    #[test]
    fn points_that_make_no_sense_are_refused_with_a_remedy() {
        for (yaml, readable, writable, part) in [
            ("{}", true, false, "ask"),
            ("{ ask: S, listen: S }", true, false, "keep one"),
            ("{ ask: \"S\\r\" }", true, false, "terminator"),
            ("{ ask: \"\" }", true, false, "1 … 512"),
            ("{ ask: S }", false, true, "remove them"),
            ("{ ask: S, send: \"T{value}\" }", true, false, "access: rw"),
            ("{ ask: S, answer: A }", true, false, "belongs to send"),
            ("{ ask: S }", true, true, "{value}"),
            ("{ ask: S, send: T }", true, true, "{value}"),
            ("{ listen: S, send: \"T{value}\" }", true, true, "use ask"),
            ("{ ask: S, regex: x }", true, false, "group"),
        ] {
            let (point, text) = sections::<PointConfig>(yaml);
            let message = point.wiring(&text, readable, writable).unwrap_err();
            assert!(message.contains(part), "{yaml}: {message}");
        }
    }

    #[test]
    fn channels_and_devices_say_what_does_not_fit() {
        let tcp = |address: &str| {
            Transport::Tcp(serde_yaml::from_str(&format!("{{ address: '{address}' }}")).unwrap())
        };
        assert_eq!(tcp("[2001:db8::1]:23").host_and_port(), Ok(("2001:db8::1".into(), 23)));
        assert_eq!(tcp("scale.example:4001").validate(), Vec::<String>::new());
        for wrong in ["scale", "http://scale:1", "::1:80", "a:0", ":5", "a b:5"] {
            assert!(tcp(wrong).validate()[0].contains("4001"), "{wrong}");
        }
        let line = "{ port: '', baud: 1, data-bits: 5, stop-bits: 3, timeout: 0s, pause: 2m }";
        assert_eq!(Transport::Serial(serde_yaml::from_str(line).unwrap()).validate().len(), 6);
        let device =
            "{ silence: 5ms, wake-up: '', wake-up-pause: 2m, error-replies: [''], busy-replies: [''] }";
        let problems = serde_yaml::from_str::<DeviceConfig>(device).unwrap().validate();
        assert_eq!(problems.len(), 5, "{problems:?}");
    }

    #[test]
    fn a_write_takes_the_words_of_its_point() {
        let yaml =
            "{ ask: R, send: 'RELAY {value}', answer: none, as: state, on-word: CLOSED, off-word: OPEN }";
        let (point, text) = sections::<PointConfig>(yaml);
        let command = point.wiring(&text, true, true).unwrap().command.unwrap();
        assert_eq!((command.fill(&Value::Bool(true)), command.answer), ("RELAY CLOSED".into(), None));
        let (point, text) = sections::<PointConfig>("{ ask: R, send: 'SP {value} C', decimal-comma: on }");
        let command = point.wiring(&text, true, true).unwrap().command.unwrap();
        assert_eq!(
            (command.fill(&Value::Float(1.5)), command.answer),
            ("SP 1,5 C".into(), Some(String::new()))
        );
    }
}
