//! The means of logging in that a listener accepts.

use schemars::JsonSchema;
use serde::Deserialize;

/// One way to find out who a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoginMeans {
    /// User name and password of the `password-file`.
    Password,
    /// MQTT 5 enhanced authentication by SCRAM-SHA-256: the password itself is not sent. For users whose password was set by
    /// `iogate passwd --scram`.
    Scram,
    /// A token in the place of the password, as `jwt` says.
    Jwt,
    /// The client's certificate: `tls.identity` says who it names; without it, any certificate of `client-ca` will do.
    Certificate,
    /// None at all; only for an address of this machine.
    Anonymous,
}

/// Those that a listener accepts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::broker) struct Means {
    pub(in crate::broker) password: bool,
    pub(in crate::broker) scram: bool,
    pub(in crate::broker) jwt: bool,
    /// Nobody in particular is served, too.
    pub(in crate::broker) anonymous: bool,
}

impl Means {
    /// What holds where nothing is said: everything that there are files for, and nobody without a login unless there are none.
    pub(in crate::broker) fn usual(users: bool, tokens: bool) -> Self {
        Self { password: users, scram: users, jwt: tokens, anonymous: !users && !tokens }
    }

    /// What to tell a client that came without.
    pub(in crate::broker) fn wanted(self) -> &'static str {
        match (self.password, self.scram, self.jwt) {
            (true, _, false) => "log in with a user name and password",
            (true, _, true) => "log in with a user name and password, or with a token as the password",
            (false, _, true) => "log in with a token as the password",
            (false, true, false) => "log in by the authentication method SCRAM-SHA-256",
            (false, false, false) => "log in with a client certificate",
        }
    }

    /// Exactly these.
    pub(in crate::broker) fn chosen(chosen: &[LoginMeans]) -> Self {
        let has = |means| chosen.contains(&means);
        Self {
            password: has(LoginMeans::Password),
            scram: has(LoginMeans::Scram),
            jwt: has(LoginMeans::Jwt),
            anonymous: has(LoginMeans::Anonymous),
        }
    }
}
