//! The bus itself: one transfer to one address.
//!
//! A trait, so that tests stand a simulated chip in its place. Invariant: a transfer is whole or a fault.

use std::io;
use std::path::Path;

use embedded_hal::i2c::I2c;
use linux_embedded_hal::I2cdev;
use linux_embedded_hal::i2cdev::linux::LinuxI2CError;
use rustix::io::Errno;

use crate::driver::local::Fault;

/// A bus.
pub(super) trait Wire: Send {
    /// Writes, then reads (with a repeated start); either may be empty.
    fn transfer(&mut self, address: u8, write: &[u8], read: &mut [u8]) -> Result<(), Fault>;
}

/// A bus of this machine.
pub(super) struct Linux {
    bus: I2cdev,
}

impl Linux {
    /// Opens `/dev/i2c-N`.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let bus = I2cdev::new(path).map_err(|error| {
            let error = plain(&error);
            Fault::Bus(format!(
                "{}: {error}; is I2C switched on, and may the gateway's user use it?",
                path.display()
            ))
        })?;
        Ok(Self { bus })
    }
}

impl Wire for Linux {
    fn transfer(&mut self, address: u8, write: &[u8], read: &mut [u8]) -> Result<(), Fault> {
        let result = match (write.is_empty(), read.is_empty()) {
            (false, false) => self.bus.write_read(address, write, read),
            (true, _) => self.bus.read(address, read),
            (false, true) => self.bus.write(address, write),
        };
        result.map_err(|error| meaning(address, &plain(error.inner())))
    }
}

fn plain(error: &LinuxI2CError) -> io::Error {
    match error {
        LinuxI2CError::Errno(number) => io::Error::from_raw_os_error(*number),
        LinuxI2CError::Io(error) => error
            .raw_os_error()
            .map_or_else(|| io::Error::other(error.to_string()), io::Error::from_raw_os_error),
    }
}

/// What a system error says (the kernel's Documentation/i2c/fault-codes.rst).
pub(super) fn meaning(address: u8, error: &io::Error) -> Fault {
    let at = format!("address {address:#04x}");
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::BUSY) => {
            Fault::Absent(format!("{at} belongs to a Linux driver; read the chip by `iio` or `gpio` instead"))
        }
        Some(Errno::TIMEDOUT) => Fault::Late(format!("{at}: the bus is stuck (a line is held low)")),
        Some(Errno::AGAIN) => Fault::Late(format!("{at}: another master has the bus")),
        Some(Errno::NODEV | Errno::BADF) => Fault::Bus(format!("{at}: the bus has gone ({error})")),
        Some(Errno::OPNOTSUPP) => Fault::Bus(format!("{at}: the bus knows SMBus only ({error})")),
        Some(Errno::NXIO | Errno::REMOTEIO | Errno::IO) => {
            Fault::Absent(format!("{at}: nothing acknowledges"))
        }
        _ => Fault::of(error, &at),
    }
}
