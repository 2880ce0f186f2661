//! A client that speaks bytes: knows as little of MQTT as it can, and nothing of the broker's codec.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use iogate::broker::{Broker, Config};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A broker on a port of its own.
pub(crate) struct Server {
    pub(crate) broker: Broker,
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (broker, stop) = (Broker::new(config), CancellationToken::new());
        let task = tokio::spawn({
            let (broker, stop) = (broker.clone(), stop.clone());
            async move { broker.serve(listener, stop).await }
        });
        Self { broker, address, stop, task }
    }

    pub(crate) async fn open(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client::over(stream)
    }

    /// Connects and expects success.
    pub(crate) async fn connect(&self, connect: &Connect) -> Client {
        let mut client = self.open().await;
        client.greet(connect).await;
        client
    }

    pub(crate) async fn v4(&self, id: &str) -> Client {
        self.connect(&Connect::v4(id)).await
    }

    pub(crate) async fn v5(&self, id: &str) -> Client {
        self.connect(&Connect::v5(id)).await
    }
}

/// A client of `broker` over a pipe in memory: with paused time nothing but the test moves the clock.
pub(crate) fn pipe(broker: &Broker) -> Client {
    let (near, far) = tokio::io::duplex(64 << 10);
    let broker = broker.clone();
    tokio::spawn(async move {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        broker.serve_stream(far, peer, CancellationToken::new()).await;
    });
    Client::over(near)
}

/// What goes into a CONNECT.
#[derive(Clone)]
pub(crate) struct Connect {
    pub(crate) level: u8,
    pub(crate) id: String,
    pub(crate) clean: bool,
    pub(crate) keep_alive: u16,
    pub(crate) properties: Vec<u8>,
    pub(crate) will: Option<Will>,
    /// User name and password.
    pub(crate) login: Option<(String, String)>,
}

#[derive(Clone)]
pub(crate) struct Will {
    pub(crate) topic: &'static str,
    pub(crate) payload: &'static [u8],
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) properties: Vec<u8>,
}

impl Connect {
    pub(crate) fn new(level: u8, id: &str) -> Self {
        Self {
            level,
            id: id.into(),
            clean: true,
            keep_alive: 60,
            properties: vec![],
            will: None,
            login: None,
        }
    }

    pub(crate) fn v4(id: &str) -> Self {
        Self::new(4, id)
    }

    pub(crate) fn v5(id: &str) -> Self {
        Self::new(5, id)
    }

    pub(crate) fn keeping(mut self) -> Self {
        self.clean = false;
        if self.level == 5 {
            self.properties.extend([0x11, 0, 0, 0x0e, 0x10]);
        }
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut body = string(if self.level == 3 { "MQIsdp" } else { "MQTT" });
        let will = self.will.as_ref().map_or(0, |will| 0x04 | will.qos << 3 | u8::from(will.retain) << 5);
        body.extend([
            self.level,
            u8::from(self.clean) << 1 | will | if self.login.is_some() { 0xc0 } else { 0 },
        ]);
        body.extend(self.keep_alive.to_be_bytes());
        if self.level == 5 {
            body.extend(section(&self.properties));
        }
        body.extend(string(&self.id));
        if let Some(will) = &self.will {
            if self.level == 5 {
                body.extend(section(&will.properties));
            }
            body.extend(string(will.topic));
            body.extend(binary(will.payload));
        }
        if let Some((user, password)) = &self.login {
            body.extend(string(user));
            body.extend(string(password));
        }
        packet(0x10, &body)
    }
}

pub(crate) fn binary(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

pub(crate) fn string(text: &str) -> Vec<u8> {
    binary(text.as_bytes())
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let more = value >= 0x80;
        out.push((value & 0x7f) as u8 | u8::from(more) << 7);
        value >>= 7;
        if !more {
            return out;
        }
    }
}

pub(crate) fn section(properties: &[u8]) -> Vec<u8> {
    [varint(properties.len()), properties.to_vec()].concat()
}

pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [vec![first], varint(body.len()), body.to_vec()].concat()
}

/// A PUBLISH as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) dup: bool,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) topic: String,
    pub(crate) id: u16,
    pub(crate) properties: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Arrived {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap()
    }
}

pub(crate) struct Client {
    stream: Box<dyn Stream>,
    pub(crate) level: u8,
    pub(crate) connack: Vec<u8>,
    next_id: u16,
    /// Read while something else was waited for.
    early: VecDeque<(u8, Vec<u8>)>,
}

impl Client {
    pub(crate) fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), level: 4, connack: vec![], next_id: 1, early: VecDeque::new() }
    }

    pub(crate) async fn greet(&mut self, connect: &Connect) {
        self.level = connect.level;
        self.send(&connect.bytes()).await;
        let (first, body) = self.packet().await;
        assert_eq!((first, body[1]), (0x20, 0), "CONNACK {body:x?}");
        self.connack = body;
    }

    pub(crate) fn session_present(&self) -> bool {
        self.connack[0] == 1
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends what the broker may refuse while it is still being sent.
    pub(crate) async fn send_anyway(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next packet; fails the test if none comes.
    pub(crate) async fn packet(&mut self) -> (u8, Vec<u8>) {
        self.try_packet().await.expect("a packet, not the end of the connection")
    }

    async fn try_packet(&mut self) -> Option<(u8, Vec<u8>)> {
        if let Some(early) = self.early.pop_front() {
            return Some(early);
        }
        self.read_packet().await
    }

    async fn read_packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let read = async {
            let first = self.stream.read_u8().await.ok()?;
            let (mut len, mut shift) = (0usize, 0);
            loop {
                let byte = self.stream.read_u8().await.ok()?;
                len |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let mut body = vec![0; len];
            self.stream.read_exact(&mut body).await.ok()?;
            Some((first, body))
        };
        tokio::time::timeout(PATIENCE, read).await.expect("a packet in time")
    }

    pub(crate) async fn expect(&mut self, bytes: &[u8]) {
        let (first, body) = self.packet().await;
        assert_eq!(packet(first, &body), bytes, "expected {bytes:x?}");
    }

    /// An acknowledgement that reports this failure, in whatever words.
    pub(crate) async fn expect_failure(&mut self, first: u8, id: [u8; 2], code: u8) {
        let (got, body) = self.packet().await;
        assert_eq!((got, &body[..3]), (first, &[id[0], id[1], code][..]));
    }

    /// The connection ends without another packet.
    pub(crate) async fn expect_end(&mut self) {
        assert_eq!(self.try_packet().await, None);
    }

    /// The connection ends with this reason: said in a DISCONNECT on 5.0, not said before.
    pub(crate) async fn expect_refusal(&mut self, code: u8) {
        if self.level == 5 {
            let (first, body) = self.packet().await;
            assert_eq!((first, body[0]), (0xe0, code), "{}", String::from_utf8_lossy(&body));
        }
        self.expect_end().await;
    }

    /// The next packet must be a PUBLISH.
    pub(crate) async fn message(&mut self) -> Arrived {
        let (first, body) = self.packet().await;
        assert_eq!(first & 0xf0, 0x30, "expected a PUBLISH, got {first:x} {body:x?}");
        self.parse(first, &body)
    }

    pub(crate) fn parse(&self, first: u8, body: &[u8]) -> Arrived {
        let qos = (first >> 1) & 3;
        let (len, rest) = body.split_at(2);
        let (topic, mut rest) = rest.split_at(usize::from(u16::from_be_bytes(len.try_into().unwrap())));
        let mut id = 0;
        if qos > 0 {
            id = u16::from_be_bytes(rest[..2].try_into().unwrap());
            rest = &rest[2..];
        }
        let mut properties = &rest[..0];
        if self.level == 5 {
            assert!(rest[0] < 0x80, "tests keep properties short");
            (properties, rest) = rest[1..].split_at(usize::from(rest[0]));
        }
        Arrived {
            dup: first & 8 != 0,
            qos,
            retain: first & 1 != 0,
            topic: String::from_utf8(topic.to_vec()).unwrap(),
            id,
            properties: properties.to_vec(),
            payload: rest.to_vec(),
        }
    }

    /// The next message, acknowledged in full.
    pub(crate) async fn take(&mut self) -> Arrived {
        let message = self.message().await;
        let [high, low] = message.id.to_be_bytes();
        match message.qos {
            1 => self.send(&[0x40, 2, high, low]).await,
            2 => {
                self.send(&[0x50, 2, high, low]).await;
                loop {
                    let packet = self.read_packet().await.expect("a PUBREL");
                    if packet == (0x62, vec![high, low]) {
                        break;
                    }
                    self.early.push_back(packet);
                }
                self.send(&[0x70, 2, high, low]).await;
            }
            _ => {}
        }
        message
    }

    /// Proves that nothing else is on its way. Twice, because an answer may overtake a message once.
    pub(crate) async fn quiet(&mut self) {
        for _ in 0..2 {
            self.send(&[0xc0, 0]).await;
            self.expect(&[0xd0, 0]).await;
        }
    }

    pub(crate) fn id(&mut self) -> [u8; 2] {
        self.next_id += 1;
        self.next_id.to_be_bytes()
    }

    /// A PUBLISH in this client's version, with properties on 5.0.
    pub(crate) fn publication(
        &mut self,
        flags: u8,
        topic: &str,
        properties: &[u8],
        payload: &[u8],
    ) -> (Vec<u8>, [u8; 2]) {
        let id = self.id();
        let mut body = string(topic);
        if flags & 6 != 0 {
            body.extend(id);
        }
        if self.level == 5 {
            body.extend(section(properties));
        }
        body.extend(payload);
        (packet(0x30 | flags, &body), id)
    }

    /// Publishes and waits until the broker has routed it.
    pub(crate) async fn publish(&mut self, flags: u8, topic: &str, payload: &str) {
        self.publish_with(flags, topic, &[], payload).await;
    }

    pub(crate) async fn publish_with(&mut self, flags: u8, topic: &str, properties: &[u8], payload: &str) {
        let (bytes, id) = self.publication(flags, topic, properties, payload.as_bytes());
        self.send(&bytes).await;
        match (flags >> 1) & 3 {
            0 => self.quiet().await,
            1 => self.expect_ack(0x40, id).await,
            _ => {
                self.expect_ack(0x50, id).await;
                self.send(&[0x62, 2, id[0], id[1]]).await;
                self.expect_ack(0x70, id).await;
            }
        }
    }

    /// An acknowledgement that reports success, with subscribers or without.
    async fn expect_ack(&mut self, first: u8, id: [u8; 2]) {
        let (got, body) = self.packet().await;
        assert_eq!((got, &body[..2]), (first, &id[..]));
        assert!(body.get(2).is_none_or(|&code| code < 0x80), "{body:x?}");
    }

    /// Subscribes and returns the codes of the SUBACK. `filters`: filter and option byte.
    pub(crate) async fn subscribe_with(&mut self, properties: &[u8], filters: &[(&str, u8)]) -> Vec<u8> {
        let id = self.id();
        let mut body = id.to_vec();
        if self.level == 5 {
            body.extend(section(properties));
        }
        for (filter, options) in filters {
            body.extend(string(filter));
            body.push(*options);
        }
        self.send(&packet(0x82, &body)).await;
        // Messages may come before the answer (section 3.8.4), and do when that waits for the log.
        let mut before = VecDeque::new();
        let (first, body) = loop {
            match self.packet().await {
                message if message.0 >> 4 == 3 => before.push_back(message),
                answer => break answer,
            }
        };
        before.append(&mut self.early);
        self.early = before;
        assert_eq!((first, &body[..2]), (0x90, &id[..]));
        let skip = if self.level == 5 { 3 + usize::from(body[2]) } else { 2 };
        body[skip..].to_vec()
    }

    pub(crate) async fn subscribe(&mut self, filter: &str, options: u8) {
        assert_eq!(self.subscribe_with(&[], &[(filter, options)]).await, [options & 3]);
    }

    pub(crate) async fn unsubscribe(&mut self, filter: &str) -> Vec<u8> {
        let id = self.id();
        let mut body = id.to_vec();
        if self.level == 5 {
            body.push(0);
        }
        body.extend(string(filter));
        self.send(&packet(0xa2, &body)).await;
        let (first, body) = self.packet().await;
        assert_eq!((first, &body[..2]), (0xb0, &id[..]));
        body[2..].to_vec()
    }

    /// Leaves properly and waits until the broker has noticed.
    pub(crate) async fn disconnect(mut self) {
        self.send(&[0xe0, 0]).await;
        self.expect_end().await;
    }

    /// Vanishes without a word. The broker has noticed when [`vanished`] returns.
    pub(crate) fn drop_connection(self) {
        drop(self);
    }
}

/// Waits until `condition` holds, letting the broker work; fails the test if it never does.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} did not happen"));
}

/// Waits until the broker knows that a client has no connection.
pub(crate) async fn vanished(broker: &Broker, id: &str) {
    until("the connection's end", || {
        broker.clients().iter().all(|client| &*client.client_id != id || client.connection.is_none())
    })
    .await;
}
