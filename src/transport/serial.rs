//! Serial lines: raw mode, speed, parity and stop bits by tokio-serial, RS-485 direction by the kernel.
//!
//! Invariant: a line is opened for this program alone (TIOCEXCL and a lock), and what had gathered in its
//! buffers before is gone.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use rustix::ioctl;
use tokio_serial::{ClearBuffer, SerialPort, SerialStream};

use super::OpenError;

/// How a line is set up.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Path of the port.
    pub port: String,
    /// Bits per second.
    pub baud: u32,
    /// Parity bit.
    pub parity: Parity,
    /// 7 or 8.
    pub data_bits: u8,
    /// 1 or 2.
    pub stop_bits: u8,
    /// Direction control by the kernel.
    pub rs485: Option<Rs485>,
}

/// The parity bit of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    /// None.
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

/// When RTS switches the driver of an RS-485 line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rs485 {
    /// RTS is high while sending, low otherwise; else the other way round.
    pub rts_high_while_sending: bool,
    /// Between switching on and the first bit; the kernel counts whole milliseconds.
    pub delay_before_send: Duration,
    /// Between the last bit and switching off; the kernel counts whole milliseconds.
    pub delay_after_send: Duration,
}

/// Opens a line.
///
/// # Errors
/// When the port is missing, taken, may not be opened, or does not know a setting.
pub fn open(settings: &Settings) -> Result<SerialStream, OpenError> {
    let failed = |reason: String| OpenError::Port { port: settings.port.clone(), reason };
    let builder = tokio_serial::new(&settings.port, settings.baud)
        .parity(match settings.parity {
            Parity::None => tokio_serial::Parity::None,
            Parity::Even => tokio_serial::Parity::Even,
            Parity::Odd => tokio_serial::Parity::Odd,
        })
        .data_bits(if settings.data_bits == 7 {
            tokio_serial::DataBits::Seven
        } else {
            tokio_serial::DataBits::Eight
        })
        .stop_bits(if settings.stop_bits == 2 {
            tokio_serial::StopBits::Two
        } else {
            tokio_serial::StopBits::One
        })
        .flow_control(tokio_serial::FlowControl::None);
    let stream = SerialStream::open(&builder).map_err(|error| failed(explain(&error)))?;
    if let Some(rs485) = settings.rs485 {
        set_rs485(&stream, rs485).map_err(|error| failed(explain_rs485(error)))?;
    }
    stream.clear(ClearBuffer::All).map_err(|error| failed(error.to_string()))?;
    Ok(stream)
}

fn explain(error: &tokio_serial::Error) -> String {
    let help = match error.kind() {
        tokio_serial::ErrorKind::Io(std::io::ErrorKind::PermissionDenied) => {
            "; add the user that runs this program to the group that owns the port (often dialout)"
        }
        tokio_serial::ErrorKind::Io(std::io::ErrorKind::NotFound) => "; see whether it is plugged in",
        // How serialport reports EBUSY.
        tokio_serial::ErrorKind::NoDevice => "; another program holds it",
        _ => "",
    };
    format!("{error}{help}")
}

fn explain_rs485(error: rustix::io::Errno) -> String {
    if error == rustix::io::Errno::NOTTY || error == rustix::io::Errno::INVAL {
        "its driver has no RS-485 direction control; remove rs485 (most USB adapters switch by themselves)"
            .into()
    } else {
        format!("setting up RS-485: {error}")
    }
}

/// `struct serial_rs485` of `linux/serial.h`.
#[repr(C)]
struct SerialRs485 {
    flags: u32,
    delay_rts_before_send_ms: u32,
    delay_rts_after_send_ms: u32,
    padding: [u32; 5],
}

/// `SER_RS485_ENABLED`, `SER_RS485_RTS_ON_SEND`, `SER_RS485_RTS_AFTER_SEND` of `linux/serial.h`.
const ENABLED: u32 = 1;
const RTS_ON_SEND: u32 = 1 << 1;
const RTS_AFTER_SEND: u32 = 1 << 2;

/// `TIOCSRS485` of `asm-generic/ioctls.h`.
const TIOCSRS485: ioctl::Opcode = 0x542F;

impl From<Rs485> for SerialRs485 {
    fn from(rs485: Rs485) -> Self {
        let level = if rs485.rts_high_while_sending { RTS_ON_SEND } else { RTS_AFTER_SEND };
        let ms = |delay: Duration| u32::try_from(delay.as_micros().div_ceil(1000)).unwrap_or(u32::MAX);
        Self {
            flags: ENABLED | level,
            delay_rts_before_send_ms: ms(rs485.delay_before_send),
            delay_rts_after_send_ms: ms(rs485.delay_after_send),
            padding: [0; 5],
        }
    }
}

fn set_rs485(stream: &SerialStream, rs485: Rs485) -> rustix::io::Result<()> {
    // SAFETY: the descriptor belongs to `stream`, which outlives the borrow.
    let fd = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
    // SAFETY: TIOCSRS485 reads one `struct serial_rs485`, which `SerialRs485` matches in size and layout.
    unsafe { ioctl::ioctl(fd, ioctl::Setter::<TIOCSRS485, SerialRs485>::new(rs485.into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(port: &str) -> Settings {
        Settings {
            port: port.into(),
            baud: 19_200,
            parity: Parity::None,
            data_bits: 8,
            stop_bits: 1,
            rs485: None,
        }
    }

    #[tokio::test]
    async fn a_missing_port_is_named() {
        let error = open(&settings("/nonexistent/tty")).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/tty") && error.contains("plugged in"), "{error}");
    }

    #[tokio::test]
    async fn a_port_without_direction_control_says_what_to_remove() {
        let (_master, slave) = SerialStream::pair().unwrap();
        let port = slave.name().unwrap();
        drop(slave);
        let mut settings = settings(&port);
        open(&settings).unwrap();
        let delay_before_send = Duration::from_micros(1500);
        let rs485 =
            Rs485 { rts_high_while_sending: true, delay_before_send, delay_after_send: Duration::ZERO };
        assert_eq!(SerialRs485::from(rs485).flags, 0b11);
        assert_eq!(SerialRs485::from(rs485).delay_rts_before_send_ms, 2);
        settings.rs485 = Some(rs485);
        let error = open(&settings).unwrap_err().to_string();
        assert!(error.contains("remove rs485"), "{error}");
    }
}
