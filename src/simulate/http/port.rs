//! Serves a host on a loopback port.
//!
//! One request after the other on each connection, as small devices do. An idle connection is closed after
//! 30 s, and with a reset behind `/portinfo`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::line::LineLoad;
use super::host::Host;
use super::wire::{Answer, Asked, Read};
use crate::driver::http::config::{LoginConfig, Scheme};
use crate::driver::http::digest::{Asking, Challenge};

/// When an idle connection is closed.
const IDLE: Duration = Duration::from_secs(30);

/// One host on TCP at work.
#[derive(Debug)]
pub(in crate::simulate) struct HttpPort {
    /// Who answers.
    pub(in crate::simulate) host: Arc<Host>,
    /// How long a sound device takes to begin its answer.
    pub(in crate::simulate) delay: Duration,
    /// What it did.
    pub(in crate::simulate) load: Arc<Mutex<LineLoad>>,
}

/// What a connection does after an answer.
enum Next {
    Go,
    Close,
    Reset,
}

impl HttpPort {
    /// Serves one client until it leaves. Its errors are its own affair.
    pub(in crate::simulate) async fn connection(self: Arc<Self>, mut stream: TcpStream) {
        let mut pending = Vec::new();
        let mut bytes = vec![0; 4096];
        let mut nonce = None;
        loop {
            match Asked::read(&pending) {
                Read::Unfit => return,
                Read::Whole(asked, used) => {
                    pending.drain(..used);
                    match self.serve(&mut stream, &asked, &mut nonce).await {
                        Next::Go => {}
                        Next::Close => return,
                        Next::Reset => {
                            // Linger of zero makes the close a reset.
                            let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
                            return;
                        }
                    }
                }
                Read::More => match tokio::time::timeout(IDLE, stream.read(&mut bytes)).await {
                    Ok(Ok(count)) if count > 0 => pending.extend_from_slice(&bytes[..count]),
                    _ => return,
                },
            }
        }
    }

    async fn serve(&self, stream: &mut TcpStream, asked: &Asked, nonce: &mut Option<String>) -> Next {
        {
            let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
            load.requests += 1;
        }
        let refused =
            self.host.plan.config.login.as_ref().and_then(|login| unauthorised(login, asked, nonce));
        let Some((answer, effects)) = self.host.serve(asked, Instant::now()) else { return Next::Go };
        let answer = match refused {
            Some(refusal) if answer.code < 500 => refusal,
            _ => answer,
        };
        tokio::time::sleep(self.delay + effects.delay).await;
        if effects.reset {
            return Next::Reset;
        }
        let bytes = answer.bytes(&effects);
        {
            let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
            load.answers += 1;
            load.characters += bytes.len() as u64;
        }
        if stream.write_all(&bytes).await.is_err() || effects.cut {
            return Next::Close;
        }
        if answer.resets {
            // The answer first: a reset may overtake what has not been taken in.
            tokio::time::sleep(Duration::from_millis(20)).await;
            return Next::Reset;
        }
        Next::Go
    }
}

/// The refusal of a request that does not show the password; `None` when it does.
fn unauthorised(login: &LoginConfig, asked: &Asked, nonce: &mut Option<String>) -> Option<Answer> {
    let (user, password) = (login.user.as_str(), login.password.reveal());
    let shown = asked.authorization.as_deref().unwrap_or_default();
    let mut refusal = Answer::status(401);
    if login.scheme == Scheme::Basic {
        let pair = data_encoding::BASE64.encode(format!("{user}:{password}").as_bytes());
        refusal.more = "WWW-Authenticate: Basic realm=\"simulated\"\r\n".into();
        return (shown != format!("Basic {pair}")).then_some(refusal);
    }
    if let Some(nonce) = nonce.as_deref()
        && let Some(challenge) = Challenge::parse(&challenge(nonce))
    {
        let count = part_of(shown, "nc").and_then(|text| u32::from_str_radix(&text, 16).ok()).unwrap_or(0);
        let client_nonce = part_of(shown, "cnonce").unwrap_or_default();
        let path = asked.target.as_str();
        let asking = Asking { user, password, verb: &asked.verb, path, client_nonce: &client_nonce, count };
        let wanted = challenge.answer(&asking);
        let response = |header: &str| part_of(header, "response").filter(|response| response.len() == 64);
        if response(shown).is_some() && response(shown) == response(&wanted) {
            return None;
        }
    }
    let fresh = format!("{:032x}", fastrand::u128(..));
    refusal.more = format!("WWW-Authenticate: {}\r\n", challenge(&fresh));
    *nonce = Some(fresh);
    Some(refusal)
}

/// A parameter of a header `Authorization`.
fn part_of(header: &str, name: &str) -> Option<String> {
    let (_, rest) = header.split_once(&format!(" {name}="))?;
    Some(rest.split([',', ' ']).next()?.trim_matches('"').to_owned())
}

fn challenge(nonce: &str) -> String {
    format!("Digest realm=\"simulated\", qop=\"auth\", algorithm=SHA-256, nonce=\"{nonce}\"")
}
