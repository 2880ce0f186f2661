//! The same channel reached in another way: at a simulator, or through a recording proxy.

use super::{Plan, Transport};

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
                // A pty has no direction to switch.
                line.rs485 = None;
            }
        }
        plan
    }
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
}
