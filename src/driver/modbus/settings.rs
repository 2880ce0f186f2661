//! The settings of lines and connections: every mistake is named together with its remedy.
//!
//! Pure. Absent: devices and points (`validate`).

use std::time::Duration;

use super::Transport;
use super::config::{LineConfig, TcpConfig};
use crate::model::units::Period;

/// The longest time to wait for an answer or connection that makes sense on a line others wait for.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The port of Modbus TCP (IANA: mbap).
const DEFAULT_PORT: u16 = 502;

impl TcpConfig {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(self.endpoint().err());
        check_wait(&mut problems, "timeout", self.timeout);
        check_wait(&mut problems, "connect-timeout", self.connect_timeout);
        check_pause(&mut problems, "pause", self.pause);
        problems
    }

    /// Host and port of the address.
    ///
    /// # Errors
    /// Says how an address is written.
    pub fn endpoint(&self) -> Result<(String, u16), String> {
        let wrong = || {
            let written = &self.address;
            format!(
                "address `{written}`: write a host and a port, such as 192.0.2.10:502 or [2001:db8::1]:502"
            )
        };
        let address = self.address.trim();
        let (host, port) = if let Some(rest) = address.strip_prefix('[') {
            let (host, tail) = rest.split_once(']').ok_or_else(wrong)?;
            (host, if tail.is_empty() { None } else { Some(tail.strip_prefix(':').ok_or_else(wrong)?) })
        } else {
            match address.split_once(':') {
                Some((_, port)) if port.contains(':') => (address, None),
                Some((host, port)) => (host, Some(port)),
                None => (address, None),
            }
        };
        let port = port.map_or(Ok(DEFAULT_PORT), str::parse).map_err(|_| wrong())?;
        let odd = |c: char| c.is_whitespace() || matches!(c, '/' | '[' | ']' | '@');
        if host.is_empty() || host.contains(odd) || port == 0 {
            return Err(wrong());
        }
        Ok((host.to_owned(), port))
    }
}

impl LineConfig {
    /// Everything that is wrong with the section; empty when it can be used. That RTU needs 8 data bits is
    /// [`Transport::validate`]'s.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.port.trim().is_empty() {
            problems.push("port: name the serial port, such as /dev/serial/by-id/… or /dev/ttyAMA0".into());
        }
        if !(300..=4_000_000).contains(&self.baud) {
            problems.push(format!("baud {}: serial lines run at 300 … 4000000 bit/s", self.baud));
        }
        if !(7..=8).contains(&self.data_bits) {
            problems.push(format!("data-bits {}: use 8, or 7 with modbus-ascii", self.data_bits));
        }
        if !(1..=2).contains(&self.stop_bits) {
            problems.push(format!("stop-bits {}: use 1 or 2", self.stop_bits));
        }
        check_wait(&mut problems, "timeout", self.timeout);
        check_pause(&mut problems, "pause", self.pause);
        check_pause(&mut problems, "turnaround", self.turnaround);
        if let Some(rs485) = self.rs485 {
            check_pause(&mut problems, "rs485 delay-before-send", rs485.delay_before_send);
            check_pause(&mut problems, "rs485 delay-after-send", rs485.delay_after_send);
        }
        problems
    }
}

impl Transport {
    /// Everything that is wrong with the transport's section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        match self {
            Self::Tcp(config) | Self::RtuOverTcp(config) => config.validate(),
            Self::Ascii(line) => line.validate(),
            Self::Rtu(line) => {
                let mut problems = line.validate();
                if line.data_bits == 7 {
                    problems.push("data-bits 7: RTU frames need 8; only modbus-ascii can use 7".into());
                }
                problems
            }
        }
    }

    /// How long to wait for an answer where a device says nothing.
    #[must_use]
    pub const fn timeout(&self) -> Period {
        match self {
            Self::Tcp(tcp) | Self::RtuOverTcp(tcp) => tcp.timeout,
            Self::Rtu(line) | Self::Ascii(line) => line.timeout,
        }
    }

    /// Whether this unit number means every unit at once, none of which answers. On Modbus TCP, unit 0 is
    /// an ordinary device (Messaging on TCP/IP 1.0b, section 4.4.2.1).
    #[must_use]
    pub const fn is_broadcast(&self, unit: u8) -> bool {
        unit == 0 && !matches!(self, Self::Tcp(_))
    }
}

pub(super) fn check_wait(problems: &mut Vec<String>, key: &str, wait: Period) {
    if wait.0.is_zero() || wait.0 > MAX_WAIT {
        problems.push(format!("{key} {wait}: use more than nothing and at most 60s, such as 500ms"));
    }
}

pub(super) fn check_pause(problems: &mut Vec<String>, key: &str, pause: Period) {
    if pause.0 > MAX_WAIT {
        problems.push(format!("{key} {pause}: at most 60s"));
    }
}
