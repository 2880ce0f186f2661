//! Bytes over a serial line, a TCP connection or UDP datagrams.
//!
//! Absent: what the bytes mean. Invariant: a link that failed once is not used again; its owner opens another.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use super::config::{SerialConfig, Transport};
use crate::driver::modbus::config::Parity;
use crate::transport::{BoxStream, OpenError, serial, tcp};

/// The most bytes of one read: the largest datagram that is worth anything here.
const CHUNK: usize = 2048;

/// An open way to the instruments.
pub(super) enum Link {
    /// A stream of bytes.
    Stream(BoxStream),
    /// A socket that knows its other side.
    Datagrams(UdpSocket),
}

impl Link {
    /// Opens what the transport names.
    pub(super) async fn open(transport: &Transport) -> Result<Self, OpenError> {
        let failed = |reason: String| OpenError::Connect { address: transport.endpoint().to_owned(), reason };
        match transport {
            Transport::Serial(line) => Ok(Self::Stream(Box::new(serial::open(&settings(line))?))),
            Transport::Tcp(config) => {
                let (host, port) = transport.host_and_port().map_err(failed)?;
                Ok(Self::Stream(Box::new(tcp::connect(&host, port, config.connect_timeout.0).await?)))
            }
            Transport::Udp(_) => {
                let (host, port) = transport.host_and_port().map_err(failed)?;
                let refuse = |error: io::Error| failed(error.to_string());
                let mut addresses = tokio::net::lookup_host((host, port)).await.map_err(refuse)?;
                let address = addresses.next().ok_or_else(|| failed("the name has no address".into()))?;
                let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any).await.map_err(refuse)?;
                socket.connect(address).await.map_err(refuse)?;
                Ok(Self::Datagrams(socket))
            }
        }
    }

    /// Sends all of it.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            Self::Datagrams(socket) => socket.send(bytes).await.map(drop),
        }
    }

    /// Waits for bytes. A connection that was closed is an error. Nothing is lost when the wait is given up.
    pub(super) async fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = [0; CHUNK];
        let count = match self {
            Self::Stream(stream) => match stream.read(&mut bytes).await? {
                0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other side has closed")),
                count => count,
            },
            Self::Datagrams(socket) => socket.recv(&mut bytes).await?,
        };
        Ok(bytes[..count].to_vec())
    }
}

fn settings(line: &SerialConfig) -> serial::Settings {
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
