//! What people write about a notifier.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use indexmap::IndexMap;
use lettre::Address;
use lettre::message::Mailbox;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::units::Period;
use crate::model::{AlarmChange, Secret, Severity};

/// The most people of one e-mail.
const MAX_PEOPLE: usize = 50;

/// The most messages within the time.
const MAX_MESSAGES: u32 = 1_000;

/// The longest time of a limit or of sending.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// One entry under `notify:`. It sends by exactly one of `mail` and `webhook`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Notifier")]
pub struct Config {
    /// Send e-mails.
    #[serde(default)]
    pub mail: Option<MailConfig>,
    /// Send HTTP requests.
    #[serde(default)]
    pub webhook: Option<WebhookConfig>,
    /// Only of alarms that matter this much or more.
    #[serde(default)]
    pub severity: Severity,
    /// Only of alarms of these classes; of all when left out.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Only of alarms of these groups; of all when left out.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Of what is told: `raised`, `escalated`, `returned`, `acknowledged`, `shelved` …; the first three when left out.
    #[serde(default = "usual")]
    pub events: Vec<String>,
    /// The language of the texts.
    #[serde(default)]
    pub language: Tongue,
    /// At most so many messages, 1 to 1000,
    #[serde(default = "ten")]
    pub messages: u32,
    /// within this time; what is more is told by one message that says how many.
    #[serde(default = "ten_minutes")]
    pub within: Period,
    /// How long sending one message may take.
    #[serde(default = "half_a_minute")]
    pub timeout: Period,
}

/// A language, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tongue {
    /// English.
    #[default]
    En,
    /// Korean.
    Ko,
    /// Korean, and below it English.
    Both,
}

/// How e-mails are sent.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MailConfig {
    /// The mail server.
    pub server: String,
    /// Its port; 587, or 465 with `tls: implicit`, or 25 with `tls: none`.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is secured.
    #[serde(default)]
    pub tls: MailTls,
    /// A PEM file with the certificates that are trusted; those of the system when left out.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The user, where the server wants one.
    #[serde(default)]
    pub user: Option<String>,
    /// That user's password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Who sends: `gateway@example.com` or `Press hall <gateway@example.com>`.
    pub from: String,
    /// Who is told.
    pub to: Vec<String>,
}

/// How a connection to a mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// It begins plain and must become secure before anything else is said (RFC 3207).
    #[default]
    Starttls,
    /// Secure from the first byte (RFC 8314).
    Implicit,
    /// Not at all. For a server on this machine or in a network of its own.
    None,
}

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WebhookConfig {
    /// `https://…` or `http://…`; often a secret itself: `file:/etc/iogate/hook-url`.
    pub url: Secret,
    /// Further headers: `{ Authorization: file:/etc/iogate/hook-token }`.
    #[serde(default)]
    pub headers: IndexMap<String, Secret>,
    /// A PEM file with the certificates that are trusted; those of the system when left out.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

fn usual() -> Vec<String> {
    [AlarmChange::Raised, AlarmChange::Escalated, AlarmChange::Returned]
        .map(|change| change.word().to_owned())
        .into()
}

const fn ten() -> u32 {
    10
}

const fn ten_minutes() -> Period {
    Period(Duration::from_secs(600))
}

const fn half_a_minute() -> Period {
    Period(Duration::from_secs(30))
}

/// What is wrong, by the way of keys to it, with a way to mend it.
pub type Problem = (&'static [&'static str], String, String);

impl Config {
    /// Everything that is wrong with the section by itself.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut found: Vec<Problem> = Vec::new();
        match (&self.mail, &self.webhook) {
            (Some(mail), None) => mail.problems(&mut found),
            (None, Some(webhook)) => webhook.problems(&mut found),
            (None, None) => {
                let help = "add `mail:` or `webhook:`".to_owned();
                found.push((&[], "it is not said how to send".to_owned(), help));
            }
            (Some(_), Some(_)) => {
                let help = "make two notifiers of them".to_owned();
                found.push((&["webhook"], "`mail` and `webhook` exclude each other".to_owned(), help));
            }
        }
        for event in self.events.iter().filter(|event| change(event).is_none()) {
            let words =
                AlarmChange::ALL.into_iter().filter(|change| !change.is_passing()).map(AlarmChange::word);
            let help = format!("use {}", words.collect::<Vec<_>>().join(", "));
            found.push((&["events"], format!("`{event}` is no event"), help));
        }
        if self.events.is_empty() {
            found.push((
                &["events"],
                "nothing would ever be told".to_owned(),
                "leave `events` out, or name some".to_owned(),
            ));
        }
        if !(1..=MAX_MESSAGES).contains(&self.messages) {
            found.push((
                &["messages"],
                format!("{} messages are no limit", self.messages),
                format!("write 1 to {MAX_MESSAGES}"),
            ));
        }
        let times: [(&'static [&'static str], Period); 2] =
            [(&["within"], self.within), (&["timeout"], self.timeout)];
        for (key, time) in times.into_iter().filter(|(_, time)| time.0.is_zero() || time.0 > LONGEST) {
            let message = format!("{time} is no useful time");
            found.push((key, message, "write a time such as 1m, at most 24h".to_owned()));
        }
        found
    }

    /// The events that are told.
    #[must_use]
    pub fn changes(&self) -> Vec<AlarmChange> {
        self.events.iter().filter_map(|event| change(event)).collect()
    }
}

/// The change of this name, where people can be told of it.
fn change(word: &str) -> Option<AlarmChange> {
    AlarmChange::ALL.into_iter().find(|change| change.word() == word && !change.is_passing())
}

impl MailConfig {
    fn problems(&self, found: &mut Vec<Problem>) {
        let host = self.server.trim();
        if host.is_empty() || !host.is_ascii() || host.contains(['/', '@', ' ']) {
            let help = "write a name or an address, and the port under `port`".to_owned();
            found.push((&["mail", "server"], format!("`{}` is no mail server", self.server), help));
        }
        let mut check = |keys: &'static [&'static str], who: &String| {
            if let Err(why) = mailbox(who) {
                let message = format!("`{who}` is no address: {why}");
                found.push((keys, message, "write name@example.com".to_owned()));
            }
        };
        check(&["mail", "from"], &self.from);
        self.to.iter().for_each(|who| check(&["mail", "to"], who));
        if self.to.is_empty() || self.to.len() > MAX_PEOPLE {
            found.push((
                &["mail", "to"],
                format!("an e-mail goes to 1 to {MAX_PEOPLE} people"),
                "name them".to_owned(),
            ));
        }
        if self.user.is_some() != self.password.is_some() {
            let help = "give both, or neither".to_owned();
            found.push((&["mail"], "`user` and `password` belong together".to_owned(), help));
        }
        if self.tls == MailTls::None && self.password.is_some() {
            let help = "use `tls: starttls` or `tls: implicit`".to_owned();
            found.push((
                &["mail", "tls"],
                "without TLS everybody on the way could read the password".to_owned(),
                help,
            ));
        }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            MailTls::Starttls => 587,
            MailTls::Implicit => 465,
            MailTls::None => 25,
        })
    }
}

/// Somebody's address, with or without a name.
pub(super) fn mailbox(text: &str) -> Result<Mailbox, String> {
    let mailbox: Mailbox = text.parse().map_err(|error: lettre::address::AddressError| error.to_string())?;
    let address: &Address = &mailbox.email;
    if !address.domain().is_ascii() {
        return Err("write the domain in its ASCII form (xn--…)".to_owned());
    }
    Ok(mailbox)
}

impl WebhookConfig {
    fn problems(&self, found: &mut Vec<Problem>) {
        if let Err(why) = endpoint(self.url.reveal()) {
            let help = "write https://host/path".to_owned();
            found.push((&["webhook", "url"], format!("the URL cannot be used: {why}"), help));
        }
        for (name, value) in &self.headers {
            let sound = hyper::header::HeaderName::try_from(name.as_str()).is_ok()
                && hyper::header::HeaderValue::try_from(value.reveal()).is_ok();
            if !sound {
                let help = "use letters, digits and -, and a value on one line".to_owned();
                found.push((&["webhook", "headers"], format!("`{name}` is no header"), help));
            }
        }
    }
}

/// The parts of a URL: whether it is secure, host, port, and the rest.
pub(super) fn endpoint(url: &str) -> Result<(bool, String, u16, String), String> {
    let uri: Uri = url.trim().parse().map_err(|error: hyper::http::uri::InvalidUri| error.to_string())?;
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err("it begins with neither https:// nor http://".to_owned()),
    };
    let authority = uri.authority().ok_or("it has no host")?;
    if authority.as_str().contains('@') {
        return Err("names and passwords belong into a header".to_owned());
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    Ok((secure, host, port, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let parts =
            |secure, host: &str, port, path: &str| Ok((secure, host.to_owned(), port, path.to_owned()));
        assert_eq!(
            endpoint("https://hooks.example.com/a?b=c"),
            parts(true, "hooks.example.com", 443, "/a?b=c")
        );
        assert_eq!(endpoint("http://[2001:db8::1]:8080"), parts(false, "2001:db8::1", 8080, "/"));
        for wrong in
            ["hooks.example.com/a", "ftp://example.com/", "https://kim:secret@example.com/", "https://"]
        {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mailbox_is_an_address_with_or_without_a_name() {
        assert_eq!(mailbox("Press hall <gw@example.com>").unwrap().name.as_deref(), Some("Press hall"));
        assert!(mailbox("kim@example.com").is_ok());
        for wrong in ["kim", "kim@", "kim@예시.example", "kim lee@example.com"] {
            assert!(mailbox(wrong).is_err(), "{wrong}");
        }
    }
}
