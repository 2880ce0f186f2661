//! One exchange with an agent: the only file that speaks to the library.
//!
//! The library (async-snmp) encodes, matches answers by request and sender, discovers the engine of version 3
//! and splits what is too big for an agent. What it is not trusted with is in `owner`: when to ask again, and
//! which value belongs to which point. Invariants: an error here is one of [`Failure`], named by what follows; a SET
//! is carried out at most once, and none is sent after its deadline.

use std::time::{Duration, Instant};

use async_snmp::{
    Auth, AuthProtocol, Client, Error, ErrorStatus, MasterKeys, Oid, PrivProtocol, Retry, UsmConfig, Value,
};

use super::config::{AuthHash, Cipher, SnmpConfig, UserConfig, Version};
use crate::model::Reason;

/// Why an exchange came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// No answer in time: it is asked again, and then the agent is down.
    #[error("no answer in time, or none that user and password vouch for")]
    Timeout,
    /// It cannot be spoken to from here: the name is not known, the network not there.
    #[error("{0}")]
    NoConnection(String),
    /// It answers, but not us: user, password, encryption.
    #[error("the agent refuses: {0}")]
    Refused(String),
    /// It refuses one of the objects: the others can be asked for. Its place among them, from 0.
    #[error("the agent refuses an object: {status}")]
    Object {
        /// Which of those that were asked for.
        place: usize,
        /// What it says.
        status: String,
    },
    /// It refuses the whole request.
    #[error("the agent answers {0}")]
    Status(String),
    /// What it sends is no answer.
    #[error("malformed answer: {0}")]
    Malformed(String),
}

impl Failure {
    /// The reason for points that it concerns.
    pub(super) const fn reason(&self) -> Reason {
        match self {
            Self::Timeout => Reason::Timeout,
            Self::NoConnection(_) => Reason::NoConnection,
            Self::Object { .. } => Reason::NotAvailable,
            Self::Refused(_) | Self::Status(_) => Reason::ErrorReply,
            Self::Malformed(_) => Reason::MalformedReply,
        }
    }

    /// Whether the agent has been heard.
    pub(super) const fn is_answer(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Object { .. } | Self::Status(_))
    }
}

/// Why a SET came to nothing, or may have.
#[derive(Debug)]
pub(super) enum Unset {
    /// Its deadline had passed: nothing was sent.
    Expired,
    /// Nothing was sent.
    Unsent(Failure),
    /// It was sent.
    Sent(Failure),
}

/// What an agent answered.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Objects and their values, in the order in which they came.
    pub(super) values: Vec<(Oid, Value)>,
    /// The most objects that one message held, where the agent could not answer all at once.
    pub(super) most: Option<usize>,
}

/// An agent, and the socket to it while there is one.
pub(super) struct Link {
    config: SnmpConfig,
    client: Option<Client>,
    /// Whether its engine is known, which version 3 needs.
    met: bool,
    /// Made once: a key is the hash of a megabyte (RFC 3414, section 11.2).
    auth: Option<Auth>,
}

impl Link {
    pub(super) fn new(config: SnmpConfig) -> Self {
        Self { config, client: None, met: false, auth: None }
    }

    /// Forgets socket, address and engine: the next exchange begins with them.
    pub(super) fn close(&mut self) {
        self.client = None;
        self.met = false;
    }

    /// Asks for objects, of which there is at least one.
    pub(super) async fn ask(&mut self, oids: &[Oid]) -> Result<Answer, Failure> {
        let client = self.client().await?;
        let mut chunks = client.get_many_chunks(oids).map_err(|error| failure(&error, 0))?;
        let mut answer = Answer::default();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| failure(&error.source, error.failed_request_range.start))?;
            if chunk.request_range.len() < oids.len() {
                answer.most = answer.most.max(Some(chunk.request_range.len()));
            }
            answer.values.extend(chunk.response.varbinds.into_iter().map(|bound| (bound.oid, bound.value)));
        }
        self.met = true;
        Ok(answer)
    }

    /// Sets one object, once. Where there is a deadline, everything that takes time happens before the last look at it.
    pub(super) async fn set(
        &mut self,
        oid: &Oid,
        value: Value,
        before: Option<Instant>,
    ) -> Result<(), Unset> {
        let usm = self.config.spoken() == Version::V3;
        let met = self.met || !usm;
        let client = self.client().await.map_err(Unset::Unsent)?;
        if !met {
            client.rediscover_engine().await.map_err(|error| Unset::Unsent(failure(&error, 0)))?;
        }
        if before.is_some_and(|before| Instant::from(tokio::time::Instant::now()) >= before) {
            return Err(Unset::Expired);
        }
        let set = client.set(oid, value);
        let result = match before.filter(|_| usm) {
            // An engine that has started again does nothing but tell its time (RFC 3414, section 3.2), and the library
            // sends the request again with it, which must not be after the deadline either.
            Some(before) => match tokio::time::timeout_at(before.into(), set).await {
                Ok(result) => result,
                Err(_) => return Err(Unset::Sent(Failure::Timeout)),
            },
            None => set.await,
        };
        result.map(drop).map_err(|error| Unset::Sent(failure(&error, 0)))
    }

    async fn client(&mut self) -> Result<&Client, Failure> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.connect().await?,
        };
        Ok(self.client.insert(client))
    }

    async fn connect(&mut self) -> Result<Client, Failure> {
        let (host, port) = self.config.endpoint().map_err(Failure::NoConnection)?;
        let auth = self.auth().await?;
        let timeout: Duration = self.config.timeout.0;
        Client::builder((host, port), auth)
            .request_timeout(timeout)
            .construction_timeout(timeout)
            .retry(Retry::none())
            .max_oids_per_request(usize::from(self.config.max_objects).max(1) + 1)
            // Nobody but the agent itself is believed.
            .strict_source(true)
            .connect()
            .await
            .map_err(|error| Failure::NoConnection(error.to_string()))
    }

    async fn auth(&mut self) -> Result<Auth, Failure> {
        if let Some(auth) = &self.auth {
            return Ok(auth.clone());
        }
        let config = self.config.clone();
        let made = tokio::task::spawn_blocking(move || auth(&config)).await;
        let auth = made.map_err(|error| Failure::NoConnection(error.to_string()))??;
        Ok(self.auth.insert(auth).clone())
    }
}

/// Who the gateway is.
fn auth(config: &SnmpConfig) -> Result<Auth, Failure> {
    let community = || {
        let secret = config.community.as_ref();
        secret.map_or_else(|| "public".to_owned(), |secret| secret.reveal().to_owned())
    };
    match (config.spoken(), &config.user) {
        (Version::V1, _) => Ok(Auth::v1(community())),
        (Version::V3, Some(user)) => usm(user).map(Auth::from).map_err(Failure::Refused),
        (Version::V2c | Version::V3, _) => Ok(Auth::v2c(community())),
    }
}

fn usm(user: &UserConfig) -> Result<UsmConfig, String> {
    let plain = UsmConfig::new(user.name.clone().into_bytes());
    let plain = plain.context_name(user.context.clone().unwrap_or_default().into_bytes());
    let Some(password) = &user.password else { return Ok(plain) };
    let hash = match user.auth {
        AuthHash::Sha256 => AuthProtocol::Sha256,
        AuthHash::Sha512 => AuthProtocol::Sha512,
        AuthHash::Sha1 => AuthProtocol::Sha1,
        AuthHash::Md5 => AuthProtocol::Md5,
    };
    let cipher = match user.privacy {
        Cipher::Aes128 => PrivProtocol::Aes128,
        Cipher::Aes256 => PrivProtocol::Aes256Reeder,
        Cipher::Des => PrivProtocol::Des,
    };
    let mut keys = MasterKeys::new(hash, password.reveal().as_bytes()).map_err(|error| error.to_string())?;
    if let Some(password) = &user.privacy_password {
        keys = keys.with_privacy(cipher, password.reveal().as_bytes()).map_err(|error| error.to_string())?;
    }
    plain.with_master_keys(keys).map_err(|error| error.to_string())
}

/// What an error of the library means; `first` is the place of the first object that it is about.
fn failure(error: &Error, first: usize) -> Failure {
    match error {
        Error::SharedOperation { source } => failure(source, first),
        Error::Exchange { source, .. } => failure(source, first),
        Error::Timeout { .. } | Error::ConstructionTimeout { .. } => Failure::Timeout,
        Error::Snmp { status: ErrorStatus::TooBig, .. } => {
            Failure::Object { place: first, status: "tooBig for one object".into() }
        }
        Error::Snmp { status, index, .. } => match usize::try_from(*index).ok().filter(|index| *index > 0) {
            Some(index) => Failure::Object { place: first + index - 1, status: status.to_string() },
            None => Failure::Status(status.to_string()),
        },
        Error::Report { status, .. } => Failure::Refused(status.to_string()),
        Error::Auth { .. } => Failure::Refused("it could not be authenticated".into()),
        Error::Decode(_) | Error::MalformedResponse { .. } | Error::ResponseShape { .. } => {
            Failure::Malformed(error.to_string())
        }
        _ => Failure::NoConnection(error.to_string()),
    }
}
