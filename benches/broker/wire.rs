//! A client's connection: TCP, TLS or WebSocket under the same reading and writing.
//!
//! Everything may be used without blocking. What TLS and WebSocket keep back is sent by `flush`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use crate::Outcome;
use crate::mqtt;

/// How long a broker may take until it listens, and for each answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two attempts to connect to a broker that is still starting.
const RETRY: Duration = Duration::from_millis(1);
/// Most bytes in one WebSocket frame of ours: its length takes two bytes then.
const WS_FRAME: usize = 0xffff;

/// Where and how to connect.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) through: Through,
}

/// What lies between the socket and MQTT.
#[derive(Clone)]
pub(crate) enum Through {
    Nothing,
    Tls(Arc<ClientConfig>),
    WebSocket,
}

/// A connection.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    WebSocket(Box<WebSocket>),
}

/// Frames of binary data, unmasked by a key of zeros.
pub(crate) struct WebSocket {
    stream: TcpStream,
    /// Bytes on their way out.
    out: Vec<u8>,
    done: usize,
    /// The beginning of a frame's head.
    head: Vec<u8>,
    /// Bytes of the current frame still to come.
    left: u64,
}

impl Wire {
    /// Connects and logs in, blocking; a broker that is still starting is tried again.
    pub(crate) fn open(target: &Target, id: &str, login: Option<(&str, &str)>) -> Outcome<Self> {
        Self::connect(target, &mqtt::connect(id, login, false))
    }

    /// As [`Self::open`], with a session that outlives the connection.
    pub(crate) fn open_kept(target: &Target, id: &str) -> Outcome<Self> {
        Self::connect(target, &mqtt::connect(id, None, true))
    }

    fn connect(target: &Target, greeting: &[u8]) -> Outcome<Self> {
        let stream = connect(target.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut wire = match &target.through {
            Through::Nothing => Self::Plain(stream),
            Through::Tls(config) => {
                let connection =
                    ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost")?)?;
                Self::Tls(Box::new(StreamOwned::new(connection, stream)))
            }
            Through::WebSocket => Self::WebSocket(Box::new(upgrade(stream)?)),
        };
        wire.send(greeting)?;
        match wire.answer()?.as_slice() {
            [0x20, 2, 0, 0] => Ok(wire),
            other => Err(format!("a client was not let in: {other:?}").into()),
        }
    }

    /// Subscribes to one filter and waits for the answer.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) -> Outcome {
        self.send(&mqtt::subscribe(filter, qos))?;
        match self.answer()?.as_slice() {
            [0x90, 3, 0, 1, granted] if *granted == qos => Ok(()),
            other => Err(format!("the subscription to {filter} was refused: {other:?}").into()),
        }
    }

    /// Sends all of it, blocking.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Outcome {
        let mut left = bytes;
        while !left.is_empty() {
            let count = self.write(left)?;
            left = &left[count..];
        }
        Ok(self.flush()?)
    }

    /// The next packet, of less than 128 bytes, blocking.
    pub(crate) fn answer(&mut self) -> Outcome<Vec<u8>> {
        let mut packet = vec![0; 2];
        self.fill(&mut packet)?;
        let mut body = vec![0; packet[1].into()];
        self.fill(&mut body)?;
        packet.extend(body);
        Ok(packet)
    }

    fn fill(&mut self, mut into: &mut [u8]) -> Outcome {
        while !into.is_empty() {
            match self.read(into)? {
                0 => return Err("the broker closed the connection".into()),
                count => into = &mut into[count..],
            }
        }
        Ok(())
    }

    /// The socket, for polling and options.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
            Self::WebSocket(stream) => &stream.stream,
        }
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Tls(stream) => stream.read(into),
            Self::WebSocket(stream) => stream.read(into),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
            Self::WebSocket(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(stream) => stream.flush(),
            Self::WebSocket(stream) => stream.flush(),
        }
    }
}

impl Write for WebSocket {
    /// Takes up to one frame, once the frame before it is out.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let bytes = &bytes[..bytes.len().min(WS_FRAME)];
        self.out.clear();
        self.done = 0;
        self.out.push(0x82);
        // Lengths must be in their shortest form.
        match bytes.len() {
            len @ 0..126 => self.out.push(0x80 | len as u8),
            len => {
                self.out.push(0xfe);
                self.out.extend_from_slice(&(len as u16).to_be_bytes());
            }
        }
        self.out.extend_from_slice(&[0; 4]);
        self.out.extend_from_slice(bytes);
        match self.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.done < self.out.len() {
            self.done += self.stream.write(&self.out[self.done..])?;
        }
        Ok(())
    }
}

impl WebSocket {
    /// Reads a frame's head byte by byte, so that nothing behind it is taken.
    fn next_frame(&mut self) -> io::Result<()> {
        loop {
            let wanted = match self.head.get(1) {
                None => 2,
                Some(0..126) => 2,
                Some(126) => 4,
                Some(127) => 10,
                Some(_) => return Err(io::Error::other("a masked frame from the server")),
            };
            if self.head.len() == wanted {
                break;
            }
            let mut more = [0; 8];
            let missing = wanted - self.head.len();
            match self.stream.read(&mut more[..missing])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.head.extend_from_slice(&more[..count]),
            }
        }
        if self.head[0] & 0x0f > 2 {
            return Err(io::Error::other("a control frame from the server"));
        }
        self.left = match &self.head[1..] {
            [short] => (*short).into(),
            [126, high, low] => u16::from_be_bytes([*high, *low]).into(),
            long => long[1..].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
        };
        self.head.clear();
        Ok(())
    }
}

impl Read for WebSocket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            self.next_frame()?;
        }
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.stream.read(&mut into[..most])?;
        self.left -= count as u64;
        Ok(count)
    }
}

fn connect(address: SocketAddr) -> Outcome<TcpStream> {
    let end = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() > end => return Err(format!("{address}: {error}").into()),
            Err(_) => std::thread::sleep(RETRY),
        }
    }
}

fn upgrade(mut stream: TcpStream) -> Outcome<WebSocket> {
    stream.write_all(
        b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Protocol: mqtt\r\n\r\n",
    )?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err(format!("no WebSocket: {}", String::from_utf8_lossy(&head)).into());
    }
    Ok(WebSocket { stream, out: Vec::new(), done: 0, head: Vec::new(), left: 0 })
}
