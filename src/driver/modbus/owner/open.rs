//! Opening the line or connection of a plan.

use std::future::Future;
use std::sync::Arc;

use crate::driver::modbus::config::{LineConfig, Parity};
use crate::driver::modbus::{Plan, Transport};
use crate::transport::{BoxStream, OpenError, Pace, serial, tcp};

/// Where streams come from: the plan's transport, or a script in tests.
pub(in crate::driver::modbus) trait Opener: Send {
    /// Opens the line or connection once.
    fn open(&mut self) -> impl Future<Output = Result<(BoxStream, Pace), OpenError>> + Send;
}

/// Opens what the plan names.
pub(in crate::driver::modbus) struct PlanOpener {
    plan: Arc<Plan>,
}

impl PlanOpener {
    pub(in crate::driver::modbus) const fn new(plan: Arc<Plan>) -> Self {
        Self { plan }
    }
}

impl Opener for PlanOpener {
    async fn open(&mut self) -> Result<(BoxStream, Pace), OpenError> {
        match &self.plan.transport {
            Transport::Tcp(config) | Transport::RtuOverTcp(config) => {
                let failed = |reason| OpenError::Connect { address: config.address.clone(), reason };
                let (host, port) = config.endpoint().map_err(failed)?;
                let stream = tcp::connect(&host, port, config.connect_timeout.0).await?;
                Ok((Box::new(stream), Pace::Runtime))
            }
            Transport::Rtu(line) | Transport::Ascii(line) => {
                Ok((Box::new(serial::open(&settings(line))?), Pace::exact()))
            }
        }
    }
}

fn settings(line: &LineConfig) -> serial::Settings {
    serial::Settings {
        port: line.port.clone(),
        baud: line.baud,
        parity: match line.parity {
            Parity::None => serial::Parity::None,
            Parity::Even => serial::Parity::Even,
            Parity::Odd => serial::Parity::Odd,
        },
        data_bits: line.data_bits,
        stop_bits: line.stop_bits,
        rs485: line.rs485.map(|rs485| serial::Rs485 {
            rts_high_while_sending: !rs485.rts_low_while_sending,
            delay_before_send: rs485.delay_before_send.0,
            delay_after_send: rs485.delay_after_send.0,
        }),
    }
}
