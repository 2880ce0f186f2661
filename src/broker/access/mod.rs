//! Who may do what: rules from the access file, compiled for each client.
//!
//! Every CONNECT, PUBLISH and SUBSCRIBE of a client and every message for it passes through; publishers and
//! subscriptions inside the program do not. Without any form of login and without an access file every client may do
//! everything outside `$`, else what no rule permits is refused. Absent: finding out who a client is (`auth`).
//! Invariant: the permissions of a session that others can reach change only under the write lock of the subscription tree,
//! together with the marks of its subscriptions.

mod apply;
mod cover;
mod file;
mod permissions;
mod rules;
mod write_check;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tokio::time::Instant;

pub(super) use apply::selects;
pub use file::BadRule;
pub(super) use permissions::{Permissions, Verdict};
pub(super) use rules::Claims;
pub(super) use write_check::WriteCheck;

use super::auth::{Login, Means};
use super::codec::{QoS, ReasonCode};
use super::config::{Config, bytes};
use super::watched::{Look, Watched, read};
use crate::journal::Level;
use rules::{Rules, Who};

/// Largest access file in bytes.
const MAX_FILE: u64 = 4 << 20;

/// What is known of a client before its CONNECT.
pub(super) struct Peer {
    /// Where it connects from.
    pub(super) address: SocketAddr,
    /// When it connected: its CONNECT is due some time after this.
    pub(super) accepted: Instant,
    /// The user that its certificate names.
    pub(super) user: Option<Arc<str>>,
    /// How it may log in.
    pub(super) means: Means,
    /// What its listener says of packets and QoS.
    pub(super) bounds: Bounds,
    /// Name of the listener that it came through, if any.
    pub(super) listener: Option<Arc<str>>,
}

/// Limits that a listener may have of its own; `None`: the broker's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounds {
    /// Largest packet in bytes.
    pub(super) max_packet: Option<usize>,
    /// Highest QoS that is served.
    pub(super) max_qos: Option<QoS>,
    /// What an acknowledgement promises.
    pub(super) durability: Option<Level>,
}

impl Bounds {
    /// Largest packet in bytes.
    pub(super) fn max_packet(&self, config: &Config) -> usize {
        self.max_packet.unwrap_or_else(|| bytes(config.max_packet))
    }

    /// Highest QoS that is served.
    pub(super) fn max_qos(&self, config: &Config) -> QoS {
        self.max_qos.unwrap_or_else(|| config.highest_qos())
    }
}

impl Peer {
    /// A client that has just connected.
    pub(super) fn new(address: SocketAddr, means: Means) -> Self {
        Self {
            address,
            accepted: Instant::now(),
            user: None,
            means,
            bounds: Bounds::default(),
            listener: None,
        }
    }
}

/// Why an access file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It cannot be read.
    #[error("the access file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A rule is not understood; nothing of the file is used then.
    #[error("the access file {} cannot be used", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: BadRule,
    },
}

/// The rules in force.
pub(super) struct Access {
    file: Option<Watched>,
    rules: ArcSwap<Rules>,
    /// Set when there is nobody to tell apart and no file.
    open: Option<Arc<Permissions>>,
    /// Counts the changes of any session's permissions.
    version: AtomicU64,
}

impl Access {
    /// Nothing is permitted before [`Self::reload`] has read the access file, if there is one or should be.
    pub(super) fn new(config: &Config) -> Self {
        let open = config.access_file.is_none() && !config.authenticates();
        Self {
            file: config.access_file.clone().map(|path| Watched::new(path, MAX_FILE)),
            rules: ArcSwap::default(),
            open: open.then(|| Arc::new(Permissions::unrestricted())),
            version: AtomicU64::new(1),
        }
    }

    /// Whether there is a file to look at.
    pub(super) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Takes in what the access file holds now. Returns whether the rules are other ones now; a file that cannot be used
    /// leaves those that were.
    pub(super) fn reload(&self, look: Look) -> Result<bool, AccessError> {
        let Some(file) = &self.file else { return Ok(false) };
        let path = || file.path().to_owned();
        let text = file.look(look).map_err(|source| AccessError::Unreadable { path: path(), source })?;
        let Some(text) = text else { return Ok(false) };
        let rules = file::parse(&text).map_err(|source| AccessError::Content { path: path(), source })?;
        tracing::info!(roles = rules.roles.len(), users = rules.users.len(), "access file read");
        self.rules.store(Arc::new(rules));
        Ok(true)
    }

    /// What a client may do by the rules in force.
    pub(super) fn permissions(&self, login: Option<&Login>, client: &str) -> Arc<Permissions> {
        if let Some(open) = &self.open {
            return Arc::clone(open);
        }
        let user = login.map(|login| &*login.user);
        let claims = login.and_then(|login| login.claims.as_deref());
        self.rules.load().permissions(Who { user, claims, client })
    }

    /// Differs from an earlier answer if the permissions of a session may have changed since.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }
}

/// Whether an access file can be used.
///
/// # Errors
/// It cannot be read, or a rule is not understood.
pub fn check_access_file(path: &Path) -> Result<(), AccessError> {
    let text = read(path, MAX_FILE);
    let text = text.map_err(|source| AccessError::Unreadable { path: path.into(), source })?;
    file::parse(&text).map(|_| ()).map_err(|source| AccessError::Content { path: path.into(), source })
}

/// Whether a filter is served: `$share/` in front of what a shared subscription selects is none.
pub(super) fn is_served(filter: &str) -> Result<(), ReasonCode> {
    if filter == "$share" || filter.starts_with("$share/") {
        Err(ReasonCode::SHARED_NOT_SUPPORTED)
    } else {
        Ok(())
    }
}
