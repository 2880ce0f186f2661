//! A broker as strict as a cloud's: whoever passes its limits is put out. It keeps what it takes for the test to look at.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use iogate::broker::QoS;
use iogate::broker::codec::{self, AckKind, ConnackProperties, Frame, Packet, ReasonCode, Version};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::{TlsAcceptor, rustls};

/// What AWS IoT Core documents; bursts that the machine's scheduling makes out of a steady stream are let pass.
const TOPIC_LEVELS: usize = 8;
const TOPIC_BYTES: usize = 256;
const PAYLOAD: usize = 128 << 10;
const IN_FLIGHT: usize = 100;
const PUBLISHES_PER_SECOND: usize = 100;
const FILTERS_AT_ONCE: usize = 8;
const BURST: usize = 2;

/// One connection a second is what is documented; half of that time may be lost on the way to here.
const CONNECT_EVERY: Duration = Duration::from_millis(500);

/// How long an acknowledgement takes.
const ROUND_TRIP: Duration = Duration::from_millis(30);

/// How the broker treats its clients.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manners {
    /// So many times it says that a quota is used up, once by each kind of packet in turn.
    pub(crate) short: u32,
    /// So many clients it lets in and leaves at once.
    pub(crate) brief: usize,
    /// Logins need a token that has not expired; whose token expires is put out.
    pub(crate) tokens: bool,
    /// The limits of AWS do not matter.
    pub(crate) lax: bool,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) user: Vec<(String, String)>,
}

/// What the broker has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) taken: Vec<Taken>,
    /// Why clients were put out.
    pub(crate) offences: Vec<String>,
    pub(crate) logins: Vec<String>,
    pub(crate) filters: usize,
    /// When the last client came; a test takes it away before another one comes.
    pub(crate) connected: Option<Instant>,
    shortages: u32,
}

/// The broker.
pub(crate) struct Cloud {
    pub(crate) port: u16,
    pub(crate) seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cloud {
    /// With TLS when there is a folder with `server.pem` and `server.key`.
    pub(crate) async fn start(manners: Manners, tls: Option<&Path>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = tls.map(acceptor);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let offence = match acceptor {
                        None => serve(stream, manners, &seen).await,
                        Some(acceptor) => {
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            if stream.get_ref().1.server_name().is_none() {
                                Some("no SNI".to_owned())
                            } else {
                                serve(stream, manners, &seen).await
                            }
                        }
                    };
                    seen.lock().unwrap().offences.extend(offence);
                });
            }
        });
        Self { port, seen, task }
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.seen.lock().unwrap().taken.clone()
    }
}

fn acceptor(folder: &Path) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(folder.join("server.pem")).unwrap();
    let chain: Vec<_> = chain.map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// One client, as the broker sees it.
struct Client {
    version: Version,
    out: Vec<u8>,
    /// When each message is acknowledged that is not yet.
    owed: VecDeque<(Instant, u16)>,
    /// When the last messages came.
    recent: VecDeque<Instant>,
    /// When its token expires.
    expires: Option<SystemTime>,
}

/// Serves a client until it leaves, or is put out: then why.
async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    manners: Manners,
    seen: &Mutex<Seen>,
) -> Option<String> {
    let mut input = Vec::new();
    let far = Instant::now() + Duration::from_secs(3600);
    let mut client = Client {
        version: Version::V4,
        out: Vec::new(),
        owed: VecDeque::new(),
        recent: VecDeque::new(),
        expires: None,
    };
    loop {
        while let Some(frame) =
            Frame::parse(&input, 16 << 20).unwrap().filter(|frame| frame.len() <= input.len())
        {
            let bytes: Vec<u8> = input.drain(..frame.len()).collect();
            let packet = match frame.kind() {
                1 => Packet::Connect(Box::new(codec::decode_connect(&bytes[frame.header..]).unwrap())),
                _ => codec::decode(frame, &bytes[frame.header..], client.version).unwrap(),
            };
            let verdict = client.take(packet, manners, seen);
            // What it has to say comes before the end.
            if stream.write_all(&client.out).await.is_err() {
                return None;
            }
            client.out.clear();
            match verdict {
                Ok(()) => {}
                Err(End::Left) => return None,
                Err(End::PutOut(why)) => return Some(why),
            }
        }
        if client.expires.is_some_and(|at| at <= SystemTime::now()) {
            return Some("the token has expired".into());
        }
        let due =
            client.owed.front().map_or(far, |(at, _)| *at).min(Instant::now() + Duration::from_millis(100));
        tokio::select! {
            read = stream.read_buf(&mut input) => if !matches!(read, Ok(1..)) { return None },
            () = tokio::time::sleep_until(due) => {}
        }
        while client.owed.front().is_some_and(|(at, _)| *at <= Instant::now())
            && let Some((_, id)) = client.owed.pop_front()
        {
            codec::encode_ack(&mut client.out, client.version, AckKind::Puback, id, ReasonCode::SUCCESS);
        }
        if stream.write_all(&client.out).await.is_err() {
            return None;
        }
        client.out.clear();
    }
}

enum End {
    Left,
    PutOut(String),
}

impl Client {
    fn take(&mut self, packet: Packet<'_>, manners: Manners, seen: &Mutex<Seen>) -> Result<(), End> {
        let mut seen = seen.lock().unwrap();
        let offence = |what: String| Err(End::PutOut(what));
        match packet {
            Packet::Connect(connect) => {
                self.version = connect.version;
                let token = String::from_utf8(connect.password.unwrap_or_default().to_vec()).unwrap();
                seen.logins.push(token.clone());
                let before = seen.connected.replace(Instant::now());
                if !manners.lax && before.is_some_and(|before| before.elapsed() < CONNECT_EVERY) {
                    return offence("connections too soon after each other".into());
                }
                if manners.tokens {
                    self.expires = Some(expiry(&token));
                }
                if connect.client_id.len() > 128 || connect.keep_alive > 1200 {
                    return offence("CONNECT".into());
                }
                let short = manners.short > seen.shortages && seen.shortages.is_multiple_of(3);
                let code = if short { ReasonCode::QUOTA_EXCEEDED } else { ReasonCode::SUCCESS };
                codec::encode_connack(
                    &mut self.out,
                    self.version,
                    false,
                    code,
                    &ConnackProperties::default(),
                );
                seen.shortages += u32::from(short);
                if short || seen.logins.len() <= manners.brief {
                    return Err(End::Left);
                }
            }
            Packet::Publish(publish) => return self.publish(&publish, manners, &mut seen),
            Packet::Subscribe(subscribe) => {
                let count = subscribe.filters.len();
                seen.filters += count;
                if count > FILTERS_AT_ONCE {
                    return offence(format!("{count} filters at once"));
                }
                let codes: Vec<ReasonCode> = (0..count).map(|_| ReasonCode::SUCCESS).collect();
                codec::encode_suback(&mut self.out, self.version, subscribe.packet_id, &codes, None);
            }
            Packet::Pingreq => codec::encode_pingresp(&mut self.out),
            Packet::Disconnect(_) => return Err(End::Left),
            other => return offence(format!("{other:?}")),
        }
        Ok(())
    }

    fn publish(
        &mut self,
        publish: &codec::Publish<'_>,
        manners: Manners,
        seen: &mut Seen,
    ) -> Result<(), End> {
        let now = Instant::now();
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|at| now - *at > Duration::from_secs(1)) {
            self.recent.pop_front();
        }
        let levels = publish.topic.split('/').count();
        let passed = [
            (publish.qos == QoS::ExactlyOnce, "QoS 2"),
            (levels > TOPIC_LEVELS, "levels"),
            (publish.topic.len() > TOPIC_BYTES, "topic"),
            (publish.payload.len() > PAYLOAD, "payload"),
            (self.owed.len() >= IN_FLIGHT, "in flight"),
            (self.recent.len() > PUBLISHES_PER_SECOND * BURST, "rate"),
        ];
        if let (false, Some((_, what))) = (manners.lax, passed.iter().find(|(passed, _)| *passed)) {
            return Err(End::PutOut((*what).to_owned()));
        }
        if manners.short > seen.shortages {
            seen.shortages += 1;
            match seen.shortages % 3 {
                2 => codec::encode_disconnect(
                    &mut self.out,
                    self.version,
                    ReasonCode::MESSAGE_RATE_TOO_HIGH,
                    None,
                ),
                _ => codec::encode_refusal(
                    &mut self.out,
                    AckKind::Puback,
                    publish.packet_id,
                    ReasonCode::QUOTA_EXCEEDED,
                    "too much today",
                ),
            }
            // Nothing of what follows is taken on this connection.
            return Err(End::Left);
        }
        let user = user_properties(&publish.properties.forward);
        seen.taken.push(Taken { topic: publish.topic.to_owned(), payload: publish.payload.to_vec(), user });
        if publish.qos == QoS::AtLeastOnce {
            self.owed.push_back((now + ROUND_TRIP, publish.packet_id));
        }
        Ok(())
    }
}

/// The user properties, which are all that a bridge adds.
fn user_properties(mut bytes: &[u8]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some(rest) = bytes.strip_prefix(&[0x26]) {
        bytes = rest;
        let mut text = || {
            let (length, rest) = bytes.split_first_chunk::<2>().unwrap();
            let (text, rest) = rest.split_at(u16::from_be_bytes(*length).into());
            bytes = rest;
            String::from_utf8(text.to_vec()).unwrap()
        };
        found.push((text(), text()));
    }
    assert!(bytes.is_empty(), "another property: {bytes:?}");
    found
}

/// When a JSON Web Token or a shared access signature expires.
fn expiry(token: &str) -> SystemTime {
    let seconds = match token.split_once("&se=") {
        Some((_, rest)) => rest.split('&').next().unwrap().parse().unwrap(),
        None => {
            let claims = token.split('.').nth(1).unwrap();
            let claims = data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap();
            serde_json::from_slice::<serde_json::Value>(&claims).unwrap()["exp"].as_u64().unwrap()
        }
    };
    UNIX_EPOCH + Duration::from_secs(seconds)
}
