//! The beginning of a connection: a CONNECT within its time, or none at all.
//!
//! Nothing is kept for a connection that has sent nothing; what it sends is bounded by the packet limit
//! before it is buffered.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::closing::{LINGER, LINGER_BYTES};
use super::enhanced::{Enhanced, Identity, identify};
use super::refused::Refused;
use super::{Connection, SCRATCH};
use crate::broker::access::{Bounds, Peer};
use crate::broker::auth::METHOD;
use crate::broker::codec::{
    CodecError, ConnackProperties, Connect, Frame, QoS, ReasonCode, Version, decode_connect, encode_connack,
};
use crate::broker::config::Config;
use crate::broker::core::Core;
use crate::broker::message::Stored;
use crate::broker::registry::{ASSIGNED_ID_FORM, Arrival, Attached};
use crate::broker::session::{Link, WillMessage};
use crate::broker::stats::add;
use crate::broker::topic;

/// Largest CONNECT in bytes, whatever larger packets clients may send later: this much, and no more, is kept for somebody who
/// has not logged in. A will of 64 KiB fits with everything else.
const MAX_CONNECT: usize = 128 << 10;

/// Serves one client from its first byte to its last. `place` is held as long.
pub(in crate::broker) fn serve<S, P>(
    core: Arc<Core>,
    stream: S,
    peer: Peer,
    stop: CancellationToken,
    place: P,
) -> impl Future<Output = ()> + Send
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    P: Send,
{
    // No async function: it would keep room for its arguments as long as the connection lasts. Boxed, so that what only
    // the beginning needs does not stay either.
    let opening = Box::pin(begin(core, stream, peer, stop.clone()));
    async move {
        let opened = opening.await;
        if let Some(connection) = opened {
            connection.run(stop).await;
        }
        drop(place);
    }
}

/// The beginning of a connection. `None`: it came to nothing. A future as small as it can be, because there may be
/// thousands of clients that have sent nothing yet; what follows on the first packet seldom waits and is boxed.
#[allow(clippy::manual_async_fn, reason = "an async function would keep its arguments twice")]
fn begin<S>(
    core: Arc<Core>,
    mut stream: S,
    peer: Peer,
    stop: CancellationToken,
) -> impl Future<Output = Option<Box<Connection<S>>>> + Send
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    async move {
        let limit = peer.accepted + core.config.connect_timeout.0;
        let max_packet = peer.bounds.max_packet(&core.config).min(MAX_CONNECT);
        let first = tokio::select! {
            first = timeout_at(limit, first_packet(&mut stream, max_packet)) => first.unwrap_or(Err(Refused::Late)),
            () = stop.cancelled() => return None,
        };
        let opened = match first {
            Ok((input, frame)) => {
                Box::pin(async {
                    let opening = open(&core, stream, &peer, input, frame);
                    tokio::select! {
                        opened = timeout_at(limit, opening) => opened.unwrap_or(Err(Refused::Late)),
                        () = stop.cancelled() => Err(Refused::Stopped),
                    }
                })
                .await
            }
            Err(refused) => Err(refused),
        };
        opened.map_err(|refused| refused.note(&core, &peer)).ok()
    }
}

/// Reads until the first packet is whole, and somewhat of what follows it.
async fn first_packet<S: AsyncRead + Unpin>(
    stream: &mut S,
    max_packet: usize,
) -> Result<(Vec<u8>, Frame), Refused> {
    let mut input = Vec::new();
    loop {
        if let Some(&first) = input.first() {
            if first != 0x10 {
                return Err(Refused::Code(CodecError::protocol("first packet is not a CONNECT")));
            }
            match Frame::parse(&input, max_packet) {
                Ok(Some(frame)) if input.len() >= frame.len() => return Ok((input, frame)),
                Ok(_) => {}
                Err(error) => return Err(Refused::Code(error)),
            }
        }
        read_more(stream, &mut input).await?;
    }
}

/// Answers the CONNECT that begins `input`.
async fn open<S>(
    core: &Arc<Core>,
    mut stream: S,
    peer: &Peer,
    mut input: Vec<u8>,
    frame: Frame,
) -> Result<Box<Connection<S>>, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut early = input.split_off(frame.len());
    let admitted = match decode_connect(&input[frame.header..]) {
        Ok(connect) => match welcome(core, &mut stream, &mut early, peer, &connect).await {
            Ok(welcome) => Ok(welcome),
            Err(Refused::Code(error)) => Err((error, Some(connect.version), connect.max_packet as usize)),
            Err(other) => return Err(other),
        },
        Err((error, version)) => Err((error, version, usize::MAX)),
    };
    match admitted {
        Ok(welcome) => {
            add(&core.counters.bytes_in, frame.len() as u64);
            for counter in [&core.counters.connects, &core.counters.packets_in, &core.counters.packets_out] {
                add(counter, 1);
            }
            Ok(welcome.connection(core, stream, early))
        }
        Err((error, version, max_packet)) => {
            if let Some(version) = version {
                refuse(&mut stream, version, error, max_packet).await;
            }
            Err(Refused::Code(error))
        }
    }
}

/// Decides about a CONNECT; lets an older connection of the client end first.
async fn welcome<S>(
    core: &Core,
    stream: &mut S,
    early: &mut Vec<u8>,
    peer: &Peer,
    connect: &Connect<'_>,
) -> Result<Welcome, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let identity = identify(core, stream, early, peer, connect).await?;
    check(&core.config, connect, peer.bounds.max_qos(&core.config))?;
    core.make_way(connect.client_id, identity.login.as_ref()).await;
    Ok(admit(core, connect, peer, identity)?)
}

/// Reads what is there; holds no buffer while nothing is.
pub(super) async fn read_more<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut Vec<u8>,
) -> Result<(), Refused> {
    let count = poll_fn(|cx| {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
            input.extend_from_slice(buffer.filled());
            Poll::Ready(io::Result::Ok(buffer.filled().len()))
        })
    });
    match count.await {
        Ok(0) => Err(Refused::Lost(None)),
        Ok(_) => Ok(()),
        Err(error) => Err(Refused::Lost(Some(error))),
    }
}

/// Tells the client why, and reads on for a moment so that it can hear it.
async fn refuse<S>(stream: &mut S, version: Version, error: CodecError, max_packet: usize)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // A 3.x client is answered only where 3.1.1 has a code for it (section 3.2.2.3).
    let mapped = matches!(
        error.code,
        ReasonCode::UNSUPPORTED_VERSION
            | ReasonCode::CLIENT_ID_INVALID
            | ReasonCode::BAD_AUTHENTICATION_METHOD
            | ReasonCode::BAD_USER_NAME_OR_PASSWORD
            | ReasonCode::NOT_AUTHORIZED
            | ReasonCode::QUOTA_EXCEEDED
    );
    if !version.is_v5() && !mapped {
        return;
    }
    let mut answer = Vec::new();
    // [MQTT-3.2.2-19]: header, flags, code and lengths take twelve bytes at most.
    let reason = Some(error.what).filter(|what| what.len() + 12 <= max_packet);
    let properties = ConnackProperties { reason, ..ConnackProperties::default() };
    encode_connack(&mut answer, version, false, error.code, &properties);
    // [MQTT-3.1.2-24]
    if answer.len() > max_packet {
        return;
    }
    let farewell = async {
        stream.write_all(&answer).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(LINGER_BYTES as u64), &mut tokio::io::sink()).await
    };
    // Whether the client hears it is its own matter.
    let _ = tokio::time::timeout(LINGER, farewell).await;
}

/// An accepted CONNECT.
struct Welcome {
    attached: Attached,
    version: Version,
    silence: Option<Duration>,
    ends_with_connection: bool,
    takes: usize,
    explains: bool,
    bounds: Bounds,
    enhanced: Option<Box<Enhanced>>,
    connack: Vec<u8>,
}

impl Welcome {
    fn connection<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        core: &Arc<Core>,
        stream: S,
        early: Vec<u8>,
    ) -> Box<Connection<S>> {
        // Boxed, because a future keeps room for every step that a value takes through it.
        let mut connection = Box::new(Connection::new(
            Arc::clone(core),
            stream,
            self.attached,
            self.version,
            self.silence,
            self.bounds,
        ));
        connection.control = self.connack;
        connection.partial = early;
        connection.ends_with_connection = self.ends_with_connection;
        connection.takes = self.takes;
        connection.explains = self.explains;
        connection.enhanced = self.enhanced;
        connection
    }
}

/// Checks a CONNECT, attaches its session and writes the CONNACK. Who may connect is decided here and in
/// [`access`].
fn admit(core: &Core, connect: &Connect<'_>, peer: &Peer, identity: Identity) -> Result<Welcome, CodecError> {
    let config = &core.config;
    let now = Instant::now();
    let version = connect.version;
    let expiry = connect.session_expiry.min(config.max_session_expiry_secs());
    let window = connect.receive_maximum.min(config.max_inflight);
    let arrival = Arrival {
        client_id: connect.client_id.to_owned(),
        clean_start: connect.clean_start,
        expiry,
        link: Link::new(version, connect.max_packet as usize, window, peer.address, now)
            .with_aliases(connect.topic_alias_maximum.min(config.client_topic_aliases))
            .through(peer.listener.clone()),
        login: identity.login,
    };
    let told = connect.keep_alive == 0 || connect.keep_alive > config.max_keep_alive_secs();
    let server_keep_alive = (version.is_v5() && told && config.max_keep_alive_secs() < u16::MAX)
        .then(|| config.max_keep_alive_secs());
    let keep_alive = server_keep_alive.unwrap_or(connect.keep_alive);
    let answer = |id: &str, present: bool| {
        let response_information = response_information(config, connect, id);
        let properties = ConnackProperties {
            session_expiry: (expiry != connect.session_expiry).then_some(expiry),
            receive_maximum: Some(config.receive_maximum),
            max_packet: Some(u32::try_from(peer.bounds.max_packet(config)).unwrap_or(u32::MAX)),
            assigned_client_id: connect.client_id.is_empty().then_some(id),
            topic_alias_maximum: Some(config.topic_alias_maximum),
            reason: None,
            server_keep_alive,
            shared_available: Some(true),
            maximum_qos: Some(peer.bounds.max_qos(config)).filter(|&qos| qos < QoS::ExactlyOnce),
            response_information: response_information.as_deref(),
            auth_method: identity.last.is_some().then_some(METHOD),
            auth_data: identity.last.as_deref().map(str::as_bytes),
        };
        let mut connack = Vec::new();
        // MQTT 3.1 has no session-present flag.
        let present = present && version != Version::V3;
        encode_connack(&mut connack, version, present, ReasonCode::SUCCESS, &properties);
        connack
    };
    // [MQTT-3.1.2-24]; an identifier that the server chooses is as long as any other that it does.
    let id = if connect.client_id.is_empty() { ASSIGNED_ID_FORM } else { connect.client_id };
    if answer(id, false).len() > connect.max_packet as usize {
        let what = "the client takes no packet as large as its CONNACK";
        return Err(CodecError { code: ReasonCode::PACKET_TOO_LARGE, what });
    }
    let attached = core.attach(arrival, |id| will_message(connect, id, now))?;
    let connack = answer(&attached.session.id, attached.present);
    tracing::debug!(client = &*attached.session.id, peer = %peer.address, version = version.text(), "client connected");
    Ok(Welcome {
        attached,
        version,
        // [MQTT-3.1.2-22]: one and a half times the keep-alive.
        silence: (keep_alive > 0).then(|| Duration::from_millis(u64::from(keep_alive) * 1500)),
        ends_with_connection: connect.session_expiry == 0,
        enhanced: Enhanced::new(connect),
        takes: connect.max_packet as usize,
        explains: connect.wants_problems,
        bounds: peer.bounds,
        connack,
    })
}

/// Where the client may have its answers, if it asks and the configuration says.
fn response_information(config: &Config, connect: &Connect<'_>, id: &str) -> Option<String> {
    let prefix = config.response_prefix.as_deref().filter(|_| connect.wants_response_information)?;
    // An identifier with a wildcard in it makes no topic.
    (!id.contains(['+', '#'])).then(|| format!("{prefix}/{id}"))
}

fn check(config: &Config, connect: &Connect<'_>, max_qos: QoS) -> Result<(), CodecError> {
    let id_missing = connect.client_id.is_empty()
        && match connect.version {
            Version::V3 => true,
            Version::V4 => !connect.clean_start,
            Version::V5 => false,
        };
    if id_missing || connect.client_id.len() > config.max_client_id {
        let what = if id_missing { "client identifier is missing" } else { "client identifier is too long" };
        return Err(CodecError { code: ReasonCode::CLIENT_ID_INVALID, what });
    }
    if let Some(will) = &connect.will {
        if will.qos > max_qos {
            // [MQTT-3.2.2-12]
            return Err(CodecError { code: ReasonCode::QOS_NOT_SUPPORTED, what: "will QoS is not served" });
        }
        if will.user_properties > config.max_user_properties {
            let what = "will has too many user properties";
            return Err(CodecError { code: ReasonCode::QUOTA_EXCEEDED, what });
        }
        if will.topic.len() > config.max_topic_length || topic::levels(will.topic) > config.max_topic_levels {
            return Err(CodecError { code: ReasonCode::TOPIC_INVALID, what: "will topic is over a limit" });
        }
    }
    Ok(())
}

fn will_message(connect: &Connect<'_>, id: &Arc<str>, now: Instant) -> Option<Box<WillMessage>> {
    let will = connect.will.as_ref()?;
    let stored = Stored {
        topic: will.topic.into(),
        payload: will.payload.into(),
        forward: will.forward.as_slice().into(),
        expires: None,
        dup: false,
        kept: false,
        publisher: Arc::clone(id),
        received: now,
        logged: AtomicU64::new(0),
    };
    Some(Box::new(WillMessage {
        stored,
        qos: will.qos,
        retain: will.retain,
        delay: will.delay,
        expiry: will.expiry,
    }))
}
