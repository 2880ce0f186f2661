//! Enhanced authentication (MQTT 5 section 4.12): AUTH between CONNECT and CONNACK, and again later.
//!
//! Knows the packets and their order; what the method says is decided in `auth`. Deliberately absent: other
//! methods than SCRAM-SHA-256, and becoming another user without a new connection. Invariant: a client that named no
//! method is never sent an AUTH ([MQTT-4.12.0-6]).

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use super::handshake::read_more;
use super::refused::Refused;
use super::{Connection, End};
use crate::broker::access::Peer;
use crate::broker::auth::{Login, METHOD, Pending};
use crate::broker::codec::{Auth, CodecError, Connect, Frame, Packet, ReasonCode, Version, decode};
use crate::broker::core::Core;
use crate::broker::stats::add;

/// Largest AUTH before the CONNACK, in bytes: the method's longest message, and room for a few properties.
const MAX_AUTH: usize = 8 << 10;

/// First byte of an AUTH.
const AUTH: u8 = 0xf0;

/// First byte of a DISCONNECT.
const DISCONNECT: u8 = 0xe0;

/// Who a client is, and what its method says in the CONNACK.
#[derive(Default)]
pub(super) struct Identity {
    pub(super) login: Option<Login>,
    /// The server's last message, if the client named a method.
    pub(super) last: Option<String>,
}

/// What a connection keeps whose client named a method in its CONNECT.
pub(super) struct Enhanced {
    /// Largest packet that the client takes, in bytes.
    max_packet: usize,
    /// A re-authentication that has begun, and until when it has to be finished.
    pending: Option<(Pending, Instant)>,
}

impl Enhanced {
    pub(super) fn new(connect: &Connect<'_>) -> Option<Box<Self>> {
        connect.auth_method?;
        Some(Box::new(Self { max_packet: connect.max_packet as usize, pending: None }))
    }
}

/// Finds out who a client is, asking for more if its method needs that. `early`: what came behind the CONNECT; what
/// comes behind the last AUTH stays in it.
pub(super) async fn identify<S: AsyncRead + AsyncWrite + Unpin>(
    core: &Core,
    stream: &mut S,
    early: &mut Vec<u8>,
    peer: &Peer,
    connect: &Connect<'_>,
) -> Result<Identity, Refused> {
    let Some(method) = connect.auth_method else {
        let login = core.auth.login(peer, connect, &core.counters).await?;
        return Ok(Identity { login, last: None });
    };
    if !peer.means.scram || !core.auth.serves(method) {
        // [MQTT-4.12.0-1]
        let what = "authentication method is not served";
        return Err(CodecError { code: ReasonCode::BAD_AUTHENTICATION_METHOD, what }.into());
    }
    let (pending, challenge) = core.auth.begin(connect.auth_data)?;
    let step = Auth { code: ReasonCode::CONTINUE_AUTHENTICATION, method, data: Some(challenge.as_bytes()) };
    let mut out = Vec::new();
    put(&mut out, &step, connect.max_packet as usize)?;
    stream.write_all(&out).await.map_err(|error| Refused::Lost(Some(error)))?;
    add(&core.counters.packets_out, 1);
    let frame = next_frame(stream, early).await?;
    add(&core.counters.packets_in, 1);
    add(&core.counters.bytes_in, frame.len() as u64);
    let last = match decode(frame, &early[frame.header..frame.len()], Version::V5)? {
        Packet::Auth(auth) => {
            check_step(&auth, method, ReasonCode::CONTINUE_AUTHENTICATION)?.map(<[u8]>::to_vec)
        }
        _ => return Err(Refused::Lost(None)),
    };
    early.drain(..frame.len());
    let (login, answer) = core.auth.finish(pending, last.as_deref(), peer, &core.counters).await?;
    if peer.user.as_ref().is_some_and(|user| *user != login.user) {
        let what = "the client's certificate names another user";
        return Err(CodecError { code: ReasonCode::NOT_AUTHORIZED, what }.into());
    }
    Ok(Identity { login: Some(login), last: Some(answer) })
}

/// Waits for an AUTH or DISCONNECT; nothing else may come before the CONNACK ([MQTT-3.1.2-30]).
async fn next_frame<S: AsyncRead + Unpin>(stream: &mut S, early: &mut Vec<u8>) -> Result<Frame, Refused> {
    loop {
        if let Some(&first) = early.first() {
            if !matches!(first, AUTH | DISCONNECT) {
                let what = "a packet other than AUTH and DISCONNECT before the CONNACK";
                return Err(CodecError::protocol(what).into());
            }
            match Frame::parse(early, MAX_AUTH)? {
                Some(frame) if early.len() >= frame.len() => return Ok(frame),
                _ => {}
            }
        }
        read_more(stream, early).await?;
    }
}

/// What an AUTH brings, if it is the one that is due.
fn check_step<'a>(auth: &Auth<'a>, method: &str, due: ReasonCode) -> Result<Option<&'a [u8]>, CodecError> {
    // [MQTT-4.12.0-5], [MQTT-4.12.1-1]
    if auth.method != method {
        return Err(CodecError::protocol("AUTH with another method than the CONNECT"));
    }
    if auth.code != due {
        return Err(CodecError::protocol("AUTH with a reason code that is not due"));
    }
    Ok(auth.data)
}

fn put(out: &mut Vec<u8>, auth: &Auth<'_>, max_packet: usize) -> Result<(), CodecError> {
    let before = out.len();
    auth.encode(out);
    // [MQTT-3.1.2-24]
    if out.len() - before > max_packet {
        out.truncate(before);
        let what = "the client takes no packet of this size";
        return Err(CodecError { code: ReasonCode::PACKET_TOO_LARGE, what });
    }
    Ok(())
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Until when a re-authentication has to be finished, while one is under way. What is not read on purpose is not waited for.
    pub(super) fn authentication_due(&self) -> Option<Instant> {
        let pending = self.enhanced.as_ref().and_then(|enhanced| enhanced.pending.as_ref());
        pending.filter(|_| self.throttled.is_none() && self.pause.is_none()).map(|(_, due)| *due)
    }

    /// One step of a re-authentication; everything else goes on meanwhile. What fails ends the connection
    /// ([MQTT-4.12.1-2]).
    pub(super) fn on_auth(&mut self, auth: &Auth<'_>) -> Result<(), End> {
        let Some(enhanced) = &mut self.enhanced else {
            // [MQTT-4.12.0-7]
            return Err(CodecError::protocol("AUTH though the CONNECT named no method").into());
        };
        let (core, limit) = (&self.core, enhanced.max_packet);
        let (code, answer) = match enhanced.pending.take() {
            None => {
                let first = check_step(auth, METHOD, ReasonCode::REAUTHENTICATE)?;
                let (pending, challenge) = core.auth.begin(first).map_err(not_authorized)?;
                let same = self.session.own(self.epoch, |state| {
                    state.login.as_ref().is_some_and(|login| pending.is_for(&login.user))
                })?;
                if !same {
                    let what = "another user needs another connection";
                    return Err(CodecError { code: ReasonCode::NOT_AUTHORIZED, what }.into());
                }
                enhanced.pending = Some((pending, self.heard + core.config.connect_timeout.0));
                (ReasonCode::CONTINUE_AUTHENTICATION, challenge)
            }
            Some((pending, _)) => {
                let last = check_step(auth, METHOD, ReasonCode::CONTINUE_AUTHENTICATION)?;
                let peer = self.session.own(self.epoch, |state| state.link.as_ref().map(|link| link.peer))?;
                let peer = peer.ok_or(End::TakenOver)?;
                let (login, answer) =
                    core.auth.judge(pending, last, peer, &core.counters).map_err(not_authorized)?;
                self.session.own(self.epoch, |state| state.login = Some(login))?;
                (ReasonCode::SUCCESS, answer)
            }
        };
        let step = Auth { code, method: METHOD, data: Some(answer.as_bytes()) };
        Ok(put(&mut self.control, &step, limit)?)
    }
}

/// A DISCONNECT knows fewer codes than a CONNACK (section 3.14.2.1).
fn not_authorized(error: CodecError) -> CodecError {
    match error.code {
        ReasonCode::BAD_USER_NAME_OR_PASSWORD => CodecError { code: ReasonCode::NOT_AUTHORIZED, ..error },
        _ => error,
    }
}
