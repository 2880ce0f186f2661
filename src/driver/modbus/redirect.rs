//! The same channel reached in another way: at a simulator, or through a recording proxy.

use super::config::Parity;
use super::{LineConfig, Plan, Transport};

impl Plan {
    /// This plan with its connection led to `endpoint`: a host and port where the transport is TCP, a port's
    /// path where it is a serial line. Everything else stays as it is.
    #[must_use]
    pub fn with_endpoint(&self, endpoint: &str) -> Self {
        let mut plan = self.clone();
        match &mut plan.transport {
            Transport::Tcp(tcp) | Transport::RtuOverTcp(tcp) => tcp.address = endpoint.into(),
            Transport::Rtu(line) | Transport::Ascii(line) => {
                line.port = endpoint.into();
                suit_pty(line);
            }
        }
        plan
    }
}

/// A pty takes 8 data bits without parity only and has no direction to switch. Characters stay as long as
/// they are: 8E1 becomes 8N2, 7E1 becomes 8N1.
fn suit_pty(line: &mut LineConfig) {
    let parity = u8::from(line.parity != Parity::None);
    let bits = line.data_bits + parity + line.stop_bits;
    line.data_bits = 8;
    line.parity = Parity::None;
    line.stop_bits = bits.saturating_sub(8).clamp(1, 2);
    line.rs485 = None;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_way_to_the_devices_changes() {
        let line = serde_yaml::from_str("{ port: /dev/ttyUSB0, baud: 19200, rs485: {} }").unwrap();
        let plan = Plan { name: "line-1".into(), transport: Transport::Rtu(line), devices: Vec::new() };
        let Transport::Rtu(line) = plan.with_endpoint("/tmp/line-1").transport else { panic!("still RTU") };
        assert_eq!((line.port.as_str(), line.baud, line.rs485), ("/tmp/line-1", 19_200, None));
    }

    #[test]
    fn characters_stay_as_long_as_they_are() {
        for (from, stop_bits) in [
            ("{ port: x, parity: even }", 2),
            ("{ port: x, parity: odd, data-bits: 7 }", 1),
            ("{ port: x, stop-bits: 2 }", 2),
            ("{ port: x }", 1),
        ] {
            let mut line = serde_yaml::from_str(from).unwrap();
            suit_pty(&mut line);
            assert_eq!((line.data_bits, line.parity, line.stop_bits), (8, Parity::None, stop_bits), "{from}");
        }
    }
}
